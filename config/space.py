"""The space of a sweep: which settings are searched, and where; read from YAML.

    STOPLOSS_PCT: {low: 0.002, high: 0.03, log: true}
    MIN_SIGNAL_STRENGTH: {low: 0.3, high: 0.8, step: 0.05}
    MAX_OPEN_POSITIONS: [1, 2, 3]

A range of two whole numbers holds whole numbers only.  Both ends of a range and every choice must
be values that the setting itself accepts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from config.explaining import sentence
from config.loading import suggestion
from config.settings import Config, secret_names
from core.errors import ConfigurationError

_RANGE_KEYS: Final = frozenset({"low", "high", "step", "log"})
_SIZE_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """All numbers from `low` to `high`, both included; whole ones if both are ints.

    `step`: only every so many from `low` on; `log`: small numbers are searched as finely as large.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One of these values: numbers, texts or truth values."""

    values: tuple[Any, ...]


Space = dict[str, Range | Choices]


def read_space(path: Path) -> Space:
    """Read a space file; raises ConfigurationError naming the file, the setting and the fix."""
    try:
        text = path.read_bytes()[: _SIZE_MAX + 1]
    except OSError as error:
        raise ConfigurationError(
            f"--space {path} cannot be read ({error.strerror}). Fix: give a YAML file"
        ) from None
    if len(text) > _SIZE_MAX:
        raise ConfigurationError(f"--space {path} is larger than {_SIZE_MAX} bytes. Fix: cut it")
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise ConfigurationError(f"--space {path} is no YAML ({what}). Fix: correct it") from None
    if not isinstance(given, dict) or not given:
        raise ConfigurationError(
            f"--space {path} names no setting. Fix: write for example"
            " STOPLOSS_PCT: {low: 0.002, high: 0.03}"
        )
    space: Space = {}
    for key, wish in given.items():
        name = str(key).upper()
        if name in space:
            raise _wrong(path, name, "is there twice", "keep one of them")
        space[name] = _dimension(path, name, wish)
    return space


def _dimension(path: Path, name: str, wish: Any) -> Range | Choices:
    known = set(Config.model_fields) - secret_names()
    if name not in known:
        raise _wrong(path, name, "is not a setting", suggestion(name, known))
    match wish:
        case {"low": low, "high": high, **rest} if set(wish) <= _RANGE_KEYS:
            return _range(path, name, low, high, rest)
        case [_, _, *_]:
            return Choices(values=tuple(_checked(path, name, value) for value in wish))
        case _:
            raise _wrong(
                path,
                name,
                "is neither a range nor a list of two or more",
                "write {low: 1, high: 5} or [1, 2, 5]",
            )


def _range(path: Path, name: str, low: Any, high: Any, rest: Mapping[str, Any]) -> Range:
    step, log = rest.get("step"), rest.get("log", False)
    for value in (low, high, step):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise _wrong(path, name, f"has {value!r:.40}, which is no number", "give a number")
    if not low < high:
        raise _wrong(path, name, f"goes from {low} to {high}", "put the lower end first")
    if not isinstance(log, bool):
        raise _wrong(path, name, f"has log: {log!r:.40}", "write true or false")
    if step is not None and not 0 < step <= high - low:
        raise _wrong(path, name, f"has the step {step}", "take one within the range")
    if log and (low <= 0 or step is not None):
        raise _wrong(path, name, "cannot be logarithmic", "start above 0 and leave out the step")
    for end in (low, high):
        _checked(path, name, end)
    return Range(low=low, high=high, step=step, log=log)


def _checked(path: Path, name: str, value: Any) -> Any:
    try:
        return Config.checked(name, value)
    except ValidationError as error:
        phrase, fix = sentence(error.errors()[0])
        raise _wrong(path, name, f"has {value!r:.40}, which {phrase}", fix) from None


def _wrong(path: Path, name: str, phrase: str, fix: str) -> ConfigurationError:
    return ConfigurationError(f"--space {path}: {name} {phrase}. Fix: {fix}")
