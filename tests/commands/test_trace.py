"""`run.py trace` on what a real short run recorded, and on traces written by hand."""

import gzip
import os
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from actors.causality import bracket_of, hop_of, tree_of
from actors.commands.trace import text_lines
from actors.edges.trace_search import UnknownIdError, find
from actors.mailbox import Envelope
from actors.tracing import Tracer, read_trace
from core import messages as m
from tests.actors.builders import a_closed_kline
from tests.commands.recorded import Commands, Recorded, recorded

FROM_KLINE_TO_FILL = (
    *("KlineFrame", "ClosedKline", "Proposal", "Approval", "RecordIntent", "IntentRecorded"),
    *("PlaceOrder", "OrderUpdate", "OrderUpdate", "FillBooked"),
)


@pytest.fixture(scope="module")
def run() -> Recorded:
    return recorded()


@pytest.fixture
def commands(run: Recorded, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(run.state, capsys)


def path_up(messages: list[dict[str, Any]], of: dict[str, Any]) -> Iterator[str]:
    by_id = {message["id"]: message for message in messages}
    here: dict[str, Any] | None = of
    while here is not None:
        yield here["kind"]
        here = by_id.get(here["cause"] or here["link"])


@pytest.mark.process
def test_an_entry_is_traced_from_its_kline_frame_to_its_fill(
    run: Recorded, commands: Commands
) -> None:
    entry = run.closed_entry()
    messages = commands("trace", entry["client_id"], "--json").document()["messages"]
    fill = next(
        message
        for message in messages
        if message["kind"] == "FillBooked" and message["body"]["client_id"] == entry["client_id"]
    )
    assert tuple(path_up(messages, fill))[::-1] == FROM_KLINE_TO_FILL
    for message in messages:
        assert message["outcome"] == "ok" or message["dead"], message
        if message["outcome"] == "ok":
            assert message["ms"] == pytest.approx(message["waited_ms"] + message["handled_ms"])


@pytest.mark.process
def test_the_exit_of_the_bracket_hangs_on_the_same_tree(run: Recorded, commands: Commands) -> None:
    entry = run.closed_entry()
    messages = commands("trace", entry["client_id"], "--json").document()["messages"]
    leaving = [
        message
        for message in messages
        if message["kind"] == "FillBooked" and message["body"]["purpose"] in ("S", "T")
    ]
    assert leaving
    assert {"PlaceAlgoOrder", "PlaceOrder", "KlineFrame"} <= set(path_up(messages, leaving[0]))


@pytest.mark.process
def test_every_name_of_an_order_leads_to_the_same_messages(
    run: Recorded, commands: Commands
) -> None:
    entry = run.closed_entry()
    by_client_id = commands("trace", entry["client_id"], "--json").document()["messages"]
    ids = {message["id"] for message in by_client_id}
    placed = next(x for x in by_client_id if x["kind"] == "PlaceOrder")
    number = entry["venue_id"].rpartition(":")[2]
    for name in (entry["venue_id"], number, str(placed["id"]), str(placed["trace"])):
        found = {x["id"] for x in commands("trace", name, "--json").document()["messages"]}
        assert found == ids, name


@pytest.mark.process
def test_text_shows_each_hop_with_its_times_below_its_cause(
    run: Recorded, commands: Commands
) -> None:
    said = commands("trace", run.closed_entry()["client_id"])
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0].startswith("KlineFrame  gateway → feed  +0.00  waited ")
    assert re.match(r"[├└]─ ClosedKline  feed → symbol/\w+  \+\d", lines[1])
    assert any(re.search(r"─ PlaceOrder .* waited \d+\.\d\d  handled \d", x) for x in lines)


@pytest.mark.process
def test_mermaid_declares_every_participant_before_its_messages(
    run: Recorded, commands: Commands
) -> None:
    said = commands("trace", run.closed_entry()["client_id"], "--format", "mermaid")
    first, *lines = said.out.splitlines()
    assert first == "sequenceDiagram"
    names = {x.split()[1] for x in lines if x.startswith("    participant ")}
    arrows = [x for x in lines if not x.startswith("    participant ")]
    assert arrows
    for line in arrows:
        match = re.fullmatch(r"    (\w+)(?:->>|--x)(\w+): \w+ \+\d+\.\d\d ms, .+", line)
        assert match, line
        assert set(match.groups()) <= names


@pytest.mark.process
def test_a_running_bot_can_be_traced(run: Recorded) -> None:
    assert "─ PlaceOrder  execution → gateway" in run.traced_live


@pytest.mark.process
@pytest.mark.parametrize("name", ["afb-E-aaaaaaaaaaaaaaaa-0", "BTCUSDT:77", "999999999999999"])
def test_an_unknown_id_is_one_line_and_exit_1(commands: Commands, name: str) -> None:
    said = commands("trace", name)
    assert said.code == 1
    assert name in said.refusal()


def test_a_form_that_is_none_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Commands(tmp_path, capsys)("trace", "1", "--format", "svg")
    assert said.code == 2
    assert "svg" in said.refusal()


# ---------------------------------------- traces by hand
def sent(tracer: Tracer, number: int, message: Any, *, cause: int = 0, trace: int = 0) -> Envelope:
    envelope = Envelope(
        message,
        id=number,
        trace=trace or number,
        cause=cause,
        sender="gateway",
        recipient="feed",
        sent_ns=number * 1_000_000,
    )
    tracer.sent(envelope)
    return envelope


def test_a_dead_letter_is_shown_with_its_reason(tmp_path: Path) -> None:
    tracer = Tracer(tmp_path, 1)
    first = sent(tracer, 1, a_closed_kline())
    tracer.handled(first, 2_000_000, 3_000_000, "ValueError")
    tracer.dead(sent(tracer, 2, m.Tick(), cause=1, trace=1), 4_000_000, "risk crashed")
    sent(tracer, 3, m.Tick(), cause=1, trace=1)
    tracer.close()
    crashed, dead, lost, _ = text_lines(tree_of(find(tmp_path, "2")), "2")
    assert "waited 1.00  handled 1.00  RAISED ValueError" in crashed
    assert dead.startswith("├─ Tick")
    assert "DEAD: risk crashed" in dead
    assert dead.endswith("◀")
    assert "under way, or lost with its process" in lost


def an_answer(symbol: str, client_id: str) -> m.OrderAnswered:
    return m.OrderAnswered(
        client_id=client_id,
        symbol=symbol,
        purpose=m.Purpose.ENTRY,
        venue_id=f"{symbol}:42",
        status="NEW",
        executed=Decimal(1),
    )


def test_a_number_that_two_symbols_have_must_be_given_with_its_symbol(tmp_path: Path) -> None:
    tracer = Tracer(tmp_path, 1)
    sent(tracer, 1001, an_answer("BTCUSDT", "afb-E-aaaaaaaaaaaaaaaa-0"))
    sent(tracer, 1002, an_answer("ETHUSDT", "afb-E-bbbbbbbbbbbbbbbb-0"))
    tracer.close()
    with pytest.raises(UnknownIdError, match="BTCUSDT, ETHUSDT"):
        find(tmp_path, "42")
    (only,) = find(tmp_path, "ETHUSDT:42")
    assert only.id == 1002


def test_all_orders_of_an_entry_share_a_bracket_and_foreign_ones_stand_alone() -> None:
    assert bracket_of("afb-E-abc-0") == bracket_of("afb-S-abc-3") == "-abc-"
    assert bracket_of("web_17") == "web_17"


def test_what_the_venue_tells_hangs_below_what_it_was_asked() -> None:
    def a_hop(number: int, kind: str, trace: int) -> Any:
        body = {"client_id": "afb-E-abc-0"}
        line = {"id": number, "trace": trace, "cause": 0, "kind": kind, "body": body}
        return hop_of(line | {"from": "a", "to": "b", "lane": "money", "at": number})

    tree = tree_of([a_hop(9, "OrderUpdate", 9), a_hop(5, "PlaceOrder", 5)])
    assert [hop.id for hop in tree.roots] == [5]
    assert [hop.id for hop in tree.children[5]] == [9]
    assert tree.hops[9].link == 5


def test_finished_files_are_compressed_and_read_in_order(tmp_path: Path) -> None:
    tracer = Tracer(tmp_path, 1, bytes_max=1_000)
    tracer.describe(settings={"LEVERAGE": 5}, instruments={})
    for number in range(1, 51):
        sent(tracer, number, m.Tick())
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("*.jsonl.gz")) and time.monotonic() < deadline:
        Event().wait(0.01)
    tracer.close()
    (first, *_) = sorted(tmp_path.glob("*.jsonl.gz"))
    assert gzip.decompress(first.read_bytes()).startswith(b'{"event":"described"')
    assert [line["id"] for line in read_trace(tmp_path)] == list(range(1, 51))
    described = list(read_trace(tmp_path, ("described",)))
    assert len(described) > 1, "each file can be understood alone"
    assert described[0] == described[-1]


def test_files_older_than_the_retention_are_dropped(tmp_path: Path) -> None:
    old, young = tmp_path / "trace-000001-000001.jsonl", tmp_path / "trace-000001-000002.jsonl.gz"
    for path, days in ((old, 3.5), (young, 2.5)):
        path.write_bytes(b"")
        stamp = time.time() - days * 86_400
        os.utime(path, (stamp, stamp))
    tracer = Tracer(tmp_path, 2, days_max=3)
    sent(tracer, 1, m.Tick())
    tracer.close()
    assert not old.exists()
    assert young.exists()
