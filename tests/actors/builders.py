"""Messages with defaults, so that each value written in a test matters to it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from core import messages as m
from core.venue.instrument import Instrument
from tests.actors.world import T0


def a_candle(**changes: Any) -> m.Candle:
    candle = m.Candle(
        open_time_ns=T0,
        open=118_600.0,
        high=118_700.0,
        low=118_500.0,
        close=118_670.4,
        volume=12.5,
        taker_buy_volume=6.0,
    )
    return replace(candle, **changes)


def a_frame(symbol: str = "BTCUSDT", *, closed: bool = False, event_ns: int = T0) -> m.KlineFrame:
    return m.KlineFrame(symbol=symbol, candle=a_candle(), closed=closed, event_ns=event_ns)


def a_closed_kline(number: int = 0) -> m.ClosedKline:
    return m.ClosedKline(symbol="BTCUSDT", candle=a_candle(), event_ns=number)


def a_mark(symbol: str = "BTCUSDT", price: str = "118670.40") -> m.MarkPrice:
    return m.MarkPrice(symbol=symbol, price=Decimal(price), event_ns=T0)


def a_balance(number: int = 0) -> m.AccountUpdate:
    """A message of the money lane."""
    return m.AccountUpdate(
        reason="ORDER", wallet_balance=Decimal(number), balance_change=Decimal(0), event_ns=T0
    )


def a_rejection(number: int = 0) -> m.FrameRejected:
    """A message of the telemetry lane."""
    return m.FrameRejected(stream="market", reason=str(number), sample="")


def a_signal(**changes: Any) -> m.SignalComputed:
    signal = m.SignalComputed(
        symbol="BTCUSDT",
        kline_close_ns=T0,
        price=118_670.4,
        signal="SELL",
        strength=0.65,
        prediction=-0.0009,
        confidence=0.72,
        technical=(("ema_signal", -1.0), ("rsi_signal", 0.0), ("bb_signal", 0.0)),
        reason="",
    )
    return replace(signal, **changes)


def a_fill(**changes: Any) -> m.FillBooked:
    fill = m.FillBooked(
        symbol="BTCUSDT",
        trade_id=1,
        order_id=2,
        client_id="afb-E-aaaa-0",
        purpose=m.Purpose.ENTRY,
        side=m.Side.SELL,
        quantity=Decimal("0.00008"),
        price=Decimal("118670.40"),
        commission=Decimal("0.004"),
        realized_pnl=Decimal(0),
        at_ns=T0,
    )
    return replace(fill, **changes)


def a_position(**changes: Any) -> m.PositionChanged:
    position = m.PositionChanged(
        symbol="BTCUSDT",
        quantity=Decimal("-0.00008"),
        entry_price=Decimal("118670.40"),
        stop_price=Decimal("116297.99"),
        target_price=Decimal("123417.22"),
        foreign=False,
        busy=False,
        proposal_id="p1",
        at_ns=T0,
    )
    return replace(position, **changes)


def an_instrument() -> Instrument:
    """BTCUSDT as the venue describes it."""
    return Instrument.from_exchange_info(
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "pricePrecision": 1,
            "quantityPrecision": 3,
            "deliveryDate": 4133404800000,
            "triggerProtect": "0.05",
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": "556.8",
                    "maxPrice": "4529764",
                    "tickSize": "0.10",
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": "0.001",
                    "maxQty": "1000",
                    "stepSize": "0.001",
                },
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": "0.001",
                    "maxQty": "120",
                    "stepSize": "0.001",
                },
                {"filterType": "MIN_NOTIONAL", "notional": "100"},
                {
                    "filterType": "PERCENT_PRICE",
                    "multiplierUp": "1.05",
                    "multiplierDown": "0.95",
                },
            ],
        }
    )
