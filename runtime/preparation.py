"""What the supervisor prepares before the first fork: kernels, segments, the symbol table.

Each function does one thing and raises `PipelineError` with one line for people.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from config.quoted import unquoted_reasons
from config.settings import Settings
from config.venues import Endpoints, market_endpoints, order_endpoints
from runtime import instruments, kernels, logs
from runtime.kernels import Kernels
from runtime.placement import StagePlacement
from runtime.stage import StageContext
from shm import segments, topology
from shm.fields import CACHE_LINE
from shm.tables import DOORBELL, HaltReason, ProcessState

BAD_INPUT, FAILED = 2, 1
# Stages that wait in epoll are woken through an eventfd, the others through a futex.
EVENT_FD_STAGES = ("feed", "executor")


class PipelineError(RuntimeError):
    """An end with one line for people and an exit code: 2 bad input, 1 anything else."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def lock_instance(instance: str) -> socket.socket:
    """Take the lock of an instance for the life of this process and its stages.

    The lock is a name in the abstract socket namespace: bound by one process at a time, and free
    again when the last holder is gone, however it ended. The forked stages hold it as well, so a
    new start waits until those of a dead supervisor have closed.

    Raises:
        PipelineError: the instance is running; the message names its supervisor.
    """
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0scalping-instance.{os.getuid()}.{instance}")
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        owner = segments.owner_of(topology.segment_names(instance)["control"])
        who = f"supervisor_pid={owner[0]}" if owner and segments.is_alive(*owner) else "closing"
        raise PipelineError(
            f"already running: instance={instance} {who} (make stop ends it, "
            "SET=system.instance=NAME starts another)",
            FAILED,
        ) from error
    return lock


def refused_settings(settings: Settings) -> list[str]:
    """Return one line for each setting that asks for something that there is not."""
    refused = unquoted_reasons(settings)
    if settings.system.cache_alignment != CACHE_LINE:
        refused.append(
            f"cache_alignment={settings.system.cache_alignment} refused: slots are lines of "
            f"{CACHE_LINE} bytes; words of different writers stand 128 bytes apart in any case"
        )
    return refused


def identity(settings: Settings, symbols: Sequence[str], kernel_mode: str) -> dict[str, object]:
    """Return what a run is: it heads its log, its screen and its summary."""
    is_capture = settings.exchange.market == "capture"
    return {
        "instance": settings.system.instance,
        "pid": os.getpid(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "mode": settings.venue.mode,
        "market": settings.exchange.market if settings.venue.mode in ("sim", "capture") else "",
        "capture": [Path(name).name for name in settings.exchange.capture] if is_capture else [],
        "speed": settings.exchange.speed if is_capture else "",
        "symbols": ",".join(symbols),
        "kernels": kernel_mode,
        "user_strategies": ",".join(settings.signals.user_strategies),
    }


def load_kernels(
    settings: Settings, say: Callable[[str], None], warn: Callable[[str], None]
) -> Kernels:
    """Load the kernels as configured; without a C compiler fall back to JIT with one warning."""
    wanted = settings.system.kernels if settings.optimization.CPU_OPTIMIZATION else "jit"
    hardware = settings.optimization.USE_HARDWARE_ACCELERATION
    cpu = "host" if hardware else kernels.BASELINE_CPU
    strategies = settings.signals.user_strategies
    is_built = kernels.is_built(cpu, strategies)
    if wanted == "ahead" and not kernels.compiler() and not is_built:
        warn("no C compiler found: kernels are compiled in process (KERNELS=jit)")
        wanted = "jit"
    if wanted == "jit":
        say("compiling the kernels in process (every start)")
    elif not is_built:
        say("building the kernels (once)")
    try:
        return kernels.load(wanted, cpu, strategies)
    except kernels.KernelError as error:
        raise PipelineError(str(error), error.exit_code) from error


def create_memory(
    settings: Settings, build_hash: int, states: Mapping[str, int], exchange_pid: int | None
) -> topology.SharedMemory:
    """Create all segments; entries are halted until the stages are ready.

    Args:
        settings: sizes and instance name.
        build_hash: of the kernels that will work on the memory.
        states: bytes of each stage's own state.
        exchange_pid: of the embedded exchange, if there is one.
    """
    sizes = topology.Sizes(
        settings.performance.market_queue_size,
        settings.performance.queue_size,
        settings.performance.cache_size,
        dict(states),
    )
    try:
        memory = topology.create_all(
            settings.system.instance, sizes, build_hash, epoch=int(time.time())
        )
    except segments.SegmentError as error:
        raise PipelineError(str(error), FAILED) from error
    memory.control.halt_reason = int(HaltReason.NOT_READY)
    memory.control.started_ns = time.monotonic_ns()
    for name, pid in (("supervisor", os.getpid()), ("exchange", exchange_pid)):
        if pid is not None:
            row = memory.process(name)
            row.pid, row.core = pid, -1
            row.start_time = segments.process_start_time(pid)
            row.supervised_state = int(ProcessState.RUNNING)
    return memory


def stage_context(
    name: str,
    place: StagePlacement,
    settings: Settings,
    memory: topology.SharedMemory,
    built: Kernels,
    symbols: tuple[str, ...],
    embedded: Endpoints | None,
    log_folder: Path,
) -> StageContext:
    """Return what a stage is given; its doorbell gets an eventfd where it waits in epoll."""
    event_fd = -1
    if name in EVENT_FD_STAGES:
        event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        DOORBELL.at(memory.doorbell(name)).event_fd = event_fd
    return StageContext(
        name=name,
        settings=settings,
        memory=memory,
        kernels=built,
        log=logs.make_logger(name, log_folder),
        symbols=symbols,
        market_endpoints=market_endpoints(settings.venue, embedded),
        order_endpoints=order_endpoints(settings.venue, embedded),
        wait_strategy=place.wait,
        core=place.core,
        event_fd=event_fd,
    )


def fill_symbols(
    memory: topology.SharedMemory, rest_url: str, symbols: Sequence[str], settings: Settings
) -> None:
    """Write the symbol table from the venue's exchangeInfo."""
    url = f"{rest_url}/fapi/v1/exchangeInfo"
    try:
        answer = requests.get(url, timeout=settings.supervisor.ready_timeout_s)
        answer.raise_for_status()
        info = answer.json()
    except requests.RequestException as error:
        raise PipelineError(
            f"cannot read exchangeInfo: url={url} {type(error).__name__}", FAILED
        ) from error
    try:
        for index, name in enumerate(symbols):
            entry = instruments.find_symbol(info, name)
            fees = settings.exchange
            row = memory.symbol(index)
            instruments.fill_symbol_row(row, entry, fees.taker_fee, fees.maker_fee)
    except instruments.InstrumentError as error:
        raise PipelineError(str(error), BAD_INPUT) from error
    memory.control.symbol_count = len(symbols)
    memory.control.weight_limit = instruments.weight_limit(info)
