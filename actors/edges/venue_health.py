"""Tells risk once a second how the way to the venue stands."""

import asyncio
from collections.abc import Callable
from typing import Any

from actors.edges.governor import Governor
from actors.edges.streams import Stream
from actors.edges.venue_clock import VenueClock
from core import messages as m

_PERIOD_S = 1.0  # wall


class HealthKeeper:
    """Sums up clock, streams and limits; says so however bad they are."""

    def __init__(
        self,
        *,
        clock: VenueClock,
        market: Stream,
        governor: Governor,
        news: Callable[[Any], None],
        wall_ns: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._market = market
        self._governor = governor
        self._news = news
        self._wall_ns = wall_ns

    def health(self) -> m.VenueHealth:
        """Return how it stands now."""
        return m.VenueHealth(
            clock_error_ms=self._clock.error_ms(),
            market_silent_s=self._market.silent_s,
            weight_used=self._governor.weight_used,
            orders_used=self._governor.orders_used,
            quiet_s=self._governor.quiet_s,
            at_wall_ns=self._wall_ns(),
        )

    async def keep(self) -> None:
        """Say it once a second, until cancelled."""
        while True:
            self._news(self.health())
            await asyncio.sleep(_PERIOD_S)
