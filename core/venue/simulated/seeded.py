"""A market made from a seed: correlated paths with regimes, fast minutes and a volume profile.

Theory.  Time is cut into days.  The log return of minute t of one symbol is

    r_t = cap(scale * volatility * (sum over k of PSI_k * e_{t-k}) + jump_t) + pull
    e_t = s_t * (sqrt(0.72) * common_t + sqrt(0.28) * own_t)
    cap(x) = x / (1 + (x / LIMIT)^4)^(1/4)

- `common` is one factor for all symbols, so any two correlate at about 0.7, as the real ones do.
- `s_t`, the market's temper, is a regime (calm, usual, lively; 90 minutes on average) times a slow
  clustering term.
- PSI is the impulse response of the documented dependence: each return leans 4 % against the last
  one and 8 % with each of the four before.  There is something honest to learn (direction accuracy
  about 55 %), repeating the last direction does not find it, and it is far too small to pay fees.
- A jump strikes a symbol in one minute of 300, 2 to 3 of its volatilities wide; with the cap no
  minute's return reaches 0.4 %.
- `pull` draws 5 % of a day's distance from the seed price back over the day (stationary spread
  about 12 % for the livelier symbols), so that prices stay plausible for as long as one likes.

A day is a function of (seed, symbol, day) and of where the day before ended; levels are cached.
Before minute 0 the chain runs backwards from the seed price.  Neither the start time nor the other
symbols nor the order of asking enter; only volume and the number of trades follow the hour of the
day.  The dependence starts afresh at a day's edge.  Paths inside the minutes are drawn in shorter
blocks, and only where somebody looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np

from core.venue.simulated import draws
from core.venue.simulated.instruments import ListedInstrument, listed
from core.venue.simulated.intrabar import Block, trade_counts
from core.venue.simulated.market import MINUTE_MS, Bar, Bars, Floats, Ints, Minute
from core.venue.simulated.reel import BLOCK_MINUTES, Reel
from core.venue.simulated.tape import POINTS

LEAN = (-0.04, 0.08, 0.08, 0.08, 0.08)
LIMIT = 0.0036
# Measured, so that a minute's standard deviation is the instrument's volatility: what regimes and
# jumps add, and what the cap takes away from the livelier symbols.
_SCALE, _CAP_LOSS = 0.94, 0.65
_COMMON_SHARE = 0.72
_WARM_UP = 64
_REGIMES = (0.75, 1.0, 1.3)
_REGIME_MINUTES = 90
_JUMP_CHANCE = 1 / 300
_PULL = 0.05
_DAY = 1_440
_DAYS_KEPT = 2  # a symbol's


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """Log price over seed price at both ends of a day, and the pull each minute of it has."""

    start: float
    end: float
    pull: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Activity:
    """A day's volume in steps and trades by minute, and the trades before each minute of it."""

    volume: Ints
    trades: Ints
    before: Ints


class SeededPrices:
    """A `PriceSource` without end for listed symbols.

    `start_ms` (UTC ms, cut to the minute) is when minute 0 opens and moves nothing but stamps and
    the volume profile.  Raises ConfigurationError for an unlisted symbol.
    """

    def __init__(
        self, symbols: Sequence[str], seed: int, start_ms: int, history_minutes: int
    ) -> None:
        self._instruments = {symbol: listed(symbol) for symbol in symbols}
        self._seed = seed
        self._first_open_ms = start_ms - start_ms % MINUTE_MS
        self._history_minutes = history_minutes
        self._levels: dict[tuple[str, int], _Level] = {}
        self._tally: dict[tuple[str, int], int] = {}
        kept = _DAYS_KEPT * len(self._instruments)
        self._market = lru_cache(2 * _DAYS_KEPT)(self._drawn_market)
        self._returns = lru_cache(kept)(self._drawn_returns)
        self._activity = lru_cache(kept)(self._drawn_activity)
        self._reel = Reel(len(symbols), self._drawn_block, first_open_ms=self._first_open_ms)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols in the order given."""
        return tuple(self._instruments)

    @property
    def instruments(self) -> Mapping[str, ListedInstrument]:
        """Return the rules of each symbol."""
        return self._instruments

    @property
    def first_open_ms(self) -> int:
        """Return the open time of minute 0."""
        return self._first_open_ms

    @property
    def history_minutes(self) -> int:
        """Return how many minutes before minute 0 can be asked for."""
        return self._history_minutes

    def points_before(self, symbol: str, index: int) -> int:  # noqa: ARG002
        """Return how many path points lie between the start of the history and minute `index`."""
        return (index + self._history_minutes) * POINTS

    def prints_before(self, symbol: str, index: int) -> int:
        """Return at how many of those points something was traded: at all of them."""
        return self.points_before(symbol, index)

    def trades_before(self, symbol: str, index: int) -> int:
        """Return how many trades lie between the start of the history and minute `index`."""
        day, row = divmod(index, _DAY)
        until = self._tally.get((symbol, day))
        if until is None:
            until = self._trades_until(symbol, day)
        return until + int(self._activity(symbol, day).before[row])

    def _trades_until(self, symbol: str, day: int) -> int:
        """Return the trades before a day, adding up days from the nearest known one."""
        first, row = divmod(-self._history_minutes, _DAY)
        known = day
        while known > first and (symbol, known) not in self._tally:
            known -= 1
        if known == first:
            self._tally[symbol, first] = -int(self._activity(symbol, first).before[row])
        for at in range(known, day):
            whole = int(self._activity(symbol, at).trades.sum())
            self._tally[symbol, at + 1] = self._tally[symbol, at] + whole
        return self._tally[symbol, day]

    def plays(self, index: int) -> bool:  # noqa: ARG002
        """Return True: a seeded market has no end."""
        return True

    def minute(self, symbol: str, index: int) -> Minute:
        """Return the path of minute `index`.  Raises IndexError before the history."""
        if index < -self._history_minutes:
            raise IndexError(f"minute {index} is before the history of {self._history_minutes}")
        return self._reel.minute(symbol, index)

    def bar(self, symbol: str, index: int) -> Bar:
        """Return the closed candle of minute `index`."""
        return self._reel.bar(symbol, index, 1 + self.trades_before(symbol, index))

    def bars(self, symbol: str, first_index: int, count: int) -> Bars:
        """Return `count` klines from `first_index` on, without what lies before the history."""
        return self._reel.bars(symbol, *self._clipped(first_index, count))

    def extremes(self, symbol: str, first_index: int, count: int) -> tuple[Floats, Floats]:
        """Return the lows and highs of those klines."""
        return self._reel.extremes(symbol, *self._clipped(first_index, count))

    def _clipped(self, first_index: int, count: int) -> tuple[int, int]:
        return max(first_index, -self._history_minutes), first_index + count

    def funding_rate(self, symbol: str, time_ms: int) -> Decimal | None:  # noqa: ARG002
        """Return None: a seeded market has no recorded rates, the venue makes them."""
        return None

    def premium(self, symbol: str, index: int) -> Decimal:
        """Return mark price over index price, minus 1, at minute `index`."""
        return draws.premium(self._seed, symbol, index)

    # ------------------------------------------------------------------ blocks and days
    def _drawn_block(self, symbol: str, number: int) -> Block:
        day, part = divmod(number, _DAY // BLOCK_MINUTES)
        rows = slice(part * BLOCK_MINUTES, (part + 1) * BLOCK_MINUTES)
        rules = self._instruments[symbol]
        level = self._level(symbol, day)
        path = level.start + np.cumsum(self._returns(symbol, day) + level.pull)
        path = np.concatenate([[level.start], path])
        path[-1] = level.end  # the next day starts at exactly this number
        opens, closes = path[:-1][rows], path[1:][rows]
        rng = draws.stream(self._seed, symbol, "path", number)
        inside = _bridged(rng, opens, closes, rules.volatility * self._temper(day)[rows])
        seed_ticks = float(rules.seed_price / rules.tick_size)
        activity = self._activity(symbol, day)
        return Block(
            symbol=symbol,
            price_unit=rules.tick_size,
            quantity_unit=rules.step_size,
            rng=draws.stream(self._seed, symbol, "prints", number),
            ticks=np.rint(seed_ticks * np.exp(inside)).astype(np.int64),
            volume=activity.volume[rows],
            bought=np.full(BLOCK_MINUTES, -1, dtype=np.int64),
            trades=activity.trades[rows],
        )

    def _drawn_activity(self, symbol: str, day: int) -> _Activity:
        rules = self._instruments[symbol]
        pull = self._level(symbol, day).pull
        rng = draws.stream(self._seed, symbol, "activity", day)
        shock = np.abs(self._returns(symbol, day) + pull) / rules.volatility
        busy = np.exp(0.6 * rng.standard_normal(_DAY)) * (0.7 + 0.85 * shock)
        quote = rules.turnover * busy * self._profile(day)
        steps = np.rint(quote / float(rules.seed_price * rules.step_size))
        trades = np.maximum(POINTS, trade_counts(quote))
        return _Activity(
            volume=np.maximum(trades, steps).astype(np.int64),
            trades=trades,
            before=np.cumsum(trades) - trades,
        )

    def _level(self, symbol: str, number: int) -> _Level:
        """Return where a day starts and ends, walking from the nearest known day to it."""
        step = 1 if number >= 0 else -1
        edge = 0.0
        known = number
        while (symbol, known) not in self._levels and known not in {0, -1}:
            known -= step
        if (symbol, known) in self._levels:
            found = self._levels[symbol, known]
            edge = found.end if step > 0 else found.start
            known += step
        for at in range(known, number + step, step):
            change = float(self._returns(symbol, at).sum())
            pulled = -_PULL * edge * step
            far = edge + step * (change + pulled)
            start, end = (edge, far) if step > 0 else (far, edge)
            self._levels[symbol, at] = _Level(start=start, end=end, pull=pulled / _DAY)
            edge = far
        return self._levels[symbol, number]

    def _drawn_returns(self, symbol: str, number: int) -> Floats:
        rules = self._instruments[symbol]
        common, temper = self._market(number)
        rng = draws.stream(self._seed, symbol, "returns", number)
        own = rng.standard_normal(len(common))
        shocks = temper * (np.sqrt(_COMMON_SHARE) * common + np.sqrt(1 - _COMMON_SHARE) * own)
        leaned = np.convolve(shocks, _PSI)[_WARM_UP : len(common)]
        strikes = rng.random(_DAY) < _JUMP_CHANCE
        widths = rng.uniform(2.0, 3.0, _DAY) * rng.choice([-1.0, 1.0], _DAY)
        scale = _SCALE * (1 + _CAP_LOSS * (rules.volatility / LIMIT) ** 2)
        raw = rules.volatility * (scale * leaned + strikes * widths)
        return np.asarray(raw / np.sqrt(np.sqrt(1 + (raw / LIMIT) ** 4)), dtype=np.float64)

    # ------------------------------------------------------------------ the market as a whole
    def _temper(self, number: int) -> Floats:
        return self._market(number)[1][_WARM_UP:]

    def _drawn_market(self, number: int) -> tuple[Floats, Floats]:
        """Return the common factor and the temper, each of warm-up + a day."""
        rng = draws.stream(self._seed, "market", "common", number)
        minutes = _WARM_UP + _DAY
        common = rng.standard_normal(minutes)
        changes = rng.random(minutes) < 1 / _REGIME_MINUTES
        regimes = rng.choice(np.array(_REGIMES), size=minutes)
        regime = regimes[np.maximum.accumulate(np.where(changes, np.arange(minutes), 0))]
        cluster = np.convolve(rng.standard_normal(minutes + 30), _CLUSTER, mode="valid")
        return common, regime * np.exp(0.35 * cluster[:minutes] - 0.35**2)

    def _profile(self, number: int) -> Floats:
        """Return the volume profile: busiest at 14:30 UTC, quietest at 02:30, weekends at 70 %."""
        minutes = np.arange(_DAY) + number * _DAY
        epoch_minutes = self._first_open_ms // MINUTE_MS + minutes
        hours = epoch_minutes % _DAY / 60
        weekday = (epoch_minutes // _DAY + 3) % 7  # 1970-01-01 was a Thursday
        daily = 1 + 0.4 * np.cos(2 * np.pi * (hours - 14.5) / 24)
        return np.asarray(daily * np.where(weekday >= 5, 0.7, 1.0), dtype=np.float64)


def _bridged(rng: np.random.Generator, opens: Floats, closes: Floats, volatility: Floats) -> Floats:
    """Return Brownian bridges from open to close, shape (minutes, POINTS), within LIMIT of open."""
    done = np.arange(POINTS) / (POINTS - 1)
    steps = rng.standard_normal((len(opens), POINTS)) / np.sqrt(POINTS - 1)
    steps[:, 0] = 0.0
    walk = np.cumsum(steps, axis=1)
    walk -= walk[:, -1:] * done
    move = (closes - opens)[:, None] * done + walk * volatility[:, None]
    path = opens[:, None] + np.clip(move, -LIMIT, LIMIT)
    path[:, 0], path[:, -1] = opens, closes
    return np.asarray(path, dtype=np.float64)


def _impulse_response(lean: Sequence[float], length: int) -> Floats:
    """Return the first weights of past shocks in an autoregression with coefficients `lean`."""
    weights = np.zeros(length)
    weights[0] = 1.0
    for at in range(1, length):
        weights[at] = sum(
            share * weights[at - lag] for lag, share in enumerate(lean, start=1) if lag <= at
        )
    return weights


_PSI = _impulse_response(LEAN, _WARM_UP)
_CLUSTER = 0.9 ** np.arange(31) * np.sqrt(1 - 0.9**2)
