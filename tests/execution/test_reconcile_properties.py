"""Whatever venue and book say, two rounds of reconciliation agree and a third has nothing."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core import messages as m
from core.execution import reconcile
from core.execution.bracket import Phase
from core.execution.client_id import is_ours
from core.execution.holdings import booked_fill
from core.messages import Purpose, Side
from core.persistence.book import NetPosition, net_positions
from tests.builders import a_book, a_proposal
from tests.execution.desk import (
    TAG,
    Desk,
    a_snapshot,
    a_stored_book,
    a_venue_order,
    a_venue_position,
    an_answer,
    approved,
    name_of,
    some,
)
from tests.execution.silent_venue import DAY_S, SilentVenue

NAMES = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
SYMBOLS = st.sampled_from(NAMES)
LEGS = st.sampled_from([Purpose.STOP, Purpose.TARGET])
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


class Reconciliation(RuleBasedStateMachine):
    """Three symbols on a venue that tells nothing unasked; then two rounds agree with it.

    A round is a comparison and all that follows from it within three seconds; should that ask for
    another snapshot (an order was refused), it is answered as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(NAMES)
        self.venue = SilentVenue(self.desk)
        self.wishes = self.strangers = 0
        self.durable = 0  # so much of what was said is on disk for certain
        self.lost: set[str] = set()  # symbols that somebody held when the book was lost
        self.astray: set[str] = set()  # own orders that no trade of ours knows
        self.entered: set[str] = set()  # symbols that an order of ours ever touched
        self._begin(a_book())
        self._round()

    def _begin(self, book: m.RecoveredBook) -> None:
        """Let a successor read this book; its first question is still unanswered."""
        self.desk.machine = Desk(NAMES).machine
        for symbol in NAMES:
            self.desk.tell(m.ActorStarted(name=f"symbol/{symbol}", symbol=symbol, generation=1))
        self.desk.tell(book)

    def _round(self) -> tuple[object, ...]:
        """Compare, and answer all that is asked within the next three seconds."""
        out = self.venue.serve(self.desk.tell(m.Resync(symbol="", reason="test"), 12.0))
        for _ in range(6):
            out += self.venue.serve(self.desk.tick(0.5))
        return out

    # ---------------------------------------- ours
    @rule(symbol=SYMBOLS, side=st.sampled_from(Side))
    def is_entered(self, symbol: str, side: Side) -> None:
        """Risk approves a proposal; whether it is sent is for execution to say."""
        self.wishes += 1
        proposal = a_proposal(self.wishes, symbol=symbol, side=side)
        recorded = approved(self.desk, proposal=proposal)
        self.durable = len(self.desk.said)
        out = self.venue.serve(recorded)
        self.entered |= {o.symbol for o in some(m.PlaceOrder, out)}

    @rule(symbol=SYMBOLS)
    def stop_fires(self, symbol: str) -> None:
        """The price reaches the stop of a trade of ours."""
        held = self.venue.held(symbol)
        for order in self.venue.own(symbol):
            fires = order.order_type == "STOP_MARKET" and order.side.sign * held < 0
            if fires and order.client_id not in self.astray:
                self.venue.drop(order)
                self.venue.trade(symbol, order.client_id, -held)

    # ---------------------------------------- others
    @rule(symbol=SYMBOLS, signed=st.sampled_from([-20, -10, -4, 4, 10, 20]))
    def is_traded_by_hand(self, symbol: str, signed: int) -> None:
        """A foreign position comes, or one of anybody's grows, shrinks, goes or turns."""
        self.strangers += 1
        self.venue.trade(symbol, f"web_{self.strangers}", Decimal(signed))

    @rule(symbol=SYMBOLS)
    def is_closed_by_hand(self, symbol: str) -> None:
        """Whatever is held is gone."""
        if self.venue.held(symbol):
            self.strangers += 1
            self.venue.trade(symbol, f"web_{self.strangers}", -self.venue.held(symbol))

    @rule(symbol=SYMBOLS, side=st.sampled_from(Side), purpose=LEGS)
    def foreign_order_comes(self, symbol: str, side: Side, purpose: Purpose) -> None:
        """A conditional order of a quantity, by hand."""
        self.strangers += 1
        name = f"web_{self.strangers}"
        self.venue.place(symbol, purpose, name, side, close_position=False)

    @precondition(lambda self: self.venue.foreign())
    @rule(data=st.data())
    def foreign_order_goes(self, data: st.DataObject) -> None:
        """It fires elsewhere or is cancelled."""
        self.venue.drop(data.draw(st.sampled_from(self.venue.foreign())))

    @rule(symbol=SYMBOLS, purpose=LEGS)
    def own_order_is_lost(self, symbol: str, purpose: Purpose) -> None:
        """A stop or target of ours vanishes, and nobody is told."""
        for order in self.venue.own(symbol):
            if f"-{purpose}-" in order.client_id:
                self.venue.drop(order)

    @rule(symbol=SYMBOLS, side=st.sampled_from(Side), purpose=LEGS)
    def own_order_of_an_earlier_trade_appears(
        self, symbol: str, side: Side, purpose: Purpose
    ) -> None:
        """Nothing knows of it any more."""
        self.strangers += 1
        name = name_of(purpose, 0, a_proposal(10_000 + self.strangers, symbol=symbol))
        if not self.venue.place(symbol, purpose, name, side):
            self.astray.add(name)
            self.entered.add(symbol)

    @rule(expires=st.booleans())
    def venue_changes_its_mind(self, expires: bool) -> None:
        """Conditional orders go with the position that they close, or stay."""
        self.venue.expires = expires

    # ---------------------------------------- time and death
    @rule(seconds=st.sampled_from([1, 7, 65]))
    def time_passes(self, seconds: int) -> None:
        """Drop copies are asked for and answered."""
        for _ in range(seconds):
            self.venue.serve(self.desk.tick(1.0))

    @rule(lag=st.integers(0, 30), days=st.sampled_from([0, 0, 3, 10]))
    def restarts(self, lag: int, days: int) -> None:
        """The database lacks the last facts that nobody waited for; time went by without us."""
        kept = max(self.durable, len(self.desk.said) - lag)
        del self.desk.said[kept:]
        self.desk.at_s += days * DAY_S
        self._begin(a_stored_book(self.desk.said))

    @rule(days=st.sampled_from([0, 3, 10]))
    def book_is_lost(self, days: int) -> None:
        """A successor starts on an empty database."""
        self.desk.said.clear()
        self.lost.update(s for s, net in self._fills().items() if net.quantity or net.foreign)
        self.durable = 0
        self.desk.at_s += days * DAY_S
        self._begin(a_book())

    # ---------------------------------------- what holds
    @invariant()
    def others_are_left_alone(self) -> None:
        """No request of ours names an order or a symbol that is none of our business."""
        for asked in self.venue.asked:
            assert is_ours(TAG, asked.client_id)
            assert asked.symbol in self.entered
        assert self.desk.heard(m.Halt) == []

    def teardown(self) -> None:
        """Two rounds bring both sides together; a third finds nothing to do."""
        foreign, ours = self.venue.foreign(), self._certainly_ours()
        for _ in range(2):
            self._round()
        self._agree()
        assert ours <= {s for s in NAMES if self.desk.machine.holdings.of(s).quantity}
        before, told = len(self.venue.asked), told_of(self.desk)
        out = self._round()
        self._agree()
        assert len(self.venue.asked) == before
        assert some(m.FillBooked, out) + some(m.RecordIntent, out) == []
        assert [done.report for done in some(m.Reconciled, out)] == [()]
        assert told_of(self.desk) == told
        assert self.venue.foreign() == foreign

    def _certainly_ours(self) -> set[str]:
        """Return what our own trades opened, if the book is whole or a stop of ours proves it."""
        opened = {s for s, own in self._fills().items() if own.quantity * self.venue.held(s) > 0}
        return {s for s in opened if s not in self.lost or self.venue.guarded(s)}

    def _fills(self) -> dict[str, NetPosition]:
        """Return what is ours and what is others' by all that was ever traded."""
        return net_positions(
            booked_fill(t, ours=is_ours(TAG, t.client_id)) for t in self.venue.trades
        )

    def _agree(self) -> None:
        """What is ours is held as the venue has it, with one stop; of the rest we have nothing."""
        machine, venue = self.desk.machine, self.venue
        for symbol in NAMES:
            there, ours = venue.held(symbol), machine.holdings.of(symbol).quantity
            orders = [(o.order_type, o.side) for o in venue.own(symbol)]
            if ours:
                closing = Side.SELL if there > 0 else Side.BUY
                kinds = ("STOP_MARKET", "TAKE_PROFIT_MARKET")
                assert ours == there
                assert sorted(orders) == [(kind, closing) for kind in kinds]
                assert machine.brackets[symbol].phase is Phase.PROTECTED
            else:
                assert orders == []
                assert symbol not in machine.brackets
                assert told_of(self.desk).get(symbol, (0, False)) == (there, there != 0)


def told_of(desk: Desk) -> dict[str, tuple[Decimal, bool]]:
    """What the others were last told of each symbol: its quantity, and whether it is foreign."""
    return {p.symbol: (p.quantity, p.foreign) for p in desk.heard(m.PositionChanged)}


TestReconciliation = Reconciliation.TestCase
TestReconciliation.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
