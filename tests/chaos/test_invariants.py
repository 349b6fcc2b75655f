"""Each invariant holds on a clean trade and is found violated on a ledger in which it is broken."""

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.chaos.evidence import Evidence, Limits, Window
from tests.chaos.invariants import INVARIANTS, violations
from tests.chaos.naked import intervals

T0 = 1_767_607_200_000.0  # 10:00 UTC
ENTRY, STOP, TARGET = "afb-E-aaaa-0", "afb-S-aaaa-0", "afb-T-aaaa-0"
SECOND = 60_000.0  # of wall time, in venue ms
_WALL_NS = 5_000_000_000  # when the rows were written, by the machine
DAY = 86_400_000.0


def order(name: str, number: int, side: str, at: float, **more: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": number,
        "clientOrderId": name,
        "side": side,
        "status": "FILLED",
        "origQty": "0.010",
        "executedQty": "0.010",
        "time": at,
        "history": [],
        **more,
    }


def conditional(name: str, kind: str, history: list[tuple[float, str]]) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "clientAlgoId": name,
        "algoId": 3 if kind == "STOP_MARKET" else 4,
        "orderType": kind,
        "side": "SELL",
        "closePosition": True,
        "algoStatus": history[-1][1],
        "createTime": history[0][0],
        "history": [{"time": at, "status": status} for at, status in history],
    }


def trade(number: int, order_id: int, side: str, at: float, **more: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": order_id,
        "side": side,
        "qty": "0.010",
        "price": "100000.0",
        "commission": "0.5",
        "realizedPnl": "0",
        "time": at,
        **more,
    }


def income(kind: str, amount: str, at: float) -> dict[str, Any]:
    row = {"incomeType": kind, "income": amount, "time": at, "symbol": "BTCUSDT"}
    return {**row, "tranId": int(at)}


A_DAY = {"wallet_start": "10000.0", "transfers": "0", "bases": '[["+", "10000"]]'}
FUNDING = {"kind": "FUNDING_FEE", "transaction_id": 9, "symbol": "BTCUSDT", "amount": "-0.1"}


def intent(name: str, **more: Any) -> dict[str, Any]:
    return {
        "client_id": name,
        "proposal_id": "p1",
        "symbol": "BTCUSDT",
        "purpose": name.split("-")[1],
        "quantity": "0.010",
        "decision": "{}",
        "epoch": 1,
        "recorded_at_venue_ns": int((T0 - 100) * 1e6),
        "recorded_at_wall_ns": _WALL_NS,
        "state": "FILLED",
        "reason": "",
        **more,
    }


def fill(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "symbol": row["symbol"],
        "trade_id": row["id"],
        "order_id": row["orderId"],
        "side": row["side"],
        "quantity": row["qty"],
        "price": row["price"],
        "commission": row["commission"],
        "realized_pnl": row["realizedPnl"],
    }


def a_clean_trade() -> Evidence:
    """One long, entered, protected after 0.05 s, closed by its target a wall minute later."""
    out = T0 + 60 * SECOND
    trades = [
        trade(1, 1, "BUY", T0),
        trade(2, 2, "SELL", out, realizedPnl="3.00000000"),
    ]
    ledger = {
        "time": T0 + 70 * SECOND,
        "orders": [order(ENTRY, 1, "BUY", T0), order(TARGET, 2, "SELL", out)],
        "algo_orders": [
            conditional(STOP, "STOP_MARKET", [(T0 + 3000, "NEW"), (out + 60, "EXPIRED")]),
            conditional(TARGET, "TAKE_PROFIT_MARKET", [(T0 + 3000, "NEW"), (out, "FINISHED")]),
        ],
        "trades": trades,
        "positions": [{"symbol": "BTCUSDT", "positionAmt": "0.000"}],
        "position_history": [
            {"time": T0, "symbol": "BTCUSDT", "positionAmt": "0.010", "entryPrice": "100000.0"},
            {"time": out, "symbol": "BTCUSDT", "positionAmt": "0.000", "entryPrice": "0.0"},
        ],
        "income": [
            income("TRANSFER", "10000", T0 - 1e6),
            income("COMMISSION", "-0.5", T0),
            income("REALIZED_PNL", "3.00000000", out),
            income("COMMISSION", "-0.5", out),
        ],
        "balances": [{"asset": "USDT", "balance": "10002.00000000"}],
    }
    return Evidence(
        limits=Limits(symbols=("BTCUSDT", "ETHUSDT")),
        ledger=ledger,
        intents=[intent(ENTRY), intent(STOP, state="EXPIRED"), intent(TARGET)],
        fills=[fill(t) for t in trades],
        trades=[{"trade_id": f"BTCUSDT:{n}"} for n in (1, 2)],
        order_table=[
            {"order_id": "BTCUSDT:1", "status": "FILLED"},
            {"order_id": "BTCUSDT:2", "status": "FILLED"},
            {"order_id": "BTCUSDT:algo:3", "status": "EXPIRED"},
            {"order_id": "BTCUSDT:algo:4", "status": "FINISHED"},
        ],
        days=[A_DAY | {"day": int(T0 // DAY)}],
        known_fills=frozenset({("BTCUSDT", 1)}),
        known_intents=frozenset({ENTRY}),
        promised=frozenset({ENTRY}),
        epochs=[(1, T0)],
        status={"state": "ACTIVE", "reason": "", "actors": [{"name": "risk", "state": "up"}]},
        recovered_s=2.0,
    )


Break = Callable[[Evidence], object]


def _second_entry(e: Evidence) -> None:
    again = ENTRY.replace("-0", "-1")
    e.ledger["orders"].append(order(again, 9, "BUY", T0 + 100))
    e.intents.append(intent(again))


def _naked(e: Evidence) -> None:
    e.ledger["algo_orders"][0]["history"][0]["time"] = T0 + 8 * SECOND


def _put_late(seconds: float) -> "Break":
    def change(e: Evidence) -> None:
        e.ledger["algo_orders"][0]["history"][0]["time"] = T0 + seconds * SECOND

    return change


def _late_under_faults(e: Evidence) -> None:
    _put_late(9)(e)
    e.windows.append(Window(from_ms=T0 - SECOND, to_ms=T0 + 20 * SECOND, why="fault"))


def _loses_a_day(e: Evidence) -> None:
    """Lose all but a little in the morning, then enter all the same."""
    e.ledger["income"].insert(1, income("REALIZED_PNL", "-9100", T0 - 1e5 - 6000 * SECOND / 60))


def _loses_more_than_a_day(e: Evidence) -> None:
    e.ledger["income"].append(income("REALIZED_PNL", "-10600", T0 + 61 * SECOND))


def _stop_lost(e: Evidence) -> None:
    e.ledger["algo_orders"][0]["history"][1] = {"time": T0 + 9 * SECOND, "status": "CANCELED"}


def _stop_on_the_wrong_side(e: Evidence) -> None:
    e.ledger["algo_orders"][0]["side"] = "BUY"


def _huge(e: Evidence) -> None:
    e.ledger["trades"][0]["price"] = "900000.0"
    e.fills[0]["price"] = "900000.0"


def _turned(e: Evidence) -> None:
    for row in (e.ledger["trades"][1], e.fills[1]):
        row["qty" if "qty" in row else "quantity"] = "0.020"


def _orphan(e: Evidence) -> None:
    e.ledger["algo_orders"][0]["algoStatus"] = "NEW"


def _foreign_cancelled(e: Evidence) -> None:
    e.ledger["orders"].append(order("ios_1", 7, "BUY", T0, status="CANCELED", executedQty="0"))


def _crowd(e: Evidence) -> None:
    e.ledger["orders"] += [order(f"afb-X-b{n}-0", 100 + n, "SELL", T0 + n) for n in range(400)]


def _four_positions(e: Evidence) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "S1", "S2")
    object.__setattr__(e.limits, "symbols", symbols)
    for n, symbol in enumerate(symbols[1:], 10):
        name = f"afb-E-c{n}-0"
        e.ledger["orders"].append(order(name, n, "BUY", T0 + n, symbol=symbol))
        e.ledger["trades"].insert(-1, trade(n, n, "BUY", T0 + n, symbol=symbol))


def _set(place: str, **values: Any) -> Break:
    def change(e: Evidence) -> None:
        name, _, index = place.partition(":")
        holder = getattr(e, name) if hasattr(e, name) else e.ledger[name]
        holder[int(index)].update(values)

    return change


def _put(name: str, value: Any) -> Break:
    return lambda e: setattr(e, name, value)


def _put_order(place: int, status: str) -> Break:
    return lambda e: e.order_table[place].update(status=status)


BROKEN: list[tuple[str, str, Break]] = [
    ("I1", "a second entry", _second_entry),
    ("I1", "more filled than approved", _set("orders:0", executedQty="0.011")),
    ("I2", "the stop came late", _naked),
    ("I2", "the stop was cancelled", _stop_lost),
    ("I2", "the stop came a second late", _put_late(6)),
    ("I2 under faults", "faults are no excuse for that long", _late_under_faults),
    ("I2", "the stop is on the wrong side", _stop_on_the_wrong_side),
    ("I3", "a fill is missing", lambda e: e.fills.pop()),
    ("I3", "a fill was invented", lambda e: e.ledger["trades"].pop()),
    ("I3", "a commission differs by its last digit", _set("fills:0", commission="0.50000001")),
    (
        "I3",
        "a position is left",
        _put("positions", [{"symbol": "BTCUSDT", "side": "BUY", "quantity": 0.01}]),
    ),
    ("I3", "a filled entry was called absent", _set("intents:0", state="ABSENT")),
    ("I3", "a stop that ended is open in the journal", _set("intents:1", state="ACKED")),
    ("I3", "a stop that stood was called absent", _set("intents:1", state="ABSENT")),
    ("I3", "a target that nobody sent is filled", lambda e: e.intents.append(intent("afb-T-x-0"))),
    ("I3", "an order is not in the table of orders", lambda e: e.order_table.pop(1)),
    ("I3", "an order of the table has another status", _put_order(2, "NEW")),
    ("I3", "an outcome is unknown", _set("intents:0", state="UNKNOWN")),
    (
        "I3",
        "a stop's outcome is unknown",
        lambda e: e.intents.append(intent("afb-S-x-0", state="UNKNOWN")),
    ),
    ("I4", "too large for a symbol", _huge),
    ("I4", "too many positions", _four_positions),
    ("I4", "an entry after a halt", _put("states", [("HALTED", T0 - 5 * SECOND)])),
    (
        "I4",
        "an entry a day after a halt that nobody released",
        _put("states", [("ACTIVE", T0 - 2 * DAY), ("HALTED", T0 - DAY)]),
    ),
    ("I4", "an entry while only closing is allowed", _put("states", [("REDUCING", T0 - DAY)])),
    ("I4", "an entry after the day's limit was lost", _loses_a_day),
    ("I4", "a day lost more than its limit and the gaps", _loses_more_than_a_day),
    ("I5", "an acknowledged row is gone", _put("promised", frozenset({"afb-E-gone-0"}))),
    ("I5", "a known fill is gone", _put("known_fills", frozenset({("BTCUSDT", 77)}))),
    ("I6", "an exit turned the position", _turned),
    ("I6", "an exit opened it", _set("orders:0", clientOrderId="afb-X-aaaa-0")),
    ("I7", "a stop protects nothing", _orphan),
    ("I8", "no journal row", lambda e: e.intents.pop(0)),
    (
        "I8",
        "journalled afterwards",
        _set("intents:0", recorded_at_venue_ns=int((T0 + 2 * SECOND) * 1e6)),
    ),
    ("I8", "another's order was cancelled", _foreign_cancelled),
    (
        "I9",
        "entered beside a foreign position",
        _put("foreign_since_ms", {"BTCUSDT": T0 - 20 * SECOND}),
    ),
    ("I10", "too many orders in ten seconds", _crowd),
    ("I10", "too much weight in a minute", _put("weights", (600, 2_401))),
    (
        "I11",
        "refused for its form",
        _set("intents:1", reason="-1111 Precision is over the maximum"),
    ),
    ("I12", "came back too late", _put("recovered_s", 31.0)),
    (
        "I12",
        "an actor stayed down",
        _put("status", {"state": "ACTIVE", "actors": [{"name": "risk", "state": "down"}]}),
    ),
    ("I12", "halted without a word", _put("status", {"state": "HALTED", "reason": ""})),
    (
        "I13",
        "an order of an older epoch",
        _put("epochs", [(1, T0 - 60 * SECOND), (2, T0 - 30 * SECOND)]),
    ),
    ("I14", "no decision", _set("intents:0", decision=None)),
    ("I14 audit", "a link of the chain changed", _put("audit_faults", ("audit link 7 changed",))),
    ("I15", "money is missing", _set("fills:1", realized_pnl="2.99999999")),
    ("I15 days", "a day starts too low", lambda e: e.days[0].update(wallet_start="9999.99999999")),
    ("I15 days", "a day's start stays unknown", lambda e: e.days[0].update(wallet_start="0")),
    ("I15 days", "a transfer nobody made", lambda e: e.days[0].update(transfers="50")),
    (
        "I15 funding",
        "funding was not booked",
        lambda e: e.ledger["income"].append(income("FUNDING_FEE", "-0.1", T0 - 5000 * SECOND)),
    ),
    ("I15 funding", "funding was invented", _put("income", [FUNDING])),
    ("I16", "a secret in the log", _put("secrets", ["logs/bot.log"])),
]


def test_a_clean_trade_violates_nothing():
    assert violations(a_clean_trade()) == {}


@pytest.mark.parametrize(
    ("name", "what", "damage"), BROKEN, ids=[f"{n}: {w}" for n, w, _ in BROKEN]
)
def test_the_check_bites(name: str, what: str, damage: Break):
    evidence = copy.deepcopy(a_clean_trade())
    damage(evidence)
    assert name in violations(evidence), what


def test_every_invariant_has_a_ledger_that_breaks_it():
    assert {name for name, _, _ in BROKEN} == set(INVARIANTS)


def test_naked_time_runs_from_the_fill_to_the_stop():
    (gap,) = intervals(a_clean_trade())
    assert (gap.symbol, gap.from_ms, gap.to_ms) == ("BTCUSDT", T0, T0 + 3000)
    assert gap.seconds == pytest.approx(0.05)


def test_declared_windows_are_taken_out_of_naked_time_and_named():
    evidence = a_clean_trade()
    _naked(evidence)
    dead = Window(from_ms=T0 + SECOND, to_ms=T0 + 7 * SECOND, why="dead")
    evidence.windows.append(dead)
    (gap,) = intervals(evidence)
    assert gap.seconds == pytest.approx(2.0)
    assert gap.across == pytest.approx(8.0)
    assert gap.restart
    assert "I2" not in violations(evidence)


def test_a_jump_of_the_venue_clock_is_no_time():
    evidence = a_clean_trade()
    _naked(evidence)
    evidence.windows.append(Window(from_ms=T0, to_ms=T0 + 7 * SECOND, why="jump"))
    (gap,) = intervals(evidence)
    assert gap.across == pytest.approx(1.0)


def test_faults_lengthen_the_naked_time_only_by_a_request_that_is_never_answered():
    evidence = a_clean_trade()
    _put_late(7)(evidence)
    evidence.windows.append(Window(from_ms=T0, to_ms=T0 + 20 * SECOND, why="fault"))
    assert violations(evidence, ("I2", "I2 under faults")) == {}


def test_a_refusal_while_the_venues_rules_changed_is_no_defect():
    evidence = a_clean_trade()
    evidence.intents[1]["reason"] = "-4014 Price not increased by tick size"
    assert "I11" in violations(evidence)
    hours_later = T0 + 7_200 * SECOND  # by the venue's clock, which had jumped
    around = (_WALL_NS - 1, _WALL_NS + 1)
    changed = Window(from_ms=hours_later, to_ms=hours_later + 9, why="filters", wall_ns=around)
    evidence.windows.append(changed)
    assert "I11" not in violations(evidence)


def test_an_exit_that_ended_with_the_process_that_sent_it_need_not_be_known():
    evidence = a_clean_trade()
    unknown = conditional("afb-T-dying-1", "TAKE_PROFIT_MARKET", [(T0, "NEW"), (T0 + 9, "EXPIRED")])
    evidence.ledger["algo_orders"].append(unknown | {"algoId": 9})
    assert "I3" in violations(evidence)
    evidence.windows.append(Window(from_ms=T0 + 5, to_ms=T0 + 20, why="dead"))
    assert "I3" not in violations(evidence)
    evidence.ledger["algo_orders"][-1]["algoStatus"] = "NEW"
    assert "I3" in violations(evidence)


def test_a_day_starts_from_the_wallet_of_its_midnight_whatever_was_moved_since():
    evidence = a_clean_trade()
    evidence.ledger["income"][0]["time"] = T0 - DAY  # paid in the day before
    assert "I15 days" in violations(evidence)
    evidence.days[0].update(bases="[]")
    assert "I15 days" not in violations(evidence)
    evidence.ledger["income"].append(income("TRANSFER", "-50", T0 + SECOND))
    assert "I15 days" in violations(evidence)
    evidence.days[0].update(transfers="-50")
    assert "I15 days" not in violations(evidence)


def test_money_is_compared_exactly():
    evidence = a_clean_trade()
    evidence.fills[0]["price"] = "100000.00"  # the same number in other words
    assert violations(evidence) == {}
    assert Decimal("100000.0") == Decimal("100000.00")
