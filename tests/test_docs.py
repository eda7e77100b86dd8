"""The documents' examples are run, and what is generated is up to date."""

from __future__ import annotations

import ctypes
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from config import strategies
from config.loader import load
from engine.state import SYMBOL_STATE

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "API.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("index", range(3))
def test_example_of_the_api_runs(index: int):
    names: dict = {}
    exec(compile(BLOCKS[index], f"docs/API.md block {index}", "exec"), names)
    if index == 1:
        # The second position of the example is closed by its rule, the first is still there.
        exits, first = names["exits"], names["position"] - 1
        assert exits.update_position(first, 44890)["action"] == "CLOSE"


def test_example_of_the_whole_system_compiles():
    assert "UltimateTradingSystem" in BLOCKS[3]
    compile(BLOCKS[3], "docs/API.md block 3", "exec")


def test_strategy_of_the_api_can_be_registered(tmp_path, monkeypatch):
    (tmp_path / "engine").symlink_to(ROOT / "engine")
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "fade.py"
    path.write_text(BLOCKS[4])
    monkeypatch.setattr(strategies, "ROOT", tmp_path)
    settings = load(env_file=None, environ={}, overrides=["signals.user_strategies=own.fade"])
    assert strategies.strategies_of(settings)[5].name == "fade"
    names = runpy.run_path(str(path))
    state = SYMBOL_STATE.new()
    state.known, state.bid_tick, state.ask_tick, state.ema_slow = 1 << 5, 100, 101, 100.0
    for tick, side in ((102, 0), (103, -1), (98, 0), (97, 1)):
        state.last_tick = tick
        assert names["fade_side"](ctypes.addressof(state), 0) == side
    state.known = 0
    assert names["fade_side"](ctypes.addressof(state), 0) == 0


def test_test_of_a_strategy_in_the_api_passes(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "fade.py").write_text(BLOCKS[4])
    # Without a compiler the kernels are those of the process, here uncompiled.
    code = (
        "from pathlib import Path\n"
        "from config import strategies\n"
        f"strategies.ROOT = Path({str(tmp_path)!r})\n"
        "names = {}\n"
        f"exec({BLOCKS[5]!r}, names)\n"
        "names['test_a_fall_is_bought']()\n"
    )
    # The rows of the built-in strategies are read from there as well.
    (tmp_path / "engine").symlink_to(ROOT / "engine")
    environment = {"PATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{tmp_path}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert named
    missing = {name for name in named if name not in targets and not name.startswith("bench-")}
    assert not missing


def test_generated_files_are_fresh():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
