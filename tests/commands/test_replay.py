"""`run.py replay` on what a real short run recorded, and the replay of small machines."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from actors.commands.moments import shown
from actors.commands.options import PAPER
from actors.message_text import KINDS, as_text, message_of
from actors.replaying import EVENTS, Builders, Replay, Report, machine_before
from actors.tracing import read_trace
from core import messages as m
from core.clock import Moment
from tests.actors.builders import a_closed_kline
from tests.commands.recorded import Commands, Recorded, recorded

SPEED = 60.0


@pytest.fixture(scope="module")
def run() -> Recorded:
    return recorded()


@pytest.fixture
def commands(run: Recorded, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(run.state, capsys)


def other_settings(folder: Path, **changed: Any) -> str:
    path = folder / "other.yaml"
    settings = yaml.safe_load(PAPER.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({k.upper(): v for k, v in settings.items()} | changed))
    return str(path)


@pytest.mark.process
def test_unchanged_settings_give_the_same_answers_bit_for_bit(
    run: Recorded, commands: Commands
) -> None:
    said = commands("replay", "--json")
    document = said.document()
    assert (said.code, document["same"], document["differences"]) == (0, True, [])
    handled = sum(
        line["event"] == "handled" and "now" in line for line in read_trace(run.state / "traces")
    )
    assert sum(document["handled"].values()) == handled
    assert document["answers"]["Approval"] >= 1
    assert document["answers"]["PlaceOrder"] >= 1
    assert not document["not_replayed"]


@pytest.mark.process
def test_changed_settings_print_what_would_have_been_decided(
    run: Recorded, commands: Commands, tmp_path: Path
) -> None:
    symbols = ["BTCUSDT", "ETHUSDT", "ADAUSDT"]
    other = other_settings(tmp_path, SYMBOLS=symbols, MAX_SYMBOL_NOTIONAL_X=0.1)
    said = commands("replay", "--config", other)
    assert said.code == 1
    first, *lines = said.out.splitlines()
    assert first == "setting MAX_SYMBOL_NOTIONAL_X: recorded 0.25, now 0.1"
    assert any(line.startswith("  ~ Decision to persistence: ") for line in lines)
    assert any("quantity " in line and " -> " in line for line in lines)
    assert lines[-1].endswith(" differ")
    document = commands("replay", "--config", other, "--json").document()
    assert {d["actor"] for d in document["differences"]} == {"risk"}


@pytest.mark.process
def test_only_the_stretch_asked_for_is_compared(run: Recorded, commands: Commands) -> None:
    (decision, *_) = run.rows("SELECT * FROM decisions WHERE approved")
    at_ns = decision["decided_at_ns"]
    words = [shown(ns).replace(" ", "T") for ns in (at_ns, at_ns + 10**9)]
    document = commands("replay", "--from", words[0], "--to", words[1], "--json").document()
    whole = commands("replay", "--json").document()
    assert 0 < sum(document["handled"].values()) < sum(whole["handled"].values())


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--from", "2020-01-01", "--to", "2020-01-02"), 1),
        (("--from", "yesterday"), 2),
        (("--config", "nowhere.yaml"), 64),
    ],
)
def test_what_cannot_be_replayed_is_one_line(
    commands: Commands, words: tuple[str, ...], code: int
) -> None:
    said = commands("replay", *words)
    assert said.code == code
    said.refusal()


# ---------------------------------------- the message that killed an actor
def the_crash(run: Recorded) -> Path:
    (path,) = (run.state / "crashes").glob("crash-*.json")
    return path


@pytest.mark.process
def test_a_crash_happens_again_the_same_way(run: Recorded, commands: Commands) -> None:
    said = commands("replay-crash", str(the_crash(run)))
    assert said.code == 0
    first, message, verdict, *trace = said.out.splitlines()
    assert first.startswith("symbol/BTCUSDT generation 1 at ")
    assert message.startswith("message: CrashNow(symbol='BTCUSDT'")
    assert verdict.startswith("the same again: CrashOnDemandError(")
    assert trace[0] == "Traceback (most recent call last):"
    document = commands("replay-crash", str(the_crash(run)), "--json").document()
    assert document["same"] is True
    assert document["error"] == document["recorded_error"]


@pytest.mark.process
def test_a_crash_happens_again_on_the_state_that_the_trace_gives(
    run: Recorded, commands: Commands
) -> None:
    document = commands("replay-crash", str(the_crash(run)), "--from-trace", "--json").document()
    assert document["same"] is True


@pytest.mark.process
def test_without_that_life_in_the_trace_the_file_must_do(
    run: Recorded, commands: Commands, tmp_path: Path
) -> None:
    alone = tmp_path / "crash-alone.json"
    alone.write_bytes(the_crash(run).read_bytes())
    said = commands("replay-crash", str(alone), "--from-trace")
    assert said.code == 64
    assert "symbol/BTCUSDT generation 1" in said.refusal()


@pytest.mark.process
def test_another_program_is_named_beside_what_differs(
    run: Recorded, commands: Commands, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert commands("replay", "--json").document()["program_changed"] == {}
    (tmp_path / "traces").mkdir()
    for path in (run.state / "traces").glob("*.jsonl"):
        older = re.sub(r'"code":"[0-9a-f]{12}', '"code":"0123456789ab', path.read_text())
        (tmp_path / "traces" / path.name).write_text(older)
    first, *_ = Commands(tmp_path, capsys)("replay").out.splitlines()
    assert first.startswith("program: recorded 0123456789ab, now ")


@pytest.mark.process
def test_another_outcome_is_exit_1(run: Recorded, commands: Commands, tmp_path: Path) -> None:
    crash = orjson.loads(the_crash(run).read_bytes())
    crash["error"] = "KeyError('x') at machine.py:1"
    changed = tmp_path / "crash-changed.json"
    changed.write_bytes(orjson.dumps(crash))
    said = commands("replay-crash", str(changed))
    assert said.code == 1
    assert "another error now: CrashOnDemandError(" in said.out


@pytest.mark.parametrize("content", [None, b"{}", b"no JSON"])
def test_what_is_no_crash_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    file = tmp_path / "crash.json"
    if content is not None:
        file.write_bytes(content)
    said = Commands(tmp_path, capsys)("replay-crash", str(file))
    assert said.code == 64
    assert str(file) in said.refusal()


# ---------------------------------------- messages there and back
@pytest.mark.process
def test_every_recorded_message_comes_back_as_it_was(run: Recorded) -> None:
    for line in read_trace(run.state / "traces"):
        if line["event"] == "sent":
            message = message_of(line["kind"], line["body"])
            again = message_of(line["kind"], orjson.loads(as_text(message)))
            assert repr(again) == repr(message)


def test_a_number_that_is_none_and_one_that_is_absent_come_back() -> None:
    candle = dataclasses.replace(a_closed_kline().candle, taker_buy_volume=math.nan, close=0.1)
    kline = dataclasses.replace(a_closed_kline(), candle=candle)
    body = orjson.loads(as_text(kline))
    again = message_of("ClosedKline", body)
    assert repr(again) == repr(kline)
    assert message_of("DayLedger", {**ledger(), "halted": True}).halted is True
    assert message_of("StateChanged", state(None)).latched_until_day is None


def ledger() -> dict[str, Any]:
    money = dict.fromkeys(("equity_start", "realized", "fees", "funding"), "1.10")
    return {"day": 1, "entries": 2, "halted": False, **money}


def state(until: int | None) -> dict[str, Any]:
    words = {"state": "ACTIVE", "reason_code": "x", "reason": "y"}
    return {**words, "latched_until_day": until, "at_ns": 3}


def test_every_message_class_can_be_read_back() -> None:
    from actors.message_text import _reader

    for kind in KINDS.values():
        assert callable(_reader(kind))


# ---------------------------------------- small machines
class Echo:
    """Answers a tick with what it was built to say; raises on `CrashNow`."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def handle(self, message: Any, now: Moment) -> tuple[Any, ...]:
        match message:
            case m.CrashNow():
                raise LookupError
            case _:
                return (m.StorageFailed(reason=f"{self._reason} {now.wall_ns}"),)


class Hasty:
    """Changes before it raises."""

    def __init__(self) -> None:
        self.handled: list[str] = []

    def handle(self, message: Any, now: Moment) -> tuple[Any, ...]:
        self.handled.append(type(message).__name__)
        match message:
            case m.CrashNow():
                raise LookupError
            case _:
                return ()


def test_the_trace_gives_the_state_before_the_message_that_killed() -> None:
    died = tick(4, None, kind="CrashNow", outcome="LookupError")
    records = a_trace(*tick(2, None), *died)
    then = Moment(venue_ns=4, wall_ns=4, speed=SPEED)
    machine = machine_before(records, "risk", 1, then, Hasty)
    assert isinstance(machine, Hasty)
    assert machine.handled == ["Tick"]
    assert machine_before(records, "risk", 2, then, Hasty) is None
    assert machine_before(records, "execution", 1, then, Hasty) is None
    assert machine_before(records[2:], "risk", 1, then, Hasty) is None


def a_trace(*events: dict[str, Any]) -> list[dict[str, Any]]:
    described = {"event": "described", "epoch": 1, "settings": {}, "instruments": {}}
    started = {"event": "started", "actor": "risk", "generation": 1, "now": None}
    return [described, started, *events]


def tick(number: int, said: str | None, **changed: Any) -> list[dict[str, Any]]:
    body = {"symbol": "X"} if changed.get("kind") == "CrashNow" else {}
    sent = {"event": "sent", "id": number, "cause": 0, "from": "timer", "to": "risk"}
    lines = [sent | {"kind": changed.pop("kind", "Tick"), "body": body}]
    if said is not None:
        answer = {"id": number + 1, "cause": number, "from": "risk", "to": "risk"}
        failed = {"kind": "StorageFailed", "body": {"reason": f"{said} {number}"}}
        lines.append({"event": "sent", **answer, **failed})
    handled = {"event": "handled", "id": number, "outcome": "ok", "generation": 1}
    lines.append(handled | {"now": [number, number, SPEED]} | changed)
    return lines


def replayed(records: list[dict[str, Any]], says: str = "a", until: int = 1_000) -> Report:
    builders = Builders(
        risk=lambda: Echo(says), execution=lambda: Echo(says), symbol=lambda *_: None
    )
    return Replay(lambda *_: builders, from_ns=0, to_ns=until).feed(records)


def test_each_message_is_told_the_time_it_was_told_first() -> None:
    report = replayed(a_trace(*tick(10, "a"), *tick(20, "a")))
    assert report.handled == {"risk": 2}
    assert report.differences == []


def test_another_answer_is_a_difference_with_both_texts() -> None:
    (difference,) = replayed(a_trace(*tick(10, "a")), says="b").differences
    assert [answer.body for answer in difference.recorded] == [b'{"reason":"a 10"}']
    assert [answer.body for answer in difference.replayed] == [b'{"reason":"b 10"}']


def test_a_crash_must_happen_again() -> None:
    crash = tick(10, None, kind="CrashNow", outcome="LookupError")
    last_word = {"kind": "Crashed", "from": "risk", "to": "supervisor", "body": {}}
    crash.insert(1, {"event": "sent", "id": 11, "cause": 10, **last_word})
    assert replayed(a_trace(*crash)).differences == []
    survived = tick(10, None, kind="CrashNow", outcome="ok")
    (difference,) = replayed(a_trace(*survived)).differences
    assert difference.error == "LookupError"


def test_an_actor_that_was_retired_while_busy_is_not_held_to_its_words() -> None:
    again = {"event": "started", "actor": "risk", "generation": 2, "now": None}
    mute, after = tick(10, None), tick(20, "a", generation=2)
    assert replayed(a_trace(*mute, again, *after)).differences == []
    assert len(replayed(a_trace(*mute, *tick(20, "a"))).differences) == 1


def test_a_late_word_of_a_generation_given_up_is_left_out() -> None:
    late = tick(10, None, generation=7)
    report = replayed(a_trace(*late))
    assert (report.handled, report.differences) == ({}, [])


def test_what_lies_before_the_start_is_said_to_be_unknown() -> None:
    (described, _, *lines) = a_trace(*tick(10, "a"))
    report = replayed([described, *lines])
    assert report.unknown == {"risk": 1}
    assert not report.handled


def test_a_dead_letter_is_not_replayed() -> None:
    (sent, *_) = tick(10, "a")
    report = replayed(a_trace(sent, {"event": "dead", "id": 10, "reason": "conflated"}))
    assert not report.handled


def test_all_that_a_replay_reads_is_in_the_trace() -> None:
    assert set(EVENTS) == {"described", "started", "sent", "handled", "dead"}
