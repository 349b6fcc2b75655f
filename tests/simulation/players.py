"""The same tape through everything that can play one: threads, one thread, and the backtest."""

import asyncio
import time
from pathlib import Path
from random import Random

from actors.assembly import Assembly, Machines
from actors.bot import MultiSymbolBot
from actors.edges.strategy_loader import load_strategy_class
from actors.model_shelf import ModelShelf
from actors.stepped import Timeline
from config import Config
from core.backtest.full import FullRun, Pace
from core.backtest.tape import Tape
from core.clock import NS_PER_MS, NS_PER_S
from core.venue.simulated.exchange import Exchange
from tests.simulation.faults import Faults
from tests.simulation.frozen_venue import FrozenVenue
from tests.simulation.lockstep import SEED, SYMBOLS, TakingTurns, at_rest, tape
from tests.simulation.process import Process
from tests.simulation.record import Record
from tests.simulation.venue_side import START_MS, VenueSide

MINUTES = 20
PATIENCE_S = 20.0


def on_threads(config: Config, venue: FrozenVenue) -> Exchange:
    """Play the tape to the live bot: its threads, its sockets, its database."""
    bot = MultiSymbolBot(config)
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


def on_one_thread(config: Config, seed: int, exchange: Exchange | None = None) -> Exchange:
    """Play the tape to the same actors on the stepped runtime."""
    timeline = Timeline(START_MS * NS_PER_MS)
    faults = Faults.drawn(seed)
    faults.active = False
    side = VenueSide(timeline, faults, symbols=SYMBOLS, seed=SEED, speed=0.0, exchange=exchange)
    process = Process(
        config=config,
        strategy_class=TakingTurns,
        timeline=timeline,
        dice=Random(seed),
        side=side,
        faults=faults,
        path=Path(config.STATE_DIR) / "bot.db",
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


def through_backtest(
    config: Config,
    bars: Tape,
    exchange: Exchange,
    *,
    start: int,
    pace: Pace | None = None,
) -> Exchange:
    """Play bars to the machines alone; the exchange must play the same ones."""
    for symbol in bars.symbols:
        chosen = exchange.account.settings[symbol]
        chosen.isolated, chosen.leverage = True, config.for_symbol(symbol).LEVERAGE
    loaded = load_strategy_class(config.STRATEGY)
    assembly = Assembly(config, loaded, ModelShelf(Path()), Machines())
    assembly.instruments.update(bars.instruments)
    run = FullRun(
        bars,
        exchange,
        symbols={symbol: assembly.symbol_builder(symbol)(1) for symbol in bars.symbols},
        risk=assembly.risk(),
        execution=assembly.execution(),
        start=start,
        warmup=start,
        pace=pace,
    )
    run.play()
    return exchange
