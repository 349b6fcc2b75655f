"""Small tapes, written bar by bar, and what is decided on them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from actors.edges.tape_files import rules_of
from config import Config
from core.backtest.result import BacktestResult
from core.backtest.run import run_backtest
from core.backtest.tape import Funding, Tape
from core.symbol.strategy import DecidedRows

MINUTE_MS = 60_000
NOON_MS = 1_750_075_200_000 // 86_400_000 * 86_400_000 + 43_200_000
BTC = "BTCUSDT"
Bar = tuple[float, float, float, float]  # open high low close
WIDE: dict[str, Any] = {
    "STOPLOSS_PCT": 0.02,
    "TAKE_PROFIT_PCT": 0.04,
    "SLIPPAGE_BPS": 0.0,
    "TAKER_FEE": 0.0,
    "GAP_ALLOWANCE": 0.0,
    "MAX_ENTRIES_SYMBOL_1H": 10_000,
    "MAX_ENTRIES_DAY": 100_000,
    "LOSS_STREAK_LATCH": 0,
    "MAX_CORRELATED_X": 100.0,
    "MAX_SIGNAL_RATIO": 1e9,
}


def settings(symbols: Sequence[str] = (BTC,), **changes: Any) -> Config:
    return Config(
        _env_file=None,
        _environ={},
        SYMBOLS=list(symbols),
        ALLOW_TECHNICAL_ONLY=True,
        **(WIDE | changes),
    )


def tape(
    bars: Mapping[str, Sequence[Bar]],
    *,
    start_ms: int = NOON_MS,
    funding: Mapping[str, Sequence[tuple[int, str]]] | None = None,
    step_ms: int = MINUTE_MS,
) -> Tape:
    """Bars of open, high, low, close; funding as (bar, rate)."""
    length = len(next(iter(bars.values())))
    tables = {}
    for symbol, rows in bars.items():
        prices = np.array(rows, dtype=np.float64).T
        rest = np.stack([np.full(length, 10.0), np.full(length, np.nan)])
        tables[symbol] = np.vstack([prices, rest])
    config = settings(tuple(bars))
    return Tape(
        interval_ms=step_ms,
        open_ms=start_ms + step_ms * np.arange(length, dtype=np.int64),
        bars=tables,
        instruments={symbol: rules_of(symbol, config) for symbol in bars},
        funding={
            symbol: tuple(Funding(bar=bar, rate=Decimal(rate)) for bar, rate in rows)
            for symbol, rows in (funding or {}).items()
        },
    )


def wishes(length: int, at: Mapping[int, int]) -> DecidedRows:
    """Decisions: bar -> 1 to buy, -1 to sell, 2 to close."""
    rows = DecidedRows.none(length)
    for bar, side in at.items():
        rows.sides[bar], rows.strengths[bar] = side, 0.9
    return rows


def traded(
    paper: Tape, at: Mapping[str, Mapping[int, int]], *, start: int = 0, **changes: Any
) -> BacktestResult:
    """Run the decisions over a tape."""
    decided = {s: wishes(len(paper), at.get(s, {})) for s in paper.symbols}
    return run_backtest(
        paper, settings(paper.symbols, **changes), decided, start=start, strategy_name="paper"
    )


def flat(price: float, count: int) -> list[Bar]:
    """Bars around one price, each with a small range."""
    return [(price, price + 1, price - 1, price)] * count
