"""Which faults a round has: a random few of the catalogue, each with its number (B5)."""

from random import Random
from typing import Any

from tests.chaos.driver_faults import DRIVER_FAULTS
from tests.chaos.evidence import Row
from tests.chaos.processes import NOT_TRADED, SYMBOLS

_MOST = 4
_HOSTILE = (
    "no margin\n2026-01-01 00:00:00,000 [INFO] forged: line \x1b[31m<script>alert(1)</script>"
)
# (number of the catalogue, POST /sim/faults, more that belong to it).  Short ones: a round lasts
# seconds.
CATALOGUE: tuple[tuple[Any, ...], ...] = (
    ("F6", {"kind": "ws_drop", "count": 1, "match": {"route": "market"}}),
    ("F7", {"kind": "ws_stall", "count": 1, "match": {"route": "market"}, "args": {"s": 3}}),
    ("F8", {"kind": "ws_duplicate", "count": 20, "match": {"route": "market"}}),
    ("F9", {"kind": "ws_reorder", "count": 5, "match": {"route": "market"}}),
    ("F10", {"kind": "ws_garbage", "count": 2, "args": {"mode": "truncated"}}),
    ("F10", {"kind": "ws_garbage", "count": 2, "args": {"mode": "types"}}),
    ("F10", {"kind": "ws_garbage", "count": 2, "args": {"mode": "binary"}}),
    ("F10", {"kind": "ws_garbage", "count": 1, "args": {"mode": "huge"}}),
    (
        "F11",
        {
            "kind": "ws_stall",
            "count": 1,
            "match": {"event": "kline", "closed": True},
            "args": {"s": 2},
        },
    ),
    (
        "F11",
        {
            "kind": "ws_garbage",
            "count": 1,
            "match": {"event": "kline", "closed": True},
            "args": {"mode": "set", "set": {"k.c": "1"}},
        },
    ),
    ("F12", {"kind": "ws_drop", "count": 3, "args": {"code": 1001}}),
    (
        "F13",
        {
            "kind": "rest_status",
            "count": 2,
            "match": {"route": "market"},
            "args": {"status": 429},
        },
        {"kind": "ws_drop", "count": 1, "match": {"route": "market"}},
    ),
    (
        "F14",
        {
            "kind": "ws_garbage",
            "count": 3,
            "match": {"event": "kline"},
            "args": {"mode": "set", "set": {"k.h": "NaN"}},
        },
    ),
    ("F15", {"kind": "price_jump", "count": 1, "args": {"pct": 50, "s": 0.5, "symbol": "$symbol"}}),
    (
        "F15",
        {"kind": "price_jump", "count": 1, "args": {"pct": -50, "s": 0.5, "symbol": "$symbol"}},
    ),
    ("F16", {"kind": "price_freeze", "count": 1, "args": {"s": 3, "symbol": "$symbol"}}),
    ("F17", {"kind": "ws_drop", "count": 1, "match": {"route": "private"}}),
    ("F18", {"kind": "listen_key_expire", "count": 1}),
    ("F18", {"kind": "listen_key_expire", "count": 1, "args": {"silent": True}}),
    (
        "F19",
        {
            "kind": "rest_reject",
            "count": 1,
            "match": {"path": "listenKey"},
            "args": {"code": -1125},
        },
        {"kind": "listen_key_expire", "count": 1},
    ),
    ("F20", {"kind": "ws_duplicate", "count": 10, "match": {"route": "private"}}),
    ("F20", {"kind": "ws_reorder", "count": 3, "match": {"route": "private"}}),
    (
        "F20",
        {
            "kind": "ws_stall",
            "count": 1,
            "match": {"route": "private"},
            "args": {"s": 2, "late": True},
        },
    ),
    ("F21", {"kind": "foreign_order", "count": 1, "args": {"symbol": NOT_TRADED, "quantity": "5"}}),
    ("F22", {"kind": "timeout_before", "count": 1, "match": {"path": "/fapi/v1/order"}}),
    ("F22", {"kind": "timeout_before", "count": 1, "match": {"path": "/fapi/v1/algoOrder"}}),
    ("F23", {"kind": "timeout_after", "count": 1, "match": {"path": "/fapi/v1/order"}}),
    ("F23", {"kind": "timeout_after", "count": 1, "match": {"path": "/fapi/v1/algoOrder"}}),
    ("F24", {"kind": "rest_status", "count": 2, "args": {"status": 503}}),
    ("F24", {"kind": "rest_status", "count": 2, "args": {"status": 502, "body": "<html></html>"}}),
    (
        "F24",
        {
            "kind": "rest_status",
            "count": 1,
            "match": {"path": "/fapi/v1/order", "method": "POST"},
            "args": {"status": 503, "executed": True},
        },
    ),
    ("F24", {"kind": "rest_reject", "count": 2, "args": {"code": -1008, "status": 503}}),
    (
        "F25",
        {
            "kind": "rest_reject",
            "count": 1,
            "args": {"code": -1003, "status": 429},
        },
    ),
    ("F26", {"kind": "rest_reject", "count": 2, "args": {"code": -1021}}),
    ("F27", {"kind": "query_lag", "count": 1, "args": {"s": 3}}),
    ("F28", {"kind": "reset", "count": 2, "args": {"when": "body"}}),
    ("F28", {"kind": "reset", "count": 2, "args": {"when": "after"}}),
    ("F28", {"kind": "reset", "count": 2, "args": {"when": "before"}}),
    ("F29", {"kind": "latency", "count": 2, "args": {"ms": 5, "drip": True}}),
    ("F29", {"kind": "latency", "count": 5, "args": {"ms": 700}}),
    (
        "F30",
        {"kind": "query_lag", "count": 1, "match": {"path": "positionRisk"}, "args": {"s": 2}},
    ),
    ("F31", {"kind": "partial_fill", "count": 1, "args": {"status": "EXPIRED_IN_MATCH"}}),
    ("F32", {"kind": "partial_fill", "count": 1, "args": {"status": "CANCELED"}}),
    ("F32", {"kind": "partial_fill", "count": 2}),
    (
        "F33",
        {
            "kind": "rest_reject",
            "count": 1,
            "match": {"path": "/fapi/v1/algoOrder", "method": "POST"},
            "args": {"code": -2021},
        },
    ),
    ("F34", {"kind": "algo_reject_at_trigger", "count": 1}),
    ("F36", {"kind": "price_jump", "count": 1, "args": {"pct": 1, "symbol": "$symbol"}}),
    ("F36", {"kind": "price_jump", "count": 1, "args": {"pct": -1, "symbol": "$symbol"}}),
    ("F37", {"kind": "price_jump", "count": 1, "args": {"pct": -30, "s": 2, "symbol": "$symbol"}}),
    (
        "F38",
        {
            "kind": "rest_reject",
            "count": 1,
            "match": {"path": "/fapi/v1/order", "method": "POST"},
            "args": {"code": -2019},
        },
    ),
    (
        "F39",
        {
            "kind": "rest_reject",
            "count": 1,
            "match": {"path": "/fapi/v1/order", "method": "POST"},
            "args": {"code": -4400},
        },
    ),
    ("F42", {"kind": "maintenance", "count": 1, "args": {"s": 2}}),
    (
        "F57",
        {
            "kind": "rest_reject",
            "count": 1,
            "match": {"path": "/fapi/v1/order", "method": "POST"},
            "args": {"code": -2019, "msg": _HOSTILE},
        },
    ),
    *((number, {}) for number in DRIVER_FAULTS),  # nothing for the venue to do
)


def drawn(dice: Random, kinds: frozenset[str] = frozenset()) -> list[tuple[str, Row]]:
    """Return a round's faults with their numbers: none to four, of `kinds` if any are named."""
    pool = [row for row in CATALOGUE if not kinds or row[0] in kinds]
    chosen = dice.sample(pool, min(len(pool), dice.randint(0, _MOST)))
    return [(number, _filled(fault, dice)) for number, *faults in chosen for fault in faults]


def _filled(fault: Row, dice: Random) -> Row:
    """Name a symbol where the fault wants one: market faults match by it."""
    if not fault:
        return fault
    arguments: dict[str, Any] = dict(fault.get("args", {}))
    match = dict(fault.get("match", {}))
    if arguments.get("symbol") == "$symbol":
        del arguments["symbol"]
        match["symbol"] = dice.choice(SYMBOLS)
    if fault["kind"] == "foreign_order":
        match["symbol"] = arguments.pop("symbol")
    return {"kind": fault["kind"], "count": fault["count"], "match": match, "args": arguments}
