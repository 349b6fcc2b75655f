"""Named streams of seeded numbers: the only source of chance in the simulated venue.

A stream is addressed by (seed, name, purpose, block), never by what was drawn before it.  So any
minute can be asked for in any order, after any restart, next to any other symbols, and comes out
the same.
"""

import zlib
from decimal import Decimal

import numpy as np

PREMIUM_KNOT_MINUTES = 60
PREMIUM_MAX = 0.0005
_PREMIUM_PLACES = Decimal("0.00000001")


def stream(seed: int, name: str, purpose: str, block: int) -> np.random.Generator:
    """Return the generator of one named block; `seed` and `block` may be negative.

    The name enters by CRC-32, which is the same on every machine and run (`hash` is not).
    """
    words = [_natural(seed), zlib.crc32(f"{purpose}/{name}".encode()), _natural(block)]
    return np.random.default_rng(np.random.SeedSequence(words))


def premium(seed: int, symbol: str, index: int) -> Decimal:
    """Return mark over index price of minute `index`, minus 1, as a fraction to 8 places.

    Straight lines between one knot an hour; knots are uniform in +-0.03 % around +0.01 %, so the
    result stays within +-0.05 % and its mean is the venue's interest rate per funding interval.
    """
    knot, minute = divmod(index, PREMIUM_KNOT_MINUTES)
    left, right = (_premium_knot(seed, symbol, at) for at in (knot, knot + 1))
    value = left + (right - left) * minute / PREMIUM_KNOT_MINUTES
    return Decimal(repr(float(value))).quantize(_PREMIUM_PLACES)


def scatter(*parts: int) -> int:
    """Return a well-mixed 32-bit number of the given ones (seedless, stable everywhere)."""
    mixed = 0x9E3779B97F4A7C15
    for part in parts:
        mixed = ((mixed ^ part) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 29
    return mixed >> 32


def _premium_knot(seed: int, symbol: str, knot: int) -> float:
    drawn = float(stream(seed, symbol, "premium", knot).uniform(-0.0003, 0.0003))
    return max(-PREMIUM_MAX, min(PREMIUM_MAX, drawn + 0.0001))


def _natural(number: int) -> int:
    """Map any integer to a natural number, one to one: SeedSequence takes no negative words."""
    return 2 * number if number >= 0 else -2 * number - 1
