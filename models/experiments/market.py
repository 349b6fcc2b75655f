"""The numbers of all experiments: several symbols on one time axis, with their features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import DataError
from core.symbol.features import FEATURE_NAMES, TAKER_COLUMN, bars_of, feature_matrix
from core.symbol.indicators import FloatArray, IntArray
from models.labels import future_returns, interval_ms

FLOW_COLUMNS = ("trade_imbalance", "book_imbalance")
"""Columns that only the bot's own recording has (`core/feed/order_flow.py`), each -1..1."""

_AFTER_GAP = 60  # bars: the longest look-back of a feature that is no average


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """Symbols by open times that all of them have: (symbols, bars) arrays, oldest bar first."""

    symbols: tuple[str, ...]
    open_ms: IntArray  # (n,) UTC
    close: FloatArray  # (s, n)
    features: FloatArray  # (s, n, features): NaN in the warm-up and soon after a hole
    flow: Mapping[str, FloatArray]  # (s, n) by name: what every symbol has of taker and book

    def until(self, bars: int) -> "Market":
        """Return the market as it was after `bars` bars."""
        return replace(
            self,
            open_ms=self.open_ms[:bars],
            close=self.close[:, :bars],
            features=self.features[:, :bars],
            flow={name: values[:, :bars] for name, values in self.flow.items()},
        )

    def feature(self, name: str) -> FloatArray:
        """Return one of `FEATURE_NAMES`, (s, n)."""
        values: FloatArray = self.features[:, :, FEATURE_NAMES.index(name)]
        return values

    def labels(self, horizon: int) -> FloatArray:
        """Return the return over the next `horizon` bars, (s, n), NaN where it is not known."""
        return np.stack([future_returns(close, self.open_ms, horizon) for close in self.close])

    def returns(self, lag: int = 0) -> FloatArray:
        """Return the one-bar return that ended `lag` bars ago, (s, n); NaN across holes."""
        step = interval_ms(self.open_ms)
        found = np.full(self.close.shape, np.nan)
        found[:, 1:] = self.close[:, 1:] / self.close[:, :-1] - 1.0
        found[:, 1:][:, np.diff(self.open_ms) != step] = np.nan
        return lagged(found, lag)


def lagged(values: FloatArray, lag: int) -> FloatArray:
    """Return `values` (s, n) as they stood `lag` bars before; NaN where there was nothing."""
    moved = np.full(values.shape, np.nan)
    moved[:, lag:] = values[:, : values.shape[1] - lag]
    return moved


def trailing_mean(values: FloatArray, bars: int) -> FloatArray:
    """Return the mean of the newest `bars` values of each row of (s, n); NaN before there are."""
    means = np.full(values.shape, np.nan)
    if values.shape[1] >= bars:
        windows = np.lib.stride_tricks.sliding_window_view(values, bars, axis=1)
        means[:, bars - 1 :] = windows.mean(axis=2)
    return means


def market_of(frames: Mapping[str, pd.DataFrame]) -> Market:
    """Put candle frames by symbol on the open times that all have.

    Beside the candles, `taker_buy_volume` and `FLOW_COLUMNS` are read where every frame has them.
    Raises DataError without frames, and for frames without a common bar.
    """
    if not frames:
        raise DataError("experiments: no candles. Fix: give a folder that holds some")
    common = pd.DatetimeIndex(next(iter(frames.values())).index)
    for df in frames.values():
        common = common.intersection(pd.DatetimeIndex(df.index))
    if len(common) == 0:
        raise DataError("experiments: the symbols have no bar in common. Fix: give one window")
    bars = {symbol: bars_of(df.loc[common]) for symbol, df in frames.items()}
    open_ms = next(iter(bars.values())).open_ms
    whole = _away_from_holes(open_ms)
    tables = []
    for df in frames.values():
        table = feature_matrix(df)[df.index.get_indexer(common)]
        table[~whole] = np.nan
        tables.append(table)
    return Market(
        symbols=tuple(frames),
        open_ms=open_ms,
        close=np.stack([found.close for found in bars.values()]),
        features=np.stack(tables),
        flow=_flow(frames, common),
    )


def _away_from_holes(open_ms: IntArray) -> NDArray[np.bool_]:
    """Mark the bars with no hole among the bars shortly before them."""
    whole = np.ones(len(open_ms), dtype=np.bool_)
    for place in np.flatnonzero(np.diff(open_ms) != interval_ms(open_ms)):
        whole[place + 1 : place + 1 + _AFTER_GAP] = False
    return whole


def _flow(frames: Mapping[str, pd.DataFrame], common: pd.DatetimeIndex) -> dict[str, FloatArray]:
    """Return taker imbalance and the recorded columns, -1..1; a bar without trades has 0."""
    found = {}
    if all(TAKER_COLUMN in df.columns for df in frames.values()):
        shares = []
        for df in frames.values():
            rows = df.loc[common]
            volume = rows["volume"].to_numpy(np.float64)
            taker = rows[TAKER_COLUMN].to_numpy(np.float64)
            share = np.divide(taker, volume, out=np.full(len(rows), 0.5), where=volume > 0.0)
            shares.append(2.0 * share - 1.0)
        found["taker_imbalance"] = np.stack(shares)
    for name in FLOW_COLUMNS:
        if all(name in df.columns for df in frames.values()):
            columns = [df.loc[common, name].to_numpy(np.float64) for df in frames.values()]
            found[name] = np.stack(columns)
    return found
