"""After any trouble on the market stream closed klines are contiguous and none is used twice."""

import itertools
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from core import messages as m
from core.feed.machine import FeedMachine
from core.symbol.machine import SymbolMachine
from tests.builders import MINUTE_NS, NOON_NS, SYMBOL, a_candle, a_moment, an_instrument

BARS = 5


class Watching:
    """A strategy that remembers what it was shown."""

    warmup = BARS

    def __init__(self) -> None:
        self.shown: list[pd.DataFrame] = []

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        self.shown.append(df)
        return None, 0.0, {}


def a_frame(minute: int) -> m.KlineFrame:
    return m.KlineFrame(
        symbol=SYMBOL, candle=a_candle(minute), closed=True, event_ns=NOON_NS + minute * MINUTE_NS
    )


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["closed", "lost", "doubled", "late", "gap"]),
            st.integers(0, 3),  # how many messages the history takes to come
        ),
        min_size=1,
        max_size=40,
    )
)
def test_klines_stay_contiguous_and_none_is_decided_twice(minutes):
    strategy = Watching()
    symbol = SymbolMachine(
        symbol=SYMBOL,
        strategy=strategy,
        strategy_name="watching",
        instrument=an_instrument(),
        interval_ns=MINUTE_NS,
        bars=BARS,
        bars_min=BARS,
        generation=1,
    )
    feed = FeedMachine((SYMBOL,))
    waiting: list[int] = []  # messages until a history that was asked for comes
    connections, last = 1, 0

    def pass_on(message: Any, minute: int, slow: int) -> None:
        for heard in feed.handle(message, a_moment(minute * 60.0)):
            if isinstance(heard, m.ClosedKline | m.Resync):
                said = symbol.handle(heard, a_moment(minute * 60.0))
                waiting.extend(slow for out in said if isinstance(out, m.FetchHistory))

    def answer(minute: int, *, all_: bool = False) -> None:
        due = [n for n in waiting if all_ or n <= 0]
        waiting[:] = [] if all_ else [n - 1 for n in waiting if n > 0]
        for _ in due:
            candles = tuple(a_candle(n) for n in range(minute - BARS + 1, minute + 1))
            symbol.handle(m.KlineHistory(symbol=SYMBOL, candles=candles), a_moment(minute * 60.0))

    waiting += [0 for out in symbol.start(a_moment()) if isinstance(out, m.FetchHistory)]
    for minute, (fate, slow) in enumerate(minutes, start=1):
        last = minute
        match fate:
            case "closed":
                pass_on(a_frame(minute), minute, slow)
            case "doubled":
                pass_on(a_frame(minute), minute, slow)
                pass_on(a_frame(minute), minute, slow)
            case "late" if minute > 1:
                pass_on(a_frame(minute), minute, slow)
                pass_on(a_frame(minute - 1), minute, slow)
            case "gap":
                connections += 1
                pass_on(m.StreamUp(stream="market", connection=connections), minute, slow)
        answer(minute)
    pass_on(m.StreamUp(stream="market", connection=connections + 1), last, 0)
    answer(last, all_=True)

    shown = [list(df.index) for df in strategy.shown]
    newest = [index[-1] for index in shown]
    assert newest == sorted(set(newest))  # each once, in order
    for index in (*shown, list(symbol.frame().index)):
        apart = {later - earlier for earlier, later in itertools.pairwise(index)}
        assert apart <= {pd.Timedelta(minutes=1)}
    assert symbol.frame().index[-1].value == NOON_NS + last * MINUTE_NS
