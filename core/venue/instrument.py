"""One perpetual's trading rules, and the only place where a float becomes a price.

Prices are quote per base, quantities base units, both exact decimals on the venue's grids: a
price is `price_min % tick` plus a whole number of ticks, a quantity likewise of steps.  Rounding is
always towards less: a quantity down, a stop towards the entry (never a larger loss than decided), a
target towards the entry (never more than was asked of the market).
"""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, Self

from core.errors import InstrumentError
from core.words import Side

_LARGEST = Decimal(10) ** 15  # beyond it 28 digits no longer hold every grid exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginBracket:
    """One step of `leverageBracket`: what a position of this notional may and must have.

    Maintenance margin is `notional * maintenance_rate - maintenance_cum`, quote units.
    """

    notional_floor: Decimal
    notional_cap: Decimal
    leverage_max: int
    maintenance_rate: Decimal
    maintenance_cum: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The rules of one symbol, read from `exchangeInfo`.  `percent_*` are multiples of mark."""

    symbol: str
    status: str
    tick: Decimal
    price_min: Decimal
    price_max: Decimal
    step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_quantity_max: Decimal
    min_notional: Decimal
    price_decimals: int
    quantity_decimals: int
    trigger_protect: Decimal
    percent_up: Decimal
    percent_down: Decimal
    delivery_ms: int
    contract_type: str = "PERPETUAL"
    quote_asset: str = "USDT"
    brackets: tuple[MarginBracket, ...] = ()  # ascending; empty while the venue was not asked

    @classmethod
    def from_exchange_info(
        cls, row: dict[str, Any], *, min_notional_fallback: Decimal = Decimal(0)
    ) -> Self:
        """Read one element of `exchangeInfo.symbols`; unknown keys and filters are ignored.

        `min_notional_fallback` (quote units) stands in where the venue names no minimum.  Raises
        InstrumentError for a row without the rules an order needs.
        """
        symbol = row.get("symbol") if isinstance(row, dict) else None
        if not isinstance(symbol, str) or not symbol:
            raise InstrumentError(f"exchangeInfo has a symbol without a name: {row!s:.60}")
        filters = {
            rule.get("filterType"): rule
            for rule in row.get("filters") or ()
            if isinstance(rule, dict)
        }

        def number(rule: str, key: str, default: str | None = None) -> Decimal:
            return _number(symbol, rule, key, filters.get(rule, {}).get(key, default))

        tick, step = number("PRICE_FILTER", "tickSize"), number("LOT_SIZE", "stepSize")
        if tick <= 0 or step <= 0:
            raise InstrumentError(
                f"{symbol}: tickSize and stepSize must be > 0, were {tick}, {step}"
            )
        quantity_max = number("LOT_SIZE", "maxQty")
        market_step = number("MARKET_LOT_SIZE", "stepSize", str(step))
        return cls(
            symbol=symbol,
            status=str(row.get("status", "")),
            tick=tick,
            price_min=number("PRICE_FILTER", "minPrice"),
            price_max=number("PRICE_FILTER", "maxPrice"),
            step=max(step, market_step),  # only market orders are sent
            quantity_min=max(
                number("LOT_SIZE", "minQty"), number("MARKET_LOT_SIZE", "minQty", "0")
            ),
            quantity_max=quantity_max,
            market_quantity_max=number("MARKET_LOT_SIZE", "maxQty", str(quantity_max)),
            min_notional=number("MIN_NOTIONAL", "notional", "0") or min_notional_fallback,
            price_decimals=_decimals(tick),
            quantity_decimals=_decimals(step),
            trigger_protect=_number(symbol, "", "triggerProtect", row.get("triggerProtect", "0")),
            percent_up=number("PERCENT_PRICE", "multiplierUp", "0"),
            percent_down=number("PERCENT_PRICE", "multiplierDown", "0"),
            delivery_ms=int(_number(symbol, "", "deliveryDate", row.get("deliveryDate", 0))),
            contract_type=str(row.get("contractType", "")),
            quote_asset=str(row.get("quoteAsset", "")),
        )

    def round_quantity_down(self, quantity: Decimal) -> Decimal:
        """Return the largest valid step at or below; may fall below `quantity_min`, even to 0."""
        self._check("quantity", quantity)
        if quantity < 0:
            raise InstrumentError(f"{self.symbol}: quantity must be >= 0, was {quantity}")
        return max(Decimal(0), _onto(quantity, self.step, self.quantity_min, ROUND_DOWN))

    def round_price(self, price: Decimal, rounding: str) -> Decimal:
        """Return the price on the tick grid; `rounding` is one of the decimal module's modes."""
        self._check("price", price)
        return _onto(price, self.tick, self.price_min, rounding)

    def price_from_float(self, price: float) -> Decimal:
        """Turn a computed price into a venue price: its shortest decimal, to the nearest tick.

        Raises InstrumentError for NaN, infinities, and what is not above 0 after rounding.
        """
        price = float(price)
        if not math.isfinite(price) or price <= 0:
            raise InstrumentError(f"{self.symbol}: price must be a number > 0, was {price!r}")
        rounded = self.round_price(Decimal(repr(price)), ROUND_HALF_EVEN)
        if rounded <= 0:
            raise InstrumentError(
                f"{self.symbol}: price {price!r} is below the tick {self.tick}, so it rounds to 0"
            )
        return rounded

    def notional_ok(
        self, quantity: Decimal, price: Decimal, multiple: Decimal = Decimal(1)
    ) -> bool:
        """Tell whether an opening order is worth at least `multiple` of the least notional."""
        return quantity * price >= self.min_notional * multiple

    def stop_price(self, entry: Decimal, pct: Decimal, side: Side) -> Decimal:
        """Return the stop of a position opened by `side`: below a BUY's entry, above a SELL's.

        `pct` is a fraction of the entry.  Rounded towards the entry, so the loss at the stop is
        never larger than decided, yet at least one tick away from it.  Raises InstrumentError when
        the venue's price bounds leave no room.
        """
        return self._away(entry, pct, -side.sign, "stop")

    def target_price(self, entry: Decimal, pct: Decimal, side: Side) -> Decimal:
        """Return the target of a position opened by `side`: above a BUY's entry, below a SELL's."""
        return self._away(entry, pct, side.sign, "target")

    def _away(self, entry: Decimal, pct: Decimal, direction: int, name: str) -> Decimal:
        self._check("entry price", entry)
        self._check(f"{name} distance", pct)
        if entry <= 0 or pct <= 0:
            raise InstrumentError(
                f"{self.symbol}: a {name} needs entry and distance > 0, had {entry} and {pct}"
            )
        inwards = ROUND_FLOOR if direction > 0 else ROUND_CEILING
        price = self.round_price(entry * (1 + direction * pct), inwards)
        if (price - entry) * direction < self.tick:
            outwards = ROUND_CEILING if direction > 0 else ROUND_FLOOR
            price = self.round_price(entry + direction * self.tick, outwards)
        # What the venue does not take is moved to the last price that it takes, nearer the entry.
        lowest = max(self.price_min, _onto(self.tick, self.tick, self.price_min, ROUND_CEILING))
        price = min(max(price, lowest), self.round_price(self.price_max, ROUND_FLOOR))
        if (price - entry) * direction < self.tick:
            raise InstrumentError(
                f"{self.symbol}: no {name} fits between the entry {entry} and the venue's bounds"
                f" {self.price_min}..{self.price_max}. Fix: leave the symbol out."
            )
        return price

    def _check(self, what: str, value: Decimal) -> None:
        if not value.is_finite() or abs(value) > _LARGEST:
            raise InstrumentError(f"{self.symbol}: {what} must be a finite number, was {value}")


def _onto(value: Decimal, unit: Decimal, start: Decimal, rounding: str) -> Decimal:
    """Round onto the grid `start % unit + n · unit`, with the unit's digits."""
    offset = start % unit
    return ((value - offset) / unit).quantize(Decimal(1), rounding) * unit + offset


def _decimals(unit: Decimal) -> int:
    exponent = unit.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # finite by construction
    return max(0, -exponent)


def _number(symbol: str, rule: str, key: str, value: object) -> Decimal:
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= _LARGEST:
        name = f"{rule}.{key}" if rule else key
        raise InstrumentError(f"{symbol}: exchangeInfo needs {name} >= 0, was {value!s:.30}")
    return number
