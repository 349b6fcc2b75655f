"""The order desk: acceptance, matching, cancelling, and the takeover of doomed positions.

A taker walks the seeded book; a resting order fills at its price once the last price touches it.
Own orders never meet each other, because the book is not theirs.  Events leave in the venue's
order: TRADE_LITE, ORDER_TRADE_UPDATE, ACCOUNT_UPDATE.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from core.venue.simulated.account import Account, cash
from core.venue.simulated.account_view import account_event
from core.venue.simulated.errors import Rejection
from core.venue.simulated.events import Outbox
from core.venue.simulated.ledger import ZERO, AlgoOrder, Ledger, Order
from core.venue.simulated.book import Level
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import lite_event, order_event
from core.venue.simulated.tickets import Ticket

DEPTH_STEPS = (10, 100, 1000)

NO_REASON, IOC_REMAINDER, DISPLACED, LIQUIDATED, MARKET_REMAINDER = "0", "2", "4", "5", "9"


class Follower(Protocol):
    """Who must hear of ended orders and flat positions: the Algo Service."""

    def order_ended(self, order: Order) -> None:
        """An order of a triggered conditional has ended."""

    def went_flat(self, symbol: str) -> None:
        """A position has been closed."""


class OrderDesk:
    """Ordinary orders of one account."""

    follower: Follower

    def __init__(self, ledger: Ledger, quotes: Quotes, account: Account, outbox: Outbox) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self._account = account
        self._outbox = outbox

    # ------------------------------------------------------------------ acceptance
    def check(self, ticket: Ticket) -> Ticket:
        """Apply the rules that depend on the account; return the ticket as it may be executed.

        Raises -4116 (open order of that id), -2022, -2019, -2027, -2025, -5021, -5022.
        """
        open_orders = self._ledger.open_orders(ticket.symbol)
        if any(order.client_order_id == ticket.client_id for order in open_orders):
            raise Rejection(-4116)
        if len(open_orders) >= self._quotes.instruments[ticket.symbol].orders_max:
            raise Rejection(-2025)
        bid, ask = self._quotes.touch(ticket.symbol)
        best = ask.price if ticket.sign > 0 else bid.price
        if ticket.reduce_only:
            ticket = self._trimmed(ticket)
        else:
            price = best if ticket.type == "MARKET" else ticket.price
            self._account.check_opening(ticket.symbol, ticket.sign, ticket.quantity, price)
        if ticket.type == "LIMIT":
            crosses = (best - ticket.price) * ticket.sign <= 0
            if ticket.time_in_force == "GTX" and crosses:
                raise Rejection(-5022)
            if ticket.time_in_force == "FOK":
                self._check_fill_or_kill(ticket)
        return ticket

    def _trimmed(self, ticket: Ticket) -> Ticket:
        amount = self._account.positions[ticket.symbol].amount
        if amount * ticket.sign >= 0:
            raise Rejection(-2022)
        if ticket.quantity <= abs(amount):
            return ticket
        return replace(ticket, quantity=abs(amount))

    def _check_fill_or_kill(self, ticket: Ticket) -> None:
        levels = self._levels(ticket.symbol, ticket.side, ticket.quantity, ticket.price)
        if _depth(levels) < ticket.quantity:
            raise Rejection(-5021)

    def place(self, ticket: Ticket, algo: AlgoOrder | None = None) -> Order:
        """Accept a checked ticket as a new order; it has not met the book yet (`execute`).

        `algo` is the triggered conditional order that it comes from.
        """
        now_ms = self._quotes.now_ms
        order = Order(
            order_id=self._ledger.next_order_id(ticket.symbol),
            symbol=ticket.symbol,
            client_order_id=ticket.client_id or self._ledger.next_client_id(),
            side=ticket.side,
            position_side=ticket.position_side,
            type=ticket.type,
            time_in_force=ticket.time_in_force,
            quantity=ticket.quantity,
            price=ticket.price,
            reduce_only=ticket.reduce_only,
            close_position=ticket.close_position,
            time_ms=now_ms,
            original_type=algo.order_type if algo else ticket.type,
            stop_price=algo.trigger_price if algo else ZERO,
            working_type=ticket.working_type,
            price_protect=ticket.price_protect,
            self_trade_prevention=ticket.self_trade_prevention,
            good_till_ms=ticket.good_till_ms,
            algo_id=algo.algo_id if algo else 0,
        )
        order.move("NEW", now_ms)
        self._ledger.add_order(order)
        self._tell(order, "NEW")
        return order

    # ------------------------------------------------------------------ matching
    def execute(self, order: Order) -> None:
        """Let a new order take from the book what it may; end or rest it."""
        market = order.type == "MARKET"
        limit = self._market_bound(order) if market else order.price
        for level in self._levels(order.symbol, order.side, order.quantity, limit):
            self._fill(order, min(order.remaining, level.quantity), level.price, maker=False)
            if not order.is_open:
                return
        if market:
            self._expire(order, MARKET_REMAINDER)
        elif order.time_in_force in {"IOC", "FOK"}:
            self._expire(order, IOC_REMAINDER)

    def match(self, symbol: str) -> None:
        """Fill resting orders that the last price touches."""
        last = self._quotes.last(symbol)
        for order in self._ledger.open_orders(symbol):
            if not order.is_open:
                continue
            if (last - order.price) * order.sign > 0:
                continue
            quantity = order.remaining
            if order.reduce_only:
                amount = self._account.positions[symbol].amount
                quantity = min(quantity, abs(amount)) if amount * order.sign < 0 else Decimal(0)
            if quantity:
                self._fill(order, quantity, order.price, maker=True)
            if order.is_open:
                self._expire(order, DISPLACED)

    def _market_bound(self, order: Order) -> Decimal:
        bound: Decimal = self._quotes.instruments[order.symbol].market_take_bound
        return self._quotes.mark(order.symbol) * (1 + order.sign * bound)

    def _levels(self, symbol: str, side: str, quantity: Decimal, limit: Decimal) -> list[Level]:
        """Return the levels up to the limit price that together hold the quantity, if any do."""
        sign = 1 if side == "BUY" else -1
        found: list[Level] = []
        for depth in DEPTH_STEPS:
            book = self._quotes.book(symbol, side, depth)
            found = [level for level in book if (limit - level.price) * sign >= 0]
            if len(found) < len(book) or _depth(found) >= quantity:
                break
        return found

    def _fill(self, order: Order, quantity: Decimal, price: Decimal, *, maker: bool) -> None:
        trade = self._account.fill(order, quantity, price, maker=maker)
        order.executed += quantity
        order.quote += quantity * price
        rules = self._quotes.instruments[order.symbol]
        status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
        order.move(status, trade.time_ms, executedQty=str(order.executed))
        self._ledger.settle_order(order)
        self._outbox.user(lite_event(rules, order, trade))
        exposure = self._account.order_notionals(order.symbol)
        self._outbox.user(order_event(rules, order, "TRADE", trade, exposure=exposure))
        self._outbox.user(account_event(self._account, self._quotes, "ORDER", order.symbol))
        if not order.is_open:
            self.follower.order_ended(order)
        if not self._account.positions[order.symbol].amount:
            self.follower.went_flat(order.symbol)

    # ------------------------------------------------------------------ endings
    def cancel(self, order: Order) -> None:
        """Cancel an open order; -2011 for one that has ended."""
        if not order.is_open:
            raise Rejection(-2011)
        self._end(order, "CANCELED", "CANCELED", NO_REASON)

    def expire_due(self, order: Order) -> None:
        """End a GTD order whose date has come."""
        if order.is_open:
            self._end(order, "CANCELED", "CANCELED", NO_REASON)

    def _expire(self, order: Order, reason: str) -> None:
        self._end(order, "EXPIRED", "EXPIRED", reason)

    def _end(self, order: Order, status: str, execution: str, reason: str) -> None:
        order.move(status, self._quotes.now_ms)
        self._ledger.settle_order(order)
        self._tell(order, execution, reason)
        self.follower.order_ended(order)

    def _tell(self, order: Order, execution: str, reason: str = NO_REASON) -> None:
        rules = self._quotes.instruments[order.symbol]
        exposure = self._account.order_notionals(order.symbol)
        self._outbox.user(order_event(rules, order, execution, reason=reason, exposure=exposure))

    # ------------------------------------------------------------------ liquidation
    def liquidate(self, symbol: str) -> None:
        """Take a position over: cancel its orders, close it, charge the clearance fee.

        The fill is the market's, but never past the bankruptcy price: the insurance fund bears the
        rest, so an isolated loss ends at the isolated wallet.
        """
        for order in self._ledger.open_orders(symbol):
            self._expire(order, LIQUIDATED)
        account, rules = self._account, self._quotes.instruments[symbol]
        position = account.positions[symbol]
        amount, entry = position.amount, position.entry
        isolated = account.settings[symbol].isolated
        backing = position.isolated_wallet if isolated else self._cross_backing(symbol)
        side = "SELL" if amount > 0 else "BUY"
        best = self._quotes.book(symbol, side, 1)[0].price
        bankrupt = entry - backing / amount
        ticks = max(Decimal(1), (bankrupt / rules.tick_size).to_integral_value())
        bankrupt = ticks * rules.tick_size
        price = max(best, bankrupt) if amount > 0 else min(best, bankrupt)
        order = Order(
            order_id=self._ledger.next_order_id(symbol),
            symbol=symbol,
            client_order_id=f"autoclose-{self._quotes.now_ms}{symbol[:6]}",
            side=side,
            position_side=position.side,
            type="LIQUIDATION",
            time_in_force="IOC",
            quantity=abs(amount),
            price=price,
            reduce_only=True,
            close_position=False,
            time_ms=self._quotes.now_ms,
            original_type="LIQUIDATION",
        )
        order.move("NEW", self._quotes.now_ms)
        self._ledger.add_order(order)
        self._tell(order, "NEW")
        self._fill(order, abs(amount), price, maker=False)
        trade = self._ledger.trades_of(symbol)[-1]
        left = backing + trade.realized - trade.commission
        fee = cash(min(abs(amount) * price * rules.liquidation_fee, left))
        account.book(symbol, "INSURANCE_CLEAR", -fee)
        self._outbox.user(account_event(account, self._quotes, "INSURANCE_CLEAR"))

    def _cross_backing(self, symbol: str) -> Decimal:
        account = self._account
        return account.cross_wallet + account.cross_unrealized() - account.unrealized(symbol)


def _depth(levels: list[Level]) -> Decimal:
    return sum((level.quantity for level in levels), Decimal(0))
