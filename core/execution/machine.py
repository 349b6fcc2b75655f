"""Execution's decisions: an approval becomes an entry, a fill becomes a protected position.

Entries are sent at most once for ever (`entry.py`), protection at least once (`protection.py`), and
what the stream does not tell is fetched (`recovery.py`); here all that is heard finds its bracket.
"""

from decimal import Decimal
from typing import assert_never

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.execution.bracket import ZERO, Bracket, LegState, Phase
from core.execution.client_id import purpose_of
from core.execution.entry import Entries
from core.execution.holdings import Holdings
from core.execution.order_life import OrderState, from_venue
from core.execution.protection import CANNOT_REDUCE, Protection
from core.execution.recovery import Recovery
from core.execution.settings import ExecutionSettings
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
    | m.RecoveredBook
    | m.ActorStarted
    | m.Tick
    | m.InstrumentChanged
)
Out = tuple[object, ...]

_PRICE_ASK_NS = 250 * NS_PER_MS  # a fill without a price: ask for it
_PRICE_WAIT_NS = NS_PER_S  # still none: protect from mark
_SIBLING_WAIT_NS = NS_PER_S  # the venue expires a sibling by itself; then it is cancelled
_FILL_WAIT_NS = 2 * NS_PER_S  # fills that must exist and were not heard of: take a snapshot
_OWN_ALGO = (Purpose.STOP, Purpose.TARGET)


class ExecutionMachine:
    """The only sender of orders.

    State: one bracket a symbol at most, what we hold by our own fills, current generations, newest
    marks, and where reconciliation stands.
    """

    def __init__(self, settings: ExecutionSettings, instruments: dict[str, Instrument]) -> None:
        self.brackets: dict[str, Bracket] = {}
        self.holdings = Holdings()
        self._settings = settings
        self._instruments = instruments  # shared with what builds successors
        self._protection = Protection(settings.tag, instruments)
        self._recovery = Recovery(settings, self._protection, self.brackets, self.holdings)
        self._entries = Entries(
            settings, self._protection, self._recovery, self.brackets, self.holdings
        )
        self._marks: dict[str, Decimal] = {}

    def handle(self, message: ExecutionInput, now: Moment) -> Out:
        """Return what follows from a message."""
        match message:
            case m.Approval():
                return self._entries.approve(message, now)
            case m.ExitApproval():
                return self._exit(message, now)
            case m.IntentRecorded():
                return self._entries.recorded(message, now)
            case m.OrderAnswered():
                return self._answered(message, now)
            case m.OrderFailed():
                return self._failed(message, now)
            case m.OrderFound():
                return self._entries.found(message, now)
            case m.AlgoGone():
                return self._algo_gone(message, now)
            case m.OrderUpdate():
                return self._order_update(message, now)
            case m.AlgoUpdate():
                return self._algo_update(message, now)
            case m.MarkPrice():
                self._marks[message.symbol] = message.price
                return ()
            case m.VenueSnapshot():
                return self._snapshot(message, now)
            case m.SnapshotFailed() | m.StreamUp() | m.StreamDown():
                return self._recovery.note(message, now)
            case m.RecoveredBook():
                self._entries.begin(message)
                return self._recovery.begin(message, now)
            case m.ActorStarted():
                self._entries.generations[message.symbol] = message.generation
                return ()
            case m.InstrumentChanged():
                if message.instrument is not None:  # what is held of it is still to be protected
                    self._instruments[message.symbol] = message.instrument
                return ()
            case m.Tick():
                return self._tick(now)
            case _:
                assert_never(message)

    # ------------------------------------------------------------------ answers
    def _answered(self, answer: m.OrderAnswered, now: Moment) -> Out:
        bracket = self.brackets.get(answer.symbol)
        if answer.purpose in _OWN_ALGO:
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
        if bracket is None or answer.purpose is not Purpose.ENTRY:
            return (moved,)
        if bracket.entry is None or bracket.entry.client_id != answer.client_id:
            return (moved,)
        progress = self._entries.progress
        return (moved, *progress(bracket, answer.status, answer.executed, ZERO, now))

    def _failed(self, failure: m.OrderFailed, now: Moment) -> Out:
        bracket = self.brackets.get(failure.symbol)
        if bracket is None:
            return ()
        leg = bracket.leg_of(failure.client_id)
        if leg is not None:
            out = self._protection.failed(bracket, leg, failure, now)
            return (*out, *self._recovery.settle(bracket, now))
        if failure.purpose is Purpose.EXIT:
            out = self._protection.exit_failed(bracket, failure, now)
            if failure.code == CANNOT_REDUCE:
                out += self._recovery.ask(f"{bracket.symbol}: an exit could not reduce", now)
            return out
        return self._entries.failed(bracket, failure, now)

    def _algo_gone(self, gone: m.AlgoGone, now: Moment) -> Out:
        moved = self._protection.moved(gone.client_id, OrderState.CANCELED, now, reason=gone.detail)
        bracket = self.brackets.get(gone.symbol)
        leg = bracket.leg_of(gone.client_id) if bracket is not None else None
        if bracket is None or leg is None:
            return (moved,)
        if leg.state is LegState.GONE:
            return ()
        leg.state = LegState.GONE
        return (moved, *self._recovery.settle(bracket, now))

    # ------------------------------------------------------------------ user stream
    def _order_update(self, update: m.OrderUpdate, now: Moment) -> Out:
        purpose = purpose_of(self._settings.tag, update.client_id)
        venue_id = f"{update.symbol}:{update.order_id}"
        out: list[object] = [_order_seen(update, venue_id)]
        if update.execution in ("TRADE", "CALCULATED") and update.last_quantity > ZERO:
            out += self._recovery.book_trade(_trade(update), now)
        if purpose in (Purpose.ENTRY, Purpose.EXIT):
            moved = self._protection.moved(
                update.client_id,
                from_venue(update.status),
                now,
                venue_id=venue_id,
                executed=update.executed,
                average_price=update.average_price,
            )
            out.append(moved)
        bracket = self.brackets.get(update.symbol)
        if bracket is None:
            if purpose is Purpose.ENTRY and self.holdings.of(update.symbol).quantity != ZERO:
                out += self._recovery.ask(f"{update.symbol}: a late execution", now)
            return tuple(out)
        if bracket.entry is not None and update.client_id == bracket.entry.client_id:
            price, executed = update.average_price, update.executed
            return (*out, *self._entries.progress(bracket, update.status, executed, price, now))
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
        bracket = self.brackets.get(update.symbol)
        leg = bracket.leg_of(update.client_id) if bracket is not None else None
        if bracket is None or leg is None:
            return (seen,)
        if update.status == "NEW":
            return (seen, *self._protection.live(bracket, leg, seen.venue_id, now))
        if update.status in ("TRIGGERING", "TRIGGERED"):
            return (seen, self._protection.moved(leg.client_id, OrderState.TRIGGERED, now))
        out = self._protection.ended(bracket, leg, update, now)
        return (seen, *out, *self._recovery.settle(bracket, now))

    # ------------------------------------------------------------------ snapshot, exit, time
    def _snapshot(self, snapshot: m.VenueSnapshot, now: Moment) -> Out:
        found = [x for answer in snapshot.found for x in self._entries.found(answer, now)]
        return (*found, *self._recovery.compare(snapshot, now))

    def _exit(self, approval: m.ExitApproval, now: Moment) -> Out:
        bracket = self.brackets.get(approval.symbol)
        if bracket is None or bracket.phase not in (Phase.OPEN, Phase.PROTECTED):
            return ()
        return self._protection.flatten(bracket, approval.reason, now)

    def _tick(self, now: Moment) -> Out:
        out: list[object] = []
        for bracket in list(self.brackets.values()):
            out += self._watch(bracket, now)
        return (*out, *self._recovery.tick(now))

    def _watch(self, bracket: Bracket, now: Moment) -> Out:
        """Look at one bracket's deadlines."""
        match bracket.phase:
            case Phase.OPEN:
                return (*self._watch_open(bracket, now), *self._look_for_fills(bracket, now))
            case Phase.PROTECTED:
                return self._look_for_fills(bracket, now)
            case Phase.CLOSING:
                return self._watch_closing(bracket, now)
            case _:
                return self._entries.watch(bracket, now)

    def _watch_open(self, bracket: Bracket, now: Moment) -> Out:
        naked_ns = now.wall_ns - (bracket.naked_since_wall_ns or now.wall_ns)
        if naked_ns > self._settings.naked_max_ns:
            return self._protection.flatten(bracket, "no confirmed stop in time", now)
        if bracket.legs or bracket.entry is None:
            return ()
        mark = self._marks.get(bracket.symbol)
        if naked_ns > _PRICE_WAIT_NS and mark is not None:
            return self._protection.protect(bracket, mark, now)
        if naked_ns > _PRICE_ASK_NS and not bracket.price_asked:
            bracket.price_asked = True
            return (m.QueryOrder(client_id=bracket.entry.client_id, symbol=bracket.symbol),)
        return ()

    def _look_for_fills(self, bracket: Bracket, now: Moment) -> Out:
        """Ask the venue for fills that must exist and that the stream did not tell."""
        since_ns = max(bracket.since_wall_ns, bracket.asked_wall_ns)
        if not bracket.unexplained() or now.wall_ns - since_ns <= _FILL_WAIT_NS:
            return ()
        bracket.asked_wall_ns = now.wall_ns
        out = self._recovery.ask(f"{bracket.symbol}: fills are missing", now)
        if bracket.entry is None or bracket.entry_known():
            return out
        return (m.QueryOrder(client_id=bracket.entry.client_id, symbol=bracket.symbol), *out)

    def _watch_closing(self, bracket: Bracket, now: Moment) -> Out:
        """Exit until flat, then cancel what is left until it is gone."""
        age_ns = now.wall_ns - bracket.since_wall_ns
        if bracket.flat():
            late = age_ns > _SIBLING_WAIT_NS
            cancels = self._protection.clear(bracket, now) if late else ()
            return (*cancels, *self._recovery.settle(bracket, now))
        if bracket.exit_due_wall_ns and now.wall_ns >= bracket.exit_due_wall_ns:
            return self._protection.flatten(bracket, "exit again", now)
        if age_ns > _FILL_WAIT_NS:
            bracket.enter(Phase.CLOSING, now.wall_ns)
            bracket.exit_due_wall_ns = now.wall_ns
            return self._recovery.ask(f"{bracket.symbol}: an exit without its fill", now)
        return ()


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
