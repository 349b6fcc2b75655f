"""The life of an entry: approved, journalled, sent once, its outcome found out.

An entry leaves only after its journal row is on disk, and at most once for ever: an order id is
unique among open orders only, so a second send would fill twice.  If its outcome is unknown it is
looked for; its absence is believed late, thrice denied, and after a snapshot without its trades.
"""

from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.execution.alerts import halt
from core.execution.bracket import ZERO, Bracket, Phase
from core.execution.classify import Action, action_of
from core.execution.client_id import client_id
from core.execution.gate import Gate
from core.execution.holdings import Holdings
from core.execution.late import LateEntries
from core.execution.order_life import ENDED, OrderState, from_venue
from core.execution.orphans import Orphans
from core.execution.protection import Protection
from core.execution.recovery import Recovery
from core.execution.settings import ExecutionSettings
from core.execution.unclaimed import FORGOTTEN_NS
from core.messages import Failure, Purpose

Out = tuple[object, ...]

_NOT_FOUND_MIN = 3  # denials, a second apart, all after the deadline
# Neither a pause nor another size helps: no entry of this symbol until a person has looked.
_CLOSES_SYMBOL = (Action.CLOSE_SYMBOL, Action.REDUCE_ONLY)
_ENTERED_KEPT = 5_000


class Entries:
    """Opens brackets and follows their entries; shares brackets and holdings with the machine."""

    def __init__(
        self,
        settings: ExecutionSettings,
        protection: Protection,
        recovery: Recovery,
        *,
        gate: Gate,
        orphans: Orphans,
        late: LateEntries,
        brackets: dict[str, Bracket],
        holdings: Holdings,
    ) -> None:
        self.generations: dict[str, int] = {}
        self._settings = settings
        self._protection = protection
        self._recovery = recovery
        self._gate = gate
        self._orphans = orphans
        self._late = late
        self._brackets = brackets
        self._holdings = holdings
        self._epoch = 0
        self._entered: dict[str, None] = {}  # proposal ids, oldest first
        self._given_up: set[str] = set()  # client ids whose row had not been told as written
        self._deadline_ns = settings.outcome_ns

    def begin(self, book: m.RecoveredBook) -> None:
        """Take over the epoch, and what was entered before."""
        self._epoch = book.epoch
        self._given_up.clear()
        for intent, _ in book.intents:
            self._remember(intent.proposal_id)

    def approve(self, approval: m.Approval, now: Moment) -> Out:
        """Open a bracket and ask for its journal row, or say why not."""
        proposal = approval.proposal
        standing = self._brackets.get(proposal.symbol)
        if standing is not None and standing.proposal_id == proposal.proposal_id:
            return ()  # told twice
        refusal = self._refusal(approval, now)
        if refusal:
            return (_ended(proposal.proposal_id, proposal.symbol, "refused", refusal),)
        self._remember(proposal.proposal_id)
        intent = m.Intent(
            client_id=client_id(self._settings.tag, Purpose.ENTRY, proposal.proposal_id, 0),
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
        self._brackets[proposal.symbol] = Bracket(
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
        if approval.proposal.proposal_id in self._entered:
            return "entered before"
        if approval.proposal.generation != self.generations.get(symbol, 0):
            return "an older generation's wish"
        if symbol in self._brackets or self._holdings.of(symbol).quantity != ZERO:
            return "the symbol is busy"
        if self._recovery.is_foreign(symbol):
            return "another holds the symbol"
        if now.wall_ns - approval.approved_at_wall_ns > self._settings.entry_age_max_ns:
            return "too old"
        return self._forbidden(symbol, approval.quantity, approval.proposal.price)

    def _forbidden(self, symbol: str, quantity: Decimal, price: Decimal) -> str:
        """Say what keeps an order of ours from opening anything now; empty if nothing does."""
        return (
            self._gate.closed(symbol)
            or self._orphans.left_over(symbol)
            or self._gate.too_large(symbol, quantity, price)
        )

    def recorded(self, recorded: m.IntentRecorded, now: Moment) -> Out:
        """Send the entry, unless the world moved on while its row was written."""
        bracket = self._of(recorded.client_id)
        if bracket is None:
            return self._nobodys(recorded.client_id, now)
        if bracket.phase is not Phase.RECORDING or bracket.entry is None:
            return ()
        entry = bracket.entry
        fenced = entry.generation != self.generations.get(bracket.symbol, 0)
        late = now.wall_ns - bracket.since_wall_ns > self._settings.entry_age_max_ns
        if fenced or late or recorded.epoch != self._epoch:
            why = "the journal took too long" if late else "fenced"
            return self._drop(bracket, OrderState.NOT_SENT, "not_sent", why, now)
        why = self._forbidden(bracket.symbol, entry.quantity, entry.reference_price)
        if why:
            return self._drop(bracket, OrderState.NOT_SENT, "not_sent", why, now)
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

    def _nobodys(self, name: str, now: Moment) -> Out:
        """Close a row that nobody sends: its approval was forgotten with what wrote it.

        The book from which this life began was read before the row was committed, so no word of it
        can have left.  Before there is a book the row may be older than that.
        """
        known = name in self._given_up or self._recovery.unclaimed.has(name)
        self._given_up.discard(name)
        if known or not self._recovery.begun:
            return ()
        why = "forgotten while its row was written"
        return (self._protection.moved(name, OrderState.NOT_SENT, now, reason=why),)

    def failed(self, bracket: Bracket, failure: m.OrderFailed, now: Moment) -> Out:
        """Let go of a refused entry; look for one that may exist."""
        if bracket.phase is not Phase.SENT:
            return ()  # the failure of a query, or of an entry that is being looked for
        detail = f"{failure.code} {failure.detail}".strip()
        action = action_of(failure)
        if failure.failure is Failure.UNKNOWN or action is Action.ADOPT:
            bracket.enter(Phase.UNKNOWN, now.wall_ns)
            moved = self._protection.moved
            return (moved(failure.client_id, OrderState.UNKNOWN, now, reason=detail),)
        sent = failure.failure is Failure.REFUSED
        state = OrderState.REJECTED if sent else OrderState.NOT_SENT
        dropped = self._drop(bracket, state, failure.failure.value, detail, now)
        return (*dropped, *self._consequence(action, bracket.symbol, detail, now))

    def _consequence(self, action: Action, symbol: str, detail: str, now: Moment) -> Out:
        """Act on what a refusal says beyond this one entry."""
        if action is Action.HALT:
            return (halt(f"{symbol}: an entry was refused: {detail}"),)
        if action in _CLOSES_SYMBOL:
            return (m.Pause(symbol=symbol, source="execution", reason=detail),)
        if action is Action.REFRESH_ACCOUNT:
            return self._recovery.ask(f"{symbol}: margin is not what we believe", now)
        return ()

    def found(self, found: m.OrderFound, now: Moment) -> Out:
        """Take in the answer to a query; a denial counts only after the deadline."""
        bracket = self._of(found.client_id)
        if bracket is None:
            return self._recovery.unclaimed.found(found, self._recovery.compared_wall_ns, now)
        self._recovery.unclaimed.claim(found.client_id)
        if not found.found:
            late = now.wall_ns - bracket.since_wall_ns > self._deadline_ns
            if late and now.wall_ns - bracket.denied_wall_ns >= NS_PER_S:
                bracket.not_found += 1
                bracket.denied_wall_ns = now.wall_ns
                if bracket.not_found == 1:
                    bracket.denied_since_wall_ns = now.wall_ns
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
        progress = self.progress(bracket, found.status, found.executed, found.average_price, now)
        return (moved, *progress)

    def progress(
        self, bracket: Bracket, status: str, executed: Decimal, price: Decimal, now: Moment
    ) -> Out:
        """Take in what the venue says of the entry, from whichever source comes first.

        `price` is its average price, 0 while unknown.  The first word of a fill starts the naked
        clock; the first word of a price places stop and target.
        """
        bracket.entry_seen = True
        bracket.executed = max(bracket.executed, executed, bracket.filled)
        bracket.entry_over = bracket.entry_over or from_venue(status) in ENDED
        if bracket.phase in (Phase.SENT, Phase.UNKNOWN):
            if bracket.executed > ZERO:
                bracket.enter(Phase.OPEN, now.wall_ns)
                bracket.naked_since_wall_ns = now.wall_ns
            elif bracket.entry_over:
                del self._brackets[bracket.symbol]
                detail = f"the entry ended {status} without a fill"
                return (_ended(bracket.proposal_id, bracket.symbol, "expired", detail),)
        price = bracket.entry_price if bracket.quantity != ZERO else price
        orders: Out = ()
        if bracket.phase is Phase.OPEN and not bracket.legs and price > ZERO:
            orders = self._protection.protect(bracket, price, now)
        return (*orders, *self._recovery.settle(bracket, now))

    def watch(self, bracket: Bracket, now: Moment) -> Out:
        """Look at the deadlines of an entry that has not filled yet."""
        age_ns = now.wall_ns - bracket.since_wall_ns
        match bracket.phase:
            case Phase.RECORDING if age_ns > 2 * self._settings.entry_age_max_ns:
                why = "the journal did not answer"
                return self._drop(bracket, OrderState.NOT_SENT, "not_sent", why, now)
            case Phase.SENT if age_ns > self._deadline_ns:
                bracket.enter(Phase.UNKNOWN, now.wall_ns)
                return ()
            case Phase.UNKNOWN:
                return self._look_for(bracket, age_ns, now)
            case _:
                return ()

    def _look_for(self, bracket: Bracket, age_ns: int, now: Moment) -> Out:
        """Ask for an entry of unknown outcome until it is found or certainly absent."""
        assert bracket.entry is not None
        deadline_wall_ns = bracket.since_wall_ns + self._deadline_ns
        compared = self._recovery.compared_wall_ns > deadline_wall_ns
        denied_ns = now.wall_ns - bracket.denied_since_wall_ns
        if compared and bracket.not_found >= _NOT_FOUND_MIN:
            why = f"not found {bracket.not_found} times, last after {age_ns // NS_PER_S} s"
            if not bracket.entry_seen:
                self._late.watch(bracket.entry, now)
                return self._drop(bracket, OrderState.ABSENT, "absent", why, now)
            if denied_ns > FORGOTTEN_NS and bracket.executed == ZERO:
                self._late.watch(bracket.entry, now)
                return self._drop(bracket, OrderState.EXPIRED, "expired", why, now)
        if now.wall_ns < bracket.query_due_wall_ns:
            return ()
        wait_ns = NS_PER_S
        if age_ns <= self._deadline_ns:
            wait_ns = min(2 * NS_PER_S, 250 * NS_PER_MS * 2 ** min(bracket.queries, 8))
        bracket.queries += 1
        bracket.query_due_wall_ns = now.wall_ns + wait_ns
        query = m.QueryOrder(client_id=bracket.entry.client_id, symbol=bracket.symbol)
        # A snapshot costs a hundred times what a query does: with every query they would use up the
        # venue's weight, and then nothing could be asked until its minute ends.
        late = now.wall_ns > deadline_wall_ns
        if compared if late else bracket.queries % 2 == 0:
            return (query,)
        return (query, *self._recovery.ask(f"{bracket.symbol}: an entry of unknown outcome", now))

    def _of(self, name: str) -> Bracket | None:
        return next(
            (b for b in self._brackets.values() if b.entry and b.entry.client_id == name), None
        )

    def _drop(
        self, bracket: Bracket, state: OrderState, outcome: str, why: str, now: Moment
    ) -> Out:
        """Let go of an entry that certainly is not on the venue."""
        assert bracket.entry is not None
        del self._brackets[bracket.symbol]
        if bracket.phase is Phase.RECORDING:
            self._given_up.add(bracket.entry.client_id)
        moved = self._protection.moved(bracket.entry.client_id, state, now, reason=why)
        return (moved, _ended(bracket.proposal_id, bracket.symbol, outcome, why))

    def _remember(self, proposal_id: str) -> None:
        self._entered[proposal_id] = None
        if len(self._entered) > _ENTERED_KEPT:
            del self._entered[next(iter(self._entered))]


def _ended(proposal_id: str, symbol: str, outcome: str, detail: str) -> m.EntryEnded:
    return m.EntryEnded(proposal_id=proposal_id, symbol=symbol, outcome=outcome, detail=detail)
