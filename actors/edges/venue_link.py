"""Everything that talks to one venue, put together: clients, clock, requests, streams.

Built and used inside the gateway's loop.  The order of a connection: clock, listen key and user
stream first (what happens from then on is heard), market streams last.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from actors.edges.account import AccountKeeper, Worth
from actors.edges.binance_client import (
    ENTRY_RECV_WINDOW_MS,
    RECV_WINDOW_MS,
    ReconnectingWebsocket,
    VenueClient,
    VenueSockets,
    redirected,
)
from actors.edges.flow_recorder import FlowRecorder, flow_streams
from actors.edges.gateway_requests import Requests
from actors.edges.governor import Governor, governor_of
from actors.edges.listing import Listing
from actors.edges.preparation import Prepared, prepare
from actors.edges.retrying import Retrying
from actors.edges.snapshot import OrderNames, Snapshots
from actors.edges.state_directory import StateDirectory
from actors.edges.streams import (
    Attempts,
    ListenKey,
    Opener,
    Stream,
    StreamLostError,
    chunks,
)
from actors.edges.system_clock import SystemClock
from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from actors.edges.venue_clock import VenueClock
from actors.edges.venue_health import HealthKeeper
from config import Config
from core import messages as m
from core.execution.classify import Action
from core.feed.frames import parse_market, parse_user, rejected

# Refusals that may mean that a symbol is listed with other rules than we know.
_DOUBTS = (Action.REFRESH_FILTERS.value, Action.CLOSE_SYMBOL.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Where a link ends: what it makes its clients and sockets with, and who keeps its clock.

    The simulation puts its own in their place; everything between is the same.
    """

    client: Callable[[int, Governor], VenueClient]  # by recvWindow, ms
    user_socket: Callable[[VenueClient, str], Awaitable[ReconnectingWebsocket]]  # by listen key
    market_socket: Callable[
        [VenueClient, list[str]], Awaitable[ReconnectingWebsocket]
    ]  # by stream names
    clock_keeper: Callable[[tuple[VenueClient, ...]], VenueClock]


def live_ends(config: Config, address: str, clock: SystemClock) -> Ends:
    """Return the ends at a real venue; `address` is the embedded one's, empty for the others."""
    client_type: type[VenueClient] = VenueClient
    sockets_type: type[VenueSockets] = VenueSockets
    if address:
        client_type, sockets_type = redirected(address)

    def client(recv_window_ms: int, governor: Governor) -> VenueClient:
        return client_type(
            venue=config.VENUE,
            key=config.API_KEY.get_secret_value() or LOCAL_API_KEY,
            secret=config.API_SECRET.get_secret_value() or LOCAL_API_SECRET,
            recv_window_ms=recv_window_ms,
            timeout_s=config.REST_TIMEOUT,
            governor=governor,
        )

    def sockets(owner: VenueClient) -> VenueSockets:
        return sockets_type(owner, timeout_s=config.REST_TIMEOUT, compressed=not address)

    return Ends(
        client=client,
        user_socket=lambda owner, key: sockets(owner).user(key),
        market_socket=lambda owner, names: sockets(owner).market(names),
        clock_keeper=lambda clients: VenueClock(clock, clients=clients, embedded=address),
    )


class VenueLink:
    """One account on one venue.  `news` is told what the streams hear."""

    def __init__(
        self, *, config: Config, clock: SystemClock, news: Callable[[Any], None], ends: Ends
    ) -> None:
        self._config = config
        self._clock = clock
        self._news = news
        self._ends = ends
        self._names = OrderNames()
        self.governor = governor_of(config, clock.wall_ns)
        self._client = ends.client(RECV_WINDOW_MS, self.governor)
        self._entries = ends.client(ENTRY_RECV_WINDOW_MS, self.governor)
        self._venue_clock = ends.clock_keeper((self._client, self._entries))
        self._retrying = Retrying(config, self._venue_clock.measure)
        self._requests = Requests(
            config=config,
            clock=clock,
            client=self._client,
            entries=self._entries,
            retrying=self._retrying,
        )
        self._worth = Worth(self._client, self._retrying, Decimal(str(config.TAKER_FEE)))
        self._snapshots = Snapshots(
            clock=clock,
            client=self._client,
            requests=self._requests,
            retrying=self._retrying,
            names=self._names,
            worth=self._worth,
        )
        self._listing = Listing(
            config=config,
            client=self._client,
            retrying=self._retrying,
            governor=self.governor,
            news=news,
        )
        self._listen_key = ListenKey(self._client)
        attempts = Attempts()
        self._user = Stream(
            "private",
            openers=(self._user_socket,),
            on_frame=self._user_frame,
            post=news,
            attempts=attempts,
            background=self._listen_key.keep_alive,
        )
        self._market = Stream(
            "market",
            openers=tuple(map(self._market_socket, chunks(_market_streams(config)))),
            on_frame=self._market_frame,
            post=news,
            attempts=attempts,
            silence_s=config.WEBSOCKET_TIMEOUT,
        )
        self._recorder: FlowRecorder | None = None
        if config.RECORD_ORDER_FLOW:
            folder = StateDirectory.of(config).history(config.VENUE)
            self._recorder = FlowRecorder(config, folder, news)
        self._attempts = attempts

    async def connect(self) -> None:
        """Connect everything once; raises what the venue or the network raises.

        May be called again after a refusal by the venue's limits: only what comes before the first
        socket goes by them.
        """
        await self._venue_clock.measure()
        await self._user.connect()
        await self._market.connect()

    def keepers(self) -> tuple[Callable[[], Any], ...]:
        """Return what must run from then on: streams, clock, and what is told regularly."""
        health = HealthKeeper(
            clock=self._venue_clock,
            market=self._market,
            governor=self.governor,
            news=self._news,
            wall_ns=self._clock.wall_ns,
        )
        account = AccountKeeper(
            clock=self._clock,
            client=self._client,
            retrying=self._retrying,
            governor=self.governor,
            worth=self._worth,
            news=self._news,
        )
        streams = (self._user.run, self._market.run)
        keepers = (self._venue_clock.keep, health.keep, account.keep, self._listing.keep)
        return (*streams, *keepers, *self._flow_keepers())

    def _flow_keepers(self) -> tuple[Callable[[], Any], ...]:
        """Return what records order flow, if it is wanted; nothing waits for its streams."""
        recorder = self._recorder
        if recorder is None:
            return ()
        stream = Stream(
            "flow",
            openers=tuple(map(self._market_socket, flow_streams(self._config))),
            on_frame=recorder.frame,
            post=recorder.told,
            attempts=self._attempts,
        )
        return (stream.run, recorder.keep)

    async def prepare(self, symbols: tuple[str, ...]) -> Prepared:
        """Do what `actors/edges/preparation.py` says."""
        prepared = await prepare(self._client, self._retrying, self._config, self._listing, symbols)
        quotes = dict.fromkeys(i.quote_asset for i in prepared.instruments.values())
        self._worth.quotes = tuple(quotes) or self._worth.quotes
        return prepared

    async def health(self) -> dict[str, Any]:
        """Return `/sim/health` of the embedded venue."""
        return await self._venue_clock.health()

    async def klines(self, symbol: str, bars: int, end_ms: int | None) -> list[list[Any]]:
        """Return raw klines up to an open time, oldest first."""
        return await self._requests.klines(symbol, bars, end_ms)

    async def close(self) -> None:
        """Close sockets and connections, within seconds."""
        await self._user.close()
        await self._market.close()
        if self._recorder is not None:
            self._recorder.close()
        await self._client.close_connection()
        await self._entries.close_connection()

    # ---------------------------------------- requests
    async def answer(self, message: Any) -> Any:
        """Do what a command asks for and return the message that answers it."""
        answer = await self._answer(message)
        if isinstance(answer, m.OrderFailed) and answer.action in _DOUBTS:
            self._listing.doubt()
        return answer

    async def _answer(self, message: Any) -> Any:
        match message:
            case m.PlaceOrder():
                answer = await self._requests.place(message)
                if isinstance(answer, m.OrderAnswered):
                    order_id = int(answer.venue_id.rsplit(":", 1)[1])
                    self._names.learn(message.symbol, order_id, message.client_id)
                return answer
            case m.PlaceAlgoOrder():
                return await self._requests.place_algo(message)
            case m.CancelAlgoOrder():
                return await self._requests.cancel_algo(message)
            case m.QueryOrder():
                return await self._requests.query(message)
            case m.FetchSnapshot():
                return await self._snapshots.fetch(message)
            case m.FetchHistory():
                return await self._requests.history(message)
            case _:
                raise TypeError(f"the gateway has no request {type(message).__name__}")

    # ---------------------------------------- streams
    async def _user_socket(self) -> ReconnectingWebsocket:
        self._snapshots.income_moved()  # for all that is known: nobody listened until now
        return await self._ends.user_socket(self._client, await self._listen_key.fresh())

    def _market_socket(self, names: list[str]) -> Opener:
        return lambda: self._ends.market_socket(self._client, names)

    def _market_frame(self, frame: Any) -> None:
        if not isinstance(frame, dict) or "data" not in frame:
            self._news(rejected("market", "not a combined frame", frame))
            return
        message = parse_market(frame["data"], str(frame.get("stream")))
        if isinstance(message, m.MarkPrice):
            self._venue_clock.witness(message.event_ns)
        elif self._recorder is not None and isinstance(message, m.KlineFrame):
            self._recorder.kline(message)
        if message is not None:
            self._news(message)

    def _user_frame(self, frame: Any) -> None:
        if isinstance(frame, dict) and frame.get("e") == "listenKeyExpired":
            raise StreamLostError("the listen key expired")
        message = parse_user(frame)
        if isinstance(message, m.OrderUpdate):
            self._names.learn(message.symbol, message.order_id, message.client_id)
            notional = message.last_quantity * message.last_price
            asset = str(frame["o"].get("N") or "")
            fee = self._worth.commission(message.commission, asset, message.symbol, notional)
            message = replace(message, commission=fee)
        if isinstance(message, m.AccountUpdate) and message.reason != "ORDER":
            self._snapshots.income_moved()
        if message is not None:
            self._news(message)


def _market_streams(config: Config) -> list[str]:
    names = [symbol.lower() for symbol in config.SYMBOLS]
    klines = [f"{name}@kline_{config.KLINE_INTERVAL}" for name in names]
    return klines + [f"{name}@markPrice@1s" for name in names]
