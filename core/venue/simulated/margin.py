"""Margin formulas of USDⓈ-M contracts (Binance reference, section 11), as pure functions.

Quantities are signed where named `amount` (short negative); prices and money are quote currency.
"""

from decimal import Decimal

from core.venue.simulated.instruments import ListedInstrument


def maintenance_margin(rules: ListedInstrument, notional: Decimal) -> Decimal:
    """Return |notional| · maintenance rate − cum of its bracket."""
    size = abs(notional)
    bracket = rules.bracket_of(size)
    return size * bracket.maintenance_rate - bracket.cum


def liquidation_price(
    rules: ListedInstrument, amount: Decimal, entry: Decimal, wallet: Decimal
) -> Decimal:
    """Return the mark price at which a one-way position is liquidated; 0 when there is none.

    LP = (WB + cum − side·Pos·EP) / (Pos·MMR − side·Pos), where `wallet` is WB less the maintenance
    margin plus the unrealized profit of the account's other cross positions (nothing to add for an
    isolated one).  The bracket is the one at LP, so it is found by iteration.
    """
    size = abs(amount)
    if not size:
        return Decimal(0)
    price = entry
    for _ in rules.brackets:
        bracket = rules.bracket_of(size * price)
        below = size * bracket.maintenance_rate - amount
        solved = (wallet + bracket.cum - amount * entry) / below
        if solved <= 0:
            return Decimal(0)
        price = solved
        if rules.bracket_of(size * solved) is bracket:
            break
    return price
