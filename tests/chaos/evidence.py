"""What the checks look at: the venue's own ledger, the database's rows, and what the driver did."""

import sqlite3
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.edges.database import DatabaseManager
from core.clock import NS_PER_MS
from core.execution.client_id import purpose_of
from core.messages import Purpose

Row = dict[str, Any]
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the bot was told; money limits as in its settings, `speed` venue s per wall s."""

    tag: str = "afb"
    speed: float = 60.0
    symbols: tuple[str, ...] = ()
    positions_max: int = 3
    gross_x: Decimal = Decimal(3)
    symbol_x: Decimal = Decimal("0.25")
    leverage: Decimal = Decimal(5)
    margin_usage: Decimal = Decimal("0.8")
    orders_per_10s: int = 300
    naked_s: float = 5.0
    day_loss: Decimal = Decimal("0.9")  # of the day's first wallet
    weight_per_min: int = 2_400


@dataclass(frozen=True, kw_only=True)
class Window:
    """A span of venue time (ms) in which the bot could not be blamed, and why."""

    from_ms: float
    to_ms: float
    why: str  # dead, fault, jump, filters
    # The same by the machine's clock, which the bot shares: its venue time may be behind a jump.
    wall_ns: tuple[int, int] = (0, 0)


@dataclass(kw_only=True)
class Evidence:
    """One look at everything; the lists hold rows by column or field name."""

    limits: Limits
    ledger: Row
    intents: list[Row] = field(default_factory=list)
    fills: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    order_table: list[Row] = field(default_factory=list)
    positions: list[Row] = field(default_factory=list)
    days: list[Row] = field(default_factory=list)  # of the day ledger
    income: list[Row] = field(default_factory=list)
    states: list[tuple[str, float]] = field(default_factory=list)  # (trading state, venue ms)
    epochs: list[tuple[int, float]] = field(default_factory=list)  # (number, venue ms of start)
    windows: list[Window] = field(default_factory=list)
    known_fills: frozenset[tuple[str, int]] = frozenset()  # seen in the database before
    known_intents: frozenset[str] = frozenset()
    promised: frozenset[str] = frozenset()  # client ids the bot said were recorded
    status: Row = field(default_factory=dict)
    foreign_since_ms: dict[str, float] = field(default_factory=dict)
    weights: tuple[int, ...] = ()  # request weight of a minute, as the venue counted it
    audit_faults: tuple[str, ...] = ()  # what verifying the audit chain found
    recovered_s: float = 0.0
    secrets: list[str] = field(default_factory=list)  # files that hold a secret

    def purpose(self, client_id: str) -> Purpose | None:
        """Return why an order of ours exists, None for another's."""
        return purpose_of(self.limits.tag, client_id)

    def entries(self) -> list[Row]:
        """Return our entries on the ledger, in order."""
        return [
            o for o in self.ledger["orders"] if self.purpose(o["clientOrderId"]) is Purpose.ENTRY
        ]

    def order_of(self) -> dict[tuple[str, int], Row]:
        """Return the ledger's orders by (symbol, order id)."""
        return {(o["symbol"], int(o["orderId"])): o for o in self.ledger["orders"]}


class Database:
    """Reads the bot's database from outside: SQLite by path, PostgreSQL by URL."""

    def __init__(self, where: str) -> None:
        self._where = where

    def rows(self, query: str) -> list[Row]:
        """Return a query's rows; none while there is no such table yet."""
        if self._where.startswith("postgresql://"):
            return self._asked(query)
        if not Path(self._where).exists():
            return []
        connection = sqlite3.connect(f"file:{self._where}?mode=ro", uri=True, timeout=5)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def _asked(self, query: str) -> list[Row]:
        import psycopg
        from psycopg.rows import dict_row

        with psycopg.connect(self._where, row_factory=dict_row) as connection:
            try:
                return list(connection.execute(query))
            except psycopg.errors.UndefinedTable:
                return []

    def audit_faults(self) -> tuple[str, ...]:
        """Verify the audit chain, as `run.py check` does; what is wrong with it."""
        manager = DatabaseManager(self._where, read_only=True)
        try:
            return manager.verify_audit().faults
        finally:
            manager.close()

    def read(self, limits: Limits, ledger: Row) -> Evidence:
        """Return what the database holds beside a ledger."""
        # Of the whole account only; the order of arrival is the order of their force.
        states = self.rows("SELECT state, at_ns FROM state_changes WHERE symbol = '' ORDER BY id")
        epochs = self.rows(
            "SELECT e.epoch, MIN(i.recorded_at_venue_ns) AS first FROM epochs e"
            " JOIN order_intent i ON i.epoch = e.epoch GROUP BY e.epoch ORDER BY e.epoch"
        )
        return Evidence(
            limits=limits,
            ledger=ledger,
            intents=self.rows("SELECT * FROM order_intent ORDER BY id"),
            fills=self.rows("SELECT * FROM fills"),
            trades=self.rows("SELECT trade_id FROM trades"),
            order_table=self.rows("SELECT order_id, status FROM orders"),
            positions=self.rows("SELECT symbol, side, quantity FROM positions"),
            days=self.rows("SELECT day, wallet_start, transfers, bases FROM day_ledger"),
            income=self.rows("SELECT kind, transaction_id, symbol, amount, at_ns FROM income"),
            states=[(row["state"], row["at_ns"] / NS_PER_MS) for row in states],
            epochs=[(row["epoch"], row["first"] / NS_PER_MS) for row in epochs],
        )


def held_after(evidence: Evidence) -> list[tuple[Row, Decimal, Decimal]]:
    """Return each ledger trade with the position of its symbol before and after it."""
    held: dict[str, Decimal] = {}
    out = []
    for trade in evidence.ledger["trades"]:
        before = held.get(trade["symbol"], ZERO)
        sign = 1 if trade["side"] == "BUY" else -1
        after = held[trade["symbol"]] = before + sign * Decimal(trade["qty"])
        out.append((trade, before, after))
    return out
