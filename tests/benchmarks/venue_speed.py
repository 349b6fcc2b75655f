"""The venue's core without a server: `python -m tests.benchmarks.venue_speed`.

Printed: simulated one-minute bars a second of CPU over 1,000 minutes of five symbols, prices drawn
included, in three lives of an account (nothing held; five positions with stops and targets; the
same, closer and renewed every quarter of an hour, placing included) and with every candle looked
at; then how long a journal of ten hours at speed 60 takes to be rebuilt.  CPU seconds, best of a
few runs: the machine may be shared.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from actors.edges.venue_journal import Journal, World, open_journal
from actors.edges.venue_source import SYMBOLS_DEFAULT, VenueSettings
from core.venue.simulated.events import MinuteClosed
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.market import MINUTE_MS
from core.venue.simulated.params import Params
from core.venue.simulated.rest import Entry
from core.venue.simulated.rest_trade import place_algo, place_order
from core.venue.simulated.seeded import SeededPrices

START_MS = 1_795_000_020_000
MINUTES = 1_000
RUNS = 5
JOURNAL_MINUTES = 36_000  # ten hours at speed 60
MARK_MINUTES = 1  # the server marks at every minute's close
TRADES_EVERY = 60


def a_new_exchange(seed: int = 7) -> Exchange:
    """Return an exchange whose prices nobody has drawn yet."""
    source = SeededPrices(SYMBOLS_DEFAULT, seed, START_MS, 1_500)
    return Exchange(source, balance=Decimal(10_000), start_ms=START_MS)


def wishes(exchange: Exchange, distance: str) -> list[tuple[str, dict[str, str]]]:
    """Return the orders that leave every symbol with a long position, a stop and a target."""
    found: list[tuple[str, dict[str, str]]] = []
    for symbol, rules in exchange.quotes.instruments.items():
        last = exchange.quotes.last(symbol)
        if not exchange.account.positions[symbol].amount:
            quantity = (Decimal(400) / last // rules.step_size + 1) * rules.step_size
            order = {"symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": str(quantity)}
            found.append(("/fapi/v1/order", order))
        if exchange.ledger.open_algos(symbol):
            continue
        for kind, sign in (("STOP_MARKET", -1), ("TAKE_PROFIT_MARKET", 1)):
            trigger = last * (1 + sign * Decimal(distance)) // rules.tick_size * rules.tick_size
            algo = {"symbol": symbol, "side": "SELL", "type": kind, "triggerPrice": str(trigger)}
            algo |= {"algoType": "CONDITIONAL", "closePosition": "true"}
            found.append(("/fapi/v1/algoOrder", {**algo, "workingType": "MARK_PRICE"}))
    return found


def trade(exchange: Exchange, distance: str) -> None:
    """Send the wishes."""
    for path, fields in wishes(exchange, distance):
        (place_algo if path.endswith("algoOrder") else place_order)(exchange, Params(fields))


def nothing_held(exchange: Exchange) -> None:
    """Play without an order."""
    exchange.advance(START_MS + MINUTES * MINUTE_MS)


def protected(exchange: Exchange) -> None:
    """Play with five positions, each with a stop and a target 3 % away."""
    exchange.advance(START_MS + MINUTES * MINUTE_MS)


def traded(exchange: Exchange) -> None:
    """Play with stops and targets 1 % away, looking after them every quarter of an hour."""
    for minute in range(0, MINUTES, 15):
        trade(exchange, "0.01")
        exchange.advance(START_MS + (minute + 15) * MINUTE_MS)


def looked_at(exchange: Exchange) -> None:
    """Play, and look at every candle."""
    exchange.advance(START_MS + MINUTES * MINUTE_MS)
    for event in exchange.take_events():
        if isinstance(event, MinuteClosed):
            assert all(bar.volume > 0 for bar in event.bars.values())


def bars_a_second(play: Callable[[Exchange], None]) -> float:
    """Return the best of a few runs."""
    best = float("inf")
    for run in range(RUNS):
        exchange = a_new_exchange(seed=run)
        if play is protected:
            trade(exchange, "0.03")
        began = time.process_time()
        play(exchange)
        best = min(best, time.process_time() - began)
    return MINUTES * len(SYMBOLS_DEFAULT) / best


def written(path: Path, settings: VenueSettings) -> tuple[World, int]:
    """Write the journal of ten hours at speed 60; return its world and the orders in it."""
    world, journal = open_journal(path, settings)
    exchange, orders = world.exchange, 0
    for minute in range(0, JOURNAL_MINUTES, MARK_MINUTES):
        if minute % TRADES_EVERY == 0:
            for where, fields in wishes(exchange, "0.02"):
                orders += 1
                _send(exchange, journal, where, fields)
        exchange.advance(exchange.now_ms + MARK_MINUTES * MINUTE_MS)
        journal.mark(exchange)
        exchange.take_events()
    journal.close()
    return world, orders


def _send(exchange: Exchange, journal: Journal, path: str, fields: dict[str, str]) -> None:
    journal.request(Entry(at_ms=exchange.now_ms, method="POST", path=path, params=fields))
    (place_algo if path.endswith("algoOrder") else place_order)(exchange, Params(fields))


def rebuild() -> None:
    """Print how long a venue of ten hours takes to come back."""
    settings = VenueSettings(
        symbols=SYMBOLS_DEFAULT,
        seed=7,
        balance="10000",
        history=1_500,
        data="",
        funding="",
        start_ms=START_MS,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "venue.jsonl"
        world, orders = written(path, settings)
        began = time.process_time()
        again, journal = open_journal(path, replace(settings, start_ms=0))
        took = time.process_time() - began
        journal.close()
        assert again.exchange.dump() == world.exchange.dump()
        lines = sum(1 for _ in path.open())
    print(  # noqa: T201
        f"journal of {JOURNAL_MINUTES:,} minutes, 5 symbols, {orders} orders, {lines:,} lines:"
        f" rebuilt in {took:.2f} s of CPU"
    )


def main() -> None:
    """Measure and print."""
    for play in (nothing_held, protected, traded, looked_at):
        print(f"{play.__name__.replace('_', ' ')}: {bars_a_second(play):,.0f} bars/s")  # noqa: T201
    rebuild()


if __name__ == "__main__":
    main()
