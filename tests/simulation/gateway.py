"""The live gateway on a stepped loop: the same requests, retries, streams and parsers.

Only the ends are others: the library's client hands its requests to the pure door instead of a
socket, and what measures the clock asks the simulated venue.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from multidict import CIMultiDict

from actors.edges.binance_client import VenueClient
from actors.edges.gateway import Gateway
from actors.edges.governor import Governor
from actors.edges.preparation import Prepared
from actors.edges.venue_clock import VenueClock
from actors.edges.venue_link import Ends, VenueLink
from actors.stepped import SteppedClock
from config import Config
from core.clock import NS_PER_MS
from core.venue.simulated.rest import Response
from core.venue.simulated.signing import sign
from tests.simulation.loop import SteppedLoop
from tests.simulation.venue_side import KEY, VenueSide


class _Answer:
    """What the client reads of an HTTP answer."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = CIMultiDict(response.headers)
        self._body = orjson.dumps(response.body)

    async def read(self) -> bytes:
        return self._body


class SimClient(VenueClient):
    """The library's client up to the point where it would open a socket."""

    def __init__(
        self,
        *,
        side: VenueSide,
        clock: SteppedClock,
        config: Config,
        recv_window_ms: int,
        about_to_send: Callable[[str, str, dict[str, Any]], None],
        governor: Governor,
    ) -> None:
        self.governor = governor
        self.FUTURES_URL = "http://venue/fapi"
        self.testnet = self.demo = False
        self.timestamp_offset = 0
        self._side = side
        self._clock = clock
        self._window = recv_window_ms
        self._timeout_s = config.REST_TIMEOUT
        self._about_to_send = about_to_send

    async def _send(
        self, method: str, uri: str, signed: bool, force_params: bool, **kwargs: Any
    ) -> Any:
        data = {k: str(v) for k, v in (kwargs.get("data") or {}).items() if v is not None}
        if signed:
            data["timestamp"] = str(self._clock.wall_ns() // NS_PER_MS + self.timestamp_offset)
            data["recvWindow"] = str(self._window)
        text = urlencode(data)
        if signed:
            text += f"&signature={sign(KEY, text)}"
        in_url = method == "get"
        request = {
            "method": method.upper(),
            "path": urlsplit(uri).path,
            "query": text if in_url else "",
            "body": "" if in_url else text,
        }
        self._about_to_send(request["path"], request["method"], data)
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def answered(response: Response | Exception) -> None:
            if answer.done():
                return
            if isinstance(response, Exception):
                answer.set_exception(response)
            else:
                answer.set_result(response)

        self._side.ask(request, answered)
        async with asyncio.timeout(self._timeout_s):
            response = await answer
        return await self._handle_response(_Answer(response))


class SimClockKeeper(VenueClock):
    """Finds the venue's time by asking the simulation."""

    def __init__(
        self, clock: SteppedClock, clients: tuple[VenueClient, ...], side: VenueSide
    ) -> None:
        super().__init__(clock, clients=clients, embedded="")
        self._side = side

    async def _measure(self) -> int:
        venue_ns, true_wall_ns, speed = self._side.line()
        wall_ns = self._clock.wall_ns()
        self._clock.anchor(venue_ns=venue_ns, wall_ns=wall_ns, speed=speed)
        for client in self._clients:
            client.timestamp_offset = (true_wall_ns - wall_ns) // NS_PER_MS
        return 0


def simulated_ends(
    config: Config,
    clock: SteppedClock,
    side: VenueSide,
    about_to_send: Callable[[str, str, dict[str, Any]], None],
) -> Ends:
    """Return the ends of the live link in the simulation."""

    async def connect(names: tuple[str, ...]) -> Any:
        return side.connect(names)

    return Ends(
        client=lambda window_ms, governor: SimClient(
            side=side,
            clock=clock,
            config=config,
            recv_window_ms=window_ms,
            about_to_send=about_to_send,
            governor=governor,
        ),
        user_socket=lambda _client, _key: connect(()),
        market_socket=lambda _client, names: connect(tuple(names)),
        clock_keeper=lambda clients: SimClockKeeper(clock, clients, side),
    )


class SteppedGateway(Gateway):
    """The live gateway without its thread."""

    def __init__(
        self,
        *,
        loop: SteppedLoop,
        config: Config,
        clock: SteppedClock,
        side: VenueSide,
        post: Any,
        tracer: Any,
        about_to_send: Callable[[str, str, dict[str, Any]], None],
    ) -> None:
        super().__init__(config=config, address="", clock=clock, post=post, tracer=tracer)
        self._loop = loop
        self._link = VenueLink(
            config=config,
            clock=clock,
            news=self._news,
            ends=simulated_ends(config, clock, side, about_to_send),
        )
        self._keepers: list[asyncio.Task[None]] = []

    async def connect(self) -> Prepared:
        """Connect and prepare as the live one does for the composition root."""
        await self._link.connect()
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(keep()) for keep in self._link.keepers()]
        return await self._link.prepare(tuple(self._config.SYMBOLS))

    def fall_silent(self) -> None:
        """Say nothing any more: the process is dead, what unwinds now never happened."""
        self._post = lambda message, cause: None
        self._tracer = _Mute()


class _Mute:
    """A trace that nobody keeps."""

    def handled(self, *_: Any) -> None:
        """Forget it."""

    def dead(self, *_: Any) -> None:
        """Forget it."""
