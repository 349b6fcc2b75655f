"""`run.py report`: from the rows of a database to figures and a page."""

import json
import sqlite3
from decimal import Decimal

import pytest

from actors.commands.cli import main
from actors.edges.database import DatabaseManager
from actors.edges.state_directory import StateDirectory
from config import Config
from core import messages as m
from core.persistence.machine import PersistenceMachine
from core.words import Purpose, Side
from tests.builders import a_moment

MINUTE_NS = 60_000_000_000
NOON_NS = 1_750_075_200_000_000_000  # 2025-06-16 12:00 UTC


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    config = Config(_env_file=None, _environ={}, STATE_DIR=str(tmp_path / "state"))
    StateDirectory.of(config).create()
    return StateDirectory.of(config)


@pytest.fixture
def database(state):
    opened = DatabaseManager(state.database)
    opened.initialize_database()
    yield opened
    opened.close()


def asked(capsys, *words):
    assert main(["report", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def a_row(number, side, price, minute, **changes):
    return {
        "trade_id": f"BTCUSDT:{number}",
        "order_id": f"BTCUSDT:{number}",
        "symbol": "BTCUSDT",
        "side": side,
        "quantity": 0.1,
        "price": price,
        "commission": 2.0,
        "pnl": 0.0,
        "timestamp": f"2025-06-16 12:{minute:02d}:00",
        **changes,
    }


def a_fill(number, side, price, minute, purpose, *, gained="0"):
    return m.FillBooked(
        symbol="BTCUSDT",
        trade_id=number,
        order_id=number,
        client_id=f"tag-{purpose.value}-hash-0",
        purpose=purpose,
        side=side,
        quantity=Decimal("0.1"),
        price=Decimal(price),
        commission=Decimal("2.00000001"),
        realized_pnl=Decimal(gained),
        at_ns=NOON_NS + minute * MINUTE_NS,
    )


def tell(database, *messages):
    machine = PersistenceMachine(epoch=1)
    database.apply([w for message in messages for w in machine.handle(message, a_moment())])


def a_snapshot(balance, minute, unrealised="0"):
    return m.AccountSnapshot(
        wallet_balance=Decimal(balance),
        available_balance=Decimal(balance),
        unrealized_pnl=Decimal(unrealised),
        margin=Decimal(0),
        at_ns=NOON_NS + minute * MINUTE_NS,
    )


def test_rows_of_trades_alone_make_round_trips_net_of_commission(database, capsys):
    database.store_trade(a_row(1, "BUY", 100_000.0, 1))
    database.store_trade(a_row(2, "SELL", 101_000.0, 9, pnl=100.0))
    database.store_trade(a_row(3, "SELL", 101_000.0, 12))
    database.store_trade(a_row(4, "BUY", 101_500.0, 20, pnl=-50.0))
    document = asked(capsys)
    assert [trade["pnl"] for trade in document["trades"]] == [96.0, -54.0]
    assert [trade["side"] for trade in document["trades"]] == ["BUY", "SELL"]
    metrics = document["metrics"]
    assert (metrics["trades"], metrics["win_rate"], metrics["fees"]) == (2, 0.5, 8.0)
    assert metrics["net_profit"] == 42.0
    assert document["symbols"]["BTCUSDT"]["trades"] == 2


def test_fills_tell_exact_money_and_what_closed_the_trade(database, capsys):
    tell(
        database,
        a_fill(1, Side.BUY, "100000", 1, Purpose.ENTRY),
        a_fill(2, Side.SELL, "98000", 5, Purpose.STOP, gained="-200"),
    )
    (trade,) = asked(capsys)["trades"]
    assert (trade["exit_reason"], trade["pnl"]) == ("stop", -204.00000002)
    assert trade["exit_time"] - trade["entry_time"] == 4 * 60_000


def test_funding_counts_with_the_trade_and_transfers_with_none(database, capsys):
    def income(kind, number, amount, minute):
        row = m.VenueIncome(
            kind=kind,
            transaction_id=number,
            symbol="BTCUSDT" if kind == "FUNDING_FEE" else "",
            asset="USDT",
            amount=Decimal(amount),
            at_ns=NOON_NS + minute * MINUTE_NS,
        )
        return m.IncomeBooked(income=row)

    tell(
        database,
        a_snapshot("10000", 0),
        a_fill(1, Side.BUY, "100000", 1, Purpose.ENTRY),
        income("FUNDING_FEE", 7, "-3", 2),
        a_fill(2, Side.SELL, "100000", 5, Purpose.EXIT, gained="10"),
        income("TRANSFER", 8, "5000", 6),
        a_snapshot("15003", 10),
    )
    document = asked(capsys)
    assert document["trades"][0]["funding"] == -3.0
    assert document["trades"][0]["pnl"] == pytest.approx(10 - 3 - 4.00000002)
    assert document["metrics"]["max_drawdown"] == 0.0  # without the transfer: 10003


def test_the_curve_holds_what_the_account_was_worth(database, capsys):
    tell(
        database,
        a_snapshot("10000", 0),
        a_snapshot("10000", 3, unrealised="-1000"),
        a_snapshot("10000", 6),
    )
    metrics = asked(capsys)["metrics"]
    assert metrics["max_drawdown"] == pytest.approx(0.1)
    assert (metrics["trades"], metrics["start_equity"]) == (0, 10_000.0)


def test_a_position_that_is_still_open_is_named_and_no_trade(database, capsys):
    tell(database, a_fill(1, Side.BUY, "100000", 1, Purpose.ENTRY))
    document = asked(capsys)
    assert (document["open"], document["trades"]) == (["BTCUSDT"], [])


def test_the_page_is_written(database, capsys, tmp_path):
    tell(
        database,
        a_fill(1, Side.BUY, "100000", 1, Purpose.ENTRY),
        a_fill(2, Side.SELL, "98000", 5, Purpose.STOP, gained="-200"),
    )
    page = tmp_path / "report.html"
    assert asked(capsys, "--html", str(page))["report"] == str(page)
    assert "Trading report" in page.read_text(encoding="utf-8")


def test_nothing_is_changed_by_a_report(database, state, capsys):
    database.store_trade(a_row(1, "BUY", 100_000.0, 1))
    reader = sqlite3.connect(f"file:{state.database}?mode=ro", uri=True)
    before = list(reader.iterdump())
    asked(capsys)
    assert list(reader.iterdump()) == before
    reader.close()


def test_an_empty_database_is_the_command_s_own_negative_answer(database, capsys):
    assert main(["report", "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "no trade and no balance yet" in said.err


def test_a_missing_database_says_how_to_get_one(state, capsys):
    assert main(["report"]) == 75
    assert "run the bot once" in capsys.readouterr().err


def test_a_page_in_a_folder_that_is_not_there_is_refused_before_any_work(state, capsys):
    assert main(["report", "--html", "none/report.html"]) == 2
    assert "there is no folder none" in capsys.readouterr().err
