"""The compiled step: one closed bar in, one row of features out.

The whole memory of a symbol is one float64 array (`new_state`).  `step` advances it by one bar and
`run_history` loops the very same function, so live and batch values are equal bit for bit when
they start at the same first bar.

Two kinds of memory live in the array:

- recursions (EMA, Wilder averages) that never forget their first bar quite: after 1,000 bars what
  is left of another start is below 1e-9 relative;
- the last 21 bars, kept twice in a row (a mirrored ring), so that every window is contiguous and
  is summed afresh from its oldest to its newest bar.  Nothing drifts, and window features do not
  depend on where the history began.  Sums run over differences to the newest value, so a flat
  window has a spread of exactly zero.

Every function compiled against another lives in this one file: numba's disk cache is keyed by file
and would not notice a change in a callee elsewhere.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEATURE_COUNT = 44
"""Length of one feature row; `core.symbol.features.FEATURE_NAMES` names its places."""

FEATURES_WARMUP = 50
"""Bars needed before a row is given: the longest average (EMA 50) has seen its span."""

_RING = 21  # the 20-bar return needs 21 closes
_SPAN = 2 * _RING

# Places of the scalars at the head of the state.
_BARS, _EMA_9, _EMA_21, _EMA_50, _EMA_12, _EMA_26, _MACD_SIGNAL = range(7)
_UP_7, _DOWN_7, _UP_14, _DOWN_14, _UP_21, _DOWN_21 = range(7, 13)
_ATR, _STOCH_1, _STOCH_2 = range(13, 16)
_HEAD = 16

# Starts of the mirrored rings behind them.
_CLOSE = _HEAD
_RETURN = _CLOSE + _SPAN
_VOLUME = _RETURN + _SPAN
_TYPICAL = _VOLUME + _SPAN
_HIGH = _TYPICAL + _SPAN
_LOW = _HIGH + _SPAN
_FLOW = _LOW + _SPAN
_SIGNED = _FLOW + _SPAN  # volume with the sign of its bar's return
_WORTH = _SIGNED + _SPAN  # typical price times volume
_MOVE = _WORTH + _SPAN  # size of the close's change
_STATE_SIZE = _MOVE + _SPAN

_MS_PER_MINUTE = 60_000
_MS_PER_HOUR = 3_600_000
_MS_PER_DAY = 86_400_000
_SQRT_20 = math.sqrt(20.0)
# Divisions cost more than everything else here: what can be multiplied is.
_NINTH = 1.0 / 9.0
_NINETEENTH = 1.0 / 19.0


def new_state() -> FloatArray:
    """Return the empty memory of one symbol: shape (`_STATE_SIZE`,), float64."""
    return np.zeros(_STATE_SIZE, dtype=np.float64)


@njit(cache=True, error_model="numpy")
def _relative_strength(up: float, down: float) -> float:
    """Wilder's index, 0..100; 50 while the price has never moved (`ta` says 100 there)."""
    if up + down == 0.0:
        return 50.0
    return 100.0 * (up / (up + down))


@njit(cache=True, error_model="numpy")
def _advance_averages(  # noqa: PLR0917 -- compiled: a bar is passed as numbers
    state: FloatArray, first: bool, high: float, low: float, close: float, last_close: float
) -> None:
    """Move the recursions on by one bar; `ema += alpha * (x - ema)` keeps a constant exact."""
    bars = state[_BARS]
    if first:
        for place in (_EMA_9, _EMA_21, _EMA_50, _EMA_12, _EMA_26):
            state[place] = close
        state[_ATR] = (high - low) * (1.0 / 14.0)
        return
    state[_EMA_9] += (close - state[_EMA_9]) * (2.0 / 10.0)
    state[_EMA_21] += (close - state[_EMA_21]) * (2.0 / 22.0)
    state[_EMA_50] += (close - state[_EMA_50]) * (2.0 / 51.0)
    state[_EMA_12] += (close - state[_EMA_12]) * (2.0 / 13.0)
    state[_EMA_26] += (close - state[_EMA_26]) * (2.0 / 27.0)
    macd = state[_EMA_12] - state[_EMA_26]
    if bars == 25.0:  # the 26th bar: the slow average is filled, the signal line starts here
        state[_MACD_SIGNAL] = macd
    elif bars > 25.0:
        state[_MACD_SIGNAL] += (macd - state[_MACD_SIGNAL]) * (2.0 / 10.0)
    change = close - last_close
    up = max(change, 0.0)
    down = max(-change, 0.0)
    state[_UP_7] += (up - state[_UP_7]) * (1.0 / 7.0)
    state[_DOWN_7] += (down - state[_DOWN_7]) * (1.0 / 7.0)
    state[_UP_14] += (up - state[_UP_14]) * (1.0 / 14.0)
    state[_DOWN_14] += (down - state[_DOWN_14]) * (1.0 / 14.0)
    state[_UP_21] += (up - state[_UP_21]) * (1.0 / 21.0)
    state[_DOWN_21] += (down - state[_DOWN_21]) * (1.0 / 21.0)
    reach = max(high - low, abs(high - last_close), abs(low - last_close))
    if bars < 14.0:  # Wilder's start: the plain mean of the first 14 true ranges
        state[_ATR] += reach * (1.0 / 14.0)
    else:
        state[_ATR] += (reach - state[_ATR]) * (1.0 / 14.0)


@njit(cache=True, error_model="numpy")
def _returns_and_volatility(returns: FloatArray, out: FloatArray) -> None:
    """Fill features 5..7, 38, 39 from the last 20 returns, oldest first; needs feature 0."""
    latest = returns[19]
    sum_20 = sum_10 = sum_5 = 0.0
    for i in range(10):
        sum_20 += returns[i] - latest
    for i in range(10, 15):
        sum_10 += returns[i] - latest
    for i in range(15, 20):
        sum_5 += returns[i] - latest
    sum_10 += sum_5
    mean_20 = latest + (sum_20 + sum_10) * 0.05
    mean_10 = latest + sum_10 * 0.1
    mean_5 = latest + sum_5 * 0.2
    square_20 = square_10 = square_5 = cube = lagged = before = 0.0
    for i in range(20):
        gap = returns[i] - mean_20
        square = gap * gap
        square_20 += square
        cube += square * gap
        lagged += gap * before
        before = gap
    for i in range(10, 20):
        gap = returns[i] - mean_10
        square_10 += gap * gap
    for i in range(15, 20):
        gap = returns[i] - mean_5
        square_5 += gap * gap
    out[5] = math.sqrt(square_5 * 0.25)
    out[6] = math.sqrt(square_10 * _NINTH)
    out[7] = math.sqrt(square_20 * _NINETEENTH)
    if square_20 > 0.0:
        variance = square_20 * 0.05
        out[38] = cube * 0.05 / (variance * math.sqrt(variance))
        out[39] = lagged / square_20
    else:
        out[38] = 0.0
        out[39] = 0.0


@njit(cache=True, error_model="numpy")
def _price_and_volume(state: FloatArray, end: int, out: FloatArray) -> None:
    """Fill features 0..4, 8..10, 13, 14, 35..37, 40, 41; needs feature 7."""
    old, new = end - 19, end + 1
    closes = state[_CLOSE + old - 1 : _CLOSE + new]  # 21 of them, the others 20
    volumes = state[_VOLUME + old : _VOLUME + new]
    signed = state[_SIGNED + old : _SIGNED + new]
    worths = state[_WORTH + old : _WORTH + new]
    moves = state[_MOVE + old : _MOVE + new]
    close = closes[20]
    volume = volumes[19]
    out[0] = state[_RETURN + end]
    out[1] = close / closes[18] - 1.0
    out[2] = close / closes[15] - 1.0
    out[3] = close / closes[10] - 1.0
    out[4] = close / closes[0] - 1.0
    sum_close = sum_volume = traded = worth = path = flow = 0.0
    for i in range(20):
        sum_close += closes[i + 1] - close
        sum_volume += volumes[i] - volume
        traded += volumes[i]
        worth += worths[i]
        path += moves[i]
        flow += signed[i]
    mean_close = sum_close * 0.05
    mean_volume = sum_volume * 0.05
    middle_close = close + mean_close
    middle_volume = volume + mean_volume
    square_close = square_volume = 0.0
    for i in range(20):
        gap = closes[i + 1] - middle_close
        square_close += gap * gap
        gap = volumes[i] - middle_volume
        square_volume += gap * gap
    out[8] = volume / volumes[18] - 1.0 if volumes[18] > 0.0 else 0.0
    volume_std = math.sqrt(square_volume * _NINETEENTH)
    out[10] = volume_std
    spread = math.sqrt(square_close * 0.05)
    out[13] = (2.0 * spread - mean_close) / (4.0 * spread) if spread > 0.0 else 0.5
    out[14] = 400.0 * spread / middle_close
    out[35] = out[4] / (out[7] * _SQRT_20) if out[7] > 0.0 else 0.0
    out[36] = -mean_volume / volume_std if volume_std > 0.0 else 0.0
    out[37] = (close - closes[0]) / path if path > 0.0 else 0.0
    if traded > 0.0:
        out[9] = volume / (traded * 0.05)
        out[40] = flow / traded
        out[41] = close * traded / worth - 1.0
    else:
        out[9] = 0.0
        out[40] = 0.0
        out[41] = 0.0


@njit(cache=True, error_model="numpy")
def _averages(state: FloatArray, close: float, out: FloatArray) -> None:
    """Fill what reads the recursions (features 11, 12, 15..19, 22)."""
    share = 1.0 / close
    out[11] = (state[_EMA_9] - state[_EMA_21]) * share
    out[12] = (state[_EMA_21] - state[_EMA_50]) * share
    out[15] = _relative_strength(state[_UP_7], state[_DOWN_7])
    out[16] = _relative_strength(state[_UP_14], state[_DOWN_14])
    out[17] = _relative_strength(state[_UP_21], state[_DOWN_21])
    macd = state[_EMA_12] - state[_EMA_26]
    out[18] = macd
    out[19] = macd - state[_MACD_SIGNAL]
    out[22] = state[_ATR] * share


@njit(cache=True, error_model="numpy")
def _oscillators(state: FloatArray, end: int, out: FloatArray) -> None:
    """Fill features 20, 21, 23..25, 34."""
    old, new = end - 19, end + 1
    highs = state[_HIGH + old : _HIGH + new]
    lows = state[_LOW + old : _LOW + new]
    typicals = state[_TYPICAL + old : _TYPICAL + new]
    flows = state[_FLOW + old : _FLOW + new]
    close = state[_CLOSE + end]
    highest, lowest = highs[19], lows[19]
    inflow = outflow = 0.0
    for i in range(6, 20):
        highest = max(highest, highs[i])
        lowest = min(lowest, lows[i])
        inflow += max(flows[i], 0.0)
        outflow += max(-flows[i], 0.0)
    highest_20, lowest_20 = highest, lowest
    for i in range(6):
        highest_20 = max(highest_20, highs[i])
        lowest_20 = min(lowest_20, lows[i])
    reach = highest - lowest
    stoch = 100.0 * ((close - lowest) / reach) if reach > 0.0 else 50.0
    out[20] = stoch
    out[21] = (state[_STOCH_2] + state[_STOCH_1] + stoch) / 3.0
    state[_STOCH_2] = state[_STOCH_1]
    state[_STOCH_1] = stoch
    out[23] = stoch - 100.0
    typical = typicals[19]
    total = 0.0
    for i in range(20):
        total += typicals[i] - typical
    mean = total * 0.05
    middle = typical + mean
    apart = 0.0
    for i in range(20):
        apart += abs(typicals[i] - middle)
    out[24] = -mean / (0.015 * 0.05 * apart) if apart > 0.0 else 0.0
    money = inflow + outflow
    out[25] = 100.0 * (inflow / money) if money > 0.0 else 50.0
    reach = highest_20 - lowest_20
    out[34] = (close - lowest_20) / reach if reach > 0.0 else 0.5


@njit(cache=True, error_model="numpy")
def _bar_and_time(
    state: FloatArray,
    open_ms: int,
    bar: tuple[float, float, float, float, float, float],
    out: FloatArray,
) -> None:
    """Fill what needs this bar and its clock alone (features 26..33, 42, 43)."""
    opened, high, low, close, volume, taker = bar
    hour = (open_ms // _MS_PER_HOUR) % 24
    weekday = (open_ms // _MS_PER_DAY + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    working = weekday < 5
    out[26] = hour
    out[27] = 0.0 if working else 1.0
    out[28] = 1.0 if working and 8 <= hour < 16 else 0.0
    out[29] = 1.0 if working and 13 <= hour < 21 else 0.0
    reach = high - low
    if reach > 0.0:
        share = 1.0 / reach
        out[30] = (close - opened) * share
        out[31] = (high - max(opened, close)) * share
        out[32] = (min(opened, close) - low) * share
    else:
        out[30] = 0.0
        out[31] = 0.0
        out[32] = 0.0
    out[33] = reach / state[_ATR] if state[_ATR] > 0.0 else 0.0
    out[42] = (open_ms // _MS_PER_MINUTE) % 60
    if volume > 0.0 and 0.0 <= taker <= volume:
        out[43] = 2.0 * taker / volume - 1.0
    else:
        out[43] = 0.0


@njit(cache=True, error_model="numpy")
def step(  # noqa: PLR0917 -- compiled: a bar is passed as numbers
    state: FloatArray,
    open_ms: int,
    opened: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    taker: float,
    out: FloatArray,
) -> bool:
    """Advance `state` by one closed bar and write its features to `out` (`FEATURE_COUNT`,).

    `open_ms` is the bar's open time (UTC ms); prices are quote per base, volumes base units;
    `taker` may be NaN (unknown).  A bar with a number that cannot be (not finite, a price of zero
    or less, a negative volume) leaves the state as it was and gives a row of NaN, as do the first
    `FEATURES_WARMUP` - 1 bars.  Returns whether the row is filled.
    """
    total = opened + high + low + close + volume
    if not (math.isfinite(total) and low > 0.0 and high >= low and close > 0.0 and volume >= 0.0):
        out[:] = np.nan
        return False
    bars = int(state[_BARS])
    first = bars == 0
    spot = bars % _RING
    end = spot + _RING  # the newest bar's place in the second copy
    last = state[_CLOSE + end - 1]
    typical = (high + low + close) / 3.0
    money = 0.0
    change = 0.0
    if not first:
        change = close / last - 1.0
        before = state[_TYPICAL + end - 1]
        if typical > before:
            money = typical * volume
        elif typical < before:
            money = -typical * volume
    _advance_averages(state, first, high, low, close, last)
    for copy in (spot, end):
        state[_CLOSE + copy] = close
        state[_RETURN + copy] = change
        state[_VOLUME + copy] = volume
        state[_TYPICAL + copy] = typical
        state[_HIGH + copy] = high
        state[_LOW + copy] = low
        state[_FLOW + copy] = money
        state[_SIGNED + copy] = volume if change > 0.0 else (-volume if change < 0.0 else 0.0)
        state[_WORTH + copy] = typical * volume
        state[_MOVE + copy] = abs(close - last)
    state[_BARS] = bars + 1
    if bars < _RING:  # nothing to divide by yet
        out[:] = np.nan
        return False
    _oscillators(state, end, out)
    if bars + 1 < FEATURES_WARMUP:
        out[:] = np.nan
        return False
    _averages(state, close, out)
    _returns_and_volatility(state[_RETURN + end - 19 : _RETURN + end + 1], out)
    _price_and_volume(state, end, out)
    _bar_and_time(state, open_ms, (opened, high, low, close, volume, taker), out)
    return True


@njit(cache=True, error_model="numpy")
def run_history(  # noqa: PLR0917 -- compiled: a history is passed as arrays
    state: FloatArray,
    open_ms: IntArray,
    opened: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    taker: FloatArray,
    out: FloatArray,
) -> None:
    """Step through `n` bars; `out` is (n, `FEATURE_COUNT`), the other arrays (n,)."""
    for i in range(close.shape[0]):
        top, bottom, last = high[i], low[i], close[i]
        step(state, open_ms[i], opened[i], top, bottom, last, volume[i], taker[i], out[i])
