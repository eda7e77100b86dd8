"""A feed agent in the test's process, over an instance of its own."""

import itertools
import json
import os
import time

import structlog

from config.knobs import KNOBS
from config.loader import settings_of
from config.venues import Endpoints
from feed.agent import Agent
from feed.report import lines
from feed.state import state_size
from runtime.stage import StageContext
from runtime.wait_layout import WaitStrategy
from shm.records import MARKET_EVENT, EventKind
from shm.ring_layout import RING, SLOTS_OFFSET
from shm.tables import DOORBELL, write_symbol_name
from shm.topology import Sizes, create_all
from tests.compiled import exported
from tests.feed.feed_samples import DEPTH, SNAPSHOT, SYMBOLS

TIME_S = 20
NUMBERS = itertools.count()


class Stage:
    """A feed agent in this process, over an instance of its own, connected to a `Venue`."""

    def __init__(self, venue, symbols=SYMBOLS[:1], secure="", **changes):
        flat = {knob.path: knob.default for knob in KNOBS}
        flat |= {path.replace("__", "."): value for path, value in changes.items()}
        self.settings = settings_of(flat)
        name = f"tfeed{os.getpid()}x{next(NUMBERS)}"
        size = state_size(self.settings, len(symbols))
        self.memory = create_all(name, Sizes(state={"feed": size}))
        for index, (symbol, _, _, price, quantity) in enumerate(symbols):
            row = self.memory.symbol(index)
            write_symbol_name(row, symbol)
            row.price_decimals, row.tick_unit = price
            row.quantity_decimals, row.lot_unit = quantity
        self.memory.control.symbol_count = len(symbols)
        self.bell = os.eventfd(0)
        DOORBELL.at(self.memory.doorbell("feed")).event_fd = self.bell
        base = f"127.0.0.1:{venue.port}"
        endpoints = Endpoints(f"http{secure}://{base}", f"ws{secure}://{base}", "", "")
        self.agent = Agent(
            StageContext(
                name="feed",
                settings=self.settings,
                memory=self.memory,
                kernels=exported(),
                log=structlog.get_logger(),
                symbols=tuple(row[0] for row in symbols),
                market_endpoints=endpoints,
                order_endpoints=endpoints,
                wait_strategy=WaitStrategy.ADAPTIVE,
                event_fd=self.bell,
            )
        )

    def count(self, name):
        return self.memory.counters.get(f"feed.{name}")

    def until(self, condition):
        """Let the stage work until something holds."""
        deadline = time.monotonic() + TIME_S
        while not condition():
            assert time.monotonic() < deadline, "\n".join(lines(self.memory))
            self.agent.do_work()

    def request(self, venue):
        """Let the stage work until it asks for a snapshot; return (path, answer)."""
        self.until(lambda: not venue.requests.empty())
        return venue.requests.get()

    def stream(self, venue):
        self.until(lambda: not venue.streams.empty())
        return venue.streams.get()

    def mark_stream(self, venue):
        self.until(lambda: not venue.marks.empty())
        return venue.marks.get()

    def events(self):
        """Return what is in the ring in the form of the naive twin."""
        ring = self.memory.ring("market")
        found = []
        for position in range(RING.at(ring).tail):
            event = MARKET_EVENT.at(ring + SLOTS_OFFSET + position * MARKET_EVENT.size)
            assert event.sequence == position + 1
            assert event.symbol == 0
            row = (event.kind, event.flags, event.venue_ns, event.price_tick)
            found.append((*row, event.quantity_lot, event.ask_tick, event.ask_lot))
        return found

    def kinds(self):
        return [EventKind(event[0]).name for event in self.events()]

    def close(self):
        self.agent.on_close()
        self.memory.close()
        self.memory.unlink()
        os.close(self.bell)


def numbered(first, last, previous, **sides):
    """Return a depth update with these ids."""
    data = json.loads(DEPTH)["data"] | {"U": first, "u": last, "pu": previous} | sides
    return json.dumps({"stream": "btcusdt@depth@0ms", "data": data}).encode()


def snapshot(last_id):
    return json.dumps(json.loads(SNAPSHOT) | {"lastUpdateId": last_id}).encode()


def synced(stage, venue, last_id=100):
    """Bring a started stage to a book of snapshot `last_id`; return the stream."""
    stream = stage.stream(venue)
    _, answer = stage.request(venue)
    answer(200, snapshot(last_id))
    stage.until(lambda: stage.count("snapshots") == 1)
    return stream


def synced_again(stage, venue):
    stream = stage.stream(venue)
    _, answer = stage.request(venue)
    before = stage.count("snapshots")
    answer(200, snapshot(100))
    stage.until(lambda: stage.count("snapshots") == before + 1)
    return stream
