"""Where the venue would close an isolated position, and how large it lets one be at a leverage."""

from decimal import Decimal

from core.messages import Side
from core.risk.sizing import ZERO
from core.venue.instrument import Instrument, MarginBracket


def largest_notional(instrument: Instrument | None, leverage: int) -> Decimal | None:
    """Return the venue's cap of a position's notional; None while it has told no brackets."""
    if instrument is None or not instrument.brackets:
        return None
    allowed = (b.notional_cap for b in instrument.brackets if b.leverage_max >= leverage)
    return max(allowed, default=ZERO)


def liquidation_distance(
    instrument: Instrument, side: Side, quantity: Decimal, entry: Decimal, leverage: Decimal
) -> Decimal:
    """Return how far from its entry an isolated position is liquidated, quote per base.

        LP = (WB + cum - side Q EP) / (Q MMR - side Q)        WB = Q EP / leverage

    with the bracket of the notional at LP, found by iteration.  While the venue has told no
    brackets, half of the initial margin is taken for maintenance: no bracket asks for more at the
    leverage it allows.  Source: venue reference, section 11.
    """
    if not instrument.brackets:
        return entry / leverage / 2
    sign = Decimal(side.sign)
    price = entry
    for _ in instrument.brackets:
        bracket = _bracket_at(instrument, quantity * price)
        backing = quantity * entry / leverage + bracket.maintenance_cum
        needed = quantity * (bracket.maintenance_rate - sign)
        price = max(ZERO, (backing - sign * quantity * entry) / needed)
        if _bracket_at(instrument, quantity * price) is bracket:
            break
    return max(ZERO, sign * (entry - price))


def _bracket_at(instrument: Instrument, notional: Decimal) -> MarginBracket:
    above = (b for b in instrument.brackets if notional <= b.notional_cap)
    return next(above, instrument.brackets[-1])
