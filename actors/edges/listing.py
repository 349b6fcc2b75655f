"""What the venue lists: each symbol's rules, read at the start, hourly, and after a refusal.

A symbol whose rules, status or delivery changed, or that vanished, is told (`InstrumentChanged`).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from actors.edges.binance_client import VenueClient
from actors.edges.governor import Governor
from actors.edges.retrying import Retrying
from config import Config
from core import messages as m
from core.errors import InstrumentError
from core.venue.instrument import Instrument, MarginBracket

_PERIOD_S = 3600.0  # wall
_AGAIN_S = 10.0  # refusals come in bursts; one reading answers them all


class Listing:
    """The rules of the symbols traded; `keep` watches over them once `take` has set them."""

    def __init__(
        self,
        *,
        config: Config,
        client: VenueClient,
        retrying: Retrying,
        governor: Governor,
        news: Callable[[Any], None],
    ) -> None:
        self._config = config
        self._client = client
        self._retrying = retrying
        self._governor = governor
        self._news = news
        self._known: dict[str, Instrument | None] = {}
        self._wanted = asyncio.Event()

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Read all symbols' rows, and with them the venue's limits."""
        answer = await self._retrying.read(self._client.futures_exchange_info)
        self._governor.learn_limits(answer.get("rateLimits", []))
        return {str(row.get("symbol")): row for row in answer["symbols"]}

    async def brackets(self, symbols: tuple[str, ...]) -> dict[str, tuple[MarginBracket, ...]]:
        """Read the margin brackets of symbols; empty ones where the venue has none."""
        answer = await self._retrying.read(self._client.futures_leverage_bracket)
        rows = answer if isinstance(answer, list) else [answer]
        found = {row.get("symbol"): row for row in rows if isinstance(row, dict)}
        return {s: brackets_of(found[s]) if s in found else () for s in symbols}

    def instrument(self, symbol: str, row: dict[str, Any]) -> Instrument:
        """Read one row; raises InstrumentError."""
        fallback = Decimal(str(self._config.for_symbol(symbol).MIN_ORDER_USD_FALLBACK))
        return Instrument.from_exchange_info(row, min_notional_fallback=fallback)

    def take(self, instruments: Mapping[str, Instrument]) -> None:
        """Take these as known."""
        self._known.update(instruments)

    def doubt(self) -> None:
        """Note that the venue refused an order by its rules: read them again."""
        self._wanted.set()

    async def keep(self) -> None:
        """Read again hourly and on doubt, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD_S):
                    await self._wanted.wait()
            self._wanted.clear()
            with suppress(Exception):  # the known rules hold until they can be read again
                await self.compare()
            await asyncio.sleep(_AGAIN_S)

    async def compare(self) -> None:
        """Read the rules and tell what changed."""
        rows = await self.rows()
        for symbol, known in list(self._known.items()):
            found = self._read(symbol, rows.get(symbol))
            if found is not None and known is not None:
                found = replace(found, brackets=known.brackets)
            if found != known:
                self._known[symbol] = found
                self._news(m.InstrumentChanged(symbol=symbol, instrument=found))

    def _read(self, symbol: str, row: dict[str, Any] | None) -> Instrument | None:
        """Return the rules; None for a symbol that vanished or whose rules cannot be read."""
        if row is None:
            return None
        try:
            return self.instrument(symbol, row)
        except InstrumentError:
            return None


def brackets_of(row: dict[str, Any]) -> tuple[MarginBracket, ...]:
    """Read one row of `leverageBracket`, ascending by notional; its numbers are no strings."""
    steps = (
        MarginBracket(
            notional_floor=Decimal(str(step["notionalFloor"])),
            notional_cap=Decimal(str(step["notionalCap"])),
            leverage_max=int(step["initialLeverage"]),
            maintenance_rate=Decimal(str(step["maintMarginRatio"])),
            maintenance_cum=Decimal(str(step.get("cum", 0))),
        )
        for step in row.get("brackets", [])
    )
    return tuple(sorted(steps, key=lambda step: step.notional_floor))
