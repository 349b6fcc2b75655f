"""From parameters to order tickets: the checks that need the instrument's rules and nothing else.

The order of the checks is the venue's: words, presence, precision, bounds, grid, price band,
notional.  What depends on the account (margin, reduce-only) is checked at the desk.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.venue.simulated.errors import Rejection
from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.ledger import ZERO, closes
from core.venue.simulated.params import (
    OrderSide,
    OrderType,
    Params,
    PriceMatch,
    SelfTradePrevention,
    TimeInForce,
    WorkingType,
)
from core.venue.simulated.positions import POSITION_SIDES
from core.venue.simulated.quotes import Quotes

PLAIN_TYPES = frozenset({OrderType.LIMIT, OrderType.MARKET})
TARGET_TYPES = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_MARKET})
LIMIT_ALGOS = frozenset({OrderType.STOP, OrderType.TAKE_PROFIT})
CALLBACK_MIN, CALLBACK_MAX = Decimal("0.1"), Decimal(20)  # percent
CLOSED_STATUSES = frozenset({"SETTLING", "CLOSE"})
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
    price_match: str = "NONE"
    callback_rate: Decimal = ZERO  # percent; trailing stops only
    activate_price: Decimal = ZERO

    @property
    def reduces(self) -> bool:
        """Whether it may only make its position smaller."""
        return self.reduce_only or self.close_position or closes(self.side, self.position_side)

    @property
    def sign(self) -> int:
        """+1 for BUY, −1 for SELL."""
        return 1 if self.side == "BUY" else -1


def order_ticket(params: Params, quotes: Quotes, *, dual_side: bool = False) -> Ticket:
    """Read a LIMIT or MARKET order; `dual_side` is hedge mode."""
    rules = listed_rules(params, quotes)
    side = params.choice("side", OrderSide, -1117)
    kind = params.choice("type", OrderType, -1116)
    if kind not in PLAIN_TYPES:
        raise Rejection(-4120)
    position_side = read_position_side(params, dual_side=dual_side)
    _check_response_type(params)
    reduce_only = _reduce_only(params, dual_side=dual_side)
    tif, price = "GTC", ZERO
    match = read_price_match(params, limit=kind is OrderType.LIMIT)
    if kind is OrderType.LIMIT:
        tif = params.choice("timeInForce", TimeInForce, -1115)
        if tif is TimeInForce.GTE_GTC:
            raise Rejection(-1115)
        quantity = params.decimal("quantity")
        price = (
            params.decimal("price")
            if match == "NONE"
            else matched_price(quotes, rules.symbol, side, match)
        )
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
    opening = not (reduce_only or closes(side, position_side))
    check_status(quotes, rules.symbol, opening=opening)
    if opening:
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
        position_side=position_side,
        price_match=match,
    )


def algo_ticket(params: Params, quotes: Quotes, *, dual_side: bool = False) -> Ticket:
    """Read a conditional order; `dual_side` is hedge mode."""
    if params.text("algoType") != "CONDITIONAL":
        raise Rejection(-1130, "algoType")
    rules = listed_rules(params, quotes)
    side = params.choice("side", OrderSide, -1117)
    kind = params.choice("type", OrderType, -1116)
    if kind in PLAIN_TYPES:
        raise Rejection(-1116)
    trailing, limit = kind is OrderType.TRAILING_STOP_MARKET, kind in LIMIT_ALGOS
    position_side = read_position_side(params, dual_side=dual_side)
    _check_response_type(params)
    close_position = params.flag("closePosition")
    reduce_only = _reduce_only(params, dual_side=dual_side, close_position=close_position)
    match = read_price_match(params, limit=limit)
    trigger, quantity, price = ZERO, ZERO, ZERO
    if not trailing:
        trigger = params.decimal("triggerPrice")
    if close_position:
        _check_close_position(params, kind)
    else:
        quantity = params.decimal("quantity")
    tif = "GTC"
    if "timeInForce" in params:
        tif = params.choice("timeInForce", TimeInForce, -1115)
    if limit and match == "NONE":
        price = params.decimal("price")
    client_id = params.client_id("clientAlgoId")
    rate, activate = _trail(params, rules) if trailing else (ZERO, ZERO)
    if not trailing:
        check_trigger(rules, trigger)
    if not close_position:
        check_quantity(rules, quantity, market=not limit)
    if price:
        check_price(rules, price)
        check_stop_band(rules, side, price, trigger)
    opening = not (reduce_only or close_position or closes(side, position_side))
    check_status(quotes, rules.symbol, opening=opening)
    if opening:
        reference = price or trigger or activate or quotes.last(rules.symbol)
        check_notional(rules, quantity, reference)
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
        position_side=position_side,
        price_match=match,
        callback_rate=rate,
        activate_price=activate,
    )


def _trail(params: Params, rules: ListedInstrument) -> tuple[Decimal, Decimal]:
    """Return callback rate (percent) and activation price (0: at once) of a trailing stop."""
    rate = params.decimal("callbackRate")
    if not CALLBACK_MIN <= rate <= CALLBACK_MAX or decimals(rate) > 1:
        raise Rejection(-2007)
    if "activatePrice" not in params:
        return rate, ZERO
    activate = params.decimal("activatePrice")
    _check_grid(rules, activate, negative=-4135, above=-4135)
    return rate, activate


def _check_close_position(params: Params, kind: OrderType) -> None:
    if kind in LIMIT_ALGOS or kind is OrderType.TRAILING_STOP_MARKET:
        raise Rejection(-4136, kind.value)
    if "quantity" in params and params.decimal("quantity"):
        raise Rejection(-4137)
    if "reduceOnly" in params:
        raise Rejection(-1106, "reduceOnly")


def listed_rules(params: Params, quotes: Quotes) -> ListedInstrument:
    """Return the rules of the mandatory `symbol`; -1121 for one that is not listed."""
    rules = quotes.instruments.get(params.text("symbol").upper())
    if rules is None:
        raise Rejection(-1121)
    return rules


def read_position_side(params: Params, *, dual_side: bool) -> str:
    """Return the position side; -4061 for one that does not fit the mode."""
    side = params.maybe("positionSide", "BOTH").upper()
    if side not in POSITION_SIDES:
        raise Rejection(-4060)
    if (side != "BOTH") != dual_side:
        raise Rejection(-4061)
    return side


def _reduce_only(params: Params, *, dual_side: bool, close_position: bool = False) -> bool:
    """Return `reduceOnly`; hedge mode does not take the parameter, the sides say it."""
    if dual_side and "reduceOnly" in params and not close_position:
        raise Rejection(-1106, "reduceonly")
    return params.flag("reduceOnly", code=-4062)


def read_price_match(params: Params, *, limit: bool) -> str:
    """Return the price match mode, NONE by default; it stands in for the price of a limit order."""
    match: str = PriceMatch.NONE
    if "priceMatch" in params:
        match = params.choice("priceMatch", PriceMatch, -5037)
    if match == PriceMatch.NONE:
        return match
    if not limit:
        raise Rejection(-5038)
    if "price" in params:
        raise Rejection(-1106, "price")
    return match


def matched_price(quotes: Quotes, symbol: str, side: str, match: str) -> Decimal:
    """Return the price of a level of the present book: the other side's, or the own queue's."""
    name, _, depth = match.partition("_")
    other = "SELL" if side == "BUY" else "BUY"
    number = int(depth or 1)
    levels = quotes.book(symbol, side if name == "OPPONENT" else other, number)
    if len(levels) < number:
        raise Rejection(-5041)
    return levels[-1].price


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


def check_status(quotes: Quotes, symbol: str, *, opening: bool) -> None:
    """Refuse orders of a symbol that is closed, and opening ones while it is not trading."""
    status = quotes.statuses.get(symbol, "TRADING")
    if status in CLOSED_STATUSES:
        raise Rejection(-4141)
    if opening and status != "TRADING":
        raise Rejection(-4140)


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


def check_stop_band(rules: ListedInstrument, side: str, price: Decimal, trigger: Decimal) -> None:
    """Apply the multiplier to a stop's limit price, measured from its trigger."""
    ceiling, floor = trigger * rules.percent_up, trigger * rules.percent_down
    if side == "BUY" and price > ceiling:
        raise Rejection(-4183, f"{ceiling:.{rules.price_precision}f}")
    if side == "SELL" and price < floor:
        raise Rejection(-4184, f"{floor:.{rules.price_precision}f}")


def check_notional(rules: ListedInstrument, quantity: Decimal, price: Decimal) -> None:
    """Apply MIN_NOTIONAL."""
    if quantity * price < rules.notional_min:
        raise Rejection(-4164, f"{rules.notional_min:f}")
