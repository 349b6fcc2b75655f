"""How much is lost when what is held moves together: the correlated-exposure limit.

From the returns of the last closed klines, with n the signed notionals, s each symbol's volatility
of a day, C their correlations, and k the size of the shock:

    v = n s        loss = k sqrt(v' C v)        limit = x * equity

Three positions that move as one count almost as their sum, three that have nothing in common as the
root of three.  Where too few common bars are known, a pair counts as moving together in the
direction that hurts; a symbol without returns has the largest volatility known, at least 5 % a day.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.clock import NS_PER_DAY
from core.messages import Candle

_COMMON_MIN = 20  # bars two symbols must share for their correlation to mean something
_DAY_VOLATILITY = 0.05  # of a symbol nobody knows
_SPIKE_MADS = 12.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """What a common shock costs now, what one more symbol adds, and with whom it moves."""

    loss: float  # of what is held, quote units
    room: float  # largest notional of the new symbol within the limit, quote units
    partners: tuple[tuple[str, float | None], ...]  # held symbol, correlation; None: unknown


class Returns:
    """The last returns of every symbol, by bar number, so that symbols are compared bar by bar."""

    def __init__(self, *, bars: int, interval_ns: int) -> None:
        self._bars = bars
        self._interval_ns = interval_ns
        self._returns: dict[str, Floats] = {}
        self._stamps: dict[str, npt.NDArray[np.int64]] = {}
        self._last: dict[str, tuple[int, float]] = {}  # newest bar number and close
        self._before: dict[str, tuple[int, float]] = {}  # the one before it

    def take_history(self, symbol: str, candles: Iterable[Candle]) -> None:
        """Take in closed klines, oldest first."""
        for candle in tuple(candles)[-self._bars - 1 :]:
            self.take(symbol, candle)

    def take(self, symbol: str, candle: Candle) -> None:
        """Take in a closed kline; older ones than the newest known change nothing."""
        bar, close = candle.open_time_ns // self._interval_ns, candle.close
        before = self._last.get(symbol)
        if before is not None and bar <= before[0]:
            return
        if symbol not in self._returns:
            self._returns[symbol] = np.zeros(self._bars)
            self._stamps[symbol] = np.full(self._bars, -1, dtype=np.int64)
        if before is not None and bar == before[0] + 1 and before[1] > 0 and close > 0:
            self._returns[symbol][bar % self._bars] = math.log(close / before[1])
            self._stamps[symbol][bar % self._bars] = bar
        if before is not None:
            self._before[symbol] = before
        self._last[symbol] = (bar, close)

    def take_run(self, symbol: str, first_bar: int, closes: Sequence[float]) -> None:
        """Take in the closes of consecutive bars, as `take` would one after the other.

        At least `bars` + 2 of them make what was known before irrelevant.
        """
        before = self._last.get(symbol)
        skip = 0 if before is None else max(0, before[0] + 1 - first_bar)
        closes, first_bar = closes[skip:], first_bar + skip
        if not closes:
            return
        values = self._returns.setdefault(symbol, np.zeros(self._bars))
        stamps = self._stamps.setdefault(symbol, np.full(self._bars, -1, dtype=np.int64))
        if before is not None and before[0] + 1 == first_bar:
            closes, first_bar = [before[1], *closes], first_bar - 1
        if len(closes) > 1:
            pairs = itertools.pairwise(closes)
            bars = np.arange(first_bar + 1, first_bar + len(closes))
            values[bars % self._bars] = [math.log(new / old) for old, new in pairs]
            stamps[bars % self._bars] = bars
        newest = first_bar + len(closes) - 1
        known = (newest - 1, closes[-2]) if len(closes) > 1 else before
        if known is not None:
            self._before[symbol] = known
        self._last[symbol] = (newest, closes[-1])

    # ------------------------------------------------------------------ spikes
    def move_of_bar(self, symbol: str, close_ns: int, price: float) -> float | None:
        """Return the return of the bar that closed at `price`; None while its start is unknown.

        It does not matter whether the bar itself has been heard of yet.
        """
        bar = close_ns // self._interval_ns - 1
        known = (self._last.get(symbol), self._before.get(symbol))
        before = next((one for one in known if one is not None and one[0] == bar - 1), None)
        return price / before[1] - 1.0 if before is not None and before[1] > 0 else None

    def spike(self, symbol: str, close_ns: int) -> float:
        """Return 12 median absolute deviations of the returns before a bar; 0 if they are few."""
        bar = close_ns // self._interval_ns - 1
        stamps = self._stamps.get(symbol)
        if stamps is None:
            return 0.0
        valid = self._returns[symbol][(stamps >= 0) & (stamps < bar)]
        if len(valid) < _COMMON_MIN:
            return 0.0
        return _SPIKE_MADS * float(np.median(np.abs(valid - np.median(valid))))

    # ------------------------------------------------------------------ shocks
    def shock(
        self, held: Mapping[str, float], symbol: str, sign: int, *, size: float, limit: float
    ) -> Shock:
        """Measure a common shock of `size` volatilities on `held`, signed notionals by symbol.

        `limit` is the largest loss allowed.  Source: the module's formula, solved for the notional
        of `symbol` that is added on the side `sign`.
        """
        names = [name for name, notional in held.items() if notional]
        volatility, correlation = self._measure([*names, symbol])
        exposed = np.array([held[name] for name in names]) * volatility[:-1]
        directions = np.append(np.sign(exposed), float(sign))
        harmful = np.outer(directions, directions)
        filled = np.where(np.isnan(correlation), harmful, correlation)
        np.fill_diagonal(filled, 1.0)
        parts, rows = exposed.tolist(), filled.tolist()
        squared = math.fsum(
            one * other * rows[i][j] for i, one in enumerate(parts) for j, other in enumerate(parts)
        )
        together = sign * math.fsum(part * rows[-1][i] for i, part in enumerate(parts))
        most = limit / size
        # (squared + 2 v together + v^2) <= most^2, with v the new symbol's notional x volatility
        inside = together * together - squared + most * most
        room = -together + math.sqrt(inside) if inside > 0 else 0.0
        partners = tuple(
            (name, None if math.isnan(value) else float(value))
            for name, value in zip(names, correlation[-1, :-1], strict=True)
        )
        return Shock(
            loss=size * math.sqrt(max(0.0, squared)),
            room=max(0.0, room) / float(volatility[-1]),
            partners=partners,
        )

    def _measure(self, names: list[str]) -> tuple[Floats, Floats]:
        """Return volatilities of a day, and correlations with NaN where they are unknown."""
        count = len(names)
        returns, known = np.zeros((count, self._bars)), np.zeros((count, self._bars))
        newest = max((self._last[n][0] for n in names if n in self._last), default=0)
        for row, name in enumerate(names):
            if name in self._returns:
                fresh = self._stamps[name] > newest - self._bars
                returns[row], known[row] = self._returns[name] * fresh, fresh
        bars = known.sum(axis=1)
        means = returns.sum(axis=1) / np.maximum(bars, 1.0)
        centred = (returns - means[:, None]) * known
        squares = centred * centred
        daily = np.sqrt(
            squares.sum(axis=1) / np.maximum(bars, 1.0) * NS_PER_DAY / self._interval_ns
        )
        told = daily[(bars >= _COMMON_MIN) & (daily > 0)]
        assumed = max(float(told.max()), _DAY_VOLATILITY) if len(told) else _DAY_VOLATILITY
        volatility = np.where((bars >= _COMMON_MIN) & (daily > 0), daily, assumed)
        common = known @ known.T
        scale = np.sqrt((squares @ known.T) * (known @ squares.T))
        usable = (common >= _COMMON_MIN) & (scale > 0)
        correlation = np.where(usable, centred @ centred.T / np.where(usable, scale, 1.0), np.nan)
        # The last bits of a matrix product depend on where its arrays lie; a replay must not.
        return volatility.round(9), correlation.round(6)
