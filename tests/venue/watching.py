"""A seeded exchange, a publisher on it, and a wall that moves with it."""

from decimal import Decimal
from typing import Any

from core.venue.simulated.endpoints import ENDPOINTS
from core.venue.simulated.events import MinuteClosed
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.params import Params
from core.venue.simulated.seeded import SeededPrices
from core.venue.simulated.streams import Publisher

START_MS = 1_800_000_000_000 // 60_000 * 60_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")
STEP_MS = 25


class Watched:
    """Plays the exchange in steps of wall time and keeps every frame."""

    def __init__(self, *names: str, seed: int = 7, speed: float = 60.0) -> None:
        source = SeededPrices(SYMBOLS, seed, START_MS, 30)
        self.exchange = Exchange(source, balance=Decimal(100_000), start_ms=START_MS)
        self.publisher = Publisher(self.exchange)
        self.publisher.watch(names)
        self.speed = speed
        self.wall_ms = START_MS
        self.frames: list[tuple[str, Any]] = []

    def play(self, wall_s: float) -> list[tuple[str, Any]]:
        """Go on for so long and return the new frames."""
        known = len(self.frames)
        for _ in range(round(wall_s * 1000 / STEP_MS)):
            self.wall_ms += STEP_MS
            self.jump(STEP_MS * self.speed / 1000)
        return self.frames[known:]

    def jump(self, venue_s: float) -> None:
        """Move the venue's time at once."""
        self.exchange.advance(self.exchange.now_ms + round(venue_s * 1000))
        for event in self.exchange.take_events():
            if isinstance(event, MinuteClosed):
                self.frames += self.publisher.closed(event)
            else:
                self.publisher.heard(event.payload)
        self.frames += self.publisher.due(self.wall_ms)

    def of(self, name: str) -> list[Any]:
        """Return the payloads of one stream so far."""
        return [payload for stream, payload in self.frames if stream == name]

    def ask(self, words: str, **fields: object) -> Any:
        """Put a request like `GET depth` past the gates."""
        method, path = words.split()
        params = Params({name: str(value) for name, value in fields.items()})
        return ENDPOINTS[method, f"/fapi/v1/{path}"].handler(self.exchange, params)

    def snapshot(self, symbol: str = "BTCUSDT", limit: int = 1000) -> Any:
        return self.ask("GET depth", symbol=symbol, limit=limit)
