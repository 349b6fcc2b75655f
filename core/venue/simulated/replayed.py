"""Recorded one-minute klines, played again as if they happened from now on.

**Window.**  The common window of all symbols is played: from the latest first row to the earliest
last row.  Minutes missing inside it are filled flat at the last close with no volume and counted
(`filled_minutes`); a hole of more than a day is refused, for it is two recordings, not one.

**Stamps.**  The recording is moved in time so that minute 0 opens at the start time.  It moves by a
whole number of weeks, so that hours and weekends stay true; of the positions that weeks offer the
earliest with enough history before it is taken, which leaves the longest run.  A recording too
short to leave a day of play by weeks moves by whole days (hours stay true), and one too short to
leave an hour by days moves by minutes; `shift_unit_minutes` says which.  History and one minute to
play are the least.

**Paths.**  Open, high, low and close are hit exactly and volumes add up exactly; what lies between
is drawn from (seed, symbol, block of the recording), so the same recording gives the same trades
wherever it is moved to.  Taker volume and trade counts are the recorded ones where there are any;
a count that no trades of at least a step each can have is brought to the nearest possible one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from core.errors import DataError
from core.venue.simulated import draws
from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.intrabar import Block, as_doubles, through_extremes, trade_counts
from core.venue.simulated.market import MINUTE_MS, Bar, Bars, Floats, Ints, Minute
from core.venue.simulated.recorded_rules import Recorded, recorded_under
from core.venue.simulated.reel import BLOCK_MINUTES, Reel
from core.venue.simulated.tape import POINTS, print_counts

HOLE_MAX_MINUTES = 1_440
# unit of the move in minutes, and what must be left to play for it to be taken
_SHIFTS = ((10_080, 1_440), (1_440, 60), (1, 1))
_FUNDING_TOLERANCE_MS = MINUTE_MS  # recorded settlements carry some ms of delay


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tape:
    """One symbol's recording on integer grids; -1 in `bought`: not recorded."""

    price_unit: Decimal
    quantity_unit: Decimal
    tick: int  # in price units
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    bought: Ints
    trades: Ints
    trades_before: Ints  # each minute, and at the end all
    prints_before: Ints


class ReplayedPrices:
    """A `PriceSource` that plays recorded klines to their end.

    `frames` hold 1m klines by symbol as `read_history` returns them: UTC DatetimeIndex, float64
    open high low close volume, optional taker_buy_volume and count.  `funding` holds frames with a
    UTC index and a `funding_rate` column.  `start_ms` is cut to the minute.  Raises DataError for
    klines of another interval, a hole of more than a day, or too short a window.
    """

    def __init__(
        self,
        frames: Mapping[str, pd.DataFrame],
        start_ms: int,
        history_minutes: int,
        seed: int,
        funding: Mapping[str, pd.DataFrame] | None = None,
    ) -> None:
        self._seed = seed
        self._history_minutes = history_minutes
        self._first_open_ms = start_ms - start_ms % MINUTE_MS
        first_ms, minutes = _common_window(frames)
        self._minutes = minutes
        self._zero_row, self._shift_unit = _placed(
            first_ms, minutes, self._first_open_ms, history_minutes
        )
        self._shift_ms = self._first_open_ms - (first_ms + self._zero_row * MINUTE_MS)
        self._instruments: dict[str, ListedInstrument] = {}
        self._tapes: dict[str, _Tape] = {}
        self._filled: dict[str, int] = {}
        for symbol, frame in frames.items():
            whole, self._filled[symbol] = _without_holes(symbol, frame, first_ms, minutes)
            recorded = _recorded(symbol, whole)
            self._instruments[symbol] = recorded.rules
            self._tapes[symbol] = _taped(whole, recorded)
        self._funding = {symbol: _rates(frame) for symbol, frame in (funding or {}).items()}
        self._reel = Reel(
            len(self._instruments),
            self._drawn_block,
            first_open_ms=self._first_open_ms,
            zero_row=self._zero_row,
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols in the order of the frames."""
        return tuple(self._instruments)

    @property
    def instruments(self) -> Mapping[str, ListedInstrument]:
        """Return the rules of each symbol, refined to the recording's grids."""
        return self._instruments

    @property
    def first_open_ms(self) -> int:
        """Return the open time of minute 0, as stamped."""
        return self._first_open_ms

    @property
    def history_minutes(self) -> int:
        """Return how many minutes before minute 0 can be asked for."""
        return self._history_minutes

    @property
    def minutes_to_play(self) -> int:
        """Return how many minutes there are from minute 0 to the end."""
        return self._minutes - self._zero_row

    @property
    def filled_minutes(self) -> Mapping[str, int]:
        """Return by symbol how many missing minutes were filled flat."""
        return self._filled

    @property
    def shift_ms(self) -> int:
        """Return stamped time minus recorded time."""
        return self._shift_ms

    @property
    def shift_unit_minutes(self) -> int:
        """Return the unit the recording was moved by: 10,080 weeks, 1,440 days, 1 minutes."""
        return self._shift_unit

    def points_before(self, symbol: str, index: int) -> int:  # noqa: ARG002
        """Return how many path points lie between the start of the history and minute `index`."""
        return (index + self._history_minutes) * POINTS

    def prints_before(self, symbol: str, index: int) -> int:
        """Return at how many of those points something was traded."""
        return self._since_start(self._tapes[symbol].prints_before, index)

    def trades_before(self, symbol: str, index: int) -> int:
        """Return how many trades lie between the start of the history and minute `index`."""
        return self._since_start(self._tapes[symbol].trades_before, index)

    def _since_start(self, before: Ints, index: int) -> int:
        return int(before[self._zero_row + index] - before[self._zero_row - self._history_minutes])

    def plays(self, index: int) -> bool:
        """Tell whether the recording reaches minute `index`."""
        return index < self.minutes_to_play

    def minute(self, symbol: str, index: int) -> Minute:
        """Return the path of minute `index`.  Raises IndexError outside the recording."""
        if not -self._history_minutes <= index < self.minutes_to_play:
            raise IndexError(
                f"minute {index} is not within the history of {self._history_minutes}"
                f" and the {self.minutes_to_play} minutes to play"
            )
        return self._reel.minute(symbol, index)

    def bar(self, symbol: str, index: int) -> Bar:
        """Return the closed candle of minute `index`."""
        return self._reel.bar(symbol, index, 1 + self.trades_before(symbol, index))

    def bars(self, symbol: str, first_index: int, count: int) -> Bars:
        """Return up to `count` klines from `first_index` on, clipped to history and end."""
        return self._reel.bars(symbol, *self._clipped(first_index, count))

    def extremes(self, symbol: str, first_index: int, count: int) -> tuple[Floats, Floats]:
        """Return the lows and highs of those klines, as recorded."""
        index, stop = self._clipped(first_index, count)
        tape, rows = self._tapes[symbol], slice(self._zero_row + index, self._zero_row + stop)
        low, high = tape.low[rows], tape.high[rows]
        return as_doubles(low, tape.price_unit), as_doubles(high, tape.price_unit)

    def _clipped(self, first_index: int, count: int) -> tuple[int, int]:
        stop = min(first_index + count, self.minutes_to_play)
        return max(first_index, -self._history_minutes), stop

    def funding_rate(self, symbol: str, time_ms: int) -> Decimal | None:
        """Return the rate recorded for a settlement; None where nothing was recorded at it."""
        if symbol not in self._funding:
            return None
        times, rates = self._funding[symbol]
        recorded_ms = time_ms - self._shift_ms
        at = int(np.searchsorted(times, recorded_ms))
        if at < len(times) and times[at] - recorded_ms <= _FUNDING_TOLERANCE_MS:
            return rates[at]
        return None

    def premium(self, symbol: str, index: int) -> Decimal:
        """Return mark price over index price, minus 1; made, for klines do not record it."""
        return draws.premium(self._seed, symbol, self._zero_row + index)

    def _drawn_block(self, symbol: str, number: int) -> Block:
        tape = self._tapes[symbol]
        rows = slice(number * BLOCK_MINUTES, (number + 1) * BLOCK_MINUTES)
        rng = draws.stream(self._seed, symbol, "replay", number)
        ticks = through_extremes(
            rng, tape.open[rows], tape.high[rows], tape.low[rows], tape.close[rows], tick=tape.tick
        )
        return Block(
            symbol=symbol,
            price_unit=tape.price_unit,
            quantity_unit=tape.quantity_unit,
            rng=rng,
            ticks=ticks,
            volume=tape.volume[rows],
            bought=tape.bought[rows],
            trades=tape.trades[rows],
        )


def _common_window(frames: Mapping[str, pd.DataFrame]) -> tuple[int, int]:
    """Return the first minute that all symbols have (UTC ms) and how many follow, inclusive."""
    if not frames:
        raise DataError("No klines to replay. Fix: name a folder with SYMBOL-1m files in --data.")
    for symbol, frame in frames.items():
        if len(frame) < 2:
            raise DataError(f"{symbol}: {len(frame)} klines are too few. Fix: give a longer file.")
        spacing_ms = int(np.diff(_stamps_ms(frame)).min())
        if spacing_ms != MINUTE_MS:
            raise DataError(
                f"{symbol}: replay needs 1m klines, these are {spacing_ms / MINUTE_MS:g} minutes "
                "apart. Fix: give --data a folder with SYMBOL-1m files."
            )
    first = {symbol: int(_stamps_ms(frame)[0]) for symbol, frame in frames.items()}
    last = {symbol: int(_stamps_ms(frame)[-1]) for symbol, frame in frames.items()}
    start, end = max(first.values()), min(last.values())
    if end < start:
        late = max(first, key=lambda symbol: first[symbol])
        early = min(last, key=lambda symbol: last[symbol])
        raise DataError(
            f"No common time: {late} starts {_utc(start)}, after {early} ends {_utc(end)}. "
            "Fix: give files of the same period, or fewer symbols."
        )
    return start, (end - start) // MINUTE_MS + 1


def _placed(first_ms: int, minutes: int, start_ms: int, history: int) -> tuple[int, int]:
    """Return the row that becomes minute 0 and the unit of the move; see the module's rule."""
    for unit, least in _SHIFTS:
        offset = (start_ms - first_ms) // MINUTE_MS % unit
        row = offset + -(-max(0, history - offset) // unit) * unit
        if minutes - row >= least:
            return row, unit
    raise DataError(
        f"--history {history} leaves nothing to play: the common window holds {minutes} minutes "
        f"from {_utc(first_ms)}. Fix: ask for at most {max(0, minutes - 1)}, or give longer files."
    )


def _without_holes(
    symbol: str, frame: pd.DataFrame, first_ms: int, minutes: int
) -> tuple[pd.DataFrame, int]:
    """Return the window's rows, one per minute, and how many of them had to be filled."""
    stamps = _stamps_ms(frame)
    inside = (stamps >= first_ms) & (stamps < first_ms + minutes * MINUTE_MS)
    rows = (stamps[inside] - first_ms) // MINUTE_MS
    hole = int(np.diff(rows).max(initial=1)) - 1
    if hole > HOLE_MAX_MINUTES:
        after = first_ms + int(rows[int(np.argmax(np.diff(rows)))]) * MINUTE_MS
        raise DataError(
            f"{symbol}: {hole} minutes are missing after {_utc(after)}. "
            "Fix: give one unbroken recording (at most a day may be missing)."
        )
    found = frame[inside].set_axis(pd.Index(rows), axis=0)
    whole = found.reindex(pd.RangeIndex(minutes))
    missing = whole["close"].isna()
    whole["close"] = whole["close"].ffill()
    for name in ("open", "high", "low"):
        whole[name] = whole[name].fillna(whole["close"])
    for name in ("volume", "taker_buy_volume", "count"):
        if name in whole:
            whole.loc[missing, name] = 0.0
    return whole, int(missing.sum())


def _recorded(symbol: str, whole: pd.DataFrame) -> Recorded:
    prices = whole[["open", "high", "low", "close"]].to_numpy(np.float64)
    names = [name for name in ("volume", "taker_buy_volume") if name in whole]
    return recorded_under(symbol, prices, whole[names].to_numpy(np.float64))


def _taped(whole: pd.DataFrame, recorded: Recorded) -> _Tape:
    price_unit, quantity_unit = recorded.price_unit, recorded.quantity_unit

    def counted(name: str, unit: Decimal) -> Ints:
        values = whole[name].to_numpy(np.float64)
        return np.asarray(np.rint(values / float(unit)), dtype=np.int64)

    absent = np.full(len(whole), -1, dtype=np.int64)
    bought = counted("taker_buy_volume", quantity_unit) if "taker_buy_volume" in whole else absent
    volume = counted("volume", quantity_unit)
    close = counted("close", price_unit)
    quote = close * float(price_unit) * (volume * float(quantity_unit))
    bought = np.minimum(bought, volume)
    trades = counted("count", Decimal(1)) if "count" in whole else trade_counts(quote)
    sides = np.where(bought < 0, volume > 0, (bought > 0).astype(np.int64) + (bought < volume))
    trades = np.minimum(np.maximum(trades, sides), volume)
    return _Tape(
        price_unit=price_unit,
        quantity_unit=quantity_unit,
        tick=int(recorded.rules.tick_size / price_unit),
        open=counted("open", price_unit),
        high=counted("high", price_unit),
        low=counted("low", price_unit),
        close=close,
        volume=volume,
        bought=bought,
        trades=trades,
        trades_before=np.concatenate([[0], np.cumsum(trades)]),
        prints_before=np.concatenate([[0], np.cumsum(print_counts(volume, trades))]),
    )


def _rates(frame: pd.DataFrame) -> tuple[Ints, tuple[Decimal, ...]]:
    rates = tuple(Decimal(repr(float(rate))) for rate in frame["funding_rate"])
    return _stamps_ms(frame), rates


def _stamps_ms(frame: pd.DataFrame) -> Ints:
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError("klines need a UTC DatetimeIndex of open times. Fix: use read_history.")
    return np.asarray(index.as_unit("ms").asi8, dtype=np.int64)


def _utc(stamp_ms: int) -> str:
    return f"{pd.Timestamp(stamp_ms, unit='ms'):%Y-%m-%d %H:%M}"
