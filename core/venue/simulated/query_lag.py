"""Queries that lag behind the matching engine: what a fault makes of an answer.

Orders, trades and income younger than the lag are not there yet; positions are those of then.
Settings, prices and balances are not delayed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.ledger import ZERO

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


@contextmanager
def positions_of(exchange: Exchange, since_ms: int) -> Iterator[None]:
    """Let the account hold the positions of a past time while a query is answered."""
    past: dict[tuple[object, object], tuple[Decimal, Decimal]] = {}
    for row in exchange.ledger.position_history:
        if int(str(row["time"])) <= since_ms:
            key = (row["symbol"], row.get("positionSide", "BOTH"))
            past[key] = (Decimal(str(row["positionAmt"])), Decimal(str(row["entryPrice"])))
    positions = list(exchange.account.positions.values())
    present = [(position.amount, position.entry) for position in positions]
    for position in positions:
        key = (position.symbol, position.side)
        position.amount, position.entry = past.get(key, (ZERO, ZERO))
    try:
        yield
    finally:
        for position, (amount, entry) in zip(positions, present, strict=True):
            position.amount, position.entry = amount, entry
