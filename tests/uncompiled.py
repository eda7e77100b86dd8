"""Programs of the tests in a process of their own, whose kernels are plain Python or compiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from shm.compiled import interpreted

ROOT = Path(__file__).resolve().parent.parent


def run_uncompiled(module: str, *arguments: str, compiled: bool = False) -> Any:
    """Run `python -m module` and return the JSON of its first line.

    Args:
        module: what is run.
        arguments: its command line.
        compiled: leave its kernels compiled.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | {"NUMBA_DISABLE_JIT": "0" if compiled else "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[0])


def run_the_other_way(module: str, *arguments: str) -> Any:
    """Run a module as `run_uncompiled` does, compiled if this process is not."""
    return run_uncompiled(module, *arguments, compiled=interpreted())
