"""The whole bot, end to end, as processes: it trades, is killed, starts again, and all adds up."""

from decimal import Decimal
from typing import Any

import pytest

from actors.tracing import read_trace
from core.clock import NS_PER_MS
from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.process.conftest import Process, World, eventually

pytestmark = pytest.mark.process

TAG = "afb"
BALANCE = Decimal(10_000)


def own(rows: list[dict[str, Any]], purpose: Purpose) -> list[dict[str, Any]]:
    key = "clientAlgoId" if purpose in (Purpose.STOP, Purpose.TARGET) else "clientOrderId"
    return [row for row in rows if purpose_of(TAG, row[key]) is purpose]


def holds_protected_position(world: World) -> bool:
    """Tell whether something is held, and all of it has a live stop and a live target."""
    ledger = world.ledger()
    held = {p["symbol"] for p in ledger["positions"] if Decimal(p["positionAmt"])}
    live = [
        {a["symbol"] for a in own(ledger["algo_orders"], purpose) if a["algoStatus"] == "NEW"}
        for purpose in (Purpose.STOP, Purpose.TARGET)
    ]
    return bool(held) and all(held <= symbols for symbols in live)


def exits(world: World) -> int:
    return sum(Decimal(t["realizedPnl"]) != 0 for t in world.ledger()["trades"])


def test_trades_survives_a_kill_and_every_book_agrees(world: World) -> None:
    world.start_venue("--seed", "3", "--speed", "60", "--balance", str(BALANCE))
    first = world.start_bot()
    eventually("a protected position", lambda: holds_protected_position(world), 45)
    first.kill()
    assert holds_protected_position(world) or exits(world), "the venue keeps the stop"
    second = world.start_bot()
    eventually("a stop or target fills", lambda: exits(world) >= 1, 180)
    assert second.interrupt() == 0, second.text()

    ledger = world.ledger()
    check_entries(world, ledger)
    check_protection(ledger)
    check_trades_and_money(world, ledger)
    check_traces(world, ledger)
    assert "Traceback" not in first.text() + second.text()


def check_entries(world: World, ledger: dict[str, Any]) -> None:
    """One approval and one journal row an entry, committed before the venue saw it."""
    entries = own(ledger["orders"], Purpose.ENTRY)
    assert entries
    journal = {row["client_id"]: row for row in world.rows("SELECT * FROM order_intent")}
    approvals = [r["proposal_id"] for r in world.rows("SELECT * FROM decisions WHERE approved")]
    assert len({e["clientOrderId"] for e in entries}) == len(entries), "an entry was sent twice"
    for entry in entries:
        row = journal[entry["clientOrderId"]]
        assert approvals.count(row["proposal_id"]) == 1
        assert row["recorded_at_venue_ns"] // NS_PER_MS <= entry["time"]
        assert row["side"] == entry["side"]
        assert Decimal(row["quantity"]) == Decimal(entry["origQty"])


def check_protection(ledger: dict[str, Any]) -> None:
    """A stop and a target for each entry, both closing, on the right side of its price."""
    algo = ledger["algo_orders"]
    for entry in own(ledger["orders"], Purpose.ENTRY):
        price = next(
            Decimal(t["price"])
            for t in ledger["trades"]
            if t["orderId"] == entry["orderId"] and t["symbol"] == entry["symbol"]
        )
        bracket = entry["clientOrderId"].split("-")[2]
        for purpose, above_for_buy in ((Purpose.STOP, False), (Purpose.TARGET, True)):
            orders = [a for a in own(algo, purpose) if a["clientAlgoId"].split("-")[2] == bracket]
            assert orders, f"{entry['clientOrderId']} has no {purpose.name}"
            for order in orders:
                assert order["closePosition"] is True
                assert order["side"] != entry["side"]
                above = Decimal(order["triggerPrice"]) > price
                assert above == (above_for_buy == (entry["side"] == "BUY"))


def check_trades_and_money(world: World, ledger: dict[str, Any]) -> None:
    """The database's trades are the venue's, and profit adds up to the cent."""
    stored = {row["trade_id"]: row for row in world.rows("SELECT * FROM trades")}
    assert set(stored) == {f"{t['symbol']}:{t['id']}" for t in ledger["trades"]}
    for trade in ledger["trades"]:
        row = stored[f"{trade['symbol']}:{trade['id']}"]
        assert row["order_id"] == f"{trade['symbol']}:{trade['orderId']}"
        assert row["side"] == trade["side"]
        for column, name in (
            ("quantity", "qty"),
            ("price", "price"),
            ("commission", "commission"),
            ("pnl", "realizedPnl"),
        ):
            assert Decimal(str(row[column])) == Decimal(trade[name]), (column, trade)
    paid = [row for row in ledger["income"] if row["incomeType"] == "FUNDING_FEE"]
    funding = sum((Decimal(row["income"]) for row in paid), Decimal(0))
    # The list of income is read once a minute: the last settlement may not be booked yet.
    booked = world.rows("SELECT amount FROM income WHERE kind = 'FUNDING_FEE'")
    assert len(booked) <= len(paid)
    made = sum(
        (Decimal(str(r["pnl"])) - Decimal(str(r["commission"])) for r in stored.values()),
        Decimal(0),
    )
    wallet = next(Decimal(b["balance"]) for b in ledger["balances"] if b["asset"] == "USDT")
    assert abs(BALANCE + made + funding - wallet) < Decimal("0.01")


def check_traces(world: World, ledger: dict[str, Any]) -> None:
    """From any entry back to its kline frame by causes; and no message without an end."""
    sent: dict[int, dict[str, Any]] = {}
    ended: set[int] = set()
    for line in read_trace(world.state / "traces"):
        if line["event"] == "sent":
            sent[line["id"]] = line
        else:
            assert line["id"] not in ended, f"{line['id']} ended twice"
            ended.add(line["id"])
    epochs = {i // 10**12 for i in sent}
    assert epochs == {1, 2}
    clean = {i for i in sent if i // 10**12 == 2}
    assert clean == {i for i in ended if i // 10**12 == 2}, "sent and ended differ"
    placed = {
        line["body"]["client_id"]: line for line in sent.values() if line["kind"] == "PlaceOrder"
    }
    for entry in own(ledger["orders"], Purpose.ENTRY):
        line, kinds = placed[entry["clientOrderId"]], []
        while True:
            kinds.append(line["kind"])
            if not line["cause"]:
                break
            line = sent[line["cause"]]
        assert kinds[-1] == "KlineFrame", kinds
        assert {"Proposal", "Approval", "RecordIntent", "IntentRecorded"} <= set(kinds)


def test_a_crashing_symbol_restarts_alone_and_its_position_keeps_its_stop(world: World) -> None:
    world.start_venue("--seed", "3", "--speed", "60")
    bot = world.start_bot()
    eventually("a protected position", lambda: holds_protected_position(world), 45)
    before = status(world)
    held = before["positions"][0]["symbol"]
    done = world.start("crash", held, "--config", "paper.yaml", name="crash")
    assert done.wait(20) == 0, done.text()

    after = eventually(
        "the symbol is back",
        lambda: (
            (s := status(world))["symbols"][held]["restarts"] == 1
            and s["symbols"][held]["state"] == "up"
            and s
        ),
        20,
    )
    others = [s for s in after["symbols"] if s != held]
    assert [after["symbols"][s]["generation"] for s in others] == [1] * len(others)
    assert after["symbols"][held]["generation"] == 2
    eventually(
        "it decides again",
        lambda: (
            status(world)["symbols"][held]["last_kline_close"]
            > before["symbols"][held]["last_kline_close"]
        ),
        20,
    )
    naked = [p for p in status(world)["positions"] if p["stop"] is None]
    assert not naked
    assert bot.interrupt() == 0, bot.text()


def status(world: World) -> dict[str, Any]:
    import json

    asked: Process = world.start("status", "--json", "--config", "paper.yaml", name="status")
    assert asked.wait(20) == 0, asked.text()
    return dict(json.loads(asked.text().splitlines()[-1]))
