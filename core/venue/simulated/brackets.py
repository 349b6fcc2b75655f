"""Leverage ladders of the listed instruments: production's of July 2025.

The table holds notional caps in thousand USDT and maintenance rates; floors and the deduction `cum`
follow from them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """One row of a leverage ladder: it holds for floor < notional <= cap, both in USDT."""

    number: int
    leverage_max: int
    notional_floor: Decimal
    notional_cap: Decimal
    maintenance_rate: Decimal
    cum: Decimal  # maintenance margin = notional * maintenance_rate - cum


def brackets_from(rows: Iterable[tuple[int, int, str]]) -> tuple[Bracket, ...]:
    """Build a ladder from (leverage, cap, rate) rows.

    `cum` of row n is floor_n * (rate_n - rate_{n-1}) + cum_{n-1}: it makes the maintenance margin
    continuous at each floor.

    >>> [int(row.cum) for row in brackets_from([(20, 1000, "0.01"), (10, 5000, "0.02")])]
    [0, 10]
    """
    built: list[Bracket] = []
    floor, cum, below = Decimal(0), Decimal(0), None
    for number, (leverage, cap, rate_text) in enumerate(rows, start=1):
        rate = Decimal(rate_text)
        if below is not None:
            cum += floor * (rate - below)
        built.append(
            Bracket(
                number=number,
                leverage_max=leverage,
                notional_floor=floor,
                notional_cap=Decimal(cap),
                maintenance_rate=rate,
                cum=cum,
            )
        )
        floor, below = Decimal(cap), rate
    return tuple(built)


_HALF = ("0.02", "0.025", "0.05", "0.1", "0.125", "0.25", "0.5")
_MAJOR_LEVERAGE = (125, 100, 75, 50, 25, 20, 10, 5, 4, 3, 2, 1)
_MAJOR_RATES = ("0.004", "0.005", "0.0065", "0.01", *_HALF[:5], "0.15", *_HALF[5:])
_OTHER_LEVERAGE = (75, 50, 40, 25, 20, 10, 5, 4, 2, 1)


def _ladder(
    caps_thousand: Sequence[int],
    first_rates: Sequence[str],
    leverages: Sequence[int] = _OTHER_LEVERAGE,
) -> tuple[Bracket, ...]:
    rates = (*first_rates, *_HALF)[-len(caps_thousand) :]
    rows = zip(leverages, (cap * 1_000 for cap in caps_thousand), rates, strict=True)
    return brackets_from(rows)


def _major(caps_thousand: Sequence[int]) -> tuple[Bracket, ...]:
    caps = (cap * 1_000 for cap in caps_thousand)
    return brackets_from(zip(_MAJOR_LEVERAGE, caps, _MAJOR_RATES, strict=True))


_MID_CAPS = (160, 800, 1_600, 8_000, 16_000, 20_000, 40_000, 80_000)
BRACKETS: dict[str, tuple[Bracket, ...]] = {
    "BTCUSDT": _major(
        (
            300,
            800,
            3_000,
            12_000,
            70_000,
            100_000,
            230_000,
            480_000,
            600_000,
            800_000,
            1_200_000,
            1_800_000,
        )
    ),
    "ETHUSDT": _major(
        (
            300,
            800,
            3_000,
            12_000,
            50_000,
            65_000,
            150_000,
            320_000,
            400_000,
            530_000,
            800_000,
            1_200_000,
        )
    ),
    "BNBUSDT": _ladder(
        (10, 50, 200, 1_500, 3_000, 15_000, 30_000, 37_500, 75_000, 150_000),
        ("0.005", "0.006", "0.01"),
    ),
    "ADAUSDT": _ladder(
        (10, 50, 200, 1_000, 2_000, 10_000, 20_000, 25_000, 50_000, 100_000),
        ("0.005", "0.01", "0.015"),
    ),
    "SOLUSDT": _ladder(
        (50, 400, 1_000, 4_000, 8_000, 40_000, 80_000, 100_000, 200_000, 400_000),
        ("0.005", "0.0065", "0.01"),
        (100, 75, 50, 25, 20, 10, 5, 4, 2, 1),
    ),
    "XRPUSDT": _ladder(
        (80, 150, 400, 1_000, 2_000, 10_000, 20_000, 25_000, 50_000, 100_000),
        ("0.006", "0.01", "0.0125"),
    ),
    "DOGEUSDT": _ladder(
        (80, 150, 750, 2_000, 4_000, 20_000, 40_000, 50_000, 100_000, 200_000),
        ("0.0065", "0.01", "0.0125"),
    ),
    "LTCUSDT": _ladder((10, 50, *_MID_CAPS), ("0.005", "0.01", "0.015")),
    "TRXUSDT": _ladder(
        (10, 90, 120, 650, 800, 3_000, 6_000, 12_000, 20_000, 30_000), ("0.0065", "0.01", "0.015")
    ),
    "LINKUSDT": _ladder((10, 50, *_MID_CAPS), ("0.005", "0.01", "0.015")),
    "DOTUSDT": _ladder(
        (10, 50, 100, 500, 800, 4_000, 8_000, 10_000, 30_000, 50_000), ("0.0065", "0.01", "0.015")
    ),
    "AVAXUSDT": _ladder((25, 80, *_MID_CAPS), ("0.005", "0.01", "0.015")),
}
