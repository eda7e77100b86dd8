"""Loading: precedence, types, bounds, unknown keys, checks across keys, immutability."""

import math
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ConfigError
from config.generate import yaml_text
from config.knob import FILES, file_name
from config.knobs import BY_PATH, KNOBS
from config.loader import DIRECTORY, load, settings_of
from config.schema import check


@pytest.fixture
def directory(tmp_path):
    for file in FILES:
        shutil.copy(DIRECTORY / file_name(file), tmp_path)
    return tmp_path


def load_text(directory, text, file="trading", **arguments):
    (directory / file_name(file)).write_text(text, encoding="utf-8")
    return load(directory, env_file=None, environ={}, **arguments)


def load_set(*overrides):
    return load(env_file=None, environ={}, overrides=list(overrides))


def refused(directory, text, file="trading"):
    with pytest.raises(ConfigError) as caught:
        load_text(directory, text, file)
    return caught.value


def test_defaults_load_and_read_by_attribute():
    loaded = load_set()
    assert loaded.trading.symbols == ("BTCUSDT", "ETHUSDT", "BNBUSDT")
    assert loaded.risk.stop_loss_pct == 0.002
    assert loaded.signals.weights.momentum == 1.0
    assert loaded.optimization.USE_ULTRA_LOW_LATENCY is False


def test_flat_holds_every_path_and_builds_the_same_settings():
    loaded = load_set("risk.max_drawdown=0.2")
    flat = loaded.flat()
    assert set(flat) == set(BY_PATH)
    assert flat["risk.max_drawdown"] == 0.2
    assert settings_of(flat) == loaded


def test_settings_are_immutable():
    loaded = load_set()
    with pytest.raises(AttributeError):
        loaded.trading.leverage = 3
    with pytest.raises(AttributeError):
        loaded.trading = None
    assert not hasattr(loaded.trading, "lverage")


def test_missing_key_and_empty_section_take_defaults(directory):
    assert load_text(directory, "trading:\nscalping: {}\n").trading.leverage == 15
    assert load_text(directory, "").trading.leverage == 15
    assert load_text(directory, "# nothing\n").trading.leverage == 15
    assert load_text(directory, "signals:\n  weights:\n").signals.weights.rsi == 1.0


def test_missing_file_is_an_error_that_names_it(directory):
    (directory / "risk_config.yaml").unlink()
    with pytest.raises(ConfigError, match=r"risk_config\.yaml: file is missing"):
        load(directory, env_file=None, environ={})


def test_precedence_file_env_file_environment_command_line(directory, tmp_path):
    env_file = tmp_path / "variables"
    env_file.write_text("LEVERAGE=7\n")
    text = "trading:\n  leverage: 6\n"
    assert load_text(directory, text).trading.leverage == 6
    assert load(directory, env_file, environ={}).trading.leverage == 7
    assert load(directory, env_file, environ={"LEVERAGE": "8"}).trading.leverage == 8
    last = load(directory, env_file, ["trading.leverage=9"], environ={"LEVERAGE": "8"})
    assert last.trading.leverage == 9


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("trading:\n  lverage: 5\n", "trading.lverage", "trading.leverage"),
        ("tradin:\n  leverage: 5\n", "tradin.leverage", "trading.leverage"),
        ("signals:\n  weights:\n    rsy: 1\n", "signals.weights.rsy", "signals.weights.rsi"),
        ("trading:\n  leverage:\n    x: 1\n", "trading.leverage.x", "trading.leverage"),
        ("scalping:\n  weights: {}\n", "scalping.weights", "signals.weights"),
    ],
)
def test_unknown_key_names_key_file_and_nearest(directory, text, key, near):
    error = refused(directory, text)
    assert error.key == key
    assert "unknown key in trading_config.yaml line" in error.message
    assert error.message.endswith(f"nearest known key: {near}")


def test_key_of_another_file_names_its_home(directory):
    error = refused(directory, "risk:\n  stop_loss_pct: 0.01\n")
    assert error.key == "risk.stop_loss_pct"
    assert error.message.endswith("it belongs to risk_config.yaml")


def test_section_that_holds_a_value_is_refused(directory):
    assert refused(directory, "trading: 5\n").key == "trading"
    assert refused(directory, "signals:\n  weights: [1]\n").key == "signals.weights"
    assert refused(directory, "- 1\n").key == "trading_config.yaml"


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        ("trading.leverage", "true", "must be an integer: True"),
        ("trading.leverage", "1.0", "must be an integer: 1.0"),
        ("trading.leverage", '"15"', "must be an integer: '15'"),
        ("trading.leverage", "", "must be an integer: null"),
        ("trading.leverage", "[15]", "must be an integer: [15]"),
        ("trading.leverage", "{}", "must be an integer: {}"),
        ("trading.leverage", "126", "above the maximum: 126"),
        ("trading.leverage", "0", "below the minimum: 0"),
        ("trading.leverage", "015", "must be an integer: '015'"),
        ("trading.leverage", "1_5", "must be an integer: '1_5'"),
        ("trading.leverage", "0:15", "must be an integer: '0:15'"),
        ("trading.leverage", "9" * 5000, "must be an integer: '999"),
        ("trading.base_position_usd", "false", "must be a number: False"),
        ("trading.base_position_usd", ".nan", "must be finite: nan"),
        ("trading.base_position_usd", "-.inf", "must be finite: -inf"),
        ("trading.base_position_usd", "1e999", "must be finite: inf"),
        ("trading.symbols", "BTCUSDT", "must be a list: 'BTCUSDT'"),
        ("trading.symbols", "[]", "has 0 items"),
        ("trading.symbols", "[btcusdt]", "malformed value 'btcusdt'"),
        ("trading.symbols", "[BTCUSDT, ETHUSDT, BTCUSDT]", "holds 'BTCUSDT' more than once"),
        ("trading.symbols", '["BTCUSDT\\n"]', "malformed value 'BTCUSDT\\n'"),
        ("trading.symbols", "[BTCUSDT, 5]", "must be text: 5"),
        ("signals.use_momentum", "yes", "must be true or false: 'yes'"),
        ("signals.use_momentum", "1", "must be true or false: 1"),
    ],
)
def test_bad_value_names_file_key_value_and_range(directory, path, text, what):
    section, name = path.split(".")
    error = refused(directory, f"{section}:\n  {name}: {text}\n")
    assert error.key == path
    assert error.message.startswith(what)
    assert "in trading_config.yaml line 2; allowed: " in error.message
    assert str(error).count("\n") == 0 and len(str(error)) < 400


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("trading.base_position_usd=1000.5", "trading.base_position_usd"),
        ("trading.max_position_usd=99", "trading.base_position_usd"),
        ("position_sizing.base_size=1.5", "position_sizing.base_size"),
        ("performance.queue_size=8191", "performance.queue_size"),
        ("performance.market_queue_size=30000", "performance.market_queue_size"),
        ("signals.ema_fast=26", "signals.ema_fast"),
        ("scalping.momentum_hold_min_s=121", "scalping.momentum_hold_min_s"),
        ("scalping.order_flow_hold_max_s=4", "scalping.order_flow_hold_min_s"),
        ("risk.max_gross_notional_usd=499", "risk.max_order_notional_usd"),
        ("supervisor.heartbeat_timeout_ms=299", "supervisor.heartbeat_timeout_ms"),
        ("venue.mode=capture", "exchange.capture"),
        ("exchange.market=capture", "exchange.capture"),
    ],
)
def test_rules_across_keys(override, key):
    with pytest.raises(ConfigError) as caught:
        load_set(override)
    assert caught.value.key == key
    assert key in caught.value.message


def test_rsi_bounds_must_leave_a_range_between_them():
    with pytest.raises(ConfigError, match=r"signals\.rsi_oversold: must be below"):
        load_set("signals.rsi_oversold=50", "signals.rsi_overbought=50")


def test_all_weights_zero_are_refused():
    zero = [f"{path}=0" for path in BY_PATH if path.startswith("signals.weights.")]
    assert load_set(*zero[1:]).signals.weights.rsi == 0.0
    with pytest.raises(ConfigError, match=r"signals\.weights: at least one weight"):
        load_set(*zero)


def test_target_below_stop_is_allowed():
    assert load_set("risk.take_profit_pct=0.001").risk.take_profit_pct == 0.001


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("trading.symbols=[SOLUSDT]", ("SOLUSDT",)),
        ("trading.symbols=SOLUSDT,1000PEPEUSDT", ("SOLUSDT", "1000PEPEUSDT")),
        ("system.cpu_cores=2", (2,)),
        ("exchange.speed=max", "max"),
        ("exchange.speed=0.5", "0.5"),
        ("exchange.capture=", ()),
        ("venue.rest_url=https://localhost:8443/x", "https://localhost:8443/x"),
        ("risk.stop_loss_pct=1e-3", 0.001),
        ("exchange.balance_usd=5", 5.0),
        (" system.lock_memory = true", True),
    ],
)
def test_override_is_read_as_in_a_file(override, value):
    path = override.partition("=")[0].strip()
    got = load_set(override).flat()[path]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    "override",
    [
        "trading.leverage",
        "=5",
        "leverage=5",
        "trading=5",
        "trading.leverage=",
        "trading.leverage=[1",
        "trading.leverage={a: 1}",
        "trading.leverage=&a 1",
        "trading.leverage=5\n---\n6",
        "trading.leverage=5\nb: 6",
        "trading.symbols=[[BTCUSDT]]",
        "exchange.speed=0",
        "exchange.speed=0.000",
        "exchange.speed=-1",
        "exchange.speed=MAX",
        "system.instance=9x",
        "system.instance=a/b",
        "system.cache_alignment=96",
        "venue.snapshot_limit=51",
        "venue.rest_url=https://user:pass@localhost/",
        "venue.rest_url=wss://localhost/",
        "venue.stream_url=https://localhost/",
        "venue.stream_url=wss://localhost/?listenKey=a",
    ],
)
def test_bad_override_is_refused(override):
    with pytest.raises(ConfigError):
        load_set(override)


def test_last_override_of_a_path_wins():
    assert load_set("trading.leverage=3", "trading.leverage=4").trading.leverage == 4


BAD = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=200),
    st.binary(max_size=4),
    st.lists(st.one_of(st.integers(), st.text(max_size=30), st.booleans()), max_size=70),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(knob=st.sampled_from(KNOBS), value=BAD)
def test_any_value_is_taken_within_bounds_or_refused_in_one_line(knob, value):
    try:
        taken = check(knob, value, "a_file")
    except ConfigError as error:
        assert error.key == knob.path
        assert str(error).isprintable() and len(str(error)) < 500
        assert "in a_file; allowed: " in error.message
        return
    items = taken if isinstance(taken, tuple) else (taken,)
    for item in items:
        assert type(item).__name__ == knob.type.removeprefix("list[").removesuffix("]")
        if isinstance(item, float):
            assert math.isfinite(item)
        if knob.choices:
            assert item in knob.choices
        elif knob.minimum is not None:
            assert knob.minimum <= item <= knob.maximum


@settings(max_examples=100, derandomize=True, deadline=None)
@given(knob=st.sampled_from([knob for knob in KNOBS if knob.minimum is not None]))
def test_bounds_are_inclusive_and_tight(knob):
    wrap = (lambda value: [value]) if knob.type == "list[int]" else (lambda value: value)
    cast = float if knob.type == "float" else int
    for bound in (knob.minimum, knob.maximum):
        assert check(knob, wrap(cast(bound)), "a_file") is not None
    for outside in (knob.minimum - 1, knob.maximum + 1):
        with pytest.raises(ConfigError):
            check(knob, wrap(cast(outside)), "a_file")


def test_generated_text_loads_as_the_defaults(tmp_path):
    for file in FILES:
        (tmp_path / file_name(file)).write_text(yaml_text(file), encoding="utf-8")
    assert load(tmp_path, None, environ={}).flat() == {knob.path: knob.default for knob in KNOBS}
