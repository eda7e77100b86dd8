"""Keep one virtual environment per client outside the clone, keyed by its pinned requirements."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DONE = ".complete"


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "scalping-system" / "clients"


def environment_key(client: str) -> str:
    """Return a name that changes with the pinned versions and with Python's version."""
    pinned = (HERE / f"{client}.lock").read_bytes()
    version = ".".join(map(str, sys.version_info[:3])).encode()
    return f"{client}-{hashlib.sha256(pinned + version).hexdigest()[:16]}"


def python_of(client: str) -> Path:
    """Return the interpreter of the client's environment; build that once."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    place = root / environment_key(client)
    python = place / "bin" / "python"
    with (root / f"{place.name}.lock").open("w") as lock:
        # Two runs that start together must not build the same directory.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / DONE).exists():
            print(f"building the environment of {client} (once): {place}", flush=True)
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(HERE / f"{client}.lock")], check=True)
            (place / DONE).touch()
    return python
