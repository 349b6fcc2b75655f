"""The life of a journalled order, as a table.

    SENDING -> ACKED -> FILLED | CANCELED | EXPIRED      the venue took it
            -> REJECTED | NOT_SENT                       it certainly did not happen
            -> UNKNOWN -> ACKED | FILLED | ... | ABSENT  it may have happened; resolved by query

For conditional orders ACKED means live on the venue and TRIGGERED that its child order was created.
Transitions only go forward: events may arrive late, twice or in another order.
"""

from enum import StrEnum


class OrderState(StrEnum):
    """Journal states; the strings stand in the `order_intent` table."""

    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    ACKED = "ACKED"
    TRIGGERED = "TRIGGERED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    ABSENT = "ABSENT"


ENDED = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.NOT_SENT,
        OrderState.ABSENT,
    }
)

# What the venue once took was sent, and existed.
_LIVED = ENDED - {OrderState.NOT_SENT, OrderState.ABSENT}

_NEXT: dict[OrderState, frozenset[OrderState]] = {
    OrderState.SENDING: frozenset(OrderState) - {OrderState.SENDING},
    OrderState.UNKNOWN: frozenset(OrderState) - {OrderState.SENDING, OrderState.UNKNOWN},
    OrderState.ACKED: frozenset({OrderState.TRIGGERED}) | _LIVED,
    OrderState.TRIGGERED: _LIVED,
    # A late execution overrides a verdict of absence: the 24 h watch of the reliability rules.
    OrderState.ABSENT: frozenset({OrderState.ACKED, OrderState.FILLED}),
    # The refusal may be of a repeat, after a death: what was sent before under the same name ended.
    OrderState.REJECTED: frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED}),
}

# The venue's words for ordinary and conditional orders.
_FROM_VENUE = {
    "NEW": OrderState.ACKED,
    "PARTIALLY_FILLED": OrderState.ACKED,
    "FILLED": OrderState.FILLED,
    "CANCELED": OrderState.CANCELED,
    "EXPIRED": OrderState.EXPIRED,
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,
    "REJECTED": OrderState.REJECTED,
    "TRIGGERING": OrderState.TRIGGERED,
    "TRIGGERED": OrderState.TRIGGERED,
    "FINISHED": OrderState.FILLED,
}


def may_become(current: OrderState, following: OrderState) -> bool:
    """Tell whether an order in `current` may be said to be `following` from now on."""
    return following in _NEXT.get(current, frozenset())


def from_venue(status: str) -> OrderState:
    """Translate the venue's status; an unknown word is UNKNOWN and gets resolved by query."""
    return _FROM_VENUE.get(status, OrderState.UNKNOWN)
