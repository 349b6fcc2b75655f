"""How near positions are to being taken over, as pure questions to the account.

Liquidation: margin balance ≤ maintenance margin, per isolated position or for the cross pool as a
whole.  A margin call is due from 80 % of that on.  Auto-deleveraging (ADL) stands in line by profit
and leverage: the profit as a share of the initial margin.
"""

from collections.abc import Mapping
from decimal import Decimal

from core.venue.simulated.account import Account
from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.ledger import ZERO
from core.venue.simulated.margin import maintenance_margin
from core.venue.simulated.positions import Position

CALL_RATIO = Decimal("0.8")  # maintenance over margin balance; the venue's own figure is not public
ADL_STEPS = (Decimal(0), Decimal("0.25"), Decimal("0.5"), Decimal(1))
ADL_FIRST = len(ADL_STEPS)
ADL_JUMP = Decimal("0.1")  # a move between two points that uses up the insurance fund


def adl_rank(account: Account, position: Position) -> int:
    """Return the place in the line for auto-deleveraging: 0 the last, 4 the first."""
    margin = account.position_margin(position)
    if not margin:
        return 0
    gain = account.profit(position) / margin
    return sum(gain > step for step in ADL_STEPS)


def strained(account: Account, ratio: Decimal) -> list[Position]:
    """Return the positions whose maintenance is at least `ratio` of their margin balance.

    Isolated ones each by itself; all cross ones or none.
    """
    found, cross = [], []
    for position in account.held():
        if not account.is_isolated(position):
            cross.append(position)
            continue
        balance = position.isolated_wallet + account.profit(position)
        if balance * ratio <= account.maintenance(position):
            found.append(position)
    if cross:
        needed = sum((account.maintenance(position) for position in cross), ZERO)
        if (account.cross_wallet + account.cross_unrealized()) * ratio <= needed:
            found += sorted(cross, key=account.maintenance, reverse=True)
    return found


def may_strain(
    account: Account,
    instruments: Mapping[str, ListedInstrument],
    extremes: Mapping[str, tuple[Decimal, Decimal]],
) -> bool:
    """Tell whether any path of marks within (low, high) per symbol may bring trouble.

    Conservative for liquidation, margin call and ADL: every position is put at its worst price at
    once, at twice its maintenance, and any range as wide as an ADL jump counts as one.
    """
    cross_margin, any_cross = account.cross_wallet, False
    for position in account.held():
        low, high = extremes[position.symbol]
        if high >= low * (1 + ADL_JUMP) or low <= high * (1 - ADL_JUMP):
            return True
        worst = low if position.amount > 0 else high
        need = 2 * maintenance_margin(instruments[position.symbol], abs(position.amount) * high)
        if account.is_isolated(position):
            if position.isolated_wallet + position.unrealized(worst) <= need:
                return True
        else:
            cross_margin += position.unrealized(worst) - need
            any_cross = True
    return any_cross and cross_margin <= 0
