"""Everything around an executor agent in a test: memory, a small risk, a log that is kept."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

from config.loader import load
from config.venues import Endpoints
from executor.agent import Agent
from runtime.instruments import fill_symbol_row
from runtime.stage import StageContext
from runtime.wait_layout import WaitStrategy
from shm import topology
from shm.records import ORDER, REPORT, OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType
from shm.tables import DOORBELL

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def symbol_entry(name: str) -> dict[str, Any]:
    return {
        "symbol": name,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "0.1",
             "maxPrice": "1000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
        ],
    }  # fmt: skip


class KeptLog:
    """Keeps (level, event, values) of every line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def _log(self, level: str, event: str, values: dict[str, Any]) -> None:
        self.lines.append((level, event, values))

    def info(self, event: str, **values: Any) -> None:
        self._log("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._log("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        self._log("error", event, values)

    def events(self, level: str = "") -> list[str]:
        return [e for name, e, _ in self.lines if level in ("", name)]


class Rig:
    """One instance's memory, and agents that run on it one after the other."""

    def __init__(self, venue: Any, kernels: Any, **overrides: Any) -> None:
        self.venue, self.kernels = venue, kernels
        rows = overrides.pop("order_rows", 64)
        queue = overrides.pop("queue", 256)
        stop_s = overrides.pop("stop_timeout_s", 8)
        values = {"recv_window_ms": 300, "request_timeout_ms": 250} | overrides
        settings = load(env_file=None, environ={})
        self.settings = settings._replace(
            venue=settings.venue._replace(**values),
            supervisor=settings.supervisor._replace(stop_timeout_s=stop_s),
        )
        # Today's second, so that the venue's list of orders since the epoch holds ours.
        self.epoch = int(time.time())
        name = f"texec{os.getpid()}"
        self.memory = topology.create_all(
            name, topology.Sizes(market_queue=1024, queue=queue, order_rows=rows), epoch=self.epoch
        )
        for index, symbol in enumerate(SYMBOLS):
            fill_symbol_row(self.memory.symbol(index), symbol_entry(symbol), 0.0005, 0.0002)
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK)
        DOORBELL.at(self.memory.doorbell("executor")).event_fd = self.event_fd
        self.log = KeptLog()
        self.agent: Any = None
        self.seen: list[dict[str, Any]] = []
        self.fake_risk = True
        self._filled: dict[int, int] = {}
        self._foreign: dict[int, int] = {}
        self.next_id = 1

    def start(self, restarted: bool = False, wait_api: bool = True) -> Any:
        port = self.venue.port
        endpoints = Endpoints(
            rest_url=f"http://127.0.0.1:{port}",
            stream_url=f"ws://127.0.0.1:{port}",
            private_stream_url=f"ws://127.0.0.1:{port}/private",
            ws_api_url=f"ws://127.0.0.1:{port}/ws-fapi/v1",
        )
        context = StageContext(
            name="executor",
            settings=self.settings,
            memory=self.memory,
            kernels=self.kernels,
            log=self.log,
            symbols=SYMBOLS,
            market_endpoints=endpoints,
            order_endpoints=endpoints,
            wait_strategy=WaitStrategy.ADAPTIVE,
            event_fd=self.event_fd,
            restarted=restarted,
        )
        self.agent = Agent(context)
        self.agent.on_start()
        if wait_api:
            self.pump(lambda: self.agent._api.is_up)
        return self.agent

    def kill(self) -> None:
        """Let the agent vanish as a SIGKILL does: sockets close, nothing is written."""
        agent, self.agent = self.agent, None
        agent._api_link.close()
        agent._user_link.close()
        for worker in (agent._rest_worker, agent._connector):
            worker.close(1.0)
        agent._rest.close()
        agent._epoll.close()

    def write_order(self, **values: Any) -> int:
        """Publish an order as risk does; return its id."""
        ring = self.memory.ring("orders")
        slot = self.kernels.ring_claim(ring)
        assert slot
        order = ORDER.at(slot)
        ctypes.memset(slot, 0, ORDER.size - 8)
        order.action, order.type = int(OrderAction.PLACE), int(OrderType.MARKET)
        order.side, order.quantity_lot, order.symbol = 1, 10, 0
        order.reason = int(OrderReason.ENTRY)
        order.order_id = self.next_id
        order.position_id = 7
        order.origin_ns = order.written_ns = time.monotonic_ns()
        if values.pop("exit", False):
            order.flags = int(OrderFlag.EXIT | OrderFlag.REDUCE_ONLY)
            order.reason = int(OrderReason.STOP)
        for name, value in values.items():
            setattr(order, name, int(value))
        if order.order_id == self.next_id:
            self.next_id += 1
        made = order.order_id
        order.written_ns = time.monotonic_ns()
        self.kernels.ring_publish(ring, slot)
        self.kernels.doorbell_ring(self.memory.doorbell("executor"))
        return made

    def read_reports(self) -> None:
        """Be risk: read reports, apply fills to the position rows once."""
        ring = self.memory.ring("reports")
        while True:
            slot = self.kernels.ring_peek(ring, 0)
            if not slot:
                return
            report = REPORT.at(slot)
            names = [f.name for f in REPORT.fields if f.name != "sequence"]
            made: dict[str, Any] = {n: getattr(report, n) for n in names}
            made["status"] = OrderStatus(made["status"])
            self.seen.append(made)
            if made["fill_lot"] and made["order_id"] == 0:
                if made["trade_id"] > self._foreign.get(made["symbol"], 0):
                    self._foreign[made["symbol"]] = made["trade_id"]
                    row = self.memory.position(made["symbol"])
                    row.quantity_lot += made["fill_lot"] * made["side"]
            elif made["fill_lot"] and made["filled_lot"] > self._filled.get(made["order_id"], 0):
                self._filled[made["order_id"]] = made["filled_lot"]
                row = self.memory.position(made["symbol"])
                row.quantity_lot += made["fill_lot"] * made["side"]
            self.kernels.ring_advance(ring, 0)

    def pump(self, until: Any, seconds: float = 5.0) -> None:
        """Run the agent until a condition holds."""
        end = time.monotonic() + seconds
        while True:
            self.agent.do_work()
            if self.fake_risk:
                self.read_reports()
            if until():
                return
            assert time.monotonic() < end, f"not in time; log: {self.log.lines[-12:]}"

    def pump_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() >= end, seconds + 5)

    def row(self, order_id: int) -> Any:
        return self.agent._ledger.table.find(order_id)

    def status(self, order_id: int) -> OrderStatus:
        row = self.row(order_id)
        return OrderStatus(row.status) if row is not None else OrderStatus.FREE

    def reports_of(self, order_id: int) -> list[tuple[str, int, int]]:
        return [
            (r["status"].name, r["fill_lot"], r["filled_lot"])
            for r in self.seen
            if r["order_id"] == order_id
        ]

    def count(self, label: str) -> int:
        return self.memory.counters.get(f"executor.{label}")

    def client_id(self, order_id: int) -> str:
        return self.agent._texts.client_id(order_id)

    def close(self) -> None:
        try:
            if self.agent is not None:
                self.kill()
        finally:
            os.close(self.event_fd)
            self.memory.close()
            self.memory.unlink()
