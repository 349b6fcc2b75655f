"""Trades and quotes reduced to a bar: shares by count and by time, only of bars heard whole."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import NS_PER_MS, NS_PER_S
from core.feed.frames import parse_flow
from core.feed.order_flow import BookTop, OrderFlow, TradePrint
from core.messages import Candle, FrameRejected, KlineFrame

MINUTE = 60 * NS_PER_S
BAR = 1_700_000_040 * NS_PER_S  # a full minute


def a_trade(number: int, at_s: float, *, sold: bool = False, symbol: str = "BTCUSDT") -> TradePrint:
    at_ns = BAR + int(at_s * NS_PER_S)
    return TradePrint(symbol=symbol, number=number, buyer_is_maker=sold, at_ns=at_ns)


def a_book(number: int, at_s: float, bid: float, ask: float) -> BookTop:
    at_ns = BAR + int(at_s * NS_PER_S)
    return BookTop(symbol="BTCUSDT", number=number, bid_quantity=bid, ask_quantity=ask, at_ns=at_ns)


def a_close(bar: int = 0, *, closed: bool = True, symbol: str = "BTCUSDT") -> KlineFrame:
    opened = BAR + bar * MINUTE
    candle = Candle(
        open_time_ns=opened,
        open=100.0,
        high=100.0,
        low=100.0,
        close=100.0,
        volume=2.0,
        taker_buy_volume=1.0,
    )
    return KlineFrame(symbol=symbol, candle=candle, closed=closed, event_ns=opened + MINUTE)


def a_flow() -> OrderFlow:
    """One that has heard a balanced book before the bar began."""
    flow = OrderFlow(("BTCUSDT", "ETHUSDT"), MINUTE)
    flow.take(a_book(1, -1, bid=1.0, ask=1.0))
    return flow


def test_trades_count_by_the_side_of_their_taker():
    flow = a_flow()
    for number, sold in enumerate((False, False, False, True)):
        flow.take(a_trade(number, 5 + number, sold=sold))
    bar = flow.close(a_close())
    assert bar is not None
    assert bar.trade_imbalance == 0.5
    assert bar.candle == a_close().candle


def test_quotes_count_by_how_long_they_stood():
    flow = a_flow()
    flow.take(a_book(2, 45, bid=3.0, ask=1.0))  # leaning 0.5 for a quarter of the bar
    bar = flow.close(a_close())
    assert bar is not None
    assert bar.book_imbalance == pytest.approx(0.125)


def test_a_quote_stands_over_the_end_of_its_bar():
    flow = a_flow()
    flow.take(a_book(2, 30, bid=3.0, ask=1.0))
    flow.take(a_book(3, 90, bid=1.0, ask=3.0))
    first, second = flow.close(a_close(0)), flow.close(a_close(1))
    assert first is not None
    assert second is not None
    assert first.book_imbalance == pytest.approx(0.25)
    assert second.book_imbalance == pytest.approx(0.0)


def test_a_bar_without_trades_is_balanced():
    bar = a_flow().close(a_close())
    assert bar is not None
    assert bar.trade_imbalance == 0.0


def test_what_belongs_to_the_next_bar_does_not_count_in_this_one():
    flow = a_flow()
    flow.take(a_trade(1, 59.9))
    flow.take(a_trade(2, 60.0, sold=True))
    first, second = flow.close(a_close(0)), flow.close(a_close(1))
    assert first is not None
    assert second is not None
    assert (first.trade_imbalance, second.trade_imbalance) == (1.0, -1.0)


def test_what_arrives_twice_counts_once():
    flow = a_flow()
    for _ in range(3):
        flow.take(a_trade(1, 5))
    flow.take(a_trade(2, 6, sold=True))
    bar = flow.close(a_close())
    assert bar is not None
    assert bar.trade_imbalance == 0.0


def test_a_bar_that_had_begun_before_anything_was_heard_has_no_record():
    flow = OrderFlow(("BTCUSDT",), MINUTE)
    flow.take(a_book(1, 10, bid=1.0, ask=1.0))
    assert flow.close(a_close(0)) is None
    assert flow.close(a_close(1)) is not None


def test_an_interruption_costs_the_bar_under_way():
    flow = a_flow()
    flow.interrupted()
    flow.take(a_book(2, 20, bid=1.0, ask=1.0))
    assert flow.close(a_close(0)) is None
    assert flow.close(a_close(1)) is not None


def test_forming_candles_and_other_symbols_end_nothing():
    flow = a_flow()
    flow.take(a_trade(1, 5, symbol="XRPUSDT"))
    assert flow.close(a_close(closed=False)) is None
    assert flow.close(a_close(symbol="XRPUSDT")) is None
    assert flow.close(a_close(symbol="ETHUSDT")) is None  # nothing heard of it
    assert flow.close(a_close()) is not None


events = st.lists(
    st.tuples(st.booleans(), st.floats(0, 600), st.floats(0, 1e6), st.floats(0, 1e6)), max_size=60
)


@given(events)
def test_whatever_is_heard_imbalances_are_shares_and_memory_is_bounded(heard):
    flow = a_flow()
    for number, (is_trade, at_s, bid, ask) in enumerate(sorted(heard, key=lambda e: e[1]), 2):
        if is_trade:
            flow.take(a_trade(number, at_s, sold=bid > ask))
        else:
            flow.take(a_book(number, at_s, bid, ask))
        assert flow.bars_kept <= 3
    for place in range(11):
        bar = flow.close(a_close(place))
        assert bar is not None
        assert abs(bar.trade_imbalance) <= 1.0
        assert math.isfinite(bar.book_imbalance)
        assert abs(bar.book_imbalance) <= 1.0


def test_trades_and_quotes_are_read_from_the_venues_frames():
    trade = {"e": "aggTrade", "s": "BTCUSDT", "a": 7, "m": True, "T": 1_700_000_000_123, "nq": "1"}
    assert parse_flow(trade, "x") == TradePrint(
        symbol="BTCUSDT", number=7, buyer_is_maker=True, at_ns=1_700_000_000_123 * NS_PER_MS
    )
    quote = {"e": "bookTicker", "s": "BTCUSDT", "u": 9, "B": "1.5", "A": "0.5", "b": "1"}
    assert parse_flow(quote | {"T": 1_700_000_000_123}, "x") == BookTop(
        symbol="BTCUSDT",
        number=9,
        bid_quantity=1.5,
        ask_quantity=0.5,
        at_ns=1_700_000_000_123 * NS_PER_MS,
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"e": "aggTrade", "s": "BTCUSDT", "a": 7, "m": "true", "T": 1_700_000_000_123},
        {"e": "bookTicker", "s": "BTCUSDT", "u": 9, "B": "-1", "A": "1", "T": 1_700_000_000_123},
        {"e": "bookTicker", "s": "BTCUSDT", "u": 9, "B": "nan", "A": "1", "T": 1_700_000_000_123},
        {"e": "bookTicker", "s": "BTCUSDT", "u": 9, "B": "1", "A": "1", "T": 17},
        {"e": "kline"},
        [],
    ],
)
def test_frames_that_cannot_be_used_are_rejected(broken):
    assert isinstance(parse_flow(broken, "x"), FrameRejected)
