"""A market made from a seed: correlated paths with regimes, fast minutes and a volume profile.

Theory.  Time is cut into blocks of a day.  The log return of minute t of one symbol is

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
- `pull` draws 5 % of a block's distance from the seed price back over the block (stationary spread
  about 12 % for the livelier symbols), so that prices stay plausible for as long as one likes.

A block is a function of (seed, symbol, block) and of where the block before ended; levels are
cached.  Before minute 0 the chain runs backwards from the seed price.  Neither the start time nor
the other symbols nor the order of asking enter; only volume and the number of trades follow the
hour of the day.  The dependence starts afresh at a block's edge.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from core.venue.simulated import draws
from core.venue.simulated.instruments import ListedInstrument, listed
from core.venue.simulated.intrabar import (
    POINTS,
    Block,
    drawn_offsets,
    drawn_sides,
    drawn_taker_share,
    spread_volume,
    trade_counts,
)
from core.venue.simulated.market import MINUTE_MS, Bars, Floats, Minute
from core.venue.simulated.reel import BLOCK_MINUTES, Reel

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
_CACHED_BLOCKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """Log price over seed price at both ends of a block, and the pull each minute of it has."""

    start: float
    end: float
    pull: float


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
        self._common: OrderedDict[int, tuple[Floats, Floats]] = OrderedDict()
        self._returns: OrderedDict[tuple[str, int], Floats] = OrderedDict()
        self._levels: dict[tuple[str, int], _Level] = {}
        self._reel = Reel(self._instruments, self._drawn_block, first_open_ms=self._first_open_ms)

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

    def minute(self, index: int) -> tuple[Minute, ...]:
        """Return minute `index` of all symbols.  Raises IndexError before the history."""
        if index < -self._history_minutes:
            raise IndexError(f"minute {index} is before the history of {self._history_minutes}")
        return self._reel.minute(index)

    def bars(self, symbol: str, first_index: int, count: int) -> Bars:
        """Return `count` klines from `first_index` on, without what lies before the history."""
        stop = first_index + count
        index = max(first_index, -self._history_minutes)
        return self._reel.bars(symbol, index, stop)

    def funding_rate(self, symbol: str, time_ms: int) -> Decimal | None:  # noqa: ARG002
        """Return None: a seeded market has no recorded rates, the venue makes them."""
        return None

    def premium(self, symbol: str, index: int) -> Decimal:
        """Return mark price over index price, minus 1, at minute `index`."""
        return draws.premium(self._seed, symbol, index)

    # ------------------------------------------------------------------ blocks
    def _drawn_block(self, symbol: str, number: int) -> Block:
        rules = self._instruments[symbol]
        level = self._level(symbol, number)
        returns = self._block_returns(symbol, number) + level.pull
        rng = draws.stream(self._seed, symbol, "intrabar", number)
        closes = level.start + np.cumsum(returns)
        closes[-1] = level.end  # the next block starts at exactly this number
        opens = np.concatenate([[level.start], closes[:-1]])
        seed_ticks = float(rules.seed_price / rules.tick_size)
        path = _bridged(rng, opens, closes, rules.volatility * self._temper(number))
        ticks = np.rint(seed_ticks * np.exp(path)).astype(np.int64)

        shock = np.abs(returns) / rules.volatility
        busy = np.exp(0.6 * rng.standard_normal(BLOCK_MINUTES)) * (0.7 + 0.85 * shock)
        step = float(rules.step_size)
        volume = rules.turnover * busy * self._profile(number) / float(rules.seed_price)
        total = np.maximum(1, np.rint(volume / step)).astype(np.int64)
        bought = np.rint(drawn_taker_share(rng, ticks) * total).astype(np.int64)
        sides = drawn_sides(rng, ticks)
        return Block(
            symbol=symbol,
            price_unit=rules.tick_size,
            quantity_unit=rules.step_size,
            offsets_ms=drawn_offsets(rng, BLOCK_MINUTES),
            ticks=ticks,
            steps=spread_volume(rng, sides, total, bought),
            taker_buy=sides,
            trades=trade_counts(volume * float(rules.seed_price)),
        )

    def _level(self, symbol: str, number: int) -> _Level:
        """Return where a block starts and ends, walking from the nearest known block to it."""
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
            change = float(self._block_returns(symbol, at).sum())
            pulled = -_PULL * edge * step
            far = edge + step * (change + pulled)
            start, end = (edge, far) if step > 0 else (far, edge)
            self._levels[symbol, at] = _Level(start=start, end=end, pull=pulled / BLOCK_MINUTES)
            edge = far
        return self._levels[symbol, number]

    def _block_returns(self, symbol: str, number: int) -> Floats:
        key = (symbol, number)
        if key in self._returns:
            return self._returns[key]
        rules = self._instruments[symbol]
        common, temper = self._market(number)
        rng = draws.stream(self._seed, symbol, "returns", number)
        own = rng.standard_normal(len(common))
        shocks = temper * (np.sqrt(_COMMON_SHARE) * common + np.sqrt(1 - _COMMON_SHARE) * own)
        leaned = np.convolve(shocks, _PSI)[_WARM_UP : len(common)]
        strikes = rng.random(BLOCK_MINUTES) < _JUMP_CHANCE
        widths = rng.uniform(2.0, 3.0, BLOCK_MINUTES) * rng.choice([-1.0, 1.0], BLOCK_MINUTES)
        scale = _SCALE * (1 + _CAP_LOSS * (rules.volatility / LIMIT) ** 2)
        raw = rules.volatility * (scale * leaned + strikes * widths)
        returns = np.asarray(raw / np.sqrt(np.sqrt(1 + (raw / LIMIT) ** 4)), dtype=np.float64)
        self._returns[key] = returns
        while len(self._returns) > _CACHED_BLOCKS * len(self._instruments):
            self._returns.popitem(last=False)
        return returns

    # ------------------------------------------------------------------ the market as a whole
    def _temper(self, number: int) -> Floats:
        return self._market(number)[1][_WARM_UP:]

    def _market(self, number: int) -> tuple[Floats, Floats]:
        """Return the common factor and the temper, each of warm-up + block length."""
        if number not in self._common:
            rng = draws.stream(self._seed, "market", "common", number)
            minutes = _WARM_UP + BLOCK_MINUTES
            common = rng.standard_normal(minutes)
            changes = rng.random(minutes) < 1 / _REGIME_MINUTES
            regimes = rng.choice(np.array(_REGIMES), size=minutes)
            regime = regimes[np.maximum.accumulate(np.where(changes, np.arange(minutes), 0))]
            cluster = np.convolve(rng.standard_normal(minutes + 30), _CLUSTER, mode="valid")
            temper = regime * np.exp(0.35 * cluster[:minutes] - 0.35**2)
            self._common[number] = (common, temper)
            while len(self._common) > 2 * _CACHED_BLOCKS:
                self._common.popitem(last=False)
        return self._common[number]

    def _profile(self, number: int) -> Floats:
        """Return the volume profile: busiest at 14:30 UTC, quietest at 02:30, weekends at 70 %."""
        minutes = np.arange(BLOCK_MINUTES) + number * BLOCK_MINUTES
        epoch_minutes = self._first_open_ms // MINUTE_MS + minutes
        hours = epoch_minutes % BLOCK_MINUTES / 60
        weekday = (epoch_minutes // BLOCK_MINUTES + 3) % 7  # 1970-01-01 was a Thursday
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
