"""What a bot leaves to read: the specified tables and queries, and the specified log lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.process.conftest import World, eventually
from tests.process.learned import SYMBOLS, skilled_models

pytestmark = pytest.mark.process

TABLES = {
    "orders": "id order_id symbol side order_type quantity price status timestamp",
    "trades": "id trade_id order_id symbol side quantity price commission pnl timestamp",
    "account_snapshot": "id total_balance available_balance total_pnl total_margin timestamp",
    "positions": (
        "id symbol side quantity entry_price current_price unrealized_pnl margin timestamp"
    ),
    "bot_state": "id key value timestamp",
}
DAILY_PNL = """
SELECT DATE(timestamp) as date, SUM(pnl) as daily_pnl
FROM trades
GROUP BY DATE(timestamp)
ORDER BY date DESC;
"""
WIN_RATE = """
SELECT
    COUNT(CASE WHEN pnl > 0 THEN 1 END) * 100.0 / COUNT(*) as win_rate
FROM trades;
"""
SYMBOL_PERFORMANCE = """
SELECT
    symbol,
    COUNT(*) as trades,
    SUM(pnl) as total_pnl,
    AVG(pnl) as avg_pnl
FROM trades
GROUP BY symbol;
"""
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
PREFIX = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[INFO\] "
PAIR = "(BTCUSDT|ETHUSDT)"
LINES = {
    "model": rf"prediction_models: Model loaded from \S*models/{PAIR}_gradient_boosting\.joblib",
    "precision": (
        rf"__main__: Symbol {PAIR} precision - "
        r"Qty: \d+, Price: \d+, Min notional: \d+\.\d"
    ),
    "leverage": (
        rf"__main__: Leverage set for {PAIR}: "
        rf"\{{'symbol': '{PAIR}', 'leverage': 5, 'maxNotionalValue': '\d+'\}}"
    ),
    "signal": rf"\w+: \[{PAIR}\] Price: [\d,]+\.\d\d, Signal: (BUY|SELL), Strength: [01]\.\d\d",
    "prediction": rf"\w+: \[{PAIR}\] ML Prediction: -?\d\.\d{{4}}, Confidence: \d+\.\d\d%",
    "technical": (
        rf"\w+: \[{PAIR}\] Technical signals - "
        r"EMA: -?[01]\.00, RSI: -?[01]\.00, BB: -?[01]\.00"
    ),
    "order": rf"\w+: \[{PAIR}\] (BUY|SELL) order placed: \d+\.\d+ @ \d+\.\d+",
    "stops": rf"\w+: \[{PAIR}\] Stop orders placed - SL: \d+\.\d+, TP: \d+\.\d+",
}
WITHIN_S = 60.0  # the first minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A stopped bot's world, what it printed, and the venue's books."""

    world: World
    text: str
    ledger: dict[str, Any]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    """Let a bot with models trade until every table has something, then stop it."""
    world = World(tmp_path_factory.mktemp("stored"))
    two = ",".join(SYMBOLS)
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", two)
    bot = world.start_bot(
        SYMBOLS=two,
        MODEL_DIR=str(skilled_models()),
        ALLOW_TECHNICAL_ONLY="false",
        STOPLOSS_PCT="0.05",  # far: the position is there to be looked at
        TAKE_PROFIT_PCT="0.1",
    )
    database = world.state / "async_bot_state.db"

    def filled() -> bool:
        if not database.exists():
            return False
        made = {row["name"] for row in world.rows("SELECT name FROM sqlite_master")}
        return made.issuperset(TABLES) and all(
            world.rows(f"SELECT 1 FROM {table}")  # noqa: S608
            for table in TABLES
        )

    try:
        eventually("rows in every table", filled, WITHIN_S)
        eventually("stops", lambda: "Stop orders placed" in bot.text(), 90)
        assert bot.interrupt() == 0, bot.text()
        yield Left(world=world, text=bot.text(), ledger=world.ledger())
    finally:
        world.end()


@pytest.mark.parametrize("table", TABLES)
def test_the_table_has_exactly_the_specified_columns(left: Left, table: str) -> None:
    columns = [row["name"] for row in left.world.rows(f"PRAGMA table_info({table})")]
    assert columns == TABLES[table].split()


@pytest.mark.parametrize("table", TABLES)
def test_stamps_are_text_in_venue_time(left: Left, table: str) -> None:
    started_ms = min(order["time"] for order in left.ledger["orders"]) - 3_600_000
    for row in left.world.rows(f"SELECT timestamp FROM {table}"):  # noqa: S608
        assert STAMP.fullmatch(row["timestamp"]), row["timestamp"]
        assert started_ms <= in_ms(row["timestamp"]) <= left.ledger["time"]


def test_a_trades_stamp_is_the_venues_own(left: Left) -> None:
    times = {f"{t['symbol']}:{t['id']}": t["time"] for t in left.ledger["trades"]}
    stored = {
        row["trade_id"]: in_ms(row["timestamp"]) for row in left.world.rows("SELECT * FROM trades")
    }
    assert stored == times


def in_ms(stamp: str) -> int:
    moment = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def test_the_three_queries_of_the_specification_run(left: Left) -> None:
    trades = left.ledger["trades"]
    (day,) = left.world.rows(DAILY_PNL)
    assert tuple(day.keys()) == ("date", "daily_pnl")
    assert day["date"] == datetime.fromtimestamp(trades[0]["time"] / 1000, UTC).date().isoformat()
    (rate,) = left.world.rows(WIN_RATE)
    assert 0.0 <= rate["win_rate"] <= 100.0
    rows = {row["symbol"]: row for row in left.world.rows(SYMBOL_PERFORMANCE)}
    assert set(rows) == {trade["symbol"] for trade in trades}
    assert sum(row["trades"] for row in rows.values()) == len(trades)


@pytest.mark.parametrize("name", LINES)
def test_the_log_has_the_specifications_line(left: Left, name: str) -> None:
    pattern = re.compile(PREFIX + LINES[name])
    assert any(pattern.fullmatch(line) for line in left.text.splitlines()), left.text


def test_every_line_is_in_the_specified_format(left: Left) -> None:
    pattern = re.compile(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[(DEBUG|INFO|WARNING|ERROR)\] [\w./]+: \S.*"
    )
    odd = [line for line in left.text.splitlines() if not pattern.fullmatch(line)]
    assert not odd
    log = (left.world.state / "logs" / "bot.log").read_text(encoding="utf-8")
    # Each sink keeps an order of its own among lines of different threads.
    assert sorted(log.splitlines()) == sorted(left.text.splitlines())
