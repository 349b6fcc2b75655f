"""Our own position from fills: exact, whatever the order they are given in."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from core.messages import Side
from core.persistence.book import BookedFill, NetPosition, net_positions


def _fill(trade_id: int, signed: str, price: str = "100", *, ours: bool = True) -> BookedFill:
    quantity = Decimal(signed)
    return BookedFill(
        symbol="BTCUSDT",
        trade_id=trade_id,
        ours=ours,
        side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=abs(quantity),
        price=Decimal(price),
    )


def _net(*fills: BookedFill) -> NetPosition:
    return net_positions(fills)["BTCUSDT"]


def test_adds_exactly_where_binary_floats_would_not():
    net = _net(*(_fill(n, "0.1") for n in range(1, 4)), _fill(4, "-0.3"))
    assert net.quantity == 0


def test_averages_the_entry_while_growing_and_keeps_it_while_shrinking():
    net = _net(_fill(1, "1", "100"), _fill(2, "3", "104"), _fill(3, "-2", "200"))
    assert (net.quantity, net.entry_price) == (Decimal(2), Decimal(103))


def test_starts_a_new_entry_price_when_the_side_turns():
    net = _net(_fill(1, "1", "100"), _fill(2, "-3", "90"))
    assert (net.quantity, net.entry_price) == (Decimal(-2), Decimal(90))


def test_a_position_that_its_owner_closed_by_hand_is_not_ours_any_more():
    net = _net(_fill(1, "2"), _fill(2, "-2", ours=False))
    assert (net.quantity, net.foreign) == (Decimal(0), Decimal(0))


def test_what_a_foreign_fill_closes_beyond_ours_is_foreign():
    net = _net(_fill(1, "2"), _fill(2, "-5", ours=False))
    assert (net.quantity, net.foreign) == (Decimal(0), Decimal(-3))


def test_a_stop_of_ours_that_closes_more_than_ours_closes_the_foreign_part():
    net = _net(_fill(1, "2"), _fill(2, "1", ours=False), _fill(3, "-3"))
    assert (net.quantity, net.foreign) == (Decimal(0), Decimal(0))


def test_a_foreign_close_first_undoes_the_foreign_part():
    net = _net(_fill(1, "2"), _fill(2, "1", ours=False), _fill(3, "-1.5", ours=False))
    assert (net.quantity, net.foreign) == (Decimal("1.5"), Decimal(0))


_SIGNED = st.decimals("-5", "5", places=3).filter(lambda quantity: quantity != 0)


@given(
    fills=st.lists(st.tuples(_SIGNED, st.booleans()), min_size=1, max_size=12),
    random=st.randoms(use_true_random=False),
)
def test_parts_add_up_to_the_account_in_any_order(fills, random):
    booked = [_fill(n, str(signed), ours=ours) for n, (signed, ours) in enumerate(fills, start=1)]
    shuffled = random.sample(booked, len(booked))
    assert net_positions(shuffled) == net_positions(booked)
    net = _net(*booked)
    assert net.quantity + net.foreign == sum(signed for signed, _ in fills)
