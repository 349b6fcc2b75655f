"""What a person does on the venue's own pages: requests signed with the account's key."""

import hashlib
import hmac
import time
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.chaos.evidence import Limits, Row
from tests.chaos.processes import CANARIES, Venue, ask


def signed(venue: Venue, method: str, path: str, **params: Any) -> Any:
    """Return the venue's answer to a signed request, an error's JSON as well as any other."""
    query = urlencode({**params, "timestamp": time.time_ns() // 1_000_000})
    secret = CANARIES["API_SECRET"].encode()
    signature = hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()
    headers = {"X-MBX-APIKEY": CANARIES["API_KEY"]}
    try:
        return ask(method, venue.url, f"{path}?{query}&signature={signature}", headers=headers)
    except (OSError, ValueError, HTTPException):
        return {}  # another fault struck this very request


def cancel_a_stop(venue: Venue) -> str:
    """Cancel a live stop of the bot; returns its symbol, empty where there is none."""
    for algo in venue.ledger()["algo_orders"]:
        ours = purpose_of(Limits().tag, algo["clientAlgoId"]) is Purpose.STOP
        if ours and algo["algoStatus"] == "NEW":
            which = {"symbol": algo["symbol"], "algoId": algo["algoId"]}
            signed(venue, "DELETE", "/fapi/v1/algoOrder", **which)
            return str(algo["symbol"])
    return ""


def turn_the_leverage(venue: Venue, symbol: str, leverage: int) -> None:
    """Set a symbol's leverage, as the slider does."""
    signed(venue, "POST", "/fapi/v1/leverage", symbol=symbol, leverage=leverage)


def rules_of(venue: Venue, symbol: str) -> Row:
    """Return a symbol's tick and step, as `filter_change` names them."""
    listed = ask("GET", venue.url, "/fapi/v1/exchangeInfo")["symbols"]
    filters = next(row["filters"] for row in listed if row["symbol"] == symbol)
    price = next(f for f in filters if f["filterType"] == "PRICE_FILTER")
    return {"tickSize": price["tickSize"]}
