"""From parameters to order tickets: the checks that need the instrument's rules and nothing else.

The order of the checks is the venue's: words, presence, precision, bounds, grid, price band,
notional.  What depends on the account (margin, reduce-only) is checked at the desk.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.venue.simulated.errors import Rejection
from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.ledger import ZERO
from core.venue.simulated.params import (
    OrderSide,
    OrderType,
    Params,
    SelfTradePrevention,
    TimeInForce,
    WorkingType,
)
from core.venue.simulated.quotes import Quotes

PLAIN_TYPES = frozenset({OrderType.LIMIT, OrderType.MARKET})
TARGET_TYPES = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_MARKET})
LIMIT_ALGOS = frozenset({OrderType.STOP, OrderType.TAKE_PROFIT})
GTD_LEAD_MS = 600_000
GTD_MAX_MS = 253_402_300_799_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as asked for, legal by the instrument's rules."""

    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    time_in_force: str
    reduce_only: bool
    client_id: str | None
    self_trade_prevention: str
    good_till_ms: int = 0
    close_position: bool = False
    trigger_price: Decimal = ZERO
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    position_side: str = "BOTH"

    @property
    def sign(self) -> int:
        """+1 for BUY, −1 for SELL."""
        return 1 if self.side == "BUY" else -1


def order_ticket(params: Params, quotes: Quotes) -> Ticket:
    """Read a LIMIT or MARKET order."""
    rules = listed_rules(params, quotes)
    side = params.choice("side", OrderSide, -1117)
    kind = params.choice("type", OrderType, -1116)
    if kind not in PLAIN_TYPES:
        raise Rejection(-4120)
    check_position_side(params)
    _check_response_type(params)
    reduce_only = params.flag("reduceOnly")
    tif, price = "GTC", ZERO
    if "priceMatch" in params and params.maybe("priceMatch") != "NONE":
        raise Rejection(-4084)
    if kind is OrderType.LIMIT:
        tif = params.choice("timeInForce", TimeInForce, -1115)
        quantity, price = params.decimal("quantity"), params.decimal("price")
    else:
        for unwanted in ("timeInForce", "price"):
            if unwanted in params:
                raise Rejection(-1106, unwanted)
        quantity = params.decimal("quantity")
    client_id = params.client_id("newClientOrderId")
    check_quantity(rules, quantity, market=kind is OrderType.MARKET)
    mark = quotes.mark(rules.symbol)
    if kind is OrderType.LIMIT:
        check_price(rules, price)
        check_band(rules, side, price, mark)
    if not reduce_only:
        check_notional(rules, quantity, price or mark)
    return Ticket(
        symbol=rules.symbol,
        side=side,
        type=kind,
        quantity=quantity,
        price=price,
        time_in_force=tif,
        reduce_only=reduce_only,
        client_id=client_id,
        self_trade_prevention=_self_trade_prevention(params),
        good_till_ms=_good_till(params, tif, quotes.now_ms),
    )


def algo_ticket(params: Params, quotes: Quotes) -> Ticket:
    """Read a conditional order."""
    if params.text("algoType") != "CONDITIONAL":
        raise Rejection(-1130, "algoType")
    rules = listed_rules(params, quotes)
    side = params.choice("side", OrderSide, -1117)
    kind = params.choice("type", OrderType, -1116)
    if kind in PLAIN_TYPES:
        raise Rejection(-1116)
    if kind is OrderType.TRAILING_STOP_MARKET:
        raise Rejection(-4084)
    check_position_side(params)
    _check_response_type(params)
    close_position = params.flag("closePosition")
    reduce_only = params.flag("reduceOnly")
    trigger = params.decimal("triggerPrice")
    quantity, price = ZERO, ZERO
    if close_position:
        _check_close_position(params, kind)
    else:
        quantity = params.decimal("quantity")
    tif = "GTC"
    if "timeInForce" in params:
        tif = params.choice("timeInForce", TimeInForce, -1115)
    if kind in LIMIT_ALGOS:
        price = params.decimal("price")
    client_id = params.client_id("clientAlgoId")
    check_trigger(rules, trigger)
    if not close_position:
        check_quantity(rules, quantity, market=kind not in LIMIT_ALGOS)
    if kind in LIMIT_ALGOS:
        check_price(rules, price)
    if not (reduce_only or close_position):
        check_notional(rules, quantity, price or trigger)
    working = WorkingType.CONTRACT_PRICE
    if "workingType" in params:
        working = params.choice("workingType", WorkingType)
    return Ticket(
        symbol=rules.symbol,
        side=side,
        type=kind,
        quantity=quantity,
        price=price,
        time_in_force=tif,
        reduce_only=reduce_only,
        client_id=client_id,
        self_trade_prevention=_self_trade_prevention(params),
        good_till_ms=_good_till(params, tif, quotes.now_ms),
        close_position=close_position,
        trigger_price=trigger,
        working_type=working,
        price_protect=params.flag("priceProtect"),
    )


def _check_close_position(params: Params, kind: OrderType) -> None:
    if kind in LIMIT_ALGOS:
        raise Rejection(-4136, kind.value)
    if "quantity" in params:
        raise Rejection(-4137)
    if "reduceOnly" in params:
        raise Rejection(-1106, "reduceOnly")


def listed_rules(params: Params, quotes: Quotes) -> ListedInstrument:
    """Return the rules of the mandatory `symbol`; -1121 for one that is not listed."""
    rules = quotes.instruments.get(params.text("symbol").upper())
    if rules is None:
        raise Rejection(-1121)
    return rules


def check_position_side(params: Params) -> None:
    """Refuse a side that does not fit one-way mode."""
    side = params.maybe("positionSide", "BOTH").upper()
    if side not in {"BOTH", "LONG", "SHORT"}:
        raise Rejection(-4060)
    if side != "BOTH":
        raise Rejection(-4061)


def _check_response_type(params: Params) -> None:
    if params.maybe("newOrderRespType", "ACK").upper() not in {"ACK", "RESULT"}:
        raise Rejection(-1136)


def _self_trade_prevention(params: Params) -> str:
    name = "selfTradePreventionMode"
    if name not in params:
        return SelfTradePrevention.EXPIRE_MAKER
    return params.choice(name, SelfTradePrevention)


def _good_till(params: Params, tif: str, now_ms: int) -> int:
    if tif != TimeInForce.GTD:
        return 0
    stamp = params.integer("goodTillDate")
    if not now_ms + GTD_LEAD_MS < stamp < GTD_MAX_MS:
        raise Rejection(-5040)
    return stamp // 1000 * 1000


def decimals(value: Decimal) -> int:
    """Return how many digits after the point a number was written with, less trailing zeros."""
    return max(0, -int(value.normalize().as_tuple().exponent))


def check_quantity(rules: ListedInstrument, quantity: Decimal, *, market: bool) -> None:
    """Apply LOT_SIZE or MARKET_LOT_SIZE; precision is judged before the bounds."""
    if decimals(quantity) > rules.quantity_precision:
        raise Rejection(-1111)
    if quantity <= 0:
        raise Rejection(-4003)
    if quantity < rules.quantity_min:
        raise Rejection(-4004)
    if quantity > (rules.market_quantity_max if market else rules.quantity_max):
        raise Rejection(-4005)
    if (quantity - rules.quantity_min) % rules.step_size:
        raise Rejection(-4023)


def check_price(rules: ListedInstrument, price: Decimal) -> None:
    """Apply PRICE_FILTER to a limit price."""
    _check_grid(rules, price, negative=-4001, above=-4002)
    if price < rules.price_min:
        raise Rejection(-4013)


def check_trigger(rules: ListedInstrument, price: Decimal) -> None:
    """Apply PRICE_FILTER to a trigger price."""
    _check_grid(rules, price, negative=-4006, above=-4007)


def _check_grid(rules: ListedInstrument, price: Decimal, *, negative: int, above: int) -> None:
    if decimals(price) > rules.price_precision:
        raise Rejection(-1111)
    if price <= 0:
        raise Rejection(negative)
    if price > rules.price_max:
        raise Rejection(above)
    if (price - rules.price_min) % rules.tick_size:
        raise Rejection(-4014)


def check_band(rules: ListedInstrument, side: str, price: Decimal, mark: Decimal) -> None:
    """Apply PERCENT_PRICE: one-sided, a buy not far above the mark, a sell not far below."""
    ceiling, floor = mark * rules.percent_up, mark * rules.percent_down
    if side == "BUY" and price > ceiling:
        raise Rejection(-4016, f"{ceiling:.{rules.price_precision}f}")
    if side == "SELL" and price < floor:
        raise Rejection(-4024, f"{floor:.{rules.price_precision}f}")


def check_notional(rules: ListedInstrument, quantity: Decimal, price: Decimal) -> None:
    """Apply MIN_NOTIONAL."""
    if quantity * price < rules.notional_min:
        raise Rejection(-4164, f"{rules.notional_min:f}")
