"""Frames of the venue's sockets into messages: tolerant of unknown keys, strict on used ones.

`parse_market` takes the payload of a market stream (the `data` of a combined frame), `parse_flow`
that of a trade or quote stream, `parse_user` an event of the user stream.  All answer None for what
is known and of no use, and `FrameRejected` for what cannot be used; none raises for any JSON value.
Venue times are milliseconds there and nanoseconds here.  Payload shapes: the venue reference,
sections 6.3 and 7.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core.clock import NS_PER_MS
from core.feed.order_flow import BookTop, TradePrint
from core.messages import (
    AccountUpdate,
    AlgoUpdate,
    Candle,
    FrameRejected,
    KlineFrame,
    MarkPrice,
    OrderUpdate,
    Side,
)

MarketMessage = KlineFrame | MarkPrice | FrameRejected | None
FlowHeard = TradePrint | BookTop | FrameRejected | None
UserMessage = OrderUpdate | AlgoUpdate | AccountUpdate | FrameRejected | None

_SAMPLE_MAX = 120
_TEXT_MAX = 200
_TIME_MS_MIN = 1_000_000_000_000  # 2001: seconds given as milliseconds are below
_TIME_MS_MAX = 100_000_000_000_000  # 5138: microseconds given as milliseconds are above
_EXPONENT_MAX = 30  # money has neither more digits before the point nor more after it

# Sent on the user stream and of no use here: the fill itself follows as ORDER_TRADE_UPDATE, the
# others concern the account's set-up or the connection (which `actors/edges/streams.py` watches).
_IGNORED = frozenset(
    {
        "TRADE_LITE",
        "ACCOUNT_CONFIG_UPDATE",
        "MARGIN_CALL",
        "CONDITIONAL_ORDER_TRIGGER_REJECT",
        "STRATEGY_UPDATE",
        "GRID_UPDATE",
        "listenKeyExpired",
    }
)


class _UnusableError(Exception):
    """A value that breaks a rule; never leaves this module."""


def parse_market(payload: Any, stream: str) -> MarketMessage:
    """Read one event of a market stream; `stream` names it in a rejection."""
    message: MarketMessage = _parse(payload, stream, _MARKET, frozenset())
    return message


def parse_flow(payload: Any, stream: str) -> FlowHeard:
    """Read one aggregate trade or best quote, as `core/feed/order_flow.py` takes them."""
    heard: FlowHeard = _parse(payload, stream, _FLOW, frozenset())
    return heard


def parse_user(payload: Any, stream: str = "private") -> UserMessage:
    """Read one event of the user stream."""
    message: UserMessage = _parse(payload, stream, _USER, _IGNORED)
    return message


def rejected(stream: str, reason: str, payload: Any) -> FrameRejected:
    """Describe a frame that cannot be used; nothing in it can break a log line."""
    return FrameRejected(
        stream=_printable(stream, _SAMPLE_MAX),
        reason=_printable(reason, _SAMPLE_MAX),
        sample=_printable(_shown(payload), _SAMPLE_MAX),
    )


def _parse(
    payload: Any,
    stream: str,
    readers: dict[str, Callable[[dict[str, Any]], Any]],
    ignored: frozenset[str],
) -> Any:
    if not isinstance(payload, dict):
        return rejected(stream, "not an object", payload)
    event = payload.get("e")
    if not isinstance(event, str):
        return rejected(stream, "no event type", payload)
    if event in ignored:
        return None
    reader = readers.get(event)
    if reader is None:
        return rejected(stream, f"unknown event {event}", payload)
    try:
        return reader(payload)
    except _UnusableError as error:
        return rejected(stream, f"{event}: {error}", payload)


# ---------------------------------------- market
def _kline(payload: dict[str, Any]) -> KlineFrame:
    bar = _object(payload, "k")
    symbol = _word(payload, "s")
    opened, closes = _time_ms(bar, "t"), _time_ms(bar, "T")
    if closes <= opened:
        raise _UnusableError(f"closes at {closes}, opens at {opened}")
    candle = Candle(
        open_time_ns=opened * NS_PER_MS,
        open=_price(bar, "o"),
        high=_price(bar, "h"),
        low=_price(bar, "l"),
        close=_price(bar, "c"),
        volume=_real(bar, "v"),
        taker_buy_volume=_real(bar, "V") if "V" in bar else math.nan,
    )
    check_candle(candle, _UnusableError)
    closed = bar.get("x")
    if not isinstance(closed, bool):
        raise _UnusableError("x is not a boolean")
    return KlineFrame(
        symbol=symbol, candle=candle, closed=closed, event_ns=_time_ms(payload, "E") * NS_PER_MS
    )


def check_candle(candle: Candle, error: Callable[[str], Exception]) -> None:
    """Raise `error` for a candle whose prices or volume contradict each other."""
    if candle.high < max(candle.open, candle.close):
        raise error(f"high {candle.high} is below open or close")
    if candle.low > min(candle.open, candle.close):
        raise error(f"low {candle.low} is above open or close")
    if candle.volume < 0 or candle.taker_buy_volume < 0:
        raise error(f"volume {candle.volume} is negative")


def _mark(payload: dict[str, Any]) -> MarkPrice:
    price = _decimal(payload, "p")
    if price <= 0:
        raise _UnusableError(f"p is {price}")
    return MarkPrice(
        symbol=_word(payload, "s"), price=price, event_ns=_time_ms(payload, "E") * NS_PER_MS
    )


# ---------------------------------------- order flow
def _trade(payload: dict[str, Any]) -> TradePrint:
    maker = payload.get("m")
    if not isinstance(maker, bool):
        raise _UnusableError("m is not a boolean")
    return TradePrint(
        symbol=_word(payload, "s"),
        number=_whole(payload, "a"),
        buyer_is_maker=maker,
        at_ns=_time_ms(payload, "T") * NS_PER_MS,
    )


def _book(payload: dict[str, Any]) -> BookTop:
    bid, ask = _real(payload, "B"), _real(payload, "A")
    if bid < 0 or ask < 0:
        raise _UnusableError(f"quantities {bid} and {ask} are not both 0 or more")
    return BookTop(
        symbol=_word(payload, "s"),
        number=_whole(payload, "u"),
        bid_quantity=bid,
        ask_quantity=ask,
        at_ns=_time_ms(payload, "T") * NS_PER_MS,
    )


# ---------------------------------------- user
def _order(payload: dict[str, Any]) -> OrderUpdate:
    order = _object(payload, "o")
    execution = _word(order, "x")
    traded = execution in ("TRADE", "CALCULATED")
    return OrderUpdate(
        symbol=_word(order, "s"),
        client_id=_word(order, "c"),
        order_id=_whole(order, "i"),
        side=_side(order),
        order_type=_word(order, "o"),
        status=_word(order, "X"),
        execution=execution,
        quantity=_not_negative(order, "q"),
        executed=_not_negative(order, "z"),
        average_price=_not_negative(order, "ap", "0"),
        trade_id=_whole(order, "t", 0),
        last_quantity=_not_negative(order, "l", "0"),
        last_price=_not_negative(order, "L", "0"),
        commission=_decimal(order, "n", "0"),  # absent without a fill; negative is a rebate
        realized_pnl=_decimal(order, "rp", "0"),
        reduce_only=order.get("R") is True or order.get("cp") is True,
        event_ns=_time_ms(order if traded else payload, "T") * NS_PER_MS,
    )


def _algo(payload: dict[str, Any]) -> AlgoUpdate:
    order = _object(payload, "o")
    return AlgoUpdate(
        symbol=_word(order, "s"),
        client_id=_word(order, "caid"),
        algo_id=_whole(order, "aid"),
        status=_word(order, "X"),
        side=_side(order),
        order_type=_word(order, "o"),
        trigger_price=_not_negative(order, "tp", "0"),
        reason=_text(order, "rm"),
        event_ns=_time_ms(payload, "E") * NS_PER_MS,
    )


def _account(payload: dict[str, Any]) -> AccountUpdate | None:
    account = _object(payload, "a")
    balances = account.get("B", [])
    if not isinstance(balances, list):
        raise _UnusableError("B is not a list")
    for balance in balances:
        if isinstance(balance, dict) and balance.get("a") == "USDT":
            return AccountUpdate(
                reason=_word(account, "m"),
                wallet_balance=_decimal(balance, "wb"),
                balance_change=_decimal(balance, "bc", "0"),
                event_ns=_time_ms(payload, "E") * NS_PER_MS,
            )
    return None  # only changed assets are listed, and this was another one


_MARKET: dict[str, Callable[[dict[str, Any]], Any]] = {
    "kline": _kline,
    "markPriceUpdate": _mark,
}
_FLOW: dict[str, Callable[[dict[str, Any]], Any]] = {
    "aggTrade": _trade,
    "bookTicker": _book,
}
_USER: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ORDER_TRADE_UPDATE": _order,
    "ALGO_UPDATE": _algo,
    "ACCOUNT_UPDATE": _account,
}


# ---------------------------------------- values
def _object(payload: dict[str, Any], key: str) -> dict[str, Any]:
    value = payload.get(key)
    if not isinstance(value, dict):
        raise _UnusableError(f"{key} is not an object")
    return value


def _word(payload: dict[str, Any], key: str) -> str:
    value = payload.get(key)
    if not isinstance(value, str) or not value or len(value) > _TEXT_MAX or not value.isprintable():
        raise _UnusableError(f"{key} is not a word")
    return value


def _text(payload: dict[str, Any], key: str) -> str:
    value = payload.get(key)
    return _printable(value, _TEXT_MAX) if isinstance(value, str) else ""


def _side(payload: dict[str, Any]) -> Side:
    value = payload.get("S")
    if value == "BUY":
        return Side.BUY
    if value == "SELL":
        return Side.SELL
    raise _UnusableError("S is neither BUY nor SELL")


def _whole(payload: dict[str, Any], key: str, default: int | None = None) -> int:
    value = payload.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _UnusableError(f"{key} is not a whole number")
    return value


def _time_ms(payload: dict[str, Any], key: str) -> int:
    value = _whole(payload, key)
    if not _TIME_MS_MIN <= value <= _TIME_MS_MAX:
        raise _UnusableError(f"{key} is no time in milliseconds")
    return value


def _real(payload: dict[str, Any], key: str) -> float:
    value = payload.get(key)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise _UnusableError(f"{key} is not a finite number")


def _price(payload: dict[str, Any], key: str) -> float:
    number = _real(payload, key)
    if number <= 0:
        raise _UnusableError(f"{key} is {number}, not above 0")
    return number


def _decimal(payload: dict[str, Any], key: str, default: str | None = None) -> Decimal:
    value = payload.get(key, default)
    if isinstance(value, str | int) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except (ArithmeticError, ValueError):
            number = Decimal("NaN")
        if number.is_finite() and abs(number.adjusted()) <= _EXPONENT_MAX:
            return number
    raise _UnusableError(f"{key} is not a decimal")


def _not_negative(payload: dict[str, Any], key: str, default: str | None = None) -> Decimal:
    number = _decimal(payload, key, default)
    if number < 0:
        raise _UnusableError(f"{key} is negative")
    return number


def _shown(payload: Any) -> str:
    """Render at least the beginning of any JSON value without walking all of a large one."""
    if isinstance(payload, str | bytes):
        return str(payload[:_TEXT_MAX])
    if isinstance(payload, dict):
        return ", ".join(f"{key}: {_brief(payload[key])}" for key in list(payload)[:8])
    if isinstance(payload, list):
        return ", ".join(_brief(item) for item in payload[:8])
    return _brief(payload)


def _brief(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, str):
        return value[:_SAMPLE_MAX]
    if isinstance(value, int) and value.bit_length() > _TEXT_MAX:
        return "a huge integer"  # str() of it may raise
    return str(value)


def _printable(text: str, length_max: int) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:length_max])
