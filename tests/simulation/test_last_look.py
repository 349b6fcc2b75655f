"""Stopping: what is held is compared with the venue once more, and a missing stop is placed."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.bot import MultiSymbolBot
from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.simulation.frozen_venue import FrozenVenue
from tests.simulation.lockstep import at_rest, settings, tape

MINUTES = 30
PATIENCE_S = 20.0


class Desk:
    """A live bot on a venue whose time is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.venue = FrozenVenue()
        self.venue.start()
        self.bot = MultiSymbolBot(settings(folder, self.venue.url))
        self.loop = asyncio.new_event_loop()
        assert self.loop.run_until_complete(self.bot.initialize())

    def rest(self, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not at_rest(self.bot.machines, self.venue.world.exchange):
            assert time.monotonic() < deadline, f"{what}: the bot does not come to rest"
            self.loop.run_until_complete(asyncio.sleep(0.005))
        if self.held():
            raise HoldsError

    def trade_until_it_holds(self) -> None:
        with pytest.raises(HoldsError):
            tape(MINUTES, self.venue.move_to, self.rest)

    def held(self) -> set[str]:
        return {position.symbol for position in self.venue.world.exchange.account.held()}

    def protected(self) -> set[str]:
        ledger = self.venue.world.exchange.ledger
        return {
            algo.symbol
            for algo in ledger.open_algos()
            if purpose_of("afb", algo.client_algo_id) is Purpose.STOP
        }

    def stop(self) -> None:
        self.loop.run_until_complete(self.bot.cleanup())

    def end(self) -> None:
        self.stop()
        self.loop.close()
        self.venue.stop()


class HoldsError(Exception):
    """A position is held and protected."""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.end()


def test_a_stop_that_vanished_unheard_is_placed_again_before_the_bot_leaves(desk: Desk) -> None:
    desk.trade_until_it_holds()
    gone = desk.venue.drop_stops()
    assert set(gone) == desk.held() != set()
    assert desk.protected() == set()
    desk.stop()
    assert desk.protected() == desk.held() != set()


def test_with_nothing_held_it_does_not_ask_the_venue_again(desk: Desk) -> None:
    execution = desk.bot.machines.execution
    assert execution is not None
    desk.stop()
    assert execution.comparisons_asked == 0
