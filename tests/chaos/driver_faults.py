"""Faults that the driver itself makes: to the process, to its storage, to its actors."""

import json
import signal
import sqlite3
import threading
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from random import Random

from tests.chaos.processes import SYMBOLS, Bot, ask

_STOPPED_S = 1.5
_LOCKED_S = 2.0


def stop_and_go_on(bot: Bot, _: Random) -> None:
    """F2: the process stands still for a while, as on a paused machine."""
    bot.signal(signal.SIGSTOP)
    _later(_STOPPED_S, lambda: bot.signal(signal.SIGCONT))


def crash_a_symbol(bot: Bot, dice: Random) -> None:
    """F4: a symbol's actor raises."""
    try:
        address = json.loads((bot.state / "control.json").read_text(encoding="utf-8"))
        url = f"http://{address['host']}:{address['port']}"
        body = {"command": "crash", "symbol": dice.choice(SYMBOLS)}
        ask("POST", url, "/command", body, token=address["token"])
    except (OSError, ValueError, KeyError, HTTPException):
        return  # it is on its way down, or has died of another fault


def lock_the_database(bot: Bot, _: Random) -> None:
    """F47: somebody else holds the write lock for seconds (SQLite)."""
    path = Path(bot.state) / "async_bot_state.db"
    if not path.exists():
        return
    other = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        other.close()
        return
    _later(_LOCKED_S, other.close)


def _later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


DRIVER_FAULTS: dict[str, Callable[[Bot, Random], None]] = {
    "F2": stop_and_go_on,
    "F4": crash_a_symbol,
    "F47": lock_the_database,
}
