"""Which limits are looser than those of the last start: change control (reliability C25)."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from config.settings import Config, limit_names, per_symbol_names

_OFF_AT_ZERO = frozenset({"LOSS_STREAK_LATCH"})
EVERYWHERE = "*"

Limits = Mapping[str, Mapping[str, Any]]


def limits_of(config: Config) -> dict[str, dict[str, Any]]:
    """Return all limits under `*`, and each traded symbol's own; JSON can hold them."""
    names = limit_names()
    own = [name for name in names if name in per_symbol_names()]
    found = {EVERYWHERE: {name: getattr(config, name) for name in names}}
    for symbol in config.SYMBOLS:
        effective = config.for_symbol(symbol)
        found[symbol] = {name: getattr(effective, name) for name in own}
    return found


def loosened(before: Limits, config: Config) -> tuple[str, ...]:
    """Name the limits that `config` has looser than `before`, each with both values.

    A symbol that is new is held against what held everywhere; a limit that is new, against nothing.

    >>> loosened({"*": {"LEVERAGE": 5}}, Config(_env_file=None, _environ={}, LEVERAGE=10))
    ('LEVERAGE 5 -> 10',)
    """
    said = list(_loosened(before.get(EVERYWHERE, {}), limits_of(config)[EVERYWHERE]))
    for symbol in config.SYMBOLS:
        was = before.get(symbol, before.get(EVERYWHERE, {}))
        own = _loosened(was, limits_of(config)[symbol])
        said += [f"{text} for {symbol}" for text in own if text not in said]
    return tuple(said)


def _loosened(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name, value in now.items():
        if name in before and _is_looser(name, before[name], value):
            yield f"{name} {_shown(before[name])} -> {_shown(value)}"


def _is_looser(name: str, before: Any, now: Any) -> bool:
    if isinstance(now, Mapping):  # of a symbol that is not named there is no such limit
        symbols = {*before, *now}
        return any(now.get(s, math.inf) > before.get(s, math.inf) for s in symbols)
    match limit_names()[name]:
        case "higher":
            return _height(name, now) > _height(name, before)
        case "lower":
            return _height(name, now) < _height(name, before)
        case words:  # of an unknown one nothing is known: any is looser
            return words.index(now) > (words.index(before) if before in words else -1)


def _height(name: str, value: Any) -> float:
    return math.inf if name in _OFF_AT_ZERO and value == 0 else float(value)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
