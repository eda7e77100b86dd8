"""Start and observe a real pipeline from tests: real processes, the embedded exchange, loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shm import segments, topology
from shm.tables import STAGES

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDINGS = ROOT.parent / "shared" / "data" / "capture"


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Look again every few milliseconds until a condition holds; fail with what was awaited."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        pause.wait(0.005)


class Pipeline:
    """One `supervisor.py run` with an instance name and a log folder of its own."""

    def __init__(self, folder: Path, *options: str, settings: tuple[str, ...] = ()) -> None:
        self.instance = f"t{os.getpid()}{folder.name[-12:].lower()}".replace("_", "-")[:30]
        self.folder = folder
        command = [sys.executable, "supervisor.py", "run", "--log-folder", str(folder), *options]
        self.own = (f"system.instance={self.instance}", f"system.state_folder={folder}/state")
        for pair in (*self.own, *settings):
            command += ["--set", pair]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.output = self.errors = ""

    def attach(self) -> topology.SharedMemory:
        """Attach once the instance runs and entries are allowed."""

        def running() -> topology.SharedMemory | None:
            assert self.process.poll() is None, self.finish()
            try:
                memory = topology.attach_all(self.instance)
            except segments.SegmentError:
                return None
            # Segments of a run that was killed stay until this one has made its own.
            is_mine = memory.process("supervisor").pid == self.process.pid
            ready = is_mine and all(memory.process(name).pid for name in STAGES)
            if ready and memory.control.halt_reason == 0 and memory.control.reconciled:
                return memory
            memory.close()
            return None

        return wait_until(running, 30.0, "pipeline running")

    def finish(self, timeout_s: float = 60.0) -> int:
        """Wait for the end; return the exit code."""
        try:
            self.output, self.errors = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.output, self.errors = self.process.communicate()
            raise
        return self.process.returncode

    def interrupt(self) -> float:
        """Send Ctrl-C's signal; return the seconds until the supervisor was gone."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.finish()
        return time.monotonic() - started

    def summary(self) -> dict[str, Any]:
        """Return logs/summary.json."""
        return json.loads((self.folder / "summary.json").read_text())

    def explain(self) -> str:
        """Return everything that helps to see why a run failed."""
        logs = "\n".join(
            f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log")
        )
        return f"{self.output}\n{self.errors}\n{logs}"

    def end(self) -> None:
        """End what a failed test has left running, and its segments."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            # finish kills it when it does not follow; the stages follow their supervisor.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.finish(15.0)
        for name in self.segments_left():
            segments.unlink(name)

    def segments_left(self) -> list[str]:
        """Return the segments of this instance that still exist."""
        return list(segments.list_segments(f"/{self.instance}."))
