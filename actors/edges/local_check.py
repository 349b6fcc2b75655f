"""The part of the self-check that needs no venue: settings, keys, models, storage, room, owner."""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from actors.edges.connection import Connection
from actors.edges.database import DatabaseManager
from actors.edges.lease import LEASE_S
from actors.edges.state_directory import StateDirectory
from actors.self_check import Finding, green, red, refused, warning
from config import Config
from core.clock import NS_PER_S
from core.errors import ModelRefusedError, TradingError
from core.risk.worst_case import WorstCase, contradictions
from models.model_files import model_path
from models.price_predictor import PricePredictor

_DISK_FREE_MIN = 1 << 30


def check_settings(config: Config, worst: WorstCase) -> Iterator[Finding]:
    """Judge the settings among themselves, and say what they can cost."""
    found = contradictions(config, worst)
    for one in found:
        yield (red if one.error else warning)("settings", one.text, one.fix)
    if not found:
        yield green("settings", f"{len(config.SYMBOLS)} symbols, consistent")
    yield green(
        "worst case",
        f"{worst.at_stops:,.2f} USDT of {worst.balance:,.2f} if every stop is hit (limit"
        f" {worst.day_limit:,.2f}, gap slack {worst.gap_slack:,.2f} in it);"
        f" {worst.disaster:,.2f} if every position is liquidated",
    )


def check_keys(config: Config) -> Finding:
    """Look whether the venue's keys are there; their rights are the venue's to tell."""
    if config.VENUE == "embedded":
        return green("keys", "the embedded venue needs none")
    try:
        config.require_keys_and_consent()
    except TradingError as error:
        return refused("keys", error)
    return green("keys", "present")


def check_models(config: Config, state: StateDirectory) -> Iterator[Finding]:
    """Verify each symbol's model against its signed manifest, as a start does."""
    for symbol in config.SYMBOLS:
        name, path = f"model {symbol}", model_path(state.models, symbol)
        if not path.exists():
            if config.ALLOW_TECHNICAL_ONLY:
                yield green(name, "none: technical signals only")
            else:
                text = "none, and ALLOW_TECHNICAL_ONLY is off: it will not trade"
                yield warning(name, text, "run.py train, or set ALLOW_TECHNICAL_ONLY=true")
            continue
        predictor = PricePredictor()
        try:
            predictor.load_model(str(path))
        except ModelRefusedError as error:
            yield refused(name, error)
            continue
        skill = "skilled" if predictor.skilled else "verified, but without proven skill: not used"
        yield green(name, skill)


def check_disk(state: StateDirectory) -> Finding:
    """Look for room: a full disk stops entries."""
    free = shutil.disk_usage(_existing(state.root)).free
    detail = f"{free / (1 << 30):,.1f} GiB free at {state.root}"
    if free < _DISK_FREE_MIN:
        return red("disk", f"{detail}, needs 1", "free space, or set another STATE_DIR")
    return green("disk", detail)


def check_state_directory(state: StateDirectory) -> Finding:
    """Make the folders and see that they can be written to."""
    try:
        state.create()
    except TradingError as error:
        return refused("state directory", error)
    wish = state.kill_wish()
    if wish:
        fix = "delete it, then run.py resume"
        return warning("state directory", f"{state.kill_file} is there: {wish}", fix)
    return green("state directory", str(state.root))


def check_database(state: StateDirectory, venue_id: str) -> Finding:
    """Store one row of each kind, read them, and take them back; compare the ledger's name.

    `venue_id` is empty where the venue did not answer.
    """
    manager = DatabaseManager(state.database)
    try:
        manager.initialize_database()
        manager.rehearse()
        bound = manager.get_bot_state().get("venue_identity", venue_id)
    except TradingError as error:
        return refused("database", error)
    finally:
        manager.close()
    if venue_id and bound != venue_id:
        text = f"belongs to the ledger {bound}, this venue is {venue_id}"
        return red("database", text, "set DB_FILE or STATE_DIR to another place for this venue")
    return green("database", "writes and reads")


def check_audit(state: StateDirectory) -> Finding:
    """Verify the audit chain from end to end, and what it seals; a bot may run beside it."""
    manager = DatabaseManager(state.database, read_only=True)
    try:
        verdict = manager.verify_audit()
    except TradingError as error:
        return refused("audit chain", error)
    finally:
        manager.close()
    if verdict.faults:
        more = f" and {len(verdict.faults) - 1} more" if len(verdict.faults) > 1 else ""
        fix = "find out who changed the database, and restore a backup (run.py restore FILE)"
        return red("audit chain", f"{verdict.faults[0]}{more}", fix)
    return green("audit chain", f"{verdict.links} links verified")


def check_owner(state: StateDirectory) -> Finding:
    """Tell who runs on the database; a bot of our own is fine, a stranger's is not.

    Looks only: the lock is never touched, so that no starting bot is refused for a check.
    """
    connection = Connection(state.database, read_only=True)
    sql = "SELECT host, lock_file, pid, beat_wall_ns FROM lease"
    try:
        with connection.session() as database:
            row = database.execute_sql(sql).fetchone()
    except TradingError as error:
        return refused("owner", error)
    finally:
        connection.close()
    if row is None or not int(row[3]):
        return green("owner", "free")
    host, lock_file, pid = str(row[0]), str(row[1]), int(row[2])
    age_s = abs(time.time_ns() - int(row[3])) / NS_PER_S
    here = host == platform.node()
    if age_s > LEASE_S or (here and not _lives(pid)):
        return green("owner", "free: the last bot is gone")
    if here and lock_file == str(state.lock_file):
        return green("owner", f"your bot runs, pid {pid}")
    text = f"in use by pid {pid} on {host}, seen {age_s:.0f} s ago"
    return red("owner", text, "stop that bot, or set another DB_FILE")


def presumed_balance(config: Config) -> Decimal:
    """Return what the worst case is reckoned with where no account answers, USDT."""
    return Decimal(str(config.VENUE_BALANCE))


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
