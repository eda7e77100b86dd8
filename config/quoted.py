"""Which symbols market making has for itself: one answer for all stages."""

from collections.abc import Sequence

from config.settings import Settings


def quoted_symbols(settings: Settings, symbols: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols of a run that are quoted, in the order of `symbols`.

    Args:
        settings: checked settings.
        symbols: the symbols that the run trades; a recording brings its own.
    """
    if not (settings.optimization.USE_MARKET_MAKING and settings.signals.use_market_making):
        return ()
    return tuple(name for name in symbols if name in settings.quoting.symbols)


def unquoted_reasons(settings: Settings) -> list[str]:
    """Return one line for each setting of market making that has no effect, with the reason."""
    level = settings.optimization.USE_MARKET_MAKING
    lines = []
    if level and not settings.quoting.symbols:
        lines.append("USE_MARKET_MAKING has no effect: quoting.symbols is empty")
    elif level and not settings.signals.use_market_making:
        lines.append("USE_MARKET_MAKING has no effect: signals.use_market_making is false")
    elif settings.quoting.symbols and not level:
        lines.append("quoting.symbols has no effect: optimization.USE_MARKET_MAKING is false")
    return lines
