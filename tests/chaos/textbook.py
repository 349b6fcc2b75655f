"""The naive bot as a subject of the same chaos: what the same checks find on its ledger.

It has no journal, no fills, no control API: it is judged by the ledger alone.
"""

import json
import time
from pathlib import Path
from typing import Any

from tests.chaos.evidence import Evidence
from tests.chaos.invariants import violations
from tests.chaos.processes import Bot, Venue, eventually
from tests.chaos.rounds import LIMITS, Job, Round

# The points of the table that it has; the others are of things it does not do.
POINTS = ("K4", "K5", "K6", "K7", "K8", "K10", "K11", "K12")
JUDGED = ("I1", "I2", "I2 under faults", "I4", "I6", "I7")
_START_S = 30.0


class TextbookBot(Bot):
    """A life of the naive bot."""

    def __init__(self, state: Path, venue: Venue, env: dict[str, str]) -> None:
        super().__init__(state, venue, env, arguments=("-m", "tests.chaos.textbook_bot"))

    def up(self) -> bool:
        """Tell whether it has begun to trade."""
        try:
            return bool(json.loads((self.state / "ready").read_text())["pid"] == self.pid)
        except (OSError, ValueError, KeyError):
            return False


class TextbookJob(Job):
    """Rounds in which nobody waits for a protection that will not come."""

    def __init__(self, folder: Path, seed: int, **given: Any) -> None:
        super().__init__(folder, seed, make=TextbookBot, **given)

    def _recover(self, bot: Bot, done: Round) -> None:
        assert isinstance(bot, TextbookBot)
        eventually("it trades", bot.up, _START_S)
        done.active_s = time.monotonic() - bot.began
        done.state = "ACTIVE"
        self._end_death()

    def evidence(self, bot: Bot | None = None) -> Evidence:
        """Look at the ledger alone."""
        return Evidence(limits=LIMITS, ledger=self.venue.ledger(), windows=self.windows)

    def _compare(self, bot: Bot, done: Round) -> None:
        bot.waited(1.0)  # a chance to come to its senses
        found = self.evidence(bot)
        self._note_new(violations(found, JUDGED), done)
        self._note_naked(found, done)
