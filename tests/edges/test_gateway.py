"""The gateway on the simulated venue: every request for real, every stream for real."""

import itertools
import threading
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from core import messages as m
from core.errors import ConfigurationError, UnavailableError
from core.messages import Failure, Purpose, Side
from tests.edges.gateway_desk import Desk, Simulated, a_stop, an_entry

MINUTE_NS = 60_000_000_000


@pytest.fixture(scope="module")
def venue() -> Iterator[Simulated]:
    venue = Simulated()
    venue.start()
    yield venue
    venue.stop()


@pytest.fixture
def desk(venue) -> Iterator[Desk]:
    desk = Desk(venue)
    desk.start()
    yield desk
    desk.gateway.stop(5)


def a_snapshot(after: int = 0, unresolved: tuple[tuple[str, str], ...] = ()) -> m.FetchSnapshot:
    return m.FetchSnapshot(
        reason="test",
        symbols=("BTCUSDT", "ETHUSDT"),
        trades_after=(("BTCUSDT", after),),
        unresolved=unresolved,
    )


def test_both_streams_are_up_when_start_returns_and_frames_arrive(desk):
    assert desk.hear(m.StreamUp).stream == "private"
    assert desk.hear(m.StreamUp) == m.StreamUp(stream="market", connection=1)
    assert desk.hear(m.MarkPrice, symbol="ETHUSDT").price > 0
    assert (
        desk.hear(m.KlineFrame, symbol="BTCUSDT", closed=True).candle.open_time_ns % MINUTE_NS == 0
    )


def test_what_streams_hear_before_the_rooms_are_up_is_held_but_for_prices(venue):
    desk = Desk(venue)
    desk.gateway.start()
    try:
        entry = an_entry("afb-E-earlyearlyearlye-0")
        assert desk.ask(entry).status == "FILLED"
        leave = an_entry("afb-X-earlyearlyearlye-0", side=Side.SELL, reduce_only=True)
        assert desk.ask(leave).status == "FILLED"
        assert desk.news.empty()
        desk.ask(m.FetchHistory(symbol="BTCUSDT", bars=1))
        assert desk.news.get(timeout=5) == m.StreamUp(stream="private", connection=1)
        assert desk.news.get(timeout=5) == m.StreamUp(stream="market", connection=1)
        assert desk.hear(m.OrderUpdate, client_id=entry.client_id, status="FILLED")
        assert desk.hear(m.OrderUpdate, client_id=leave.client_id, status="FILLED")
        assert desk.hear(m.MarkPrice)
    finally:
        desk.gateway.stop(5)


def test_prepares_symbols_and_says_what_the_venue_answered(desk):
    instruments, leverage = desk.gateway.prepare(("BTCUSDT", "ETHUSDT"))
    assert list(instruments) == ["BTCUSDT", "ETHUSDT"]
    assert instruments["BTCUSDT"].status == "TRADING"
    assert leverage["BTCUSDT"]["leverage"] == desk.config.LEVERAGE
    again = desk.gateway.prepare(("BTCUSDT",))  # what is set already is set again without trouble
    assert again.leverage["BTCUSDT"]["leverage"] == desk.config.LEVERAGE


def test_an_unknown_symbol_is_refused_with_the_nearest_name(desk):
    with pytest.raises(ConfigurationError, match=r"SYMBOLS has BTCUSD, .*use BTCUSDT"):
        desk.gateway.prepare(("BTCUSD",))


def test_an_entry_its_bracket_and_its_exit_in_answers_events_and_snapshots(desk):
    instrument = desk.gateway.prepare(("BTCUSDT",)).instruments["BTCUSDT"]
    entry = an_entry("afb-E-bracketbracketb-0")
    before = max((t.trade_id for t in desk.ask(a_snapshot()).trades), default=0)

    answered = desk.ask(entry)
    assert isinstance(answered, m.OrderAnswered)
    assert (answered.status, answered.executed) == ("FILLED", entry.quantity)
    fill = desk.hear(m.OrderUpdate, client_id=entry.client_id, status="FILLED")
    assert answered.venue_id == f"BTCUSDT:{fill.order_id}"
    assert fill.average_price > 0
    found = desk.ask(m.QueryOrder(client_id=entry.client_id, symbol="BTCUSDT"))
    assert (found.found, found.average_price) == (True, fill.average_price)

    stop = a_stop(
        "afb-S-bracketbracketb-0",
        trigger_price=instrument.stop_price(fill.average_price, Decimal("0.1"), Side.BUY),
    )
    target = a_stop(
        "afb-T-bracketbracketb-0",
        purpose=Purpose.TARGET,
        trigger_price=instrument.target_price(fill.average_price, Decimal("0.1"), Side.BUY),
    )
    stop_id = desk.ask(stop).venue_id
    assert stop_id.startswith("BTCUSDT:algo:")
    assert isinstance(desk.ask(target), m.OrderAnswered)
    assert desk.ask(stop).venue_id == stop_id  # the same again is the same order
    second = desk.ask(a_stop("afb-S-otherotherothero-1", trigger_price=stop.trigger_price))
    assert (second.failure, second.code) == (Failure.REFUSED, -4130)
    assert desk.hear(m.AlgoUpdate, client_id=stop.client_id).status == "NEW"

    snapshot = desk.ask(a_snapshot(before, (("BTCUSDT", entry.client_id), ("BTCUSDT", "nobody"))))
    assert [p.quantity for p in snapshot.positions] == [entry.quantity]
    orders = {order.client_id: order for order in snapshot.orders}
    assert {stop.client_id, target.client_id} <= set(orders)
    assert orders[stop.client_id].order_type == "STOP_MARKET"
    assert orders[target.client_id].order_type == "TAKE_PROFIT_MARKET"
    assert all(order.algo and order.close_position for order in orders.values())
    assert [t.client_id for t in snapshot.trades] == [entry.client_id] * len(snapshot.trades)
    assert sum(t.quantity for t in snapshot.trades) == entry.quantity
    assert [f.found for f in snapshot.found] == [True, False]

    cancel = m.CancelAlgoOrder(client_id=stop.client_id, symbol="BTCUSDT")
    assert desk.ask(cancel).cancelled
    assert not desk.ask(cancel).cancelled  # gone is gone, by whatever it was
    ended = desk.ask(m.QueryOrder(client_id=stop.client_id, symbol="BTCUSDT"))
    assert (ended.status, ended.venue_id, ended.executed) == ("CANCELED", stop_id, 0)
    assert [seen.status for seen in ended.seen] == ["CANCELED"]
    for known, status in ((answered.venue_id, "FILLED"), (stop_id, "CANCELED")):
        by_number = desk.ask(m.QueryOrder(client_id="", symbol="BTCUSDT", venue_id=known))
        assert [(seen.venue_id, seen.status) for seen in by_number.seen] == [(known, status)]
    for known in ("BTCUSDT:1", "BTCUSDT:algo:1"):
        denied = m.OrderFound(client_id="", symbol="BTCUSDT", found=False, venue_id=known)
        assert desk.ask(m.QueryOrder(client_id="", symbol="BTCUSDT", venue_id=known)) == denied
    nobody = m.QueryOrder(client_id="afb-S-nobodynobodynobo-0", symbol="BTCUSDT")
    assert not desk.ask(nobody).found
    leave = an_entry(
        "afb-X-bracketbracketb-0", purpose=Purpose.EXIT, side=Side.SELL, reduce_only=True
    )
    assert desk.ask(leave).status == "FILLED"
    assert desk.hear(m.AlgoUpdate, client_id=target.client_id, status="EXPIRED")
    assert desk.ask(a_snapshot()).positions == ()
    refused = desk.ask(leave)
    assert (refused.failure, refused.code) == (Failure.REFUSED, -2022)


def test_trades_of_orders_from_before_the_start_get_their_client_ids(desk, venue):
    names = [f"afb-{purpose}-earlier0earlier0-{n}" for n in range(3) for purpose in "EX"]
    for name in names:
        leaving = "-X-" in name
        order = an_entry(
            name,
            side=Side.SELL if leaving else Side.BUY,
            purpose=Purpose.EXIT if leaving else Purpose.ENTRY,
            reduce_only=leaving,
        )
        assert desk.ask(order).status == "FILLED"
    fresh = Desk(venue)
    fresh.start()
    try:
        trades = fresh.ask(a_snapshot()).trades
    finally:
        fresh.gateway.stop(5)
    assert set(names) <= {trade.client_id for trade in trades}
    assert "" not in {trade.client_id for trade in trades}


def test_history_is_consecutive_and_holds_closed_candles_only(desk):
    history = desk.ask(m.FetchHistory(symbol="BTCUSDT", bars=300))
    opens = [candle.open_time_ns for candle in history.candles]
    assert len(opens) == 300
    assert [b - a for a, b in itertools.pairwise(opens)] == [MINUTE_NS] * 299
    assert opens[-1] + MINUTE_NS <= desk.clock.now().venue_ns


def test_history_goes_back_over_pages_as_far_as_the_venue_does(desk):
    history = desk.ask(m.FetchHistory(symbol="BTCUSDT", bars=5000))
    opens = [candle.open_time_ns for candle in history.candles]
    assert 400 <= len(opens) < 5000
    assert {b - a for a, b in itertools.pairwise(opens)} == {MINUTE_NS}


def test_a_request_for_an_unlisted_symbol_is_answered_with_the_reason(desk):
    history = desk.ask(m.FetchHistory(symbol="NOPEUSDT", bars=5))
    assert history.candles == ()
    assert "-1121" in history.reason


def test_the_clock_runs_with_the_venue_and_follows_its_jumps(desk, venue):
    health = desk.gateway.venue_health()
    assert desk.clock.now().speed == venue.speed
    assert abs(desk.clock.now().venue_ns / 1e6 - health["venue_ms"]) < 60_000
    venue.post("/sim/clock", {"advance_s": 86_400})
    jumped_to_ns = health["venue_ms"] * 1_000_000 + 86_400_000_000_000
    deadline = time.monotonic() + 10
    while desk.clock.now().venue_ns < jumped_to_ns and time.monotonic() < deadline:
        desk.hear(m.MarkPrice)
    assert desk.clock.now().venue_ns >= jumped_to_ns


def test_every_envelope_is_traced_once_even_one_that_is_no_request(desk):
    envelopes = [desk.put(m.Tick()), desk.put(m.FetchHistory(symbol="BTCUSDT", bars=1))]
    assert isinstance(desk.answers.get(timeout=5)[0], m.KlineHistory)
    desk.gateway.stop(5)
    outcomes = {id(envelope): outcome for kind, envelope, outcome in desk.traced}
    assert len(desk.traced) == 2
    assert [outcomes[id(envelope)] for envelope in envelopes] == ["TypeError", "ok"]


def test_stops_quickly_and_makes_dead_letters_of_what_comes_later(venue):
    desk = Desk(venue)
    assert desk.put(an_entry())
    assert desk.traced[0][0] == "dead"  # not started yet
    desk.start()
    began = time.monotonic()
    desk.gateway.stop(5)
    assert time.monotonic() - began < 4
    assert "gateway" not in {thread.name for thread in threading.enumerate()}
    desk.put(an_entry())
    assert [kind for kind, _, _ in desk.traced] == ["dead", "dead"]
    assert desk.answers.empty()


def test_a_key_the_venue_does_not_know_is_one_line_with_the_fix(venue):
    desk = Desk(venue, API_KEY="nobodys-key", API_SECRET="nobodys-secret")
    with pytest.raises(UnavailableError, match=r"-2015.*API_KEY") as caught:
        desk.start()
    assert "\n" not in str(caught.value)
    assert "nobodys" not in str(caught.value)
    desk.gateway.stop(1)


def test_a_venue_that_is_not_there_is_one_line_at_once():
    nowhere = Simulated()
    nowhere.port = 9  # nothing listens on the discard port
    desk = Desk(nowhere)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"embedded venue .*internet connection"):
        desk.start()
    assert time.monotonic() - began < 5


def test_streams_come_back_after_the_venue_was_away_and_say_so():
    venue = Simulated()
    venue.start()
    desk = Desk(venue)
    desk.start()
    try:
        desk.hear(m.MarkPrice)
        venue.stop()
        down = {desk.hear(m.StreamDown).stream for _ in range(2)}
        assert down == {"private", "market"}
        venue.start()
        up = {desk.hear(m.StreamUp, connection=2).stream for _ in range(2)}
        assert up == {"private", "market"}
        desk.hear(m.MarkPrice)
        assert desk.ask(an_entry("afb-E-afterafterafter-0")).status == "FILLED"
    finally:
        desk.gateway.stop(5)
        venue.stop()
