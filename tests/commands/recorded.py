"""One short run of the real bot, recorded once a session for all commands that look back."""

import atexit
import functools
import json
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.commands.cli import main
from tests.process.conftest import World, eventually

SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")


@dataclass(frozen=True)
class Recorded:
    """What the run left: its state directory, the venue's ledger, and answers while it ran."""

    state: Path
    ledger: dict[str, Any]
    explained_live: dict[str, Any]
    traced_live: str

    def rows(self, query: str) -> list[sqlite3.Row]:
        """Read from the run's database."""
        path = self.state / "async_bot_state.db"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def closed_entry(self) -> sqlite3.Row:
        """Return the journal row of an entry whose stop or target was filled."""
        (row, *_) = self.rows(
            "SELECT e.* FROM order_intent e JOIN order_intent x ON x.proposal_id = e.proposal_id"
            " JOIN fills f ON f.client_id = x.client_id"
            " WHERE e.purpose = 'E' AND x.purpose IN ('S', 'T')"
        )
        return row


@functools.cache
def recorded() -> Recorded:
    """Run venue and bot until a stop or target has filled; the folder goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="recorded-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    world = World(folder)
    try:
        world.start_venue("--seed", "3", "--speed", "120", "--symbols", ",".join(SYMBOLS))
        bot = world.start_bot(SYMBOLS=",".join(SYMBOLS))
        eventually(
            "a stop or target fills",
            lambda: any(Decimal(t["realizedPnl"]) for t in world.ledger()["trades"]),
            120,
        )
        words = ("--config", "paper.yaml")
        crash = world.start("crash", "BTCUSDT", *words, name="crash")
        assert crash.wait(30) == 0, crash.text()
        eventually(
            "the crashed symbol is back",
            lambda: world.rows(
                "SELECT * FROM actor_events WHERE name = 'symbol/BTCUSDT'"
                " AND event = 'started' AND generation = 2"
            ),
        )
        asked = world.start("explain", "BTCUSDT@now", "--json", *words, name="explain")
        assert asked.wait(30) == 0, asked.text()
        (entry, *_) = world.rows("SELECT client_id FROM order_intent WHERE purpose = 'E'")
        traced = world.start("trace", entry["client_id"], *words, name="trace")
        assert traced.wait(30) == 0, traced.text()
        assert bot.interrupt() == 0, bot.text()
        return Recorded(
            state=world.state,
            ledger=world.ledger(),
            explained_live=json.loads(asked.text()),
            traced_live=traced.text(),
        )
    finally:
        world.end()


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, Any]:
        """Return the one JSON document on stdout."""
        (line,) = self.out.splitlines()
        return dict(json.loads(line))

    def refusal(self) -> str:
        """Return the one line of a refusal."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        assert "Fix:" in line
        return line


class Commands:
    """Runs commands of run.py in this process, on one state directory."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._state = state
        self._capsys = capsys

    def __call__(self, *words: str) -> Said:
        """Run one command."""
        with pytest.MonkeyPatch.context() as environ:
            environ.setenv("STATE_DIR", str(self._state))
            code = main(list(words))
        out, err = self._capsys.readouterr()
        return Said(code, out, err)
