"""`run.py explain` on what a real short run left, with its traces and without."""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.commands.explain import lines_of
from actors.commands.moments import shown, venue_ns
from actors.edges.evidence import Evidence
from actors.explaining import explain
from core.errors import UsageError
from tests.commands.recorded import Commands, Recorded, Said, recorded


@pytest.fixture(scope="module")
def run() -> Recorded:
    return recorded()


@pytest.fixture
def commands(run: Recorded, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(run.state, capsys)


@pytest.fixture
def without_traces(run: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    shutil.copy(run.state / "async_bot_state.db", tmp_path)
    return Commands(tmp_path, capsys)


def kinds(document: dict[str, Any]) -> list[str]:
    return [step["kind"] for step in document["chain"]]


def the(document: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(step for step in document["chain"] if step["kind"] == kind)


def facts(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was told, without what only the trace knows."""
    only_traced = {"id", "cause", "ms", "message", "sender", "recipient", "open_time_ns"}
    only_traced |= {"open", "high", "low", "volume", "taker_buy_volume"}
    known = {"kline", "signal", "proposal", "decision", "intent", "order", "stop", "target", "fill"}
    return [
        {name: value for name, value in step.items() if name not in only_traced}
        for step in document["chain"]
        if step["kind"] in known
    ]


def at(ns: int) -> str:
    return shown(ns).replace(" ", "T")


@pytest.mark.process
def test_a_trade_is_explained_from_kline_to_profit(run: Recorded, commands: Commands) -> None:
    entry = run.closed_entry()
    document = commands("explain", entry["venue_id"], "--json").document()
    assert (document["outcome"], document["reason_code"]) == ("traded", "approved")
    order = ["kline", "proposal", "decision", "order", "fill", "result"]
    assert [kind for kind in dict.fromkeys(kinds(document)) if kind in order] == order
    assert the(document, "signal")["technical"].keys() >= {"ema_signal", "rsi_signal"}
    assert the(document, "signal")["features"].keys() >= {"rsi_14", "bb_position"}
    decision = the(document, "decision")
    assert all(check["passed"] for check in decision["checks"])
    assert {"rule", "value", "limit"} <= set(decision["checks"][0])
    assert decision["caps"]["raw"]
    assert the(document, "order")["client_id"] == entry["client_id"]


@pytest.mark.process
def test_profit_and_fees_are_the_venues_own(run: Recorded, commands: Commands) -> None:
    entry = run.closed_entry()
    document = commands("explain", entry["client_id"], "--json").document()
    names = {s["client_id"] for s in document["chain"] if "client_id" in s}
    orders = {
        (o["symbol"], o["orderId"]) for o in run.ledger["orders"] if o["clientOrderId"] in names
    }
    trades = [t for t in run.ledger["trades"] if (t["symbol"], t["orderId"]) in orders]
    made = sum((Decimal(t["realizedPnl"]) - Decimal(t["commission"]) for t in trades), Decimal(0))
    assert Decimal(the(document, "result")["net"]) == made
    assert the(document, "result")["exit_reason"] in ("stop", "target")


@pytest.mark.process
def test_every_cause_is_in_the_chain_before_its_effect(run: Recorded, commands: Commands) -> None:
    chain = commands("explain", run.closed_entry()["client_id"], "--json").document()["chain"]
    seen = {0}
    for step in chain:
        assert {"id", "cause", "sender", "recipient", "kind", "at", "ms"} <= set(step)
        assert step["cause"] in seen, step
        seen.add(step["id"])
    assert chain[0]["kind"] == "kline_frame"
    assert len({step["id"] for step in chain}) == len(chain)


@pytest.mark.process
def test_the_database_alone_explains_as_much(
    run: Recorded, commands: Commands, without_traces: Commands
) -> None:
    entry = run.closed_entry()
    traced = commands("explain", entry["client_id"], "--json").document()
    alone = without_traces("explain", entry["client_id"], "--json").document()
    assert [alone[name] for name in ("outcome", "reason_code", "reason")] == [
        traced[name] for name in ("outcome", "reason_code", "reason")
    ]
    assert facts(alone) == facts(traced)
    assert {step["cause"] for step in alone["chain"]} <= {0} | {s["id"] for s in alone["chain"]}


@pytest.mark.process
def test_stop_target_and_entry_lead_to_the_same_story(run: Recorded, commands: Commands) -> None:
    entry = run.closed_entry()
    bracket = run.rows(
        f"SELECT client_id, venue_id FROM order_intent"  # noqa: S608
        f" WHERE proposal_id = '{entry['proposal_id']}'"
    )
    stories = [
        commands("explain", name, "--json").document() for row in bracket for name in row if name
    ]
    assert len(stories) >= 6
    assert all(story == stories[0] for story in stories)


@pytest.mark.process
def test_a_stop_is_found_by_the_order_it_became_on_the_venue(
    run: Recorded, commands: Commands
) -> None:
    (fill, *_) = run.rows("SELECT * FROM fills WHERE purpose IN ('S', 'T')")
    document = commands("explain", f"{fill['symbol']}:{fill['order_id']}", "--json").document()
    assert document["outcome"] == "traded"


@pytest.mark.process
def test_a_refusal_names_the_rule_its_number_and_its_limit(
    run: Recorded, commands: Commands
) -> None:
    (refused, *_) = run.rows("SELECT * FROM decisions WHERE NOT approved ORDER BY id DESC")
    asked = f"{refused['symbol']}@{at(refused['kline_close_ns'] + 1_000_000_000)}"
    document = commands("explain", asked, "--json").document()
    assert (document["outcome"], document["reason_code"]) == ("refused", refused["reason_code"])
    failed = next(c for c in the(document, "decision")["checks"] if not c["passed"])
    assert document["reason"] == f"{failed['rule']}: {failed['value']}, limit {failed['limit']}"
    said = commands("explain", asked)
    assert f"FAIL {failed['rule']}: {failed['value']}, limit {failed['limit']}" in said.out


@pytest.mark.process
def test_a_bar_without_signal_says_which_limit_it_missed(run: Recorded, commands: Commands) -> None:
    (held, *_) = run.rows("SELECT * FROM signals WHERE signal = 'HOLD' AND reason LIKE 'strength%'")
    document = commands("explain", f"{held['symbol']}@{at(held['kline_close_ns'])}", "--json")
    answer = document.document()
    assert (answer["outcome"], answer["reason_code"]) == ("no_signal", "weak_signal")
    assert answer["reason"] == held["reason"]
    assert "proposal" not in kinds(answer)


@pytest.mark.process
def test_a_time_before_the_first_kline_says_that_nothing_ran(commands: Commands) -> None:
    document = commands("explain", "btcusdt@2020-01-01", "--json").document()
    assert (document["outcome"], document["reason_code"]) == ("no_kline", "not_running")
    assert document["chain"] == []


@pytest.mark.process
def test_a_running_bot_explains_its_newest_bar(run: Recorded) -> None:
    assert run.explained_live["symbol"] == "BTCUSDT"
    assert "kline" in kinds(run.explained_live)


@pytest.mark.process
@pytest.mark.parametrize(
    ("asked", "code"),
    [("nope", 1), ("BTCUSDT:77", 1), ("DOGEUSDT@now", 1), ("BTCUSDT@noon", 2)],
)
def test_what_cannot_be_explained_is_one_line(commands: Commands, asked: str, code: int) -> None:
    said: Said = commands("explain", asked)
    assert said.code == code
    said.refusal()


def test_without_a_database_it_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Commands(tmp_path, capsys)("explain", "BTCUSDT@now")
    assert said.code == 75
    said.refusal()


# ---------------------------------------- verdicts by hand
@pytest.mark.parametrize(
    ("event", "others", "code"),
    [
        ("quarantined", True, "quarantined"),
        ("crashed", True, "down"),
        ("started", True, "no_kline_received"),
        ("started", False, "not_running"),
    ],
)
def test_a_missing_kline_is_explained_by_the_actors_newest_event(
    event: str, others: bool, code: str
) -> None:
    events = [{"event": event, "detail": "7 crashes"}]
    evidence = Evidence(symbol="BTCUSDT", events=events, others_decided=others)
    answer = explain(evidence, [])
    assert (answer.outcome, answer.reason_code) == ("no_kline", code)
    (line,) = lines_of(answer)
    assert line.startswith(f"BTCUSDT no_kline ({code}): ")
    json.dumps(answer.document())


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-07-01", 1_782_864_000_000_000_000),
        ("2026-07-01T12:30", 1_782_909_000_000_000_000),
        ("2026-07-01T14:30+02:00", 1_782_909_000_000_000_000),
        ("2026-07-01 12:30:00.000001Z", 1_782_909_000_000_001_000),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, ns: int) -> None:
    assert venue_ns(text, "TIME") == ns


def test_a_time_that_is_none_names_itself() -> None:
    with pytest.raises(UsageError, match=r"--from .* 'soon'"):
        venue_ns("soon", "--from")
