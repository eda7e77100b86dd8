"""What a failed build says: the reason, the place, a strategy's own error in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from config.loader import load
from runtime import kernels, user_strategies
from runtime.build_failure import LINES_MAX, failure_text
from runtime.preparation import PipelineError, load_kernels
from tests.runtime.test_runtime_kernels import use_groups

CHAIN = """
from numba import njit

@njit
def inner(value):
    return value.nonsense

@njit
def outer(value):
    return inner(value) + 1

outer(1)
"""


def test_numbas_reason_file_line_and_attribute_are_shown(tmp_path: Path):
    path = tmp_path / "chain.py"
    path.write_text(CHAIN)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    text = failure_text(done.stderr)
    lines = text.splitlines()
    assert len(lines) <= LINES_MAX < len(done.stderr.splitlines())
    assert "TypingError" in text
    assert "Unknown attribute 'nonsense' of type int64" in lines
    place = next(number for number, line in enumerate(lines) if f'{path.name}", line 6:' in line)
    assert "return value.nonsense" in "".join(lines[place:])
    assert "site-packages" not in text


def test_of_other_errors_the_last_place_in_the_project_is_shown():
    said = """Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/here/runtime/kernel_build.py", line 121, in compile_object
    importlib.import_module(name)
  File "/here/own/fade.py", line 3, in <module>
    json.loads("")
  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError("Expecting value", s, err.value) from None
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"""
    assert failure_text(said).splitlines() == [
        '  File "/here/own/fade.py", line 3, in <module>',
        '    json.loads("")',
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    ]


def test_without_an_error_the_end_is_shown():
    said = "\n".join(f"line {number}" for number in range(40))
    assert failure_text(said).splitlines() == [f"line {n}" for n in range(40 - LINES_MAX, 40)]
    assert failure_text("") == ""


@pytest.fixture
def strategy(tmp_path, monkeypatch):
    """Return what writes a module that stands for a user's strategy."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(user_strategies, "ROOT", tmp_path)

    def write(text: bytes) -> str:
        (tmp_path / "broken_strategy.py").write_bytes(text)
        monkeypatch.setattr(user_strategies, "_modules", ["broken_strategy"])
        return "broken_strategy"

    return write


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"\nimport nonsense_here\n", "line 2: ModuleNotFoundError: No module named 'nonsense_h"),
        (b"first = 1\nsecond = first / 0\n", "line 2: ZeroDivisionError: division by zero"),
        (b"name = '\xff'\n", "SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_strategy_that_cannot_be_imported_is_one_line(strategy, text: bytes, wanted: str):
    name = strategy(text)
    with pytest.raises(user_strategies.StrategyError) as caught:
        user_strategies.import_chosen()
    told = str(caught.value)
    assert told.startswith(f"strategy cannot be imported: {name}: ") and "\n" not in told
    assert wanted in told


def test_the_builder_says_that_line_and_the_program_ends_with_2(tmp_path, monkeypatch):
    if not kernels.compiler():
        pytest.skip("no C compiler on this machine")
    monkeypatch.setattr(kernels, "BUILD_FOLDER", tmp_path)
    monkeypatch.setattr(kernels, "REGISTRY_MODULE", "shm.windows")
    use_groups(monkeypatch, (("shm.windows",),))
    known = load(env_file=None, environ={})
    signals = known.signals._replace(user_strategies=("no_such_package.strategy",))
    with pytest.raises(PipelineError) as caught:
        load_kernels(known._replace(signals=signals), print, print)
    assert caught.value.exit_code == 2
    told = str(caught.value)
    assert told.startswith("strategy cannot be imported: no_such_package.strategy: ModuleNotFound")
    assert "\n" not in told and not list(tmp_path.glob("*.so"))


def test_a_file_beside_a_strategy_that_is_not_text_counts_by_its_bytes(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "fade.py").write_text("import os\n")
    (tmp_path / "registry.py").write_text("")
    beside = tmp_path / "own" / "beside.py"
    beside.write_bytes(b"# \xff\n")
    monkeypatch.setattr(kernels, "ROOT", tmp_path)
    monkeypatch.setattr(kernels, "REGISTRY_MODULE", "registry")
    before = kernels.build_hash("any", ("registry",), ("own.fade",))
    assert beside in kernels.source_files(("registry",), ("own.fade",))
    beside.write_bytes(b"# \xfe\n")
    assert kernels.build_hash("any", ("registry",), ("own.fade",)) != before
