"""Keeps our book equal to the venue's: at start, after a gap, and every now and then.

Trades are booked here, whether the stream or a snapshot brought them, each once.  Until the first
snapshot is worked off and every own position has a live stop, entries are refused.
"""

from collections import deque

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution import reconcile
from core.execution.adoption import Adoption, flat_position, foreign_position
from core.execution.alerts import alert, halt
from core.execution.bracket import ZERO, Bracket, LegState, Phase
from core.execution.client_id import purpose_of
from core.execution.gate import Gate
from core.execution.holdings import Holdings, booked_fill
from core.execution.income import ListedIncome
from core.execution.late import IN_FLIGHT, LateEntries
from core.execution.order_life import ENDED, OrderState
from core.execution.orphans import QUIET_NS, Orphans
from core.execution.protection import Protection
from core.execution.settings import ExecutionSettings
from core.execution.unclaimed import Unclaimed
from core.messages import Purpose

Out = tuple[object, ...]

_SNAPSHOT_PATIENCE_NS = 15 * NS_PER_S
_ANSWER_NS = 30 * NS_PER_S  # a request unanswered for longer will not be answered
_RETRY_NS = 2 * NS_PER_S
_AGAIN_NS = NS_PER_S
_VANISHED_NS = 10 * NS_PER_S  # lists lag: what we just traded is not gone because one lacks it
_ASKS_KEPT = 16
_WAITING = (Phase.RECORDING, Phase.SENT, Phase.UNKNOWN)


class Recovery:
    """Books trades and works off snapshots; shares brackets and holdings with the machine."""

    def __init__(
        self,
        settings: ExecutionSettings,
        protection: Protection,
        *,
        adoption: Adoption,
        late: LateEntries,
        orphans: Orphans,
        gate: Gate,
        brackets: dict[str, Bracket],
        holdings: Holdings,
    ) -> None:
        self.reconciled = False
        self._settings = settings
        self._protection = protection
        self._brackets = brackets
        self._holdings = holdings
        self._adoption = adoption
        self._late = late
        self._orphans = orphans
        self._gate = gate
        self._income = ListedIncome()
        self.unclaimed = Unclaimed(protection, late, settings.outcome_ns)
        self.begun = False
        self._asked_wall_ns = 0  # 0: no snapshot is on its way
        self._due_wall_ns = 0  # next drop copy or retry
        self._touched_wall_ns: dict[str, int] = {}
        self._foreign: set[str] = set()
        self._report: list[str] = []
        self._reason = "start-up"
        self._compared = False
        self._restarted_wall_ns = 0
        self._asks: deque[int] = deque(maxlen=_ASKS_KEPT)  # stamps of our own questions
        self._again = False  # asked meanwhile
        self._told_flat = False  # what nobody holds, once a start
        self._foreign_orders = 0
        self._twice: frozenset[str] = frozenset()  # symbols of which the venue shows two positions
        self.compared_wall_ns = 0  # when the newest snapshot worked off was taken

    # ------------------------------------------------------------------ beginning and asking
    def begin(self, book: m.RecoveredBook, now: Moment) -> Out:
        """Start from what the database holds, then ask the venue what is true."""
        self._holdings.begin(book)
        self._brackets.clear()
        self._adoption.intents = book.intents
        self._adoption.opened_by.clear()
        unclaimed: dict[str, tuple[m.Intent, str]] = {}
        for intent, state in book.intents:
            if intent.purpose is not Purpose.ENTRY or state in ENDED:
                continue
            held = self._holdings.of(intent.symbol).quantity != ZERO
            # Of one whose fills are booked, and whose position is gone, only the end is unknown.
            if held or intent.symbol in self._brackets or intent.client_id in book.booked:
                unclaimed[intent.client_id] = (intent, state)
                continue
            bracket = self._adoption.bracket(intent, Phase.UNKNOWN, now)
            bracket.entry_seen = state == OrderState.ACKED
            self._brackets[intent.symbol] = bracket
        self.unclaimed.begin(unclaimed, now)
        self._income.begin(book.income_up_to_ns, now)
        self.begun, self._told_flat = True, False
        self._asks.clear()
        return self.restart("start-up", now)

    def restart(self, reason: str, now: Moment) -> Out:
        """Refuse entries until a snapshot taken from now on is worked off."""
        self.reconciled, self._compared, self._reason = False, False, reason
        self._asked_wall_ns, self._restarted_wall_ns = 0, now.wall_ns
        return (m.ReconcilePending(reason=reason), *self.ask(reason, now))

    def ask(self, reason: str, now: Moment) -> Out:
        """Ask for a snapshot; if one is on its way, for another one after it."""
        waiting = now.wall_ns - self._asked_wall_ns < _SNAPSHOT_PATIENCE_NS
        if not self.begun or (self._asked_wall_ns and waiting):
            self._again = True
            return ()
        self._asked_wall_ns, self._again = now.wall_ns, False
        self._asks.append(now.wall_ns)
        held = {s for s, h in self._holdings.by_symbol.items() if h.quantity != ZERO}
        symbols = (*self._settings.symbols, *sorted(held - set(self._settings.symbols)))
        return (
            m.FetchSnapshot(
                reason=reason,
                symbols=symbols,
                asked_wall_ns=now.wall_ns,
                trades_after=tuple((s, self._holdings.fetched_up_to.get(s, 0)) for s in symbols),
                unresolved=(
                    *(
                        (b.symbol, b.entry.client_id)
                        for b in self._brackets.values()
                        if b.phase is Phase.UNKNOWN and b.entry is not None
                    ),
                    *self.unclaimed.names(),
                ),
                income_after_ns=self._income.after_ns(now),
            ),
        )

    def note(self, message: m.SnapshotFailed | m.StreamUp | m.StreamDown, now: Moment) -> Out:
        """Hear of a lost snapshot or of the user stream's ups and downs."""
        match message:
            case m.SnapshotFailed():
                self._asked_wall_ns = 0
                self._due_wall_ns = now.wall_ns + _RETRY_NS
                return ()
            case m.StreamUp(stream="private") if message.connection > 1 and self.begun:
                return self.restart("the user stream was interrupted", now)
            case _:
                return ()

    def tick(self, now: Moment) -> Out:
        """Finish a reconciliation whose orders are all confirmed; start the next drop copy."""
        overdue = self._asked_wall_ns + _SNAPSHOT_PATIENCE_NS <= now.wall_ns
        out = (*self._finish(), *self.unclaimed.tick(now))
        if self.unclaimed.denied(self.compared_wall_ns):
            out += self.ask("an entry that the venue denies", now)
        if now.wall_ns < self._due_wall_ns or (self._asked_wall_ns and not overdue):
            return out
        return (*out, *self.ask("drop copy" if self._compared else self._reason, now))

    # ------------------------------------------------------------------ booking
    def book_trade(self, trade: m.VenueTrade, now: Moment) -> Out:
        """Count one trade once.  Another's order that reduces what we hold closes our position.

        What it closes beyond ours is the other's own: then the whole trade is booked as foreign,
        and the book takes our part out of it (`core/persistence/book.py`).
        """
        if not self._holdings.count(trade.symbol, trade.trade_id):
            return ()
        self._touched_wall_ns[trade.symbol] = now.wall_ns
        told = self._late.heard(trade.client_id, now)
        holding = self._holdings.of(trade.symbol)
        purpose = purpose_of(self._settings.tag, trade.client_id)
        if purpose is Purpose.ENTRY and holding.quantity == ZERO:
            self._adoption.opened_by[trade.symbol] = trade.client_id
        ours, all_ours = holding.take(booked_fill(trade, ours=purpose is not None))
        if all_ours:
            purpose = purpose or Purpose.EXIT
        bracket = self._brackets.get(trade.symbol)
        if bracket is not None and ours > ZERO:
            bracket.quantity, bracket.entry_price = holding.quantity, holding.entry_price
            bracket.opened = bracket.opened or holding.quantity != ZERO
            if bracket.entry is not None and bracket.entry.client_id == trade.client_id:
                bracket.filled += trade.quantity
        return (
            *told,
            m.FillBooked(
                symbol=trade.symbol,
                trade_id=trade.trade_id,
                order_id=trade.order_id,
                client_id=trade.client_id,
                purpose=purpose,
                side=trade.side,
                quantity=trade.quantity,
                price=trade.price,
                commission=trade.commission,
                realized_pnl=trade.realized_pnl,
                at_ns=trade.at_ns,
            ),
        )

    def settle(self, bracket: Bracket, now: Moment) -> Out:
        """Say what changed; let go of a bracket that is flat and whose orders are gone.

        The position is told before its entry is over, so that risk never counts neither.
        """
        if bracket.flat() and bracket.phase is not Phase.CLOSING and bracket.entry_known():
            bracket.enter(Phase.CLOSING, now.wall_ns)
        if bracket.finished() and bracket.phase is Phase.CLOSING and bracket.entry_known():
            self._brackets.pop(bracket.symbol, None)
        told = self._protection.tell(bracket, now)
        if told:
            self._touched_wall_ns[bracket.symbol] = now.wall_ns
        return (*told, *self._end_entry(bracket, now))

    def _end_entry(self, bracket: Bracket, now: Moment) -> Out:
        """Release the reservation once all that the entry will fill is told as a position."""
        over = bracket.opened and bracket.entry_known()
        if bracket.entry is None or bracket.entry_told or not over:
            return ()
        bracket.entry_told = True
        done = m.EntryEnded(
            proposal_id=bracket.proposal_id, symbol=bracket.symbol, outcome="filled", detail=""
        )
        if bracket.entry_over:
            return (done,)
        moved = self._protection.moved  # known from its trades alone
        name, filled = bracket.entry.client_id, bracket.filled
        return (moved(name, OrderState.FILLED, now, executed=filled), done)

    # ------------------------------------------------------------------ comparing
    def compare(self, snapshot: m.VenueSnapshot, now: Moment) -> Out:
        """Work off a snapshot: book its trades, then bring both sides together.

        One that a predecessor asked for lacks the trades which that one knew: by it our position
        would seem another's, and its stop an orphan.  Our own is on its way.
        """
        if snapshot.asked_wall_ns is not None and snapshot.asked_wall_ns not in self._asks:
            return (snapshot.account,)
        self._asked_wall_ns = 0
        self.compared_wall_ns = snapshot.taken_at_wall_ns
        out: list[object] = [snapshot.account, *self._income.book(snapshot.income)]
        self._gate.note_account(snapshot.account)
        out += self._orphans.listed(snapshot, now)
        self._gate.conditionals = sum(1 for order in snapshot.orders if order.algo)
        touched = dict(self._touched_wall_ns)
        for trade in snapshot.trades:
            self._holdings.note_fetched(trade.symbol, trade.trade_id)
            booked = self.book_trade(trade, now)
            if booked and self._compared:
                self._report.append(f"{trade.symbol}: trade {trade.trade_id} was missing, booked")
            out += booked
        for symbol in dict.fromkeys(trade.symbol for trade in snapshot.trades):
            out += self._after_trades(symbol, now)
        out += self._hedged(snapshot)
        held = {s: h.quantity for s, h in self._holdings.by_symbol.items()}
        there = {p.symbol for p in snapshot.positions}
        concerned = sorted({*self._settings.symbols, *held, *there, *self._foreign})
        taken_ns = snapshot.taken_at_wall_ns
        settled = frozenset(
            s
            for s in concerned
            if touched.get(s, 0) < taken_ns
            and self._settled(s, s in there, taken_ns)
            and s not in self._twice
        )
        found = reconcile.plan(snapshot, held, self._settings.tag, settled)
        foreign = [a.position for a in found.actions if isinstance(a, reconcile.Foreign)]
        self._holdings.note_foreign(settled, {p.symbol: p.quantity for p in foreign})
        self._foreign_orders = found.foreign_orders
        out += self._forget_foreign(found.actions, settled, now)
        for action in found.actions:
            out += self._carry_out(action, now)
        if not self._told_flat:
            self._told_flat = True
            out += [flat_position(s, now) for s in concerned if self._is_nobodys(s)]
        raced = [s for s in concerned if s not in settled and (held.get(s) or s in there)]
        self._plan_next(raced, now)
        missed = [s for s in raced if s not in self._brackets]
        if snapshot.taken_at_wall_ns >= self._restarted_wall_ns and not missed:
            self._compared = True
        return (*out, *self._finish())

    def _plan_next(self, raced: list[str], now: Moment) -> None:
        """Compare again soon if something moved meanwhile or was asked for, else at leisure."""
        wait_ns = self._settings.reconcile_every_ns
        if raced:
            wait_ns = min(wait_ns, _RETRY_NS)
        if self._again:
            wait_ns = min(wait_ns, _AGAIN_NS)
        self._due_wall_ns = now.wall_ns + wait_ns

    def _after_trades(self, symbol: str, now: Moment) -> Out:
        """Protect or let go of a bracket whose fills came by the snapshot."""
        bracket = self._brackets.get(symbol)
        if bracket is None:
            return ()
        bracket.executed = max(bracket.executed, bracket.filled)
        orders: Out = ()
        if bracket.quantity != ZERO and bracket.filled == ZERO and bracket.phase in IN_FLIGHT:
            return self._late.close_stray(bracket, now)
        if bracket.quantity != ZERO and bracket.phase in _WAITING:
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
            orders = self._protection.protect(bracket, bracket.entry_price, now)
        return (*orders, *self.settle(bracket, now))

    def _settled(self, symbol: str, there: bool, taken_wall_ns: int) -> bool:
        """Tell whether the snapshot speaks of the same moment as our book."""
        bracket = self._brackets.get(symbol)
        if bracket is None:
            return True
        if bracket.phase is Phase.CLOSING:  # gone by two sources: no exit can reduce it
            return bracket.cannot_reduce and not there
        in_flight = any(
            leg.state is LegState.SENT
            and not leg.asked_gone_wall_ns
            and taken_wall_ns - leg.sent_wall_ns < _ANSWER_NS
            for leg in bracket.legs.values()
        )
        if not there and taken_wall_ns - self._touched_wall_ns.get(symbol, 0) < _VANISHED_NS:
            return False
        steady = bracket.phase in (Phase.OPEN, Phase.PROTECTED) and bracket.quantity != ZERO
        return steady and not in_flight and bracket.since_wall_ns < taken_wall_ns

    def _carry_out(self, action: reconcile.Action, now: Moment) -> Out:
        symbol = reconcile.symbol_of(action)
        bracket = self._brackets.get(symbol)
        match action:
            case reconcile.Adopt():
                out, words = self._adoption.adopt(action, now)
                self._report += words
                return out
            case reconcile.Forget():
                self._report.append(reconcile.describe(action))
                told = alert("book_differs", self._report[-1], now)
                self._holdings.forget(symbol)
                if bracket is None:
                    return (told, flat_position(symbol, now))
                bracket.quantity, bracket.entry_price, bracket.opened = ZERO, ZERO, True
                self.unclaimed.take_over(bracket, now)
                return (told, *self._protection.clear(bracket, now), *self.settle(bracket, now))
            case reconcile.Remove():
                if bracket is not None and bracket.leg_of(action.order.client_id) is not None:
                    return ()  # its bracket sees to it
                touched_ns = self._touched_wall_ns.get(symbol, 0)
                if bracket is None and touched_ns + QUIET_NS > self.compared_wall_ns:
                    self._again = True
                    return ()
                self._report.append(reconcile.describe(action))
                return (m.CancelAlgoOrder(client_id=action.order.client_id, symbol=symbol),)
            case reconcile.Foreign():
                if symbol not in self._foreign:
                    self._report.append(reconcile.describe(action))
                self._foreign.add(symbol)
                return (foreign_position(action.position, now),)

    def _hedged(self, snapshot: m.VenueSnapshot) -> Out:
        """Leave a symbol alone that has two positions: somebody switched hedge mode on."""
        symbols = [p.symbol for p in snapshot.positions]
        self._twice = frozenset(s for s in symbols if symbols.count(s) > 1)
        if not self._twice:
            return ()
        named = ", ".join(sorted(self._twice))
        return (halt(f"{named}: two positions of one symbol, so hedge mode is on"),)

    def is_foreign(self, symbol: str) -> bool:
        """Tell whether the venue showed a position there that is not ours."""
        return symbol in self._foreign

    def _is_nobodys(self, symbol: str) -> bool:
        held = self._holdings.of(symbol).quantity != ZERO
        return not held and symbol not in self._foreign and symbol not in self._brackets

    def _forget_foreign(
        self, actions: tuple[reconcile.Action, ...], settled: frozenset[str], now: Moment
    ) -> Out:
        still = {a.position.symbol for a in actions if isinstance(a, reconcile.Foreign)}
        gone = sorted((self._foreign - still) & settled)
        self._foreign.difference_update(gone)
        return tuple(flat_position(symbol, now) for symbol in gone)

    def _finish(self) -> Out:
        """Open the gate once all that was found is protected."""
        if not self._compared:
            return ()
        naked = [b for b in self._brackets.values() if b.phase is Phase.OPEN]
        if (naked and not self.reconciled) or (self.reconciled and not self._report):
            return ()
        report, self._report = tuple(self._report), []
        reason = self._reason if not self.reconciled else "drop copy"
        self.reconciled = True
        return (
            m.Reconciled(
                reason=reason,
                report=report,
                foreign_positions=len(self._foreign),
                foreign_orders=self._foreign_orders,
            ),
        )
