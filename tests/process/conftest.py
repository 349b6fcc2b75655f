"""Real processes: the venue and the bot as a user starts them, in a folder of their own."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_MOUNT = 'mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"'


def eventually(what: str, probe: Callable[[], Any], within_s: float = 60.0) -> Any:
    """Return the first truthy answer of `probe`; fail with `what` when time runs out."""
    deadline = time.monotonic() + within_s
    pause = __import__("threading").Event()
    while time.monotonic() < deadline:
        answer = probe()
        if answer:
            return answer
        pause.wait(0.1)
    raise AssertionError(f"{what}: not within {within_s:.0f} s")


@pytest.fixture(scope="session", autouse=True)
def _hears_ctrl_c() -> None:
    """A suite begun in the background is deaf to Ctrl-C, and what it starts would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Process:
    """A command of run.py; its output goes to a file that a failing test shows."""

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        env: dict[str, str],
        name: str,
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self.log = folder / f"{name}.log"
        clean = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [*wrapper, sys.executable, str(ROOT / "run.py"), *arguments],
                cwd=ROOT,
                env=clean | env,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def text(self) -> str:
        """Return what it printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._process.kill()
        self._process.wait(10)

    def interrupt(self, within_s: float = 60.0) -> int:
        """Press Ctrl-C and return its exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(within_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def maps(self) -> str:
        """Return which files it has mapped: the libraries it has loaded so far."""
        return Path(f"/proc/{self._process.pid}/maps").read_text(encoding="utf-8")

    def wait(self, within_s: float) -> int:
        """Return its exit code."""
        return self._process.wait(within_s)


class World:
    """One folder, one venue in it, and the bots that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.url = ""
        self._processes: list[Process] = []

    def start(
        self, *arguments: str, name: str = "bot", wrapper: tuple[str, ...] = (), **env: str
    ) -> Process:
        """Start a command of run.py with settings from the environment."""
        env = {"STATE_DIR": str(self.state)} | env
        process = Process(list(arguments), self.folder, env, name, wrapper)
        self._processes.append(process)
        return process

    def start_venue(self, *arguments: str) -> Process:
        """Start a venue of its own and remember its address."""
        venue = self.start("venue", "--port", "0", *arguments, name="venue")

        def address() -> str:
            lines = [x for x in venue.text().splitlines() if x.startswith("venue ready on ")]
            assert venue.alive(), venue.text()
            return lines[0].removeprefix("venue ready on ").strip() if lines else ""

        self.url = eventually("the venue says it is ready", address, 90)
        return venue

    def start_bot(self, wrapper: tuple[str, ...] = (), **env: str) -> Process:
        """Start a bot on that venue."""
        env = {"VENUE": "embedded", "VENUE_URL": self.url} | env
        return self.start("--config", "paper.yaml", "--no-dashboard", wrapper=wrapper, **env)

    def get(self, path: str) -> Any:
        """GET a path of the venue."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=20) as answer:  # noqa: S310
            return json.load(answer)

    def ledger(self) -> dict[str, Any]:
        """Return the venue's own books."""
        return dict(self.get("/sim/ledger"))

    def rows(self, query: str) -> list[sqlite3.Row]:
        """Read from the bot's database."""
        path = self.state / "async_bot_state.db"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def end(self) -> None:
        """Leave no process behind."""
        for process in self._processes:
            if process.alive():
                process.kill()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a test its own world, and show every log if it fails."""
    here = World(tmp_path)
    yield here
    here.end()


@pytest.fixture(scope="session")
def may_mount(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What runs a command with a small file system of its own."""
    folder = tmp_path_factory.mktemp("mount")
    wrapper = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT)
    if (
        shutil.which("unshare") is None
        or shutil.which("nsenter") is None
        or subprocess.run(
            [*wrapper, str(folder), "true"], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("this kernel lets nobody mount a small file system without root")
    return wrapper
