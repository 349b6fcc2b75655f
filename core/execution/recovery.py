"""Keeps our book equal to the venue's: at start, after a gap, and every now and then.

Trades are booked here, whether the stream or a snapshot brought them, each once.  Until the first
snapshot is worked off and every own position has a live stop, entries are refused.
"""

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution import reconcile
from core.execution.bracket import ZERO, Bracket, LegState, Phase
from core.execution.client_id import attempt_of, purpose_of
from core.execution.holdings import Holdings
from core.execution.order_life import ENDED, OrderState
from core.execution.protection import Protection
from core.execution.settings import ExecutionSettings
from core.messages import Purpose

Out = tuple[object, ...]

_SNAPSHOT_PATIENCE_NS = 15 * NS_PER_S
_RETRY_NS = 2 * NS_PER_S


class Recovery:
    """Books trades and works off snapshots; shares brackets and holdings with the machine."""

    def __init__(
        self,
        settings: ExecutionSettings,
        protection: Protection,
        brackets: dict[str, Bracket],
        holdings: Holdings,
    ) -> None:
        self.reconciled = False
        self._settings = settings
        self._protection = protection
        self._brackets = brackets
        self._holdings = holdings
        self._intents: tuple[tuple[m.Intent, str], ...] = ()
        self._begun = False
        self._asked_wall_ns = 0  # 0: no snapshot is on its way
        self._due_wall_ns = 0  # next drop copy or retry
        self._touched_wall_ns: dict[str, int] = {}
        self._foreign: set[str] = set()
        self._report: list[str] = []
        self._reason = "start-up"
        self._compared = False
        self._foreign_orders = 0

    # ------------------------------------------------------------------ beginning and asking
    def begin(self, book: m.RecoveredBook, now: Moment) -> Out:
        """Start from what the database holds, then ask the venue what is true."""
        prices, newest = dict(book.entry_prices), dict(book.last_trade_ids)
        for symbol in {*newest, *(s for s, _ in book.positions)}:
            quantity = dict(book.positions).get(symbol, ZERO)
            self._holdings.restore(
                symbol, quantity, prices.get(symbol, ZERO), newest.get(symbol, 0)
            )
        self._intents = book.intents
        self._brackets.clear()
        for intent, state in book.intents:
            open_entry = intent.purpose is Purpose.ENTRY and state not in ENDED
            if open_entry and self._holdings.of(intent.symbol).quantity == ZERO:
                self._brackets[intent.symbol] = self._bracket(intent, Phase.UNKNOWN, now)
        self._begun = True
        return self.restart("start-up", now)

    def restart(self, reason: str, now: Moment) -> Out:
        """Refuse entries until a snapshot is worked off."""
        self.reconciled, self._compared, self._reason = False, False, reason
        self._asked_wall_ns = 0
        return (m.ReconcilePending(reason=reason), *self.ask(reason, now))

    def ask(self, reason: str, now: Moment) -> Out:
        """Ask for a snapshot, unless one is on its way."""
        waiting = now.wall_ns - self._asked_wall_ns < _SNAPSHOT_PATIENCE_NS
        if not self._begun or (self._asked_wall_ns and waiting):
            return ()
        self._asked_wall_ns = now.wall_ns
        unresolved = tuple(
            (b.symbol, b.entry.client_id)
            for b in self._brackets.values()
            if b.phase is Phase.UNKNOWN and b.entry is not None
        )
        return (
            m.FetchSnapshot(
                reason=reason,
                symbols=self._settings.symbols,
                trades_after=tuple(
                    (s, self._holdings.newest_trade.get(s, 0)) for s in self._settings.symbols
                ),
                unresolved=unresolved,
            ),
        )

    def note(self, message: m.SnapshotFailed | m.StreamUp | m.StreamDown, now: Moment) -> Out:
        """Hear of a lost snapshot or of the user stream's ups and downs."""
        match message:
            case m.SnapshotFailed():
                self._asked_wall_ns = 0
                self._due_wall_ns = now.wall_ns + _RETRY_NS
                return ()
            case m.StreamUp(stream="private") if message.connection > 1 and self._begun:
                return self.restart("the user stream was interrupted", now)
            case _:
                return ()

    def tick(self, now: Moment) -> Out:
        """Finish a reconciliation whose orders are all confirmed; start the next drop copy."""
        out = self._finish()
        if self._begun and now.wall_ns >= self._due_wall_ns:
            self._due_wall_ns = now.wall_ns + self._settings.reconcile_every_ns
            out += self.ask("start-up" if not self._compared else "drop copy", now)
        return out

    # ------------------------------------------------------------------ booking
    def book_trade(self, trade: m.VenueTrade, now: Moment) -> Out:
        """Count one trade once.  Another's order that reduces what we hold closes our position."""
        if not self._holdings.count(trade.symbol, trade.trade_id):
            return ()
        self._touched_wall_ns[trade.symbol] = now.wall_ns
        holding = self._holdings.of(trade.symbol)
        purpose = purpose_of(self._settings.tag, trade.client_id)
        if purpose is None and trade.side.sign * holding.quantity < ZERO:
            purpose = Purpose.EXIT
        if purpose is not None:
            holding.apply(trade.side, trade.quantity, trade.price)
        bracket = self._brackets.get(trade.symbol)
        if bracket is not None and purpose is not None:
            bracket.quantity = holding.quantity
            bracket.entry_price = holding.entry_price
            bracket.opened = bracket.opened or holding.quantity != ZERO
        return (
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
        """Say what changed; let go of a bracket that is flat and whose orders are gone."""
        self._touched_wall_ns[bracket.symbol] = now.wall_ns
        if bracket.flat() and bracket.phase is not Phase.CLOSING:
            bracket.enter(Phase.CLOSING, now.wall_ns)
        if bracket.finished():
            self._brackets.pop(bracket.symbol, None)
        return self._protection.tell(bracket, now)

    # ------------------------------------------------------------------ comparing
    def compare(self, snapshot: m.VenueSnapshot, now: Moment) -> Out:
        """Work off a snapshot: book its trades, then bring both sides together."""
        self._asked_wall_ns = 0
        self._due_wall_ns = now.wall_ns + self._settings.reconcile_every_ns
        out: list[object] = [snapshot.account]
        touched = dict(self._touched_wall_ns)
        for trade in snapshot.trades:
            booked = self.book_trade(trade, now)
            if booked and self._compared:
                self._report.append(f"{trade.symbol}: trade {trade.trade_id} was missing, booked")
            out += booked
        out += [x for b in list(self._brackets.values()) for x in self._after_trades(b, now)]
        held = {s: h.quantity for s, h in self._holdings.by_symbol.items()}
        settled = frozenset(
            s
            for s in {*self._settings.symbols, *held, *(p.symbol for p in snapshot.positions)}
            if self._is_settled(s, touched.get(s, 0), snapshot.taken_at_wall_ns)
        )
        found = reconcile.plan(snapshot, held, self._settings.tag, settled)
        self._foreign_orders = found.foreign_orders
        out += self._forget_foreign(found.actions, now)
        for action in found.actions:
            out += self._carry_out(action, now)
        self._compared = True
        return (*out, *self._finish())

    def _after_trades(self, bracket: Bracket, now: Moment) -> Out:
        """Protect or close a bracket whose fills came by the snapshot instead of the stream."""
        waiting = (Phase.SENT, Phase.UNKNOWN, Phase.RECORDING)
        if bracket.quantity != ZERO and bracket.phase in waiting:
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
            done = m.EntryEnded(
                proposal_id=bracket.proposal_id, symbol=bracket.symbol, outcome="filled", detail=""
            )
            orders = self._protection.protect(bracket, bracket.entry_price, now)
            return (*orders, *self._protection.tell(bracket, now), done)
        if bracket.flat() and bracket.phase is not Phase.CLOSING:
            return self.settle(bracket, now)
        return ()

    def _is_settled(self, symbol: str, touched_wall_ns: int, taken_wall_ns: int) -> bool:
        """Tell whether the snapshot speaks of the same moment as our book."""
        bracket = self._brackets.get(symbol)
        if touched_wall_ns >= taken_wall_ns:
            return False
        if bracket is None:
            return True
        in_flight = any(leg.state is LegState.SENT for leg in bracket.legs.values())
        steady = bracket.phase in (Phase.OPEN, Phase.PROTECTED) and bracket.quantity != ZERO
        return steady and not in_flight and bracket.since_wall_ns < taken_wall_ns

    def _carry_out(self, action: reconcile.Action, now: Moment) -> Out:
        match action:
            case reconcile.Adopt():
                return self._adopt(action, now)
            case reconcile.Forget():
                self._report.append(reconcile.describe(action))
                self._holdings.restore(
                    action.symbol,
                    ZERO,
                    ZERO,
                    self._holdings.newest_trade.get(action.symbol, 0),
                )
                bracket = self._brackets.pop(action.symbol, None)
                if bracket is None:
                    return (self._flat(action.symbol, now),)
                bracket.quantity, bracket.entry_price = ZERO, ZERO
                orders = self._protection.clear(bracket, now)
                return (*orders, self._flat(action.symbol, now))
            case reconcile.Remove():
                self._report.append(reconcile.describe(action))
                name, symbol = action.order.client_id, action.order.symbol
                return (m.CancelAlgoOrder(client_id=name, symbol=symbol),)
            case reconcile.Foreign():
                position = action.position
                if position.symbol not in self._foreign:
                    self._report.append(reconcile.describe(action))
                self._foreign.add(position.symbol)
                return (self._foreign_position(position, now),)

    def _adopt(self, action: reconcile.Adopt, now: Moment) -> Out:
        position = action.position
        out: list[object] = []
        holding = self._holdings.of(position.symbol)
        if holding.quantity != position.quantity:
            self._report.append(
                f"{position.symbol}: we held {holding.quantity:f}, the venue says "
                f"{position.quantity:f}; the venue is right"
            )
            holding.quantity, holding.entry_price = position.quantity, position.entry_price
        bracket = self._brackets.get(position.symbol)
        if bracket is None:
            bracket, out = self._adopted(position, now)
            self._report.append(reconcile.describe(action))
        bracket.quantity, bracket.entry_price = holding.quantity, holding.entry_price
        bracket.opened = True
        for purpose, order in ((Purpose.STOP, action.stop), (Purpose.TARGET, action.target)):
            leg = bracket.legs.get(purpose)
            if order is not None:
                bracket.legs[purpose] = self._protection.adopt_leg(order, purpose)
            elif leg is not None and leg.state is LegState.LIVE:
                leg.state = LegState.GONE
                self._report.append(f"{position.symbol}: its {purpose.name.lower()} was missing")
        if bracket.live_price(Purpose.STOP) is not None:
            bracket.enter(Phase.PROTECTED, now.wall_ns)
            bracket.naked_since_wall_ns = 0
        elif bracket.phase is not Phase.OPEN:
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
        orders = self._protection.protect(bracket, bracket.entry_price, now)
        return (*out, *orders, *self._protection.tell(bracket, now))

    def _adopted(self, position: m.VenuePosition, now: Moment) -> tuple[Bracket, list[object]]:
        """Build the bracket of a position found, from its journal row if there is one."""
        rows = [(i, s) for i, s in self._intents if i.symbol == position.symbol]
        entry = next(((i, s) for i, s in rows if i.purpose is Purpose.ENTRY), None)
        side = m.Side.BUY if position.quantity > ZERO else m.Side.SELL
        stop_pct, target_pct = self._settings.percentages(position.symbol)
        if entry is not None and entry[0].side is side:
            bracket = self._bracket(entry[0], Phase.OPEN, now)
        else:
            bracket = Bracket(
                symbol=position.symbol,
                proposal_id=f"adopted|{position.symbol}|{position.entry_price}|{now.venue_ns}",
                side=side,
                entry=None,
                stop_pct=stop_pct,
                target_pct=target_pct,
                phase=Phase.OPEN,
                since_wall_ns=now.wall_ns,
            )
        bracket.naked_since_wall_ns = now.wall_ns
        # Ids that were used before are not used again: count attempts on from the journal.
        for intent, _ in rows:
            if intent.proposal_id == bracket.proposal_id and intent.purpose in (
                Purpose.STOP,
                Purpose.TARGET,
            ):
                bracket.legs[intent.purpose] = self._protection.spent_leg(intent)
        self._brackets[position.symbol] = bracket
        out: list[object] = []
        if entry is not None and entry[1] not in ENDED:
            name = entry[0].client_id
            out += [
                self._protection.moved(
                    name, OrderState.FILLED, now, executed=abs(position.quantity)
                ),
                m.EntryEnded(
                    proposal_id=entry[0].proposal_id,
                    symbol=position.symbol,
                    outcome="filled",
                    detail="found at reconciliation",
                ),
            ]
        return bracket, out

    def _bracket(self, entry: m.Intent, phase: Phase, now: Moment) -> Bracket:
        stop_pct, target_pct = self._settings.percentages(entry.symbol)
        return Bracket(
            symbol=entry.symbol,
            proposal_id=entry.proposal_id,
            side=entry.side,
            entry=entry,
            stop_pct=stop_pct,
            target_pct=target_pct,
            phase=phase,
            since_wall_ns=now.wall_ns,
            exit_attempt=attempt_of(entry.client_id),
        )

    def _forget_foreign(self, actions: tuple[reconcile.Action, ...], now: Moment) -> Out:
        still = {a.position.symbol for a in actions if isinstance(a, reconcile.Foreign)}
        gone = sorted(self._foreign - still)
        self._foreign &= still
        return tuple(self._flat(symbol, now) for symbol in gone)

    def _finish(self) -> Out:
        """Open the gate once all that was found is protected."""
        if not self._compared:
            return ()
        naked = [b for b in self._brackets.values() if b.phase is Phase.OPEN]
        if naked and not self.reconciled:
            return ()
        if self.reconciled and not self._report:
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

    @staticmethod
    def _flat(symbol: str, now: Moment) -> m.PositionChanged:
        return m.PositionChanged(
            symbol=symbol,
            quantity=ZERO,
            entry_price=ZERO,
            stop_price=None,
            target_price=None,
            foreign=False,
            busy=False,
            proposal_id="",
            at_ns=now.venue_ns,
        )

    @staticmethod
    def _foreign_position(position: m.VenuePosition, now: Moment) -> m.PositionChanged:
        return m.PositionChanged(
            symbol=position.symbol,
            quantity=position.quantity,
            entry_price=position.entry_price,
            stop_price=None,
            target_price=None,
            foreign=True,
            busy=True,
            proposal_id="",
            at_ns=now.venue_ns,
        )
