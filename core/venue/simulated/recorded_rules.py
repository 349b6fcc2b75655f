"""Rules for the replay of recorded klines: production's, refined to the recording's grids."""

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from core.errors import DataError
from core.venue.simulated.instruments import LISTED, ListedInstrument

PLACES_MAX = 8
STRAYS_MAX = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An instrument under which klines are replayed, and the grids of the recorded numbers.

    The units divide tick and step; they are finer only for stray trades off the tick, which the
    venue's own history holds (two among 300,000 prices of SOLUSDT).
    """

    rules: ListedInstrument
    price_unit: Decimal
    quantity_unit: Decimal


def recorded_under(
    symbol: str, prices: npt.NDArray[np.float64], volumes: npt.NDArray[np.float64]
) -> Recorded:
    """Return the rules that recorded klines are replayed under; rows ascend in time.

    A listed symbol keeps its production rules.  Where more than 1 % of its numbers are on a finer
    grid (an older tick, spot volumes), tick or step is refined to it, with the precisions and the
    least quantity.  An unlisted symbol gets rules derived from its numbers: tick and step from the
    decimals in use, prices from a hundredth of the lowest to a hundred times the highest,
    quantities up to ten million USDT (one million at market) at the latest price, 5 USDT of least
    notional, 5 % bands, and AVAXUSDT's brackets.

    Raises DataError if a number needs more than 8 decimals or the symbol is not quoted in USDT.
    """
    price_unit = _grid(symbol, "price", prices)
    quantity_unit = _grid(symbol, "volume", volumes)
    if symbol not in LISTED:
        rules = _derived(symbol, prices, price_unit, quantity_unit)
    else:
        rules = LISTED[symbol]
        if _strays(prices, rules.tick_size) > STRAYS_MAX:
            places = max(rules.price_precision, _places(price_unit))
            rules = replace(rules, tick_size=price_unit, price_precision=places)
        if _strays(volumes, rules.step_size) > STRAYS_MAX:
            places = max(rules.quantity_precision, _places(quantity_unit))
            rules = replace(
                rules,
                step_size=quantity_unit,
                quantity_min=quantity_unit,
                quantity_precision=places,
            )
    return Recorded(
        rules=rules,
        price_unit=min(rules.tick_size, price_unit),  # of equals the first: its form is the venue's
        quantity_unit=min(rules.step_size, quantity_unit),
    )


def _derived(
    symbol: str, prices: npt.NDArray[np.float64], tick: Decimal, step: Decimal
) -> ListedInstrument:
    if not symbol.endswith("USDT") or symbol == "USDT":
        raise DataError(
            f"SYMBOLS names {symbol!r}, which is neither listed nor quoted in USDT. "
            "Fix: give USDT perpetuals such as BTCUSDT."
        )
    last = Decimal(repr(float(prices.flat[-1])))
    low, high = (Decimal(repr(float(found))) for found in (prices.min(), prices.max()))
    ten_million = (Decimal(10_000_000) / last).quantize(Decimal(1)) + 1
    return replace(
        LISTED["AVAXUSDT"],
        symbol=symbol,
        base_asset=symbol.removesuffix("USDT"),
        underlying_sub_type=(),
        price_precision=_places(tick),
        quantity_precision=_places(step),
        tick_size=tick,
        price_min=max(tick, (low / 100).quantize(tick)),
        price_max=(high * 100).quantize(tick),
        step_size=step,
        quantity_min=step,
        quantity_max=ten_million,
        market_quantity_max=max(step, (ten_million / 10).quantize(step)),
        seed_price=last.quantize(tick),
    )


def _grid(symbol: str, what: str, numbers: npt.NDArray[np.float64]) -> Decimal:
    """Return the coarsest power of ten, at most 1, that all numbers are multiples of."""
    distinct = np.unique(numbers)
    for places in range(PLACES_MAX + 1):
        unit = Decimal(1).scaleb(-places)
        if not _strays(distinct, unit):
            return unit
    raise DataError(
        f"{symbol}: a {what} has more than {PLACES_MAX} decimals. Fix: give the venue's own "
        "klines, not resampled or adjusted ones."
    )


def _strays(numbers: npt.NDArray[np.float64], unit: Decimal) -> float:
    """Return the share of numbers that are no multiple of `unit`, a power of ten."""
    scaled = numbers * 10.0 ** _places(unit)
    return float(np.mean(np.abs(scaled - np.rint(scaled)) > 1e-6 + 1e-11 * scaled))


def _places(unit: Decimal) -> int:
    return max(0, -int(unit.normalize().as_tuple().exponent))
