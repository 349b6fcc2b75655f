"""The plan as a diff: whatever venue and book say, two rounds agree and a third has nothing."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core import messages as m
from core.execution import reconcile
from core.execution.client_id import is_ours
from core.messages import Purpose, Side
from tests.builders import a_book
from tests.execution.desk import (
    TAG,
    Desk,
    a_snapshot,
    a_venue_order,
    a_venue_position,
    an_answer,
    some,
)

NAMES = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
QUANTITIES = st.sampled_from(["0", "10", "-10", "4"])


@st.composite
def conditionals(draw: st.DrawFn) -> m.VenueOrder:
    """Any stop or target of any symbol, ours or another's, on either side."""
    purpose = draw(st.sampled_from([Purpose.STOP, Purpose.TARGET]))
    ours = draw(st.integers(0, 3)) > 0
    number = draw(st.integers(0, 4))
    symbol = draw(st.sampled_from(NAMES))
    name = f"{TAG}-{purpose}-{symbol[:3].lower()}-{number}" if ours else f"web_{number}"
    return a_venue_order(
        purpose,
        name,
        draw(st.sampled_from(Side)),
        symbol=symbol,
        trigger_price=Decimal(draw(st.integers(90, 110))),
        close_position=draw(st.booleans()) or ours,
    )


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """What the venue has, and what our book believes."""
    orders = {(o.symbol, o.client_id): o for o in draw(st.lists(conditionals(), max_size=8))}
    positions = {s: draw(QUANTITIES) for s in NAMES}
    return {
        "held": {s: Decimal(draw(QUANTITIES)) for s in NAMES},
        "positions": tuple(a_venue_position(q, s) for s, q in positions.items() if q != "0"),
        "orders": tuple(orders.values()),
    }


def applied(
    found: reconcile.Plan, held: Mapping[str, Decimal], orders: tuple[m.VenueOrder, ...]
) -> tuple[dict[str, Decimal], tuple[m.VenueOrder, ...]]:
    """Carry a plan out by its own words: hold what is adopted, place what is missing."""
    book, listed = dict(held), list(orders)
    for action in found.actions:
        match action:
            case reconcile.Adopt(position=p, stop=stop, target=target):
                book[p.symbol] = p.quantity
                closing = Side.SELL if p.quantity > 0 else Side.BUY
                for purpose, order in ((Purpose.STOP, stop), (Purpose.TARGET, target)):
                    name = f"{TAG}-{purpose}-{p.symbol[:3].lower()}-9"
                    if order is None:
                        listed.append(a_venue_order(purpose, name, closing, symbol=p.symbol))
            case reconcile.Forget(symbol=symbol):
                book[symbol] = Decimal(0)
            case reconcile.Remove(order=order):
                listed.remove(order)
            case reconcile.Foreign():
                pass
    return book, tuple(listed)


@settings(max_examples=300, deadline=None)
@given(world=worlds())
def test_a_plan_carried_out_leaves_nothing_to_change(world: dict[str, Any]) -> None:
    desk, settled = Desk(), frozenset(NAMES)
    held, orders, positions = world["held"], world["orders"], world["positions"]
    for _ in range(2):
        snapshot = a_snapshot(desk, positions=positions, orders=orders)
        found = reconcile.plan(snapshot, held, TAG, settled)
        assert found == reconcile.plan(snapshot, held, TAG, settled)
        held, orders = applied(found, held, orders)
    last = reconcile.plan(a_snapshot(desk, positions=positions, orders=orders), held, TAG, settled)
    assert all(isinstance(a, reconcile.Adopt | reconcile.Foreign) for a in last.actions)
    for action in last.actions:
        if isinstance(action, reconcile.Adopt):
            assert None not in (action.stop, action.target)
            assert held[action.position.symbol] == action.position.quantity


@settings(max_examples=300, deadline=None)
@given(world=worlds(), data=st.data())
def test_the_plan_does_not_depend_on_the_order_of_the_lists(
    world: dict[str, Any], data: st.DataObject
) -> None:
    desk = Desk()
    snapshot = a_snapshot(desk, positions=world["positions"], orders=world["orders"])
    mixed = replace(
        snapshot,
        positions=tuple(data.draw(st.permutations(world["positions"]))),
        orders=tuple(data.draw(st.permutations(world["orders"]))),
    )
    one, other = (
        reconcile.plan(s, world["held"], TAG, frozenset(NAMES)) for s in (snapshot, mixed)
    )
    assert set(one.actions) == set(other.actions)
    assert one.foreign_orders == other.foreign_orders


@settings(max_examples=150, deadline=None)
@given(world=worlds())
def test_the_machine_converges_in_two_rounds_and_touches_nothing_foreign(
    world: dict[str, Any],
) -> None:
    held = {s: q for s, q in world["held"].items() if q}
    desk = Desk(NAMES)
    book = {
        "positions": tuple(held.items()),
        "entry_prices": tuple((s, Decimal(100)) for s in held),
    }
    desk.tell(a_book(**book))
    listed = list(world["orders"])
    for number in range(3):
        desk.tick(6)
        said = len(desk.said)
        snapshot = a_snapshot(desk, positions=world["positions"], orders=tuple(listed))
        out = desk.tell(snapshot, 0.1)
        for placed in some(m.PlaceAlgoOrder, out):
            answer = replace(an_answer(placed.client_id, placed.purpose), symbol=placed.symbol)
            desk.tell(answer)
            listed.append(
                a_venue_order(placed.purpose, placed.client_id, placed.side, symbol=placed.symbol)
            )
        for gone in some(m.CancelAlgoOrder, tuple(desk.said[said:])):
            assert is_ours(TAG, gone.client_id)
            listed = [o for o in listed if o.client_id != gone.client_id]
            desk.tell(m.AlgoGone(client_id=gone.client_id, symbol=gone.symbol, detail=""))
        if number == 2:
            assert not some(m.PlaceAlgoOrder, out) + some(m.CancelAlgoOrder, out)
    assert not [o for o in desk.heard(m.PlaceOrder) if not o.reduce_only]
    assert [o for o in listed if not is_ours(TAG, o.client_id)] == [
        o for o in world["orders"] if not is_ours(TAG, o.client_id)
    ]
