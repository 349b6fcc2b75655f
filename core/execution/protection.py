"""Stop, target and exit of a bracket: placed at least once, confirmed, or the position is closed.

Repeating any of these orders cannot open or flip a position: conditional orders close the position
whatever its size, exits are reduce-only.
"""

from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.errors import InstrumentError
from core.execution.bracket import ZERO, Bracket, Leg, LegState, Phase
from core.execution.client_id import attempt_of, client_id
from core.execution.order_life import OrderState
from core.messages import Failure, Purpose
from core.venue.instrument import Instrument

Out = tuple[object, ...]

# The venue says the trigger price is behind us already: the market is beyond our stop or target.
_BEYOND = frozenset({-2021, -4142})
CANNOT_REDUCE = -2022
_REFUSALS_MAX = 2
_REPLACEMENTS_MAX = 10  # of legs that ended unasked; a venue that drops each one protects nothing
_CANCEL_AGAIN_NS = 2 * NS_PER_S
_EXIT_BACKOFF_MAX_NS = NS_PER_S
_EXIT_BACKOFF_NS = 200 * NS_PER_MS


class Protection:
    """Builds and follows protective orders.  `tag` marks our client ids."""

    def __init__(self, tag: str, instruments: dict[str, Instrument]) -> None:
        self._tag = tag
        self._instruments = instruments

    # ------------------------------------------------------------------ stop and target
    def protect(self, bracket: Bracket, price: Decimal, now: Moment) -> Out:
        """Place what is missing of stop and target, measured from `price` (the actual fill).

        Where no stop can be computed the position is closed; a missing target costs only profit.
        """
        out: list[object] = []
        for purpose in (Purpose.STOP, Purpose.TARGET):
            leg = bracket.legs.get(purpose)
            if bracket.phase is Phase.CLOSING or (leg and leg.state is not LegState.GONE):
                continue
            trigger = self._trigger(bracket, purpose, price)
            attempt = leg.attempt + 1 if leg is not None else 0
            if trigger is not None:
                out += self._place(bracket, purpose, trigger, attempt, now)
            elif purpose is Purpose.STOP:
                out += self.flatten(bracket, "no stop can be computed", now)
        return tuple(out)

    def _trigger(self, bracket: Bracket, purpose: Purpose, price: Decimal) -> Decimal | None:
        """Return where the order belongs; None if that is no price of the instrument."""
        instrument = self._instruments.get(bracket.symbol)
        if instrument is None:  # held from a time when the symbol was configured
            return None
        try:
            if purpose is Purpose.STOP:
                return instrument.stop_price(price, bracket.stop_pct, bracket.side)
            return instrument.target_price(price, bracket.target_pct, bracket.side)
        except InstrumentError:
            return None

    def _place(
        self, bracket: Bracket, purpose: Purpose, trigger: Decimal, attempt: int, now: Moment
    ) -> Out:
        name = client_id(self._tag, purpose, bracket.proposal_id, attempt)
        bracket.legs[purpose] = Leg(
            client_id=name, purpose=purpose, trigger_price=trigger, attempt=attempt
        )
        intent = self._intent(bracket, purpose, name, now, attempt=attempt, trigger=trigger)
        # The order goes first: protection never waits for the database.
        order = self._order(bracket, bracket.legs[purpose])
        return (order, m.RecordIntent(intent=intent, awaited=False))

    @staticmethod
    def _order(bracket: Bracket, leg: Leg) -> m.PlaceAlgoOrder:
        return m.PlaceAlgoOrder(
            client_id=leg.client_id,
            symbol=bracket.symbol,
            purpose=leg.purpose,
            side=bracket.side.opposite,
            trigger_price=leg.trigger_price,
        )

    def _place_again(self, bracket: Bracket, leg: Leg, now: Moment) -> Out:
        """Replace an order that is gone by a new one at the same price."""
        out = self._place(bracket, leg.purpose, leg.trigger_price, leg.attempt + 1, now)
        bracket.legs[leg.purpose].refusals = leg.refusals
        return out

    def live(self, bracket: Bracket, leg: Leg, venue_id: str, now: Moment) -> Out:
        """Note that the venue holds this order."""
        if leg.state is not LegState.SENT:
            return ()
        leg.state = LegState.LIVE
        leg.refusals = 0
        out: list[object] = [self.moved(leg.client_id, OrderState.ACKED, now, venue_id=venue_id)]
        if leg.purpose is Purpose.STOP and bracket.phase is Phase.OPEN:
            bracket.enter(Phase.PROTECTED, now.wall_ns)
            bracket.naked_since_wall_ns = 0
        if bracket.phase is Phase.PROTECTED:
            out += self.tell(bracket, now)
        return tuple(out)

    def failed(self, bracket: Bracket, leg: Leg, failure: m.OrderFailed, now: Moment) -> Out:
        """Answer a refused or lost protective order: once more, else flatten."""
        if leg.state is LegState.GONE or leg.asked_gone_wall_ns:
            return ()  # a cancel that failed: `clear` asks again
        detail = f"{failure.code} {failure.detail}".strip()
        if failure.failure is Failure.UNKNOWN:
            return self._lost(bracket, leg, detail, now)
        leg.state = LegState.GONE
        leg.refusals += 1
        rejected = self.moved(leg.client_id, OrderState.REJECTED, now, reason=detail)
        if bracket.phase is Phase.CLOSING:
            return (rejected,)
        if failure.code in _BEYOND:
            why = f"price beyond the {leg.purpose.name.lower()}"
            return (rejected, *self.flatten(bracket, why, now))
        if leg.refusals < _REFUSALS_MAX:
            return (rejected, *self._place_again(bracket, leg, now))
        if leg.purpose is Purpose.STOP:
            return (rejected, *self.flatten(bracket, f"no stop to be had: {detail}", now))
        return (rejected,)  # the stop stands; a missing target costs profit, not safety

    def _lost(self, bracket: Bracket, leg: Leg, detail: str, now: Moment) -> Out:
        """Answer an unknown outcome.  The order may exist, so it counts until it is cancelled."""
        unknown = self.moved(leg.client_id, OrderState.UNKNOWN, now, reason=detail)
        if bracket.phase is Phase.CLOSING:
            return (unknown,)
        if not leg.repeated:
            # The same id again: if it does exist, the venue says so and nothing doubles.
            leg.repeated = True
            return (unknown, self._order(bracket, leg))
        if leg.purpose is Purpose.STOP:
            return (unknown, *self.flatten(bracket, f"no stop to be had: {detail}", now))
        return (unknown, self._cancel(bracket, leg, now))

    def ended(self, bracket: Bracket, leg: Leg, update: m.AlgoUpdate, now: Moment) -> Out:
        """Note that the venue no longer holds this order."""
        if leg.state is LegState.GONE:
            return ()
        leg.state = LegState.GONE
        leg.fired = update.status == "FINISHED"
        state = {
            "FINISHED": OrderState.FILLED,
            "EXPIRED": OrderState.EXPIRED,
            "CANCELED": OrderState.CANCELED,
        }.get(update.status, OrderState.REJECTED)
        out: list[object] = [self.moved(leg.client_id, state, now, reason=update.reason)]
        if bracket.quantity == ZERO or bracket.phase is Phase.CLOSING:
            return tuple(out)
        # Still in the market, and nobody here asked for this.
        if leg.purpose is Purpose.STOP:
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
        if leg.fired:
            return tuple(out)  # its fill is on the way; if not, it is looked for
        bracket.replacements += 1
        if update.status == "REJECTED":
            return (*out, *self.flatten(bracket, f"{leg.purpose.name.lower()} rejected", now))
        if bracket.replacements <= _REPLACEMENTS_MAX:
            return (*out, *self._place_again(bracket, leg, now))
        if leg.purpose is Purpose.STOP:
            return (*out, *self.flatten(bracket, "the venue keeps dropping the stop", now))
        return tuple(out)

    def clear(self, bracket: Bracket, now: Moment) -> Out:
        """Cancel what is still open of a flat bracket, again and again until it is gone."""
        out: list[object] = []
        for leg in bracket.legs.values():
            due = leg.asked_gone_wall_ns + _CANCEL_AGAIN_NS <= now.wall_ns
            if leg.state is not LegState.GONE and due:
                out.append(self._cancel(bracket, leg, now))
        return tuple(out)

    @staticmethod
    def _cancel(bracket: Bracket, leg: Leg, now: Moment) -> m.CancelAlgoOrder:
        leg.asked_gone_wall_ns = now.wall_ns
        return m.CancelAlgoOrder(client_id=leg.client_id, symbol=bracket.symbol)

    # ------------------------------------------------------------------ exit
    def flatten(self, bracket: Bracket, why: str, now: Moment) -> Out:
        """Close the position at market, reduce-only."""
        if bracket.flat() or (bracket.quantity == ZERO and bracket.executed == ZERO):
            return ()
        bracket.enter(Phase.CLOSING, now.wall_ns)
        bracket.exit_due_wall_ns, bracket.cannot_reduce = 0, False
        attempt = bracket.exit_attempt
        bracket.exit_attempt += 1
        name = client_id(self._tag, Purpose.EXIT, bracket.proposal_id, attempt)
        quantity = abs(bracket.quantity) or bracket.executed
        place = m.PlaceOrder(
            client_id=name,
            symbol=bracket.symbol,
            purpose=Purpose.EXIT,
            side=bracket.side.opposite,
            quantity=quantity,
            reduce_only=True,
        )
        intent = self._intent(bracket, Purpose.EXIT, name, now, attempt=attempt, quantity=quantity)
        noted = self.moved(name, OrderState.SENDING, now, reason=why)
        return (place, m.RecordIntent(intent=intent, awaited=False), noted)

    def exit_failed(self, bracket: Bracket, failure: m.OrderFailed, now: Moment) -> Out:
        """Plan the next exit: a repeat cannot hurt, a position left open can."""
        bracket.cannot_reduce = failure.code == CANNOT_REDUCE
        wait_ns = min(_EXIT_BACKOFF_MAX_NS, _EXIT_BACKOFF_NS * 2 ** min(bracket.exit_attempt, 8))
        bracket.exit_due_wall_ns = now.wall_ns + wait_ns
        state = OrderState.UNKNOWN if failure.failure is Failure.UNKNOWN else OrderState.REJECTED
        detail = f"{failure.code} {failure.detail}".strip()
        return (self.moved(failure.client_id, state, now, reason=detail),)

    # ------------------------------------------------------------------ adoption
    @staticmethod
    def adopt_leg(order: m.VenueOrder, purpose: Purpose) -> Leg:
        """Take an order found live on the venue as a leg."""
        return Leg(
            client_id=order.client_id,
            purpose=purpose,
            trigger_price=order.trigger_price,
            attempt=attempt_of(order.client_id),
            state=LegState.LIVE,
        )

    @staticmethod
    def spent_leg(intent: m.Intent) -> Leg:
        """Remember an order of an earlier life, so that its id is not used again."""
        price = intent.stop_price if intent.purpose is Purpose.STOP else intent.target_price
        return Leg(
            client_id=intent.client_id,
            purpose=intent.purpose,
            trigger_price=price,
            attempt=intent.attempt,
            state=LegState.GONE,
        )

    # ------------------------------------------------------------------ words
    def tell(self, bracket: Bracket, now: Moment) -> Out:
        """Say what is held, if it was ever something and differs from what was said last."""
        if not bracket.opened:
            return ()
        said = (
            bracket.quantity,
            bracket.entry_price,
            bracket.live_price(Purpose.STOP),
            bracket.live_price(Purpose.TARGET),
            bracket.finished(),
        )
        if said == bracket.told:
            return ()
        bracket.told = said
        return (self._position(bracket, now),)

    def _position(self, bracket: Bracket, now: Moment) -> m.PositionChanged:
        """Say what is held and what protects it."""
        return m.PositionChanged(
            symbol=bracket.symbol,
            quantity=bracket.quantity,
            entry_price=bracket.entry_price,
            stop_price=bracket.live_price(Purpose.STOP),
            target_price=bracket.live_price(Purpose.TARGET),
            foreign=False,
            busy=not bracket.finished(),
            proposal_id=bracket.proposal_id,
            at_ns=now.venue_ns,
        )

    def moved(
        self,
        name: str,
        state: OrderState,
        now: Moment,
        *,
        venue_id: str = "",
        executed: Decimal = ZERO,
        average_price: Decimal = ZERO,
        reason: str = "",
    ) -> m.IntentMoved:
        """Say that a journalled order changed state."""
        return m.IntentMoved(
            client_id=name,
            state=state,
            venue_id=venue_id,
            executed=executed,
            average_price=average_price,
            reason=reason,
            at_ns=now.venue_ns,
        )

    @staticmethod
    def _intent(
        bracket: Bracket,
        purpose: Purpose,
        name: str,
        now: Moment,
        *,
        attempt: int,
        quantity: Decimal = ZERO,
        trigger: Decimal = ZERO,
    ) -> m.Intent:
        return m.Intent(
            client_id=name,
            proposal_id=bracket.proposal_id,
            symbol=bracket.symbol,
            purpose=purpose,
            attempt=attempt,
            side=bracket.side.opposite,
            quantity=quantity,
            reference_price=bracket.entry_price,
            stop_price=trigger if purpose is Purpose.STOP else ZERO,
            target_price=trigger if purpose is Purpose.TARGET else ZERO,
            reservation=None,
            decision=None,
            generation=bracket.entry.generation if bracket.entry is not None else 0,
            created_at_ns=now.venue_ns,
        )
