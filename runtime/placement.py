"""Where each stage runs and from which NUMA node it takes memory.

The plan is made once by the supervisor from `system.cpu_cores` and the cores that exist; each stage
applies its own row after the fork. Whatever the kernel refuses gives one warning, never an end.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.wait_layout import WaitStrategy
from shm.topology import RINGS, SharedMemory

# set_mempolicy(2) and mbind(2) have no libc wrapper; numbers from the kernel's syscall tables.
_SYSCALLS = {"x86_64": (238, 237), "aarch64": (237, 235)}
_MPOL_BIND = 2
_MPOL_MF_MOVE = 2
_MLOCK_CURRENT, _MLOCK_FUTURE = 1, 2
_NODE_MASK_BITS = 64
_PR_SET_PDEATHSIG = 1

_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class StagePlacement:
    """Core, node and way of waiting of one stage; core -1 means not pinned."""

    core: int
    node: int
    wait: WaitStrategy


@dataclass(frozen=True)
class Plan:
    """The placement of all stages, and what could not be done as asked."""

    stages: dict[str, StagePlacement]
    warnings: tuple[str, ...]


def node_of_core(core: int) -> int:
    """Return the NUMA node of a core, 0 where the kernel does not tell."""
    for path in Path(f"/sys/devices/system/cpu/cpu{core}").glob("node[0-9]*"):
        return int(path.name.removeprefix("node"))
    return 0


def make_plan(
    stages: Sequence[str],
    cores: Sequence[int],
    available: set[int],
    pin: bool,
    wait: str,
    spin_wanted: bool,
) -> Plan:
    """Decide core, node and waiting for each stage.

    Args:
        stages: names in the order in which cores are given out.
        cores: `system.cpu_cores`.
        available: cores this process may run on.
        pin: whether stages are pinned at all (CPU_AFFINITY).
        wait: `system.wait_strategy`.
        spin_wanted: USE_ULTRA_LOW_LATENCY.

    A stage spins only when every stage has a core of its own and one more is left for the rest of
    the machine: two spinners on one core take milliseconds from each other.
    """
    usable = [core for core in cores if core in available]
    warnings = []
    if not usable:
        usable = sorted(available)
        warnings.append(
            f"none of the configured cores exists: cpu_cores={list(cores)} "
            f"available={sorted(available)}"
        )
    own_core = len(usable) >= len(stages)
    if not own_core:
        warnings.append(
            f"too few cores: configured={list(cores)} usable={usable} stages={len(stages)}; "
            "stages share cores and wait adaptively"
        )
    can_spin = own_core and len(available) > len(stages) and pin
    strategy, refusal = _strategy(wait, spin_wanted, can_spin)
    if refusal:
        warnings.append(refusal)
    placed = {}
    for index, stage in enumerate(stages):
        core = usable[index % len(usable)]
        placed[stage] = StagePlacement(core if pin else -1, node_of_core(core), strategy)
    return Plan(placed, tuple(warnings))


def _strategy(wait: str, spin_wanted: bool, can_spin: bool) -> tuple[WaitStrategy, str]:
    if wait == "auto":
        if can_spin:
            return WaitStrategy.SPIN, ""
        refusal = "USE_ULTRA_LOW_LATENCY refused: no core is free for each spinner"
        return WaitStrategy.ADAPTIVE, refusal if spin_wanted else ""
    chosen = WaitStrategy[wait.upper()]
    if chosen is WaitStrategy.SPIN and not can_spin:
        return WaitStrategy.ADAPTIVE, "wait_strategy=spin refused: no core is free for each spinner"
    return chosen, ""


def pin_to(core: int) -> str:
    """Pin this process to a core; return a warning or ""."""
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        return f"cannot pin to core {core}: {error.strerror}"
    return ""


def _system_call(position: int, *arguments: object) -> int:
    numbers = _SYSCALLS.get(platform.machine())
    if numbers is None:
        ctypes.set_errno(38)  # ENOSYS
        return -1
    _LIBC.syscall.restype = ctypes.c_long
    return int(_LIBC.syscall(ctypes.c_long(numbers[position]), *arguments))


def bind_memory(node: int) -> str:
    """Take all further memory of this process from one node; return a warning or ""."""
    mask = ctypes.c_ulong(1 << node)
    done = _system_call(
        0, ctypes.c_int(_MPOL_BIND), ctypes.byref(mask), ctypes.c_ulong(_NODE_MASK_BITS)
    )
    return "" if done == 0 else f"cannot bind memory to node {node}: {_error()}"


def bind_range(address: int, size: int, node: int) -> str:
    """Keep the pages of a mapping on one node, moving those elsewhere; return a warning or ""."""
    mask = ctypes.c_ulong(1 << node)
    done = _system_call(
        1,
        ctypes.c_void_p(address),
        ctypes.c_ulong(size),
        ctypes.c_int(_MPOL_BIND),
        ctypes.byref(mask),
        ctypes.c_ulong(_NODE_MASK_BITS),
        ctypes.c_uint(_MPOL_MF_MOVE),
    )
    return "" if done == 0 else f"cannot bind a segment to node {node}: {_error()}"


def bind_segments(memory: SharedMemory, places: Mapping[str, StagePlacement]) -> str:
    """Keep each segment on the node of the stage that reads it most; return a warning or "".

    A ring belongs to its first reader, because a producer's stores are buffered and a reader's
    loads are waited for; order rows belong to the executor, a state to its stage.
    """
    readers = {ring.name: (*ring.gating, *ring.observers)[0] for ring in RINGS}
    homes = readers | {"order_rows": "executor"} | {stage: stage for stage in places}
    for part, stage in homes.items():
        segment = memory.parts[part]
        warning = bind_range(segment.base, segment.size, places[stage].node)
        if warning:
            return warning
    return ""


def lock_memory() -> str:
    """Lock all pages of this process into memory; return a warning or ""."""
    if _LIBC.mlockall(_MLOCK_CURRENT | _MLOCK_FUTURE) == 0:
        return ""
    return f"cannot lock memory: {_error()}"


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel to send a signal to this process when its parent dies.

    Source: prctl(2), PR_SET_PDEATHSIG. The caller compares getppid afterwards: the parent may have
    died before this call.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl: {_error()}")


def memory_policy_of(address: int) -> str:
    """Return the policy that /proc/self/numa_maps states for the mapping that holds an address."""
    best = ""
    for line in Path("/proc/self/numa_maps").read_text().splitlines():
        start, _, rest = line.partition(" ")
        if int(start, 16) <= address:
            best = rest
    return best


def _error() -> str:
    return os.strerror(ctypes.get_errno())
