"""The numbers execution works with, in nanoseconds of wall time where they are times."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """`percentages` gives (stop, target) fractions of a symbol, for adopted positions."""

    tag: str
    symbols: tuple[str, ...]
    entry_age_max_ns: int  # an approval older than this is not sent
    entry_window_ns: int  # recvWindow of entries: later than this none can start to exist
    naked_max_ns: int  # a position without a confirmed stop is flattened after this
    reconcile_every_ns: int
    percentages: Callable[[str], tuple[Decimal, Decimal]]
