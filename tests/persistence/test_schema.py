"""The specification's tables, columns and queries, to the letter."""

import sqlite3
from contextlib import closing

import pytest
from peewee import AutoField

from actors.edges.connection import Connection
from actors.edges.database import DatabaseManager
from actors.edges.tables import TABLES, columns_of, required_of

_ID = ("id", "INTEGER", 0, None, 1)
_STAMP = ("timestamp", "DATETIME", 0, "CURRENT_TIMESTAMP", 0)
# name, type, not null, default, primary key: as PRAGMA table_info gives them
_SPECIFIED = {
    "orders": [
        _ID,
        ("order_id", "TEXT", 1, None, 0),
        ("symbol", "TEXT", 1, None, 0),
        ("side", "TEXT", 1, None, 0),
        ("order_type", "TEXT", 1, None, 0),
        ("quantity", "REAL", 1, None, 0),
        ("price", "REAL", 0, None, 0),
        ("status", "TEXT", 1, None, 0),
        _STAMP,
    ],
    "trades": [
        _ID,
        ("trade_id", "TEXT", 1, None, 0),
        ("order_id", "TEXT", 1, None, 0),
        ("symbol", "TEXT", 1, None, 0),
        ("side", "TEXT", 1, None, 0),
        ("quantity", "REAL", 1, None, 0),
        ("price", "REAL", 1, None, 0),
        ("commission", "REAL", 0, None, 0),
        ("pnl", "REAL", 0, None, 0),
        _STAMP,
    ],
    "account_snapshot": [
        _ID,
        ("total_balance", "REAL", 1, None, 0),
        ("available_balance", "REAL", 1, None, 0),
        ("total_pnl", "REAL", 0, None, 0),
        ("total_margin", "REAL", 0, None, 0),
        _STAMP,
    ],
    "positions": [
        _ID,
        ("symbol", "TEXT", 1, None, 0),
        ("side", "TEXT", 1, None, 0),
        ("quantity", "REAL", 1, None, 0),
        ("entry_price", "REAL", 1, None, 0),
        ("current_price", "REAL", 0, None, 0),
        ("unrealized_pnl", "REAL", 0, None, 0),
        ("margin", "REAL", 0, None, 0),
        _STAMP,
    ],
    "bot_state": [
        _ID,
        ("key", "TEXT", 1, None, 0),
        ("value", "TEXT", 1, None, 0),
        _STAMP,
    ],
}
_UNIQUE = {"orders": "order_id", "trades": "trade_id", "bot_state": "key"}

_QUERIES = (
    """
SELECT DATE(timestamp) as date, SUM(pnl) as daily_pnl
FROM trades
GROUP BY DATE(timestamp)
ORDER BY date DESC;
""",
    """
SELECT
    COUNT(CASE WHEN pnl > 0 THEN 1 END) * 100.0 / COUNT(*) as win_rate
FROM trades;
""",
    """
SELECT
    symbol,
    COUNT(*) as trades,
    SUM(pnl) as total_pnl,
    AVG(pnl) as avg_pnl
FROM trades
GROUP BY symbol;
""",
)


def _create(db_url: str) -> None:
    with closing(DatabaseManager(db_url)) as database:
        database.initialize_database()


def _trade(number: int, day: int, pnl: float) -> dict[str, object]:
    return {
        "trade_id": f"BTCUSDT:{number}",
        "order_id": "BTCUSDT:1",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": 0.1,
        "price": 100.0,
        "pnl": pnl,
        "timestamp": f"2025-08-{day:02} 23:59:59.999999",
    }


@pytest.mark.parametrize("table", sorted(_SPECIFIED))
def test_the_specified_tables_have_exactly_their_columns(table, tmp_path):
    path = tmp_path / "bot.db"
    _create(str(path))
    with sqlite3.connect(path) as connection:
        found = [tuple(row[1:]) for row in connection.execute(f"PRAGMA table_info({table})")]
        unique = [
            connection.execute(f"PRAGMA index_info({row[1]})").fetchone()[2]
            for row in connection.execute(f"PRAGMA index_list({table})")
            if row[2]
        ]
        ddl = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,))
        assert "id INTEGER PRIMARY KEY AUTOINCREMENT" in ddl.fetchone()[0]
    connection.close()
    assert found == _SPECIFIED[table]
    assert unique == ([_UNIQUE[table]] if table in _UNIQUE else [])


def test_money_is_double_precision_and_time_a_timestamp_on_postgresql(postgres):
    url = postgres.empty_database()
    _create(url)
    connection = Connection(url, read_only=True)
    with connection.session() as database:
        rows = database.execute_sql(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = 'trades'"
        )
        kinds = dict(rows.fetchall())
    connection.close()
    assert kinds["pnl"] == kinds["quantity"] == "double precision"
    assert kinds["timestamp"] == "timestamp without time zone"


def test_the_models_name_what_the_migrations_made(database, db_url):
    connection = Connection(db_url, read_only=True)
    with connection.session() as opened:
        for model in TABLES:
            table = model._meta.table_name
            made = opened.get_columns(table)
            assert tuple(column.name for column in made) == columns_of(model)
            needed = {c.name for c in made if not c.null and not c.default}
            keys = {f.column_name for f in model._meta.sorted_fields if isinstance(f, AutoField)}
            assert set(required_of(model)) - needed <= {model._meta.primary_key.name}, table
            assert needed - keys <= set(required_of(model)), table
    connection.close()


def test_the_three_queries_of_the_specification_run_unchanged(database, db_url):
    for number, (day, pnl) in enumerate([(14, 0.0), (14, -4.0), (15, 6.0), (15, 0.0)]):
        database.store_trade(_trade(number, day, pnl))
    connection = Connection(db_url, read_only=True)
    with connection.session() as opened:
        daily, win_rate, by_symbol = (opened.execute_sql(query).fetchall() for query in _QUERIES)
    connection.close()
    assert [(str(day), pnl) for day, pnl in daily] == [("2025-08-15", 6.0), ("2025-08-14", -4.0)]
    assert float(win_rate[0][0]) == 25.0
    assert by_symbol == [("BTCUSDT", 4, 2.0, 0.5)]


def test_times_are_text_with_microseconds_in_sqlite(tmp_path):
    path = tmp_path / "bot.db"
    with closing(DatabaseManager(str(path))) as database:
        database.store_trade(_trade(1, 15, 1.0))
    with sqlite3.connect(path) as connection:
        row = connection.execute("SELECT timestamp, typeof(timestamp) FROM trades").fetchone()
    connection.close()
    assert row == ("2025-08-15 23:59:59.999999", "text")
