"""What the database keeps for how long, and the removing of the rest, some rows at a time.

Money stays for good: the journal, orders, fills, trades, income, days.  What grows with every
candle or every few seconds does not: five symbols write some 15 MB of signals a venue day, and
8,640 account snapshots.
"""

from dataclasses import dataclass

import peewee
from peewee import Database, Model

from actors.edges.audit_trail import AuditTrail
from actors.edges.given_rows import stamp_text
from actors.edges.tables import AccountRow, EventRow, SignalRow
from core.clock import NS_PER_DAY
from core.persistence.rows import utc_text

_AT_ONCE = 500  # rows a transaction: nothing waits long for its end
_HOUR = len("2026-01-01 00")  # of a stamp: what the rows of one hour have in common


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many venue days are kept: of decisions, links and actor events; of what grows faster."""

    days: int
    signal_days: int
    snapshot_days: int


@dataclass(slots=True)
class Thinned:
    """How far the account snapshots have been thinned out: the last row seen, and its hour."""

    row: int = 0
    hour: str = ""


def prune(
    database: Database, trail: AuditTrail, now_ns: int, keep: Retention, thinned: Thinned
) -> int:
    """Remove a batch of each kind, counting back from the newest signal or from now."""
    newest = SignalRow.select(peewee.fn.MAX(SignalRow.kline_close_ns)).scalar(database)
    back_from_ns = min(now_ns, int(newest or now_ns))
    before_ns, signals_ns, snapshots_ns = (
        back_from_ns - days * NS_PER_DAY
        for days in (keep.days, keep.signal_days, keep.snapshot_days)
    )
    gone = 0
    for model, stamp, oldest_ns in (
        (SignalRow, SignalRow.kline_close_ns, signals_ns),
        (EventRow, EventRow.at_ns, before_ns),
    ):
        old = model.select(model.id).where(stamp < oldest_ns).limit(_AT_ONCE)
        gone += _delete(database, model, [row[0] for row in old.tuples().execute(database)])
    gone += _thin_snapshots(database, snapshots_ns, thinned)
    return gone + trail.prune(database, before_ns, _AT_ONCE)


def _thin_snapshots(database: Database, before_ns: int, thinned: Thinned) -> int:
    """Leave one account snapshot an hour, the first, of those older than this venue time.

    Looks at the next rows after `thinned`, which moves on; returns how many it looked at.
    A day's first snapshot stays by that rule, and with it the equity that the day began with.
    """
    before = peewee.Value(utc_text(before_ns), converter=False)
    rows = (
        AccountRow.select(AccountRow.id, AccountRow.timestamp)
        .where((AccountRow.id > thinned.row) & (AccountRow.timestamp < before))
        .order_by(AccountRow.id)
        .limit(_AT_ONCE)
    )
    surplus, seen = [], 0
    for number, stamp in rows.tuples().execute(database):
        hour = stamp_text(stamp)[:_HOUR]
        if hour == thinned.hour:
            surplus.append(number)
        thinned.row, thinned.hour, seen = number, hour, seen + 1
    _delete(database, AccountRow, surplus)
    return seen


def _delete(database: Database, model: type[Model], ids: list[int]) -> int:
    if not ids:
        return 0
    return int(model.delete().where(model.id.in_(ids)).execute(database))  # type: ignore[attr-defined]
