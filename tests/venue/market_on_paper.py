"""A price source whose prices the test writes down, and an exchange on it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from core.venue.simulated.endpoints import ENDPOINTS
from core.venue.simulated.events import UserEvent
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.instruments import LISTED
from core.venue.simulated.market import MINUTE_MS, Bar, Bars, Minute
from core.venue.simulated.params import Params

START_MS = 1_800_000_000_000 // (8 * 3_600_000) * (8 * 3_600_000)  # a funding hour
POINTS = 12


class PaperPrices:
    """Minutes of at most twelve points each, the last one repeated; then the data ends."""

    def __init__(
        self,
        paths: Mapping[str, Sequence[Sequence[str]]],
        start_ms: int = START_MS,
        rate: str | None = None,
    ) -> None:
        self.symbols = tuple(paths)
        self.instruments = {symbol: LISTED[symbol] for symbol in paths}
        self.first_open_ms = start_ms
        self.history_minutes = 0
        self._paths = paths
        self._rate = rate

    def points_before(self, symbol: str, index: int) -> int:
        return index * POINTS

    def prints_before(self, symbol: str, index: int) -> int:
        return index * POINTS

    def trades_before(self, symbol: str, index: int) -> int:
        return index * POINTS

    def plays(self, index: int) -> bool:
        return index < self._stop(index + 1)

    def minute(self, symbol: str, index: int) -> Minute:
        return self._minute(symbol, index)

    def bar(self, symbol: str, index: int) -> Bar:
        return self._minute(symbol, index).bar(1 + index * POINTS)

    def extremes(self, symbol: str, first_index: int, count: int) -> tuple[Any, Any]:
        bars = self.bars(symbol, first_index, count)
        return bars.low, bars.high

    def _minute(self, symbol: str, index: int) -> Minute:
        given = [Decimal(price) for price in self._paths[symbol][index]]
        prices = given + [given[-1]] * (POINTS - len(given))
        return Minute(
            symbol=symbol,
            open_ms=self.first_open_ms + index * MINUTE_MS,
            offsets_ms=tuple(range(0, 60_000, 5_000)),
            prices=tuple(prices),
            quantities=(self.instruments[symbol].step_size * 10,) * POINTS,
            taker_buy=(True, False) * (POINTS // 2),
            counts=(1,) * POINTS,
        )

    def bars(self, symbol: str, first_index: int, count: int) -> Bars:
        found = [
            self._minute(symbol, i)
            for i in range(max(0, first_index), self._stop(first_index + count))
        ]

        def column(name: str) -> Any:
            return np.array([float(getattr(minute, name)) for minute in found])

        return Bars(
            open_ms=np.array([minute.open_ms for minute in found], dtype=np.int64),
            open=column("open"),
            high=column("high"),
            low=column("low"),
            close=column("close"),
            volume=column("volume"),
            quote_volume=column("quote_volume"),
            trades=np.array([minute.trades for minute in found], dtype=np.int64),
            taker_buy_volume=column("taker_buy_volume"),
            taker_buy_quote=column("taker_buy_quote"),
        )

    def _stop(self, index: int) -> int:
        return min(index, *map(len, self._paths.values()))

    def funding_rate(self, symbol: str, time_ms: int) -> Decimal | None:
        return None if self._rate is None else Decimal(self._rate)

    def premium(self, symbol: str, index: int) -> Decimal:
        return Decimal(0)


def flat(price: str, minutes: int = 1) -> list[list[str]]:
    return [[price]] * minutes


def an_exchange(
    paths: Mapping[str, Sequence[Sequence[str]]] | None = None,
    balance: str = "10000",
    start_ms: int = START_MS,
    rate: str | None = None,
) -> Exchange:
    source = PaperPrices(paths or {"BTCUSDT": flat("100000.00", 10)}, start_ms, rate)
    return Exchange(source, balance=Decimal(balance), start_ms=start_ms)


def call(exchange: Exchange, words: str, **params: object) -> Any:
    method, path = words.split()
    fields = {name: str(value) for name, value in params.items()}
    return ENDPOINTS[method, f"/fapi/{path}"].handler(exchange, Params(fields))


def market(exchange: Exchange, side: str, quantity: str, **more: object) -> Any:
    fields = {"symbol": "BTCUSDT", "newOrderRespType": "RESULT", **more}
    return call(exchange, "POST v1/order", side=side, type="MARKET", quantity=quantity, **fields)


def limit(exchange: Exchange, side: str, quantity: str, price: str, **more: object) -> Any:
    fields = {"symbol": "BTCUSDT", "timeInForce": "GTC", "newOrderRespType": "RESULT", **more}
    return call(
        exchange, "POST v1/order", side=side, type="LIMIT", quantity=quantity, price=price, **fields
    )


def algo(exchange: Exchange, side: str, kind: str, trigger: str, **more: object) -> Any:
    fields = {"symbol": "BTCUSDT", "algoType": "CONDITIONAL", **more}
    return call(exchange, "POST v1/algoOrder", side=side, type=kind, triggerPrice=trigger, **fields)


def user_events(exchange: Exchange) -> list[dict[str, Any]]:
    return [event.payload for event in exchange.take_events() if isinstance(event, UserEvent)]


def statuses(exchange: Exchange, client_id: str) -> list[object]:
    found = exchange.ledger.algo(None, client_id)
    assert found is not None
    return [row["status"] for row in found.history]
