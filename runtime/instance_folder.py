"""What outlives an instance's processes: its venue, latches that hold, what limits remember.

    <system.state_folder>/<instance>/venue.json    written at the start, renamed by a clean stop
    <system.state_folder>/<instance>/last_venue.json   where the last run was that ended cleanly
    <system.state_folder>/<instance>/latch.json    there while the kill latch is held
    <system.state_folder>/<instance>/limits.json   what risk's limits remember, by venue

Files are written whole (a new file that takes the old one's name), readable by their owner alone,
and hold no secret: keys come from the environment or .env, also for make kill.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runtime import limit_file
from runtime.limit_file import LimitFile, VenueKey, key_text, venue_key

# A supervisor notes that it lives before it writes the file.
LATER_NS = 1_000_000_000
ROOT = Path(__file__).resolve().parent.parent


class FolderError(RuntimeError):
    """A state file that cannot be read or written; the message names it."""


@dataclass(frozen=True)
class Venue:
    """Where the orders of a run go: enough to reach the venue when nothing of the run is left."""

    mode: str
    rest_url: str
    symbols: tuple[str, ...]
    exchange_pid: int = 0  # of the embedded exchange; 0 = the venue is another machine
    exchange_start: int = 0  # its start time in clock ticks since boot


@dataclass(frozen=True)
class LatchRow:
    """One trip, for people: `tripped_ns` is monotonic and tells two rows of a writer apart."""

    by: str  # operator, supervisor or risk
    reason: str
    meaning: str
    at: str  # wall clock, UTC
    tripped_ns: int
    note: str = ""  # the user, or the stage
    mode: str = ""  # of the venue of the run that was tripped; "" = not known
    rest_url: str = ""

    @property
    def venue(self) -> VenueKey | None:
        """Return where the tripped run's orders went, None when the row does not say."""
        return venue_key(self.mode, self.rest_url) if self.mode else None

    def text(self) -> str:
        """Return the row as a person reads it."""
        note = f" ({self.note})" if self.note else ""
        where = f" on {key_text(self.venue)}" if self.venue else ""
        return f"tripped {self.at} by {self.by}{note}{where}: {self.reason}, {self.meaning}"


class InstanceFolder:
    """The folder of one instance.

    Args:
        state_folder: of all instances; a relative path starts at the project's root.
        instance: name of the system.
    """

    def __init__(self, state_folder: str, instance: str) -> None:
        self.path = ROOT / state_folder / instance
        self._venue = self.path / "venue.json"
        self._last_venue = self.path / "last_venue.json"
        self._latch = self.path / "latch.json"
        self._limits = self.path / "limits.json"

    def write_venue(self, venue: Venue) -> None:
        """Note where orders will go. Raises FolderError."""
        self._write(self._venue, asdict(venue))

    def venue(self) -> Venue | None:
        """Return where the orders of the last run went, None after a clean stop.

        Raises:
            FolderError: the file is damaged.
        """
        return self._read_venue(self._venue)

    def last_venue(self) -> Venue | None:
        """Return where the last run was, however it ended; None when none is known.

        Raises:
            FolderError: the file is damaged.
        """
        return self.venue() or self._read_venue(self._last_venue)

    def forget_venue(self) -> None:
        """Note that nothing was left at the venue. Raises FolderError."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._venue.replace(self._last_venue)
        except OSError as error:
            raise FolderError(f"cannot rename {self._venue}: {error.strerror}") from error

    @property
    def is_latched(self) -> bool:
        """Return whether there is a latch file, readable or not."""
        return self._latch.exists()

    def latches(self) -> list[LatchRow]:
        """Return the trips that nobody has re-armed, the oldest first.

        A file that cannot be understood counts as one trip: it was written because of one.
        """
        try:
            found = self._read(self._latch)
            return [LatchRow(**row) for row in found["latches"]] if found else []
        except (FolderError, KeyError, TypeError) as error:
            meaning = f"the latch file cannot be read ({error})"
            return [LatchRow("supervisor", "supervisor", meaning, "at an unknown time", 0)]

    def add_latches(self, rows: Sequence[LatchRow]) -> list[LatchRow]:
        """Add trips that are not there yet; return all. Raises FolderError."""
        with self._locked():
            known = self.latches()
            have = {(row.by, row.tripped_ns) for row in known}
            whole = known + [row for row in rows if (row.by, row.tripped_ns) not in have]
            self._write(self._latch, {"latches": [asdict(row) for row in whole]})
        return whole

    def forget_latches(self) -> None:
        """Remove the latch file: a person has re-armed."""
        if self.path.is_dir():
            with self._locked():
                self._latch.unlink(missing_ok=True)

    def limits(self) -> LimitFile:
        """Return what limits remember.

        Raises:
            FolderError: the file is damaged as a whole, or of another layout.
        """
        found = self._read(self._limits)
        try:
            return limit_file.parse(found) if found is not None else LimitFile()
        except ValueError as error:
            raise FolderError(f"state file is damaged: path={self._limits}: {error}") from error

    def write_limits(self, file: LimitFile, is_last: bool = False) -> None:
        """Keep what limits remember. Raises FolderError.

        It is written every second while trading goes on, so only the last of a run waits for the
        disk. A machine that loses its power may leave an older file, or one that is damaged.
        """
        self._write(self._limits, limit_file.dump(file), is_durable=is_last)

    def limits_are_from(self, wall_ns: int) -> bool:
        """Return whether the file was written by a run that ended then, and by nobody later."""
        try:
            return self._limits.stat().st_mtime_ns <= wall_ns + LATER_NS
        except OSError:
            return False

    def set_limits_aside(self) -> Path:
        """Keep a damaged file under another name, for people; return it. Raises FolderError.

        A copy: what is left of it goes on where it is, and each new file takes its name only. One
        that cannot be read, or that the disk has no room for, gets a second name instead. A file
        that vanished meanwhile is no error, one that has a copy needs no other.
        """
        aside = self._limits.with_suffix(f".json.damaged-{time.time_ns() // 1_000_000}")
        try:
            for other in sorted(self.path.glob(f"{self._limits.name}.damaged-*")):
                if filecmp.cmp(other, self._limits, shallow=False):
                    return other
            shutil.copyfile(self._limits, aside)
            aside.chmod(0o600)
        except FileNotFoundError:
            return aside
        except OSError as error:
            self._link(self._limits, aside, error)
        return aside

    def _link(self, path: Path, aside: Path, why: OSError) -> None:
        try:
            aside.unlink(missing_ok=True)  # what has been copied of it
            aside.hardlink_to(path)
        except OSError as error:
            text = f"cannot copy {path}: {why.strerror}, nor link it: {error.strerror}"
            raise FolderError(text) from why

    def _read_venue(self, path: Path) -> Venue | None:
        found = self._read(path)
        if found is None:
            return None
        try:
            return Venue(**(found | {"symbols": tuple(found["symbols"])}))
        except (TypeError, KeyError) as error:
            raise FolderError(f"state file is damaged: path={path}: {error}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the command and the supervisor from writing over each other's rows."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FolderError(f"cannot use {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, path: Path, content: dict[str, Any], is_durable: bool = True) -> None:
        fresh = path.with_suffix(f".{os.getpid()}")
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(fresh, flags, 0o600), "w") as file:
                json.dump(content, file, indent=2)
                file.write("\n")
                file.flush()
                if is_durable:
                    os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise FolderError(f"cannot write {path}: {error.strerror}") from error

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise FolderError(f"state file is damaged: path={path}: {error}") from error
        if not isinstance(found, dict):
            raise FolderError(f"state file is damaged: path={path}")
        return found
