"""Queries that lag behind the matching engine: what a fault makes of an answer.

Orders, trades and income younger than the lag are not there yet; positions are those of then.
Settings, prices and balances are not delayed.
"""

from decimal import Decimal
from typing import Any

from core.venue.simulated.errors import Rejection
from core.venue.simulated.ledger import Ledger

_SINGLE = ("/fapi/v1/order", "/fapi/v1/openOrder", "/fapi/v1/algoOrder")
_LISTS = ("openOrders", "allOrders", "openAlgoOrders", "allAlgoOrders", "userTrades", "income")


def without_young(path: str, body: Any, since_ms: int) -> Any:
    """Return an answer without the rows made after a time.  Raises -2013 for a single young one."""
    if path in _SINGLE and _born(body) > since_ms:
        raise Rejection(-2013)
    if path.endswith(_LISTS) and isinstance(body, list):
        return [row for row in body if _born(row) <= since_ms]
    return body


def _born(row: Any) -> int:
    if not isinstance(row, dict):
        return 0
    return int(row.get("createTime") or row.get("time") or 0)


def positions_of(ledger: Ledger, since_ms: int) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    """Return the amounts and entry prices that symbols and sides had at a time."""
    past = {}
    for row in ledger.position_history:
        if int(str(row["time"])) <= since_ms:
            key = (str(row["symbol"]), str(row["positionSide"]))
            past[key] = (Decimal(str(row["positionAmt"])), Decimal(str(row["entryPrice"])))
    return past
