"""The one door to the database: SQLite by path, PostgreSQL by URL.

One connection writes and every commit is durable when the call returns (SQLite: WAL with
`synchronous=FULL`; PostgreSQL: `synchronous_commit=on`).  Other processes open the same database
with `read_only=True`.  Trouble with the storage is `UnavailableError`, one line with the fix
(`actors/edges/connection.py`).  What is wrong with a row itself (a constraint) is a bug and stays
peewee's error.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import peewee
from peewee import Database, Model

from actors.edges import audit_trail
from actors.edges.audit_trail import AuditTrail
from actors.edges.connection import Connection
from actors.edges.given_rows import date_of, decoded, encoded, given_row, stamp_text
from actors.edges.lease import Lease, alone
from actors.edges.recovery import read_book
from actors.edges.retention import Retention, Thinned, prune
from actors.edges.statements import insertion, parameters, statement
from actors.edges.tables import (
    AccountRow,
    BotState,
    DayRow,
    Epoch,
    Order,
    Trade,
)
from core.clock import Moment
from core.errors import (
    ConfigurationError,
    SelfCheckError,
    TradingError,
    UnavailableError,
)
from core.messages import RecoveredBook
from core.persistence.audit import EPOCH, Audit, Verdict, canonical
from core.persistence.facts import statuses_beyond
from core.persistence.rows import Operation, Value, Write, utc_text

_OPEN_STATUSES = ("NEW", "PARTIALLY_FILLED")


class _TakeBackError(Exception):
    """Ends the rehearsal's transaction without keeping anything."""


class DatabaseManager:
    """Stores what the bot did and knows; safe to call from any thread, one caller at a time.

    `db_file` is a path or a `postgresql://` URL.  `read_only` opens an existing database and never
    changes it.  `clock` stamps rows that bring no timestamp with venue time; without it they get
    the database's own UTC time.
    """

    def __init__(
        self,
        db_file: str,
        *,
        read_only: bool = False,
        clock: Callable[[], Moment] | None = None,
    ) -> None:
        self._trail = AuditTrail()
        self._connection = Connection(
            db_file, read_only=read_only, check_reopened=self._trail.check_nothing_lost
        )
        self._clock = clock
        self._statements: dict[object, str] = {}
        self._lease: Lease | None = None
        self._thinned = Thinned()
        # What its writer could not commit yet.  It stands here because this outlives the writer.
        self.unwritten: list[Any] = []

    # ------------------------------------------------------------ life
    def initialize_database(self) -> None:
        """Open the database, check it, and create or migrate its tables.

        Any other method does this too when it is the first.  Raises UnavailableError when it cannot
        be opened or is damaged, ConfigurationError when its schema is not this program's.
        """
        with self._connection.session():
            pass

    def close(self) -> None:
        """Let go of the lease, move the write-ahead log into the file and close.

        Harmless when closed already.
        """
        lease, self._lease = self._lease, None
        if lease is not None:
            with suppress(UnavailableError), self._connection.session() as database:
                lease.release(database)
        self._connection.close()

    def begin_epoch(
        self,
        venue_id: str,
        lease: Lease | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> int:
        """Number this start of the bot, from 1, and bind the database to the venue's ledger.

        `venue_id` names the ledger; the first one stays.  `provenance` (hash of the settings,
        version of the program, hashes of the models) joins the audit chain: what bears this epoch
        was made by that program with those settings.

        With a `lease` the database is this
        process's alone: from now on every `apply` proves it.  Raises ConfigurationError when the
        database belongs to another ledger (its journal would be read against the wrong account),
        UnavailableError when another bot is at work on it.
        """
        with self._writing() as database:
            alone(database)
            state = self.get_bot_state()
            bound = state.get("venue_identity", venue_id)
            if bound != venue_id:
                raise ConfigurationError(
                    f"DB_FILE {self._connection.where} belongs to the ledger {bound}, this venue "
                    f"is {venue_id}. Fix: set DB_FILE or STATE_DIR to another place for this venue."
                )
            newest = Epoch.select(peewee.fn.MAX(Epoch.epoch)).scalar(database)
            epoch = int(newest or 0) + 1
            values = (("epoch", epoch), ("venue_id", venue_id), ("peak_equity", "0"))
            self._write(
                database,
                Write(
                    table="epochs",
                    operation=Operation.INSERT,
                    values=(*values, ("started_at", self._now_text(database))),
                ),
            )
            self.update_bot_state({"venue_identity": venue_id, "epoch": epoch})
            said = {"epoch": epoch, "venue_id": venue_id} | dict(provenance or {})
            now_ns = self._clock().venue_ns if self._clock is not None else 0
            self._trail.append(database, Audit(EPOCH, str(epoch), canonical(said), now_ns))
            if lease is not None:
                lease.take(database, epoch, self._connection.where)
        self._lease = lease
        self._committed()
        return epoch

    def rehearse(self) -> None:
        """Keep one row of each kind and take them back: find out before the first order.

        Raises UnavailableError for storage that fails, SelfCheckError for whatever else goes wrong:
        a database that cannot keep books must not trade.
        """
        order = {"order_id": "rehearsal", "symbol": "-", "side": "BUY", "order_type": "MARKET"}
        figures = {"quantity": 0.0, "price": 0.0}
        try:
            with self._connection.session():
                self.store_order(order | figures | {"status": "NEW"})
                trade = {"trade_id": "rehearsal", "order_id": "rehearsal", "symbol": "-"}
                self.store_trade(trade | figures | {"side": "BUY"})
                self.snapshot_account({"total_balance": 0.0, "available_balance": 0.0})
                raise _TakeBackError  # noqa: TRY301 - the way out of a transaction
        except _TakeBackError:
            return
        except TradingError:
            raise
        except Exception as error:
            raise SelfCheckError(
                f"DB_FILE {self._connection.where} failed its rehearsal of storing an order"
                f" ({error!r:.200}). Fix: use this program's own version of the database code."
            ) from error

    def recover(self, unwritten: Iterable[Write] = ()) -> RecoveredBook:
        """Return what risk and execution start from; see `RecoveredBook`.

        `unwritten` is counted in, though not kept: what could not be committed is known all the
        same.
        """
        now = self._clock() if self._clock is not None else None
        with suppress(_TakeBackError), self._writing() as database:
            pending = tuple(unwritten)
            for write in pending:
                self._put(database, write)
            book = read_book(database, now)
            if pending:
                raise _TakeBackError
        return book

    def verify_audit(self) -> Verdict:
        """Check the audit chain from its first link to its last; a reader may do it as well."""
        with self._connection.session() as database:
            return audit_trail.verify(database)

    def audit_head(self) -> tuple[int, str]:
        """Return number and hash of the newest audit link, to be noted outside this database."""
        with self._connection.session() as database:
            return self._trail.head(database)

    def prune(self, now_ns: int, keep: Retention) -> int:
        """Remove a batch of the oldest of what is not kept for good; return how many rows it met.

        What is kept is counted back from `now_ns`, venue time, or from the newest signal where that
        is older: a clock that is wrong must not empty the tables.  The journal, fills and trades
        stay, for positions are computed from them.  Call it again while it returns more than 0.
        """
        thinned = replace(self._thinned)
        with self._writing() as database:
            if self._lease is not None:
                self._lease.prove(database)
            gone = prune(database, self._trail, now_ns, keep, thinned)
        self._thinned = thinned
        self._committed()
        return gone

    # ------------------------------------------------------------ writing
    def apply(self, writes: Iterable[Write]) -> None:
        """Commit all writes in one durable transaction, or none of them.

        Raises UnavailableError when the storage fails; handing in the same writes again is safe.
        Raises LeaseLostError when another process has taken the database over.
        """
        with self._writing() as database:
            if self._lease is not None:
                self._lease.prove(database)
            for write in writes:
                self._put(database, write)
        self._committed()

    def _put(self, database: Database, write: Write) -> None:
        match write.table:
            case "orders":
                self.store_order(dict(write.values))
            case "trades":
                self.store_trade(dict(write.values))
            case "account_snapshot":
                self.snapshot_account(dict(write.values))
            case _:
                self._write(database, write)

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        """Hold a session that may append to the audit chain."""
        if self._lease is None:
            self._trail.forget()  # no promise that nobody else writes
        try:
            with self._connection.session() as database:
                yield database
        except BaseException:
            self._trail.forget()
            raise

    def _committed(self) -> None:
        self._trail.committed()
        if self._lease is not None:
            self._lease.committed()

    def store_order(self, order_data: Mapping[str, Any]) -> None:
        """Store an order by its `order_id`; its row follows its life and never goes back in it.

        Keys are columns of `orders`; `price` and `timestamp` may be missing.  Raises
        ConfigurationError for an unknown or missing key, or a value of the wrong kind.
        """
        values = self._row("store_order", Order, order_data)
        self._store(
            Write(
                table="orders",
                operation=Operation.UPSERT,
                values=values,
                key=("order_id",),
                unless=("status", statuses_beyond(str(order_data["status"]))),
            )
        )

    def store_trade(self, trade_data: Mapping[str, Any]) -> None:
        """Store a fill by its `trade_id`; one that is known already changes nothing.

        Keys are columns of `trades`; money in quote, `pnl` before commission.  Raises as
        `store_order`.
        """
        values = self._row("store_trade", Trade, trade_data)
        self._store(Write(table="trades", operation=Operation.INSERT_NEW, values=values))

    def snapshot_account(self, account_data: Mapping[str, Any]) -> None:
        """Append the account's totals, in quote.  Keys are columns; raises as `store_order`."""
        values = self._row("snapshot_account", AccountRow, account_data)
        self._store(Write(table="account_snapshot", operation=Operation.INSERT, values=values))

    def update_bot_state(self, state_data: Mapping[str, Any]) -> None:
        """Keep each value under its key; other keys stay.

        Strings, numbers, booleans, None, lists and dicts come back as they were.  Raises
        ConfigurationError for a value that JSON cannot hold.
        """
        with self._connection.session() as database:
            now = self._now_text(database)
            for key, value in state_data.items():
                values = (("key", str(key)), ("value", encoded(key, value)), ("timestamp", now))
                write = Write(
                    table="bot_state", operation=Operation.UPSERT, values=values, key=("key",)
                )
                self._write(database, write)

    # ------------------------------------------------------------ reading
    def get_bot_state(self) -> dict[str, Any]:
        """Return every key with its value as it was given."""
        with self._connection.session() as database:
            rows = BotState.select(BotState.key, BotState.value).tuples().execute(database)
            return {key: decoded(value) for key, value in rows}

    def get_open_orders(self) -> list[dict[str, Any]]:
        """Return the orders that are NEW or PARTIALLY_FILLED, oldest first, by column name."""
        with self._connection.session() as database:
            query = Order.select().where(Order.status.in_(_OPEN_STATUSES)).order_by(Order.id)
            rows = query.dicts().execute(database)
            return [
                {**row, "timestamp": row["timestamp"] and stamp_text(row["timestamp"])}
                for row in rows
            ]

    def get_daily_pnl(self, *, day: int | date | str | None = None) -> float:
        """Return the sum of `trades.pnl` of one UTC day of the venue, in quote; 0.0 without trades.

        The same figure as the specification's daily query: realised, before commission.  `day` is
        days since 1970, a date or `YYYY-MM-DD`; by default the newest day of the day ledger, which
        follows the venue's clock, else the current UTC date.
        """
        with self._connection.session() as database:
            chosen = self._today(database) if day is None else date_of(day)
            # Days by their text: a stamp at midnight may lack its fraction, and still sorts after.
            first, after = chosen.isoformat(), (chosen + timedelta(days=1)).isoformat()
            total = (
                Trade.select(peewee.fn.SUM(Trade.pnl))
                .where(Trade.timestamp >= peewee.Value(first, converter=False))
                .where(Trade.timestamp < peewee.Value(after, converter=False))
                .scalar(database)
            )
            return float(total or 0.0)

    def get_day_start_equity(self) -> float | None:
        """Return the equity that the daily loss limit is measured from, in quote; None if unknown.

        The newest day of the day ledger, else (a database the bot never traded on) the first
        account snapshot of the newest day that has one.
        """
        with self._connection.session() as database:
            ledger = DayRow.select(DayRow.equity_start).order_by(DayRow.day.desc()).scalar(database)
            if ledger is not None:
                return float(ledger)
            newest = AccountRow.select(peewee.fn.MAX(AccountRow.timestamp)).scalar(database)
            if newest is None:
                return None
            day = str(newest)[: len("2026-01-01")]
            first = (
                AccountRow.select(AccountRow.total_balance)
                .where(AccountRow.timestamp >= peewee.Value(day, converter=False))
                .order_by(AccountRow.timestamp, AccountRow.id)
                .scalar(database)
            )
            return None if first is None else float(first)

    # ------------------------------------------------------------ one write
    def _store(self, write: Write) -> None:
        with self._connection.session() as database:
            self._write(database, write)

    def _write(self, database: Database, write: Write) -> None:
        """Execute one write inside the open session; statements are built once per shape."""
        names = tuple(name for name, _ in write.values)
        shape = (write.table, write.operation, names, write.unless and len(write.unless[1]))
        sql = self._statements.get(shape)
        if sql is None:
            sql = self._statements[shape] = statement(write, database.param)
        cursor = database.execute_sql(sql, parameters(write))
        if write.audit is not None and cursor.rowcount == 1:
            self._trail.append(database, write.audit)
        if write.operation is Operation.UPSERT and cursor.rowcount == 0:
            # No such row, or one that is further in its life: then the key conflicts, and it stays.
            values = [value for _, value in write.values]
            database.execute_sql(insertion(write, database.param), values)

    def _row(
        self, method: str, model: type[Model], data: Mapping[str, Any]
    ) -> tuple[tuple[str, Value], ...]:
        """Check and convert a caller's row, and stamp it if it brings no time."""
        now_text = ""
        if "timestamp" not in data or data["timestamp"] is None:
            with self._connection.session() as database:
                now_text = self._now_text(database)
        return given_row(method, model, data, now_text)

    def _now_text(self, database: Database) -> str:
        if self._clock is not None:
            return utc_text(self._clock().venue_ns)
        return stamp_text(database.execute_sql("SELECT CURRENT_TIMESTAMP").fetchone()[0])

    def _today(self, database: Database) -> date:
        newest = DayRow.select(peewee.fn.MAX(DayRow.day)).scalar(database)
        if newest is not None:
            return date_of(int(newest))
        return date_of(database.execute_sql("SELECT CURRENT_DATE").fetchone()[0])
