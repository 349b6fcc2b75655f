"""The contract of DatabaseManager, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import peewee
import pytest

from actors.edges.database import DatabaseManager
from config import Config
from core import messages as m
from core.errors import ConfigurationError, SelfCheckError, UnavailableError
from core.persistence.machine import PersistenceMachine
from core.persistence.rows import Operation, Write
from core.risk.risk_manager import RiskManager
from tests.persistence.builders import (
    a_bracket,
    a_day,
    a_fill,
    a_moment,
    a_move,
    a_record,
    a_state,
    an_account,
    an_intent,
    an_order,
)


def _order(order_id: str = "BTCUSDT:1", **changes):
    return {
        "order_id": order_id,
        "symbol": "BTCUSDT",
        "side": "BUY",
        "order_type": "MARKET",
        "quantity": 0.1,
        "status": "NEW",
        **changes,
    }


def _trade(trade_id: str = "BTCUSDT:1", **changes):
    return {
        "trade_id": trade_id,
        "order_id": "BTCUSDT:1",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": 0.1,
        "price": 100.0,
        **changes,
    }


def _tell(database: DatabaseManager, *messages, epoch: int = 1) -> None:
    machine = PersistenceMachine(epoch=epoch)
    now = a_moment()
    database.apply([write for message in messages for write in machine.handle(message, now)])


# ---------------------------------------- rows from outside
def test_open_orders_are_the_new_and_the_partly_filled(database):
    for number, status in enumerate(["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"]):
        database.store_order(_order(f"BTCUSDT:{number}", status=status))
    assert [row["order_id"] for row in database.get_open_orders()] == ["BTCUSDT:0", "BTCUSDT:1"]


def test_an_open_order_comes_back_by_column_name_and_can_be_stored_again(database):
    database.store_order(_order(timestamp="2025-08-15T12:55:47.464Z", price=Decimal("1.5")))
    (row,) = database.get_open_orders()
    expected = _order(timestamp="2025-08-15 12:55:47.464000", price=1.5, id=row["id"])
    assert row == expected
    database.store_order({**row, "status": "FILLED"})
    assert database.get_open_orders() == []


def test_a_late_status_does_not_reopen_an_order(database):
    database.store_order(_order(status="FILLED"))
    database.store_order(_order(status="NEW"))
    assert database.get_open_orders() == []


def test_an_order_that_lives_on_keeps_one_row(database):
    database.store_order(_order())
    database.store_order(_order(status="PARTIALLY_FILLED", quantity=0.2))
    ((first),) = [row["quantity"] for row in database.get_open_orders()]
    assert first == 0.2


def test_a_trade_counts_once_however_often_it_is_stored(database):
    for _ in range(3):
        database.store_trade(_trade(pnl=2.5, timestamp="2025-08-15 12:00:00"))
    assert database.get_daily_pnl(day="2025-08-15") == 2.5


def test_an_unknown_column_is_refused_by_name(database):
    with pytest.raises(ConfigurationError, match=r"store_trade: unknown column 'qty'.*quantity"):
        database.store_trade(_trade(qty=1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": None}, "quantity is missing"),
        ({"price": float("nan")}, "price is nan"),
        ({"price": "much"}, "price cannot be 'much'"),
        ({"timestamp": "yesterday"}, "timestamp cannot be 'yesterday'"),
    ],
)
def test_a_row_that_cannot_be_stored_is_refused_in_one_line(database, changes, words):
    with pytest.raises(ConfigurationError, match=words) as refusal:
        database.store_trade(_trade(**changes))
    assert "\n" not in str(refusal.value)
    assert database.get_daily_pnl() == 0.0


def test_account_totals_are_appended(database):
    database.snapshot_account({"total_balance": 1000.0, "available_balance": 900})
    database.snapshot_account(
        {
            "total_balance": 1001.0,
            "available_balance": 900,
            "total_pnl": 1.0,
            "total_margin": 100.0,
        }
    )
    with pytest.raises(ConfigurationError, match="available_balance is missing"):
        database.snapshot_account({"total_balance": 1000.0})


# ---------------------------------------- daily P&L
def test_daily_pnl_sums_one_utc_day_from_midnight_to_midnight(database):
    for number, stamp in enumerate(
        ["2025-08-14 23:59:59.999999", "2025-08-15 00:00:00", "2025-08-15 23:59:59.999999"]
    ):
        database.store_trade(_trade(f"A:{number}", pnl=10.0**number, timestamp=stamp))
    assert database.get_daily_pnl(day=date(2025, 8, 15)) == 110.0
    assert database.get_daily_pnl(day="2025-08-14") == 1.0
    assert database.get_daily_pnl(day=(date(2025, 8, 16) - date(1970, 1, 1)).days) == 0.0


def test_daily_pnl_is_before_commission_like_the_query_of_the_specification(database):
    database.store_trade(_trade(pnl=5.0, commission=0.4, timestamp="2025-08-15 01:00:00"))
    assert database.get_daily_pnl(day="2025-08-15") == 5.0


def test_today_is_the_newest_day_of_the_venue(database):
    database.store_trade(_trade("A:1", pnl=1.0))  # stamped by the database, now
    assert database.get_daily_pnl() == 1.0
    _tell(database, a_day(day=20_315))
    database.store_trade(_trade("A:2", pnl=7.0, timestamp="2025-08-15 12:00:00"))
    assert database.get_daily_pnl() == 7.0


def test_times_with_a_zone_become_utc(database):
    east = timezone(timedelta(hours=5))
    late = datetime(2025, 8, 16, 2, tzinfo=east)
    database.store_trade(_trade("A:1", pnl=3.0, timestamp=late))
    database.store_trade(_trade("A:2", pnl=4.0, timestamp=late.astimezone(UTC)))
    assert database.get_daily_pnl(day="2025-08-15") == 7.0


def test_rows_without_a_time_get_the_venues_when_the_clock_is_handed_in(db_url):
    database = DatabaseManager(db_url, clock=a_moment)
    database.store_trade(_trade(pnl=3.0))
    assert database.get_daily_pnl(day="2025-08-15") == 3.0
    database.close()


# ---------------------------------------- state
def test_state_comes_back_as_it_was_given_and_other_keys_stay(database):
    state = {
        "text": "plain",
        "like_json": "1",
        "quoted": '"x"',
        "number": 1.5,
        "none": None,
        "list": [1, "a"],
        "dict": {"a": {"b": True}},
    }
    database.update_bot_state({"other": "kept", "number": 1})
    database.update_bot_state(state)
    assert database.get_bot_state() == {"other": "kept", **state}


def test_state_that_cannot_be_kept_is_refused_and_nothing_of_it_is(database):
    with pytest.raises(ConfigurationError, match="update_bot_state: bad is"):
        database.update_bot_state({"good": 1, "bad": object()})
    assert database.get_bot_state() == {}


# ---------------------------------------- epochs and the ledger's identity
def test_every_start_gets_the_next_epoch(db_url):
    numbers = []
    for _ in range(3):
        database = DatabaseManager(db_url)
        numbers.append(database.begin_epoch("venue-a"))
        database.close()
    assert numbers == [1, 2, 3]


def test_refuses_to_mix_with_another_ledger_and_says_how_to_go_on(database):
    database.begin_epoch("venue-a")
    with pytest.raises(ConfigurationError, match=r"venue-a.*venue-b.*Fix: .*STATE_DIR"):
        database.begin_epoch("venue-b")
    assert database.begin_epoch("venue-a") == 2


# ---------------------------------------- recovery
def test_an_empty_database_recovers_an_empty_book(database):
    assert database.recover() == m.RecoveredBook(
        epoch=0,
        intents=(),
        positions=(),
        entry_prices=(),
        last_trade_ids=(),
        day=None,
        state=None,
        peak_equity=Decimal(0),
    )


def test_recovers_what_others_hold_beside_ours(database):
    ours, theirs = a_fill(trade_id=501), a_fill(trade_id=502, purpose=None)
    _tell(database, ours, theirs)
    book = database.recover()
    assert book.positions == (("BTCUSDT", ours.quantity),)
    assert book.foreign == (("BTCUSDT", theirs.quantity),)


def test_recovers_each_open_intent_equal_to_the_one_recorded(database):
    other = an_intent(client_id="afb-E-bbbb-0", proposal_id="p2")
    refused = a_move("REJECTED", "afb-E-bbbb-0", executed=Decimal(0))
    _tell(database, a_record(), a_record(other), refused)
    assert database.recover().intents == ((an_intent(), "SENDING"),)


def test_recovers_the_newest_bracket_of_a_symbol_we_hold_even_when_it_has_ended(database):
    old, new = a_bracket(proposal_id="p1"), a_bracket(proposal_id="p2")
    other = a_bracket(symbol="ETHUSDT")
    ended = [a_move("FILLED", intent.client_id) for intent in (*old, new[0], *other)]
    live = [a_move("ACKED", intent.client_id) for intent in new[1:]]
    fills = [
        a_fill(trade_id=501, client_id=old[0].client_id),
        a_fill(trade_id=502, client_id=new[0].client_id),
        a_fill(symbol="ETHUSDT", client_id=other[0].client_id),
        a_fill(symbol="ETHUSDT", trade_id=502, client_id=other[1].client_id, side=m.Side.SELL),
    ]
    _tell(database, *map(a_record, (*old, *new, *other)), *ended, *live, *fills)
    found = [(intent.client_id, state) for intent, state in database.recover().intents]
    assert found == [
        (new[0].client_id, "FILLED"),
        (new[1].client_id, "ACKED"),
        (new[2].client_id, "ACKED"),
    ]


def test_recovers_an_ended_entry_whose_fill_is_not_booked(database):
    """The process died between the answer and the fill: only its row tells whose trade it is."""
    unfilled = an_intent(client_id="afb-E-bbbb-0", proposal_id="p2")
    ended = a_move("EXPIRED", "afb-E-bbbb-0", executed=Decimal("0.000"))
    _tell(database, a_record(), a_record(unfilled), a_move("EXPIRED"), ended)
    assert database.recover().intents == ((an_intent(), "EXPIRED"),)
    _tell(database, a_fill(), a_fill(trade_id=502, side=m.Side.SELL, client_id="afb-S-aaaa-0"))
    assert database.recover().intents == ()


def test_recovers_exact_positions_and_the_last_trade_of_every_symbol(database):
    fills = [a_fill(trade_id=n, quantity=Decimal("0.1"), price=Decimal(n)) for n in (1, 2, 3)]
    foreign = a_fill(symbol="ETHUSDT", trade_id=90, purpose=None)
    flat = [
        a_fill(symbol="BNBUSDT", trade_id=5, quantity=Decimal("0.3")),
        a_fill(symbol="BNBUSDT", trade_id=6, quantity=Decimal("0.3"), side=m.Side.SELL),
    ]
    _tell(database, *fills, foreign, *flat)
    book = database.recover()
    assert book.positions == (("BTCUSDT", Decimal("0.3")),)
    assert book.entry_prices == (("BTCUSDT", Decimal(2)),)
    assert book.last_trade_ids == (("BNBUSDT", 6), ("BTCUSDT", 3), ("ETHUSDT", 90))


def test_recovers_the_newest_day_and_the_latched_state(database):
    _tell(database, a_state(m.TradingState.ACTIVE), a_day(20_315), a_state(), a_day(20_316))
    _tell(database, a_day(20_316, entries=9, halted=True))
    book = database.recover()
    assert book.day == a_day(20_316, entries=9, halted=True)
    assert book.day_before == a_day(20_315)
    assert book.state == a_state()


def test_the_peak_of_equity_survives_a_restart_that_starts_lower(database):
    for wallet in ("10000.00000001", "9000"):
        epoch = database.begin_epoch("venue-a")
        _tell(database, an_account(wallet), epoch=epoch)
    assert database.recover().peak_equity == Decimal("10000.00000001")
    assert database.recover().epoch == 2


def test_an_ended_intent_stays_ended(database):
    _tell(database, a_record(), a_move("FILLED"), a_move("ACKED"), a_move("UNKNOWN"), a_record())
    assert [state for _, state in database.recover().intents] == ["FILLED"]


def test_an_order_held_absent_may_still_turn_up(database):
    _tell(database, a_record(), a_move("ABSENT"), a_move("ACKED"))
    assert [state for _, state in database.recover().intents] == ["ACKED"]


# ---------------------------------------- one transaction
def test_applies_all_writes_or_none(database):
    machine = PersistenceMachine(epoch=1)
    writes = [*machine.handle(a_fill(), a_moment()), *machine.handle(an_order(), a_moment())]
    torn = Write(table="positions", operation=Operation.INSERT, values=(("symbol", "BTCUSDT"),))
    with pytest.raises(peewee.IntegrityError):
        database.apply([*writes, torn])
    assert database.recover().last_trade_ids == ()
    database.apply(writes)
    assert database.recover().last_trade_ids == (("BTCUSDT", 501),)


# ---------------------------------------- readers
def test_a_reader_sees_what_was_committed_and_changes_nothing(database, db_url):
    database.update_bot_state({"a": 1})
    reader = DatabaseManager(db_url, read_only=True)
    assert reader.get_bot_state() == {"a": 1}
    with pytest.raises(UnavailableError):
        reader.update_bot_state({"a": 2})
    database.update_bot_state({"a": 3})
    assert reader.get_bot_state() == {"a": 3}
    reader.close()


def test_a_closed_manager_opens_again_when_used(database):
    database.update_bot_state({"a": 1})
    database.close()
    database.close()
    assert database.get_bot_state() == {"a": 1}


def test_several_threads_may_use_one_manager(database):
    def keep(number: int) -> float:
        database.update_bot_state({f"key{number}": number})
        return database.get_daily_pnl()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(keep, range(40))) == {0.0}
    assert database.get_bot_state() == {f"key{number}": number for number in range(40)}


def test_an_unknown_kind_of_database_is_refused():
    with pytest.raises(ConfigurationError, match=r"DB_FILE mysql://.*Fix: .*postgresql://"):
        DatabaseManager("mysql://bot@host/db").initialize_database()


def test_a_rehearsal_leaves_no_row_behind(database):
    database.initialize_database()
    database.rehearse()
    assert database.get_open_orders() == []
    assert database.get_daily_pnl() == 0.0


def test_a_rehearsal_finds_a_database_that_cannot_keep_orders(database):
    class Forgetful(type(database)):
        def store_order(self, order_data):
            raise KeyError("quantity")

    database.__class__ = Forgetful
    with pytest.raises(SelfCheckError, match="rehearsal"):
        database.rehearse()


def test_the_day_starts_with_the_ledgers_equity_else_with_the_first_snapshot_of_the_day(database):
    assert database.get_day_start_equity() is None
    for balance, stamp in ((9_000.0, "01 09:00"), (10_000.0, "02 00:00"), (9_900.0, "02 13:00")):
        row = {"total_balance": balance, "available_balance": balance}
        database.snapshot_account(row | {"timestamp": f"2026-11-{stamp}:00.000000"})
    assert database.get_day_start_equity() == 10_000.0


def test_the_risk_manager_knows_the_days_limit_from_the_database_alone(database):
    database.snapshot_account({"total_balance": 10_000.0, "available_balance": 10_000.0})
    manager = RiskManager(Config(_environ={}, _env_file=None), database)
    assert manager.check_daily_loss_limit(-299.0)
    assert not manager.check_daily_loss_limit(-301.0)
