"""python-binance, bound to one of four environments and cured of its traps.

What differs from the library (venue reference, section 12): the embedded venue's addresses are
class attributes of a subclass, since there is no base-URL parameter; no spot ping; one recvWindow
per client; the body of an error answer survives; an error inside a 2xx is an error; the library
never reconnects a socket by itself (it gives up after half a minute), `streams.py` does.
Everything here is built and used inside the gateway's loop; no other module imports the library.
"""

import asyncio
import logging
import re
import time
import warnings
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from actors.edges.demand import demand_of
from actors.edges.governor import Governor
from core.execution.classify import Trouble, Verdict, classify, remedy

with warnings.catch_warnings():
    # The library imports a part of websockets that is deprecated, and does not use it here.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance import AsyncClient, BinanceSocketManager
    from binance.enums import FuturesType
    from binance.exceptions import BinanceAPIException, BinanceRequestException, ReadLoopClosed
    from binance.ws.constants import WSListenerState
    from binance.ws.reconnecting_websocket import ReconnectingWebsocket

__all__ = [
    "BinanceRequestException",
    "Problem",
    "ReadLoopClosed",
    "ReconnectingWebsocket",
    "VenueClient",
    "VenueSockets",
    "close_socket",
    "problem",
    "quiet_library_log",
    "redirected",
]

ENTRY_RECV_WINDOW_MS = 3_000  # short: an entry of unknown outcome is absent once it has passed
RECV_WINDOW_MS = 10_000
_QUEUE_MAX = 100_000  # a full queue kills the library's stream without delivering what is in it
_FRAME_MAX = 16 * 1024 * 1024
_CONNECT_S_MAX = 5.0
_CLOSE_S_MAX = 2.0
_TEXT_MAX = 300
_QUIET_S = 60.0  # silence after 429 or 418 where the venue does not say how long
_BANNED = re.compile(r"banned until (\d{13})")


class VenueClient(AsyncClient):
    """One REST client of the venue; the governor lets each of its requests go, and hears of it."""

    def __init__(
        self,
        *,
        venue: str,
        key: str,
        secret: str,
        recv_window_ms: int,
        timeout_s: float,
        governor: Governor,
    ) -> None:
        self.governor = governor
        super().__init__(
            key,
            secret,
            # A redirect could carry key and signature to another host.
            requests_params={"allow_redirects": False},
            testnet=venue == "testnet",
            demo=venue == "demo",
        )
        self.REQUEST_RECVWINDOW = recv_window_ms
        self.REQUEST_TIMEOUT = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=min(timeout_s, _CONNECT_S_MAX)
        )

    async def _request(
        self, method: str, uri: str, signed: bool, force_params: bool = False, **kwargs: Any
    ) -> Any:
        """Send a request when its turn has come; the stamp is made only then."""
        demand = demand_of(method, urlsplit(uri).path, kwargs.get("data") or {})
        async with self.governor.turn(demand):
            return await self._send(method, uri, signed, force_params, **kwargs)

    async def _send(
        self, method: str, uri: str, signed: bool, force_params: bool, **kwargs: Any
    ) -> Any:
        return await super()._request(method, uri, signed, force_params, **kwargs)

    async def _handle_response(self, response: aiohttp.ClientResponse) -> Any:
        body = await response.read()
        # Not by `self.response`: that is the newest answer's, and there are many at once.
        self.governor.hear(response.headers)
        try:
            answer = orjson.loads(body) if body else None
        except orjson.JSONDecodeError:
            answer = None
        refused = isinstance(answer, dict) and _code(answer.get("code")) < 0
        if not 200 <= response.status < 300 or refused:  # noqa: PLR2004 - HTTP's successes
            # The library's error wants a JSON object, and drops any other body.
            text = body[:_TEXT_MAX].decode(errors="replace")
            error = BinanceAPIException(response, response.status, "{}")
            error.code = _code(answer.get("code")) if isinstance(answer, dict) else 0
            error.message = str(answer.get("msg", text)) if isinstance(answer, dict) else text
            found = problem(error)
            if found.quiet_s:
                self.governor.silence(found.quiet_s, banned=found.banned)
            raise error
        if answer is None:
            raise BinanceRequestException(f"{len(body)} bytes that are not JSON")
        return answer

    async def close_connection(self) -> None:
        """Close the HTTP session; the library's WS-API connections are never opened here."""
        await self.session.close()


class VenueSockets(BinanceSocketManager):
    """Opens single sockets that end at the first error; one manager per socket, nothing cached."""

    def __init__(self, client: AsyncClient, *, timeout_s: float, compressed: bool) -> None:
        super().__init__(client, max_queue_size=_QUEUE_MAX)
        self.ws_kwargs = {"proxy": None, "max_size": _FRAME_MAX, "open_timeout": timeout_s}
        if not compressed:
            self.ws_kwargs["compression"] = None

    async def market(self, streams: list[str]) -> ReconnectingWebsocket:
        """Connect to market streams, combined; frames are `{"stream": .., "data": ..}`.

        Best quotes go over another route than the rest: a socket carries only the one or the other.
        """
        quotes = {name.endswith("@bookTicker") for name in streams}
        assert len(quotes) == 1, "one route a socket"
        category = "public" if quotes.pop() else "market"
        return await self._connected(self.futures_multiplex_socket(streams, category=category))

    async def user(self, listen_key: str) -> ReconnectingWebsocket:
        """Connect to the user stream of a listen key; frames are bare events."""
        return await self._connected(
            self._get_futures_socket(
                f"?listenKey={listen_key}",
                futures_type=FuturesType.USD_M,
                prefix="ws",
                category="private",
            )
        )

    async def _connected(self, socket: ReconnectingWebsocket) -> ReconnectingWebsocket:
        socket.MAX_RECONNECTS = 0
        await socket.connect()
        return socket


async def close_socket(socket: ReconnectingWebsocket) -> None:
    """Close a socket within seconds; the library alone waits up to 10 s on an idle one."""
    socket.ws_state = WSListenerState.EXITING
    try:
        async with asyncio.timeout(_CLOSE_S_MAX):
            if socket.ws is not None:
                await socket.ws.close()  # wakes the read loop, which then sees that it must end
            await socket.close()
    except (TimeoutError, OSError):
        if socket.ws is not None:
            socket.ws.transport.abort()


def redirected(address: str) -> tuple[type[VenueClient], type[VenueSockets]]:
    """Return the two classes bound to the embedded venue at `http://127.0.0.1:PORT`."""
    sockets = address.replace("http://", "ws://", 1)
    client_type = type(
        "EmbeddedClient",
        (VenueClient,),
        {
            "FUTURES_URL": f"{address}/fapi",
            "FUTURES_DATA_URL": f"{address}/futures/data",
            "API_URL": f"{address}/api",
            "MARGIN_API_URL": f"{address}/sapi",
            "WS_FUTURES_URL": f"{sockets}/ws-fapi/v1",
            "WS_API_URL": f"{sockets}/ws-api/v3",
        },
    )
    sockets_type = type("EmbeddedSockets", (VenueSockets,), {"FSTREAM_URL": f"{sockets}/"})
    return client_type, sockets_type


def quiet_library_log() -> None:
    """Keep the library's own log off stderr: what matters arrives here as exceptions and items."""
    for name in ("binance", "websockets"):
        log = logging.getLogger(name)
        log.setLevel(logging.CRITICAL)
        log.addHandler(logging.NullHandler())


# ---------------------------------------- what an exception means
@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One failed request, judged: `detail` is a line with the remedy, `quiet_s` wanted silence."""

    verdict: Verdict
    code: int
    detail: str
    quiet_s: float = 0.0
    banned: bool = False


def problem(error: BaseException) -> Problem:
    """Judge the exception of a request by `core/execution/classify.py`."""
    if isinstance(error, BinanceAPIException):
        return _answered(error)
    trouble = _trouble(error)
    words = " ".join(str(error).split()) or type(error).__name__
    return Problem(
        verdict=classify(trouble), code=0, detail=f"{words[:_TEXT_MAX]}. {remedy(trouble.value)}"
    )


def _answered(error: BinanceAPIException) -> Problem:
    text = " ".join(error.message.split())[:_TEXT_MAX]
    verdict = classify(status=error.status_code, code=error.code, text=text)
    shown = f"APIError(code={error.code}): {text}" if error.code else f"HTTP {error.status_code}"
    quiet_s = 0.0
    if error.status_code in (418, 429) or error.code in (-1003, -1015):
        quiet_s = _quiet_s(error.response.headers.get("Retry-After", ""), text)
    return Problem(
        verdict=verdict,
        code=error.code,
        detail=f"{shown} {remedy(error.code or error.status_code)}",
        quiet_s=quiet_s,
        banned=error.status_code == 418,  # noqa: PLR2004 - the venue's status for a ban
    )


def _trouble(error: BaseException) -> Trouble:
    match error:
        # Connection time-outs are both; what decides is that no byte left.
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Trouble.CONNECT
        case TimeoutError():
            return Trouble.TIMEOUT
        case aiohttp.ClientError() | OSError():
            return Trouble.RESET
        case _:
            return Trouble.UNREADABLE


def _quiet_s(retry_after: str, text: str) -> float:
    banned = _BANNED.search(text)
    if banned:
        return max(1.0, int(banned[1]) / 1000 - time.time())
    return float(retry_after) if retry_after.isdigit() else _QUIET_S


def _code(value: Any) -> int:
    """Read an error code; some answers carry it as text, and success as 200."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
