"""What the account and the book must allow before an order is accepted or changed."""

from dataclasses import replace
from decimal import Decimal

from core.venue.simulated.account import Account
from core.venue.simulated.book import Level
from core.venue.simulated.errors import Rejection
from core.venue.simulated.ledger import ZERO, Ledger, Order
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.tickets import Ticket

DEPTH_STEPS = (10, 100, 1000)


def depth_of(levels: list[Level]) -> Decimal:
    """Return the quantity that levels hold together."""
    return sum((level.quantity for level in levels), ZERO)


def levels_within(
    quotes: Quotes, symbol: str, side: str, quantity: Decimal, limit: Decimal
) -> list[Level]:
    """Return what a taker of `side` meets up to a limit price, until it holds the quantity."""
    sign = 1 if side == "BUY" else -1
    found: list[Level] = []
    for depth in DEPTH_STEPS:
        book = quotes.book(symbol, side, depth)
        found = [level for level in book if (limit - level.price) * sign >= 0]
        if len(found) < len(book) or depth_of(found) >= quantity:
            break
    return found


def market_bound(quotes: Quotes, symbol: str, side: str) -> Decimal:
    """Return the worst price a market order may take: marketTakeBound from the mark."""
    sign = 1 if side == "BUY" else -1
    return quotes.mark(symbol) * (1 + sign * quotes.instruments[symbol].market_take_bound)


def by_priority(orders: list[Order]) -> list[Order]:
    """Return orders of one side, the best price first; at one price the older first."""
    return sorted(orders, key=lambda order: -order.sign * order.price)


class Gate:
    """Checks tickets against the account and the book; changes nothing."""

    def __init__(self, ledger: Ledger, quotes: Quotes, account: Account) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self._account = account

    def check(self, ticket: Ticket, amended: Order | None = None) -> Ticket:
        """Return the ticket as it may be executed; `amended` is the order it stands in for.

        Raises -4116 (open order of that id), -2025, -2022, -2019, -2027, -4131, -5021, -5022.
        """
        if amended is None:
            self._check_room(ticket)
        best = self.best_against(ticket.symbol, ticket.side)
        if ticket.type == "MARKET":
            bound = market_bound(self._quotes, ticket.symbol, ticket.side)
            if (best - bound) * ticket.sign > 0:
                raise Rejection(-4131)
        if ticket.reduces:
            ticket = self._reducing(ticket, amended)
        else:
            price = best if ticket.type == "MARKET" else ticket.price
            position = self._account.position(ticket.symbol, ticket.position_side)
            self._account.check_opening(position, ticket.sign, ticket.quantity, price, amended)
        if ticket.type == "LIMIT":
            if ticket.time_in_force == "GTX" and self.crosses(ticket):
                raise Rejection(-5022)
            if ticket.time_in_force == "FOK":
                self._check_fill_or_kill(ticket)
        return ticket

    def best_against(self, symbol: str, side: str) -> Decimal:
        """Return the best price that a taker of `side` meets in the market; -2020 for none."""
        book = self._quotes.book(symbol, side, 1)
        if not book:
            raise Rejection(-2020)
        return book[0].price

    def crosses(self, ticket: Ticket) -> bool:
        """Tell whether a limit order would take, from the market or from an own order."""
        orders = self._ledger.open_orders(ticket.symbol)
        against = [order.price for order in orders if order.side != ticket.side]
        against.append(self.best_against(ticket.symbol, ticket.side))
        return any((price - ticket.price) * ticket.sign <= 0 for price in against)

    def _check_room(self, ticket: Ticket) -> None:
        open_orders = self._ledger.open_orders(ticket.symbol)
        if any(order.client_order_id == ticket.client_id for order in open_orders):
            raise Rejection(-4116)
        if len(open_orders) >= self._quotes.instruments[ticket.symbol].orders_max:
            raise Rejection(-2025)

    def _reducing(self, ticket: Ticket, amended: Order | None) -> Ticket:
        """Cut an order to what its position and better reducing orders leave; -2022 for nothing.

        In hedge mode a closing order larger than the position is refused as a whole.
        """
        amount = self._account.position(ticket.symbol, ticket.position_side).amount
        if amount * ticket.sign >= 0:
            raise Rejection(-2022)
        ahead = ZERO
        if ticket.type == "LIMIT":
            others = self.reducing(ticket.symbol, ticket.position_side)
            better = (row for row in others if (row.price - ticket.price) * row.sign >= 0)
            ahead = sum((row.remaining for row in better if row is not amended), ZERO)
        if ahead >= abs(amount):
            raise Rejection(-2022)
        if ticket.quantity <= abs(amount):
            return ticket
        if ticket.position_side != "BOTH" and not ticket.close_position:
            raise Rejection(-2022)
        return replace(ticket, quantity=abs(amount))

    def reducing(self, symbol: str, position_side: str) -> list[Order]:
        """Return the resting orders that may only reduce a position, best price first."""
        rows = [
            order
            for order in self._ledger.open_orders(symbol)
            if order.reduces and order.position_side == position_side and order.type == "LIMIT"
        ]
        return by_priority(rows)

    def displaced(self, symbol: str, position_side: str) -> list[Order]:
        """Return the reducing orders that better ones leave nothing of the position."""
        amount = self._account.position(symbol, position_side).amount
        ahead, lost = ZERO, []
        for order in self.reducing(symbol, position_side):
            if amount * order.sign >= 0 or ahead >= abs(amount):
                lost.append(order)
            else:
                ahead += order.remaining
        return lost

    def _check_fill_or_kill(self, ticket: Ticket) -> None:
        levels = levels_within(
            self._quotes, ticket.symbol, ticket.side, ticket.quantity, ticket.price
        )
        if depth_of(levels) < ticket.quantity:
            raise Rejection(-5021)
