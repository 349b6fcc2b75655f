"""Storage fails under a trading bot: entries stop, protection goes on, and nothing is lost.

The faults are real: a file system without room, a lock of another process, a database that is
moved away, a PostgreSQL server that is stopped.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from actors.edges.database import DatabaseManager
from tests.process.conftest import World
from tests.process.stage import Stage

pytestmark = pytest.mark.process

_MOUNT = 'mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"'


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


_PAGE = 4096


def _rot(path: Path) -> tuple[bytes, bytes]:
    """Overwrite every page of a file but its header; return what stood there, and the garbage."""
    whole = path.read_bytes()
    garbage = whole[:_PAGE] + os.urandom(len(whole) - _PAGE)
    with path.open("r+b") as file:
        file.write(garbage)
    return whole, garbage


def test_rotten_pages_stop_entries_only(world: World) -> None:
    path = world.folder / "bot.db"
    stage = Stage(world, str(path))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    whole, garbage = _rot(path)
    assert len(whole) > 20 * _PAGE
    stage.goes_on_protecting("malformed", "put")
    with path.open("r+b") as file:
        for at in range(0, len(whole), _PAGE):
            if file.seek(at) == at and file.read(_PAGE) == garbage[at : at + _PAGE]:
                file.seek(at)
                file.write(whole[at : at + _PAGE])
    stage.catches_up(lambda: DatabaseManager(str(path), read_only=True))
