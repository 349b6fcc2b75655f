"""The order desk: acceptance, matching, cancelling.

A taker walks the book and wears it down; a resting order fills at its price by what trades through
or at it at each price point.  An order that would meet one of the same account is subject to
self-trade prevention.  Events leave in the venue's order: TRADE_LITE, ORDER_TRADE_UPDATE,
ACCOUNT_UPDATE.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Protocol

from core.venue.simulated.account import Account
from core.venue.simulated.account_view import account_event
from core.venue.simulated.book import Level
from core.venue.simulated.errors import Rejection
from core.venue.simulated.events import Outbox
from core.venue.simulated.gates import Gate, by_priority, levels_within, market_bound
from core.venue.simulated.ledger import ZERO, AlgoOrder, Ledger, Order, Trade
from core.venue.simulated.order_faults import OrderFaults
from core.venue.simulated.positions import Position
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import lite_event, order_event
from core.venue.simulated.tickets import Ticket

NO_REASON, SELF_TRADE, IOC_REMAINDER, IOC_SELF_TRADE, DISPLACED, LIQUIDATED = "012345"
DELISTED, MARKET_REMAINDER = "7", "9"
AT_ONCE = frozenset({"IOC", "FOK"})
GTC_LIFE_MS = 365 * 86_400_000


class Follower(Protocol):
    """Who must hear of orders and positions that are gone: the Algo Service."""

    def order_entered(self, order: Order) -> None:
        """The order of a triggered conditional is in the book; nobody has been told of it."""

    def order_ended(self, order: Order) -> None:
        """An order of a triggered conditional has ended."""

    def position_gone(self, position: Position) -> None:
        """A position has been closed or turned round."""


class OrderDesk:
    """Ordinary orders of one account."""

    follower: Follower

    def __init__(self, ledger: Ledger, quotes: Quotes, account: Account, outbox: Outbox) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self._account = account
        self._outbox = outbox
        self.gate = Gate(ledger, quotes, account)
        self.faults = OrderFaults()
        self.countdowns: dict[str, int] = {}  # venue time in ms at which a symbol's orders go

    # ------------------------------------------------------------------ acceptance
    def check(self, ticket: Ticket) -> Ticket:
        """Apply the rules that depend on the account; return the ticket as it may be executed."""
        return self.gate.check(ticket)

    def place(self, ticket: Ticket, algo: AlgoOrder | None = None) -> Order:
        """Accept a checked ticket as a new order; it has not met the book yet (`execute`).

        `algo` is the triggered conditional order that it comes from.
        """
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
            time_ms=self._quotes.now_ms,
            original_type=algo.order_type if algo else ticket.type,
            stop_price=algo.trigger_price if algo else ZERO,
            working_type=ticket.working_type,
            price_protect=ticket.price_protect,
            price_match=ticket.price_match,
            self_trade_prevention=ticket.self_trade_prevention,
            good_till_ms=ticket.good_till_ms,
            ends_ms=self._end_of(ticket),
            algo_id=algo.algo_id if algo else 0,
            activate_price=ticket.activate_price,
            callback_rate=ticket.callback_rate,
        )
        self.enter(order)
        if order.reduces:
            self._displace(order.symbol, order.position_side)
        return order

    def _end_of(self, ticket: Ticket) -> int:
        good_till_cancelled = ticket.type == "LIMIT" and ticket.time_in_force == "GTC"
        return self._quotes.now_ms + GTC_LIFE_MS if good_till_cancelled else ticket.good_till_ms

    def enter(self, order: Order) -> None:
        """Record an order as NEW and tell of it."""
        order.move("NEW", self._quotes.now_ms)
        self._ledger.add_order(order)
        if order.algo_id:
            self.follower.order_entered(order)
        self.tell(order, "NEW")

    def enter_takeover(self, position: Position, client_id: str, price: Decimal) -> Order:
        """Enter the venue's own order that closes a position; `-` at the end wants a number."""
        order_id = self._ledger.next_order_id(position.symbol)
        number = f"{self._quotes.now_ms}{order_id % 1000:03d}" if client_id[-1] == "-" else ""
        order = Order(
            order_id=order_id,
            symbol=position.symbol,
            client_order_id=f"{client_id}{number}",
            side="SELL" if position.amount > 0 else "BUY",
            position_side=position.side,
            type="LIQUIDATION",
            time_in_force="IOC",
            quantity=abs(position.amount),
            price=price,
            reduce_only=True,
            close_position=False,
            time_ms=self._quotes.now_ms,
            original_type="LIQUIDATION",
        )
        self.enter(order)
        return order

    # ------------------------------------------------------------------ taking
    def execute(self, order: Order) -> None:
        """Let a new or changed order take from the book what it may; end or rest it."""
        market = order.type == "MARKET"
        bound = market_bound(self._quotes, order.symbol, order.side) if market else order.price
        most, ending = self._portion(order)
        self._walk(order, bound, most)
        if not order.is_open:
            return
        if ending:
            self._end(order, ending, ending, NO_REASON)
        elif market:
            self._expire(order, MARKET_REMAINDER)
        elif order.time_in_force in AT_ONCE:
            self._expire(order, IOC_REMAINDER)

    def _portion(self, order: Order) -> tuple[Decimal, str]:
        """Return how much may fill now and how the order then ends: all of it, without a fault."""
        if self.faults.waiting:
            step = self._quotes.instruments[order.symbol].step_size
            portion = self.faults.portion(order.symbol, order.remaining, step)
            if portion is not None:
                return portion.quantity, portion.status
        return order.remaining, ""

    def _walk(self, order: Order, bound: Decimal, most: Decimal) -> None:
        """Meet the levels and own orders up to a price, best first, own ones last in a level."""
        floor = order.remaining - most
        own = self._own_against(order, bound)
        symbol, side = order.symbol, order.side
        for level in levels_within(self._quotes, symbol, side, most, bound):
            while own and (level.price - own[0].price) * order.sign > 0:
                self._meet(order, own.pop(0), floor)
            if not order.is_open or order.remaining <= floor:
                return
            self.take(order, level, min(order.remaining - floor, level.quantity))
        for maker in own:
            self._meet(order, maker, floor)

    def take(
        self, order: Order, level: Level, quantity: Decimal, execution: str = "TRADE"
    ) -> Trade:
        """Fill from a level of the book, which is worn down by as much."""
        moment = self._quotes.moment(order.symbol)
        self._quotes.wear.take(order.symbol, order.side, moment, level.price, quantity)
        return self.fill(order, quantity, level.price, maker=False, execution=execution)

    def _own_against(self, order: Order, bound: Decimal) -> list[Order]:
        against = [row for row in self._ledger.open_orders(order.symbol) if row.side != order.side]
        return [row for row in by_priority(against) if (bound - row.price) * order.sign >= 0]

    def _meet(self, taker: Order, maker: Order, floor: Decimal) -> None:
        """Apply self-trade prevention, by the taker's mode, to two orders of this account."""
        if not (taker.is_open and maker.is_open and taker.remaining > floor):
            return
        mode = taker.self_trade_prevention
        if mode == "NONE":
            quantity = min(taker.remaining - floor, maker.remaining)
            quantity = min(self._allowed(maker, quantity), self._allowed(taker, quantity))
            if quantity:
                self.fill(maker, quantity, maker.price, maker=True)
                if taker.is_open:
                    self.fill(taker, quantity, maker.price, maker=False)
            return
        if mode in {"EXPIRE_MAKER", "EXPIRE_BOTH"}:
            self._end(maker, "EXPIRED_IN_MATCH", "EXPIRED", SELF_TRADE)
        if mode in {"EXPIRE_TAKER", "EXPIRE_BOTH"}:
            at_once = taker.type == "MARKET" or taker.time_in_force in AT_ONCE
            reason = IOC_SELF_TRADE if at_once else SELF_TRADE
            self._end(taker, "EXPIRED_IN_MATCH", "EXPIRED", reason)

    # ------------------------------------------------------------------ resting
    def match(self, symbol: str) -> None:
        """Fill resting orders by what trades at the present price point, best price first."""
        last = self._quotes.last(symbol)
        resting = self._ledger.open_orders(symbol)
        touched = [order for order in resting if (last - order.price) * order.sign <= 0]
        for order in by_priority(touched):
            if order.is_open:
                self._fill_resting(order)

    def _fill_resting(self, order: Order) -> None:
        most, ending = self._portion(order)
        floor = order.remaining - most
        for taker_side, level in self._flow(order):
            quantity = min(order.remaining - floor, level.quantity)
            quantity = self._allowed(order, quantity)
            if not quantity:
                break
            moment = self._quotes.moment(order.symbol)
            self._quotes.wear.take(order.symbol, taker_side, moment, level.price, quantity)
            self.fill(order, quantity, order.price, maker=True)
            if not order.is_open:
                return
        if ending:
            self._end(order, ending, ending, NO_REASON)

    def _flow(self, order: Order) -> Iterator[tuple[str, Level]]:
        """Yield what trades against a resting order: levels that cross it, and its own queue."""
        symbol, price = order.symbol, order.price
        for level in levels_within(self._quotes, symbol, order.side, order.remaining, price):
            yield order.side, level
        other = "SELL" if order.side == "BUY" else "BUY"
        for level in self._quotes.book(symbol, other, 1):
            if (price - level.price) * order.sign >= 0:
                yield other, level

    def _allowed(self, order: Order, quantity: Decimal) -> Decimal:
        if not order.reduces:
            return quantity
        amount = self._account.position(order.symbol, order.position_side).amount
        return min(quantity, abs(amount)) if amount * order.sign < 0 else ZERO

    # ------------------------------------------------------------------ fills
    def fill(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        *,
        maker: bool,
        execution: str = "TRADE",
        free: bool = False,
    ) -> Trade:
        """Book a fill and tell of it; orders and positions that it ends are followed up."""
        position = self._account.position(order.symbol, order.position_side)
        before = position.amount
        trade = self._account.fill(order, quantity, price, maker=maker, free=free)
        order.executed += quantity
        order.quote += quantity * price
        rules = self._quotes.instruments[order.symbol]
        status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
        order.move(status, trade.time_ms, executedQty=str(order.executed))
        self._ledger.settle_order(order)
        self._stir(order)
        if execution == "TRADE":  # the venue's own takeovers are not sent early
            self._outbox.user(lite_event(rules, order, trade))
        exposure = self._account.order_notionals(order.symbol)
        self._outbox.user(order_event(rules, order, execution, trade, exposure=exposure))
        self._outbox.user(account_event(self._account, self._quotes, "ORDER", position))
        if not order.is_open:
            self.follower.order_ended(order)
        self._displace(order.symbol, order.position_side)
        if before and before * position.amount <= 0:
            self.follower.position_gone(position)
        return trade

    def _displace(self, symbol: str, position_side: str) -> None:
        for order in self.gate.displaced(symbol, position_side):
            if order.is_open:
                self._expire(order, DISPLACED)

    # ------------------------------------------------------------------ endings
    def cancel(self, order: Order) -> None:
        """Cancel an open order; -2011 for one that has ended."""
        if not order.is_open:
            raise Rejection(-2011)
        self._end(order, "CANCELED", "CANCELED", NO_REASON)

    def cancel_all(self, symbol: str) -> None:
        """Cancel all open orders of a symbol; conditional orders stay."""
        for order in self._ledger.open_orders(symbol):
            if order.is_open:
                self.cancel(order)

    def end_countdown(self, symbol: str) -> None:
        """Cancel a symbol's orders because nobody has armed its countdown again."""
        self.countdowns.pop(symbol, None)
        self.cancel_all(symbol)

    def expire_due(self, order: Order) -> None:
        """End a GTD order whose date has come, or a GTC order that is a year old."""
        if order.is_open and order.good_till_ms:
            self._end(order, "CANCELED", "CANCELED", NO_REASON)
        elif order.is_open:
            self._expire(order, NO_REASON)

    def expire_for_liquidation(self, order: Order) -> None:
        """End an order because the account is being liquidated."""
        if order.is_open:
            self._expire(order, LIQUIDATED)

    def delist(self, symbol: str) -> None:
        """End all orders of a symbol and settle its positions at the mark price, free of fees."""
        for order in self._ledger.open_orders(symbol):
            if order.is_open:
                self._expire(order, DELISTED)
        tick = self._quotes.instruments[symbol].tick_size
        price = (self._quotes.mark(symbol) / tick).to_integral_value() * tick
        for position in self._account.held(symbol):
            order = self.enter_takeover(position, "settlement_autoclose-", price)
            self.fill(order, order.quantity, price, maker=False, execution="CALCULATED", free=True)

    def _expire(self, order: Order, reason: str) -> None:
        self._end(order, "EXPIRED", "EXPIRED", reason)

    def _end(self, order: Order, status: str, execution: str, reason: str) -> None:
        order.move(status, self._quotes.now_ms)
        self._ledger.settle_order(order)
        self.tell(order, execution, reason)
        self.follower.order_ended(order)

    def tell(self, order: Order, execution: str, reason: str = NO_REASON) -> None:
        """Send the order's state to the user stream."""
        self._stir(order)
        rules = self._quotes.instruments[order.symbol]
        exposure = self._account.order_notionals(order.symbol)
        self._outbox.user(order_event(rules, order, execution, reason=reason, exposure=exposure))

    def _stir(self, order: Order) -> None:
        """Give the book a new number where an own order in it has changed."""
        if order.type == "LIMIT":
            self._quotes.wear.stir(order.symbol)
