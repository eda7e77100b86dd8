"""limits.json: what it says, when it is written, what becomes of a damaged one, and re-arming."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from config.loader import load
from runtime import limit_keeper
from runtime.guard import Guard
from runtime.instance_folder import FolderError, InstanceFolder, Venue
from runtime.kill_command import rearm
from runtime.limit_file import KeptEquity, KeptLimits, KeptTrades, dump, parse
from runtime.limit_keeper import LimitKeeper, adopt_leftovers, describe
from shm import topology
from shm.latch_table import LatchReason, held
from shm.tables import CONTROL

E8 = 10**8
DAY_NS = 86_400 * 10**9
DAY = 20_000
NOW_NS = DAY * DAY_NS + 3600 * 10**9
VENUE = Venue("testnet", "http://127.0.0.1:9", ("BTCUSDT", "ETHUSDT"))
KEY = (VENUE.mode, VENUE.rest_url)
KEPT = KeptLimits(
    at_ns=NOW_NS,
    equity=KeptEquity(9_700 * E8 + 1, 10_200 * E8, -3, DAY),
    latch="daily_loss",
    losses=3,
    cool_off_until_ns=NOW_NS + 600 * 10**9,
    latched={"BTCUSDT": ("momentum", "mine"), "GONEUSDT": ("order_flow",)},
    trades={"momentum": KeptTrades(9, 4, 1234, 5678), "mine": KeptTrades(1, 0, 0, 7)},
)
OTHER = {("live", "https://elsewhere"): KeptLimits(at_ns=NOW_NS, losses=1)}


@pytest.fixture
def folder(tmp_path) -> InstanceFolder:
    return InstanceFolder(str(tmp_path / "state"), "one")


class Words:
    """Two symbols, one strategy; a look is a number of losses."""

    def __init__(self) -> None:
        self.symbols = ("BTCUSDT", "ETHUSDT")
        self.strategies = {1: "momentum"}
        self.losses: int | None = 0

    def look(self) -> int | None:
        return self.losses

    def kept(self, seen: int, wall_ns: int, mono_ns: int) -> KeptLimits:
        return KeptLimits(at_ns=wall_ns, losses=seen)


@pytest.fixture
def keep(folder, monkeypatch):
    """A keeper whose time is the test's."""
    clock = SimpleNamespace(s=100.0)
    monkeypatch.setattr(limit_keeper.time, "monotonic", lambda: clock.s)

    def make(venue: Venue = VENUE) -> SimpleNamespace:
        told: list[str] = []
        words, control = Words(), CONTROL.new()
        log = SimpleNamespace(info=lambda event, **values: told.append(f"{event} {values}"))
        keeper = LimitKeeper(words, folder, venue, control, log, told.append)
        return SimpleNamespace(
            keeper=keeper, words=words, control=control, told=told, clock=clock, folder=folder
        )

    return make


def test_what_is_kept_reads_the_same_and_is_readable(folder):
    folder.write_limits({KEY: KEPT, **OTHER})
    assert folder.limits() == {KEY: KEPT, **OTHER}
    (entry, _) = json.loads((folder.path / "limits.json").read_text())["venues"]
    assert entry["equity"] == {
        "without_unrealised": "9700.00000001",
        "peak": "10200.00000000",
        "day": "2024-10-04",
        "day_start": "-0.00000003",
    }
    assert entry["at"] == "2024-10-04T01:00:00.000Z"
    assert entry["cool_off_until"] == "2024-10-04T01:10:00.000Z"
    assert (folder.path / "limits.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.path.iterdir()] == ["limits.json"]


def changed(**changes) -> str:
    """Return a sound file with some values of its entry changed."""
    content = dump({KEY: KEPT})
    for path, value in changes.items():
        *parts, last = path.split("__")
        place = content["venues"][0]
        for part in parts:
            place = place[part]
        place[last] = value
    return json.dumps(content)


DAMAGED = [
    *("", "{", "[]", "\0", "{}", '{"layout": 0, "venues": []}', '{"layout": 1}'),
    '{"layout": 1, "venues": [3]}',
    json.dumps(dump({KEY: KEPT}) | {"layout": 2}),
    json.dumps(dump({KEY: KEPT}))[:-40],
    *(changed(**{key: value}) for key, value in (
        ("at", "yesterday"), ("at", "2024-10-04T01:00:00"), ("equity", 7), ("latch", "hunger"),
        ("losses_in_a_row", -1), ("losses_in_a_row", 1.5), ("losses_in_a_row", True),
        ("losses_in_a_row", 1 << 62), ("cool_off_until", None), ("latched", []),
        ("latched__BTCUSDT", "momentum"), ("latched__BTCUSDT", [1]), ("trades", None),
        ("trades__mine", 1), ("trades__mine__closed", 0 - 1), ("trades__momentum__won", 10),
        ("equity__peak", "0.0"), ("equity__peak", 5), ("equity__peak", "NaN"),
        ("equity__peak", "1e30"), ("equity__day", "1969-12-31"), ("equity__day_start", "much"),
        ("mode", None), ("rest_url", 9),
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_named_and_put_aside(keep, text):
    made = keep()
    made.folder.path.mkdir(parents=True)
    path = made.folder.path / "limits.json"
    path.write_text(text)
    with pytest.raises(FolderError, match=r"limits\.json"):
        made.folder.limits()
    problem = made.keeper.begin()
    assert "limits.json" in problem and made.keeper.earlier is None
    (aside,) = made.folder.path.iterdir()
    assert aside.name.startswith("limits.json.damaged-") and aside.name in problem
    assert aside.read_text() == text
    assert made.keeper.remembered(NOW_NS) == ""
    made.keeper.tend()
    assert made.folder.limits()[KEY].losses == 0, "it begins anew"


def test_sound_values_at_their_borders_are_read():
    for key, value in (("equity", None), ("latch", ""), ("cool_off_until", ""), ("latched", {})):
        assert parse(json.loads(changed(**{key: value})))


def test_it_is_written_on_a_change_and_once_a_second_at_most(keep):
    made = keep()
    assert made.keeper.begin() == "" and made.keeper.earlier is None

    def losses_after(losses: int | None, seconds: float) -> int:
        made.words.losses = losses
        made.clock.s += seconds
        made.keeper.tend()
        return made.folder.limits()[KEY].losses

    assert losses_after(1, 0.0) == 1
    assert losses_after(2, 0.5) == 1
    assert losses_after(2, 0.5) == 2
    first = made.folder.limits()[KEY].at_ns
    assert losses_after(2, 10.0) == 2 and made.folder.limits()[KEY].at_ns == first, "no change"
    assert losses_after(3, 0.0) == 3, "at once, when nothing was written for long"
    assert losses_after(None, 10.0) == 3, "words that cannot be told to belong together"
    made.words.losses = 4
    made.keeper.tend(is_last=True)
    assert made.folder.limits()[KEY].losses == 4, "at the end, however short ago"


def test_an_embedded_exchange_leaves_no_file(keep):
    made = keep(replace(VENUE, exchange_pid=7))
    made.folder.write_limits({KEY: KEPT})
    assert made.keeper.begin() == "" and made.keeper.earlier is None
    made.words.losses = 9
    made.keeper.tend()
    made.keeper.tend(is_last=True)
    assert made.folder.limits() == {KEY: KEPT}


def test_another_venue_is_not_taken_over_and_stays_in_the_file(keep):
    made = keep()
    made.folder.write_limits(OTHER)
    made.keeper.begin()
    assert made.keeper.earlier is None
    made.words.losses = 5
    made.keeper.tend()
    assert {key: one.losses for key, one in made.folder.limits().items()} == {
        KEY: 5, ("live", "https://elsewhere"): 1,
    }  # fmt: skip


def test_venues_that_nobody_trades_on_any_more_are_forgotten(keep):
    made = keep()
    many = {
        ("testnet", f"http://old:{n}"): replace(KEPT, at_ns=NOW_NS + n * 10**9) for n in range(30)
    }
    made.folder.write_limits({KEY: replace(KEPT, latched={}, trades={}, at_ns=1), **many})
    made.keeper.begin()
    made.keeper.tend()
    left = [url for _, url in made.folder.limits()]
    assert len(left) == 16 and VENUE.rest_url in left and "http://old:29" in left
    assert sum("forgotten" in line for line in made.told) == 15


def test_what_is_not_configured_is_told_and_stays_until_a_person_rearms(keep):
    made = keep()
    made.folder.write_limits({KEY: KEPT})
    made.keeper.begin()
    assert made.keeper.earlier == KEPT
    (line,) = made.told
    assert "GONEUSDT" in line and "mine" in line and "momentum" not in line
    made.keeper.tend()
    kept = made.folder.limits()[KEY]
    assert kept.latched == {"BTCUSDT": ("mine",), "GONEUSDT": ("order_flow",)}
    assert kept.trades == {"mine": KeptTrades(1, 0, 0, 7)}
    made.control.rearm_ns = 1
    made.keeper.tend(is_last=True)
    kept = made.folder.limits()[KEY]
    assert kept.latched == {} and kept.trades == {"mine": KeptTrades(1, 0, 0, 7)}


def test_a_folder_that_cannot_be_written_is_told_once_and_tried_again(keep):
    made = keep()
    made.folder.path.parent.mkdir(parents=True)
    made.folder.path.write_text("a file where the folder should be")
    for _ in range(3):
        made.words.losses += 1
        made.clock.s += 2
        made.keeper.tend()
    (line,) = made.told
    assert "a restart would forget" in line
    made.folder.path.unlink()
    made.clock.s += 2
    made.keeper.tend()
    assert len(made.told) == 2 and made.folder.limits()[KEY].losses == 3


def test_a_person_is_told_in_one_line(keep):
    text = describe(
        replace(KEPT, equity=KeptEquity(9_700 * E8, 10_000 * E8, 9_900 * E8, DAY)), NOW_NS
    )
    assert text == (
        "limits remember 2024-10-04T01:00:00Z, today -200.0000, 3.00% below the peak 10000.0000, "
        "losses in a row 3, no entries until 2024-10-04T01:10:00Z, latched by daily_loss, "
        "latched in BTCUSDT: momentum, mine, latched in GONEUSDT: order_flow, closed trades 10"
    )
    late = describe(replace(KEPT, latched={}, trades={}), NOW_NS + DAY_NS)
    assert "2024-10-04 " in late and "today" not in late and "until" not in late
    assert "equity unknown" in describe(KeptLimits(at_ns=0), NOW_NS)


@pytest.fixture
def instance(tmp_path):
    """Segments of an instance whose owner is this very process."""
    name = f"tlimits{tmp_path.name[-12:]}".replace("_", "-").lower()
    overrides = [f"system.instance={name}", f"system.state_folder={tmp_path}/state"]
    settings = load(env_file=None, environ={}, overrides=overrides)
    memory = topology.create_all(name, topology.Sizes(market_queue=1024, queue=64, order_rows=8))
    folder = InstanceFolder(settings.system.state_folder, name)
    yield SimpleNamespace(memory=memory, settings=settings, folder=folder)
    memory.close()
    memory.unlink()


@pytest.mark.parametrize("case", [
    "adopted", "of another build", "touched since", "removed", "embedded", "damaged",
    "no venue", "words say nothing",
])  # fmt: skip
def test_what_stands_in_the_segments_of_a_killed_run_is_kept(instance, case):
    memory, folder = instance.memory, instance.folder
    folder.write_venue(replace(VENUE, exchange_pid=7 if case == "embedded" else 0))
    if case == "no venue":
        folder.forget_venue()
    folder.write_limits({KEY: KEPT, **OTHER})
    path = folder.path / "limits.json"
    if case == "damaged":
        path.write_text("{")
    if case == "removed":
        path.unlink()
    before = path.read_text() if path.exists() else None
    age_ns = 5 * 10**9 if case == "touched since" else 0
    memory.process("supervisor").heartbeat_ns = time.monotonic_ns() - age_ns
    words, log = Words(), SimpleNamespace(info=lambda *_, **__: None, warning=pytest.fail)
    words.losses = None if case == "words say nothing" else 7
    made = []

    def make(attached, symbols, strategies):
        assert (attached.instance, symbols) == (memory.instance, VENUE.symbols)
        made.append(strategies)
        return words

    build_hash = 5 if case == "of another build" else 0
    adopt_leftovers(memory.instance, folder, build_hash, make, {1: "momentum"}, log)
    if case != "adopted":
        assert (path.read_text() if path.exists() else None) == before
        return
    kept = folder.limits()
    assert kept[KEY].losses == 7 and made == [{1: "momentum"}]
    assert "GONEUSDT" in kept[KEY].latched and kept.keys() == {KEY, *OTHER}


def test_the_supervisor_latches_when_the_file_is_damaged(instance):
    instance.folder.path.mkdir(parents=True)
    (instance.folder.path / "limits.json").write_text("{")
    told: list[str] = []
    log = SimpleNamespace(info=lambda *_, **__: None, error=lambda *_, **__: None)
    guard = Guard(instance.settings, lambda *_: None, lambda *_: Words(), told.append)
    guard.begin(instance.memory, log, VENUE)
    assert [latch[:2] for latch in held(instance.memory.control)] == [
        ("supervisor", LatchReason.MEMORY)
    ]
    assert guard.kept_limits is None
    guard.tend(None)
    (row,) = instance.folder.latches()
    assert row.reason == "memory" and "limits.json" in row.note, row
    assert sum("limits.json" in line for line in told) == 2, "at once, and as the latch's note"
    assert instance.folder.limits()[KEY].losses == 0
    said: list[str] = []
    guard.allow(said.append)
    assert said == []


def test_rearming_without_a_run_releases_what_is_kept(tmp_path, capsys):
    settings = load(
        env_file=None,
        environ={},
        overrides=["system.instance=tnorun", f"system.state_folder={tmp_path}"],
    )
    folder = InstanceFolder(str(tmp_path), "tnorun")
    folder.write_limits({KEY: KEPT, **OTHER})
    assert rearm(settings, "yes") == 0
    assert "GONEUSDT: order_flow" in capsys.readouterr().out
    released = replace(KEPT, latched={}, latch="", equity=None)
    assert folder.limits() == {KEY: released, **OTHER}
    assert rearm(settings, "yes") == 0
    assert "nothing is latched" in capsys.readouterr().out
    # A day that no latch ended goes on: re-arming is not for forgetting a loss.
    folder.write_limits({KEY: replace(KEPT, latch="")})
    rearm(settings, "yes")
    assert folder.limits()[KEY].equity == KEPT.equity
    (folder.path / "limits.json").write_text("{")
    assert rearm(settings, "yes") == 0 and "limits.json" in capsys.readouterr().err
