"""What comes off the sockets: each closed candle once, money untouched, garbage nowhere."""

from decimal import Decimal

import pytest

from core import messages as m
from core.feed.machine import FeedMachine
from tests.builders import NOON_NS, SYMBOL, a_candle, a_mark, a_moment, an_account_update
from tests.execution.desk import STOP, an_algo_event, an_order_event


def a_feed() -> FeedMachine:
    return FeedMachine((SYMBOL, "ETHUSDT"))


def a_frame(minute: int = 0, symbol: str = SYMBOL, *, closed: bool = True) -> m.KlineFrame:
    return m.KlineFrame(
        symbol=symbol, candle=a_candle(minute), closed=closed, event_ns=NOON_NS + minute
    )


def hear(feed: FeedMachine, *messages) -> list[object]:
    return [out for message in messages for out in feed.handle(message, a_moment())]


def test_a_closed_candle_is_passed_on():
    frame = a_frame(3)
    assert hear(a_feed(), frame) == [
        m.ClosedKline(symbol=SYMBOL, candle=frame.candle, event_ns=frame.event_ns)
    ]


def test_a_forming_candle_is_not():
    assert hear(a_feed(), a_frame(closed=False)) == []


def test_a_repeated_candle_is_passed_on_once_and_counted():
    feed = a_feed()
    assert len(hear(feed, a_frame(1), a_frame(1), a_frame(1))) == 1
    assert feed.repeated_klines == 2


def test_an_older_candle_is_dropped():
    feed = a_feed()
    out = hear(feed, a_frame(5), a_frame(4), a_frame(6))
    assert [k.candle.open_time_ns for k in out] == [a_candle(n).open_time_ns for n in (5, 6)]


def test_a_gap_is_passed_on_for_the_symbol_to_see():
    assert len(hear(a_feed(), a_frame(1), a_frame(4))) == 2


def test_symbols_do_not_shadow_each_other():
    assert len(hear(a_feed(), a_frame(5), a_frame(1, "ETHUSDT"))) == 2


def test_an_unknown_symbol_is_ignored():
    assert hear(a_feed(), a_frame(symbol="DOGEUSDT")) == []


@pytest.mark.parametrize(
    "message",
    [
        a_mark(),
        an_order_event(STOP, trade_id=1, fills="1"),
        an_algo_event(STOP, "NEW"),
        an_account_update("10000"),
    ],
)
def test_money_and_marks_pass_untouched_and_as_often_as_they_come(message):
    assert hear(a_feed(), message, message) == [message, message]


def test_a_rejected_frame_is_counted_and_goes_nowhere():
    feed = a_feed()
    assert hear(feed, m.FrameRejected(stream="market", reason="NaN", sample="{")) == []
    assert feed.rejected_frames == 1


def test_the_first_connection_is_only_announced():
    up = m.StreamUp(stream="market", connection=1)
    assert hear(a_feed(), up) == [up]


def test_a_market_reconnect_makes_every_symbol_derive_its_state_again():
    feed = a_feed()
    down = m.StreamDown(stream="market", reason="silent")
    up = m.StreamUp(stream="market", connection=2)
    assert hear(feed, down) == [down]
    assert feed.down == {"market": "silent"}
    out = hear(feed, up)
    assert out[0] == up
    assert [x.symbol for x in out[1:] if isinstance(x, m.Resync)] == [SYMBOL, "ETHUSDT"]
    assert feed.down == {}


def test_a_private_reconnect_concerns_no_symbol():
    up = m.StreamUp(stream="private", connection=2)
    assert hear(a_feed(), up) == [up]


def test_an_exact_price_stays_exact():
    (mark,) = hear(a_feed(), a_mark("0.100"))
    assert str(mark.price) == str(Decimal("0.100"))


def priced(minute: int, close: float, *, closed: bool = False) -> m.KlineFrame:
    """A frame of one candle, told `minute` nanoseconds after noon."""
    candle = a_candle(0, close)
    return m.KlineFrame(symbol=SYMBOL, candle=candle, closed=closed, event_ns=NOON_NS + minute)


def test_a_mark_carries_the_newest_last_price_of_forming_and_closed_candles():
    feed = a_feed()
    assert hear(feed, a_mark())[0].last_price is None
    (mark,) = hear(feed, priced(1, 101.5), a_mark())
    assert mark.last_price == Decimal("101.5")
    *_, mark = hear(feed, priced(3, 102.25, closed=True), priced(2, 99.0), a_mark())
    assert mark.last_price == Decimal("102.25")
    assert hear(feed, a_mark(symbol="ETHUSDT"))[0].last_price is None


def test_a_price_that_is_no_number_is_no_last_price():
    feed = a_feed()
    (mark,) = hear(feed, priced(1, 101.5), priced(2, float("nan")), a_mark())
    assert mark.last_price == Decimal("101.5")
