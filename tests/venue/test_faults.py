"""Faults on demand: every kind strikes what it matches, as often as it was armed for."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.edges.venue_journal import open_journal
from actors.edges.venue_source import VenueSettings
from core.venue.simulated import market_faults
from core.venue.simulated.errors import Rejection
from core.venue.simulated.fault_script import FaultScript
from core.venue.simulated.faults import (
    FaultTable,
    InvalidFault,
    Occasion,
    read_fault,
)
from core.venue.simulated.rest import Entry
from tests.venue.market_on_paper import (
    START_MS,
    algo,
    an_exchange,
    call,
    flat,
    limit,
    market,
    statuses,
    user_events,
)

MINUTE = 60_000


def a_fault(kind: str, count: int | None = 1, match: Any = None, **args: Any) -> Any:
    return read_fault({"kind": kind, "count": count, "match": match or {}, "args": args})


def inject(exchange: Any, kind: str, count: int = 1, symbol: str = "BTCUSDT", **args: Any) -> Any:
    return market_faults.inject(exchange, a_fault(kind, count, {"symbol": symbol}, **args))


# ---------------------------------------------------------------------- the table
def test_a_fault_strikes_what_it_matches_and_as_often_as_armed():
    table = FaultTable()
    table.arm(a_fault("latency", 2, {"path": "order", "method": "post", "symbol": "BTCUSDT"}))
    other = Occasion(path="/fapi/v1/order/test", method="POST", symbol="BTCUSDT")
    wanted = Occasion(path="/fapi/v1/order", method="POST", symbol="BTCUSDT")
    struck = [table.take("latency", one) is not None for one in (other, wanted, wanted, wanted)]
    assert struck == [False, True, True, False]
    assert table.fired == {"latency": 2}
    assert [(row["left"], row["fired"]) for row in table.rows()] == [(0, 2)]


def test_a_lasting_fault_begins_at_its_first_stroke_and_counts_whole_times():
    table = FaultTable()
    table.arm(a_fault("maintenance", 2, s=10))
    times = (0, 9_999, 10_000, 19_999, 20_000)
    assert [table.take("maintenance", Occasion(), at) is not None for at in times] == [
        *[True, True, True, True, False]
    ]


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ([], "object"),
        ({"kind": "nope"}, "kind"),
        ({"kind": "latency", "count": 0}, "count"),
        ({"kind": "latency", "args": {"ms": "x"}}, "ms"),
        ({"kind": "latency", "args": {"ms": -1}}, "ms"),
        ({"kind": "latency", "args": {"seconds": 1}}, "seconds"),
        ({"kind": "latency", "match": {"host": "x"}}, "host"),
        ({"kind": "rest_reject"}, "code"),
        ({"kind": "price_jump"}, "pct"),
        ({"kind": "filter_change"}, "tickSize"),
        ({"kind": "reset", "args": {"when": "never"}}, "when"),
        ({"kind": "partial_fill", "args": {"fraction": 2}}, "fraction"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_by_the_name_of_its_parameter(wish, word):
    with pytest.raises(InvalidFault, match=word):
        read_fault(wish)


def test_a_script_repeats_from_its_seed_and_hands_out_what_is_due():
    def script(seed: int) -> FaultScript:
        return FaultScript(seed, symbols=["BTCUSDT"], start_ms=1_000, span_ms=60_000, faults=30)

    assert script(5).rows == script(5).rows != script(6).rows
    drawn = script(5)
    assert [len(drawn.due(at)) for at in (999, 61_000, 61_000)] == [0, 30, 0]


# ---------------------------------------------------------------------- the market
def test_a_jump_moves_price_candles_and_orders_at_once():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 10)})
    exchange.advance(START_MS + 1_000)
    limit(exchange, "BUY", "0.010", "96000.00", newClientOrderId="resting")
    inject(exchange, "price_jump", pct=-5)
    assert exchange.quotes.last("BTCUSDT") == Decimal("95000.00")
    assert exchange.ledger.order("BTCUSDT", None, "resting").status == "FILLED"
    exchange.advance(START_MS + 3 * MINUTE)
    rows = call(exchange, "GET v1/klines", symbol="BTCUSDT", interval="1m")
    assert [row[1:5] for row in rows[:2]] == [
        ["100000.00", "100000.00", "95000.00", "95000.00"],
        ["95000.00", "95000.00", "95000.00", "95000.00"],
    ]
    numbers = [row["a"] for row in call(exchange, "GET v1/aggTrades", symbol="BTCUSDT")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_spike_comes_back():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 3)})
    exchange.advance(START_MS + 1_000)
    inject(exchange, "price_jump", pct=50, s=2)
    assert exchange.quotes.last("BTCUSDT") == 150_000
    exchange.advance(START_MS + 3_000)
    assert exchange.quotes.last("BTCUSDT") == 100_000


def test_a_jump_reaches_stops_and_liquidates():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 5)}, balance="1000")
    market(exchange, "BUY", "0.100")
    inject(exchange, "price_jump", pct=-30)
    assert [row["incomeType"] for row in exchange.dump()["income"]].count("INSURANCE_CLEAR") == 1
    assert exchange.dump()["positions"] == []


def test_a_freeze_holds_price_and_mark():
    path = [["100000.00", "100100.00", "100200.00"], ["100300.00", "100400.00"], ["100500.00"]]
    exchange = an_exchange({"BTCUSDT": path})
    exchange.advance(START_MS + 6_000)
    inject(exchange, "price_freeze", s=60)
    seen = set()
    for second in range(6, 66, 5):
        exchange.advance(START_MS + second * 1_000)
        seen.add((exchange.quotes.last("BTCUSDT"), exchange.quotes.mark("BTCUSDT")))
    assert len(seen) == 1
    exchange.advance(START_MS + 70_000)
    assert exchange.quotes.last("BTCUSDT") == Decimal("100400.00")


@pytest.mark.parametrize(
    ("status", "ending"),
    [("", "EXPIRED"), ("EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"), ("CANCELED", "CANCELED")],
)
def test_an_order_fills_in_part_and_ends(status, ending):
    exchange = an_exchange()
    inject(exchange, "partial_fill", fraction=0.5, status=status)
    answer = market(exchange, "BUY", "0.010")
    assert (answer["status"], answer["executedQty"]) == (ending, "0.005")
    assert market(exchange, "BUY", "0.010")["status"] == "FILLED"


def test_a_trigger_is_refused_or_sticks():
    exchange = an_exchange({"BTCUSDT": [["100000.00", "99000.00", "98000.00"], ["98000.00"]]})
    market(exchange, "BUY", "0.010")
    for name, trigger, stuck in (("refused", "99500.00", False), ("stuck", "98500.00", True)):
        more = {"quantity": "0.005", "reduceOnly": "true", "clientAlgoId": name}
        algo(exchange, "SELL", "STOP_MARKET", trigger, **more)
        inject(exchange, "algo_reject_at_trigger", code=-2022, stuck=stuck)
    exchange.advance(START_MS + 30_000)
    assert statuses(exchange, "refused") == ["NEW", "TRIGGERING", "REJECTED"]
    assert statuses(exchange, "stuck") == ["NEW", "TRIGGERING"]
    told = [event["o"] for event in user_events(exchange) if event["e"] == "ALGO_UPDATE"]
    assert [o["rm"] for o in told if o["X"] == "REJECTED"] == ["Reduce Only reject"]


def test_a_foreign_order_is_the_accounts_own_but_nobody_asked_for_it():
    exchange = an_exchange()
    inject(exchange, "foreign_order", 2, side="SELL", quantity="0.010")
    held = call(exchange, "GET v3/positionRisk")
    assert [row["positionAmt"] for row in held] == ["-0.020"]
    ids = [row["clientOrderId"] for row in exchange.dump()["orders"]]
    assert all(name.startswith("ios_") for name in ids)
    with pytest.raises(Rejection):
        inject(exchange, "foreign_order", side="SELL", quantity="1000")


def test_a_delisted_symbol_settles_and_takes_no_more_orders():
    exchange = an_exchange()
    market(exchange, "BUY", "0.010")
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="open")
    inject(exchange, "delist", status="SETTLING")
    assert exchange.ledger.order("BTCUSDT", None, "open").status == "EXPIRED"
    assert call(exchange, "GET v3/positionRisk") == []
    assert call(exchange, "GET v1/exchangeInfo")["symbols"][0]["status"] == "SETTLING"
    with pytest.raises(Rejection) as caught:
        market(exchange, "BUY", "0.010")
    assert caught.value.code in {-4140, -4141}
    reasons = [e["o"]["er"] for e in user_events(exchange) if e["e"] == "ORDER_TRADE_UPDATE"]
    assert "7" in reasons


def test_a_symbol_may_vanish_from_the_listing():
    exchange = an_exchange()
    inject(exchange, "delist", status="TRADING", hidden=True)
    assert call(exchange, "GET v1/exchangeInfo")["symbols"] == []


def test_filters_change_and_prices_follow_the_new_tick():
    exchange = an_exchange({"BTCUSDT": [["100000.40", "100001.60"], ["100002.60"]]})
    inject(exchange, "filter_change", tickSize="1", minNotional="500", stepSize="0.01")
    assert exchange.quotes.last("BTCUSDT") == 100_000
    exchange.advance(START_MS + 6_000)
    assert exchange.quotes.last("BTCUSDT") == 100_002
    for quantity, code in (("0.004", -4164), ("0.015", -4023)):
        with pytest.raises(Rejection) as caught:
            market(exchange, "BUY", quantity)
        assert caught.value.code in {code, -4023}


def test_a_journal_repeats_what_faults_did_to_the_market(tmp_path: Path):
    settings = VenueSettings(
        symbols=("BTCUSDT", "ETHUSDT"),
        seed=3,
        balance="10000",
        history=60,
        data="",
        funding="",
        start_ms=START_MS,
    )
    world, journal = open_journal(tmp_path / "venue.jsonl", settings)
    exchange = world.exchange

    def strike(fault: Any) -> None:
        market_faults.inject(exchange, fault, 60.0)
        params = {"fault": json.dumps(fault.as_json()), "pace": "60.0"}
        entry = Entry(
            at_ms=exchange.now_ms, method="POST", path=market_faults.FAULTS_PATH, params=params
        )
        journal.request(entry)

    def step(seconds: int) -> None:
        exchange.advance(exchange.now_ms + seconds * 1_000)

    match = {"symbol": "BTCUSDT"}
    step(7)
    strike(a_fault("partial_fill", 1, match, fraction=0.3))
    strike(a_fault("foreign_order", 2, match, side="BUY", quantity="0.010"))
    step(33)
    strike(a_fault("price_jump", 1, match, pct=-4))
    strike(a_fault("price_freeze", 1, {"symbol": "ETHUSDT"}, s=2))
    step(400)
    strike(a_fault("filter_change", 1, match, tickSize="0.5"))
    strike(a_fault("delist", 1, {"symbol": "ETHUSDT"}))
    step(120)
    journal.mark(exchange)
    journal.close()
    again, second = open_journal(tmp_path / "venue.jsonl", settings)
    second.close()
    assert again.exchange.dump() == exchange.dump()
    for symbol in settings.symbols:
        query = {"symbol": symbol, "interval": "1m"}
        rows = [call(one, "GET v1/klines", **query) for one in (exchange, again.exchange)]
        assert rows[0] == rows[1]
