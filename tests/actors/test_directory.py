import dataclasses
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.directory import IDS_PER_EPOCH, Directory
from actors.mailbox import Envelope
from actors.tracing import Tracer, read_trace
from core import messages as m
from core.routes import GATEWAY_ROUTES, LANES, ROUTES, Lane, Room, address
from tests.actors.builders import a_balance, a_candle, a_mark
from tests.actors.world import PATIENCE_S, HandClock

# Parts of messages, never sent on their own.
VALUES = {
    *(m.Candle, m.RuleCheck, m.Reservation, m.Intent),
    *(m.VenuePosition, m.VenueOrder, m.VenueTrade, m.VenueIncome),
}
SENT_BY_NAME = {m.Tick}  # the timer says to whom


class Shelf:
    """An inbox that only keeps."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def put(self, envelope: Envelope, /) -> None:
        self.envelopes.append(envelope)


@dataclasses.dataclass
class Office:
    directory: Directory
    tracer: Tracer
    folder: Path
    clock: HandClock

    def shelf(self, name: str) -> Shelf:
        shelf = Shelf()
        self.directory.open(name, shelf)
        return shelf

    def lines(self) -> list[dict[str, Any]]:
        self.tracer.close()
        return list(read_trace(self.folder))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    tracer, clock = Tracer(tmp_path, 3), HandClock()
    yield Office(Directory(epoch=3, clock=clock, tracer=tracer), tracer, tmp_path, clock)
    tracer.close()


def test_delivers_to_every_room_of_the_route(office: Office) -> None:
    shelves = {room: office.shelf(room.value) for room in Room}
    office.directory.post(a_mark(), sender="feed", cause=None)
    reached = {room for room, shelf in shelves.items() if shelf.envelopes}
    assert reached == set(ROUTES[m.MarkPrice])


def test_what_the_gateway_says_goes_by_its_own_table(office: Office) -> None:
    feed, risk = office.shelf("feed"), office.shelf("risk")
    office.directory.post(a_mark(), sender="gateway", cause=None)
    assert len(feed.envelopes) == 1
    assert not risk.envelopes


def test_a_symbol_s_message_reaches_that_symbol_only(office: Office) -> None:
    btc, eth = office.shelf("symbol/BTCUSDT"), office.shelf("symbol/ETHUSDT")
    office.directory.post(m.Resync(symbol="ETHUSDT", reason="gap"), sender="feed", cause=None)
    assert not btc.envelopes
    assert len(eth.envelopes) == 1


def test_what_nobody_can_receive_is_a_dead_letter(office: Office) -> None:
    office.directory.post(a_balance(), sender="feed", cause=None)
    lines = office.lines()
    dead = [line for line in lines if line["event"] == "dead"]
    assert [line["reason"] for line in dead] == ["no such inbox"]
    assert {line["id"] for line in dead} == {x["id"] for x in lines if x["event"] == "sent"}


def test_an_effect_names_its_cause_and_its_origin(office: Office) -> None:
    feed, risk = office.shelf("feed"), office.shelf("risk")
    office.directory.post(a_balance(), sender="gateway", cause=None)
    first = feed.envelopes[0]
    office.directory.post(a_balance(), sender="feed", cause=first)
    second = risk.envelopes[0]
    office.directory.send(m.Tick(), ["risk"], sender="risk", cause=second)
    third = risk.envelopes[1]
    assert (first.cause, first.trace) == (0, first.id)
    assert (second.cause, second.trace) == (first.id, first.id)
    assert (third.cause, third.trace) == (second.id, first.id)
    assert (second.sender, second.recipient) == ("feed", "risk")
    assert second.sent_ns == office.clock.ns


def test_ids_are_unique_over_threads_rise_for_each_and_begin_with_the_epoch(
    office: Office,
) -> None:
    shelves = [office.shelf(f"room-{n}") for n in range(4)]

    def send(number: int) -> None:
        for _ in range(2_000):
            office.directory.send(m.Tick(), [f"room-{number}"], sender="test", cause=None)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    ids = [[e.id for e in shelf.envelopes] for shelf in shelves]
    assert all(row == sorted(row) for row in ids)
    together = {number for row in ids for number in row}
    assert len(together) == 8_000
    assert {number // IDS_PER_EPOCH for number in together} == {3}


def test_an_inbox_may_change_hands(office: Office) -> None:
    old, new = office.shelf("risk"), office.shelf("risk")
    office.directory.send(m.Tick(), ["risk"], sender="timer", cause=None)
    assert not old.envelopes
    assert len(new.envelopes) == 1
    assert office.directory.names(Room.RISK) == ["risk"]


def test_names_of_a_room_while_others_open_inboxes(office: Office) -> None:
    done = threading.Event()

    def open_many() -> None:
        for number in range(20_000):
            office.shelf(f"symbol/S{number}USDT")
        done.set()

    opener = threading.Thread(target=open_many)
    opener.start()
    while not done.is_set():
        office.directory.names(Room.SYMBOL)
    opener.join(PATIENCE_S)
    assert len(office.directory.names(Room.SYMBOL)) == 20_000
    assert office.directory.names(Room.RISK) == []


def test_depth_is_zero_where_it_cannot_be_told(office: Office) -> None:
    office.shelf("risk")
    assert office.directory.depth("risk") == office.directory.depth("nobody") == 0


def every_class() -> set[type[Any]]:
    return {c for _, c in inspect.getmembers(m, inspect.isclass) if c.__module__ == m.__name__}


def test_every_class_of_the_messages_is_routed_or_a_value() -> None:
    routed = {*ROUTES, *GATEWAY_ROUTES, *SENT_BY_NAME}
    assert every_class() - routed == VALUES
    assert not routed & VALUES


def test_every_routed_message_is_an_immutable_fact_with_a_lane() -> None:
    for kind in {*ROUTES, *GATEWAY_ROUTES, *SENT_BY_NAME}:
        assert kind in LANES, kind
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]
        assert hasattr(kind, "__slots__"), kind


def test_only_market_and_telemetry_travel_on_lanes_that_lose() -> None:
    losing = {kind for kind, lane in LANES.items() if lane in (Lane.MARKET, Lane.TELEMETRY)}
    assert losing == {
        *(m.KlineFrame, m.MarkPrice, m.ClosedKline, m.KlineHistory, m.FetchHistory, m.Resync),
        *(m.Tick, m.VenueHealth, m.SignalComputed, m.FrameRejected, m.ActorEvent),
    }


def test_addresses_name_the_room_and_for_symbols_the_symbol() -> None:
    kline = m.ClosedKline(symbol="BTCUSDT", candle=a_candle(), event_ns=1)
    assert address(Room.SYMBOL, kline) == "symbol/BTCUSDT"
    assert address(Room.RISK, kline) == "risk"
