"""The listed instruments and their rules, as data.

Filters are the production ones where a recorded production answer holds them (BTCUSDT of 2026; ETH
ADA XRP LTC DOGE TRX of 2023 with the minimum notionals of 2026; SOL's steps from its own klines of
2025), else the venue's demo environment of 2026.  Seed prices are closes of 24 June 2025, or near
them; ladders of leverage are in `brackets.py`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from core.errors import ConfigurationError
from core.venue.simulated.brackets import BRACKETS, Bracket
from core.venue.simulated.draws import scatter

MAKER_FEE = Decimal("0.0002")
TAKER_FEE = Decimal("0.0005")
MADE_UP_MAX = 9_999
PERPETUAL_DELIVERY_MS = 4_133_404_800_000

_MADE_UP = re.compile(r"SIM(?!000)(\d{3}|[1-9]\d{3})USDT", re.ASCII)
_LISTED_MS = 1_569_398_400_000
_ORDER_TYPES = (
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedInstrument:
    """One perpetual's rules.  Prices in quote per base, quantities in base, exact decimals."""

    symbol: str
    base_asset: str
    underlying_sub_type: tuple[str, ...]
    onboard_ms: int
    price_precision: int  # decimals accepted before -1111; not the tick
    quantity_precision: int
    tick_size: Decimal
    price_min: Decimal
    price_max: Decimal
    step_size: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal
    percent_up: Decimal  # PERCENT_PRICE multipliers on mark
    percent_down: Decimal
    trigger_protect: Decimal
    liquidation_fee: Decimal
    market_take_bound: Decimal
    seed_price: Decimal
    volatility: float  # standard deviation of a minute's return, a fraction
    turnover: float  # median quote volume of a minute
    brackets: tuple[Bracket, ...]
    quote_asset: str = "USDT"
    orders_max: int = 200
    maker_fee: Decimal = MAKER_FEE
    taker_fee: Decimal = TAKER_FEE

    def bracket_of(self, notional: Decimal) -> Bracket:
        """Return the bracket of an absolute notional; the last one beyond every cap."""
        return next(
            (row for row in self.brackets if notional <= row.notional_cap), self.brackets[-1]
        )

    def notional_cap_at(self, leverage: int) -> Decimal:
        """Return the largest notional that a leverage allows; 0 if no bracket allows it."""
        allowed = [row.notional_cap for row in self.brackets if row.leverage_max >= leverage]
        return max(allowed, default=Decimal(0))


# symbol, sub type, decimals of price and quantity, tick, min and max price, step, max quantity,
# max market quantity, min notional, trigger protect, liquidation fee, take bound, seed price,
# volatility in % a minute, median turnover a minute in thousand USDT
_TABLE = """
BTCUSDT  PoW,Crypto     2 3 0.10     556.80   4529764 0.001 1000     120      50 0.05 0.0125 0.05 105086.50 0.05 6800
ETHUSDT  Layer-1        2 3 0.01     39.86    306177  0.001 10000    2000     20 0.05 0.0125 0.05 2407.48   0.10 6300
BNBUSDT  Layer-1        3 2 0.010    6.600    100000  0.01  10000    2000     5  0.05 0.0200 0.10 637.220   0.05 140
ADAUSDT  Layer-1        5 0 0.00010  0.01740  20000   1     2000000  300000   5  0.05 0.0100 0.05 0.58110   0.10 190
SOLUSDT  Layer-1        4 2 0.0100   0.4200   6857    0.01  1000000  6000     5  0.05 0.0200 0.10 143.4300  0.10 1500
XRPUSDT  Payment        4 1 0.0001   0.0143   100000  0.1   10000000 2000000  5  0.05 0.0100 0.05 2.1800    0.10 1000
DOGEUSDT Meme           6 0 0.000010 0.002440 30      1     50000000 30000000 5  0.10 0.0100 0.10 0.164000  0.10 600
LTCUSDT  PoW            2 3 0.01     3.61     100000  0.001 10000    5000     5  0.05 0.0150 0.05 84.50     0.10 80
TRXUSDT  Layer-1        5 0 0.00001  0.00132  20000   1     10000000 5000000  5  0.05 0.0100 0.05 0.27300   0.10 60
LINKUSDT Infrastructure 3 2 0.001    0.464    100000  0.01  100000   100000   5  0.05 0.0200 0.10 13.200    0.10 150
DOTUSDT  Layer-1        3 1 0.001    0.001    2398    0.1   1000000  1000000  5  0.05 0.0200 0.10 3.400     0.10 70
AVAXUSDT Layer-1        4 0 0.0010   0.3500   2403    1     10000000 10000000 5  0.05 0.0200 0.10 17.8000   0.10 120
"""  # noqa: E501 - one instrument a line reads best


def _row(line: str) -> ListedInstrument:
    symbol, sub_type, price_places, quantity_places, *numbers = line.split()
    tick, low, high, step, most, market_most, notional, protect, fee, bound, seed, vol, turn = (
        Decimal(number) for number in numbers
    )
    return ListedInstrument(
        symbol=symbol,
        base_asset=symbol.removesuffix("USDT"),
        underlying_sub_type=tuple(sub_type.split(",")),
        onboard_ms=1_567_965_300_000 if symbol == "BTCUSDT" else _LISTED_MS,
        price_precision=int(price_places),
        quantity_precision=int(quantity_places),
        tick_size=tick,
        price_min=low,
        price_max=high,
        step_size=step,
        quantity_min=step,
        quantity_max=most,
        market_quantity_max=market_most,
        notional_min=notional,
        percent_up=1 + protect.quantize(Decimal("0.0001")),
        percent_down=1 - protect.quantize(Decimal("0.0001")),
        trigger_protect=protect,
        liquidation_fee=fee,
        market_take_bound=bound,
        seed_price=seed,
        volatility=float(vol) / 100,
        turnover=float(turn) * 1_000,
        brackets=BRACKETS[symbol],
    )


LISTED: dict[str, ListedInstrument] = {
    row.symbol: row for row in map(_row, _TABLE.strip().splitlines())
}


def listed(symbol: str) -> ListedInstrument:
    """Return a listed or made-up instrument.

    Raises ConfigurationError naming the nearest known symbol.
    """
    if symbol in LISTED:
        return LISTED[symbol]
    if made_up := _MADE_UP.fullmatch(symbol):
        return _made_up(symbol, int(made_up[1]))
    near = get_close_matches(symbol.upper(), LISTED, n=1, cutoff=0.0)[0]
    raise ConfigurationError(
        f"SYMBOLS names {symbol!r}, which the simulated venue does not list. Fix: did you mean "
        f"{near}? Listed: {', '.join(LISTED)}, and SIM001USDT to SIM9999USDT; any other symbol"
        " needs --data with its klines."
    )


def expanded(symbols: Iterable[str]) -> tuple[str, ...]:
    """Return the symbols with `SIM:n` replaced by the first n made-up ones.

    Raises ConfigurationError for an n outside 1 to 9999.

    >>> expanded(["BTCUSDT", "SIM:2"])
    ('BTCUSDT', 'SIM001USDT', 'SIM002USDT')
    """
    found: list[str] = []
    for symbol in symbols:
        if not symbol.startswith("SIM:"):
            found.append(symbol)
            continue
        text = symbol.removeprefix("SIM:")
        count = int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0
        if not count:
            raise ConfigurationError(
                f"--symbols SIM:n lists n made-up symbols, 1 to {MADE_UP_MAX}, was {symbol!r:.30}."
                " Fix: give e.g. SIM:500."
            )
        found += [f"SIM{number:03d}USDT" for number in range(1, count + 1)]
    return tuple(found)


def _made_up(symbol: str, number: int) -> ListedInstrument:
    """Return the rules of a made-up symbol: a price of 0.01 to 1000, as lively as the altcoins.

    The tick is 0.1 to 1 basis point of the price, the step at most 1 USDT; fees, bands and brackets
    are AVAXUSDT's.
    """
    digits, magnitude = scatter(number, 1) % 9_000 + 1_000, scatter(number, 2) % 5 - 2
    tick = Decimal(1).scaleb(magnitude - 4)
    step = Decimal(1).scaleb(min(0, -magnitude - 1))
    price = (Decimal(digits) / 1_000).scaleb(magnitude).quantize(tick)
    ten_million = (10_000_000 / price).quantize(Decimal(1))
    return replace(
        LISTED["AVAXUSDT"],
        symbol=symbol,
        base_asset=symbol.removesuffix("USDT"),
        underlying_sub_type=(),
        price_precision=max(0, 4 - magnitude),
        quantity_precision=max(0, magnitude + 1),
        tick_size=tick,
        price_min=tick * 10,
        price_max=(price * 1_000).quantize(tick),
        step_size=step,
        quantity_min=step,
        quantity_max=ten_million,
        market_quantity_max=(ten_million / 10).quantize(step),
        seed_price=price,
        volatility=(80 + scatter(number, 3) % 60) / 100_000,
        turnover=float(50_000 + scatter(number, 4) % 1_000_000),
    )


def exchange_info_symbol(rules: ListedInstrument, status: str = "TRADING") -> dict[str, Any]:
    """Return the element of `symbols` in GET /fapi/v1/exchangeInfo: decimals as strings."""
    return {
        "symbol": rules.symbol,
        "pair": rules.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": PERPETUAL_DELIVERY_MS,
        "onboardDate": rules.onboard_ms,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": rules.base_asset,
        "quoteAsset": rules.quote_asset,
        "marginAsset": rules.quote_asset,
        "pricePrecision": rules.price_precision,
        "quantityPrecision": rules.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": list(rules.underlying_sub_type),
        "settlePlan": 0,
        "triggerProtect": f"{rules.trigger_protect:.4f}",
        "liquidationFee": f"{rules.liquidation_fee:.6f}",
        "marketTakeBound": f"{rules.market_take_bound:.2f}",
        "maxMoveOrderLimit": 10_000,
        "filters": _filters(rules),
        "orderTypes": list(_ORDER_TYPES),
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    }


def _filters(rules: ListedInstrument) -> list[dict[str, Any]]:
    least, step = f"{rules.quantity_min:f}", f"{rules.step_size:f}"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": f"{rules.price_min:f}",
            "maxPrice": f"{rules.price_max:f}",
            "tickSize": f"{rules.tick_size:f}",
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": least,
            "maxQty": f"{rules.quantity_max:f}",
            "stepSize": step,
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": least,
            "maxQty": f"{rules.market_quantity_max:f}",
            "stepSize": step,
        },
        {"filterType": "MAX_NUM_ORDERS", "limit": rules.orders_max},
        {"filterType": "MIN_NOTIONAL", "notional": f"{rules.notional_min:f}"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": f"{rules.percent_up:.4f}",
            "multiplierDown": f"{rules.percent_down:.4f}",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def leverage_bracket(rules: ListedInstrument) -> dict[str, Any]:
    """Return the symbol's object of GET /fapi/v1/leverageBracket: numbers, not strings."""
    return {
        "symbol": rules.symbol,
        "brackets": [
            {
                "bracket": row.number,
                "initialLeverage": row.leverage_max,
                "notionalCap": int(row.notional_cap),
                "notionalFloor": int(row.notional_floor),
                "maintMarginRatio": float(row.maintenance_rate),
                "cum": float(row.cum),
            }
            for row in rules.brackets
        ],
    }
