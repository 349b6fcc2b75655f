"""One tape gives the same orders through pykka's threads over real sockets and on one thread."""

import asyncio
import time
from pathlib import Path
from random import Random

from actors.bot import MultiSymbolBot
from actors.stepped import Timeline
from core.clock import NS_PER_MS, NS_PER_S
from core.venue.simulated.exchange import Exchange
from tests.simulation.faults import Faults
from tests.simulation.frozen_venue import FrozenVenue
from tests.simulation.lockstep import (
    SEED,
    SYMBOLS,
    TakingTurns,
    at_rest,
    money_of,
    orders_of,
    settings,
    tape,
)
from tests.simulation.process import Process
from tests.simulation.record import Record
from tests.simulation.venue_side import START_MS, VenueSide

MINUTES = 20
PATIENCE_S = 20.0


def on_threads(folder: Path) -> Exchange:
    """Play the tape to the live bot: its threads, its sockets, its database."""
    venue = FrozenVenue()
    venue.start()
    bot = MultiSymbolBot(settings(folder, venue.url))
    loop = asyncio.new_event_loop()

    def rest(what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not at_rest(bot.machines, venue.world.exchange):
            assert time.monotonic() < deadline, f"{what}: the bot does not come to rest"
            loop.run_until_complete(asyncio.sleep(0.005))

    try:
        assert loop.run_until_complete(bot.initialize())
        tape(MINUTES, venue.move_to, rest)
    finally:
        loop.run_until_complete(bot.cleanup())
        loop.close()
        venue.stop()
    return venue.world.exchange


def on_one_thread(folder: Path, seed: int) -> Exchange:
    """Play the tape to the same actors on the stepped runtime."""
    timeline = Timeline(START_MS * NS_PER_MS)
    faults = Faults.drawn(seed)
    faults.active = False
    side = VenueSide(timeline, faults, symbols=SYMBOLS, seed=SEED, speed=0.0)
    process = Process(
        config=settings(folder),
        strategy_class=TakingTurns,
        timeline=timeline,
        dice=Random(seed),
        side=side,
        faults=faults,
        path=folder / "bot.db",
        record=Record(),
        gave_up=lambda why: None,
        laziness=0.3,
    )

    def move_to(venue_ms: int) -> None:
        side.exchange.advance(venue_ms)
        side.door.clock = side.door.clock.moved_to(side.wall_ms, venue_ms)

    def rest(what: str) -> None:
        deadline_ns = timeline.now_ns + int(PATIENCE_S * NS_PER_S)
        while not at_rest(process.machines, side.exchange):
            assert timeline.now_ns < deadline_ns, f"{what}: the bot does not come to rest"
            process.runtime.advance(timeline.now_ns + 5 * NS_PER_MS)

    tape(MINUTES, move_to, rest)
    process.kill()
    return side.exchange


def test_threads_and_one_thread_send_the_same_orders(tmp_path: Path) -> None:
    for name in ("threads", "one", "two"):
        (tmp_path / name).mkdir()
    live = on_threads(tmp_path / "threads")
    stepped = on_one_thread(tmp_path / "one", seed=1)
    again = on_one_thread(tmp_path / "two", seed=2)
    assert len(live.ledger.trades) >= 8, "the tape has trades"
    assert orders_of(stepped) == orders_of(live)
    assert money_of(stepped) == money_of(live)
    assert orders_of(again) == orders_of(live), "in whatever order the actors take their turns"
