"""Changing a resting limit order: it keeps its id and loses its place in the queue."""

from decimal import Decimal

from core.venue.simulated.errors import Rejection
from core.venue.simulated.ledger import Amendment, Ledger, Order
from core.venue.simulated.orders import OrderDesk
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.tickets import Ticket

AMENDMENTS_MAX = 10_000


def check_amendable(order: Order) -> None:
    """Refuse what cannot be changed at all: -2013 ended, -5025 not LIMIT, -5026 too often."""
    if not order.is_open:
        raise Rejection(-2013)
    if order.type != "LIMIT":
        raise Rejection(-5025)
    if len(order.amendments) >= AMENDMENTS_MAX:
        raise Rejection(-5026)


def amend(
    ledger: Ledger,
    quotes: Quotes,
    desk: OrderDesk,
    order: Order,
    wanted: Ticket,
    *,
    modify_id: int | None = None,
) -> None:
    """Give an order the quantity and price of `wanted` (legal by the instrument's rules).

    The order is cancelled instead when the new quantity is already executed, or when a post-only
    order would take.  Raises -5027 (nothing changes), -5029, -2019, -2022, -2027.
    """
    if quotes.statuses.get(order.symbol, "TRADING") != "TRADING":
        raise Rejection(-5024)
    if (wanted.quantity, wanted.price) == (order.quantity, order.price):
        raise Rejection(-5027)
    rules = quotes.instruments[order.symbol]
    if not order.reduces and wanted.quantity * wanted.price < rules.notional_min:
        raise Rejection(-5029, f"{rules.notional_min:f}")
    left = wanted.quantity - order.executed
    if left <= 0 or (order.time_in_force == "GTX" and desk.gate.crosses(wanted)):
        desk.cancel(order)
        return
    fitting = desk.gate.check(_remainder(wanted, left), order)
    before = (order.price, order.quantity)
    order.price = wanted.price
    order.quantity = order.executed + fitting.quantity
    order.price_match = wanted.price_match
    number = ledger.next_amendment_id()
    order.modify_id = number if modify_id is None else modify_id
    order.amendments.append(
        Amendment(
            amendment_id=number,
            time_ms=quotes.now_ms,
            price_before=before[0],
            price_after=order.price,
            quantity_before=before[1],
            quantity_after=order.quantity,
            price_match=order.price_match,
        )
    )
    figures: dict[str, str] = {"price": str(order.price), "origQty": str(order.quantity)}
    order.move(order.status, quotes.now_ms, **figures)
    ledger.requeue(order)
    desk.tell(order, "AMENDMENT")
    desk.execute(order)


def _remainder(wanted: Ticket, left: Decimal) -> Ticket:
    """Return what is still to execute, as a ticket that may cross."""
    return Ticket(
        symbol=wanted.symbol,
        side=wanted.side,
        type="LIMIT",
        quantity=left,
        price=wanted.price,
        time_in_force="GTC",
        reduce_only=wanted.reduce_only,
        client_id=None,
        self_trade_prevention=wanted.self_trade_prevention,
        position_side=wanted.position_side,
    )
