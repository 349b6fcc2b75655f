"""Loads a user's strategy by class path, and refuses one that looks into the future."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import ConfigurationError, SelfCheckError
from core.symbol.prefix import check_prefix_invariance
from core.symbol.strategy import EnhancedStrategy, Strategy
from core.venue.simulated.market import PriceSource
from core.venue.simulated.seeded import SeededPrices

_SAMPLE_SEED = 20_260_701
_SAMPLE_START_MS = 1_767_225_600_000  # 2026-01-01 00:00 UTC; any fixed moment will do
_SAMPLE_BARS = 400


def load_strategy_class(class_path: str) -> type[Strategy]:
    """Return the class named `module:Class`; an empty path means `EnhancedStrategy`.

    The module is looked for in the current folder and on Python's path.
    """
    if not class_path:
        return EnhancedStrategy
    module_name, _, class_name = class_path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # a user's module may raise whatever it likes
        raise ConfigurationError(
            f"STRATEGY must name an importable class as module:Class, was {class_path!r} "
            f"({type(error).__name__}: {error}). Fix: check the names, and run from the folder "
            "that holds the module."
        ) from error
    if not (isinstance(found, type) and hasattr(found, "generate_signal")):
        raise ConfigurationError(
            f"STRATEGY must name a class with generate_signal(df), {class_path!r} is none. "
            "Fix: see the README's section on writing a strategy."
        )
    return found


def refuse_look_ahead(strategy: Strategy, name: str) -> None:
    """Raise SelfCheckError if past signals change when later bars are cut off, or none come."""
    try:
        bars = max(_SAMPLE_BARS, strategy.warmup + 100)
        violations = check_prefix_invariance(strategy, sample_candles(bars))
    except Exception as error:  # a user's code may raise whatever it likes
        raise SelfCheckError(
            f"STRATEGY {name} failed on sample candles ({type(error).__name__}: {error}). "
            "Fix: have a warmup, and answer (BUY, SELL, CLOSE or None, strength, dict) for any."
        ) from error
    if violations:
        raise SelfCheckError(
            f"STRATEGY {name} changes its past signals when the future is cut off "
            f"({len(violations)} times; first: {violations[0]}). "
            "Fix: use nothing later than the bar decided on."
        )


def sample_candles(bars: int) -> pd.DataFrame:
    """Return seeded one-minute candles, the same at every call."""
    source: PriceSource = SeededPrices(("BTCUSDT",), _SAMPLE_SEED, _SAMPLE_START_MS, bars)
    table = source.bars("BTCUSDT", -bars, bars)
    columns = {name: getattr(table, name) for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(columns, index=pd.to_datetime(table.open_ms, unit="ms", utc=True))
