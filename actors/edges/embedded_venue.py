"""The embedded venue's life: started by the bot, outliving its crashes, ended by its clean exit.

The venue is a process in a session of its own, so that neither Ctrl-C nor kill -9 of the bot
reaches it: stops go on firing.  The next start finds it through `venue.json` and adopts it; where
it has stopped meanwhile, a new process rebuilds the ledger from its journal and goes on at the
saved venue time.  It inherits no file of the bot, hence not its lock, and ends by itself after ten
idle minutes.  Everything here blocks: it runs before and after the bot's actors.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.edges.venue_address import (
    LOCAL_API_KEY,
    LOCAL_API_SECRET,
    PublishedVenue,
    read,
)
from core.errors import ConfigurationError, UnavailableError

START_S = 30.0
STOP_S = 5.0
POLL_S = 0.05
CALL_S = 3.0
JOURNAL_FILE = "venue.jsonl"
LOG_FILE = "venue.log"

# Loopback never goes through a proxy, whatever the environment says.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, str(_ROOT / "run.py"), "venue")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAddress:
    """Where the bot trades, under which key pair; `resumed` tells whether the ledger existed."""

    url: str
    venue_id: str
    resumed: bool
    api_key: str
    api_secret: str = field(repr=False)


def ensure_running(
    state_dir: Path,
    *,
    symbols: Sequence[str],
    seed: int = 7,
    speed: float = 60.0,
    balance: str | float | Decimal = "10000",
    history: int = 1500,
    api_key: str = "",
    api_secret: str = "",
    port: int = 0,
    data: Path | None = None,
    funding: Path | None = None,
    command: Sequence[str] = COMMAND,
) -> VenueAddress:
    """Adopt the venue that runs on `state_dir`, or start one and wait until it answers.

    Without a key pair the documented local one is used.  The pace of an adopted venue is set to
    `speed`.  Raises ConfigurationError when the ledger there is another one (symbols, seed, data),
    UnavailableError when no venue comes up within 30 s.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    journal = state_dir / JOURNAL_FILE
    key, secret = (api_key, api_secret) if api_key else (LOCAL_API_KEY, LOCAL_API_SECRET)
    running = _running(journal)
    resumed = running is not None
    if running is None:
        options = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--seed": str(seed),
            "--symbols": ",".join(symbols),
            "--speed": str(speed),
            "--balance": str(balance),
            "--history": str(history),
            "--state": str(journal),
        }
        options |= {"--data": str(data)} if data else {}
        options |= {"--funding": str(funding)} if funding else {}
        words = [word for pair in options.items() for word in pair]
        running = _start([*command, *words], journal, key, secret)
        resumed = running.resumed
    else:
        _adopt(running, symbols, speed)
    return VenueAddress(
        url=running.url,
        venue_id=running.venue_id,
        resumed=resumed,
        api_key=key,
        api_secret=secret,
    )


def stop_running(state_dir: Path) -> bool:
    """Let the venue save and end; True when one was running and has ended."""
    journal = state_dir / JOURNAL_FILE
    running = _running(journal)
    if running is None:
        return False
    _call("POST", f"{running.url}/sim/stop", token=running.token)
    for _ in range(int(STOP_S / POLL_S)):
        if read(journal) is None:
            return True
        time.sleep(POLL_S)
    return False


def _running(journal: Path) -> PublishedVenue | None:
    """Return the published venue if its process lives and answers under its own id."""
    published = read(journal)
    if published is None or not _lives(published.pid):
        return None
    health = _call("GET", f"{published.url}/sim/health")
    if health is None or health.get("venue_id") != published.venue_id:
        return None
    return published


def _adopt(running: PublishedVenue, symbols: Sequence[str], speed: float) -> None:
    health = _call("GET", f"{running.url}/sim/health") or {}
    missing = [symbol for symbol in symbols if symbol not in health.get("symbols", [])]
    if missing:
        raise ConfigurationError(
            f"SYMBOLS names {', '.join(missing)}, which the embedded venue running on this state"
            " directory does not list. Fix: use another STATE_DIR, or the symbols it began with."
        )
    if health.get("speed") != speed and not health.get("ended"):
        _call("POST", f"{running.url}/sim/clock", body={"speed": speed})


def _start(words: Sequence[str], journal: Path, api_key: str, api_secret: str) -> PublishedVenue:
    log = journal.with_name(LOG_FILE)
    with log.open("ab") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own program
            words,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            close_fds=True,
            cwd=_ROOT,
            env={**os.environ, "API_KEY": api_key, "API_SECRET": api_secret},
        )
    # Waited for in the background: it may end before the bot does and must not stay a zombie.
    threading.Thread(target=process.wait, name="embedded-venue", daemon=True).start()
    for _ in range(int(START_S / POLL_S)):
        published = read(journal)
        if published is not None and published.pid == process.pid:
            return published
        if process.returncode is not None:
            raise _failure(process.returncode, log)
        time.sleep(POLL_S)
    process.terminate()
    raise UnavailableError(
        f"the embedded venue did not come up within {START_S:.0f} s. Fix: see {log}."
    )


def _failure(code: int, log: Path) -> ConfigurationError | UnavailableError:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1] if lines else "it said nothing"
    if code == ConfigurationError.exit_code:
        return ConfigurationError(f"embedded venue: {said}")
    return UnavailableError(f"the embedded venue ended with code {code}: {said}. Fix: see {log}.")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _call(
    method: str, url: str, *, body: dict[str, Any] | None = None, token: str = ""
) -> dict[str, Any] | None:
    """Return a JSON answer, or None when there is none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = json.dumps(body or {}).encode() if method == "POST" else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - loopback
    try:
        with _OPENER.open(request, timeout=CALL_S) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except (OSError, ValueError):
        return None
