"""Faults that the driver makes: to the process, its storage, its strategy, its account, the clock.

Each gets the `Scene` and tells whether it did anything: on another database, or where there is
nothing to take away, it does not.  What it leaves behind is put right by `Scene.heal`, after the
bot's death.
"""

import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.by_hand import cancel_a_stop, rules_of, turn_the_leverage
from tests.chaos.evidence import Window
from tests.chaos.processes import SETTINGS, SYMBOLS, Bot, Venue

_STOPPED_S = 1.5
_LOCKED_S = 2.0
_GONE_S = 1.5
_FULL_S = 1.5
_FULL_AT_BYTES = 64 * 1024
_NO_FILES_S = 1.5
_FILES_MIN = 3
_HOUR_S = 3_600.0
_DAYS_AWAY_S = 3 * 86_400.0
_OTHER_LEVERAGE = 3
_DATABASE = "async_bot_state.db"


@dataclass(kw_only=True)
class Scene:
    """One round's bot and venue, and what is to be put right after it."""

    bot: Bot
    venue: Venue
    dice: Random
    windows: list[Window]
    postgres: str = ""
    undo: list[Callable[[], object]] = field(default_factory=list)

    def heal(self) -> None:
        """Put everything right that this round's faults changed; the bot is dead."""
        while self.undo:
            self.undo.pop()()

    def jump(self, seconds: float) -> None:
        """Move the venue's clock, and declare it."""
        before = self.venue.now_ms()
        self.venue.advance(seconds)
        self.windows.append(Window(from_ms=before, to_ms=self.venue.now_ms(), why="jump"))


def stop_and_go_on(scene: Scene) -> bool:
    """F2: the process stands still for a while, as on a paused machine."""
    bot = scene.bot
    bot.signal(signal.SIGSTOP)
    _later(_STOPPED_S, lambda: bot.signal(signal.SIGCONT))
    return True


def crash_a_symbol(scene: Scene) -> bool:
    """F4: a symbol's actor raises."""
    return scene.bot.command(command="crash", symbol=scene.dice.choice(SYMBOLS))


def cancel_its_stop(scene: Scene) -> bool:
    """F35: somebody cancels the stop of a position on the venue's page."""
    return bool(cancel_a_stop(scene.venue))


def change_the_leverage(scene: Scene) -> bool:
    """F40: somebody moves a symbol's leverage."""
    symbol, venue = scene.dice.choice(SYMBOLS), scene.venue
    turn_the_leverage(venue, symbol, _OTHER_LEVERAGE)
    scene.undo.append(lambda: turn_the_leverage(venue, symbol, int(SETTINGS["LEVERAGE"])))
    return True


def delist_a_symbol(scene: Scene) -> bool:
    """F43: a symbol stops trading; its resting orders are gone."""
    return _with_status(scene, status="SETTLING")


def hide_a_symbol(scene: Scene) -> bool:
    """F45: the list of symbols lacks one."""
    return _with_status(scene, status="TRADING", hidden=True)


def change_the_filters(scene: Scene) -> bool:
    """F44: a symbol's tick grows tenfold under way."""
    symbol, venue = scene.dice.choice(SYMBOLS), scene.venue
    rules = rules_of(venue, symbol)
    coarse = {"tickSize": f"{float(rules['tickSize']) * 10:f}"}

    def change(args: dict[str, str]) -> None:
        fault = {"kind": "filter_change", "count": 1, "match": {"symbol": symbol}, "args": args}
        venue.inject([fault])

    began, began_ns = venue.now_ms(), time.time_ns()
    change(coarse)

    def put_back() -> None:
        change(rules)
        spent = {"to_ms": venue.now_ms(), "wall_ns": (began_ns, time.time_ns())}
        scene.windows.append(Window(from_ms=began, why="filters", **spent))

    scene.undo.append(put_back)
    return True


def take_the_files_away(scene: Scene) -> bool:
    """F5: for a while the bot can open no file and no socket (EMFILE)."""
    return _limited(scene, resource.RLIMIT_NOFILE, _FILES_MIN, _NO_FILES_S)


def fill_the_disk(scene: Scene) -> bool:
    """F46, F49: for a while no file of the bot can grow: database, log and trace (EFBIG)."""
    return _limited(scene, resource.RLIMIT_FSIZE, _FULL_AT_BYTES, _FULL_S)


def lock_the_database(scene: Scene) -> bool:
    """F47: somebody else holds the write lock for seconds; on PostgreSQL that of the journal."""
    if scene.postgres:
        threading.Thread(target=_lock_the_journal, args=(scene.postgres,), daemon=True).start()
        return True
    path = Path(scene.bot.state) / _DATABASE
    if not path.exists():
        return False
    other = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        other.close()
        return False
    _later(_LOCKED_S, other.close)
    return True


def take_the_database_away(scene: Scene) -> bool:
    """F48: the database's files are gone for a while (SQLite)."""
    names = [f"{_DATABASE}{end}" for end in ("", "-wal", "-shm")]
    aside = scene.bot.state / "aside"
    if scene.postgres:
        return False
    aside.mkdir(exist_ok=True)
    moved = [name for name in names if (scene.bot.state / name).exists()]
    for name in moved:
        (scene.bot.state / name).rename(aside / name)
    lock = threading.Lock()

    def put_back() -> None:
        with lock:
            for name in moved:
                if (aside / name).exists():
                    (aside / name).rename(scene.bot.state / name)

    _later(_GONE_S, put_back)
    scene.undo.append(put_back)
    return bool(moved)


def cut_the_connections(scene: Scene) -> bool:
    """F50: the PostgreSQL server ends every connection of the bot."""
    if not scene.postgres:
        return False
    import psycopg

    with psycopg.connect(scene.postgres, autocommit=True) as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return bool(cut.fetchall())


def let_hours_pass(scene: Scene) -> bool:
    """F11, F53: the venue's clock is an hour further, and the candles between were not streamed."""
    scene.jump(_HOUR_S)
    return True


def stay_away_for_days(scene: Scene) -> bool:
    """F54: after its death nobody starts it for three days."""
    scene.undo.append(lambda: scene.jump(_DAYS_AWAY_S))
    return True


def spoil_the_strategy(scene: Scene) -> bool:
    """F55: what decides answers NaN, raises for some, or does not come back for seconds."""
    bad = scene.bot.state / "bad"
    bad.write_text(scene.dice.choice(("nan", "inf", "raise", "hang")), encoding="ascii")
    scene.undo.append(lambda: bad.unlink(missing_ok=True))
    return True


def _with_status(scene: Scene, **args: object) -> bool:
    venue, match = scene.venue, {"symbol": scene.dice.choice(SYMBOLS)}

    def change(args: dict[str, object]) -> None:
        venue.inject([{"kind": "delist", "count": 1, "match": match, "args": args}])

    change(dict(args))
    scene.undo.append(lambda: change({"status": "TRADING", "hidden": False}))
    return True


def _limited(scene: Scene, kind: int, soft: int, seconds: float) -> bool:
    """Lower one of the bot's limits for a while."""
    pid = scene.bot.pid

    def limit(value: int) -> None:
        _, hard = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (value, hard))

    def put_back() -> None:
        with suppress(ProcessLookupError):
            limit(before)

    try:
        before, _ = resource.prlimit(pid, kind)
        limit(soft)
    except ProcessLookupError:
        return False
    _later(seconds, put_back)
    return True


def _lock_the_journal(where: str) -> None:
    import psycopg

    with psycopg.connect(where) as connection:
        connection.execute("LOCK TABLE order_intent IN EXCLUSIVE MODE")
        connection.execute("SELECT pg_sleep(%s)", (_LOCKED_S,))


def _later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


DRIVER_FAULTS: dict[str, Callable[[Scene], bool]] = {
    "F2": stop_and_go_on,
    "F4": crash_a_symbol,
    "F5": take_the_files_away,
    "F35": cancel_its_stop,
    "F40": change_the_leverage,
    "F43": delist_a_symbol,
    "F44": change_the_filters,
    "F45": hide_a_symbol,
    "F46": fill_the_disk,
    "F47": lock_the_database,
    "F48": take_the_database_away,
    "F50": cut_the_connections,
    "F53": let_hours_pass,
    "F54": stay_away_for_days,
    "F55": spoil_the_strategy,
}
