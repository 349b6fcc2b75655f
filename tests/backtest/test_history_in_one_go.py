"""What the backtest tells in one go is what live tells one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import messages as m
from core.backtest.decisions import decide
from core.backtest.rhythm import Rhythm
from core.clock import NS_PER_S
from core.risk.correlation import Returns
from core.risk.tempo import Signals
from core.symbol.strategy import EnhancedStrategy
from tests.symbol.seeded_candles import seeded_candles

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS
SYMBOL = "BTCUSDT"


def a_candle(bar: int, close: float) -> m.Candle:
    return m.Candle(
        open_time_ns=bar * MINUTE_NS,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=1.0,
        taker_buy_volume=float("nan"),
    )


@settings(deadline=None)
@given(
    st.lists(st.floats(1.0, 2.0), min_size=30, max_size=150),
    st.lists(st.integers(1, 149), max_size=4),
    st.integers(0, 40),
)
def test_runs_of_closes_leave_the_returns_that_single_candles_leave(closes, cuts, hole):
    one, runs = (Returns(bars=20, interval_ns=MINUTE_NS) for _ in range(2))
    at = len(closes) // 2
    bars = [bar if bar < at else bar + hole for bar in range(len(closes))]
    for bar, close in zip(bars, closes, strict=True):
        one.take(SYMBOL, a_candle(bar, close))
    edges = sorted({0, at, len(closes), *(cut for cut in cuts if cut < len(closes))})
    for start, end in itertools.pairwise(edges):
        runs.take_run(SYMBOL, bars[start], closes[start:end])
    last_ns = (bars[-1] + 1) * MINUTE_NS
    assert runs.spike(SYMBOL, last_ns) == one.spike(SYMBOL, last_ns)
    assert runs.move_of_bar(SYMBOL, last_ns, 1.5) == one.move_of_bar(SYMBOL, last_ns, 1.5)
    shocks = [r.shock({}, SYMBOL, 1, size=3.0, limit=100.0) for r in (one, runs)]
    assert shocks[0] == shocks[1]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=200),
    st.sampled_from([MINUTE_NS, HOUR_NS]),
)
def test_rhythms_are_those_of_wishes_told_one_by_one(gaps, interval_ns):
    bars = np.cumsum(np.array(gaps, dtype=np.int64))
    rhythm = Rhythm.of(bars, interval_ns)
    signals = Signals(interval_ns)
    for place, bar in enumerate(bars.tolist()):
        resumed = Signals(interval_ns)
        first, recent, older = rhythm.before(place)
        if place:
            resumed.resume(SYMBOL, first_bar=first, recent=recent, older=older)
        for each in (signals, resumed):
            each.note(SYMBOL, bar * interval_ns)
        ratio = signals.ratio(SYMBOL)
        assert resumed.ratio(SYMBOL) == ratio
        if ratio is None:
            assert np.isnan(rhythm.ratio[place])
        else:
            assert rhythm.ratio[place] == pytest.approx(ratio)


class OneByOne:
    """The default strategy without its way of deciding on all rows at once."""

    def __init__(self, strategy: EnhancedStrategy) -> None:
        self._strategy = strategy
        self.warmup = strategy.warmup

    def generate_signal(self, df):
        answer = self._strategy.generate_signal(df)
        self.last_assessment = self._strategy.last_assessment
        return answer


def test_rows_decided_at_once_are_those_decided_one_by_one():
    frame = seeded_candles(1_400, 5)
    given_settings = {"ALLOW_TECHNICAL_ONLY": True, "KLINE_HISTORY": 200}
    at_once = decide(EnhancedStrategy(given_settings), frame, bars_kept=10_000, bars_min=200)
    single = OneByOne(EnhancedStrategy(given_settings))
    one_by_one = decide(single, frame, bars_kept=10_000, bars_min=200)
    assert np.count_nonzero(at_once.sides) > 100
    assert at_once.sides.tolist() == one_by_one.sides.tolist()
    assert at_once.strengths.tolist() == one_by_one.strengths.tolist()
    assert np.isnan(one_by_one.confidences[at_once.sides != 0]).all()
