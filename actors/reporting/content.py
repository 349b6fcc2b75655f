"""What a page tells of: a result, and what has to be known to judge it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from config import Config
from core.backtest.result import BacktestResult, Trade
from core.symbol.indicators import FloatArray, IntArray


class Source(StrEnum):
    """Where a result comes from."""

    BACKTEST = "Backtest"
    DATABASE = "Trading report"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """One symbol's candles; `ohlc` has one row (closes) where nothing else was stored.

    `open_ms`: (n,) UTC, ascending, `step_ms` apart or more; `ohlc`: (4, n) or (1, n), quote per
    base.
    """

    step_ms: int
    open_ms: IntArray
    ohlc: FloatArray

    @property
    def closes(self) -> FloatArray:
        """Return the close of each bar."""
        closes: FloatArray = self.ohlc[-1]
        return closes


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """What fills were worse than the price they were decided at, in quote; and how that is known.

    `amount` is None where it is not known.
    """

    amount: Decimal | None
    how: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Content:
    """Everything a page is made of."""

    source: Source
    result: BacktestResult
    config: Config
    prices: Mapping[str, Prices]
    slippage: Slippage
    strategy: type | None = None
    decided_at_once: bool = False  # on all bars in one call
    models: tuple[str, ...] = ()  # what was said about the models when they were loaded
    trials: int | None = None  # how many settings were tried on these bars; None: not told
    notes: tuple[tuple[str, str], ...] = ()  # title and text: what else a reader must know

    def trades_of(self, symbol: str) -> tuple[Trade, ...]:
        """Return one symbol's trades in the order of their exits."""
        return tuple(trade for trade in self.result.trades if trade.symbol == symbol)

    @property
    def start_ms(self) -> int:
        """Return the open of the first bar judged, UTC."""
        return int(self.result.open_ms[0])

    @property
    def end_ms(self) -> int:
        """Return the close of the last bar judged, UTC."""
        return int(self.result.open_ms[-1]) + self.result.interval_ms

    @property
    def days(self) -> float:
        """Return how long it went on."""
        return (self.end_ms - self.start_ms) / 86_400_000
