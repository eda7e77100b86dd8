"""Shared memory: record layouts, segments, rings, pools, counters and latency histograms.

`fields`, `records`, `segments` and what reads tables from plain Python import neither numpy nor
numba: a trading process needs only them and the kernel library. `compiled`, `memory`, `views`,
`atomics` and `rings` are the compiled side; they are imported when kernels are built, by tests,
by research, and under `KERNELS=jit`.

This package imports nothing else of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shm.manager import AdvancedMemoryManager

__all__ = ["AdvancedMemoryManager"]


def __getattr__(name: str) -> Any:
    """Load `AdvancedMemoryManager` on first use, so that importing shm stays cheap."""
    if name == "AdvancedMemoryManager":
        from shm.manager import AdvancedMemoryManager

        return AdvancedMemoryManager
    raise AttributeError(f"module 'shm' has no attribute {name!r}")
