"""What a backtest runs on: aligned closed candles of all symbols, funding, and trading rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.errors import DataError
from core.symbol.indicators import FloatArray, IntArray
from core.venue.instrument import Instrument

OPEN, HIGH, LOW, CLOSE, VOLUME, TAKER = range(6)  # rows of a symbol's table


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """One settlement: what each position pays (rate > 0: longs pay) at the open of bar `bar`."""

    bar: int
    rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tape:
    """Bars 0..n - 1 of every symbol on one grid without holes.

    `open_ms`: (n,) UTC, `interval_ms` apart; `bars`: symbol -> (6, n) open high low close volume
    taker_buy_volume, prices in quote and volumes in base units, taker volume NaN where unknown.
    Raises DataError where they do not fit together.
    """

    interval_ms: int
    open_ms: IntArray
    bars: Mapping[str, FloatArray]
    instruments: Mapping[str, Instrument]
    funding: Mapping[str, tuple[Funding, ...]]  # ascending; a symbol without is never charged

    def __post_init__(self) -> None:
        if not self.bars:
            raise DataError("backtest: no symbol. Fix: give data of at least one")
        for symbol, table in self.bars.items():
            if table.shape != (6, len(self.open_ms)):
                raise DataError(f"backtest: {symbol} has {table.shape[1]} bars, not {len(self)}")
            if symbol not in self.instruments:
                raise DataError(f"backtest: no trading rules for {symbol}. Fix: leave it out")
        steps = self.open_ms[1:] - self.open_ms[:-1]
        if len(steps) and not (steps == self.interval_ms).all():
            raise DataError("backtest: the bars are not on one grid. Fix: fill or cut the holes")

    def __len__(self) -> int:
        return len(self.open_ms)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols in the order in which they decide."""
        return tuple(self.bars)

    def cut(self, start: int, end: int) -> "Tape":
        """Return bars `start` to `end` - 1 as a tape of its own."""
        return Tape(
            interval_ms=self.interval_ms,
            open_ms=self.open_ms[start:end],
            bars={symbol: table[:, start:end] for symbol, table in self.bars.items()},
            instruments=self.instruments,
            funding={
                symbol: tuple(
                    Funding(bar=one.bar - start, rate=one.rate)
                    for one in rows
                    if start <= one.bar < end
                )
                for symbol, rows in self.funding.items()
            },
        )
