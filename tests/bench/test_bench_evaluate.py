"""The command: what it prints and writes, that it repeats itself, and what it says to bad files."""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import evaluate
from bench.evaluation_course import engine_weights, load_process_many, run_course
from bench.evaluation_occasions import combine
from bench.evaluation_recording import Recording, RecordingError, read_recordings
from config.loader import load
from shm.records import MARKET_EVENT, EventFlag, EventKind, Factor
from tests.naive import engine_recording as naive

SEED = 11
SETTINGS = load(env_file=None, environ={})


def stream(name: str, **data: Any) -> dict[str, Any]:
    return {"stream": f"btcusdt@{name}", "data": data | {"s": "BTCUSDT"}}


def lines(seconds: int) -> list[str]:
    """Return a recording of a random walk: a trade, a best price and a depth update every 50 ms."""
    generator = random.Random(SEED)
    tick, found = 600_000, []
    rows = [[f"{(tick - 1 - k) / 10:.1f}", "2.000"] for k in range(30)]
    asks = [[f"{(tick + k) / 10:.1f}", "2.000"] for k in range(30)]
    found.append({"lastUpdateId": 1, "E": 1_700_000_000_000, "bids": rows, "asks": asks})
    previous = 1
    for step in range(seconds * 20):
        ms = 1_700_000_000_000 + step * 50
        moved = generator.choice((-1, 0, 0, 0, 1))
        buys = moved > 0 or (moved == 0 and generator.random() < 0.5)
        price, size = (tick if buys else tick - 1) / 10, f"{generator.randint(1, 900) / 1000:.3f}"
        head = {"E": ms, "T": ms}
        market = {"t": step + 1, "p": f"{price:.1f}", "q": size, "X": "MARKET", "m": not buys}
        found.append(stream("trade", e="trade", **head, **market))
        gone = [f"{(tick if moved > 0 else tick - 1) / 10:.1f}", "0.000"]
        tick += moved
        come = [f"{(tick - 1 if moved > 0 else tick) / 10:.1f}", f"{generator.randint(1, 9)}.000"]
        sides = {"b": [come] if moved >= 0 else [gone], "a": [gone] if moved > 0 else [come]}
        if moved == 0:
            sides = {"b": [[f"{(tick - 1) / 10:.1f}", f"{generator.randint(1, 9)}.000"]], "a": []}
        ids = {"U": previous + 1, "u": previous + 2, "pu": previous}
        previous += 2
        found.append(stream("depth@0ms", e="depthUpdate", **head, **ids, **sides))
        prices = {"b": f"{(tick - 1) / 10:.1f}", "B": "3.000", "a": f"{tick / 10:.1f}"}
        found.append(stream("bookTicker", e="bookTicker", u=previous, **head, **prices, A="2.500"))
    texts = (json.dumps(each, separators=(",", ":")) for each in found)
    return [f"{10**18 + place * 1000} {text}" for place, text in enumerate(texts)]


def packed(path: Path, text: list[str]) -> Path:
    path.write_bytes(gzip.compress(("\n".join(text) + "\n").encode()))
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(tmp_path_factory.mktemp("evaluate") / "walk.gz", lines(90))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = evaluate.main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_tables_json_and_plots(capsys: pytest.CaptureFixture[str], recording: Path, tmp_path: Path):
    written, plots = tmp_path / "out.json", tmp_path / "plots"
    code, out, err = run(capsys, str(recording), "--json", str(written), "--plots", str(plots))
    assert (code, err) == (0, "")
    chain = json.loads(written.read_text())["chains"][0]
    assert f"{chain['signals']} signals of the engine" in out and chain["signals"] > 0
    assert chain["signals_sha256"] in out
    sources = list(dict.fromkeys(row["source"] for row in chain["rows"]))
    assert sources[:8] == [factor.name.lower().replace("_", " ") for factor in Factor]
    assert sources[8] == "combined" and sources[-1] == "all strategies" and len(sources) == 13
    assert [row["horizon_s"] for row in chain["rows"][:8:2]] == [0.1, 1.0, 5.0, 30.0]
    for own, twin in zip(chain["rows"][::2], chain["rows"][1::2], strict=True):
        assert (own["is_random"], twin["is_random"]) == (False, True)
        assert own["signals"] == twin["signals"] == own["count"] + own["left_out"]
        assert own["hits"] <= own["moved"] <= own["count"]
        if own["count"]:
            # Two taker fees of 5 and two maker fees of 2 of 1e-4.
            assert own["gross"]["mean"] - own["taker"]["mean"] == pytest.approx(10, abs=0.2)
            assert own["gross"]["mean"] - own["maker"]["mean"] == pytest.approx(4, abs=0.2)
    table = [text for text in out.splitlines() if not text.startswith(("#", " "))]
    assert sum("0.1 s" in text for text in table) == len(
        {row["source"] for row in chain["rows"] if row["signals"]}
    )
    # The columns stand below one another: every row of returns ends where the head does.
    width = len(next(text for text in table if text.startswith("source")))
    assert {len(text) for text in out.splitlines() if " s " in text and ".." in text} == {width}
    for name in ("returns", "reliability"):
        picture = (plots / f"btcusdt_{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG\r\n") and len(picture) > 10_000


def test_repeats_itself_and_the_seed_moves_random_times_alone(
    capsys: pytest.CaptureFixture[str], recording: Path
):
    first, second = (run(capsys, str(recording))[1] for _ in range(2))
    assert first == second
    other = run(capsys, str(recording), "--seed", "2")[1]
    assert other != first

    def kept(text: str) -> list[str]:
        """Return what no random number enters: the counts and rates of the signals' own rows."""
        own = [row for row in text.splitlines() if " s " in row and not row.startswith(("#", " "))]
        return [row[:70] for row in own]

    assert kept(other) == kept(first) and len(kept(first)) >= 4


def test_without_plots_no_matplotlib(recording: Path):
    """The tables come without it, on a machine that does not have it."""
    import subprocess

    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from bench.evaluate import main\n"
        f"sys.exit(main([{str(recording)!r}]))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["missing", "plain", "torn", "foreign", "spot", "wrong line"])
def test_bad_file_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recording: Path, kind: str
):
    path = tmp_path / "bad.gz"
    text = lines(1)
    if kind == "plain":
        path.write_text("\n".join(text))
    elif kind == "torn":
        path.write_bytes(recording.read_bytes()[:-4_000])
    elif kind == "foreign":
        packed(path, ["1 [1, 2]"])
    elif kind == "spot":
        packed(path, [line.replace('"pu"', '"qu"') for line in text])
    elif kind == "wrong line":
        packed(path, [*text[:-1], text[-1].replace('"b":"', '"b":"x')])
    code, out, err = run(capsys, str(path))
    assert code == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and str(path) in err


def test_recording_without_a_snapshot_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = packed(tmp_path / "late.gz", lines(40)[1:])
    code, out, err = run(capsys, str(path), "--plots", str(tmp_path))
    assert (code, err) == (0, "")
    assert "no depth snapshot in it" in out and "# 0 signals of the engine" in out
    assert out.count("no signal\n") >= 4 and "\nmomentum    " in out


def test_recording_too_short_for_a_signal(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    written = tmp_path / "out.json"
    path = packed(tmp_path / "short.gz", lines(1))
    code, out, err = run(capsys, str(path), "--plots", str(tmp_path), "--json", str(written))
    assert (code, err) == (0, "")
    assert out.count("no signal\n") == 13
    rows = json.loads(written.read_text())["chains"][0]["rows"]
    assert {row["signals"] for row in rows} == {0} and rows[0]["gross"]["mean"] is None


def test_no_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        evaluate.main([])
    assert "FILE" in capsys.readouterr().err


def test_time_that_falls_back_is_refused():
    events = np.zeros(400, MARKET_EVENT.dtype)
    events["kind"], events["flags"] = int(EventKind.TRADE), int(EventFlag.LAST)
    events["price_tick"] = events["quantity_lot"] = 5
    stamps = np.arange(400) * 10 + 1_700_000_000_000
    stamps[200:] -= 60_000
    events["venue_ns"] = stamps * 1_000_000
    course = Recording("X", [Path("x.gz")], events, np.arange(1, 401), 0, False)
    _, process_many = load_process_many("ahead")
    with pytest.raises(RecordingError, match=r"falls back.*x\.gz"):
        run_course(course, SETTINGS, process_many)


@pytest.mark.recordings
@pytest.mark.skipif(bool(naive.ABSENT), reason=naive.ABSENT or "present")
def test_combined_score_is_what_the_engine_publishes():
    """The combination of evaluation_occasions.py is that of engine/validation.py, bit by bit."""
    (found,) = read_recordings([naive.FOLDER / file for file in naive.CHAINS["ETHUSDT"]])
    _, process_many = load_process_many("ahead")
    course = run_course(found, SETTINGS, process_many)
    signals, places = course.signals, course.signal_places
    assert len(signals) > 10
    score, buying, selling = (each[places] for each in combine(course, engine_weights(SETTINGS)))
    agreeing = np.where(signals["side"] > 0, buying, selling)
    assert np.allclose(signals["strength"], np.abs(score), rtol=0, atol=1e-15)
    assert np.allclose(signals["confidence"], agreeing / (buying + selling), rtol=0, atol=1e-15)
    assert np.array_equal(signals["bid_tick"], course.bid_tick[places])
    assert np.array_equal(signals["ask_tick"], course.ask_tick[places])
    assert course.is_eligible[places].all()
    behind_ms = course.time_ms[places] - signals["venue_ns"] // 1_000_000
    assert behind_ms.min() >= 0
