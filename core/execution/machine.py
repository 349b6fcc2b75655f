"""Execution's decisions: an approval becomes an entry, a fill becomes a protected position.

Entries are sent at most once for ever, protection at least once.  An entry leaves only after its
journal row is on disk; if its outcome is unknown it is looked for until a deadline, never repeated.
"""

from decimal import Decimal
from typing import assert_never

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.execution.bracket import ZERO, Bracket, LegState, Phase
from core.execution.client_id import client_id, purpose_of
from core.execution.holdings import Holdings
from core.execution.order_life import ENDED, OrderState, from_venue
from core.execution.protection import Protection
from core.execution.recovery import Recovery
from core.execution.settings import ExecutionSettings
from core.messages import Failure, Purpose
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
)
Out = tuple[object, ...]

_PRICE_ASK_NS = 250 * NS_PER_MS  # a fill without a price: ask for it
_PRICE_WAIT_NS = NS_PER_S  # still none: protect from mark
_SIBLING_WAIT_NS = NS_PER_S  # the venue expires a sibling by itself; then it is cancelled
_FILL_WAIT_NS = 2 * NS_PER_S  # an answered exit whose fill never came: take a snapshot
_NOT_FOUND_MIN = 3  # consecutive denials, a second apart, before absence is believed
_UNKNOWN_SLACK_NS = 2 * NS_PER_S


class ExecutionMachine:
    """The only sender of orders.

    State: one bracket a symbol at most, what we hold by our own fills, current generations, newest
    marks, and where reconciliation stands.
    """

    def __init__(self, settings: ExecutionSettings, instruments: dict[str, Instrument]) -> None:
        self.brackets: dict[str, Bracket] = {}
        self.holdings = Holdings()
        self._settings = settings
        self._protection = Protection(settings.tag, instruments)
        self._recovery = Recovery(settings, self._protection, self.brackets, self.holdings)
        self._epoch = 0
        self._generations: dict[str, int] = {}
        self._marks: dict[str, Decimal] = {}

    def handle(self, message: ExecutionInput, now: Moment) -> Out:
        """Return what follows from a message."""
        match message:
            case m.Approval():
                return self._approve(message, now)
            case m.ExitApproval():
                return self._exit(message, now)
            case m.IntentRecorded():
                return self._recorded(message, now)
            case m.OrderAnswered():
                return self._answered(message, now)
            case m.OrderFailed():
                return self._failed(message, now)
            case m.OrderFound():
                return self._found(message, now)
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
                self._epoch = message.epoch
                return self._recovery.begin(message, now)
            case m.ActorStarted():
                self._generations[message.symbol] = message.generation
                return ()
            case m.Tick():
                return self._tick(now)
            case _:
                assert_never(message)

    # ------------------------------------------------------------------ entry
    def _approve(self, approval: m.Approval, now: Moment) -> Out:
        proposal = approval.proposal
        refusal = self._refusal(approval, now)
        if refusal:
            return (self._entry_ended(proposal.proposal_id, proposal.symbol, "refused", refusal),)
        name = client_id(self._settings.tag, Purpose.ENTRY, proposal.proposal_id, 0)
        intent = m.Intent(
            client_id=name,
            proposal_id=proposal.proposal_id,
            symbol=proposal.symbol,
            purpose=Purpose.ENTRY,
            attempt=0,
            side=proposal.side,
            quantity=approval.quantity,
            reference_price=proposal.price,
            stop_price=ZERO,
            target_price=ZERO,
            reservation=approval.reservation,
            decision=approval.decision,
            generation=proposal.generation,
            created_at_ns=now.venue_ns,
        )
        self.brackets[proposal.symbol] = Bracket(
            symbol=proposal.symbol,
            proposal_id=proposal.proposal_id,
            side=proposal.side,
            entry=intent,
            stop_pct=approval.stop_pct,
            target_pct=approval.target_pct,
            phase=Phase.RECORDING,
            since_wall_ns=now.wall_ns,
        )
        return (m.RecordIntent(intent=intent, awaited=True),)

    def _refusal(self, approval: m.Approval, now: Moment) -> str:
        """Say why an approval is not carried out; empty if it is."""
        symbol = approval.proposal.symbol
        if not self._recovery.reconciled:
            return "reconciling"
        if approval.proposal.generation != self._generations.get(symbol, 0):
            return "an older generation's wish"
        if symbol in self.brackets or self.holdings.of(symbol).quantity != ZERO:
            return "the symbol is busy"
        if now.wall_ns - approval.approved_at_wall_ns > self._settings.entry_age_max_ns:
            return "too old"
        return ""

    def _recorded(self, recorded: m.IntentRecorded, now: Moment) -> Out:
        bracket = self._of_entry(recorded.client_id)
        if bracket is None or bracket.phase is not Phase.RECORDING or bracket.entry is None:
            return ()
        entry = bracket.entry
        fenced = entry.generation != self._generations.get(bracket.symbol, 0)
        late = now.wall_ns - bracket.since_wall_ns > self._settings.entry_age_max_ns
        if fenced or late or recorded.epoch != self._epoch:
            why = "fenced" if fenced else "the journal took too long"
            moved = self._protection.moved(entry.client_id, OrderState.NOT_SENT, now, reason=why)
            return (moved, *self._abandon(bracket, "not_sent", why))
        bracket.enter(Phase.SENT, now.wall_ns)
        return (
            m.PlaceOrder(
                client_id=entry.client_id,
                symbol=bracket.symbol,
                purpose=Purpose.ENTRY,
                side=bracket.side,
                quantity=entry.quantity,
                reduce_only=False,
            ),
        )

    def _answered(self, answer: m.OrderAnswered, now: Moment) -> Out:
        bracket = self.brackets.get(answer.symbol)
        if bracket is None:
            return ()
        if answer.purpose in (Purpose.STOP, Purpose.TARGET):
            leg = bracket.leg_of(answer.client_id)
            return self._protection.live(bracket, leg, answer.venue_id, now) if leg else ()
        moved = self._protection.moved(
            answer.client_id,
            from_venue(answer.status),
            now,
            venue_id=answer.venue_id,
            executed=answer.executed,
        )
        if answer.purpose is Purpose.EXIT:
            return (moved,)
        return (moved, *self._entry_progress(bracket, answer.status, answer.executed, now))

    def _entry_progress(self, bracket: Bracket, status: str, executed: Decimal, now: Moment) -> Out:
        """Take in what the venue says of the entry, from whichever source comes first."""
        if bracket.phase not in (Phase.SENT, Phase.UNKNOWN, Phase.RECORDING):
            return ()
        out: list[object] = []
        bracket.executed = max(bracket.executed, executed)
        if bracket.executed > ZERO:
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
            if bracket.quantity != ZERO:
                out += self._protect_now(bracket, bracket.entry_price, now)
        elif from_venue(status) in ENDED:
            return self._abandon(bracket, "expired", f"the entry ended {status} without a fill")
        return tuple(out)

    def _protect_now(self, bracket: Bracket, price: Decimal, now: Moment) -> Out:
        orders = self._protection.protect(bracket, price, now)
        held = self._protection.tell(bracket, now)
        done = self._entry_ended(bracket.proposal_id, bracket.symbol, "filled", "")
        return (*orders, *held, done)

    def _failed(self, failure: m.OrderFailed, now: Moment) -> Out:
        bracket = self.brackets.get(failure.symbol)
        if bracket is None:
            return ()
        leg = bracket.leg_of(failure.client_id)
        if leg is not None:
            return self._protection.failed(bracket, leg, failure, now)
        if failure.purpose is Purpose.EXIT:
            return self._protection.exit_failed(bracket, failure, now)
        if failure.purpose is not Purpose.ENTRY or bracket.phase is not Phase.SENT:
            return ()
        detail = f"{failure.code} {failure.detail}".strip()
        if failure.failure is Failure.UNKNOWN:
            bracket.enter(Phase.UNKNOWN, now.wall_ns)
            bracket.query_due_wall_ns = now.wall_ns
            return (
                self._protection.moved(failure.client_id, OrderState.UNKNOWN, now, reason=detail),
            )
        state = OrderState.NOT_SENT if failure.failure is Failure.NOT_SENT else OrderState.REJECTED
        moved = self._protection.moved(failure.client_id, state, now, reason=detail)
        return (moved, *self._abandon(bracket, failure.failure.value, detail))

    def _found(self, found: m.OrderFound, now: Moment) -> Out:
        bracket = self._of_entry(found.client_id)
        if bracket is None:
            return ()
        if not found.found:
            bracket.not_found += 1
            return ()
        bracket.not_found = 0
        moved = self._protection.moved(
            found.client_id,
            from_venue(found.status),
            now,
            venue_id=found.venue_id,
            executed=found.executed,
            average_price=found.average_price,
        )
        out = [moved, *self._entry_progress(bracket, found.status, found.executed, now)]
        unprotected = bracket.phase is Phase.OPEN and not bracket.legs
        if unprotected and found.average_price > ZERO:
            out += self._protect_now(bracket, found.average_price, now)
        return tuple(out)

    # ------------------------------------------------------------------ user stream
    def _order_update(self, update: m.OrderUpdate, now: Moment) -> Out:
        purpose = purpose_of(self._settings.tag, update.client_id)
        seen = m.OrderSeen(
            venue_id=f"{update.symbol}:{update.order_id}",
            symbol=update.symbol,
            side=update.side,
            order_type=update.order_type,
            quantity=update.quantity,
            price=update.average_price if update.average_price > ZERO else None,
            status=update.status,
            at_ns=update.event_ns,
        )
        out: list[object] = [seen]
        if update.execution in ("TRADE", "CALCULATED") and update.last_quantity > ZERO:
            trade = m.VenueTrade(
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
            out += self._recovery.book_trade(trade, now)
        bracket = self.brackets.get(update.symbol)
        if bracket is None:
            return tuple(out)
        if purpose in (Purpose.ENTRY, Purpose.EXIT):
            moved = self._protection.moved(
                update.client_id,
                from_venue(update.status),
                now,
                venue_id=seen.venue_id,
                executed=update.executed,
                average_price=update.average_price,
            )
            out.append(moved)
        if bracket.entry is not None and update.client_id == bracket.entry.client_id:
            out += self._entry_progress(bracket, update.status, update.executed, now)
            if bracket.phase is Phase.OPEN and not bracket.legs and bracket.quantity != ZERO:
                out += self._protect_now(bracket, bracket.entry_price, now)
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

    def _algo_gone(self, gone: m.AlgoGone, now: Moment) -> Out:
        bracket = self.brackets.get(gone.symbol)
        leg = bracket.leg_of(gone.client_id) if bracket is not None else None
        if bracket is None or leg is None or leg.state is LegState.GONE:
            return ()
        leg.state = LegState.GONE
        moved = self._protection.moved(leg.client_id, OrderState.CANCELED, now, reason=gone.detail)
        return (moved, *self._recovery.settle(bracket, now))

    # ------------------------------------------------------------------ snapshot, exit, time
    def _snapshot(self, snapshot: m.VenueSnapshot, now: Moment) -> Out:
        out: list[object] = []
        for found in snapshot.found:
            out += self._found(found, now)
        out += self._recovery.compare(snapshot, now)
        return tuple(out)

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
        age_ns = now.wall_ns - bracket.since_wall_ns
        match bracket.phase:
            case Phase.RECORDING if age_ns > 2 * self._settings.entry_age_max_ns:
                return self._abandon(bracket, "not_sent", "the journal did not answer")
            case Phase.SENT if age_ns > self._settings.entry_window_ns + _UNKNOWN_SLACK_NS:
                bracket.enter(Phase.UNKNOWN, now.wall_ns)
            case Phase.UNKNOWN:
                return self._look_for(bracket, age_ns, now)
            case Phase.OPEN:
                return self._watch_open(bracket, now)
            case Phase.CLOSING:
                return self._watch_closing(bracket, age_ns, now)
            case _:
                pass
        return ()

    def _watch_open(self, bracket: Bracket, now: Moment) -> Out:
        naked_ns = now.wall_ns - (bracket.naked_since_wall_ns or now.wall_ns)
        if naked_ns > self._settings.naked_max_ns:
            return self._protection.flatten(bracket, "no confirmed stop in time", now)
        if bracket.legs or bracket.entry is None:
            return ()
        mark = self._marks.get(bracket.symbol)
        if naked_ns > _PRICE_WAIT_NS and mark is not None:
            return self._protect_now(bracket, mark, now)
        if naked_ns > _PRICE_ASK_NS and not bracket.price_asked:
            bracket.price_asked = True
            return (m.QueryOrder(client_id=bracket.entry.client_id, symbol=bracket.symbol),)
        return ()

    def _watch_closing(self, bracket: Bracket, age_ns: int, now: Moment) -> Out:
        if not bracket.flat():
            if bracket.exit_due_wall_ns and now.wall_ns >= bracket.exit_due_wall_ns:
                return self._protection.flatten(bracket, "exit again", now)
            if age_ns > _FILL_WAIT_NS:
                bracket.enter(Phase.CLOSING, now.wall_ns)
                bracket.exit_due_wall_ns = now.wall_ns
                return self._recovery.ask(f"{bracket.symbol}: an exit without its fill", now)
            return ()
        if age_ns > _SIBLING_WAIT_NS:
            return self._protection.clear(bracket, now)
        return ()

    def _look_for(self, bracket: Bracket, age_ns: int, now: Moment) -> Out:
        """Ask for an entry of unknown outcome; believe its absence late and only thrice denied."""
        assert bracket.entry is not None
        deadline_ns = self._settings.entry_window_ns + _UNKNOWN_SLACK_NS
        if age_ns > deadline_ns and bracket.not_found >= _NOT_FOUND_MIN:
            moved = self._protection.moved(
                bracket.entry.client_id,
                OrderState.ABSENT,
                now,
                reason=f"not found {bracket.not_found} times, last after {age_ns // NS_PER_S} s",
            )
            return (moved, *self._abandon(bracket, "absent", "the venue never had it"))
        if now.wall_ns < bracket.query_due_wall_ns:
            return ()
        bracket.queries += 1
        wait_ns = min(4 * NS_PER_S, 250 * NS_PER_MS * 2 ** min(bracket.queries, 8))
        bracket.query_due_wall_ns = now.wall_ns + max(wait_ns, NS_PER_S if age_ns > NS_PER_S else 0)
        query = m.QueryOrder(client_id=bracket.entry.client_id, symbol=bracket.symbol)
        return (query, *self._recovery.ask(f"{bracket.symbol}: an entry of unknown outcome", now))

    # ------------------------------------------------------------------ small things
    def _of_entry(self, name: str) -> Bracket | None:
        return next(
            (
                b
                for b in self.brackets.values()
                if b.entry is not None and b.entry.client_id == name
            ),
            None,
        )

    def _abandon(self, bracket: Bracket, outcome: str, detail: str) -> Out:
        del self.brackets[bracket.symbol]
        return (self._entry_ended(bracket.proposal_id, bracket.symbol, outcome, detail),)

    @staticmethod
    def _entry_ended(proposal_id: str, symbol: str, outcome: str, detail: str) -> m.EntryEnded:
        return m.EntryEnded(proposal_id=proposal_id, symbol=symbol, outcome=outcome, detail=detail)
