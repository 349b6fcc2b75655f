"""Margin formulas of USDⓈ-M contracts (Binance reference, section 11), as pure functions.

Quantities are signed where named `amount` (short negative); prices and money are quote currency.
"""

from collections.abc import Sequence
from decimal import Decimal

from core.venue.simulated.brackets import Bracket
from core.venue.simulated.instruments import ListedInstrument

Holding = tuple[Decimal, Decimal]  # amount and entry price


def maintenance_margin(rules: ListedInstrument, notional: Decimal) -> Decimal:
    """Return |notional| · maintenance rate − cum of its bracket."""
    size = abs(notional)
    bracket = rules.bracket_of(size)
    return size * bracket.maintenance_rate - bracket.cum


def liquidation_price(
    rules: ListedInstrument, amount: Decimal, entry: Decimal, wallet: Decimal
) -> Decimal:
    """Return the mark price at which one position is liquidated; 0 when there is none."""
    return joint_liquidation_price(rules, [(amount, entry)], wallet)


def joint_liquidation_price(
    rules: ListedInstrument, holdings: Sequence[Holding], wallet: Decimal
) -> Decimal:
    """Return the mark price at which a symbol's positions are liquidated together; 0 for none.

    LP = (WB + Σ cum − Σ amount·EP) / (Σ |amount|·MMR − Σ amount): one term for BOTH, or one each
    for LONG and SHORT.  `wallet` is WB less the maintenance margin plus the unrealized profit of
    the account's other cross positions (nothing to add for an isolated one).  The brackets are the
    ones at LP, so they are found by iteration.
    """
    held = [(amount, entry) for amount, entry in holdings if amount]
    if not held:
        return Decimal(0)
    net = sum((amount for amount, _ in held), Decimal(0))
    cost = sum((amount * entry for amount, entry in held), Decimal(0))
    price = max(entry for _, entry in held)
    for _ in range(len(rules.brackets) * len(held)):
        brackets = _brackets_at(rules, held, price)
        cum = sum((bracket.cum for bracket in brackets), Decimal(0))
        pairs = zip(held, brackets, strict=True)
        needed = sum((abs(one) * row.maintenance_rate for (one, _), row in pairs), Decimal(0))
        if needed == net:
            return Decimal(0)
        price = (wallet + cum - cost) / (needed - net)
        if price <= 0:
            return Decimal(0)
        if _brackets_at(rules, held, price) == brackets:
            break
    return price


def _brackets_at(rules: ListedInstrument, held: Sequence[Holding], price: Decimal) -> list[Bracket]:
    return [rules.bracket_of(abs(amount) * price) for amount, _ in held]


def bankruptcy_price(amount: Decimal, entry: Decimal, backing: Decimal) -> Decimal:
    """Return the price at which a position has used up what backs it."""
    return entry - backing / amount
