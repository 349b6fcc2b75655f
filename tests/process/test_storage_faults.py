"""Storage fails under a trading bot: entries stop, protection goes on, and nothing is lost.

The faults are real: a file system without room, a lock of another process, a database that is
moved away, a PostgreSQL server that is stopped.
"""

import hashlib
import hmac
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.edges.database import DatabaseManager
from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from core.messages import Purpose
from tests.persistence.conftest import PostgresServer
from tests.process.conftest import Process, World, eventually
from tests.process.test_first_light import holds_protected_position, own

pytestmark = pytest.mark.process

_MOUNT = 'mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"'


class Stage:
    """A venue, a bot on it that holds a protected position, and the storage that will fail."""

    def __init__(self, world: World, db_file: str, wrapper: tuple[str, ...] = ()) -> None:
        self.world = world
        world.start_venue("--seed", "3", "--speed", "60")
        self.bot: Process = world.start_bot(wrapper, DB_FILE=db_file, RECONCILE_S="5")
        eventually("a protected position", lambda: holds_protected_position(world), 60)

    def entries(self) -> int:
        return len(own(self.world.ledger()["orders"], Purpose.ENTRY))

    def said(self, *words: str) -> str:
        """Return the last line of the log with all these words."""
        lines = [x for x in self.bot.text().splitlines() if all(word in x for word in words)]
        return lines[-1] if lines else ""

    def take_a_stop_away(self) -> str:
        """Cancel a live stop, as its owner might by hand; return its symbol."""

        def a_live_stop() -> dict[str, Any] | None:
            ledger = self.world.ledger()
            held = {p["symbol"] for p in ledger["positions"] if Decimal(p["positionAmt"])}
            stops = [a for a in own(ledger["algo_orders"], Purpose.STOP) if a["symbol"] in held]
            return next((a for a in stops if a["algoStatus"] == "NEW"), None)

        stop = eventually("a live stop", a_live_stop, 60)
        query = urllib.parse.urlencode(
            {
                "symbol": stop["symbol"],
                "algoId": stop["algoId"],
                "timestamp": time.time_ns() // 1_000_000,
            }
        )
        signature = hmac.new(LOCAL_API_SECRET.encode(), query.encode(), hashlib.sha256)
        request = urllib.request.Request(  # noqa: S310 - the venue of this test
            f"{self.world.url}/fapi/v1/algoOrder?{query}&signature={signature.hexdigest()}",
            method="DELETE",
            headers={"X-MBX-APIKEY": LOCAL_API_KEY},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            assert json.load(answer)
        return str(stop["symbol"])

    def is_protected_again(self, symbol: str) -> bool:
        ledger = self.world.ledger()
        held = any(Decimal(p["positionAmt"]) for p in ledger["positions"] if p["symbol"] == symbol)
        stops = [a for a in own(ledger["algo_orders"], Purpose.STOP) if a["symbol"] == symbol]
        return not held or any(a["algoStatus"] == "NEW" for a in stops)

    def goes_on_protecting(self, *words: str) -> None:
        """Show what happens while the storage fails; `words` stand in the operator's line."""
        line = eventually("the bot says what is wrong", lambda: self.said("ERROR", *words), 90)
        assert "Fix: " in line
        threading.Event().wait(1)  # an entry whose row was in time may still be on its way
        before = self.entries()
        for _ in range(2):
            symbol = self.take_a_stop_away()
            eventually("the stop is back", lambda s=symbol: self.is_protected_again(s), 20)
        assert self.entries() == before, "an entry left without its journal row"
        assert self.bot.alive()

    def catches_up(self, opened: Callable[[], DatabaseManager]) -> None:
        """Show that all that was held is written, and that trading goes on."""
        eventually("it says that storage is back", lambda: self.said("storage", "again"), 90)
        known = len(self.world.ledger()["trades"])
        eventually("a new trade", lambda: len(self.world.ledger()["trades"]) > known, 120)

        def agree() -> bool:
            with closing(opened()) as database:
                known = database.recover().known_trades
                assert database.verify_audit().faults == ()
            stored = {f"{symbol}:{number}" for symbol, numbers in known for number in numbers}
            ledger = {f"{t['symbol']}:{t['id']}" for t in self.world.ledger()["trades"]}
            return stored == ledger

        eventually("database and venue agree on every trade", agree, 90)
        assert "Traceback" not in self.bot.text()


@pytest.fixture(scope="module")
def may_mount(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What runs a command with a small file system of its own."""
    folder = tmp_path_factory.mktemp("mount")
    wrapper = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT)
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*wrapper, str(folder), "true"], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("this kernel lets nobody mount a small file system without root")
    return wrapper


def test_a_full_disk_stops_entries_only_and_what_was_held_is_written_once_there_is_room(
    world: World, may_mount: tuple[str, ...]
) -> None:
    disk = world.folder / "disk"
    disk.mkdir()
    stage = Stage(world, str(disk / "bot.db"), (*may_mount, str(disk)))
    seen = Path(f"/proc/{stage.bot.pid}/root{disk}")  # the bot's own view
    filler = seen / "filler"
    _fill(filler)
    stage.goes_on_protecting("disk is full", "free disk space")
    filler.unlink()
    copies = world.folder / "copies"

    def copied() -> DatabaseManager:
        """Open what a power cut would leave now: the driver does not find its way there."""
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        os.kill(stage.bot.pid, signal.SIGSTOP)
        try:
            for name in ("bot.db", "bot.db-wal"):
                shutil.copy(seen / name, copies / name)
        finally:
            os.kill(stage.bot.pid, signal.SIGCONT)
        return DatabaseManager(str(copies / "bot.db"))

    stage.catches_up(copied)


def _fill(path: Path) -> None:
    """Write until the file system has no room left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_a_lock_of_another_program_stops_entries_only(world: World) -> None:
    path = world.folder / "bot.db"
    stage = Stage(world, str(path))
    held_from = time.monotonic()
    with _locked(path):
        stage.goes_on_protecting("locked", "stop the other program")
        threading.Event().wait(max(0.0, 30 - (time.monotonic() - held_from)))
        assert stage.bot.alive()
    stage.catches_up(lambda: DatabaseManager(str(path), read_only=True))


def test_a_database_that_is_gone_is_not_begun_anew_and_works_once_put_back(world: World) -> None:
    folder = world.folder / "db"
    folder.mkdir()
    stage = Stage(world, str(folder / "bot.db"))
    folder.rename(world.folder / "elsewhere")
    stage.goes_on_protecting("removed", "put the file back")
    assert not folder.exists()
    (world.folder / "elsewhere").rename(folder)
    stage.catches_up(lambda: DatabaseManager(str(folder / "bot.db"), read_only=True))


def test_a_restarted_postgresql_stops_entries_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(world.folder))
    server = PostgresServer()
    try:
        url = server.empty_database()
        stage = Stage(world, url)
        server.stop()
        stage.goes_on_protecting("database server", "Fix: ")
        server.start()
        stage.catches_up(lambda: DatabaseManager(url, read_only=True))
        assert stage.bot.interrupt() == 0
    finally:
        server.remove()
