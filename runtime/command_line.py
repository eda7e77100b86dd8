"""The command line of the supervisor: run, status, trades, stop, kill, rearm, clean-shm."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from config.errors import ConfigError
from config.knobs import BY_PATH
from config.loader import load, settings_of
from config.settings import Settings
from runtime import status
from runtime.instance_folder import FolderError, InstanceFolder
from runtime.kernels import KernelError
from runtime.kill_command import kill, rearm
from runtime.ledger_process import ledger_path
from runtime.preparation import BAD_INPUT, FAILED, PipelineError
from runtime.venue_task import ClearVenue
from shm import segments, topology
from shm.tables import PROCESSES, STAGES

LOG_FOLDER = Path(__file__).resolve().parent.parent / "logs"


# What a run says at its end; logs/summary.json holds more.
SHOWN = (
    "ended",
    "events",
    "signals",
    "orders",
    "fills",
    "round_trips",
    "open_positions",
    "pnl_after_fees",
    "orders_lost",
    "orders_duplicated",
    "venue_matches_local",
    "tick_to_order_ns",
)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others of the program."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and the message alone."""
        sys.exit(_say_error(message, BAD_INPUT))


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = OneLineParser(prog="supervisor.py", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start the pipeline and watch it")
    run.add_argument("--duration", type=float, help="seconds; without it until Ctrl-C")
    run.add_argument("--market", choices=("synthetic", "capture"), help="of the embedded exchange")
    run.add_argument("--capture", nargs="+", default=[], help="recordings to replay")
    run.add_argument("--speed", help="of a replay: a positive number, or max")
    run.add_argument("--log-folder", type=Path, help="of logs and summary")
    for name, text in (
        ("status", "show each process of the running instance"),
        ("stop", "stop the running instance in order"),
        ("kill", "latch: only what reduces risk passes; orders are withdrawn at the venue"),
        ("rearm", "show what is latched and let entries through again"),
        ("clean-shm", "remove segments whose owner is dead"),
        ("log-folder", "print where the instance logs, for make logs"),
    ):
        commands.add_parser(name, help=text)
    commands.choices["kill"].add_argument(
        "--flatten", action="store_true", help="close the positions as well"
    )
    commands.choices["rearm"].add_argument(
        "--confirm", default="", metavar="yes", help="do not ask a person at the terminal"
    )
    trades = commands.add_parser("trades", help="show the round trips of the trade ledger")
    for option, meaning in (
        ("symbol", "only of this symbol"),
        ("strategy", "only of this strategy"),
        ("since", "only after this time, or of that age: 2026-01-31T08:00, 30m, 2h, 7d"),
        ("run", "only of the run with this epoch, or last"),
        ("csv", "write CSV to a file, or - for the screen"),
    ):
        trades.add_argument(f"--{option}", default="", help=meaning)
    trades.add_argument("--last", type=int, default=20, help="rows of the table")
    trades.add_argument("--log-folder", type=Path, help="of the run, as given to it")
    for command in commands.choices.values():
        command.add_argument(
            "--set", action="append", default=[], metavar="PATH=VALUE", help="override one setting"
        )
    return made


def overrides_of(options: argparse.Namespace) -> list[str]:
    """Return the settings that the options of `run` stand for."""
    found = list(options.set)
    if options.command != "run":
        return found
    if options.duration is not None and not options.duration > 0:
        raise PipelineError(f"duration must be positive: duration={options.duration}", BAD_INPUT)
    market = options.market or ("capture" if options.capture else None)
    if market:
        found.append(f"exchange.market={market}")
        found.append(f"venue.mode={'capture' if market == 'capture' else 'sim'}")
    is_bare = options.market == "capture" and not options.capture
    if is_bare and not load(overrides=options.set).exchange.capture:
        told = 'CAPTURE= is missing: MARKET=capture CAPTURE="FILE [FILE...]"'
        raise PipelineError(told, BAD_INPUT)
    if market != "capture" and (options.capture or options.speed):
        raise PipelineError("CAPTURE and SPEED are for MARKET=capture", BAD_INPUT)
    if options.capture:
        files = ", ".join(f'"{name}"' for name in options.capture)
        found.append(f"exchange.capture=[{files}]")
    if options.speed:
        found.append(f"exchange.speed={options.speed}")
    return found


def main_with(
    make_supervisor: Callable[..., Any],
    clear_venue: ClearVenue,
    arguments: list[str] | None = None,
) -> int:
    """Run the command line; return the exit code.

    Args:
        make_supervisor: `Supervisor(settings, duration_s, log_folder)`.
        clear_venue: what make kill does at the venue itself.
        arguments: without the program's name; None = those of this process.
    """
    options = parser().parse_args(arguments)
    try:
        settings = _settings(options)
        if options.command == "run":
            folder = options.log_folder or log_folder(settings.system.instance)
            return _run(make_supervisor(settings, options.duration, folder))
        if options.command == "trades":
            return _trades(settings, options)
        return {
            "status": _status,
            "stop": _stop,
            "kill": lambda read: kill(read, clear_venue, options.flatten),
            "rearm": lambda read: rearm(read, options.confirm),
            "clean-shm": _clean,
            "log-folder": _print_log_folder,
        }[options.command](settings)
    except ConfigError as error:
        return _say_error(str(error), BAD_INPUT)
    except PipelineError as failure:
        return _say_error(str(failure), failure.exit_code)
    except (segments.SegmentError, KernelError, FolderError, OSError) as error:
        return _say_error(str(error), FAILED)
    except KeyboardInterrupt:
        return _say_error("interrupted before anything was started", FAILED)


def log_folder(instance: str) -> Path:
    """Return where an instance logs: logs/ for the default one, a folder of its own for others."""
    default = BY_PATH["system.instance"].default
    return LOG_FOLDER if instance == default else LOG_FOLDER / instance


def _print_log_folder(settings: Settings) -> int:
    print(log_folder(settings.system.instance))
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    """Load the settings; a broken file never keeps anybody from looking, stopping or killing."""
    try:
        return load(overrides=overrides_of(options))
    except ConfigError as error:
        if options.command == "run":
            raise
        flat = {path: knob.default for path, knob in BY_PATH.items()}
        for pair in options.set:
            path, _, value = pair.partition("=")
            if path in ("system.instance", "system.state_folder"):
                flat[path] = value
        instance = flat["system.instance"]
        _say_error(f"{error}; going on with defaults and instance={instance}", BAD_INPUT)
        return settings_of(flat)


def _say_error(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _run(supervisor: Any) -> int:
    supervisor.start()
    supervisor.run()
    summary = supervisor.stop()
    for key in SHOWN:
        supervisor.say(f"{key}: {_plain(summary[key])}")
    supervisor.say(f"everything else: {supervisor.summary_path}")
    if supervisor.has_failed:
        return _say_error(f"{summary['ended']}, see {supervisor.log_folder}", FAILED)
    clean = summary["orders_lost"] == summary["orders_duplicated"] == 0
    if not (clean and summary["venue_matches_local"]):
        return _say_error("the venue and our own books do not agree, see logs/", FAILED)
    if summary["open_positions"] and supervisor.settings.risk.flatten_on_stop:
        return _say_error(f"positions are still open: {summary['open_positions']}", FAILED)
    return 0


def _plain(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {'-' if item is None else item}" for key, item in value.items())


def _attach(settings: Settings) -> topology.SharedMemory:
    instance = settings.system.instance
    if segments.owner_of(topology.segment_names(instance)["control"]) is None:
        rows = InstanceFolder(settings.system.state_folder, instance).latches()
        latched = "".join(f"; {row.text()}" for row in rows)
        raise PipelineError(f"not running: instance={instance}{latched}", FAILED)
    return topology.attach_all(instance)


def _status(settings: Settings) -> int:
    memory = _attach(settings)
    before = {name: memory.process(name).work_count for name in STAGES}
    watched = _cpu_watch(memory)
    started = time.monotonic()
    # Rates need two looks; select with nothing to watch is the wait between them.
    select.select([], [], [], 0.5)
    cpu = {name: used for name, look in watched.items() if (used := look()) is not None}
    print(status.process_table(memory, before, time.monotonic() - started, cpu))
    for row in InstanceFolder(settings.system.state_folder, settings.system.instance).latches():
        print(row.text())
    return 0


def _cpu_watch(memory: topology.SharedMemory) -> dict[str, Callable[[], float | None]]:
    """Return, by living process, what tells its use of one core since now; None when it is gone."""
    import psutil  # here, because the supervisor's memory counts and it has no use for it

    def look(process: psutil.Process) -> float | None:
        try:
            return process.cpu_percent()
        except psutil.NoSuchProcess:
            return None

    watched: dict[str, Callable[[], float | None]] = {}
    for name in PROCESSES:
        pid = memory.process(name).pid
        if segments.process_start_time(pid):
            process = psutil.Process(pid)
            look(process)  # the first look starts the interval
            watched[name] = partial(look, process)
    return watched


def _trades(settings: Settings, options: argparse.Namespace) -> int:
    import sqlite3  # here, because only the ledger's process and this command have a use for it

    from runtime import trade_report
    from runtime.trade_table import LedgerError

    if options.last < 1:
        raise PipelineError(f"LAST must be positive: LAST={options.last}", BAD_INPUT)
    folder = options.log_folder or log_folder(settings.system.instance)
    try:
        path = ledger_path(settings, folder)
        return trade_report.report(path, *trade_report.arguments_of(options))
    except trade_report.ReportError as error:
        return _say_error(str(error), BAD_INPUT)
    except (sqlite3.Error, LedgerError) as error:
        return _say_error(f"cannot read the ledger: {error}", FAILED)


def _stop(settings: Settings) -> int:
    name = topology.segment_names(settings.system.instance)["control"]
    owner = segments.owner_of(name)
    if owner is None or not segments.is_alive(*owner):
        raise PipelineError(f"not running: instance={settings.system.instance}", FAILED)
    watch = os.pidfd_open(owner[0])
    os.kill(owner[0], signal.SIGTERM)
    limit_s = settings.supervisor.stop_timeout_s * 2
    if not select.select([watch], [], [], limit_s)[0]:
        raise PipelineError(f"still running: pid={owner[0]} waited_s={limit_s}", FAILED)
    print(f"stopped: pid={owner[0]}")
    return 0


def _clean(settings: Settings) -> int:
    names = list(segments.list_segments(f"/{settings.system.instance}."))
    for name in names:
        try:
            segments.remove_stale(name)
            print(f"removed {name}")
        except segments.LiveOwnerError as error:
            print(f"kept {name}: owner {error.pid} is alive")
    if not names:
        where = Path("/dev/shm")  # noqa: S108  named in a message
        print(f"nothing to remove in {where}")
    return 0
