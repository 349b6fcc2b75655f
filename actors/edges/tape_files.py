"""From history files to the tape of a backtest: one grid, holes filled by the stated rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from actors.edges.history_files import read_funding
from actors.edges.history_report import HistoryReport
from actors.edges.listing import brackets_of
from config import Config
from core.backtest.tape import CLOSE, OPEN, VOLUME, Funding, Tape
from core.clock import NS_PER_MS, interval_ns
from core.errors import DataError
from core.symbol.features import PRICE_COLUMNS, TAKER_COLUMN
from core.symbol.indicators import FloatArray
from core.venue.instrument import Instrument
from core.venue.simulated.instruments import exchange_info_symbol, leverage_bracket, listed

_HOLE_MAX_MS = 86_400_000
_SETTLES_LATE_MS = 59_999  # recorded settlements carry some ms of delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A tape, and how many bars of it were missing in the files, by symbol."""

    tape: Tape
    filled_bars: Mapping[str, int]


def tape_of(
    config: Config,
    frames: Mapping[str, pd.DataFrame],
    funding: Path,
    *,
    report: HistoryReport,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Recording:
    """Put the common window of some histories on one grid; `funding` is the folder of the rates.

    `since` (inclusive) and `until` (exclusive), UTC, bound what is traded; the bars before `since`
    stay, to warm up on.  Missing bars are filled flat; a hole of more than a day is refused.
    Raises DataError for data that is missing, damaged, or without its funding rates.
    """
    step_ms = interval_ns(config.KLINE_INTERVAL) // NS_PER_MS
    first = max(_ms(frame.index[0]) for frame in frames.values())
    last = min(_ms(frame.index[-1]) for frame in frames.values())
    if until is not None:
        last = min(last, _ms(until) - step_ms)
    if last <= first:
        raise DataError(
            "backtest: the symbols have no common window. Fix: give data of the same time"
        )
    grid = np.arange(first, last + 1, step_ms, dtype=np.int64)
    bars, filled = {}, {}
    for symbol, frame in frames.items():
        bars[symbol], filled[symbol] = _on_grid(symbol, frame, grid, step_ms)
    tape = Tape(
        interval_ms=step_ms,
        open_ms=grid,
        bars=bars,
        instruments={symbol: rules_of(symbol, config) for symbol in frames},
        funding={}
        if config.FUNDING == "zero"
        else _settlements(
            funding, tuple(frames), grid, step_ms=step_ms, since=since, report=report
        ),
    )
    return Recording(tape=tape, filled_bars=filled)


def rules_of(symbol: str, config: Config) -> Instrument:
    """Return the trading rules of a symbol as the embedded venue lists it.

    Raises ConfigurationError for one that it does not list.
    """
    found = listed(symbol)
    fallback = Decimal(str(config.for_symbol(symbol).MIN_ORDER_USD_FALLBACK))
    rules = Instrument.from_exchange_info(
        exchange_info_symbol(found), min_notional_fallback=fallback
    )
    return replace(rules, brackets=brackets_of(leverage_bracket(found)))


def _on_grid(
    symbol: str, frame: pd.DataFrame, grid: np.ndarray, step_ms: int
) -> tuple[FloatArray, int]:
    """Return a symbol's table on the grid, and how many bars had to be filled."""
    stamps = _all_ms(frame)
    # The newest bar before the grid begins: what is missing at its start is filled from there.
    begun = int(stamps.searchsorted(grid[0], side="right")) - 1
    ended = int(stamps.searchsorted(grid[-1], side="right"))
    _refuse_long_holes(symbol, np.append(stamps[begun:ended], grid[-1] + step_ms), step_ms)
    inside = (stamps >= grid[0]) & (stamps <= grid[-1])
    places = (stamps[inside] - grid[0]) // step_ms
    table = np.full((6, len(grid)), np.nan)
    names = (*PRICE_COLUMNS, TAKER_COLUMN)
    for row, name in enumerate(names):
        if name in frame.columns:
            table[row, places] = frame[name].to_numpy()[inside]
    missing = np.isnan(table[0])
    if not missing.any():
        return table, 0
    before = np.maximum.accumulate(np.where(missing, -1, np.arange(len(grid))))
    closes = np.where(before >= 0, table[CLOSE, before], frame["close"].to_numpy()[begun])
    table[OPEN : CLOSE + 1, missing] = closes[missing]
    table[VOLUME, missing] = 0.0
    return table, int(missing.sum())


def _refuse_long_holes(symbol: str, stamps: np.ndarray, step_ms: int) -> None:
    steps = np.diff(stamps)
    longest = int(steps.argmax())
    if steps[longest] - step_ms > _HOLE_MAX_MS:
        at = pd.Timestamp(int(stamps[longest]), unit="ms", tz="UTC")
        raise DataError(
            f"backtest: {symbol} lacks more than a day after {at:%Y-%m-%d %H:%M}."
            " Fix: use --from and --to, or fill the files"
        )


def _settlements(
    folder: Path,
    symbols: Sequence[str],
    grid: np.ndarray,
    *,
    step_ms: int,
    since: datetime | None,
    report: HistoryReport,
) -> dict[str, tuple[Funding, ...]]:
    start = (
        pd.Timestamp(int(grid[0]), unit="ms", tz="UTC") if since is None else pd.Timestamp(since)
    )
    end = pd.Timestamp(int(grid[-1]), unit="ms", tz="UTC")
    rates = read_funding(folder, symbols, start, end, report=report)
    found = {}
    for symbol, frame in rates.items():
        # The first bar that opens at a settlement or after it.
        bars = (_all_ms(frame) - _SETTLES_LATE_MS + step_ms - 1 - grid[0]) // step_ms
        on = (bars >= 1) & (bars < len(grid))
        values = frame["funding_rate"].to_numpy()
        found[symbol] = tuple(
            Funding(bar=int(bar), rate=Decimal(repr(float(rate))))
            for bar, rate in zip(bars[on], values[on], strict=True)
        )
    return found


def _ms(stamp: datetime) -> int:
    return int(stamp.timestamp() * 1000)


def _all_ms(frame: pd.DataFrame) -> np.ndarray:
    index = frame.index
    assert isinstance(index, pd.DatetimeIndex)
    return np.asarray(index.as_unit("ms").asi8)
