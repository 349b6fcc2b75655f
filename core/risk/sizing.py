"""How large an entry may be: the specification's formula as an upper bound, then caps.

Each cap is the largest quantity one limit allows; the smallest of them wins and every one of them
stands in the decision record.  Source: reliability reference, section D2.  With `per` the loss per
unit of notional when the stop is hit, `per = stop + 2 fees + gap`:

    raw           balance * risk / (price * stop)
    slot_budget   (day limit / slots) / (price * per)
    day_budget    (day limit - lost today - at risk in open and reserved entries) / (price * per)
    margin        (free margin * usage - reserved margin) / (price * (1/leverage + fee))
    symbol, gross, net, order    notional limits as multiples of equity
    market_lot    the venue's largest market order
    bracket       its largest notional at this leverage, where it told its brackets
    correlated    what a common shock leaves (`core/risk/correlation.py`)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.messages import Reservation

ZERO = Decimal(0)
_LITERAL = ("raw", "margin", "order_notional", "market_lot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What is open and reserved now, in the quote asset; `net` is signed."""

    gross: Decimal
    net: Decimal
    at_risk: Decimal  # worst case of open positions and reservations, floored at 0 each
    drift: Decimal  # the same signed and not floored: gains behind a stop count
    margin_free: Decimal  # balance not bound by positions
    margin_reserved: Decimal  # bound by entries in flight
    by_symbol: Mapping[str, Decimal] = field(default_factory=dict)  # signed, open and reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers of the settings that size an entry; pct are fractions."""

    risk_per_trade: Decimal
    stop_pct: Decimal
    taker_fee: Decimal
    gap: Decimal
    leverage: Decimal
    slots: int
    day_limit: Decimal  # quote units that may be lost today
    lost_today: Decimal  # positive; negative where gains enlarge the budget
    margin_usage: Decimal
    symbol_notional_x: Decimal
    gross_x: Decimal
    net_x: Decimal
    order_notional_x: Decimal
    quantity_max: Decimal  # min(MARKET_LOT_SIZE.maxQty, MAX_ORDER_QTY)
    bracket_notional: Decimal | None  # largest at this leverage; None while the venue told none
    gains_count: bool  # BUDGET_USES_GAINS

    @property
    def loss_per_notional(self) -> Decimal:
        """Loss per unit of notional when the stop is hit, fees and gap included."""
        return self.stop_pct + 2 * self.taker_fee + self.gap

    @property
    def exit_cost(self) -> Decimal:
        """Fee and gap per unit of notional that a stop-out adds to the move to the stop."""
        return self.taker_fee + self.gap


def day_budget(exposure: Exposure, limits: Limits) -> Decimal:
    """Return what may still be lost today if all that is open and reserved is stopped out."""
    if limits.gains_count:
        return limits.day_limit - limits.lost_today + exposure.drift
    return limits.day_limit - limits.lost_today - exposure.at_risk


def caps(
    *,
    raw: Decimal,
    balance: Decimal,
    price: Decimal,
    sign: int,
    held: Decimal,
    correlated: Decimal,
    exposure: Exposure,
    limits: Limits,
) -> tuple[tuple[str, Decimal], ...]:
    """Return every cap as (name, quantity in base units), none below 0.

    `held` is the signed notional of the symbol that is open or reserved, `correlated` the largest
    notional that a common shock allows.
    """
    loss = price * limits.loss_per_notional
    margin = exposure.margin_free * limits.margin_usage - exposure.margin_reserved
    bracket = limits.bracket_notional
    found = (
        ("raw", raw),
        ("slot_budget", limits.day_limit / limits.slots / loss),
        ("day_budget", day_budget(exposure, limits) / loss),
        ("margin", margin / (price * (1 / limits.leverage + limits.taker_fee))),
        ("symbol_notional", (balance * limits.symbol_notional_x - abs(held)) / price),
        ("gross", (balance * limits.gross_x - exposure.gross) / price),
        ("net", (balance * limits.net_x - sign * exposure.net) / price),
        ("correlated", correlated / price),
        ("order_notional", balance * limits.order_notional_x / price),
        ("market_lot", limits.quantity_max),
        *((("bracket", (bracket - abs(held)) / price),) if bracket is not None else ()),
    )
    return tuple((name, max(ZERO, quantity)) for name, quantity in found)


def binding(found: tuple[tuple[str, Decimal], ...], mode: str) -> tuple[str, Decimal]:
    """Return the smallest cap that counts in a SIZING_MODE: its name and quantity.

    `literal` knows only the formula, order size and margin; the other modes know them all.
    """
    counted = [cap for cap in found if mode != "literal" or cap[0] in _LITERAL]
    return min(counted, key=lambda cap: cap[1])


def reserve(quantity: Decimal, price: Decimal, limits: Limits) -> Reservation:
    """Return what an entry of this size holds until its outcome is known."""
    notional = quantity * price
    return Reservation(
        notional=notional,
        margin=notional * (1 / limits.leverage + limits.taker_fee),
        risk=notional * limits.loss_per_notional,
    )
