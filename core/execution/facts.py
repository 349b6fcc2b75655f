"""What execution says of its orders and positions: journal rows, their moves, what is held."""

from decimal import Decimal

from core import messages as m
from core.clock import Moment
from core.execution.bracket import ZERO, Bracket
from core.execution.order_life import OrderState
from core.messages import Purpose


def tell(bracket: Bracket, now: Moment) -> tuple[object, ...]:
    """Say what is held, if it was ever something and differs from what was said last."""
    if not bracket.opened:
        return ()
    said = (
        bracket.quantity,
        bracket.entry_price,
        bracket.live_price(Purpose.STOP),
        bracket.live_price(Purpose.TARGET),
        bracket.finished(),
    )
    if said == bracket.told:
        return ()
    bracket.told = said
    return (position_changed(bracket, now),)


def position_changed(bracket: Bracket, now: Moment) -> m.PositionChanged:
    """Say what is held and what protects it."""
    return m.PositionChanged(
        symbol=bracket.symbol,
        quantity=bracket.quantity,
        entry_price=bracket.entry_price,
        stop_price=bracket.live_price(Purpose.STOP),
        target_price=bracket.live_price(Purpose.TARGET),
        foreign=False,
        busy=not bracket.finished(),
        proposal_id=bracket.proposal_id,
        at_ns=now.venue_ns,
    )


def moved(
    name: str,
    state: OrderState,
    now: Moment,
    *,
    venue_id: str = "",
    executed: Decimal = ZERO,
    average_price: Decimal = ZERO,
    reason: str = "",
) -> m.IntentMoved:
    """Say that a journalled order changed state."""
    return m.IntentMoved(
        client_id=name,
        state=state,
        venue_id=venue_id,
        executed=executed,
        average_price=average_price,
        reason=reason,
        at_ns=now.venue_ns,
    )


def intent(
    bracket: Bracket,
    purpose: Purpose,
    name: str,
    now: Moment,
    *,
    attempt: int,
    quantity: Decimal = ZERO,
    trigger: Decimal = ZERO,
) -> m.Intent:
    """Write the journal row of a stop, target or exit."""
    return m.Intent(
        client_id=name,
        proposal_id=bracket.proposal_id,
        symbol=bracket.symbol,
        purpose=purpose,
        attempt=attempt,
        side=bracket.closing_side(),
        quantity=quantity,
        reference_price=bracket.entry_price,
        stop_price=trigger if purpose is Purpose.STOP else ZERO,
        target_price=trigger if purpose is Purpose.TARGET else ZERO,
        reservation=None,
        decision=None,
        generation=bracket.entry.generation if bracket.entry is not None else 0,
        created_at_ns=now.venue_ns,
    )
