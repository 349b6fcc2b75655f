"""Seeded scripts of faults: the same seed strikes the same way, for tests and simulations."""

from collections.abc import Sequence
from typing import NamedTuple

from core.venue.simulated.draws import stream
from core.venue.simulated.faults import Fault, Group, read_fault

SCRIPT_KINDS = (
    *("rest_status", "rest_reject", "timeout_before", "timeout_after", "latency", "reset"),
    *("query_lag", "ws_drop", "ws_stall", "ws_duplicate", "ws_reorder", "ws_garbage"),
    *("listen_key_expire", "price_jump", "price_freeze", "algo_reject_at_trigger"),
    *("partial_fill", "maintenance"),
)
REFUSALS = (-1000, -1001, -1008, -1021, -2013, -2019, -2021, -2022, -4400)
STATUSES = (408, 418, 429, 500, 502, 503, 504)


class TimedFault(NamedTuple):
    """A fault and the venue time at which it is to be armed."""

    at_ms: int
    fault: Fault


class FaultScript:
    """Faults of the given kinds at random times in [start, start + span), oldest first."""

    def __init__(
        self,
        seed: int,
        *,
        symbols: Sequence[str],
        start_ms: int,
        span_ms: int,
        faults: int = 20,
        kinds: Sequence[str] = SCRIPT_KINDS,
    ) -> None:
        draw = stream(seed, "faults", "script", 0)
        times = sorted(start_ms + int(at) for at in draw.integers(0, span_ms, faults))
        rows = []
        for at_ms in times:
            kind = kinds[int(draw.integers(len(kinds)))]
            symbol = symbols[int(draw.integers(len(symbols)))]
            dice = [float(value) for value in draw.random(3)]
            rows.append(TimedFault(at_ms, _drawn(kind, symbol, dice)))
        self.rows = tuple(rows)
        self._next = 0

    def due(self, now_ms: int) -> list[Fault]:
        """Return what has become due since this was last asked."""
        first = self._next
        while self._next < len(self.rows) and self.rows[self._next].at_ms <= now_ms:
            self._next += 1
        return [row.fault for row in self.rows[first : self._next]]


def _drawn(kind: str, symbol: str, dice: list[float]) -> Fault:
    """Choose a fault's arguments from three numbers in [0, 1)."""
    first, second, third = dice
    args: dict[str, object] = {}
    match kind:
        case "rest_status":
            args = {"status": STATUSES[int(first * len(STATUSES))], "executed": second < 0.5}
        case "rest_reject":
            args = {"code": REFUSALS[int(first * len(REFUSALS))]}
        case "timeout_before" | "timeout_after" | "query_lag" | "price_freeze" | "maintenance":
            args = {"s": round(1 + 59 * first, 3)}
        case "ws_stall":
            args = {"s": round(1 + 59 * first, 3), "late": second < 0.5}
        case "latency":
            args = {"ms": round(5_000 * first, 1)}
        case "reset":
            args = {"when": ("before", "after", "body")[int(first * 3)]}
        case "price_jump":
            size = 0.2 + 20 * first**3
            args = {"pct": round(size if second < 0.5 else -size, 3)}
        case "partial_fill":
            args = {"fraction": round(first, 3)}
        case "foreign_order":
            args = {"side": "BUY" if first < 0.5 else "SELL", "quantity": "0.01"}
        case _:
            pass
    wish = {"kind": kind, "count": 1 + int(third * 3), "args": args}
    fault = read_fault(wish)
    if fault.group is not Group.MARKET:
        return fault
    return read_fault({**wish, "count": 1, "match": {"symbol": symbol}})
