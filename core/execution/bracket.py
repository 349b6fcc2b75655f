"""One symbol's trade while it lives: entry, position, stop, target, exit."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from core.messages import Intent, Purpose, Side

ZERO = Decimal(0)


class Phase(StrEnum):
    """Where a bracket stands.

    RECORDING -> SENT -> OPEN -> PROTECTED -> CLOSING -> gone; UNKNOWN branches off SENT.
    """

    RECORDING = "recording"  # the journal row is being committed
    SENT = "sent"  # the entry is on its way
    UNKNOWN = "unknown"  # the entry may or may not exist
    OPEN = "open"  # a position without a confirmed stop
    PROTECTED = "protected"  # the stop is live on the venue
    CLOSING = "closing"  # flattening, or flat and waiting for its orders to be gone


class LegState(StrEnum):
    """Where a stop or target stands."""

    SENT = "sent"
    LIVE = "live"
    GONE = "gone"


@dataclass(slots=True)
class Leg:
    """A protective conditional order."""

    client_id: str
    purpose: Purpose
    trigger_price: Decimal
    attempt: int
    state: LegState = LegState.SENT
    sent_wall_ns: int = 0
    asked_gone_wall_ns: int = 0  # when its cancel was last asked for
    refusals: int = 0  # of this order and those it replaces, in a row
    repeated: bool = False  # sent again under the same id after an unknown outcome
    fired: bool = False  # the venue says it executed
    acked_wall_ns: int = 0  # when the venue took it
    seen: bool = False  # an event or a list showed it: an acknowledgement alone proves little
    doubted_wall_ns: int = 0  # when a list was asked for, because nothing showed it
    again_wall_ns: int = 0  # refused: when to place it again; 0 if not


@dataclass(slots=True)
class Bracket:
    """State of one trade.  Quantities in base units; `quantity` is the signed position."""

    symbol: str
    proposal_id: str
    side: Side  # of the entry
    entry: Intent | None  # None: adopted without its journal row
    stop_pct: Decimal
    target_pct: Decimal
    phase: Phase
    since_wall_ns: int  # when this phase began
    executed: Decimal = ZERO  # of the entry, as the venue answered
    filled: Decimal = ZERO  # of the entry, from booked fills
    entry_over: bool = False  # the venue said that the entry will not fill further
    entry_told: bool = False  # risk was told so
    entry_seen: bool = False  # the venue spoke of it: it can no longer be believed absent
    quantity: Decimal = ZERO  # from booked fills
    entry_price: Decimal = ZERO
    opened: bool = False  # a fill was booked: from now on quantity 0 means closed
    told: tuple[object, ...] = ()  # what the others were last told of it
    naked_since_wall_ns: int = 0  # first word of a fill; 0 while protected or flat
    price_asked: bool = False
    asked_wall_ns: int = 0  # when the venue was last asked for missing fills
    legs: dict[Purpose, Leg] = field(default_factory=dict)
    replacements: int = 0  # legs placed again because they ended unasked
    doubted: dict[Purpose, Leg] = field(default_factory=dict)  # acknowledged, shown by no list
    extra: set[Purpose] = field(default_factory=set)  # placed once more, as no list showed them
    unseen_told: bool = False
    beyond_since_wall_ns: int = 0  # first mark beyond the stop; 0 while there is none
    exit_attempt: int = 0
    exiting_since_wall_ns: int = 0
    remainders: int = 0  # orders that ended and left a part of the position
    naked_told: bool = False  # exits fail for long, and that was said
    stray_due_wall_ns: int = 0  # next exit of what a late execution brought beside this entry
    cannot_reduce: bool = False  # the venue said of the last exit that there is nothing to reduce
    exit_due_wall_ns: int = 0  # when the next exit may be sent; 0: one is on its way
    queries: int = 0
    not_found: int = 0
    denied_wall_ns: int = 0  # when the last denial was counted
    denied_since_wall_ns: int = 0  # when the first was
    query_due_wall_ns: int = 0

    def leg_of(self, client_id: str) -> Leg | None:
        """Return the leg with this client id."""
        return next((leg for leg in self.legs.values() if leg.client_id == client_id), None)

    def ended_leg(self, client_id: str) -> Leg | None:
        """Return the leg of an order that has ended; if it was doubted, it stands no more."""
        for purpose, leg in list(self.doubted.items()):
            if leg.client_id == client_id:
                del self.doubted[purpose]
        return self.leg_of(client_id)

    def closing_side(self) -> Side:
        """Return the side that reduces what is held, or what the entry will have opened."""
        if self.quantity == ZERO:
            return self.side.opposite
        return Side.SELL if self.quantity > ZERO else Side.BUY

    def turned(self) -> bool:
        """Tell whether what is held lies on the other side than this trade."""
        return self.quantity * self.side.sign < ZERO

    def beyond(self, leg: Leg, mark: Decimal) -> bool:
        """Tell whether the price has reached a leg's trigger: it could only fire, not wait."""
        rises = self.side.sign if leg.purpose is Purpose.TARGET else -self.side.sign
        return (mark - leg.trigger_price) * rises >= ZERO

    def live_price(self, purpose: Purpose) -> Decimal | None:
        """Return the trigger price of a leg that is live on the venue."""
        leg = self.legs.get(purpose)
        return leg.trigger_price if leg is not None and leg.state is LegState.LIVE else None

    def enter(self, phase: Phase, wall_ns: int) -> None:
        """Move to another phase."""
        self.phase = phase
        self.since_wall_ns = wall_ns

    def entry_known(self) -> bool:
        """Tell whether all that the entry will ever fill is booked."""
        if self.entry is None or self.filled >= self.entry.quantity:
            return True
        return self.entry_over and self.filled >= self.executed

    def unexplained(self) -> bool:
        """Tell whether something must exist that was not heard of: fills, or an entry's end.

        An entry filled in part may be flat again before anyone said that it fills no further.
        """
        if self.executed > ZERO and not self.entry_known():
            return True
        return not self.flat() and any(leg.fired for leg in self.legs.values())

    def flat(self) -> bool:
        """Tell whether its position was opened and is closed again."""
        return self.opened and self.quantity == ZERO

    def in_market(self) -> bool:
        """Tell whether something may be held: what was executed counts before its fills come."""
        return self.quantity != ZERO or (not self.opened and self.executed > ZERO)

    def finished(self) -> bool:
        """Tell whether it is flat and all its orders are gone: the symbol may trade again."""
        return self.flat() and all(leg.state is LegState.GONE for leg in self.legs.values())
