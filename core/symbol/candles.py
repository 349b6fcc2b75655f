"""The last closed candles of one symbol, in order and without holes."""

import math
from enum import Enum

import numpy as np
import pandas as pd

from core.symbol.features import CANDLE_COLUMNS, bars_of
from core.symbol.indicators import FloatArray


class Appended(Enum):
    """What became of a candle handed to `CandleBuffer.append`."""

    APPENDED = "appended"
    DUPLICATE = "duplicate"  # the newest candle again: nothing changed
    GAP = "gap"  # later than the next one: not taken, the history must be fetched again
    STALE = "stale"  # older than the newest: not taken


class CandleBuffer:
    """Closed candles, oldest first; keeps the newest `capacity`.

    Rows live in one array of twice the capacity and are moved to its front when the end is
    reached, so that any window is contiguous and an append costs O(1) on average.
    """

    def __init__(self, capacity: int, interval_ms: int) -> None:
        if capacity < 1 or interval_ms < 1:
            raise ValueError(f"capacity {capacity} and interval_ms {interval_ms} must be positive")
        self._capacity = capacity
        self._interval_ms = interval_ms
        self._columns = pd.Index(CANDLE_COLUMNS)
        self._times = np.zeros(2 * capacity, dtype=np.int64)
        self._values: FloatArray = np.zeros((len(CANDLE_COLUMNS), 2 * capacity), dtype=np.float64)
        self._start = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def last_close_ms(self) -> int:
        """Close time of the newest candle as the venue states it (its last ms), UTC; 0 if none."""
        if self._start == self._end:
            return 0
        return int(self._times[self._end - 1]) + self._interval_ms - 1

    def append(  # noqa: PLR0917 -- the venue's order of columns
        self,
        open_time_ms: int,
        opened: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        taker_buy_volume: float = math.nan,
    ) -> Appended:
        """Take the next closed candle, or say why not."""
        if len(self):
            newest = int(self._times[self._end - 1])
            if open_time_ms == newest:
                return Appended.DUPLICATE
            if open_time_ms < newest:
                return Appended.STALE
            if open_time_ms != newest + self._interval_ms:
                return Appended.GAP
        if self._end == self._times.shape[0]:
            self._move_to_front()
        self._times[self._end] = open_time_ms
        self._values[:, self._end] = (opened, high, low, close, volume, taker_buy_volume)
        self._end += 1
        self._start = max(self._start, self._end - self._capacity)
        return Appended.APPENDED

    def replace(self, history: pd.DataFrame) -> None:
        """Forget everything and take the newest `capacity` rows of a candle frame.

        Raises DataError for a frame that is no candle frame, ValueError if its open times are not
        one interval apart.
        """
        bars = bars_of(history.iloc[-self._capacity :])
        apart = np.diff(bars.open_ms)
        if apart.size and (apart != self._interval_ms).any():
            row = int(np.flatnonzero(apart != self._interval_ms)[0])
            raise ValueError(
                f"candle history jumps by {int(apart[row])} ms after open time "
                f"{int(bars.open_ms[row])}, must be {self._interval_ms}"
            )
        count = len(bars)
        self._times[:count] = bars.open_ms
        self._values[:, :count] = bars.table
        self._start, self._end = 0, count

    def frame(self, last: int | None = None) -> pd.DataFrame:
        """Return a copy of the newest `last` candles (all by default).

        UTC DatetimeIndex of open times; float64 open high low close volume taker_buy_volume
        (the last NaN where the venue did not say).
        """
        start = self._start if last is None else max(self._start, self._end - last)
        times = self._times[start : self._end].view("datetime64[ms]").copy()
        values = self._values[:, start : self._end].copy()
        index = pd.DatetimeIndex(times).tz_localize("UTC")
        return pd.DataFrame(values.T, index=index, columns=self._columns, copy=False)

    def _move_to_front(self) -> None:
        kept = slice(self._start, self._end)
        count = len(self)
        self._times[:count] = self._times[kept].copy()
        self._values[:, :count] = self._values[:, kept].copy()
        self._start, self._end = 0, count
