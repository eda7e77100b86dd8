"""The placement plan, and what the kernel says after it was applied in a child."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import placement
from runtime.placement import make_plan
from runtime.wait_layout import WaitStrategy
from shm import topology

STAGES = ("feed", "engine", "risk", "executor")

# cores  available  pin  wait  spin wanted | core of each stage | how they wait | warnings
PLANS = """
0,1,2,3  0-7  pin   auto   yes | 0 1 2 3     | SPIN     |
0,1,2,3  0-7  pin   auto   no  | 0 1 2 3     | SPIN     |
0,1,2,3  0-3  pin   auto   yes | 0 1 2 3     | ADAPTIVE | USE_ULTRA_LOW_LATENCY refused
0,1,2,3  0-3  pin   auto   no  | 0 1 2 3     | ADAPTIVE |
0,1,2,3  0-1  pin   auto   no  | 0 1 0 1     | ADAPTIVE | too few cores
0,1,2,3  0-1  pin   spin   yes | 0 1 0 1     | ADAPTIVE | too few cores; wait_strategy=spin refused
0,1,2,3  0-1  pin   yield  yes | 0 1 0 1     | YIELD    | too few cores
4,5,6,7  0-7  pin   block  no  | 4 5 6 7     | BLOCK    |
9        0-1  pin   auto   no  | 0 1 0 1     | ADAPTIVE | none of the configured; too few cores
0,1,2,3  0-7  free  auto   no  | -1 -1 -1 -1 | ADAPTIVE |
0,1,2,3  0-7  free  spin   yes | -1 -1 -1 -1 | ADAPTIVE | wait_strategy=spin refused
3        0-7  pin   sleep  no  | 3 3 3 3     | SLEEP    | too few cores
"""


@pytest.mark.parametrize("row", PLANS.strip().splitlines())
def test_plan(row: str):
    asked, cores, wait, warnings = (part.strip() for part in row.split("|"))
    listed, available, pin, strategy, spin = asked.split()
    low, high = (int(end) for end in available.split("-"))
    plan = make_plan(
        STAGES,
        [int(core) for core in listed.split(",")],
        set(range(low, high + 1)),
        pin == "pin",
        strategy,
        spin == "yes",
    )
    assert [plan.stages[stage].core for stage in STAGES] == [int(core) for core in cores.split()]
    assert {plan.stages[stage].wait for stage in STAGES} == {WaitStrategy[wait]}
    wanted = [words.strip() for words in warnings.split(";") if words.strip()]
    assert len(plan.warnings) == len(wanted), plan.warnings
    for words, warning in zip(wanted, plan.warnings, strict=True):
        assert words in warning


def in_child(work: Callable[[], str]) -> str:
    """Return what `work` says in a forked child; what it changes dies with the child."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(write_end, work().encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as reader:
        said = reader.read().decode()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    return said


def test_pinned_child_may_run_on_its_core_only():
    core = max(os.sched_getaffinity(0))

    def work() -> str:
        warning = placement.pin_to(core)
        return warning or str(sorted(os.sched_getaffinity(0)))

    assert in_child(work) == str([core])


def test_core_that_does_not_exist_is_one_warning():
    before = os.sched_getaffinity(0)
    warning = placement.pin_to(1_000)
    assert warning.startswith("cannot pin to core 1000: ")
    assert os.sched_getaffinity(0) == before


def fresh_page_policy() -> str:
    mapped = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapped[0] = 1
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    return placement.memory_policy_of(address).split()[0]


def numa_or_skip(said: str) -> str:
    if said.startswith("cannot bind"):
        pytest.skip(f"not permitted here: {said}")
    return said


def test_bound_child_takes_memory_from_its_node():
    node = placement.node_of_core(min(os.sched_getaffinity(0)))
    said = in_child(lambda: placement.bind_memory(node) or fresh_page_policy())
    assert numa_or_skip(said) == f"bind:{node}"
    assert fresh_page_policy() == "default", "the parent was bound too"


def test_bound_range_is_bound_and_its_neighbour_is_not():
    def work() -> str:
        size = 1 << 20
        mapped = mmap.mmap(-1, 2 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        warning = placement.bind_range(address, size, 0)
        if warning:
            return warning
        mapped[0] = mapped[size] = 1
        return " ".join(
            placement.memory_policy_of(place).split()[0] for place in (address, address + size)
        )

    assert numa_or_skip(in_child(work)) == "bind:0 default"


def test_node_that_does_not_exist_is_one_warning():
    assert in_child(lambda: placement.bind_memory(62)).startswith("cannot bind memory to node 62")
    assert placement.node_of_core(1_000) == 0


def test_lock_memory_locks_or_warns():
    def work() -> str:
        warning = placement.lock_memory()
        status = Path("/proc/self/status").read_text().splitlines()
        locked = next(line for line in status if line.startswith("VmLck")).split()[1]
        return f"{warning}|{locked}"

    warning, locked = in_child(work).split("|")
    assert warning.startswith("cannot lock memory") if warning else int(locked) > 0


def test_child_dies_with_its_parent():
    """A grandchild that asked for it ends when its parent is killed: its pipe end closes."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            placement.die_with_parent(signal.SIGKILL)
            os.write(write_end, b"armed")
            while True:
                signal.pause()
        os.close(write_end)
        while True:
            signal.pause()
    os.close(write_end)
    assert os.read(read_end, 5) == b"armed"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert os.read(read_end, 5) == b"", "the grandchild lives on"
    os.close(read_end)


def test_segments_are_bound_to_the_node_of_their_reader():
    memory = topology.create_all(f"tplace{os.getpid()}", topology.Sizes(64, 64, 64))
    places = {name: placement.StagePlacement(0, 0, WaitStrategy.ADAPTIVE) for name in STAGES}

    def work() -> str:
        warning = placement.bind_segments(memory, places)
        if warning:
            return warning
        bound = {
            placement.memory_policy_of(part.base).split()[0]
            for name, part in memory.parts.items()
            if name != "control"
        }
        return " ".join(sorted(bound))

    try:
        assert numa_or_skip(in_child(work)) == "bind:0"
        away = {name: placement.StagePlacement(0, 62, WaitStrategy.ADAPTIVE) for name in STAGES}
        said = in_child(lambda: placement.bind_segments(memory, away))
        assert said.startswith("cannot bind a segment to node 62")
    finally:
        memory.close()
        memory.unlink()
