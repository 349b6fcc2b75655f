"""What a driver's error means: whether the storage or a row is at fault, and what the fix is."""

import sqlite3
from typing import Final

import peewee
import psycopg

TROUBLE: Final = (peewee.PeeweeException, sqlite3.Error, psycopg.Error, OSError)

_ROW_FAULTS: Final = (peewee.IntegrityError, peewee.DataError, peewee.ProgrammingError)
# PostgreSQL's codes for what somebody did to the database, though the driver's class says that the
# statement is wrong: permission denied, no such table, schema or database.
_TAKEN_AWAY: Final = frozenset({"42501", "42P01", "3F000", "3D000"})

_BY_ITSELF: Final = "; trading resumes by itself"

# What the driver's words mean for the operator, first match wins.
_FIXES: Final = (
    ("locked", "stop the other program that writes to it, then try again"),
    ("lock timeout", "end the session that holds the lock (pg_locks names it)" + _BY_ITSELF),
    ("disk is full", "free disk space" + _BY_ITSELF),
    ("no space left", "free disk space on the server" + _BY_ITSELF),
    (
        "disk i/o error",
        "look for the disk in the system's log; make its file system writable again",
    ),
    (
        "older copy",
        "put the newest copy in its place, or restart the bot: the venue knows the rest",
    ),
    (
        "malformed",
        "put a backup in its place, or move it away, then restart the bot: the venue is the truth",
    ),
    (
        "invalid page",
        "restore the server's database from a backup, then restart the bot: the venue is the truth",
    ),
    ("not a database", "point DB_FILE at a database, or move that file away"),
    ("readonly", "make the file, its folder and their file system writable"),
    (
        "read-only transaction",
        "let the server take writes (default_transaction_read_only = off)" + _BY_ITSELF,
    ),
    ("does not exist", "put it back, or correct DB_FILE" + _BY_ITSELF),
    ("permission denied", "give the user of DB_FILE its rights back" + _BY_ITSELF),
    ("did not answer", "see why the database server hangs" + _BY_ITSELF),
    ("removed", "put it back, or restart the bot to begin a new one from the venue"),
    ("unable to open", "make the folder exist and writable, or change DB_FILE"),
    ("password", "correct user and password in DB_FILE"),
    ("no such table", "run the bot once: it creates the tables"),
)


def is_of_the_row(error: BaseException) -> bool:
    """Tell whether the row itself is wrong, a defect, and not what should take it."""
    if not isinstance(error, _ROW_FAULTS):
        return False
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) not in _TAKEN_AWAY


def words_of(error: BaseException) -> str:
    """Return what the driver says, its first line."""
    return str(error.args[-1] if error.args else error).strip().partition("\n")[0]


def fix_of(words: str, *, remote: bool) -> str:
    """Return what to do about the driver's words; `remote` is a database server."""
    fallback = (
        "make the database server reachable, or correct DB_FILE"
        if remote
        else "make the file readable and writable, or change DB_FILE"
    )
    return next((fix for sign, fix in _FIXES if sign in words.lower()), fallback)
