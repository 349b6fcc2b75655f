"""Execution's decisions: an approval becomes an entry, a fill becomes a protected position.

Entries are sent at most once for ever (`entry.py`), protection at least once (`protection.py`), and
what the stream does not tell is fetched (`recovery.py`); here all that is heard finds its bracket.
"""

from typing import assert_never

from core import messages as m
from core.clock import Moment
from core.execution.adoption import Adoption
from core.execution.alerts import halt
from core.execution.bracket import ZERO, Bracket, LegState, Phase
from core.execution.classify import Action, action_of
from core.execution.client_id import purpose_of
from core.execution.entry import Entries
from core.execution.gate import Gate
from core.execution.holdings import Holdings
from core.execution.late import LateEntries
from core.execution.order_life import ENDED, OrderState, from_venue
from core.execution.orders_out import OrdersOut
from core.execution.orphans import Orphans
from core.execution.protection import CANNOT_REDUCE, Protection
from core.execution.recovery import Recovery
from core.execution.rival import Rival
from core.execution.settings import ExecutionSettings
from core.execution.software_stop import SoftwareStop
from core.execution.unheard import Unheard
from core.execution.watch import Watch
from core.messages import Purpose
from core.venue.instrument import Instrument

ExecutionInput = (
    m.Approval
    | m.ExitApproval
    | m.IntentRecorded
    | m.OrderAnswered
    | m.OrderFailed
    | m.AlgoGone
    | m.OrderFound
    | m.OrderUpdate
    | m.AlgoUpdate
    | m.MarkPrice
    | m.VenueSnapshot
    | m.SnapshotFailed
    | m.StreamUp
    | m.StreamDown
    | m.StateChanged
    | m.RecoveredBook
    | m.ActorStarted
    | m.Resync
    | m.Tick
    | m.InstrumentChanged
)
Out = tuple[object, ...]

# Refusals of a stop or target after which the venue is asked what is true.
_ASKS = (Action.ADOPT, Action.RESYNC_POSITION, Action.WAIT, Action.REAP)
_OWN_ALGO = (Purpose.STOP, Purpose.TARGET)


class ExecutionMachine:
    """The only sender of orders.

    State: one bracket a symbol at most, what we hold by our own fills, current generations, newest
    marks, and where reconciliation stands.
    """

    def __init__(self, settings: ExecutionSettings, instruments: dict[str, Instrument]) -> None:
        self.brackets: dict[str, Bracket] = {}
        self.holdings = Holdings()
        self.comparisons_asked = 0  # by Resync, from outside
        self._begun_from: m.RecoveredBook | None = None  # None: something was said since
        self._settings = settings
        shared = (self.brackets, self.holdings)
        self._orders_out = OrdersOut(settings.tag)
        self._gate = Gate(settings, instruments)
        self._instruments = instruments  # shared with what builds successors
        self._protection = Protection(settings.tag, instruments)
        self._software_stop = SoftwareStop(settings, self._protection, self.brackets)
        self._orphans = Orphans(settings.tag, *shared)
        adoption = Adoption(settings, self._protection, *shared)
        self._late = LateEntries(adoption, self._protection, *shared)
        self._recovery = Recovery(
            settings,
            self._protection,
            adoption=adoption,
            late=self._late,
            orphans=self._orphans,
            gate=self._gate,
            brackets=self.brackets,
            holdings=self.holdings,
        )
        self._entries = Entries(
            settings,
            self._protection,
            self._recovery,
            gate=self._gate,
            orphans=self._orphans,
            late=self._late,
            brackets=self.brackets,
            holdings=self.holdings,
        )
        self._unheard = Unheard(settings.tag, self._protection)
        self._rival = Rival(settings.tag)
        parts = (self._protection, self._recovery, self._entries, self._late)
        self._watch = Watch(settings, (*parts, self._orphans, self._gate), *shared)

    def handle(self, message: ExecutionInput, now: Moment) -> Out:
        """Return what follows from a message, entries only as far as they are accounted for."""
        out = self._decide(message, now)
        if out and not isinstance(message, m.RecoveredBook):
            self._begun_from = None
        return self._orders_out.passed(out)

    def _decide(self, message: ExecutionInput, now: Moment) -> Out:
        match message:
            case m.Approval():
                self._orders_out.note(message)
                return self._rival.journalled(self._entries.approve(message, now))
            case m.ExitApproval():
                return self._exit(message, now)
            case m.IntentRecorded():
                return self._entries.recorded(message, now)
            case m.OrderAnswered():
                return self._answered(message, now)
            case m.OrderFailed():
                return () if message.of_query else self._failed(message, now)
            case m.OrderFound():
                return self._found(message, now)
            case m.AlgoGone():
                return self._algo_gone(message, now)
            case m.OrderUpdate():
                return self._order_update(message, now)
            case m.AlgoUpdate():
                return self._algo_update(message, now)
            case m.MarkPrice():
                return self._software_stop.heard(message, now)
            case m.VenueSnapshot():
                return protect_first(self._snapshot(message, now))
            case m.SnapshotFailed() | m.StreamUp() | m.StreamDown():
                return self._recovery.note(message, now)
            case m.StateChanged():
                self._gate.note(message)
                return ()
            case m.RecoveredBook():
                return self._begin(message, now)
            case m.ActorStarted():
                self._entries.generations[message.symbol] = message.generation
                return ()
            case m.Resync():
                self.comparisons_asked += 1
                return self._recovery.restart(message.reason, now)
            case m.InstrumentChanged():
                if message.instrument is not None:  # what is held of it is still to be protected
                    self._instruments[message.symbol] = message.instrument
                return ()
            case m.Tick():
                return (*self._watch.tick(now), *self._recovery.tick(now))
            case _:
                assert_never(message)

    def _begin(self, book: m.RecoveredBook, now: Moment) -> Out:
        """Start from what the database holds, once for each state of it.

        At a start risk asks for the book too, and both get both answers.  While nothing followed
        from the first, the second says nothing new: its snapshot is on its way.
        """
        if book == self._begun_from:
            return (m.ReconcilePending(reason="start-up"),)  # a risk that began anew must wait too
        self._begun_from = book
        self._entries.begin(book)
        self._gate.begin(book)
        self._late.begin(book, now)
        self._unheard.begin(book)
        self._rival.begin(book, now)
        return self._recovery.begin(book, now)

    @property
    def empty(self) -> bool:
        """Tell whether nothing is held and nothing is under way."""
        held = list(self.holdings.by_symbol.values())
        return not self.brackets and all(holding.quantity == ZERO for holding in held)

    def unsettled(self) -> tuple[str, ...]:
        """Return the symbols without a confirmed stop or an end; safe to ask from outside."""
        brackets = list(self.brackets.values())
        found = tuple(b.symbol for b in brackets if b.phase is not Phase.PROTECTED)
        return found if found or self._recovery.reconciled else ("the comparison with the venue",)

    # ------------------------------------------------------------------ answers
    def _answered(self, answer: m.OrderAnswered, now: Moment) -> Out:
        self._unheard.answered(answer)
        bracket = self.brackets.get(answer.symbol)
        if answer.purpose in _OWN_ALGO:
            self._orphans.placed(answer.client_id, answer.symbol)
            leg = bracket.leg_of(answer.client_id) if bracket is not None else None
            if bracket is None or leg is None:
                return ()
            return self._protection.live(bracket, leg, answer.venue_id, now)
        moved = self._protection.moved(
            answer.client_id,
            from_venue(answer.status),
            now,
            venue_id=answer.venue_id,
            executed=answer.executed,
        )
        if bracket is not None and answer.purpose is Purpose.EXIT:
            # Its fills may be booked or not: only what exceeds all it executed certainly remains.
            short = answer.executed < abs(bracket.quantity) and from_venue(answer.status) in ENDED
            rest = self._protection.exit_rest(bracket, answer.client_id, now) if short else ()
            return (moved, *rest)
        if bracket is None or answer.purpose is not Purpose.ENTRY:
            return (moved,)
        if bracket.entry is None or bracket.entry.client_id != answer.client_id:
            return (moved,)
        progress = self._entries.progress
        return (moved, *progress(bracket, answer.status, answer.executed, ZERO, now))

    def _failed(self, failure: m.OrderFailed, now: Moment) -> Out:
        self._unheard.failed(failure)
        bracket = self.brackets.get(failure.symbol)
        if bracket is None:
            return self._unheard.refused(failure, now)
        leg = bracket.leg_of(failure.client_id)
        if leg is not None:
            return (
                *self._protection.failed(bracket, leg, failure, now),
                *self._consequence(bracket, failure, now),
                *self._recovery.settle(bracket, now),
            )
        if failure.purpose is Purpose.EXIT:
            out = self._protection.exit_failed(bracket, failure, now)
            if failure.code == CANNOT_REDUCE:
                out += self._recovery.ask(f"{bracket.symbol}: an exit could not reduce", now)
            return (*out, *self._consequence(bracket, failure, now))
        if bracket.entry is None or bracket.entry.client_id != failure.client_id:
            return ()  # an order of the trade before: its word comes late
        return self._entries.failed(bracket, failure, now)

    def _consequence(self, bracket: Bracket, failure: m.OrderFailed, now: Moment) -> Out:
        """Act on what the refusal of a stop, target or exit says beyond this one order."""
        action, words = action_of(failure), f"{failure.code} {failure.detail}".strip()
        if action is Action.HALT:
            return (halt(f"{bracket.symbol}: {failure.client_id} was refused: {words}"),)
        if action not in _ASKS or failure.purpose not in _OWN_ALGO:
            return ()
        reaped = self._orphans.reap() if action is Action.REAP else ()
        return (*reaped, *self._recovery.ask(f"{bracket.symbol}: {words}", now))

    def _algo_gone(self, gone: m.AlgoGone, now: Moment) -> Out:
        taken = gone.client_id in self._orphans.open
        self._orphans.gone(gone.client_id)
        bracket = self.brackets.get(gone.symbol)
        leg = bracket.ended_leg(gone.client_id) if bracket is not None else None
        if leg is not None and leg.state is LegState.GONE:
            return ()
        moved = self._unheard.gone(gone, now, taken=taken)
        if bracket is None or leg is None:
            return moved
        leg.state = LegState.GONE
        return (*moved, *self._recovery.settle(bracket, now))

    def _found(self, found: m.OrderFound, now: Moment) -> Out:
        bracket = self.brackets.get(found.symbol)
        if bracket is not None and from_venue(found.status) in ENDED:
            bracket.ended_leg(found.client_id)
        told = (*self._entries.found(found, now), *self._unheard.found(found, now))
        return (*found.seen, *told)

    # ------------------------------------------------------------------ user stream
    def _order_update(self, update: m.OrderUpdate, now: Moment) -> Out:
        purpose = purpose_of(self._settings.tag, update.client_id)
        venue_id = f"{update.symbol}:{update.order_id}"
        out: list[object] = [_order_seen(update, venue_id), *self._rival.heard(update, now)]
        filled = update.execution in ("TRADE", "CALCULATED") and update.last_quantity > ZERO
        if filled and update.trade_id:
            out += self._recovery.book_trade(_trade(update), now)
        elif filled:  # a liquidation may come without the number that counts it once
            out += self._recovery.ask(f"{update.symbol}: a fill without a number", now)
        if purpose in (Purpose.ENTRY, Purpose.EXIT):
            if from_venue(update.status) in ENDED:
                self._unheard.heard(update.client_id)
            moved = self._protection.moved(
                update.client_id,
                from_venue(update.status),
                now,
                venue_id=venue_id,
                executed=update.executed,
                average_price=update.average_price,
            )
            out.append(moved)
        elif purpose is not None:
            self._unheard.child(update)
        bracket = self.brackets.get(update.symbol)
        awaited = bracket.entry if bracket is not None else None
        stray = awaited is None or awaited.client_id != update.client_id
        if purpose is Purpose.ENTRY and filled and stray:
            out += self._late.filled(update.symbol, update.client_id, now)
            out += self._recovery.ask(f"{update.symbol}: a late execution", now)
            bracket = self.brackets.get(update.symbol)
        if bracket is None:
            return tuple(out)
        if bracket.entry is not None and update.client_id == bracket.entry.client_id:
            price, executed = update.average_price, update.executed
            return (*out, *self._entries.progress(bracket, update.status, executed, price, now))
        closes = purpose is Purpose.EXIT or bracket.leg_of(update.client_id) is not None
        if closes and from_venue(update.status) in ENDED:
            out += self._protection.exit_rest(bracket, update.client_id, now)
        return (*out, *self._recovery.settle(bracket, now))

    def _algo_update(self, update: m.AlgoUpdate, now: Moment) -> Out:
        seen = m.OrderSeen(
            venue_id=f"{update.symbol}:algo:{update.algo_id}",
            symbol=update.symbol,
            side=update.side,
            order_type=update.order_type,
            quantity=ZERO,
            price=update.trigger_price,
            status=update.status,
            at_ns=update.event_ns,
        )
        if update.status == "NEW":
            self._orphans.placed(update.client_id, update.symbol)
            self._unheard.born(update.client_id)
        bracket = self.brackets.get(update.symbol)
        leg = bracket.leg_of(update.client_id) if bracket is not None else None
        if update.status not in ("NEW", "TRIGGERING", "TRIGGERED"):
            self._orphans.gone(update.client_id)
            self._unheard.heard(update.client_id)
            leg = bracket.ended_leg(update.client_id) if bracket is not None else None
        if bracket is None or leg is None:
            return (seen, *self._unheard.told(update, now))
        if update.status == "NEW":
            return (seen, *self._protection.live(bracket, leg, seen.venue_id, now, seen=True))
        if update.status in ("TRIGGERING", "TRIGGERED"):
            leg.seen = True
            return (seen, self._protection.moved(leg.client_id, OrderState.TRIGGERED, now))
        mark = self._software_stop.marks.get(update.symbol)
        out = self._protection.ended(bracket, leg, update, mark, now)
        return (seen, *out, *self._recovery.settle(bracket, now))

    # ------------------------------------------------------------------ snapshot, exit, time
    def _snapshot(self, snapshot: m.VenueSnapshot, now: Moment) -> Out:
        found = [x for answer in snapshot.found for x in self._found(answer, now)]
        believed = dict(self._orphans.open)
        out = self._recovery.compare(snapshot, now)
        self._unheard.filled(out)
        return (*found, *out, *self._unheard.listed(snapshot, believed, now))

    def _exit(self, approval: m.ExitApproval, now: Moment) -> Out:
        bracket = self.brackets.get(approval.symbol)
        if bracket is None or bracket.phase not in (Phase.OPEN, Phase.PROTECTED):
            return ()
        return self._protection.flatten(bracket, approval.reason, now)


def protect_first(out: Out) -> Out:
    """Put what protects before all else, in order: stops, exits, targets, the rest as it came."""
    return tuple(sorted(out, key=_urgency))


def _urgency(message: object) -> int:
    match message:
        case m.PlaceAlgoOrder(purpose=Purpose.STOP):
            return 0
        case m.PlaceOrder(reduce_only=True):
            return 1
        case m.PlaceAlgoOrder():
            return 2
        case _:
            return 3


def _order_seen(update: m.OrderUpdate, venue_id: str) -> m.OrderSeen:
    return m.OrderSeen(
        venue_id=venue_id,
        symbol=update.symbol,
        side=update.side,
        order_type=update.order_type,
        quantity=update.quantity,
        price=update.average_price if update.average_price > ZERO else None,
        status=update.status,
        at_ns=update.event_ns,
    )


def _trade(update: m.OrderUpdate) -> m.VenueTrade:
    return m.VenueTrade(
        symbol=update.symbol,
        trade_id=update.trade_id,
        order_id=update.order_id,
        client_id=update.client_id,
        side=update.side,
        quantity=update.last_quantity,
        price=update.last_price,
        commission=update.commission,
        realized_pnl=update.realized_pnl,
        at_ns=update.event_ns,
    )
