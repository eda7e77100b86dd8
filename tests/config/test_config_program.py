"""`python -m config`: exit codes, one line, and what the package drags into memory."""

import shutil
import subprocess
import sys

import pytest

from config.knob import FILES, file_name
from config.loader import DIRECTORY

ROOT = DIRECTORY.parent
CANARY = "canary7f3e91c2b8"
ENVIRON = {"PATH": "/usr/bin:/bin", "BINANCE_API_SECRET": CANARY}


def run(*arguments, environ=ENVIRON):
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def place(tmp_path):
    for file in FILES:
        shutil.copy(DIRECTORY / file_name(file), tmp_path)
    env_file = tmp_path / "variables"
    env_file.write_text(f"BINANCE_API_KEY={CANARY}\n")
    return ["-m", "config", "--check", "--directory", str(tmp_path), "--env-file", str(env_file)]


def test_valid_configuration_exits_0(place):
    done = run(*place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("configuration: valid: ") and done.stdout.count("\n") == 1


def test_bad_value_exits_2_with_one_line(place):
    done = run(*place, "--set", "trading.leverage=500")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "configuration: trading.leverage: above the maximum: 500 in the command line; "
        "allowed: 1 to 125 times\n"
    )


def test_alias_bomb_exits_2_with_one_line(place, tmp_path):
    (tmp_path / "risk_config.yaml").write_text("a: &a [1]\nb: &b [*a, *a]\n")
    done = run(*place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "risk_config.yaml: line 1: anchors and aliases are not allowed" in done.stderr


def test_malformed_env_file_exits_2_and_shows_no_value(place, tmp_path):
    (tmp_path / "variables").write_text(f"BINANCE_API_KEY '{CANARY}'\n")
    done = run(*place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "variables: line 1 is malformed" in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_import_stays_small():
    code = (
        "import sys; from config.loader import load; load(env_file=None, environ={}); "
        "print(*sorted({'numpy', 'numba', 'difflib', 'inspect', 'dataclasses', 'asyncio'}"
        " & set(sys.modules)))"
    )
    done = run("-c", code)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
