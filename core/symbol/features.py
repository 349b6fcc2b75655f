"""The features of a closed bar: one definition for live trading, backtest and training.

`compute_features` gives a whole history, `FeatureState` one bar after another, `RollingFeatures`
the newest row of a frame that grows or slides by one bar.  All three run the compiled step of
`core.symbol.indicators`, so their values are equal bit for bit from the same first bar.

Warm-up: the first `FEATURES_WARMUP` - 1 rows are NaN.  From there on every value is finite, but the
averages still remember where the frame began: 200 bars leave up to 3e-4 (EMA 50), 1,000 bars
(`FEATURES_EXACT`) less than 1e-9 relative.  A bar with an impossible number gives a NaN row and is
otherwise skipped.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.errors import ConfigurationError, DataError
from core.symbol.indicators import (
    FEATURE_COUNT,
    FloatArray,
    IntArray,
    new_state,
    run_history,
    step,
)

FEATURE_NAMES: tuple[str, ...] = (
    "price_change",
    "price_change_2",
    "price_change_5",
    "price_change_10",
    "price_change_20",
    "volatility_5",
    "volatility_10",
    "volatility_20",
    "volume_change",
    "volume_ratio",
    "volume_std",
    "ema_cross_9_21",
    "ema_cross_21_50",
    "bb_position",
    "bb_width",
    "rsi_7",
    "rsi_14",
    "rsi_21",
    "macd",
    "macd_histogram",
    "stoch_k",
    "stoch_d",
    "atr_ratio",
    "williams_r",
    "cci",
    "mfi",
    "hour",
    "is_weekend",
    "is_london_open",
    "is_ny_open",
    "body_share",
    "upper_wick_share",
    "lower_wick_share",
    "range_ratio",
    "range_position_20",
    "momentum_z",
    "volume_z",
    "trend_efficiency_20",
    "return_skew_20",
    "return_autocorrelation_20",
    "signed_volume_ratio",
    "vwap_distance_20",
    "minute",
    "taker_imbalance",
)
"""Names and order of a feature row.  Units:

- `price_change*`: simple return over that many bars; `volatility_*`: sample deviation of 1-bar
  returns; `volume_change`: fraction; `volume_ratio`: to the 20-bar mean; `volume_std`: base units;
- `ema_cross_a_b`: (EMA a - EMA b) / close; `bb_*` (20, 2): position 0 at the lower band and 1 at
  the upper, width in percent of the middle; `rsi_*`, `stoch_*`, `mfi`: 0..100; `williams_r`:
  -100..0; `macd*` (12, 26, 9): quote; `atr_ratio`: ATR 14 / close;
- clock, UTC, of the bar's open: `hour`, `minute`; London 8-16 and New York 13-21 on weekdays;
- `body_share`, `*_wick_share`: shares of the bar's range; `range_ratio`: range / ATR 14;
  `range_position_20`: 0..1; `momentum_z`: 20-bar return / (volatility_20 * sqrt 20);
  `volume_z`: deviations; `trend_efficiency_20`: net / travelled distance, -1..1;
  `signed_volume_ratio`: volume of rising less falling bars, share of 20-bar volume;
  `vwap_distance_20`: fraction; `taker_imbalance`: -1..1, 0 where the frame has no taker volume.
"""

FEATURES_EXACT = 1_000
"""Bars after which values no longer depend on the first bar (1e-9 relative)."""

FeatureEngine = Literal["numba", "ta"]

PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
TAKER_COLUMN = "taker_buy_volume"
CANDLE_COLUMNS = (*PRICE_COLUMNS, TAKER_COLUMN)

assert len(FEATURE_NAMES) == FEATURE_COUNT


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """A private copy of a candle frame: one row per column, so that each is contiguous."""

    open_ms: IntArray  # (n,) UTC
    table: FloatArray  # (6, n): open high low close volume taker_buy_volume (NaN where unknown)

    @property
    def close(self) -> FloatArray:
        """Closing prices, (n,)."""
        closes: FloatArray = self.table[3]
        return closes

    def __len__(self) -> int:
        return len(self.open_ms)

    def continues(self, seen: "Bars", *, new: int) -> bool:
        """Whether these are the bars of `seen`, `new` more, and perhaps some lost in front."""
        length = len(self) - new
        lost = len(seen) - length
        if length < 1 or lost < 0:
            return False
        # Compared as bits: a NaN equals itself.
        return np.array_equal(seen.open_ms[lost:], self.open_ms[:length]) and np.array_equal(
            seen.table[:, lost:].view(np.int64), self.table[:, :length].view(np.int64)
        )


def bars_of(df: pd.DataFrame) -> Bars:
    """Copy the numbers of a candle frame.

    `df` has a UTC DatetimeIndex of open times and float64 `open high low close volume`;
    `taker_buy_volume` is read where present.  Raises DataError if the index or a column is missing
    or a value is no number.
    """
    index = df.index
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(
            f"candles: the index is {type(index).__name__}. Fix: a UTC DatetimeIndex of open times"
        )
    names = df.columns.tolist()
    missing = [name for name in PRICE_COLUMNS if name not in names]
    if missing:
        raise DataError(f"candles: column {missing[0]} is missing. Fix: give {PRICE_COLUMNS}")
    values = np.full((6, len(df)), np.nan, dtype=np.float64)
    wanted = CANDLE_COLUMNS if TAKER_COLUMN in names else PRICE_COLUMNS
    places = [names.index(name) for name in wanted]
    # One block for the whole frame is many times cheaper than one Series per column.
    table = df.to_numpy() if len(names) == len(wanted) else df.iloc[:, places].to_numpy()
    order = places if len(names) == len(wanted) else range(len(wanted))
    try:
        for row, place in enumerate(order):
            values[row] = table[:, place]
    except (TypeError, ValueError) as error:
        raise DataError(f"candles: not a number ({error}). Fix: give float64 columns") from None
    milliseconds = index if index.unit == "ms" else index.as_unit("ms")
    return Bars(np.array(milliseconds.asi8, dtype=np.int64), values)


def compute_features(df: pd.DataFrame, *, engine: FeatureEngine = "numba") -> pd.DataFrame:
    """Return the features of every bar: index of `df`, columns `FEATURE_NAMES`, float64.

    `engine="ta"` computes what the `ta` library knows with it (500 times slower): the reference
    that the compiled step is held to.  Raises DataError for a frame that is no candle frame.
    """
    values = feature_matrix(df, engine=engine)
    return pd.DataFrame(values, index=df.index, columns=list(FEATURE_NAMES), copy=False)


def feature_matrix(df: pd.DataFrame, *, engine: FeatureEngine = "numba") -> FloatArray:
    """Return `compute_features` as a plain (rows, `FEATURE_COUNT`) array."""
    values = np.empty((len(df), FEATURE_COUNT), dtype=np.float64)
    _run(bars_of(df), new_state(), values)
    if engine == "ta":
        # Late: the compiled engine, which is the default, never needs the library.
        from core.symbol.features_reference import reference_features

        return reference_features(df, values, FEATURE_NAMES)
    if engine != "numba":
        raise ConfigurationError(f"FEATURE_ENGINE is {engine}. Fix: use numba or ta")
    return values


class FeatureState:
    """The memory of one symbol, stepped one closed bar at a time."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = new_state()

    def copy(self) -> "FeatureState":
        """Return an independent memory of the same bars."""
        twin = FeatureState()
        twin._state[:] = self._state
        return twin

    def step(  # noqa: PLR0917 -- the venue's order of columns
        self,
        open_ms: int,
        opened: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        taker_buy_volume: float = float("nan"),
    ) -> FloatArray:
        """Take the next closed bar; return its row, (`FEATURE_COUNT`,), NaN while warming up."""
        row = np.empty(FEATURE_COUNT, dtype=np.float64)
        step(self._state, open_ms, opened, high, low, close, volume, taker_buy_volume, row)
        return row

    def run(self, bars: Bars) -> FloatArray:
        """Take many bars; return their rows, (n, `FEATURE_COUNT`)."""
        rows = np.empty((len(bars), FEATURE_COUNT), dtype=np.float64)
        _run(bars, self._state, rows)
        return rows


class RollingFeatures:
    """The newest feature row of a frame, one step per bar where the frame allows it.

    A frame that continues the previous one (same bars where both have them, one bar more, the
    oldest perhaps dropped) costs one step, and then the averages remember the bars that slid out:
    called bar by bar the rows equal those of the whole history, bit for bit.  Any other frame is
    computed from its own first bar.  What it remembers is replaced as a whole, never changed: a
    call that dies or is overtaken by another thread costs the next one a recomputation, no more.
    """

    __slots__ = ("_engine", "_memory")

    def __init__(self, engine: FeatureEngine = "numba") -> None:
        self._engine = engine
        self._memory: tuple[FeatureState, Bars, FloatArray] | None = None

    def latest(self, df: pd.DataFrame) -> FloatArray:
        """Return the features of the last bar of `df` (`FEATURE_COUNT`,); raises DataError."""
        if self._engine != "numba":
            reference: FloatArray = feature_matrix(df, engine=self._engine)[-1]
            return reference
        bars = bars_of(df)
        memory = self._memory
        if memory is not None and bars.continues(memory[1], new=0):
            return memory[2]
        if memory is not None and bars.continues(memory[1], new=1):
            state = memory[0].copy()
            row = state.step(int(bars.open_ms[-1]), *bars.table[:, -1].tolist())
        else:
            state = FeatureState()
            row = state.run(bars)[-1]
        self._memory = (state, bars, row)
        return row


def compile_steps() -> None:
    """Compile every step of the symbol room into numba's disk cache (seconds once, then none)."""
    from core.symbol import signals, trees

    state = FeatureState()
    state.step(0, 1.0, 1.0, 1.0, 1.0, 1.0)
    bars = Bars(np.zeros(1, dtype=np.int64), np.ones((6, 1), dtype=np.float64))
    signals.compile_scores(state.run(bars))
    trees.compile_walk()


def _run(bars: Bars, state: FloatArray, rows: FloatArray) -> None:
    opened, high, low, close, volume, taker = bars.table
    run_history(state, bars.open_ms, opened, high, low, close, volume, taker, rows)
