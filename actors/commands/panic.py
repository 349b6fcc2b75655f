"""`panic`: the emergency stop that shares nothing with the bot but its settings.

Standard library only, own signatures: it works while the bot hangs or its database is locked.
In this order: the kill file, so that a bot that wakes opens nothing; resting entries; positions,
reduce-only at market; two reads that find them flat; only then stops.  It may be run again.
"""

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from contextlib import suppress
from decimal import Decimal
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from config import Config, load_config
from core.errors import ConfigurationError, TradingError, UnavailableError

_BASES: Final = {
    "live": "https://fapi.binance.com",
    "testnet": "https://testnet.binancefuture.com",
    "demo": "https://demo-fapi.binance.com",
}
_RECV_WINDOW_MS, _TIMEOUT_S, _READS, _PAUSE_S, _PAGE = 10_000, 5.0, 3, 0.3, 1000
_ROUNDS, _GONE, _LOT = 20, ("-2011", "-2013"), "MARKET_LOT_SIZE"
_LISTS: Final = {
    "order": ("openOrders", "orderId", "clientOrderId"),
    "algoOrder": ("openAlgoOrders", "algoId", "clientAlgoId"),
}
_say: Final = partial(print, flush=True)


class _RefusedError(TradingError):
    """The venue said no: its code and words."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:  # it could carry key and signature elsewhere
        return None


class _Venue:
    """Signed requests to the venue of the settings."""

    def __init__(self, config: Config, state: Path) -> None:
        key, secret = config.API_KEY.get_secret_value(), config.API_SECRET.get_secret_value()
        self._key, self._secret, self._offset_ms = key or "embedded", secret or "embedded", 0
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect).open
        if config.VENUE == "embedded":  # it takes wall stamps at any speed
            self._base = config.VENUE_URL or _embedded(state)
            return
        if not (key and secret):
            raise ConfigurationError("API_KEY and API_SECRET must be set. Fix: export them.")
        self._base = _BASES[config.VENUE]
        server_ms = int(self.read("/fapi/v1/time")["serverTime"])
        self._offset_ms = server_ms - time.time_ns() // 1_000_000

    def read(self, path: str, **query: Any) -> Any:
        """GET, repeated while the venue does not answer; raises UnavailableError."""
        for _ in range(_READS - 1):
            with suppress(UnavailableError):
                return self.send("GET", path, **query)
            time.sleep(_PAUSE_S)
        return self.send("GET", path, **query)

    def send(self, method: str, path: str, **query: Any) -> Any:
        """Send once; raises _RefusedError for the venue's no, UnavailableError for no answer."""
        stamp = time.time_ns() // 1_000_000 + self._offset_ms
        text = urlencode(query | {"recvWindow": _RECV_WINDOW_MS, "timestamp": stamp})
        signature = hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        url, key = f"{self._base}{path}?{text}&signature={signature}", {"X-MBX-APIKEY": self._key}
        request = urllib.request.Request(url, method=method, headers=key)  # noqa: S310 - as above
        try:
            with self._open(request, timeout=_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            why = f"HTTP {error.code}"
            with suppress(OSError, ValueError, KeyError, TypeError):
                said = json.loads(error.read(4096))
                if 400 <= error.code < 500 and error.code not in (418, 429):  # noqa: PLR2004 - HTTP
                    raise _RefusedError(f"{said['code']} {said['msg']:.200}") from None
                why = f"{why}: {said['code']} {said['msg']}"
        except (OSError, HTTPException, ValueError) as error:
            why = type(error).__name__
        raise UnavailableError(
            f"the venue at {self._base} does not answer ({why}). Fix: again, or the venue's page."
        )


class _Panic:
    def __init__(self, venue: _Venue, tag: str, *, everything: bool) -> None:
        self._venue, self._prefix, self._all = venue, f"{tag}-", everything
        self._foreign: set[str] = set()
        rows = venue.read("/fapi/v1/exchangeInfo")["symbols"]
        lots = ((r["symbol"], f) for r in rows for f in r["filters"] if f["filterType"] == _LOT)
        self._most = {symbol: Decimal(lot["maxQty"]) for symbol, lot in lots}

    def run(self) -> bool:
        """Do it all; True once what is to be closed is flat on two reads."""
        self._cancel("order", entries=True)
        flat_reads = 0
        for _ in range(_ROUNDS):
            left = self._to_close()
            flat_reads = 0 if left else flat_reads + 1
            if flat_reads == 2:  # noqa: PLR2004 - one read may be older than a late fill
                _say("flat on two reads")
                self._cancel("order")
                self._cancel("algoOrder")
                return True
            for symbol, quantity in left.items():
                self._close(symbol, quantity)
            time.sleep(_PAUSE_S)
        _say("not flat: stops are left where they are")
        return False

    def _to_close(self) -> dict[str, Decimal]:
        """Return by symbol how much is to be closed, signed."""
        algos = self._venue.read("/fapi/v1/openAlgoOrders")
        stops = {a["symbol"] for a in algos if a["clientAlgoId"].startswith(self._prefix)}
        found = {}
        for p in self._venue.read("/fapi/v3/positionRisk"):
            amount, symbol = Decimal(p["positionAmt"]), p["symbol"]
            theirs = amount and not self._all
            found[symbol] = self._ours(symbol, amount, symbol in stops) if theirs else amount
            if (rest := amount - found[symbol]) and symbol not in self._foreign:
                self._foreign.add(symbol)
                _say(f"{symbol}: {rest:f} is not the bot's, left alone (--all takes it)")
        return {symbol: ours for symbol, ours in found.items() if ours}

    def _ours(self, symbol: str, amount: Decimal, has_stop: bool) -> Decimal:
        """Return how much of a position was opened by orders with our tag."""
        orders = self._venue.read("/fapi/v1/allOrders", symbol=symbol, limit=_PAGE)
        tagged = {o["orderId"] for o in orders if o["clientOrderId"].startswith(self._prefix)}
        query = {"symbol": symbol, "limit": _PAGE}
        trades = page = self._venue.read("/fapi/v1/userTrades", **query)
        while len(page) == _PAGE:  # a limit keeps the oldest: go on to the newest
            page = self._venue.read("/fapi/v1/userTrades", **query, fromId=page[-1]["id"] + 1)
            trades = trades + page
        rest, ours = amount, Decimal(0)
        for trade in reversed(trades):
            moved = Decimal(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)
            moved = moved if rest else rest  # what was before this position does not count
            rest -= moved
            ours += moved if trade["orderId"] in tagged else 0
        if rest and has_stop:
            return amount  # opened longer ago than trades are told; our stop is on it
        return sorted((Decimal(0), ours, amount))[1]  # no more than there is, nor the other way

    def _close(self, symbol: str, quantity: Decimal) -> None:
        side = "SELL" if quantity > 0 else "BUY"
        size = f"{min(abs(quantity), self._most.get(symbol, abs(quantity))):f}"
        order = {"symbol": symbol, "side": side, "type": "MARKET", "quantity": size}
        order |= {"reduceOnly": "true", "newClientOrderId": f"{self._prefix}X-{time.time_ns()}-0"}
        self._try("POST", "order", f"{side} {size} {symbol} at market, reduce-only", order)

    def _cancel(self, path: str, *, entries: bool = False) -> None:
        listing, number, name = _LISTS[path]
        for row in self._venue.read(f"/fapi/v1/{listing}"):
            reduces = row.get("reduceOnly") or row.get("closePosition")
            if (entries and reduces) or not (self._all or row[name].startswith(self._prefix)):
                continue
            ids = {"symbol": row["symbol"], number: row[number]}
            self._try("DELETE", path, f"cancel {row['symbol']} {row[name]}", ids)

    def _try(self, method: str, path: str, what: str, query: dict[str, Any]) -> None:
        try:
            self._venue.send(method, f"/fapi/v1/{path}", **query)
            _say(what)
        except TradingError as error:  # the next read tells what is left
            if not str(error).startswith(_GONE):
                _say(f"{what}: {error}")


def panic(config_file: str, *, everything: bool) -> int:
    """Close what the bot holds (or everything); 0 when flat, 1 when not; raises TradingError."""
    config = load_config(config_file)
    beside = "" if "://" in config.DB_FILE else str(Path(config.DB_FILE).parent)
    state = Path(config.STATE_DIR or beside).expanduser().absolute()
    try:
        (state / "KILL").touch(mode=0o600)
        _say(f"{state / 'KILL'}: the bot opens nothing until you delete it and resume")
    except OSError as error:
        _say(f"{state / 'KILL'} cannot be made ({error.strerror}): stop the bot yourself")
    stop = _Panic(_Venue(config, state), config.CLIENT_ID_TAG, everything=everything)
    return 0 if stop.run() else 1


def _embedded(state: Path) -> str:
    try:
        return str(json.loads((state / "venue" / "venue.json").read_text("utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UnavailableError(
            f"no embedded venue is running in {state}. Fix: start run.py once, then panic again."
        ) from None
