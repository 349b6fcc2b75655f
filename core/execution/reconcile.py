"""The one reconciliation: what the venue says against what we hold, as a plan of actions.

Serves start-up, a gap in the user stream, and the periodic drop copy.  Pure: the same snapshot and
the same book give the same plan; a plan applied leaves nothing for a second round to do.
Ownership: a position is ours if our own booked fills hold the symbol on the same side, or if they
hold nothing there and an open stop of ours guards it; an order is ours if its client id carries our
tag.  Foreign ones are counted and never touched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core import messages as m
from core.execution.client_id import is_ours

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Hold this position as ours, with these orders found live; a missing one must be placed."""

    position: m.VenuePosition
    stop: m.VenueOrder | None
    target: m.VenueOrder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """We believe to hold a symbol of which the venue says that we do not."""

    symbol: str
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """An own conditional order without a position to protect, or a second one of its kind."""

    order: m.VenueOrder
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A position that is not ours: counted in every limit, never touched."""

    position: m.VenuePosition


Action = Adopt | Forget | Remove | Foreign


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, in order, and how much there is that is not ours."""

    actions: tuple[Action, ...]
    foreign_orders: int


def plan(
    snapshot: m.VenueSnapshot,
    held: Mapping[str, Decimal],
    tag: str,
    settled: frozenset[str],
) -> Plan:
    """Compare a snapshot with our signed quantities by symbol.

    `held` already contains the snapshot's own trades.  Symbols outside `settled` have an order in
    flight or changed since the snapshot was taken: they are left for the next round.
    """
    actions: list[Action] = []
    positions = {p.symbol: p for p in snapshot.positions}
    own = [o for o in snapshot.orders if o.algo and is_ours(tag, o.client_id)]
    for symbol in sorted({*positions, *(s for s, q in held.items() if q != ZERO)}):
        if symbol not in settled:
            continue
        position, quantity = positions.get(symbol), held.get(symbol, ZERO)
        if position is None:
            actions.append(Forget(symbol=symbol, quantity=quantity))
        elif quantity * position.quantity > ZERO:
            actions.append(_adopt(position, own))
        elif quantity == ZERO and _adopt(position, own).stop is not None:
            # Our book may be lost or behind; a stop of ours that the venue still keeps is proof.
            actions.append(_adopt(position, own))
        else:
            if quantity != ZERO:
                actions.append(Forget(symbol=symbol, quantity=quantity))
            actions.append(Foreign(position=position))
    actions += _orphans(own, actions, settled)
    foreign_orders = sum(1 for o in snapshot.orders if not is_ours(tag, o.client_id))
    return Plan(actions=tuple(actions), foreign_orders=foreign_orders)


def _adopt(position: m.VenuePosition, own: list[m.VenueOrder]) -> Adopt:
    closing = m.Side.SELL if position.quantity > ZERO else m.Side.BUY

    def live(order_type: str) -> m.VenueOrder | None:
        """Of several, the one nearer to the entry: the tighter stop, the nearer target."""
        found = [
            o
            for o in own
            if o.symbol == position.symbol
            and o.side is closing
            and o.order_type == order_type
            and o.close_position
        ]
        higher = (closing is m.Side.SELL) == (order_type == "STOP_MARKET")
        sign = -1 if higher else 1
        return min(found, key=lambda o: (sign * o.trigger_price, o.client_id), default=None)

    return Adopt(position=position, stop=live("STOP_MARKET"), target=live("TAKE_PROFIT_MARKET"))


def _orphans(
    own: list[m.VenueOrder], actions: list[Action], settled: frozenset[str]
) -> list[Remove]:
    kept = {
        order.client_id
        for action in actions
        if isinstance(action, Adopt)
        for order in (action.stop, action.target)
        if order is not None
    }
    return [
        Remove(order=order, why="no position to protect")
        for order in own
        if order.symbol in settled and order.client_id not in kept
    ]


def symbol_of(action: Action) -> str:
    """Return the symbol an action is about."""
    match action:
        case Adopt(position=p) | Foreign(position=p):
            return p.symbol
        case Forget(symbol=symbol):
            return symbol
        case Remove(order=order):
            return order.symbol


def describe(action: Action) -> str:
    """Return one line of the reconciliation report."""
    match action:
        case Adopt(position=p, stop=stop, target=target):
            missing = [n for n, o in (("stop", stop), ("target", target)) if o is None]
            state = f"without {' and '.join(missing)}, placing" if missing else "protected"
            return f"{p.symbol}: own position {p.quantity:f} @ {p.entry_price:f}, {state}"
        case Forget(symbol=symbol, quantity=quantity):
            return f"{symbol}: we held {quantity:f}, the venue says we do not; the venue is right"
        case Remove(order=order, why=why):
            return f"{order.symbol}: own {order.order_type} {order.client_id} cancelled, {why}"
        case Foreign(position=p):
            return f"{p.symbol}: foreign position {p.quantity:f}, counted, not touched"
