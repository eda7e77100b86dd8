"""The small version of the shm bench: every case checks its answer, the rows have their form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import harness, message_queues, ring_twin
from bench.__main__ import stages
from bench.harness import Row, WrongAnswerError, check, interleaved, percentile
from bench.pairs import beside

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run it once and return what it printed and wrote."""
    path = tmp_path_factory.mktemp("bench") / "rows.json"
    command = [sys.executable, "-m", "bench", "shm", "--quick", "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text())


def test_every_case_has_a_row_and_json_holds_them(run):
    _, written = run
    cases = [row["case"] for row in written["rows"]]
    assert len(set(cases)) == len(cases)
    for words in ("gated push+pop", "broadcast push+read", "pool", "histogram", "doorbell"):
        assert any(case.startswith(words) for case in cases), words
    assert {"cpu", "cores", "kernel", "python", "numba"} <= set(written["machine"])
    for row in written["rows"]:
        assert row["p50"] is None or 0 < row["p50"] <= row["p99"] <= row["p999"] <= row["max"]
        assert row["note"] if row["p50"] is None else row["hash"] != "-"


def test_twin_is_compared_where_there_is_a_compiler(run):
    _, written = run
    row = written["rows"][0]
    if ring_twin.compiler():
        assert row["ratio"] > 0 and "C++ twin" in row["note"]
    else:
        assert row["ratio"] is None and "no C++ compiler" in row["note"]


def test_printed_rows_stand_in_columns(run):
    printed, written = run
    lines = [line for line in printed.splitlines() if not line.startswith("#")]
    titles = "stage case n p50 p99 p99.9 max ns/op ratio hash note"
    assert lines[0].split() == titles.split()
    assert len(lines) == len(written["rows"]) + 1
    end = lines[0].index(" hash") + len(" hash")
    for line, row in zip(lines[1:], written["rows"], strict=True):
        assert line[:end].endswith(row["hash"])
    assert "# hash of all answers: " in printed


def test_missing_compiler_gives_rows_that_say_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert ring_twin.build(tmp_path) is None
    from bench.shm import _compared

    row = _compared("case", [lambda: 5.0], 3, 10, "answer")
    assert (row.p50, row.ratio, row.n) == (5.0, None, 30)
    assert row.note == "no C++ compiler: no twin to compare with"


def test_wrong_answer_fails_loudly():
    with pytest.raises(WrongAnswerError, match="case: got=1 wanted=2"):
        check("case", 1, 2)
    with pytest.raises(WrongAnswerError, match="exit=2"):
        beside(min(os.sched_getaffinity(0)), lambda: 1, 2, lambda: 0)
    with pytest.raises(WrongAnswerError, match="exit=1"):
        beside(min(os.sched_getaffinity(0)), lambda: 1 // 0, 2, lambda: 0)


def test_percentile_is_the_nearest_rank():
    samples = [float(k) for k in range(1, 101)]
    assert [percentile(samples, q) for q in (0.0, 0.01, 0.5, 0.99, 0.999, 1.0)] == [
        1.0, 1.0, 50.0, 99.0, 100.0, 100.0,
    ]  # fmt: skip
    assert percentile([7.0], 0.999) == 7.0


def test_contestants_take_turns_and_warm_rounds_do_not_count():
    calls: list[str] = []

    def run_of(name: str):
        def run() -> float:
            calls.append(name)
            return float(len(calls))

        return run

    assert interleaved([run_of("a"), run_of("b")], 2) == [[3.0, 5.0], [4.0, 6.0]]
    assert "".join(calls) == "ababab"


def test_pinning_ends_with_its_block():
    before = os.sched_getaffinity(0)
    with harness.pinned(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_row_without_figures_shows_dashes():
    assert harness.line(Row("shm", "case", note="needs two cores")).split()[2:10] == [
        "0", "-", "-", "-", "-", "-", "-", "-",
    ]  # fmt: skip


def test_messages_have_one_size_and_stages_are_found():
    assert {len(message_queues.message(k)) for k in (0, 1, 1 << 40)} == {64}
    assert "shm" in stages()
