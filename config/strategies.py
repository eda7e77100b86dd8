"""The strategies that the settings name, read from the text of their files.

    known = strategies_of(settings)         # by code, in the order in which they are asked
    known[5].name, known[5].trigger

Nothing is imported: a strategy's file imports numba, which a trading process must not load.
Built-in strategies have the codes of `shm.records.Strategy`; those of `signals.user_strategies`
count from `USER_STRATEGY_FIRST` in the order of the list.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from config.errors import ConfigError, shown
from config.knobs import BY_PATH
from config.settings import Settings
from config.strategy_row import StrategyRow
from shm.records import STRATEGY_COUNT_MAX, USER_STRATEGY_FIRST, ExitRule, Factor, Strategy

ROOT = Path(__file__).resolve().parent.parent
KEY = "signals.user_strategies"
# Names, not imports: the engine stands above this package. Their order is that of the codes.
BUILT_IN = (
    "engine.strategies.momentum",
    "engine.strategies.mean_reversion",
    "engine.strategies.order_flow",
)
VARIABLE = "STRATEGY"
HOLD_S_MAX = 86_400
FRACTION_MAX = 0.5
S_MS = 1000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
# Invariant: every strategy that may be listed has a code.
assert BY_PATH[KEY].n_item_max == STRATEGY_COUNT_MAX - USER_STRATEGY_FIRST
# What was read last, by the users' modules.
_READ: dict[tuple[str, ...], dict[int, tuple[str, StrategyRow]]] = {}
_WANTED = f"{VARIABLE} = StrategyRow(...) with keywords only"


class KnownStrategy(NamedTuple):
    """A strategy under the settings in force."""

    code: int
    name: str
    module: str
    trigger: Factor
    exit_rule: ExitRule
    is_on: bool
    hold_ms_min: int
    hold_ms_max: int
    stop_pct: float
    target_pct: float

    @property
    def label(self) -> str:
        """Return the name as people write it: "mean reversion"."""
        return self.name.replace("_", " ")


def strategies_of(settings: Settings) -> dict[int, KnownStrategy]:
    """Return the strategies with entries, by code, in the order in which they are asked.

    No window is longer than `scalping.max_hold_time`.

    Raises:
        ConfigError: as `read_rows`, where the settings were not checked in this process.
    """
    flat = settings.flat()
    rows = _rows_of(settings)
    return {code: _known(code, *entry, flat) for code, entry in rows.items()}


def _rows_of(settings: Settings) -> dict[int, tuple[str, StrategyRow]]:
    """Return the rows as they were when the settings were checked.

    A stage that is started again during a run must trade by the rows that its kernels were compiled
    from, whatever has become of the files since.
    """
    modules = tuple(settings.signals.user_strategies)
    return _READ[modules] if modules in _READ else read_rows(modules)


def strategy_names(settings: Settings) -> dict[int, str]:
    """Return the name of every strategy by code, NONE and market making included."""
    names = {int(strategy): strategy.name.lower() for strategy in Strategy}
    rows = _rows_of(settings)
    return names | {code: row.name for code, (_, row) in rows.items()}


def strategy_name(code: int, settings: Settings) -> str:
    """Return the name of a strategy, "strategy_<code>" where the settings know none."""
    return strategy_names(settings).get(code, f"strategy_{code}")


def user_strategy_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the users' strategies in the order of their codes."""
    rows = _rows_of(settings)
    return tuple(row.name for code, (_, row) in rows.items() if code >= USER_STRATEGY_FIRST)


def read_rows(user_modules: Sequence[str]) -> dict[int, tuple[str, StrategyRow]]:
    """Return module and row of every strategy by code; `kernel` is left None.

    Raises:
        ConfigError: a module that is not there, holds no row, a row with a value that is refused,
            or two of one name; the message holds the value.
    """
    found: dict[int, tuple[str, StrategyRow]] = {}
    users = range(USER_STRATEGY_FIRST, USER_STRATEGY_FIRST + len(user_modules))
    codes = (*range(1, 1 + len(BUILT_IN)), *users)
    taken = {strategy.name.lower(): "built in" for strategy in Strategy}
    for code, module in zip(codes, (*BUILT_IN, *user_modules), strict=True):
        row = read_row(module)
        if code >= USER_STRATEGY_FIRST and row.name in taken:
            raise ConfigError(KEY, f"{module}: name={row.name!r} is that of {taken[row.name]}")
        taken[row.name] = module
        found[code] = (module, row)
    _READ[tuple(user_modules)] = found
    return found


def read_row(module: str) -> StrategyRow:
    """Return the row of a strategy's file; `kernel` is left None.

    Args:
        module: its name, within the project's folder.

    Raises:
        ConfigError: as `read_rows`.
    """
    path = ROOT / (module.replace(".", "/") + ".py")
    try:
        tree = ast.parse(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(KEY, f"no such module in the project's folder: {module}") from None
    except OSError as error:
        raise ConfigError(KEY, f"{module} cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigError(KEY, f"{module} is not Python: line {line}") from None
    for node in ast.walk(tree):
        if isinstance(node, (ast.Raise, ast.Assert, ast.Try)):
            told = "a compiled kernel raises nothing and catches nothing"
            raise ConfigError(KEY, f"{module} line {node.lineno}: {told}")
    values = _keywords(_call(tree, module), module)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    kernel = values.pop("kernel")
    if not isinstance(kernel, ast.Name) or kernel.id not in functions:
        raise ConfigError(KEY, f"{module}: kernel must name a function of the file")
    literals = {name: _literal(node, name, module) for name, node in values.items()}
    row = StrategyRow(kernel=None, **literals)
    _check(row, module)
    return row


def _call(tree: ast.Module, module: str) -> ast.Call:
    bound = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == VARIABLE and isinstance(node.ctx, ast.Store)
    ]
    if len(bound) > 1:
        # The compiler would take the last one, this reader the first.
        raise ConfigError(KEY, f"{module} line {bound[1].lineno}: {VARIABLE} is bound twice")
    for node in tree.body:
        is_named = isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == VARIABLE for target in node.targets
        )
        if not is_named:
            continue
        assert isinstance(node, ast.Assign)
        call = node.value
        is_row = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if is_row and call.func.id == "StrategyRow" and not call.args:  # type: ignore[attr-defined]
            return call  # type: ignore[return-value]
        raise ConfigError(KEY, f"{module} line {node.lineno}: must be {_WANTED}")
    raise ConfigError(KEY, f"{module} registers no strategy: it has no {_WANTED}")


def _keywords(call: ast.Call, module: str) -> dict[str, ast.expr]:
    values: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        name = keyword.arg or "**"
        if name not in StrategyRow._fields:
            near = _nearest(name, StrategyRow._fields)
            raise ConfigError(KEY, f"{module}: unknown keyword {name}; {near}")
        values[name] = keyword.value
    missing = [
        name
        for name in StrategyRow._fields
        if name not in values and name not in StrategyRow._field_defaults
    ]
    if missing:
        raise ConfigError(KEY, f"{module}: the row lacks {', '.join(missing)}")
    return values


def _literal(node: ast.expr, name: str, module: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        text = f"{name} must be a literal: {ast.unparse(node)}"
    raise ConfigError(KEY, f"{module}: {text}")


def _nearest(value: str, known: Sequence[str]) -> str:
    # Imported here: only a refused row needs it, and the trading processes' memory counts.
    import difflib

    near = difflib.get_close_matches(value, known, n=1, cutoff=0.0)
    return f"nearest known: {near[0]}"


def _check(row: StrategyRow, module: str) -> None:
    """Raise ConfigError for the first value of a row that is refused."""
    if not isinstance(row.name, str) or not _NAME.fullmatch(row.name):
        raise _refused(module, "name", row.name, "1 to 31 small letters, digits and _")
    # Inventory of quotes is left by its stop alone; a signal's position has all exits.
    rules = [rule.name for rule in ExitRule if rule is not ExitRule.STOP_ONLY]
    for field, names in (("trigger", [factor.name for factor in Factor]), ("exit_rule", rules)):
        value = getattr(row, field)
        if value not in names:
            raise _refused(module, field, value, _nearest(str(value), names))
    for field, types in (("hold_s_min", (int,)), ("hold_s_max", (int,)), ("switch", (bool,))):
        _check_setting(module, field, getattr(row, field), types)
    for field in ("stop_pct", "target_pct"):
        value = getattr(row, field)
        if type(value) not in (int, float) or not 0.0 <= value <= FRACTION_MAX:
            raise _refused(module, field, value, f"0 to {FRACTION_MAX}; 0 takes the configured one")
    numbers = [value for value in (row.hold_s_min, row.hold_s_max) if isinstance(value, int)]
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise _refused(module, "hold_s_min", numbers[0], f"at most hold_s_max={numbers[1]}")


def _check_setting(module: str, field: str, value: Any, types: tuple[type, ...]) -> None:
    if field == "switch" and value == "":
        return
    if isinstance(value, str):
        knob = BY_PATH.get(value)
        if knob is None:
            raise _refused(module, field, value, _nearest(value, list(BY_PATH)))
        if type(knob.default) not in types:
            raise _refused(module, field, value, f"it holds {knob.type}, not {types[0].__name__}")
        return
    lowest = 1 if field == "hold_s_max" else 0
    if type(value) is not int or field == "switch" or not lowest <= value <= HOLD_S_MAX:
        bounds = "the path of a setting"
        if field != "switch":
            bounds = f"{lowest} to {HOLD_S_MAX} s, or {bounds}"
        raise _refused(module, field, value, bounds)


def _refused(module: str, field: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(KEY, f"{module}: {field}={shown(value)} is refused; {allowed}")


def _known(code: int, module: str, row: StrategyRow, flat: Mapping[str, Any]) -> KnownStrategy:
    def seconds(value: int | str) -> int:
        return int(flat[value]) if isinstance(value, str) else value

    most = min(seconds(row.hold_s_max), int(flat["scalping.max_hold_time"]))
    return KnownStrategy(
        code=code,
        name=row.name,
        module=module,
        trigger=Factor[row.trigger],
        exit_rule=ExitRule[row.exit_rule],
        is_on=bool(flat[row.switch]) if row.switch else True,
        hold_ms_min=min(seconds(row.hold_s_min), most) * S_MS,
        hold_ms_max=most * S_MS,
        stop_pct=float(row.stop_pct),
        target_pct=float(row.target_pct),
    )
