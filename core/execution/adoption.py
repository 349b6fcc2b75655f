"""Takes a position found on the venue as ours, with the orders that protect it."""

from decimal import Decimal

from core import messages as m
from core.clock import Moment
from core.execution import reconcile
from core.execution.alerts import alert
from core.execution.bracket import ZERO, Bracket, Leg, LegState, Phase
from core.execution.client_id import trade_of
from core.execution.holdings import Holdings
from core.execution.order_life import ENDED, OrderState
from core.execution.protection import Protection
from core.execution.settings import ExecutionSettings
from core.messages import Purpose

Out = tuple[object, ...]

# What the journal says of these entries is the venue's last word.
_TOLD = ENDED - {OrderState.ABSENT}


class Adoption:
    """Builds brackets from the venue's positions and the journal's rows (`intents`)."""

    def __init__(
        self,
        settings: ExecutionSettings,
        protection: Protection,
        brackets: dict[str, Bracket],
        holdings: Holdings,
    ) -> None:
        self.intents: tuple[tuple[m.Intent, str], ...] = ()
        self.absent: dict[str, m.Intent] = {}  # entries that may execute late, by client id
        self.opened_by: dict[str, str] = {}  # symbol: client id of the entry whose trade came first
        self._settings = settings
        self._protection = protection
        self._brackets = brackets
        self._holdings = holdings

    def adopt(self, action: reconcile.Adopt, now: Moment) -> tuple[Out, list[str]]:
        """Hold the position as the venue says, place what is missing; report the differences."""
        position, symbol = action.position, action.position.symbol
        report: list[str] = []
        holding = self._holdings.of(symbol)
        if holding.quantity == ZERO:  # no trade that we know of explains it
            self.opened_by.pop(symbol, None)
        out: Out = ()
        if holding.quantity != position.quantity:
            differs = (
                f"{symbol}: we held {holding.quantity:f}, the venue says "
                f"{position.quantity:f}; the venue is right"
            )
            report.append(differs)
            out = (alert("book_differs", differs, now),)
            holding.hold(position.quantity, position.entry_price)
        bracket = self._brackets.get(symbol)
        if bracket is None:
            bracket, told = self._from_journal(action, now)
            out += told
            report.append(reconcile.describe(action))
        bracket.quantity, bracket.entry_price = holding.quantity, holding.entry_price
        bracket.opened = True
        for purpose, order in ((Purpose.STOP, action.stop), (Purpose.TARGET, action.target)):
            leg = bracket.legs.get(purpose)
            if order is not None:
                if leg is None or leg.client_id != order.client_id or leg.state is LegState.GONE:
                    bracket.legs[purpose] = self._protection.adopt_leg(order, purpose)
                    self._skip_attempts(bracket.legs[purpose], leg)
                self._protection.see(bracket, bracket.legs[purpose])
            elif leg is not None and leg.state is LegState.SENT:
                leg.state = LegState.GONE
                report.append(f"{symbol}: its {purpose.name.lower()} was never answered for")
            elif leg is not None and self._protection.replaceable(bracket, leg):
                report.append(f"{symbol}: its {purpose.name.lower()} was missing")
            elif leg is not None and leg.state is LegState.LIVE and purpose is Purpose.STOP:
                out += self._unseen(bracket, leg, now)
        if bracket.live_price(Purpose.STOP) is not None:
            bracket.enter(Phase.PROTECTED, now.wall_ns)
            bracket.naked_since_wall_ns = 0
        elif bracket.phase is not Phase.OPEN:
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
        orders = self._orders(bracket, position.mark_price, now)
        return (*out, *orders, *self._protection.tell(bracket, now)), report

    def _orders(self, bracket: Bracket, mark: Decimal, now: Moment) -> Out:
        """Place what is missing; close what is on the wrong side, or beyond its stop already."""
        if bracket.turned():
            return self._protection.flatten(bracket, "held on the other side", now)
        orders = self._protection.protect(bracket, bracket.entry_price, now)
        stop = bracket.legs.get(Purpose.STOP)
        if stop is None or stop.state is not LegState.SENT or mark <= ZERO:
            return orders
        if not bracket.beyond(stop, mark):
            return orders
        # The venue would refuse this stop (-2021), and it would have fired long ago.
        stop.state = LegState.GONE
        return self._protection.flatten(bracket, "price beyond the stop", now)

    @staticmethod
    def _skip_attempts(leg: Leg, before: Leg | None) -> None:
        """An id that was used is not used again, whichever order is kept."""
        leg.attempt = max(leg.attempt, before.attempt if before is not None else 0)

    @staticmethod
    def _unseen(bracket: Bracket, leg: Leg, now: Moment) -> Out:
        if bracket.unseen_told:
            return ()
        bracket.unseen_told = True
        words = "was acknowledged, yet no list shows it; the software stop stands behind it"
        return (alert("stop_unseen", f"{bracket.symbol}: {leg.client_id} {words}", now),)

    def adopt_late(
        self, symbol: str, client_id: str, price: Decimal, now: Moment
    ) -> tuple[Bracket, Out]:
        """Hold what an entry brought that was believed absent, and protect it at once."""
        side = m.Side.BUY if self._holdings.of(symbol).quantity > ZERO else m.Side.SELL
        intent = self.absent.get(client_id) or self._journalled(client_id)
        if intent is not None and intent.side is side:
            bracket = self.bracket(intent, Phase.OPEN, now)
        else:
            bracket = self._unjournalled(symbol, side, price, now)
        holding = self._holdings.of(symbol)
        bracket.quantity, bracket.entry_price = holding.quantity, holding.entry_price
        bracket.filled = bracket.executed = abs(holding.quantity)
        bracket.naked_since_wall_ns = now.wall_ns
        bracket.opened = bracket.entry_told = True  # its reservation was released long ago
        self._skip_used_ids(bracket)
        self._brackets[symbol] = bracket
        return bracket, self._protection.protect(bracket, bracket.entry_price, now)

    def _journalled(self, client_id: str) -> m.Intent | None:
        return next((i for i, _ in self.intents if i.client_id == client_id), None)

    def _from_journal(self, action: reconcile.Adopt, now: Moment) -> tuple[Bracket, Out]:
        """Build the bracket of a position found, from its journal rows if there are any."""
        position, symbol = action.position, action.position.symbol
        side = m.Side.BUY if position.quantity > ZERO else m.Side.SELL
        entry = self._entry_of(action, side)
        if entry is not None:
            bracket = self.bracket(entry[0], Phase.OPEN, now)
        else:
            bracket = self._unjournalled(symbol, side, position.entry_price, now)
        bracket.filled = bracket.executed = abs(position.quantity)
        bracket.naked_since_wall_ns = now.wall_ns
        bracket.entry_over = bracket.entry_told = True
        self._skip_used_ids(bracket)
        self._brackets[symbol] = bracket
        if entry is None or entry[1] in _TOLD:
            return bracket, ()
        executed = abs(position.quantity)
        moved = self._protection.moved(
            entry[0].client_id, OrderState.FILLED, now, executed=executed
        )
        done = m.EntryEnded(
            proposal_id=entry[0].proposal_id,
            symbol=symbol,
            outcome="filled",
            detail="found at reconciliation",
        )
        return bracket, (moved, done)

    def _entry_of(self, action: reconcile.Adopt, side: m.Side) -> tuple[m.Intent, str] | None:
        """Return the entry that opened a position, with its journal state, if it is known.

        Its trades name it, or its stop does.  Without either it is the newest of the journal, but
        none that is believed absent: only its own trade can prove that one wrong.
        """
        late = [(i, OrderState.ABSENT.value) for i in self.absent.values()]
        rows = [
            (i, s)
            for i, s in (*self.intents, *late)
            if i.symbol == action.position.symbol and i.purpose is Purpose.ENTRY and i.side is side
        ]
        opener = self.opened_by.get(action.position.symbol)
        if opener is not None:
            return next((row for row in rows if row[0].client_id == opener), None)
        guard = trade_of(action.stop.client_id) if action.stop is not None else ""
        guarded = [row for row in rows if trade_of(row[0].client_id) == guard]
        likely = guarded or [row for row in rows if row[1] != OrderState.ABSENT]
        return max(likely, key=lambda row: row[0].created_at_ns, default=None)

    def _skip_used_ids(self, bracket: Bracket) -> None:
        """Count attempts on from the journal: an id that was used is not used again."""
        rows = [row for row in self.intents if row[0].proposal_id == bracket.proposal_id]
        for intent, state in sorted(rows, key=lambda row: row[0].attempt):
            if intent.purpose is Purpose.EXIT:
                bracket.exit_attempt = intent.attempt + 1
            elif intent.purpose is not Purpose.ENTRY:
                leg = self._protection.spent_leg(bracket, intent, state)
                bracket.legs[intent.purpose] = leg

    def _unjournalled(
        self, symbol: str, side: m.Side, entry_price: Decimal, now: Moment
    ) -> Bracket:
        """Build the bracket of a position without a journal row, with the symbol's distances."""
        stop_pct, target_pct = self._settings.percentages(symbol)
        return Bracket(
            symbol=symbol,
            proposal_id=f"adopted|{symbol}|{entry_price}|{now.venue_ns}",
            side=side,
            entry=None,
            stop_pct=stop_pct,
            target_pct=target_pct,
            phase=Phase.OPEN,
            since_wall_ns=now.wall_ns,
        )

    def bracket(self, entry: m.Intent, phase: Phase, now: Moment) -> Bracket:
        """Build the bracket of a journalled entry."""
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
        )


def flat_position(symbol: str, now: Moment) -> m.PositionChanged:
    """Say that nobody holds a symbol."""
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


def foreign_position(position: m.VenuePosition, now: Moment) -> m.PositionChanged:
    """Say that another holds a symbol."""
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
