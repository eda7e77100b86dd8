"""Stages as processes: started, run, stopped, failed and left alone; the restart budget."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.children import RestartBudget, fork_stage
from runtime.placement import StagePlacement
from runtime.stage import StopFlag, run
from runtime.wait_layout import WaitStrategy
from shm.tables import ProcessState

DEADLINE_S = 30.0
FREE = StagePlacement(-1, 0, WaitStrategy.BLOCK)


class CountingAgent:
    """Does one item of work per call and notes what it was asked to do."""

    def __init__(self, context) -> None:
        self.context = context
        self.calls: list[str] = []

    def on_start(self) -> None:
        self.calls.append("start")

    def do_work(self) -> int:
        self.calls.append("work")
        os.sched_yield()
        return 1

    def on_close(self) -> None:
        self.calls.append("close")


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < limit, "took too long"
        os.sched_yield()


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def log_text(context) -> str:
    return Path(context.log._logger.path).read_text()


def test_forked_stage_becomes_ready_works_and_closes_when_asked(context):
    row = context.memory.process("engine")
    pid = fork_stage(CountingAgent, context, FREE)
    until(lambda: row.state == ProcessState.READY and row.work_count > 10)
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "scalp-engine"
    beat = row.heartbeat_ns
    until(lambda: row.heartbeat_ns > beat)
    context.memory.control.stop_requested = 1
    assert exit_code(pid) == 0
    assert row.state == ProcessState.STOPPED
    text = log_text(context)
    assert "event=ready" in text and "event=closed" in text


def test_sigterm_closes_and_sigint_is_the_supervisors(context):
    row = context.memory.process("engine")
    pid = fork_stage(CountingAgent, context, FREE)
    until(lambda: row.state == ProcessState.READY)
    os.kill(pid, signal.SIGINT)
    before = row.work_count
    until(lambda: row.work_count > before + 100)
    os.kill(pid, signal.SIGTERM)
    assert exit_code(pid) == 0
    assert row.state == ProcessState.STOPPED


def test_placement_is_applied_in_the_child_only(context):
    core = max(os.sched_getaffinity(0))
    seen = (ctypes.c_int64 * 2)()

    class Looking(CountingAgent):
        def on_start(self) -> None:
            row = self.context.memory.process("engine")
            row.core = -5 if os.sched_getaffinity(0) != {core} else core
            row.node = int(gc.isenabled())

    before = os.sched_getaffinity(0)
    row = context.memory.process("engine")
    pid = fork_stage(Looking, context, StagePlacement(core, 0, WaitStrategy.BLOCK))
    until(lambda: row.state == ProcessState.READY)
    context.memory.control.stop_requested = 1
    assert exit_code(pid) == 0
    assert row.core == core
    assert row.node == int(not context.settings.optimization.USE_ZERO_ALLOCATION)
    assert os.sched_getaffinity(0) == before
    assert gc.isenabled()
    assert list(seen) == [0, 0]


@pytest.mark.parametrize("where", ["__init__", "on_start", "do_work", "on_close"])
def test_failing_agent_ends_with_one_and_its_trace_in_the_log(context, where: str):
    class Failing(CountingAgent):
        pass

    def fail(self, *rest: object) -> int:
        raise ArithmeticError(f"broken in {where}")

    setattr(Failing, where, fail)
    if where == "on_close":
        context.memory.control.stop_requested = 1
    pid = fork_stage(Failing, context, FREE)
    assert exit_code(pid) == 1
    assert f"ArithmeticError: broken in {where}" in log_text(context)
    assert context.memory.process("engine").state != ProcessState.STOPPED


def test_stage_whose_supervisor_is_gone_closes(context):
    agent = CountingAgent(context)
    run(agent, context, StopFlag(), parent_pid=1 << 30)
    assert agent.calls == ["start", "work", "close"]
    assert "supervisor is gone" in log_text(context)
    assert context.memory.process("engine").state == ProcessState.STOPPED


def test_stop_flag_that_is_set_closes_without_working(context):
    agent, stop = CountingAgent(context), StopFlag()
    stop.is_set = True
    run(agent, context, stop, os.getppid())
    assert agent.calls == ["start", "close"]


def test_orphans_end_when_the_supervisor_is_killed(context):
    """The middle process stands for the supervisor; the pipe closes when the stage has ended."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    pid = os.fork()
    if pid == 0:
        fork_stage(CountingAgent, context, FREE)
        os.close(write_end)
        while True:
            signal.pause()
    os.close(write_end)
    row = context.memory.process("engine")
    until(lambda: row.state == ProcessState.READY)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    assert row.state == ProcessState.STOPPED


def test_context_prepares_the_waiting_state(context):
    wait = context.wait
    assert wait.strategy == WaitStrategy.BLOCK
    assert wait.doorbell == context.memory.doorbell("engine")
    assert wait.idle_before_block_ns == context.settings.system.idle_before_block_us * 1_000
    assert context.wait_address == ctypes.addressof(wait)
    assert context.cycle_ns == context.settings.performance.processing_cycle_ms * 1_000_000


# budget window backoff | times of death → delays (x = budget used up)
BUDGETS = """
3 60 100 | 0 1 2 3         | 0 .1 .2 x
3 60 100 | 0 1 2 70 71 72  | 0 .1 .2 0 .1 .2
3 60 100 | 0 60 120 180    | 0 .1 .1 .1
3 60 100 | 0 61 122 183    | 0 0 0 0
5 10 200 | 0 0 0 0 0 0     | 0 .2 .4 .8 1.6 x
0 60 100 | 0               | x
1 60 0   | 0 30 95         | 0 x 0
1 60 50  | 0 1 2 3         | 0 x x x
"""


@pytest.mark.parametrize("line", BUDGETS.strip().splitlines())
def test_restart_budget(line: str):
    limits, deaths, delays = (part.split() for part in line.split("|"))
    budget = RestartBudget(int(limits[0]), float(limits[1]), float(limits[2]))
    got = [budget.delay_s(float(at)) for at in deaths]
    wanted = [None if delay == "x" else pytest.approx(float(delay)) for delay in delays]
    assert got == wanted
