"""Every venue fault of the catalogue has a kind that provokes it, or a request that does."""

from typing import Any

from core.venue.simulated.faults import (
    KINDS,
    read_fault,
)

# F6 to F45 of the reliability reference: a fault that provokes each, or the request that does.
CATALOGUE: dict[str, dict[str, Any] | str] = {
    "F6 market drop": {"kind": "ws_drop", "match": {"route": "market"}},
    "F7 silent stall": {"kind": "ws_stall", "match": {"route": "market"}, "args": {"s": 60}},
    "F8 duplicates": {"kind": "ws_duplicate", "match": {"route": "market"}},
    "F9 out of order": {"kind": "ws_reorder", "match": {"route": "market"}},
    "F10 garbage": {"kind": "ws_garbage", "args": {"mode": "truncated"}},
    "F10 wrong types": {"kind": "ws_garbage", "args": {"mode": "types"}},
    "F10 unknown event": {"kind": "ws_garbage", "args": {"mode": "unknown"}},
    "F10 huge message": {"kind": "ws_garbage", "args": {"mode": "huge"}},
    "F10 binary": {"kind": "ws_garbage", "args": {"mode": "binary"}},
    "F11 missing closed kline": {"kind": "ws_stall", "match": {"event": "kline", "closed": True}},
    "F11 revised kline": {"kind": "ws_garbage", "args": {"mode": "set", "set": {"k.c": "1"}}},
    "F11 gap over hours": "POST /sim/clock {advance_s: 7200} while ws_stall strikes",
    "F12 24 h cut": {"kind": "ws_drop", "args": {"code": 1001}},
    "F13 connection ban": {
        "kind": "rest_status",
        "match": {"route": "market"},
        "args": {"status": 429},
    },
    "F14 values": {
        "kind": "ws_garbage",
        "args": {"mode": "set", "set": {"k.h": "NaN", "k.v": "-1"}},
    },
    "F15 spike": {"kind": "price_jump", "args": {"pct": 50, "s": 1}},
    "F16 frozen price": {"kind": "price_freeze", "args": {"s": 30}},
    "F17 drop at the fill": {"kind": "ws_drop", "match": {"event": "ORDER_TRADE_UPDATE"}},
    "F18 key expired": {"kind": "listen_key_expire", "args": {"silent": True}},
    "F19 keepalive -1125": {
        "kind": "rest_reject",
        "match": {"path": "listenKey"},
        "args": {"code": -1125},
    },
    "F20 late events": {"kind": "ws_stall", "match": {"route": "private"}, "args": {"late": True}},
    "F21 foreign order": {"kind": "foreign_order", "args": {"quantity": "0.010"}},
    "F22 timeout before": {"kind": "timeout_before"},
    "F23 timeout after": {"kind": "timeout_after"},
    "F24 503 unknown": {"kind": "rest_status", "args": {"status": 503, "executed": True}},
    "F24 -1008": {"kind": "rest_reject", "args": {"code": -1008, "status": 503}},
    "F24 502 page": {"kind": "rest_status", "args": {"status": 502}},
    "F25 429": {"kind": "rest_status", "args": {"status": 429}},
    "F25 418": {"kind": "rest_status", "args": {"status": 418}},
    "F26 -1021": {"kind": "rest_reject", "args": {"code": -1021}},
    "F27 -2013 lag": {"kind": "query_lag", "args": {"s": 60}},
    "F28 reset in the body": {"kind": "reset", "args": {"when": "body"}},
    "F28 partial JSON": {"kind": "rest_status", "args": {"status": 200, "body": '{"a":'}},
    "F29 slow drip": {"kind": "latency", "args": {"ms": 1000, "drip": True}},
    "F30 stale snapshot": {
        "kind": "query_lag",
        "match": {"path": "positionRisk"},
        "args": {"s": 2},
    },
    "F31 EXPIRED_IN_MATCH": {
        "kind": "partial_fill",
        "args": {"fraction": 0, "status": "EXPIRED_IN_MATCH"},
    },
    "F32 partial, then cancel": {"kind": "partial_fill", "args": {"status": "CANCELED"}},
    "F33 stop -2021": {
        "kind": "rest_reject",
        "match": {"path": "algoOrder"},
        "args": {"code": -2021},
    },
    "F34 rejected at trigger": {"kind": "algo_reject_at_trigger"},
    "F35 stop cancelled by the user": "DELETE /fapi/v1/algoOrder with the account's key",
    "F36 gap beyond the stop": {"kind": "price_jump", "args": {"pct": -20}},
    "F37 liquidation": {"kind": "price_jump", "args": {"pct": -60}},
    "F38 -2019": {"kind": "rest_reject", "args": {"code": -2019}},
    "F39 -4400": {"kind": "rest_reject", "args": {"code": -4400}},
    "F40 settings by hand": "POST leverage, marginType, positionSide/dual, multiAssetsMargin",
    "F41 position doubled": {"kind": "foreign_order", "count": 2, "args": {"quantity": "0.010"}},
    "F42 maintenance": {"kind": "maintenance", "args": {"s": 3600}},
    "F43 delisted": {"kind": "delist"},
    "F44 filters change": {"kind": "filter_change", "args": {"tickSize": "1"}},
    "F45 symbol missing": {"kind": "delist", "args": {"hidden": True, "status": "TRADING"}},
}


def test_the_catalogue_names_every_fault_from_f6_to_f45_and_all_can_be_armed():
    numbers = {int(name[1:].split()[0]) for name in CATALOGUE}
    assert numbers == set(range(6, 46))
    used = set()
    for wish in CATALOGUE.values():
        if isinstance(wish, dict):
            used.add(read_fault(wish).kind)
    assert used == set(KINDS)
