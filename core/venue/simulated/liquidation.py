"""The risk engine: margin calls, takeover of doomed positions, auto-deleveraging.

It looks at every price point.  A takeover cancels orders first, then sells into the book down to
the bankruptcy price; the insurance fund takes the rest at that price, so an isolated loss ends at
the isolated wallet.  A position in profit may be deleveraged when the price leaps so far that the
fund is taken to be spent: its counterparties are bankrupt at the leap's near edge.
"""

from decimal import Decimal

from core.venue.simulated.account import Account
from core.venue.simulated.account_view import account_event, margin_call_event
from core.venue.simulated.events import Outbox
from core.venue.simulated.gates import levels_within
from core.venue.simulated.ledger import ZERO, Ledger
from core.venue.simulated.margin import bankruptcy_price
from core.venue.simulated.orders import OrderDesk
from core.venue.simulated.peril import ADL_FIRST, ADL_JUMP, CALL_RATIO, adl_rank, strained
from core.venue.simulated.positions import Position, cash
from core.venue.simulated.quotes import Quotes

CALL_PAUSE_MS = 3_600_000  # a position is called at most once an hour


class RiskEngine:
    """Watches one account's positions."""

    def __init__(
        self, ledger: Ledger, quotes: Quotes, account: Account, desk: OrderDesk, outbox: Outbox
    ) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self._account = account
        self._desk = desk
        self._outbox = outbox

    def look(self, symbol: str) -> None:
        """Act on what the present point of a symbol has brought; once for each point."""
        self._deleverage(symbol)
        if not strained(self._account, CALL_RATIO):
            return
        while doomed := strained(self._account, Decimal(1)):
            self.liquidate(doomed[0])
        self._call()

    # ------------------------------------------------------------------ margin call
    def _call(self) -> None:
        now_ms = self._quotes.now_ms
        called = [
            position
            for position in strained(self._account, CALL_RATIO)
            if not position.called_ms or now_ms - position.called_ms >= CALL_PAUSE_MS
        ]
        if called:
            for position in called:
                position.called_ms = now_ms
            self._outbox.user(margin_call_event(self._account, self._quotes, called))

    # ------------------------------------------------------------------ liquidation
    def liquidate(self, position: Position) -> None:
        """Take a position over: cancel its orders, close it, charge the clearance fee."""
        account, symbol = self._account, position.symbol
        isolated = account.is_isolated(position)
        for row in self._ledger.open_orders(symbol if isolated else None):
            if isolated or not account.settings[row.symbol].isolated:
                self._desk.expire_for_liquidation(row)
        profit = account.profit(position)
        pool = account.cross_wallet + account.cross_unrealized() - profit
        backing = position.isolated_wallet if isolated else pool
        rules = self._quotes.instruments[symbol]
        bankrupt = bankruptcy_price(position.amount, position.entry, backing)
        ticks = max(Decimal(1), (bankrupt / rules.tick_size).to_integral_value())
        order = self._desk.enter_takeover(position, "autoclose-", ticks * rules.tick_size)
        trades = [
            self._desk.take(order, level, min(order.remaining, level.quantity), "CALCULATED")
            for level in levels_within(
                self._quotes, symbol, order.side, order.quantity, order.price
            )
            if order.remaining
        ]
        if order.remaining:
            rest = order.remaining
            trades.append(
                self._desk.fill(order, rest, order.price, maker=False, execution="CALCULATED")
            )
        left = backing + sum((one.realized - one.commission for one in trades), ZERO)
        fee = cash(min(order.quote * rules.liquidation_fee, left))
        account.book(symbol, "INSURANCE_CLEAR", -fee)
        self._outbox.user(account_event(account, self._quotes, "INSURANCE_CLEAR"))

    # ------------------------------------------------------------------ auto-deleveraging
    def _deleverage(self, symbol: str) -> None:
        if not self._account.is_held(symbol):
            return
        before, now = self._quotes.previous(symbol), self._quotes.last(symbol)
        if abs(now - before) <= before * ADL_JUMP:
            return
        edge = 1 + ADL_JUMP if now > before else 1 - ADL_JUMP
        tick = self._quotes.instruments[symbol].tick_size
        price = (before * edge / tick).to_integral_value() * tick
        for position in self._account.held(symbol):
            gains = position.amount * (now - before) > 0
            if gains and adl_rank(self._account, position) == ADL_FIRST:
                order = self._desk.enter_takeover(position, "adl_autoclose", price)
                self._desk.fill(
                    order,
                    order.quantity,
                    price,
                    maker=False,
                    execution="CALCULATED",
                    free=True,
                )
