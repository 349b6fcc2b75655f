"""From fills to round trips."""

from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.backtest.result import ExitReason
from core.backtest.round_trips import Bracket, Fill, FundingPaid, round_trips
from core.words import Purpose, Side

BTC, ETH = "BTCUSDT", "ETHUSDT"
BUY, SELL = Side.BUY, Side.SELL
MINUTE = 60_000


def fill(minute, side, quantity, price="100", *, symbol=BTC, gained="0", **changes):
    given_ = {
        "symbol": symbol,
        "number": minute,
        "side": side,
        "quantity": Decimal(quantity),
        "price": Decimal(price),
        "commission": Decimal("0.5"),
        "gained": Decimal(gained),
        "at_ms": minute * MINUTE,
    }
    return Fill(**(given_ | changes))


def trips(*fills, funding=(), **changes):
    return round_trips(fills, funding, first_ms=0, interval_ms=MINUTE, **changes)


def only(found):
    (trade,) = found.trades
    return trade


def test_fills_until_flat_make_one_trip_at_average_prices():
    trade = only(
        trips(
            fill(1, BUY, "1", "100"),
            fill(2, BUY, "3", "104"),
            fill(5, SELL, "2", "110", gained="14"),
            fill(8, SELL, "2", "112", gained="18"),
        )
    )
    assert (trade.side, trade.quantity) == (BUY, 4)
    assert (trade.entry_price, trade.exit_price) == (103, 111)
    assert (trade.entry_bar, trade.exit_bar) == (1, 8)
    assert trade.fees == 2
    assert trade.pnl == 14 + 18 - 2


def test_a_short_gains_when_it_falls():
    trade = only(trips(fill(1, SELL, "2", "100"), fill(3, BUY, "2", "90", gained="20")))
    assert (trade.side, trade.pnl) == (SELL, 19)


def test_symbols_do_not_mix():
    found = trips(
        fill(1, BUY, "1"),
        fill(2, SELL, "1", symbol=ETH),
        fill(3, SELL, "1", gained="5"),
        fill(4, BUY, "1", symbol=ETH, gained="-5"),
    )
    assert [(t.symbol, t.pnl) for t in found.trades] == [(BTC, 4), (ETH, -6)]


def test_what_is_still_held_is_no_trip():
    found = trips(fill(1, BUY, "2"), fill(2, SELL, "1", gained="5"))
    assert (found.trades, found.open_symbols) == ((), (BTC,))


def test_a_fill_beyond_flat_opens_the_next_trip_with_its_share_of_the_commission():
    found = trips(
        fill(1, BUY, "1"),
        fill(2, SELL, "4", "110", gained="10", commission=Decimal(4)),
        fill(3, BUY, "3", "100", gained="30"),
    )
    first, second = found.trades
    assert (first.quantity, first.fees, first.pnl) == (1, Decimal("1.5"), Decimal("8.5"))
    assert (second.side, second.quantity, second.fees) == (SELL, 3, Decimal("3.5"))
    assert second.pnl == Decimal("26.5")


def test_funding_counts_with_the_position_that_was_held_then():
    paid = [
        FundingPaid(symbol=BTC, amount=Decimal(a), at_ms=m * MINUTE)
        for a, m in (("-1", 0), ("-2", 2), ("7", 9))
    ]
    trade = only(trips(fill(1, BUY, "1"), fill(4, SELL, "1", gained="10"), funding=paid))
    assert (trade.funding, trade.pnl) == (-2, 7)


def test_funding_of_the_moment_of_an_exit_counts_before_it():
    paid = [FundingPaid(symbol=BTC, amount=Decimal(-3), at_ms=4 * MINUTE)]
    assert (
        only(trips(fill(1, BUY, "1"), fill(4, SELL, "1", gained="1"), funding=paid)).funding == -3
    )


def test_an_exit_of_what_no_fill_opened_is_counted_and_left_out():
    found = trips(fill(1, SELL, "1", gained="5"), fill(2, BUY, "1"), fill(3, SELL, "1", gained="2"))
    assert (found.without_entry, only(found).entry_bar) == (1, 2)


def test_a_stop_of_what_no_fill_opened_is_no_entry_even_without_gain():
    found = trips(fill(1, SELL, "1", purpose=Purpose.STOP))
    assert (found.without_entry, found.open_symbols) == (1, ())


def test_an_entry_of_another_proposal_says_that_someone_else_closed_the_last():
    entry = {"purpose": Purpose.ENTRY}
    found = trips(
        fill(1, BUY, "1", proposal_id="a", **entry),
        fill(5, BUY, "2", "120", proposal_id="b", **entry),
        fill(7, SELL, "2", "125", gained="10", proposal_id="b", purpose=Purpose.TARGET),
    )
    assert found.without_exit == 1
    assert (only(found).entry_price, only(found).proposal_id) == (120, "b")


@pytest.mark.parametrize(
    ("purpose", "reason"),
    [
        (Purpose.STOP, ExitReason.STOP),
        (Purpose.TARGET, ExitReason.TARGET),
        (Purpose.EXIT, ExitReason.EXIT),
        (None, ExitReason.UNKNOWN),
    ],
)
def test_the_last_fill_tells_what_closed_it(purpose, reason):
    trade = only(trips(fill(1, BUY, "1"), fill(2, SELL, "1", gained="1", purpose=purpose)))
    assert trade.exit_reason is reason


def test_stop_and_target_come_from_the_proposal():
    bracket = Bracket(stop_price=Decimal(98), target_price=Decimal(104))
    entry = fill(1, BUY, "1", proposal_id="a", purpose=Purpose.ENTRY)
    trade = only(trips(entry, fill(2, SELL, "1", gained="1"), brackets={"a": bracket}))
    assert (trade.stop_price, trade.target_price) == (98, 104)


def test_the_order_in_which_fills_are_given_changes_nothing():
    fills = [fill(1, BUY, "1"), fill(2, SELL, "1", gained="3"), fill(3, SELL, "2")]
    assert trips(*fills).trades == trips(*reversed(fills)).trades


@given(
    st.lists(
        st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 5), st.integers(90, 110)),
        min_size=1,
        max_size=40,
    )
)
def test_no_gain_and_no_commission_is_lost_or_doubled(orders):
    """Fills as a one-way account books them; closed at the end, all must be in the trips."""
    position, cost, fills, number = Decimal(0), Decimal(0), [], count(1)

    def book(side, quantity, price):
        nonlocal position, cost
        signed = side.sign * quantity
        gained = Decimal(0)
        if position and (position > 0) != (signed > 0):
            closing = min(abs(position), quantity)
            entry = cost / position
            gained = closing * (price - entry) * (1 if position > 0 else -1)
            cost -= entry * closing * (1 if position > 0 else -1)
            position += side.sign * closing
            rest = side.sign * (quantity - closing)
            position, cost = position + rest, cost + rest * price
        else:
            position, cost = position + signed, cost + signed * price
        fills.append(fill(next(number), side, quantity, price, gained=gained))

    for side, quantity, price in orders:
        book(side, Decimal(quantity), Decimal(price))
    if position:
        book(SELL if position > 0 else BUY, abs(position), Decimal(100))
    found = trips(*fills)
    # An exit at exactly the entry price is the same to the eye, so nothing here is taken for one.
    assert found.open_symbols == ()
    assert sum(t.fees for t in found.trades) == pytest.approx(Decimal("0.5") * len(fills))
    assert sum(t.pnl + t.fees for t in found.trades) == pytest.approx(sum(f.gained for f in fills))
    assert all(t.quantity > 0 for t in found.trades)
