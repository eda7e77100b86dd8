"""The same kernels without the compiler: the tests of one process pass on plain Python too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shm.compiled import interpreted

HERE = Path(__file__).resolve().parent
MODULES = ("views", "atomics", "rings", "rings_model", "pools", "histograms", "counters", "manager")


@pytest.mark.skipif(interpreted(), reason="this is the uncompiled run")
def test_kernels_pass_their_tests_uncompiled():
    files = [str(HERE / f"test_shm_{name}.py") for name in MODULES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=HERE.parents[1],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
