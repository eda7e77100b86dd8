"""Queues that others offer, with the same 64-byte message: latency and throughput.

Each contestant is a pair of queues with `put(bytes)` and `get() -> bytes`; the other half runs in a
forked process and every message is checked.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from bench import harness

MESSAGE_SIZE = 64
TIMEOUT_S = 30.0


def message(index: int) -> bytes:
    """Return message number `index`."""
    return index.to_bytes(8, "little") * (MESSAGE_SIZE // 8)


def _echo(core: int, incoming: Any, outgoing: Any, n: int) -> None:
    os.sched_setaffinity(0, {core})
    for _ in range(n):
        outgoing.put(incoming.get(timeout=TIMEOUT_S))


def _drain(core: int, incoming: Any, outgoing: Any, n: int) -> None:
    os.sched_setaffinity(0, {core})
    total = first_ns = 0
    for index in range(n):
        received = incoming.get(timeout=TIMEOUT_S)
        if index == 0:
            first_ns = perf_counter_ns()
        value = int.from_bytes(received[:8], "little")
        if value != index or len(received) != MESSAGE_SIZE:
            raise harness.WrongAnswerError(f"message out of order: got={value} wanted={index}")
        total += value
    elapsed = perf_counter_ns() - first_ns
    outgoing.put(total.to_bytes(32, "little") + elapsed.to_bytes(32, "little"))


def _with_child(target: Callable[..., None], core: int, pair: tuple[Any, Any], n: int) -> Any:
    context = multiprocessing.get_context("fork")
    child = context.Process(target=target, args=(core, *pair, n), daemon=True)
    child.start()
    return child


def _finish(child: Any, name: str) -> None:
    child.join(TIMEOUT_S)
    harness.check(f"{name} child exit", child.exitcode, 0)


def one_way_ns(name: str, pair: tuple[Any, Any], core: int, n: int) -> list[float]:
    """Return half the round trip of each of n messages."""
    child = _with_child(_echo, core, pair, n)
    samples = []
    for index in range(n):
        sent = message(index)
        started = perf_counter_ns()
        pair[0].put(sent)
        received = pair[1].get(timeout=TIMEOUT_S)
        samples.append((perf_counter_ns() - started) / 2)
        harness.check(name, received, sent)
    _finish(child, name)
    return samples


def throughput_ns(name: str, pair: tuple[Any, Any], core: int, n: int) -> float:
    """Return nanoseconds per message while one process sends n to another."""
    child = _with_child(_drain, core, pair, n)
    for index in range(n):
        _put(pair[0], message(index))
    answer = pair[1].get(timeout=TIMEOUT_S)
    _finish(child, name)
    harness.check(name, int.from_bytes(answer[:32], "little"), n * (n - 1) // 2)
    return int.from_bytes(answer[32:], "little") / n


def _put(target: Any, content: bytes) -> None:
    # faster_fifo raises Full at once by default semantics of a timeout; both accept one.
    try:
        target.put(content, True, TIMEOUT_S)
    except queue.Full as error:
        raise harness.WrongAnswerError("the other process does not read") from error


def multiprocessing_pair() -> tuple[Any, Any]:
    """Return two queues of the standard library."""
    context = multiprocessing.get_context("fork")
    return context.Queue(), context.Queue()


def faster_fifo_pair() -> tuple[Any, Any] | None:
    """Return two shared-memory queues of faster-fifo, None where it is not installed."""
    try:
        import faster_fifo
        import faster_fifo_reduction  # noqa: F401  registers how its queues are handed over
    except ImportError:
        return None
    return faster_fifo.Queue(1 << 20), faster_fifo.Queue(1 << 20)
