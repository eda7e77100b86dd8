"""Kill the engine at chosen lines of its code and see whether it goes on; run uncompiled.

    NUMBA_DISABLE_JIT=1 python -m tests.engine.cuts [stride]

Uncompiled, every kernel is plain Python over the same memory, so a trace function can end a look at
any line, as SIGKILL ends a process between two instructions. What a successor makes of the memory
must equal an engine that nobody killed and whose torn symbol, if there was one, was made cold
between two events: the same signals with the same ids, states and books, bit for bit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from config.loader import load
from tests.engine.plant import Plant
from tests.naive.engine_stream import market

ROOT = Path(__file__).resolve().parent.parent.parent
TRACED = {str(path) for path in (ROOT / "engine").glob("*.py")}
TRACED |= {str(ROOT / "shm" / name) for name in ("rings.py", "histograms.py")}
WARM, STEP, STEPS, SYMBOLS = 460, 12, 12, 2
SETTINGS = load(
    env_file=None,
    environ={},
    overrides=[
        "signals.warmup_events=20",
        "signals.ema_slow=13",
        "scalping.signal_threshold=0.001",
        "scalping.confidence_threshold=0.1",
        "scalping.order_flow_imbalance=0.01",
        "performance.signal_cooldown_sec=0.0",
    ],
)
Place = tuple[str, int]  # file, line


class Crash(BaseException):
    """The process is dead."""


class Killer:
    """Record the lines that are run, or raise `Crash` when one of them is reached."""

    def __init__(self, target: Place | None = None, skip: int = 0) -> None:
        self.target, self.skip = target, skip
        self.seen: dict[Place, int] = {}

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            place = (frame.f_code.co_filename, frame.f_lineno)
            self.seen[place] = self.seen.get(place, 0) + 1
            if place == self.target and self.seen[place] > self.skip:
                self.target = None
                raise Crash
        return self.trace

    def run(self, work: Callable[[], Any]) -> bool:
        """Run something under the trace; return whether it was killed."""
        sys.settrace(self.trace)
        try:
            work()
        except Crash:
            return True
        finally:
            sys.settrace(None)
        return False


def stream() -> np.ndarray:
    """Return the story's events; every origin stamp is the event's own."""
    events = market(24, WARM + STEP * STEPS, SYMBOLS)[: WARM + STEP * STEPS]
    events["origin_ns"] = np.arange(1, len(events) + 1)
    return events


def write(plant: Plant, events: np.ndarray, step: int) -> None:
    """Write what the other stages would: a step's events, and in some steps reports of fills."""
    plant.send(events)
    if step % 4 == 1:
        plant.report(order_id=step, symbol=step % 2, side=1, fill_lot=2, filled_lot=2)
        plant.report(order_id=step, symbol=step % 2, side=1, fill_lot=3, filled_lot=5)
        plant.report(order_id=0, symbol=0, side=-1, fill_lot=1, trade_id=step)


def model(plant: Plant, events: np.ndarray, step: int, found: dict[str, int]) -> dict[str, Any]:
    """Return the end of a step in which nobody was killed, but one symbol was made cold."""
    write(plant, events[: found["event"] - found["first"]], step)
    plant.look()
    assert found["signal_id"] - plant.engine.signal_id in (0, 1)
    before = len(plant.signals())
    plant.chill(found["applying"] - 1)
    plant.engine.signal_id = found["signal_id"]
    # Its predecessor had moved past the event under way, or not yet: then a cold state takes it.
    assert found["position"] - found["event"] in (0, 1)
    plant.send(events[found["event"] - found["first"] :])
    plant.engine.market_position = found["position"]
    plant.look()
    return plant.end() | {"before": before}


class Story:
    """A warm engine at the beginning of each step, and how the steps end undisturbed."""

    def __init__(self) -> None:
        self.plant = Plant(SETTINGS, SYMBOLS)
        events = stream()
        self.plant.send(events[:WARM])
        while self.plant.engine.market_position < WARM:
            self.plant.look()
        self.steps = [events[WARM + n * STEP :][:STEP] for n in range(STEPS)]
        self.images, self.ends, self.lines = [], [], []
        for step, part in enumerate(self.steps):
            self.images.append(self.plant.image())
            write(self.plant, part, step)
            killer = Killer()
            assert not killer.run(self.plant.look)
            self.lines.append(killer.seen)
            self.ends.append(self.plant.end())

    def tell(self, step: int, killer: Killer, recovery: Killer | None = None) -> str:
        """Play one step with a kill in it; return what differs from the model, "" for nothing."""
        plant, engine = self.plant, self.plant.engine
        plant.put_back(self.images[step])
        first = engine.market_position
        write(plant, self.steps[step], step)
        if not killer.run(plant.look):
            return "not killed"
        found = {
            "first": first, "applying": engine.applying, "position": engine.market_position,
            "signal_id": engine.signal_id, "event": plant.event_copied() - 1,
        }  # fmt: skip
        if recovery is not None:
            recovery.run(lambda: plant.start(restarted=True))
        plant.start(restarted=True)
        plant.look()
        got = plant.end()
        if not found["applying"]:
            wanted = self.ends[step]
        else:
            plant.put_back(self.images[step])
            wanted = model(plant, self.steps[step], step, found)
            place = wanted.pop("before")
            published = len(got["signals"]) == len(wanted["signals"]) + 1
            # The torn event's signal had been published: once, and as if nothing had been.
            if published and got["signals"].pop(place) != self.ends[step]["signals"][place]:
                return "the signal of the torn event"
        return ", ".join(key for key in wanted if got[key] != wanted[key])


def main() -> int:
    """Cut at each line of each step, the first time it runs and later; print what was found."""
    stride = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    story = Story()
    wrong: list[Any] = []
    cuts = 0
    for step in range(STEPS):
        seen = list(story.lines[step].items())
        for number, (place, times) in enumerate(seen[step % stride :: stride]):
            killer = Killer(place, skip=(number * 7) % times)
            difference = story.tell(step, killer)
            cuts += 1
            if difference:
                wrong.append([step, *place, killer.skip, difference])
    twice = cut_recoveries(story, wrong)
    published = len(story.ends[-1]["signals"]) - len(story.ends[0]["signals"])
    print(json.dumps({"cuts": cuts, "twice": twice, "signals": published, "wrong": wrong}))
    return 0


def cut_recoveries(story: Story, wrong: list[Any]) -> int:
    """Kill the successor too, at lines of its start."""
    step = 1
    inside = [place for place in story.lines[step] if place[0].endswith(("events.py", "loop.py"))]
    tried = 0
    for place in inside[:: max(1, len(inside) // 3)]:
        lines = Killer()
        story.tell(step, Killer(place), lines)
        for line in list(lines.seen)[::9]:
            difference = story.tell(step, Killer(place), Killer(line))
            if difference:
                wrong.append([step, *place, *line, difference])
            tried += 1
    return tried


if __name__ == "__main__":
    sys.exit(main())
