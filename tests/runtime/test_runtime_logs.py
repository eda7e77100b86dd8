"""Logs: logfmt lines, repeats collapsed, control characters escaped, a full disk survived."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import structlog

from runtime import logs
from runtime.logs import CollapseRepeats, LogFile, make_logger


@pytest.fixture
def clock(monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    return now


def lines_of(folder: Path, name: str = "feed") -> list[str]:
    return (folder / f"{name}.log").read_text().splitlines()


def test_line_is_logfmt_with_time_level_event_and_stage(tmp_path):
    make_logger("feed", tmp_path).warning("gap", symbol="BTCUSDT", lost=3, why="no bridge")
    (line,) = lines_of(tmp_path)
    stamp, _, rest = line.partition(" ")
    assert stamp.startswith("timestamp=") and stamp.endswith("Z")
    assert rest.startswith("level=warning event=gap ")
    assert {"stage=feed", "symbol=BTCUSDT", "lost=3"} <= set(rest.split())
    assert 'why="no bridge"' in rest


def test_folder_is_made_and_lines_are_appended(tmp_path):
    folder = tmp_path / "deep" / "er"
    make_logger("feed", folder).info("one")
    make_logger("feed", folder).info("two")
    assert [line.split("event=")[1].split()[0] for line in lines_of(folder)] == ["one", "two"]


def test_repeats_are_collapsed_and_counted(tmp_path, clock):
    log = make_logger("feed", tmp_path)
    for _ in range(1_000):
        log.warning("gap", symbol="BTCUSDT")
    log.warning("other")
    assert len(lines_of(tmp_path)) == logs.REPEAT_COUNT_MAX + 1
    clock[0] += logs.REPEAT_WINDOW_S
    log.warning("gap")
    log.warning("gap")
    last = lines_of(tmp_path)[-2:]
    assert f"repeated={1_000 - logs.REPEAT_COUNT_MAX}" in last[0]
    assert "repeated" not in last[1]


def test_levels_and_events_are_told_apart(clock):
    collapse = CollapseRepeats(count_max=1)
    assert collapse(None, "info", {"event": "a"}) == {"event": "a"}
    assert collapse(None, "error", {"event": "a"}) == {"event": "a"}
    assert collapse(None, "info", {"event": "b"}) == {"event": "b"}
    with pytest.raises(structlog.DropEvent):
        collapse(None, "info", {"event": "a"})


def test_memory_of_repeats_is_bounded(clock):
    collapse = CollapseRepeats()
    for number in range(10 * logs.EVENT_NAME_MAX):
        collapse(None, "info", {"event": f"made up {number}"})
    assert len(collapse._seen) <= logs.EVENT_NAME_MAX


NASTY = "id\n2026 level=info event=forged\r\x1b[31m\x00\u2028end"


@pytest.mark.parametrize(
    "value", [NASTY, ValueError(NASTY), [NASTY], {"id": NASTY}, NASTY.encode()], ids=type
)
def test_control_characters_are_escaped(tmp_path, value):
    make_logger("feed", tmp_path).warning("rejected", text=value)
    content = (tmp_path / "feed.log").read_bytes()
    assert content.count(b"\n") == 1 and content.endswith(b"\n")
    text = content.decode()[:-1]
    assert text.isprintable()
    assert "forged" in text, "the content was dropped instead of escaped"


def test_exception_is_one_line(tmp_path):
    log = make_logger("feed", tmp_path)
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        log.exception("stage failed")
    (line,) = lines_of(tmp_path)
    assert "RuntimeError" in line and "second" in line


def test_numbers_and_flags_stay_as_they_are(tmp_path):
    make_logger("feed", tmp_path).info("n", a=1, b=1.5, c=True, d=None)
    assert {"a=1", "b=1.5", "c=true", "d="} <= set(lines_of(tmp_path)[0].split())


def test_full_disk_loses_lines_and_says_how_many():
    full = LogFile(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        Path("/dev/full").write_bytes(b"x")
    for _ in range(3):
        full.msg("line")
    assert full.lost_lines == 3
    full.close()


def test_log_that_cannot_be_opened_is_an_error_at_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        make_logger("feed", tmp_path / "file")
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)


def test_lone_surrogates_do_not_raise(tmp_path):
    make_logger("feed", tmp_path).info("odd", text="\ud800")
    assert "ud800" in lines_of(tmp_path)[0]
