"""State machines of hypothesis: the life of a journalled order, and a trade against a bad venue."""

from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core import messages as m
from core.execution.order_life import ENDED, OrderState, may_become
from core.messages import Purpose, Side
from tests.builders import SYMBOL, a_proposal
from tests.execution.desk import Desk, approved, ready
from tests.execution.test_faults import check, has_gap
from tests.execution.tiny_venue import TinyVenue

DIES_LATE = {
    OrderState.ABSENT: {OrderState.ACKED, OrderState.FILLED},
    OrderState.REJECTED: {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED},
}


class OrderLife(RuleBasedStateMachine):
    """Words about one order in any order: it never goes back, and an end is an end."""

    def __init__(self) -> None:
        super().__init__()
        self.state = OrderState.SENDING
        self.been = [self.state]

    @rule(said=st.sampled_from(OrderState))
    def hears(self, said: OrderState) -> None:
        """Take a word in if it leads forward."""
        before = self.state
        if not may_become(before, said):
            return
        assert said is not before
        if before in ENDED:
            assert said in DIES_LATE[before]
        self.state = said
        self.been.append(said)

    @invariant()
    def never_returns(self) -> None:
        """No state is entered twice, so every life is finite."""
        assert len(set(self.been)) == len(self.been)
        assert OrderState.SENDING not in self.been[1:]

    @invariant()
    def an_order_that_filled_stays_filled(self) -> None:
        """Nothing is said of it any more."""
        if OrderState.FILLED in self.been:
            assert self.state is OrderState.FILLED


class Trading(RuleBasedStateMachine):
    """One symbol against a venue that loses and doubles what it says; healed, all agrees."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """Start with an empty account."""
        self.desk: Desk = ready()
        self.venue = TinyVenue(self.desk, Random(seed))
        self.wishes = 0

    def _carry_out(self, asked: tuple[object, ...]) -> None:
        answers = (self.venue._answer(message) for message in asked)
        self.venue.late += [answer for answer in answers if answer is not None]

    @rule(side=st.sampled_from(Side))
    def wishes_to_enter(self, side: Side) -> None:
        """Risk approves another proposal."""
        self.wishes += 1
        proposal = a_proposal(self.wishes, side=side)
        self._carry_out(approved(self.desk, proposal=proposal))

    @rule(pause_s=st.sampled_from([0.01, 0.1, 0.4, 1.5, 6.0]))
    def time_passes(self, pause_s: float) -> None:
        """Some of what is on its way arrives."""
        self.venue.step(pause_s)

    @rule(purpose=st.sampled_from([Purpose.STOP, Purpose.TARGET]))
    def fires(self, purpose: Purpose) -> None:
        """The price reaches a stop or target."""
        self.venue.fire(purpose)

    @rule(purpose=st.sampled_from([Purpose.STOP, Purpose.TARGET]))
    def is_cancelled_by_hand(self, purpose: Purpose) -> None:
        """The owner cancels a stop or target."""
        self.venue.drop(purpose)

    @rule()
    def is_closed_by_hand(self) -> None:
        """The owner closes the position."""
        self.venue.close_by_hand()

    @rule()
    def stream_breaks(self) -> None:
        """The user stream is connected anew."""
        self.venue.late.append(m.StreamUp(stream="private", connection=2))

    @rule()
    def process_dies(self) -> None:
        """A successor starts from what the database holds."""
        if not has_gap(self.desk):
            self._carry_out(self.desk.crash())

    @invariant()
    def nothing_doubles_or_turns(self) -> None:
        """Each proposal at most once; never more than one entry's quantity."""
        if not hasattr(self, "desk"):
            return
        sends = [o.client_id for o in self.desk.heard(m.PlaceOrder) if not o.reduce_only]
        assert len(sends) == len(set(sends))
        assert max(map(abs, self.venue.positions_seen), default=0) <= 10
        assert self.desk.heard(m.Halt) == []

    def teardown(self) -> None:
        """Heal the venue: both sides agree, and what is held has its stop."""
        if not hasattr(self, "desk"):
            return
        self.venue.faulty = False
        for _ in range(1_200):
            self.venue.step(0.15)
        check(self.venue)
        assert SYMBOL in self.desk.machine.holdings.by_symbol


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=200, stateful_step_count=15, deadline=None)
TestTrading = Trading.TestCase
TestTrading.settings = settings(
    max_examples=15,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
