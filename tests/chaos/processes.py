"""A venue and the bots that come and go beside it, as real processes on loopback."""

import contextlib
import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.evidence import Row

ROOT = Path(__file__).parents[2]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
NOT_TRADED = "XRPUSDT"
SPEED = 60.0
# Whatever of these stands in a file at the end has leaked.
CANARIES = {
    "API_KEY": "canary-key-5d1c9f0a7be24c",
    "API_SECRET": "canary-secret-93be61f07ad8",
    "CONTROL_TOKEN": "canary-token-40aa7c12e9fd",
}
SETTINGS = {
    "VENUE": "embedded",
    "STRATEGY": "tests.chaos.dice:DiceStrategy",
    "SYMBOLS": ",".join(SYMBOLS),
    "ALLOW_TECHNICAL_ONLY": "true",
    "KLINE_HISTORY": "60",
    "LEVERAGE": "5",
    "STOPLOSS_PCT": "0.002",
    "TAKE_PROFIT_PCT": "0.003",
    "MAX_SYMBOL_NOTIONAL_X": "0.25",
    "MAX_OPEN_POSITIONS": "3",
    "DAILY_MAX_LOSS_PCT": "0.9",
    "MAX_DRAWDOWN": "1",
    "LOSS_STREAK_LATCH": "0",
    "MAX_ENTRIES_SYMBOL_1H": "100000",
    "MAX_ENTRIES_DAY": "1000000",
    "MAX_SIGNAL_RATIO": "1000000",
    "DUP_WINDOW_S": "0",
    "ORDERS_PER_10S": "280",
    "ORDERS_PER_MIN": "1000",
    "REST_TIMEOUT": "3",
    "RETRY_DELAY": "0.2",
    "WEBSOCKET_TIMEOUT": "5",
    "RECONCILE_S": "10",
    "BACKOFF_MIN_S": "0.1",
}
_TIMEOUT_S = 20.0
_LOADED_IDLE_S = 2.0  # 2 cores, nothing else running
_SLOW_MAX = 5.0
_PR_SET_PDEATHSIG = 1


class GaveUpError(Exception):
    """Something did not come within its time."""


def eventually(what: str, probe: Callable[[], Any], within_s: float, pause_s: float = 0.05) -> Any:
    """Return the first truthy answer of `probe`; raises GaveUpError with `what`."""
    deadline = time.monotonic() + within_s
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise GaveUpError(f"{what}: not within {within_s:.0f} s")
        time.sleep(pause_s)


def ask(
    method: str,
    url: str,
    path: str,
    body: Any = None,
    *,
    token: str = "",
    headers: dict[str, str] | None = None,
) -> Any:
    """Return the JSON of an HTTP answer; raises OSError or HTTPException where there is none."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)
    try:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {**bearer, **(headers or {})})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _spawn(arguments: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=kept | env,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - a driver that dies leaves nobody behind
        )


def slowness() -> float:
    """Return how much longer the bot's modules take to load here and now than on an idle machine.

    Times for the bot are measured in such units where the machine may be busy with other things.
    """
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import actors.bot"], cwd=ROOT, check=True)
    return min(_SLOW_MAX, max(1.0, (time.monotonic() - began) / _LOADED_IDLE_S))


def die_with_parent() -> None:
    """Let the kernel end this process when the one that started it dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Venue:
    """`run.py venue` on a free port, alive through all rounds of a job.

    Rate limits are off unless asked for: a start costs some 290 of the 2,400 weight a minute, and a
    bot that is killed every few seconds starts more often than that.  Its counts are told all the
    same and the bot obeys them, so the driver waits for a new minute (`weight_used`).
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        speed: float = SPEED,
        *,
        rate_limits: bool = False,
        symbols: str = ",".join((*SYMBOLS, NOT_TRADED)),
        journal: Path | None = None,
    ) -> None:
        self._log = folder / "venue.log"
        self._armed: dict[str, deque[str]] = {}  # numbers by kind, in the venue's own order
        words = ["run.py", "venue", "--port", "0", "--seed", str(seed), "--symbols", symbols]
        words += ["--speed", str(speed), "--rate-limits", "on" if rate_limits else "off"]
        words += ["--state", str(journal)] if journal is not None else []
        self._log.unlink(missing_ok=True)
        self._process = _spawn(words, CANARIES, self._log)
        self.url = eventually("the venue is ready", self._address, 60)

    def _address(self) -> str:
        for line in (
            self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else ()
        ):
            if line.startswith("venue ready on "):
                return line.removeprefix("venue ready on ").strip()
        if self._process.poll() is not None:
            raise GaveUpError(f"the venue ended: {self._log.read_text(encoding='utf-8')}")
        return ""

    def get(self, path: str) -> Row:
        return dict(ask("GET", self.url, path))

    def ledger(self) -> Row:
        return self.get("/sim/ledger")

    def now_ms(self) -> float:
        return float(self.get("/sim/health")["venue_ms"])

    def weight_used(self) -> int:
        """Return the request weight of the present minute, counted with limits on or off."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)
        try:
            connection.request("GET", "/fapi/v1/ping")
            return int(connection.getresponse().getheader("X-MBX-USED-WEIGHT-1M") or 0)
        finally:
            connection.close()

    def inject(self, faults: list[Row], number: str = "") -> None:
        """Arm faults, under a number of the catalogue."""
        if faults:
            ask("POST", self.url, "/sim/faults", faults)
            for fault in faults:
                self._armed.setdefault(fault["kind"], deque()).append(number)

    def heal(self) -> list[tuple[str, Row]]:
        """End all faults; returns those that were armed, with their numbers."""
        rows = self.get("/sim/faults")["faults"]
        ask("DELETE", self.url, "/sim/faults")
        armed, self._armed = self._armed, {}
        return [(armed[row["kind"]].popleft(), row) for row in rows]

    def advance(self, seconds: float) -> None:
        ask("POST", self.url, "/sim/clock", {"advance_s": seconds})

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def leave(self) -> None:
        """End in good order, so that a journal is whole."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self.stop()


class Bot:
    """One life of the bot; `arguments` name another program than run.py for the baseline."""

    def __init__(
        self,
        state: Path,
        venue: Venue,
        env: dict[str, str],
        arguments: tuple[str, ...] = ("run.py", "--config", "paper.yaml", "--no-dashboard"),
    ) -> None:
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        self.log = state / "console.log"
        where = {"STATE_DIR": str(state), "VENUE_URL": venue.url}
        self.began = time.monotonic()
        self._process = _spawn(list(arguments), SETTINGS | CANARIES | where | env, self.log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def code(self) -> int | None:
        """Return the exit code, negative for a signal, None while it runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._process.kill()
        self._process.wait(10)

    def arm(self) -> None:
        """Let its kill point count from now on."""
        self.signal(signal.SIGUSR2)

    def waited(self, seconds: float) -> bool:
        """Wait for its end; tell whether it came."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def status(self) -> Row:
        """Return the control API's snapshot, empty while there is none."""
        try:
            address = json.loads((self.state / "control.json").read_text(encoding="utf-8"))
            if address["pid"] != self.pid:
                return {}
            url = f"http://{address['host']}:{address['port']}"
            return dict(ask("GET", url, "/snapshot", token=address["token"]))
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return {}

    def command(self, **body: Any) -> bool:
        """Give the control API a command; False where there is none (any more)."""
        try:
            address = json.loads((self.state / "control.json").read_text(encoding="utf-8"))
            url = f"http://{address['host']}:{address['port']}"
            ask("POST", url, "/command", body, token=address["token"])
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return False  # it is on its way down, or has died of another fault
        return True

    def trade(self, go: bool) -> None:
        """Let the dice fall, or hold them."""
        flag = self.state / "go"
        flag.touch() if go else flag.unlink(missing_ok=True)
