"""Stop, target and exit of a bracket: placed at least once, confirmed, or the position is closed.

Repeating any of these orders cannot open or flip a position: conditional orders close the position
whatever its size, exits are reduce-only.
"""

from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.errors import InstrumentError
from core.execution import facts
from core.execution.bracket import ZERO, Bracket, Leg, LegState, Phase
from core.execution.classify import Action, action_of
from core.execution.client_id import attempt_of, client_id
from core.execution.order_life import ENDED, OrderState
from core.messages import Failure, Purpose
from core.venue.instrument import Instrument

Out = tuple[object, ...]

CANNOT_REDUCE = -2022
# What a refused stop or target waits for before it is placed again; without an entry: nothing.
_PAUSES_NS = {
    Action.RETRY: 250 * NS_PER_MS,
    Action.RESYNC_CLOCK: 250 * NS_PER_MS,
    Action.COOL_DOWN: 500 * NS_PER_MS,
    Action.REAP: 500 * NS_PER_MS,  # orphans are being cancelled
    Action.ADOPT: NS_PER_S,  # a list is on its way that should show what is in the way
    Action.RESYNC_POSITION: 500 * NS_PER_MS,
    Action.WAIT: NS_PER_S,  # an order is triggering: its result comes by the user stream
}
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

    tell = staticmethod(facts.tell)
    moved = staticmethod(facts.moved)

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
                bracket.legs[purpose].refusals = leg.refusals if leg is not None else 0
            elif purpose is Purpose.STOP:
                out += self.give_up(bracket, "no stop can be computed", now)
        return tuple(out)

    def place_due(self, bracket: Bracket, now: Moment) -> Out:
        """Place again what was refused and has waited long enough."""
        out: list[object] = []
        for leg in list(bracket.legs.values()):
            due = leg.state is LegState.GONE and 0 < leg.again_wall_ns <= now.wall_ns
            if due and bracket.phase is not Phase.CLOSING:
                out += self._place_again(bracket, leg, now)
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
            client_id=name,
            purpose=purpose,
            trigger_price=trigger,
            attempt=attempt,
            sent_wall_ns=now.wall_ns,
        )
        intent = facts.intent(bracket, purpose, name, now, attempt=attempt, trigger=trigger)
        # The order goes first: protection never waits for the database.
        order = self._order(bracket, bracket.legs[purpose])
        return (order, m.RecordIntent(intent=intent, awaited=False))

    @staticmethod
    def _order(bracket: Bracket, leg: Leg) -> m.PlaceAlgoOrder:
        return m.PlaceAlgoOrder(
            client_id=leg.client_id,
            symbol=bracket.symbol,
            purpose=leg.purpose,
            side=bracket.closing_side(),
            trigger_price=leg.trigger_price,
        )

    def _place_again(self, bracket: Bracket, leg: Leg, now: Moment) -> Out:
        """Replace an order that is gone by a new one at the same price."""
        out = self._place(bracket, leg.purpose, leg.trigger_price, leg.attempt + 1, now)
        bracket.legs[leg.purpose].refusals = leg.refusals
        return out

    def live(
        self, bracket: Bracket, leg: Leg, venue_id: str, now: Moment, *, seen: bool = False
    ) -> Out:
        """Note that the venue holds this order; `seen` if more than its acknowledgement says so."""
        if seen:
            self.see(bracket, leg)
        if leg.state is not LegState.SENT:
            return ()
        leg.state, leg.acked_wall_ns = LegState.LIVE, now.wall_ns
        leg.refusals = 0
        out: list[object] = [self.moved(leg.client_id, OrderState.ACKED, now, venue_id=venue_id)]
        out += self._covered(bracket, leg, now)
        return tuple(out)

    def _covered(self, bracket: Bracket, leg: Leg, now: Moment) -> Out:
        """Stop the naked clock if this is the stop, and say what protects the position."""
        if leg.purpose is Purpose.STOP and bracket.phase is Phase.OPEN:
            bracket.enter(Phase.PROTECTED, now.wall_ns)
            bracket.naked_since_wall_ns = 0
        return self.tell(bracket, now) if bracket.phase is Phase.PROTECTED else ()

    @staticmethod
    def see(bracket: Bracket, leg: Leg) -> None:
        """Note that a second source shows this order."""
        leg.seen = True
        bracket.extra.discard(leg.purpose)
        bracket.doubted.pop(leg.purpose, None)
        if leg.purpose is Purpose.STOP:
            bracket.unseen_told = False

    @staticmethod
    def replaceable(bracket: Bracket, leg: Leg) -> bool:
        """Judge an order the venue took and no list shows; tell whether to place one more.

        Lists may lag for minutes, so the order counts as there when the venue refuses another one
        beside it (-4130), and a second one that no list shows is not followed by a third.
        """
        once_more = leg.purpose not in bracket.extra and bracket.replacements < _REPLACEMENTS_MAX
        if leg.state is not LegState.LIVE or not once_more:
            return False
        bracket.doubted[leg.purpose] = leg
        bracket.extra.add(leg.purpose)
        bracket.replacements += 1
        leg.state = LegState.GONE
        return True

    def failed(self, bracket: Bracket, leg: Leg, failure: m.OrderFailed, now: Moment) -> Out:
        """Answer a refused or lost protective order: once more, else flatten."""
        if leg.state is LegState.GONE or leg.asked_gone_wall_ns:
            return ()  # a cancel that failed: `clear` asks again
        detail = f"{failure.code} {failure.detail}".strip()
        if failure.failure is Failure.UNKNOWN:
            return self._lost(bracket, leg, detail, now)
        leg.state = LegState.GONE
        leg.refusals += 1
        # The refusal of a repeat does not speak of the attempt before it, which is looked for.
        verdict = OrderState.UNKNOWN if leg.repeated else OrderState.REJECTED
        rejected = self.moved(leg.client_id, verdict, now, reason=detail)
        if bracket.phase is Phase.CLOSING:
            return (rejected,)
        action = action_of(failure)
        if action is Action.FLATTEN:
            why = f"price beyond the {leg.purpose.name.lower()}"
            return (rejected, *self.flatten(bracket, why, now))
        standing = bracket.doubted.pop(leg.purpose, None) if action is Action.ADOPT else None
        if standing is not None:
            return (rejected, *self._restore(bracket, standing, leg, now))
        if leg.refusals < _REFUSALS_MAX and action is not Action.HALT:
            if action not in _PAUSES_NS:
                return (rejected, *self._place_again(bracket, leg, now))
            leg.again_wall_ns = now.wall_ns + _PAUSES_NS[action]
            return (rejected,)
        if leg.purpose is Purpose.STOP:
            return (rejected, *self.give_up(bracket, f"no stop to be had: {detail}", now))
        return (rejected,)  # the stop stands; a missing target costs profit, not safety

    def _restore(self, bracket: Bracket, standing: Leg, refused: Leg, now: Moment) -> Out:
        """Believe in the order that no list showed: the venue refuses another one beside it."""
        standing.state = LegState.LIVE
        standing.acked_wall_ns = standing.acked_wall_ns or now.wall_ns
        standing.attempt = max(standing.attempt, refused.attempt)  # used ids stay used
        standing.seen = True  # the refusal is the second source; the list stays silent
        bracket.legs[standing.purpose] = standing
        bracket.extra.add(standing.purpose)
        return self._covered(bracket, standing, now)

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
            return (unknown, *self.give_up(bracket, f"no stop to be had: {detail}", now))
        return (unknown, self._cancel(bracket, leg, now))

    def ended(
        self, bracket: Bracket, leg: Leg, update: m.AlgoUpdate, mark: Decimal | None, now: Moment
    ) -> Out:
        """Note that the venue no longer holds this order; replace it if `mark` leaves room."""
        state = {
            "FINISHED": OrderState.FILLED,
            "EXPIRED": OrderState.EXPIRED,
            "CANCELED": OrderState.CANCELED,
        }.get(update.status, OrderState.REJECTED)
        moved = self.moved(leg.client_id, state, now, reason=update.reason)
        if leg.state is LegState.GONE:  # cancelled, or refused as a repeat: how it ended is news
            return (moved,)
        leg.state = LegState.GONE
        leg.fired = update.status == "FINISHED"
        out: list[object] = [moved]
        asked = leg.asked_gone_wall_ns and leg.purpose is not Purpose.STOP
        if not bracket.in_market() or bracket.phase is Phase.CLOSING or asked:
            return tuple(out)
        # Still in the market, and nobody here asked for this.
        if leg.purpose is Purpose.STOP:
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
        if leg.fired:
            return tuple(out)  # its fill is on the way; if not, it is looked for
        bracket.replacements += 1
        word = leg.purpose.name.lower()
        if mark is not None and bracket.beyond(leg, mark):
            return (*out, *self.flatten(bracket, f"price beyond the {word}", now))
        if update.status == "REJECTED":
            close = self.give_up if leg.purpose is Purpose.STOP else self.flatten
            return (*out, *close(bracket, f"{word} rejected: {update.reason}", now))
        if bracket.replacements <= _REPLACEMENTS_MAX:
            return (*out, *self._place_again(bracket, leg, now))
        if leg.purpose is Purpose.STOP:
            return (*out, *self.give_up(bracket, "the venue keeps dropping the stop", now))
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
    def give_up(self, bracket: Bracket, why: str, now: Moment) -> Out:
        """Close a position whose stop cannot be had, and tell risk so."""
        out = self.flatten(bracket, why, now)
        if not out:
            return ()
        told = m.ProtectionFailed(symbol=bracket.symbol, reason=why, at_ns=now.venue_ns)
        return (*out, told)

    def flatten(self, bracket: Bracket, why: str, now: Moment) -> Out:
        """Close the position at market, reduce-only."""
        if not bracket.in_market():
            return ()
        bracket.enter(Phase.CLOSING, now.wall_ns)
        bracket.exiting_since_wall_ns = bracket.exiting_since_wall_ns or now.wall_ns
        return self.exit(bracket, why, now)

    def exit(self, bracket: Bracket, why: str, now: Moment) -> Out:
        """Send one reduce-only MARKET order for what is held, as much as one order may take."""
        bracket.exit_due_wall_ns, bracket.cannot_reduce = 0, False
        attempt = bracket.exit_attempt
        bracket.exit_attempt += 1
        name = client_id(self._tag, Purpose.EXIT, bracket.proposal_id, attempt)
        quantity = abs(bracket.quantity) or bracket.executed
        instrument = self._instruments.get(bracket.symbol)
        if instrument is not None and instrument.market_quantity_max > ZERO:
            quantity = min(quantity, instrument.market_quantity_max)
        place = m.PlaceOrder(
            client_id=name,
            symbol=bracket.symbol,
            purpose=Purpose.EXIT,
            side=bracket.closing_side(),
            quantity=quantity,
            reduce_only=True,
        )
        intent = facts.intent(bracket, Purpose.EXIT, name, now, attempt=attempt, quantity=quantity)
        noted = self.moved(name, OrderState.SENDING, now, reason=why)
        return (place, m.RecordIntent(intent=intent, awaited=False), noted)

    def exit_rest(self, bracket: Bracket, name: str, now: Moment) -> Out:
        """Close what an ended order left: the first time at once, then as failed exits pause."""
        latest = client_id(self._tag, Purpose.EXIT, bracket.proposal_id, bracket.exit_attempt - 1)
        closing = bracket.phase is Phase.CLOSING
        if bracket.quantity == ZERO or (closing and name != latest):
            return ()  # another exit is on its way, or planned
        bracket.remainders += 1
        if closing and bracket.remainders > 1:
            bracket.exit_due_wall_ns = now.wall_ns + _back_off_ns(bracket.remainders)
            return ()
        return self.flatten(bracket, f"{name} left a remainder", now)

    def exit_failed(self, bracket: Bracket, failure: m.OrderFailed, now: Moment) -> Out:
        """Plan the next exit: a repeat cannot hurt, a position left open can."""
        bracket.cannot_reduce = failure.code == CANNOT_REDUCE
        bracket.exit_due_wall_ns = now.wall_ns + _back_off_ns(bracket.exit_attempt)
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
            seen=True,
        )

    @staticmethod
    def spent_leg(bracket: Bracket, intent: m.Intent, state: str) -> Leg:
        """Remember an order of an earlier life, so that its id is not used again.

        One that never ended by the journal may still be there, whatever the lists show.
        """
        price = intent.stop_price if intent.purpose is Purpose.STOP else intent.target_price
        leg = Leg(
            client_id=intent.client_id,
            purpose=intent.purpose,
            trigger_price=price,
            attempt=intent.attempt,
            state=LegState.GONE,
        )
        if state not in ENDED:
            bracket.doubted[intent.purpose] = leg
        return leg


def _back_off_ns(attempts: int) -> int:
    return min(_EXIT_BACKOFF_MAX_NS, _EXIT_BACKOFF_NS << min(attempts, 8))
