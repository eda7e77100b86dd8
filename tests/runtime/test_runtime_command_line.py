"""The command line: what is refused before anything starts, and where an instance logs."""

from __future__ import annotations

from typing import Any

import pytest

from config.environment import load_credentials
from runtime.command_line import LOG_FOLDER, main_with
from supervisor import Supervisor


def _unused(*_: Any) -> Any:
    raise AssertionError("nothing is started and nothing is cleared")


@pytest.mark.parametrize(
    ("instance", "folder"), [("scalping", LOG_FOLDER), ("other", LOG_FOLDER / "other")]
)
def test_the_log_folder_is_that_of_the_instance(instance: str, folder, capsys):
    arguments = ["log-folder", "--set", f"system.instance={instance}"]
    assert main_with(_unused, _unused, arguments) == 0
    assert capsys.readouterr().out == f"{folder}\n"


def test_a_replay_without_recordings_names_what_is_missing(capsys):
    assert main_with(_unused, _unused, ["run", "--market", "capture"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: CAPTURE= is missing") and said.count("\n") == 1


def test_a_real_venue_without_keys_is_refused_before_anything_is_done(
    monkeypatch, tmp_path, capsys
):
    # Whatever keys this machine has are not read.
    monkeypatch.setattr(
        "supervisor.load_credentials", lambda mode: load_credentials(mode, None, {})
    )
    monkeypatch.setattr("runtime.preparation.lock_instance", _unused)
    arguments = ["run", "--log-folder", str(tmp_path), "--set", "venue.mode=testnet"]
    assert main_with(Supervisor, _unused, arguments) == 2
    said = capsys.readouterr().err
    assert "BINANCE_TESTNET_API_KEY and BINANCE_TESTNET_API_SECRET: are not set" in said
    assert said.count("\n") == 1
