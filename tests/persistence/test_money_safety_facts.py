"""What risk latched and counted comes back at the next start, exactly."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from actors.edges.connection import Connection
from actors.edges.database import DatabaseManager
from core import messages as m
from core.clock import NS_PER_S, Moment
from core.messages import TradingState
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import (
    T0,
    a_day,
    a_decision,
    a_fill,
    a_moment,
    a_move,
    a_record,
    a_rest,
    a_state,
    a_streak,
    an_account,
    an_intent,
    an_order,
)

HOUR_NS = 3600 * NS_PER_S
NOW = Moment(venue_ns=T0 + 100 * HOUR_NS, wall_ns=T0 + 100 * HOUR_NS)


def _told(database: DatabaseManager, messages: Iterable[Any], at: Moment | None = None) -> None:
    machine = PersistenceMachine(epoch=1)
    for message in messages:
        database.apply(machine.handle(message, at or a_moment()))


def _reopened(db_url: str) -> m.RecoveredBook:
    """The book as another process at `NOW` reads it."""
    database = DatabaseManager(db_url, clock=lambda: NOW)
    book = database.recover()
    database.close()
    return book


def test_the_day_comes_back_with_every_sum_exact(database, db_url):
    day = a_day(
        transfers=Decimal("-100.00000001"),
        wallet_start=Decimal("9999.5"),
        equity_min=Decimal("9876.54321"),
        bases=(("BTCUSDT", Decimal("117400.10")), ("1000SHIBUSDT", Decimal("0.0000123"))),
    )
    _told(database, [day])
    assert _reopened(db_url).day == day


def test_an_entry_still_open_whose_fills_are_booked_is_named(database, db_url):
    _told(database, [a_record(an_intent()), a_fill(), a_record(an_intent(client_id="unfilled"))])
    assert _reopened(db_url).booked == ("afb-E-aaaa-0",)
    _told(database, [a_move("ACKED"), a_move("EXPIRED")])
    assert _reopened(db_url).booked == ()


def test_the_orders_without_an_end_come_back_by_their_numbers(database, db_url):
    _told(database, [an_order("NEW"), an_order("FILLED", venue_id="BTCUSDT:8")])
    _told(database, [an_order("TRIGGERED", venue_id="BTCUSDT:algo:9")])
    assert _reopened(db_url).open_rows == (
        ("BTCUSDT", "BTCUSDT:algo:9"),
        ("BTCUSDT", an_order().venue_id),
    )


def test_states_of_account_and_symbols_come_back_each_by_itself(database, db_url):
    account, btc = a_state(), a_state(TradingState.REDUCING, symbol="BTCUSDT")
    eth = a_state(symbol="ETHUSDT", latched_until_day=None)
    released = replace(eth, state=TradingState.ACTIVE, at_ns=T0 + 1)
    _told(database, [account, btc, eth, released])
    book = _reopened(db_url)
    assert book.state == account
    assert book.symbol_states == (btc,)


def _wishes(symbol: str, hours: Iterable[int]) -> list[m.Decision]:
    return [
        a_decision(proposal_id=f"{symbol}{n}", symbol=symbol, kline_close_ns=T0 + n * HOUR_NS)
        for n in hours
    ]


def test_wishes_come_back_as_a_norm_of_thirty_days(database, db_url):
    _told(database, [*_wishes("BTCUSDT", range(70)), *_wishes("ETHUSDT", (-721, -719, 0))])
    assert _reopened(db_url).wishes == (
        ("BTCUSDT", T0, 70, tuple(T0 + n * HOUR_NS for n in range(10, 70))),
        ("ETHUSDT", T0 - 719 * HOUR_NS, 2, (T0 - 719 * HOUR_NS, T0)),
    )


def test_wishes_that_a_person_has_seen_count_no_more(database, db_url):
    resumed = a_state(
        TradingState.ACTIVE, symbol="BTCUSDT", reason_code="resumed", at_ns=T0 + HOUR_NS
    )
    _told(database, [*_wishes("BTCUSDT", (0, 1)), *_wishes("ETHUSDT", (0,)), resumed])
    assert _reopened(db_url).wishes == (("ETHUSDT", T0, 1, (T0,)),)
    _told(database, _wishes("BTCUSDT", (2,)))
    assert _reopened(db_url).wishes[0] == ("BTCUSDT", T0 + 2 * HOUR_NS, 1, (T0 + 2 * HOUR_NS,))


def test_a_later_state_counts_even_if_its_clock_was_set_back(database, db_url):
    halted = a_state(at_ns=T0 - 5)
    _told(database, [a_state(TradingState.ACTIVE), halted])
    assert _reopened(db_url).state == halted


def test_every_state_there_ever_was_is_kept_and_none_twice(database, db_url):
    states = [
        a_state(),
        a_state(reason_code="DRAWDOWN"),
        a_state(TradingState.ACTIVE, at_ns=T0 + 1),
        a_state(symbol="BTCUSDT"),
    ]
    _told(database, [*states, *states])
    reader = Connection(db_url, read_only=True)
    with reader.session() as opened:
        rows = opened.execute_sql("SELECT symbol, state, reason_code FROM state_changes").fetchall()
    reader.close()
    assert sorted(rows) == [
        ("", "ACTIVE", "DAY_LIMIT"),
        ("", "HALTED", "DAY_LIMIT"),
        ("", "HALTED", "DRAWDOWN"),
        ("BTCUSDT", "HALTED", "DAY_LIMIT"),
    ]


def test_loss_streaks_and_peak_equity_come_back(database, db_url):
    assert database.begin_epoch("venue") == 1
    _told(database, [a_streak(2), a_streak(3), a_streak(0, "ETHUSDT"), an_account("12000.5")])
    book = _reopened(db_url)
    assert book.loss_streaks == (("BTCUSDT", 3),)
    assert book.peak_equity == Decimal("12000.5")


def test_the_newest_rest_of_each_symbol_comes_back(database, db_url):
    older, newest = a_rest(failures=(T0 - 5,)), a_rest()
    other = a_rest("ETHUSDT", until_wall_ns=0, reason="", failures=())
    _told(database, [older, other, newest, a_state(symbol="SOLUSDT")])
    assert _reopened(db_url).rests == (newest, other)


def _entry(name: str, state: str, hours_ago: float, symbol: str = "BTCUSDT") -> list[Any]:
    at = Moment(
        venue_ns=NOW.venue_ns - int(hours_ago * HOUR_NS),
        wall_ns=NOW.wall_ns - int(hours_ago * HOUR_NS),
    )
    record = a_record(an_intent(client_id=name, proposal_id=name, symbol=symbol))
    moves = [] if state == "SENDING" else [a_move(state, name)]
    return [(message, at) for message in (record, *moves)]


def test_entries_of_the_last_venue_day_come_back_ascending_without_those_never_sent(
    database, db_url
):
    told = [
        *_entry("today", "FILLED", 1),
        *_entry("earlier", "REJECTED", 23, "ETHUSDT"),
        *_entry("old", "FILLED", 25),
        *_entry("unsent", "NOT_SENT", 1),
    ]
    for message, at in told:
        _told(database, [message], at)
    stop = an_intent(client_id="stop", purpose=m.Purpose.STOP)
    _told(database, [a_record(stop)], NOW)
    assert _reopened(db_url).entries == (
        ("ETHUSDT", NOW.venue_ns - 23 * HOUR_NS),
        ("BTCUSDT", NOW.venue_ns - HOUR_NS),
    )


@pytest.mark.parametrize(("hours_ago", "watched"), [(1, True), (23.9, True), (24.1, False)])
def test_an_entry_believed_absent_is_watched_for_24_wall_hours(
    database, db_url, hours_ago, watched
):
    for message, at in _entry("gone", "ABSENT", hours_ago):
        _told(database, [message], at)
    absent = _reopened(db_url).absent
    assert [intent.client_id for intent in absent] == (["gone"] if watched else [])
    assert not watched or absent[0].reservation == an_intent().reservation


def test_a_day_of_an_older_program_starts_from_what_is_known(database, db_url):
    _told(database, [a_day(equity_min=Decimal(1))])
    with database._connection.session() as opened:
        opened.execute_sql("UPDATE day_ledger SET equity_min = NULL, bases = NULL")
    day = _reopened(db_url).day
    assert (day.equity_min, day.bases) == (Decimal("10000.10"), ())
