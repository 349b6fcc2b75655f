"""The numbers execution works with, in nanoseconds of wall time where they are times."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from core.clock import NS_PER_S


def _no_quantity(_symbol: str) -> Decimal | None:
    return None


def _specified_notional(_symbol: str) -> Decimal:
    return Decimal("1.5")


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
    order_quantity_max: Callable[[str], Decimal | None] = _no_quantity  # base units; None: no limit
    order_notional_max: Callable[[str], Decimal] = _specified_notional  # multiple of equity
    stop_seen_ns: int = 3 * NS_PER_S  # an acknowledged stop must be shown by another source by then
    software_stop_pct: Decimal = Decimal("0.001")  # of the stop: mark beyond it by more
    software_stop_ns: int = NS_PER_S  # and for longer than this: close

    @property
    def outcome_ns(self) -> int:
        """Return how long after it was sent an entry may still begin to exist, with slack."""
        return self.entry_window_ns + 2 * NS_PER_S
