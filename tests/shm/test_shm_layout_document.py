"""docs/LAYOUT.md is what the tables say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from shm.counters import COUNTERS
from shm.records import RING_RECORDS
from shm.tables import TABLE_RECORDS

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "generate.py"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("layout_generator", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_document_is_fresh():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_stale_document_is_noticed_and_renewed(generator, tmp_path, monkeypatch, capsys):
    target = tmp_path / "docs" / "LAYOUT.md"
    target.parent.mkdir()
    monkeypatch.setattr(generator, "TARGET", target)
    monkeypatch.setattr(generator, "document", lambda: "fresh")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    assert generator.main(["--check"]) == 1
    assert "stale: docs/LAYOUT.md" in capsys.readouterr().err
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    target.write_text("fresh?")
    assert generator.main(["--check"]) == 1


def test_document_names_every_record_field_and_counter_once(generator):
    text = generator.document()
    for record in (*RING_RECORDS, *TABLE_RECORDS):
        assert text.count(f"\n### `{record.name}`\n") == 1
        assert f"hash `{record.layout_hash:016x}`" in text
        for field in record:
            row = f"| {record.offset(field.name)} | `{field.name}` | {field.type} |"
            assert row in text, row
    for counter in COUNTERS:
        assert text.count(f"`{counter.owner}.{counter.label}`") == 1
    assert "| 1 | `TRADE` |" in text
    assert "| `market` | broadcast | `market_event` | feed | - | engine, risk |" in text
