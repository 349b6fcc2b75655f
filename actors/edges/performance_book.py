"""What the database holds about how the bot did; read-only, as of one moment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import peewee

from actors.edges.account import TRANSFERS
from actors.edges.connection import Connection
from actors.edges.tables import (
    AccountRow,
    DecisionRow,
    FillRow,
    IncomeRow,
    IntentRow,
    SignalRow,
    StateRow,
    Trade,
)
from core.backtest.result import Halt
from core.backtest.round_trips import Bracket, Fill, FundingPaid
from core.clock import NS_PER_MS
from core.symbol.indicators import FloatArray, IntArray
from core.words import Purpose, Side

_SIGNALS = ("BUY", "SELL", "CLOSE")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Performance:
    """Rows of the database in the words of a result; times UTC ms, money in quote."""

    fills: tuple[Fill, ...]
    funding: tuple[FundingPaid, ...]
    transfers: tuple[tuple[int, Decimal], ...]  # (at, what came in), ascending
    brackets: Mapping[str, Bracket]  # by proposal id
    wanted: Mapping[str, Decimal]  # proposal id -> price the entry was decided at
    account_ms: IntArray  # (n,) of the snapshots
    equity: FloatArray  # (n,) wallet and unrealised result
    halts: tuple[Halt, ...]
    refusals: Mapping[str, int]
    signals: Mapping[str, int]
    closes: Mapping[str, tuple[IntArray, FloatArray]]  # symbol -> close times, closes


def read_performance(db_file: str) -> Performance:
    """Read it all in one transaction, so that every row is of one moment.

    Raises UnavailableError where there is no database.
    """
    connection = Connection(db_file, read_only=True)
    try:
        with connection.session() as database:
            intents = list(_intents(database))
            account_ms, equity = _account(database)
            income = list(IncomeRow.select().order_by(IncomeRow.at_ns).dicts().execute(database))
            return Performance(
                fills=tuple(_fills(database, {row["client_id"]: row for row in intents})),
                funding=tuple(_funding(income)),
                transfers=tuple(_transfers(income)),
                brackets=_brackets(intents),
                wanted={
                    row["proposal_id"]: Decimal(row["reference_price"])
                    for row in intents
                    if row["purpose"] == Purpose.ENTRY.value
                },
                account_ms=account_ms,
                equity=equity,
                halts=tuple(_halts(database)),
                refusals=_refusals(database),
                signals=_signals(database),
                closes=_closes(database),
            )
    finally:
        connection.close()


def _intents(database: peewee.Database) -> Iterator[dict[str, Any]]:
    query = IntentRow.select(
        IntentRow.client_id,
        IntentRow.proposal_id,
        IntentRow.purpose,
        IntentRow.reference_price,
        IntentRow.stop_price,
        IntentRow.target_price,
    )
    yield from query.dicts().execute(database)


def _fills(database: peewee.Database, intents: Mapping[str, Mapping[str, Any]]) -> Iterator[Fill]:
    """Yield the rows of `trades`, exact where `fills` holds the same one."""
    exact = {
        f"{row['symbol']}:{row['trade_id']}": row
        for row in FillRow.select().dicts().execute(database)
    }
    for row in Trade.select().order_by(Trade.timestamp, Trade.id).dicts().execute(database):
        known = exact.get(row["trade_id"])
        intent = intents.get(known["client_id"], {}) if known is not None else {}
        number = row["trade_id"].rpartition(":")[2]
        purpose = known["purpose"] if known is not None else None
        found = known or {
            "quantity": row["quantity"],
            "price": row["price"],
            "commission": row["commission"] or 0.0,
            "realized_pnl": row["pnl"] or 0.0,
        }
        yield Fill(
            symbol=row["symbol"],
            number=int(number) if number.isdecimal() else row["id"],
            side=Side(row["side"]),
            quantity=Decimal(str(found["quantity"])),
            price=Decimal(str(found["price"])),
            commission=Decimal(str(found["commission"])),
            gained=Decimal(str(found["realized_pnl"])),
            at_ms=_ms(row["timestamp"]) if known is None else known["at_ns"] // NS_PER_MS,
            purpose=None if purpose is None else Purpose(purpose),
            proposal_id=intent.get("proposal_id", ""),
        )


def _brackets(intents: list[dict[str, Any]]) -> dict[str, Bracket]:
    return {
        row["proposal_id"]: Bracket(
            stop_price=Decimal(row["stop_price"]), target_price=Decimal(row["target_price"])
        )
        for row in intents
        if row["purpose"] == Purpose.ENTRY.value
    }


def _funding(income: list[dict[str, Any]]) -> Iterator[FundingPaid]:
    for row in income:
        if row["kind"] == "FUNDING_FEE" and row["symbol"]:
            yield FundingPaid(
                symbol=row["symbol"],
                amount=Decimal(row["amount"]),
                at_ms=row["at_ns"] // NS_PER_MS,
            )


def _transfers(income: list[dict[str, Any]]) -> Iterator[tuple[int, Decimal]]:
    for row in income:
        if row["kind"] in TRANSFERS:
            yield row["at_ns"] // NS_PER_MS, Decimal(row["amount"])


def _account(database: peewee.Database) -> tuple[IntArray, FloatArray]:
    query = AccountRow.select(AccountRow.timestamp, AccountRow.total_balance, AccountRow.total_pnl)
    rows = list(query.order_by(AccountRow.timestamp).tuples().execute(database))
    times = np.array([_ms(stamp) for stamp, _, _ in rows], dtype=np.int64)
    return times, np.array([total + (open_ or 0.0) for _, total, open_ in rows], dtype=np.float64)


def _halts(database: peewee.Database) -> Iterator[Halt]:
    for row in StateRow.select().order_by(StateRow.id).dicts().execute(database):
        yield Halt(
            at_ms=row["at_ns"] // NS_PER_MS,
            symbol=row["symbol"],
            state=row["state"],
            reason_code=row["reason_code"],
            reason=row["reason"],
        )


def _refusals(database: peewee.Database) -> dict[str, int]:
    query = DecisionRow.select(DecisionRow.reason_code, peewee.fn.COUNT(DecisionRow.id))
    refused = query.where(DecisionRow.approved == 0).group_by(DecisionRow.reason_code)
    return dict(refused.order_by(DecisionRow.reason_code).tuples().execute(database))


def _signals(database: peewee.Database) -> dict[str, int]:
    query = SignalRow.select(SignalRow.symbol, peewee.fn.COUNT(SignalRow.id))
    given = query.where(SignalRow.signal.in_(_SIGNALS)).group_by(SignalRow.symbol)
    return dict(given.tuples().execute(database))


def _closes(database: peewee.Database) -> dict[str, tuple[IntArray, FloatArray]]:
    query = SignalRow.select(SignalRow.symbol, SignalRow.kline_close_ns, SignalRow.price)
    rows: dict[str, dict[int, float]] = {}
    for symbol, close_ns, price in (
        query.order_by(SignalRow.kline_close_ns).tuples().execute(database)
    ):
        rows.setdefault(symbol, {})[close_ns // NS_PER_MS] = float(price)
    return {
        symbol: (np.array(list(found), dtype=np.int64), np.array(list(found.values())))
        for symbol, found in rows.items()
    }


def _ms(stamp: datetime | str) -> int:
    """Read a stamp of the tables, UTC, as the driver gives it."""
    at = datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)
