"""Variables from the environment and from `.env`: secrets, and overrides of settings.

The process environment stands over `.env`. An empty value counts as absent. Secrets never become
settings: `load_credentials` alone returns them, and only the executor calls it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from config.env_file import read_env_file
from config.errors import ConfigError
from config.knob import Value, allowed
from config.knobs import BY_PATH
from config.schema import check
from config.secret import Credentials, Secret
from config.yaml_reader import resolve

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"
# What the embedded exchange expects: an account that exists on this machine only, while it runs.
EMBEDDED_API_KEY = "embedded"
EMBEDDED_API_SECRET = "embedded"  # noqa: S105  # no secret: it guards no account


class Variable(NamedTuple):
    """One variable: its name, what it does, the knob it overrides, and its value in the example."""

    name: str
    meaning: str
    secret: bool = False
    overrides: str = ""
    example: str = ""


VARIABLES = (
    Variable("BINANCE_TESTNET_API_KEY", "Key of the venue's testnet", secret=True),
    Variable("BINANCE_TESTNET_API_SECRET", "Secret of that key", secret=True),
    Variable("BINANCE_API_KEY", "Key of the live venue; never with withdrawal rights", secret=True),
    Variable("BINANCE_API_SECRET", "Secret of that key", secret=True),
    Variable(
        "USE_TESTNET",
        "true refuses venue.mode live, whatever else is set; false allows it",
        example="true",
    ),
    Variable(
        "MAX_POSITION_SIZE",
        "Largest notional of one position in USD",
        overrides="trading.max_position_usd",
    ),
    Variable("LEVERAGE", "Leverage of every symbol", overrides="trading.leverage"),
    Variable("KERNELS", "ahead, or jit for debugging", overrides="system.kernels"),
)
NAMES = tuple(variable.name for variable in VARIABLES)
_SWITCH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_CREDENTIAL_NAMES = {
    "testnet": ("BINANCE_TESTNET_API_KEY", "BINANCE_TESTNET_API_SECRET"),
    "live": ("BINANCE_API_KEY", "BINANCE_API_SECRET"),
}


class Environment(NamedTuple):
    """The known variables that are set, secrets apart from the rest."""

    plain: dict[str, str]
    secrets: dict[str, Secret]

    @property
    def use_testnet(self) -> bool:
        """Return USE_TESTNET; absent means true, anything unclear is an error."""
        text = self.plain.get("USE_TESTNET", "true").strip().lower()
        if text not in _SWITCH:
            raise ConfigError("USE_TESTNET", "must be true or false")
        return _SWITCH[text]


def read_environment(
    env_file: Path | str | None = ENV_FILE, environ: Mapping[str, str] | None = None
) -> Environment:
    """Return the known variables of `env_file` with those of `environ` over them.

    `env_file` None reads no file; the default one may be missing, any other must exist. `environ`
    None means the environment of this process. Raise ConfigError for a malformed file or a name
    that looks like a mistyped one of ours.
    """
    from_file = {}
    if env_file is not None and (Path(env_file) != ENV_FILE or ENV_FILE.exists()):
        from_file = read_env_file(Path(env_file))
        _refuse_mistyped(from_file, Path(env_file).name)
    plain: dict[str, str] = {}
    secrets: dict[str, Secret] = {}
    for variable in VARIABLES:
        text = (os.environ if environ is None else environ).get(variable.name)
        text = text or from_file.get(variable.name)
        if text and variable.secret:
            secrets[variable.name] = Secret(text)
        elif text:
            plain[variable.name] = text
    return Environment(plain, secrets)


def overrides_of(environment: Environment) -> dict[str, Value]:
    """Return the settings that variables override, by path, type-checked and bounded."""
    found: dict[str, Value] = {}
    for variable in VARIABLES:
        text = environment.plain.get(variable.name)
        if text is None or not variable.overrides:
            continue
        knob = BY_PATH[variable.overrides]
        value = resolve(text.strip())
        try:
            found[knob.path] = check(knob, value, f"the environment ({variable.name})")
            continue
        except ConfigError as error:
            message = f"{knob.path} {error.message}"
        if not isinstance(value, int | float):
            # A secret pasted into the wrong line must not be shown; the error is raised outside
            # the handler because the first one holds the value.
            message = f"unusable value for {knob.path} (not shown); allowed: {allowed(knob)}"
        raise ConfigError(variable.name, message)
    return found


def load_credentials(
    mode: str,
    env_file: Path | str | None = ENV_FILE,
    environ: Mapping[str, str] | None = None,
) -> Credentials:
    """Return the key and secret of a mode (venue.mode).

    Modes that trade on the embedded exchange get its fixed pair, and no variable is read. Raise
    ConfigError when a variable is absent or cannot be a key, and for live under USE_TESTNET.
    """
    if mode not in BY_PATH["venue.mode"].choices:
        raise ConfigError("venue.mode", f"unknown mode: mode={mode!r}")
    if mode not in _CREDENTIAL_NAMES:
        return Credentials(Secret(EMBEDDED_API_KEY), Secret(EMBEDDED_API_SECRET))
    environment = read_environment(env_file, environ)
    refuse_live_under_testnet(mode, environment)
    key_name, secret_name = _CREDENTIAL_NAMES[mode]
    missing = [name for name in (key_name, secret_name) if name not in environment.secrets]
    if missing:
        told = "is not set" if len(missing) == 1 else "are not set"
        raise ConfigError(" and ".join(missing), f"{told}; venue.mode {mode} needs the pair")
    key = environment.secrets[key_name]
    if not all("!" <= char <= "~" for char in key.reveal()):
        # It goes into a header, where a line break would start a header of its own.
        raise ConfigError(key_name, "holds a character that no key has")
    return Credentials(key, environment.secrets[secret_name])


def refuse_live_under_testnet(mode: str, environment: Environment) -> None:
    """Raise ConfigError when the mode is live and USE_TESTNET does not allow it."""
    if environment.use_testnet and mode == "live":
        raise ConfigError("venue.mode", "live is refused while USE_TESTNET is true (its default)")


def _refuse_mistyped(assignments: Mapping[str, str], source: str) -> None:
    unknown = [name for name in assignments if name not in NAMES]
    if not unknown:
        return
    # Imported here: a file without foreign names does not need it.
    import difflib

    for name in unknown:
        near = difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=0.85)
        if near:
            raise ConfigError(near[0], f"looks mistyped in {source}: {name}")
