"""Forking the stages, and the budget within which a dead one is started again."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from runtime import placement
from runtime.placement import StagePlacement
from runtime.stage import StageAgent, StageContext, StopFlag, run

AgentFactory = Callable[[StageContext], StageAgent]
COMMAND_NAME_MAX = 15  # TASK_COMM_LEN without the terminator


def fork_stage(make_agent: AgentFactory, context: StageContext, place: StagePlacement) -> int:
    """Start a stage in a process of its own; return its pid.

    The child shares every page of the parent that neither of them writes: libraries, kernels and
    code are there once. It never returns into the caller's frames.
    """
    parent_pid = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _child(make_agent, context, place, parent_pid)
    return pid


def _child(
    make_agent: AgentFactory, context: StageContext, place: StagePlacement, parent_pid: int
) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What a terminal sends to its group (Ctrl-C, hang-up) is for the supervisor, which closes
        # the stages in order.
        os.setpgid(0, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop = StopFlag()
        stop.install()
        placement.die_with_parent(signal.SIGTERM)
        if os.getppid() != parent_pid:
            os._exit(0)  # the supervisor died before the kernel knew of our wish
        _settle(context, place)
        run(make_agent(context), context, stop, parent_pid)
        code = 0
    except BaseException:
        # The boundary of the process: whatever it is, it is logged and ends this stage only.
        context.log.exception("stage failed")
    finally:
        os._exit(code)


def _settle(context: StageContext, place: StagePlacement) -> None:
    """Apply core, node, memory and collector settings; each refusal is one warning."""
    settings = context.settings
    name = f"scalp-{context.name}"[:COMMAND_NAME_MAX]
    Path("/proc/self/comm").write_text(name)
    warnings = []
    if place.core >= 0:
        warnings.append(placement.pin_to(place.core))
    if settings.system.numa_optimization and settings.optimization.NUMA_OPTIMIZATION:
        warnings.append(placement.bind_memory(place.node))
    if settings.system.memory_pools and settings.optimization.MEMORY_POOLS:
        context.memory.prefault(context.name)
    if settings.system.lock_memory:
        warnings.append(placement.lock_memory())
    if settings.optimization.USE_ZERO_ALLOCATION:
        gc.disable()
    for warning in filter(None, warnings):
        context.log.warning(warning)


class RestartBudget:
    """How often, and after which pause, one stage may be started again.

    Args:
        budget: restarts allowed within the window.
        window_s: length of the window in seconds.
        backoff_ms: pause before the second restart within the window; it doubles from there. The
            first restart is immediate: positions are waiting.
    """

    def __init__(self, budget: int, window_s: float, backoff_ms: float) -> None:
        self._budget = budget
        self._window_s = window_s
        self._backoff_s = backoff_ms / 1000.0
        self._deaths: deque[float] = deque()

    def delay_s(self, now_s: float) -> float | None:
        """Note a death; return the pause before the restart, or None when the budget is used up."""
        while self._deaths and now_s - self._deaths[0] > self._window_s:
            self._deaths.popleft()
        self._deaths.append(now_s)
        count = len(self._deaths)
        if count > self._budget:
            return None
        return 0.0 if count == 1 else self._backoff_s * 2 ** (count - 2)
