"""Facts that come twice, late or in another order leave the same rows."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.edges.connection import Connection
from actors.edges.database import DatabaseManager
from core import messages as m
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import (
    T0,
    a_bracket,
    a_day,
    a_decision,
    a_fill,
    a_moment,
    a_move,
    a_record,
    a_signal,
    a_state,
    a_streak,
    an_income,
    an_order,
)

_FILLS = tuple(
    a_fill(
        symbol=symbol,
        trade_id=number,
        purpose=purpose,
        side=side,
        quantity=Decimal(number) / 1000,
        realized_pnl=Decimal(number) / 7,
        at_ns=T0 + number * 1_000_000,
    )
    for symbol in ("BTCUSDT", "ETHUSDT")
    for number, purpose, side in (
        (1, m.Purpose.ENTRY, m.Side.BUY),
        (2, m.Purpose.ENTRY, m.Side.BUY),
        (3, m.Purpose.STOP, m.Side.SELL),
        (4, None, m.Side.SELL),
    )
)
_STATES = tuple(
    a_state(state, symbol=symbol, reason_code=code, at_ns=T0 + number)
    for number, (state, symbol, code) in enumerate(
        (
            (m.TradingState.REDUCING, "", "DAY_SOFT"),
            (m.TradingState.HALTED, "", "DAY_LIMIT"),
            (m.TradingState.HALTED, "", "DRAWDOWN"),
            (m.TradingState.HALTED, "ETHUSDT", "LOSS_STREAK"),
            (m.TradingState.ACTIVE, "", "new_day"),
        )
    )
)
_DECISIONS = tuple(a_decision(proposal_id=f"p{number}") for number in range(3))
_INCOME = tuple(
    an_income(transaction_id=number, symbol=symbol)
    for number in range(3)
    for symbol in ("BTCUSDT", "ETHUSDT")
)
_INTENTS = tuple(map(a_record, a_bracket()))
# What comes in the order it happened, each of its own day or symbol: the rows' keys.
_COUNTED = (
    *(a_day(day, transfers=Decimal(day) / 7) for day in (20_315, 20_316)),
    *(a_streak(2, symbol) for symbol in ("BTCUSDT", "ETHUSDT")),
)
_FACTS = (*_STATES, *_DECISIONS, *_INCOME, *_INTENTS, *_COUNTED)
_ORDERS = tuple(
    an_order(status, venue_id=f"BTCUSDT:{number}")
    for number in (1, 2)
    for status in ("NEW", "PARTIALLY_FILLED", "FILLED")
)


def _told(messages) -> tuple[object, ...]:
    """Rows of a fresh database after these messages, without row numbers."""
    manager = DatabaseManager(":memory:")
    machine = PersistenceMachine(epoch=1)
    for message in messages:
        manager.apply(machine.handle(message, a_moment()))
    rows = tuple(
        _rows(manager._connection, f"SELECT {columns} FROM {table}")  # noqa: S608
        for table, columns in (
            ("trades", "trade_id, order_id, symbol, side, quantity, price, pnl, timestamp"),
            ("fills", "*"),
            ("orders", "order_id, status, quantity"),
            (
                "state_changes",
                "symbol, state, reason_code, reason, latched_until_day, at_ns, epoch",
            ),
            ("decisions", "proposal_id, reason_code, checks, caps, quantity, decided_at_ns"),
            ("income", "kind, transaction_id, symbol, asset, amount, at_ns"),
            ("order_intent", "client_id, state, quantity, reservation, decision"),
            ("loss_streaks", "*"),
            ("day_ledger", "*"),
        )
    )
    assert manager.verify_audit().faults == ()
    book = manager.recover()
    manager.close()
    return rows, book.positions, book.entry_prices, book.last_trade_ids


@settings(max_examples=40, deadline=None)
@given(st.permutations(_FILLS + _ORDERS), st.lists(st.sampled_from(_FILLS + _ORDERS), max_size=9))
def test_any_order_and_repetition_of_fills_and_orders_gives_the_same_rows(told, again):
    assert _told([*told, *again]) == _told(_FILLS + _ORDERS)


@settings(max_examples=40, deadline=None)
@given(st.permutations(_FACTS), st.lists(st.sampled_from(_FACTS), max_size=9))
def test_any_order_and_repetition_of_what_risk_keeps_gives_the_same_rows(told, again):
    assert _told([*told, *again]) == _told(_FACTS)


_KEYS = ("", "BTCUSDT", "ETHUSDT")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(_KEYS), st.sampled_from(list(m.TradingState))), max_size=12),
    st.data(),
)
def test_a_crash_that_repeats_the_end_of_the_queue_leaves_the_newest_state_in_force(drawn, data):
    told = [a_state(state, symbol=key, at_ns=T0 + n) for n, (key, state) in enumerate(drawn)]
    again = told[data.draw(st.integers(0, len(told))) :]
    manager = DatabaseManager(":memory:")
    machine = PersistenceMachine(epoch=1)
    for message in [*told, *again]:
        manager.apply(machine.handle(message, a_moment()))
    newest = {message.symbol: message for message in told}
    book = manager.recover()
    assert book.state == newest.pop("", None)
    latched = [s for s in newest.values() if s.state is not m.TradingState.ACTIVE]
    assert set(book.symbol_states) == set(latched)
    manager.close()


def test_a_whole_session_told_twice_is_the_session(database, db_url):
    bracket = a_bracket()
    session = [
        a_decision(),
        a_signal(),
        *map(a_record, bracket),
        *(a_move("ACKED", intent.client_id) for intent in bracket),
        *_FILLS,
        *_ORDERS,
        a_move("FILLED", bracket[0].client_id),
        a_state(),
        a_state(symbol="ETHUSDT"),
        a_streak(),
        a_day(),
        an_income(),
    ]
    machine = PersistenceMachine(epoch=1)
    writes = [write for message in session for write in machine.handle(message, a_moment())]
    database.apply(writes)
    before = _all_rows(db_url)
    database.apply(writes)
    assert _all_rows(db_url) == before
    assert all(before.values())


def _all_rows(db_url: str) -> dict[str, list[object]]:
    told = ("decisions", "signals", "order_intent", "fills", "trades", "orders", "day_ledger")
    tables = (*told, "state_changes", "loss_streaks")
    with closing(Connection(db_url, read_only=True)) as reader:
        return {
            table: _rows(reader, f"SELECT * FROM {table}")  # noqa: S608
            for table in (*tables, "income")
        }


def _rows(connection: Connection, query: str) -> list[object]:
    with connection.session() as database:
        return sorted(database.execute_sql(query).fetchall(), key=str)


@pytest.mark.parametrize("extra", ["-wal", "-shm"])
def test_a_clean_close_leaves_one_whole_file(tmp_path: Path, extra: str):
    manager = DatabaseManager(str(tmp_path / "bot.db"))
    manager.update_bot_state({"a": 1})
    manager.close()
    assert not (tmp_path / f"bot.db{extra}").exists()
