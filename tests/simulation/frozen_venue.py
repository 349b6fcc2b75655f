"""The simulated venue as a server whose time is moved by hand."""

from typing import Any

from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from actors.edges.venue_journal import new_world
from actors.edges.venue_server import ServerSettings, VenueServer
from actors.edges.venue_source import VenueSettings
from core.messages import Purpose
from core.venue.simulated.exchange import Exchange
from tests.edges.gateway_desk import Served
from tests.simulation.lockstep import SEED, SYMBOLS
from tests.simulation.venue_side import BALANCE, HISTORY, START_MS


class FrozenVenue(Served):
    """The simulated venue as a server whose time is moved by hand."""

    def __init__(self, exchange: Exchange | None = None) -> None:
        """`exchange`: one of another market than the seeded one."""
        self.world = new_world(
            VenueSettings(
                symbols=SYMBOLS,
                seed=SEED % 16,
                balance=str(BALANCE),
                history=HISTORY,
                data="",
                funding="",
                start_ms=START_MS,
            )
        )
        if exchange is not None:
            self.world.exchange = exchange

    def application(self) -> Any:
        serving = ServerSettings(speed=0.0, api_key=LOCAL_API_KEY, api_secret=LOCAL_API_SECRET)
        self.server = VenueServer(self.world, None, serving, lambda _line: None)
        return self.server.application()

    def move_to(self, venue_ms: int) -> None:
        self.do(self.server._advance(venue_ms))

    def drop_stops(self) -> list[str]:
        """Cancel every stop without a word to anybody; return their symbols."""

        async def drop() -> list[str]:
            exchange = self.world.exchange
            stops = [
                algo
                for algo in exchange.ledger.open_algos()
                if f"-{Purpose.STOP.value}-" in algo.client_algo_id
            ]
            for algo in stops:
                exchange.algos.cancel(algo)
            exchange.take_events()
            return [algo.symbol for algo in stops]

        return list(self.do(drop()))
