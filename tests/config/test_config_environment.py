"""Variables: the `.env` parser, overrides, credentials, and that a secret shows nowhere."""

import copy
import pickle
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.env_file import parse_env, read_env_file
from config.environment import (
    EMBEDDED_API_KEY,
    EMBEDDED_API_SECRET,
    ENV_FILE,
    VARIABLES,
    load_credentials,
    overrides_of,
    read_environment,
)
from config.errors import ConfigError
from config.loader import DIRECTORY, load
from config.secret import Credentials, Secret

CANARY = "canary7f3e91c2b8"
SECRET_NAMES = [variable.name for variable in VARIABLES if variable.secret]


@pytest.fixture
def env_file(tmp_path):
    def write(text):
        path = tmp_path / "variables"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("  export   A = 1  ", "1"),
        ("A=", ""),
        ("A= # comment", ""),
        ("A=a#b", "a#b"),
        ("A=a # b", "a"),
        ("A='a # b'  # c", "a # b"),
        (r"A='a\n'", r"a\n"),
        (r'A="a\n\"b\" \\"', 'a\n"b" \\'),
        ("A=a=b==", "a=b=="),
        ("A=1\r", "1"),
    ],
)
def test_line_is_read(line, value):
    assert parse_env(f"# first\n\n{line}\n", "f") == {"A": value}


@pytest.mark.parametrize(
    "line",
    [
        CANARY,
        f"export {CANARY}",
        f"={CANARY}",
        f"9A={CANARY}",
        f"A-B={CANARY}",
        f"A='{CANARY}",
        f'A="{CANARY}',
        f'A="{CANARY}" more',
        f"A='{CANARY}' more",
        f'A={CANARY}"',
        f'A="{CANARY}\\"',
        f"A={CANARY}\x00",
        f"GOOD={CANARY}",
    ],
)
def test_malformed_line_names_its_number_and_never_its_text(line):
    with pytest.raises(ConfigError) as caught:
        parse_env(f"GOOD=1\n# two\n{line}\n", "f")
    assert "line 3" in str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_not_utf8_is_refused_without_its_bytes(env_file):
    path = env_file("")
    path.write_bytes(f"A={CANARY}".encode() + b"\xff")
    with pytest.raises(ConfigError) as caught:
        read_env_file(path)
    assert "not UTF-8 at byte 18" in caught.value.message
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(alphabet="A=1 '\"#\\\n\rexport\x00é", max_size=40))
def test_any_text_is_parsed_or_refused(text):
    try:
        found = parse_env(text, "f")
    except ConfigError as error:
        assert str(error).isprintable()
    else:
        assert all(name.isidentifier() for name in found)


def test_environment_stands_over_file_and_empty_counts_as_absent(env_file):
    path = env_file("LEVERAGE=3\nMAX_POSITION_SIZE=500\n")
    environment = read_environment(path, {"LEVERAGE": "4", "MAX_POSITION_SIZE": ""})
    assert overrides_of(environment) == {"trading.leverage": 4, "trading.max_position_usd": 500.0}


def test_variables_are_bounded_as_the_settings_they_override():
    with pytest.raises(ConfigError) as caught:
        load(env_file=None, environ={"LEVERAGE": "126"})
    assert caught.value.key == "LEVERAGE"
    assert "trading.leverage above the maximum: 126" in caught.value.message
    with pytest.raises(ConfigError, match=r"trading\.base_position_usd: must not be above"):
        load(env_file=None, environ={"MAX_POSITION_SIZE": "50"})
    assert load(env_file=None, environ={"KERNELS": "jit"}).system.kernels == "jit"


@pytest.mark.parametrize("name", ["LEVERAGE", "MAX_POSITION_SIZE", "KERNELS", "USE_TESTNET"])
def test_secret_in_the_wrong_variable_is_not_shown(name):
    with pytest.raises(ConfigError) as caught:
        load(env_file=None, environ={name: CANARY})
    assert caught.value.key == name
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_missing_default_file_is_fine_and_any_other_is_not(tmp_path):
    assert ENV_FILE.name == ".env" and ENV_FILE.parent == DIRECTORY.parent
    with pytest.raises(ConfigError, match="file is missing"):
        load(env_file=tmp_path / "absent", environ={})
    assert load(env_file=None, environ={}).trading.leverage == 15


def test_mistyped_name_is_refused_and_foreign_names_are_not(env_file):
    with pytest.raises(ConfigError, match="LEVERAGE: looks mistyped in variables: LEVRAGE"):
        read_environment(env_file("LEVRAGE=5\n"), {})
    assert read_environment(env_file("TZ=UTC\nPATH=/bin\n"), {}).plain == {}


def test_live_needs_use_testnet_false():
    live = ["venue.mode=live"]
    for text in ("", "true", "1", "yes", "TRUE"):
        with pytest.raises(ConfigError, match="live is refused while USE_TESTNET"):
            load(env_file=None, overrides=live, environ={"USE_TESTNET": text})
    loaded = load(env_file=None, overrides=live, environ={"USE_TESTNET": "false"})
    assert loaded.venue.mode == "live"


def test_credentials_by_mode():
    environ = {name: f"{name}_value" for name in SECRET_NAMES} | {"USE_TESTNET": "false"}
    testnet = load_credentials("testnet", None, environ)
    assert testnet.api_key.reveal() == "BINANCE_TESTNET_API_KEY_value"
    assert testnet.api_secret.reveal() == "BINANCE_TESTNET_API_SECRET_value"
    live = load_credentials("live", None, environ)
    assert live.api_key.reveal() == "BINANCE_API_KEY_value"
    assert live.api_secret.reveal() == "BINANCE_API_SECRET_value"


@pytest.mark.parametrize("mode", ["sim", "capture", "paper"])
def test_embedded_modes_never_get_a_real_key(mode):
    environ = dict.fromkeys(SECRET_NAMES, CANARY)
    credentials = load_credentials(mode, None, environ)
    assert credentials.api_key.reveal() == EMBEDDED_API_KEY
    assert credentials.api_secret.reveal() == EMBEDDED_API_SECRET


@pytest.mark.parametrize(
    ("mode", "environ", "key"),
    [
        ("testnet", {}, "BINANCE_TESTNET_API_KEY and BINANCE_TESTNET_API_SECRET"),
        ("testnet", {"BINANCE_TESTNET_API_KEY": CANARY}, "BINANCE_TESTNET_API_SECRET"),
        (
            "testnet",
            {"BINANCE_API_KEY": CANARY},
            "BINANCE_TESTNET_API_KEY and BINANCE_TESTNET_API_SECRET",
        ),
        ("live", {"USE_TESTNET": "false"}, "BINANCE_API_KEY and BINANCE_API_SECRET"),
        ("live", {"BINANCE_API_KEY": CANARY, "BINANCE_API_SECRET": CANARY}, "venue.mode"),
        ("real", {}, "venue.mode"),
        (
            "testnet",
            {"BINANCE_TESTNET_API_KEY": f"{CANARY}\n", "BINANCE_TESTNET_API_SECRET": CANARY},
            "BINANCE_TESTNET_API_KEY",
        ),
    ],
)
def test_unusable_credentials_are_refused_without_being_shown(mode, environ, key):
    with pytest.raises(ConfigError) as caught:
        load_credentials(mode, None, environ)
    assert caught.value.key == key
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_secret_shows_nowhere():
    secret = Secret(CANARY)
    credentials = Credentials(secret, secret)
    environment = read_environment(None, dict.fromkeys(SECRET_NAMES, CANARY))
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        "%s %r" % (secret, secret),  # noqa: UP031  # the third way to format is under test too
        repr([secret]),
        repr({"secret": secret}),
        str(credentials),
        repr(credentials),
        repr(environment),
        str(environment),
        repr(dir(secret)),
    ]
    assert CANARY not in " ".join(shown)
    assert str(secret) == repr(secret) == f"{secret}" == "***"
    assert secret.reveal() == CANARY and secret and not Secret("")
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            leak(secret)
        assert CANARY not in str(caught.value)


def test_settings_hold_no_secret():
    loaded = load(env_file=None, environ=dict.fromkeys(SECRET_NAMES, CANARY))
    assert CANARY not in repr(loaded) + repr(loaded.flat())
    assert loaded == load(env_file=None, environ={})


def test_example_file_names_every_variable_and_holds_no_secret():
    found = read_env_file(DIRECTORY.parent / ".env.example")
    assert list(found) == [variable.name for variable in VARIABLES]
    assert not any(found[name] for name in SECRET_NAMES)
    assert found["USE_TESTNET"] == "true"
    assert load(env_file=DIRECTORY.parent / ".env.example", environ={}) == load(
        env_file=None, environ={}
    )
