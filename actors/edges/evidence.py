"""What the database holds about one order, or about one closed kline; read-only.

A bot may run on the same database meanwhile: nothing is changed, and every answer is one moment's.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import peewee

from actors.edges.connection import Connection
from actors.edges.tables import DecisionRow, EventRow, FillRow, IntentRow, SignalRow

Row = dict[str, Any]

_EVENTS_MAX = 5


@dataclass(slots=True)
class Evidence:
    """The rows that speak of one decision; each may be missing.

    `fills` are those of the intents.  `events` are the newest of the symbol's actor until then,
    newest first; `others_decided`: some symbol decided on a kline of that interval, so the bot ran.
    """

    symbol: str
    kline_close_ns: int = 0
    signal: Row | None = None
    decision: Row | None = None
    intents: list[Row] = field(default_factory=list)
    fills: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    others_decided: bool = False


class EvidenceBook:
    """Reads evidence from the database of a state directory; close it after use."""

    def __init__(self, db_file: str) -> None:
        self._connection = Connection(db_file, read_only=True)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    # ------------------------------------------------------------ an order
    def orders_named(self, asked: str) -> list[tuple[str, str]]:
        """Return (symbol, proposal id) of each journal entry that goes by this name.

        `asked` is a client id, `SYMBOL:orderId`, `SYMBOL:algo:algoId`, or the number alone.  What a
        triggered stop became on the venue is found by its fills.
        """
        symbol, _, number = asked.rpartition(":")
        with self._connection.session() as database:
            where = (IntentRow.client_id == asked) | (IntentRow.venue_id == asked)
            if not symbol:
                where |= IntentRow.venue_id.endswith(f":{number}")
            query = IntentRow.select(IntentRow.symbol, IntentRow.proposal_id)
            rows = list(query.where(where).tuples().execute(database))
            if number.isdecimal() and int(number) < 2**63:
                filled = FillRow.order_id == int(number)
                if symbol:
                    filled &= FillRow.symbol == symbol
                joined = IntentRow.client_id == FillRow.client_id
                fills = query.join(FillRow, on=joined).where(filled)
                rows += fills.tuples().execute(database)
            return list(dict.fromkeys(rows))

    def of_proposal(self, symbol: str, proposal_id: str) -> Evidence:
        """Return everything about one proposal, from its signal to its fills."""
        with self._connection.session() as database:
            decision = _first(
                database,
                DecisionRow.select()
                .where(DecisionRow.proposal_id == proposal_id)
                .order_by(DecisionRow.approved.desc(), DecisionRow.id),
            )
            evidence = Evidence(symbol=symbol, decision=_decoded(decision))
            if decision is not None:
                evidence.kline_close_ns = decision["kline_close_ns"]
                evidence.signal = _signal(database, symbol, evidence.kline_close_ns)
            self._add_orders(database, evidence, proposal_id)
            return evidence

    # ------------------------------------------------------------ a moment
    def at(self, symbol: str, venue_ns: int, interval_ns: int) -> Evidence:
        """Return everything about the newest kline of a symbol that had closed at this time."""
        with self._connection.session() as database:
            newest = SignalRow.select(peewee.fn.MAX(SignalRow.kline_close_ns))
            mine = SignalRow.symbol == symbol
            until = SignalRow.kline_close_ns <= venue_ns
            close_ns = newest.where(mine & until).scalar(database) or 0
            others_ns = newest.where(until).scalar(database) or 0
            evidence = Evidence(
                symbol=symbol,
                events=_events(database, symbol, venue_ns),
                others_decided=venue_ns - others_ns < interval_ns,
            )
            if venue_ns - close_ns >= interval_ns:
                return evidence
            evidence.kline_close_ns = close_ns
            evidence.signal = _signal(database, symbol, close_ns)
            decision = _first(
                database,
                DecisionRow.select()
                .where((DecisionRow.symbol == symbol) & (DecisionRow.kline_close_ns == close_ns))
                .order_by(DecisionRow.approved.desc(), DecisionRow.id),
            )
            evidence.decision = _decoded(decision)
            if decision is not None:
                self._add_orders(database, evidence, decision["proposal_id"])
            return evidence

    def newest_close_ns(self, symbol: str | None = None) -> int:
        """Return the newest stored kline close, of one symbol or of all; 0 if none."""
        with self._connection.session() as database:
            query = SignalRow.select(peewee.fn.MAX(SignalRow.kline_close_ns))
            if symbol is not None:
                query = query.where(SignalRow.symbol == symbol)
            return int(query.scalar(database) or 0)

    def knows(self, symbol: str) -> bool:
        """Tell whether this symbol was ever traded with this database."""
        with self._connection.session() as database:
            name = f"symbol/{symbol}"
            events = EventRow.select().where(EventRow.name == name).limit(1)
            return bool(list(events.tuples().execute(database)))

    def _add_orders(self, database: peewee.Database, evidence: Evidence, proposal_id: str) -> None:
        intents = IntentRow.select().where(IntentRow.proposal_id == proposal_id)
        evidence.intents = list(intents.order_by(IntentRow.id).dicts().execute(database))
        names = [row["client_id"] for row in evidence.intents]
        fills = FillRow.select().where(
            FillRow.client_id.in_(names) & (FillRow.symbol == evidence.symbol)
        )
        evidence.fills = list(fills.order_by(FillRow.trade_id).dicts().execute(database))


def _first(database: peewee.Database, query: Any) -> Row | None:
    rows: Iterable[Row] = query.limit(1).dicts().execute(database)
    return next(iter(rows), None)


def _signal(database: peewee.Database, symbol: str, close_ns: int) -> Row | None:
    where = (SignalRow.symbol == symbol) & (SignalRow.kline_close_ns == close_ns)
    row = _first(database, SignalRow.select().where(where))
    return None if row is None else {**row, "technical": json.loads(row["technical"])}


def _events(database: peewee.Database, symbol: str, venue_ns: int) -> list[Row]:
    where = (EventRow.name == f"symbol/{symbol}") & (EventRow.at_ns <= venue_ns)
    query = EventRow.select().where(where).order_by(EventRow.id.desc()).limit(_EVENTS_MAX)
    return list(query.dicts().execute(database))


def _decoded(decision: Row | None) -> Row | None:
    if decision is None:
        return None
    checks = [
        {"rule": rule, "value": value, "limit": limit, "passed": passed}
        for rule, value, limit, passed in json.loads(decision["checks"])
    ]
    return {**decision, "checks": checks, "caps": dict(json.loads(decision["caps"]))}
