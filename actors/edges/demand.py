"""What one request asks of the venue's limits: its lane, request weight and order count.

Weights are those of the Binance reference, sections 2 to 5, for what the gateway sends; a path that
is not listed costs 1 and waits with the reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Lane(IntEnum):
    """Who goes first when not all may go."""

    PROTECTION = 0  # stops and whatever reduces a position
    CANCEL = 1
    UPKEEP = 2  # clock and listen key: without them nothing else works for long
    TARGET = 3
    ENTRY = 4
    READ = 5  # reconciliation, resolution, preparation
    HISTORY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One request: `orders` counts as a message by ORDERS_PER_10S and ORDERS_PER_MIN."""

    lane: Lane
    weight: int = 1
    orders: int = 0


_KLINES = ((99, 1), (499, 2), (1000, 5))
_KLINES_MOST = 10
_WEIGHTS = {
    "/fapi/v3/account": 5,
    "/fapi/v3/positionRisk": 5,
    "/fapi/v1/accountConfig": 5,
    "/fapi/v1/symbolConfig": 5,
    "/fapi/v1/positionSide/dual": 30,
    "/fapi/v1/income": 30,
    "/fapi/v1/userTrades": 5,
    "/fapi/v1/allOrders": 5,
}
_WEIGHTS_OF_ALL = {"/fapi/v1/openOrders": 40, "/fapi/v1/openAlgoOrders": 40}  # without a symbol
_UPKEEP = ("/fapi/v1/time", "/fapi/v1/listenKey")


def demand_of(method: str, path: str, parameters: Mapping[str, Any]) -> Demand:
    """Return what a request asks for.

    >>> demand_of("POST", "/fapi/v1/order", {"reduceOnly": "true"}).lane.name
    'PROTECTION'
    """
    match method.upper(), path:
        case "POST", "/fapi/v1/order":
            reduces = str(parameters.get("reduceOnly", "")).lower() == "true"
            lane = Lane.PROTECTION if reduces else Lane.ENTRY
            return Demand(lane=lane, weight=0, orders=1)
        case "POST", "/fapi/v1/algoOrder":
            target = str(parameters.get("type", "")).startswith("TAKE_PROFIT")
            lane = Lane.TARGET if target else Lane.PROTECTION
            return Demand(lane=lane, weight=0, orders=1)
        case "DELETE", _:
            return Demand(lane=Lane.CANCEL, orders=1)
        case _ if path in _UPKEEP:
            return Demand(lane=Lane.UPKEEP)
        case "GET", "/fapi/v1/klines":
            limit = int(parameters.get("limit", 500))
            weight = next((cost for most, cost in _KLINES if limit <= most), _KLINES_MOST)
            return Demand(lane=Lane.HISTORY, weight=weight)
        case "GET", _:
            weight = _WEIGHTS.get(path, 1)
            if "symbol" not in parameters:
                weight = _WEIGHTS_OF_ALL.get(path, weight)
            return Demand(lane=Lane.READ, weight=weight)
        case _:
            return Demand(lane=Lane.READ)
