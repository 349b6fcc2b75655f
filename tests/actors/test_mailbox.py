import threading
from typing import Any

import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykka._envelope import Envelope as ForeignEnvelope
from pykka.messages import _ActorStop

from actors.mailbox import TELEMETRY_MAX, Envelope, Mailbox
from core import messages as m
from core.routes import Lane
from tests.actors.builders import a_balance, a_closed_kline, a_frame, a_mark, a_rejection
from tests.actors.world import PATIENCE_S


class Box:
    """A mailbox and the dead letters it made."""

    def __init__(self) -> None:
        self.dead: list[tuple[Any, str]] = []
        self.mailbox = Mailbox("room", lambda e, reason: self.dead.append((e.message, reason)))

    def put(self, *messages: Any) -> None:
        for message in messages:
            self.mailbox.put(Envelope(message))

    def drain(self) -> list[Any]:
        return [self.mailbox.get().message for _ in range(self.mailbox.depth())]


@pytest.fixture
def box() -> Box:
    return Box()


def stops(envelope: Any) -> bool:
    return isinstance(envelope.message, _ActorStop)


RESTART = m.Restart(name="feed", generation=1)


def test_takes_the_most_urgent_lane_first(box: Box) -> None:
    box.put(a_rejection(), a_closed_kline(), a_balance(), RESTART)
    assert box.drain() == [RESTART, a_balance(), a_closed_kline(), a_rejection()]


def test_keeps_the_order_within_a_lane(box: Box) -> None:
    balances = [a_balance(n) for n in range(100)]
    box.put(*balances)
    assert box.drain() == balances


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (a_frame(event_ns=1), a_frame(event_ns=2)),
        (a_mark(price="1"), a_mark(price="2")),
        (m.Tick(), m.Tick()),
    ],
    ids=["forming kline", "mark price", "tick"],
)
def test_the_newest_takes_the_place_of_the_older(box: Box, older: Any, newer: Any) -> None:
    box.put(older, a_closed_kline(), newer)
    assert box.drain() == [newer, a_closed_kline()]
    assert box.dead == [(older, "conflated")]


def test_symbols_and_kinds_do_not_replace_one_another(box: Box) -> None:
    unlike = [a_frame(), a_frame("ETHUSDT"), a_mark(), a_mark("ETHUSDT"), m.Tick()]
    box.put(*unlike)
    assert box.drain() == unlike
    assert not box.dead


def test_conflation_starts_over_once_the_newest_was_taken(box: Box) -> None:
    box.put(a_mark(price="1"))
    assert box.drain() == [a_mark(price="1")]
    box.put(a_mark(price="2"))
    assert box.drain() == [a_mark(price="2")]
    assert not box.dead


def test_closed_klines_and_money_are_never_dropped(box: Box) -> None:
    many = TELEMETRY_MAX + 5_000
    box.put(*(a_closed_kline(n) for n in range(many)), *(a_balance(n) for n in range(many)))
    box.put(*(a_frame(closed=True, event_ns=n) for n in range(100)))
    assert box.mailbox.depth() == 2 * many + 100
    assert not box.dead


def test_telemetry_is_bounded_and_loses_its_oldest(box: Box) -> None:
    box.put(*(a_rejection(n) for n in range(TELEMETRY_MAX + 2)))
    assert box.mailbox.depth() == TELEMETRY_MAX
    assert box.dead == [(a_rejection(0), "overflow"), (a_rejection(1), "overflow")]


def test_marks_of_many_symbols_stay_bounded(box: Box) -> None:
    box.put(*(a_mark(f"S{n % 500}USDT", str(n)) for n in range(20_000)))
    assert box.mailbox.depth() == 500


def test_closing_buries_what_is_queued_and_what_comes_with_the_reason(box: Box) -> None:
    box.put(a_balance(1), a_mark())
    box.mailbox.close("room crashed")
    box.put(a_balance(2))
    assert box.dead == [(x, "room crashed") for x in (a_balance(1), a_mark(), a_balance(2))]
    assert box.mailbox.depth() == 0
    assert stops(box.mailbox.get())


def test_the_first_reason_of_closing_stands(box: Box) -> None:
    box.mailbox.close("room crashed")
    box.mailbox.close("stopped")
    box.put(a_balance())
    assert box.dead == [(a_balance(), "room crashed")]


def test_pykka_s_teardown_finds_nothing_to_throw_away(box: Box) -> None:
    box.put(a_balance(1))
    assert box.mailbox.empty()
    box.put(a_balance(2))
    assert box.dead == [(a_balance(1), "stopped"), (a_balance(2), "stopped")]


def test_finishing_drains_then_stops_then_refuses(box: Box) -> None:
    box.put(a_balance(1), a_balance(2))
    box.mailbox.finish()
    box.put(a_balance(3))
    assert [box.mailbox.get().message for _ in range(3)] == [a_balance(n) for n in (1, 2, 3)]
    assert stops(box.mailbox.get())
    box.put(a_balance(4))
    assert box.dead == [(a_balance(4), "stopped")]


@pytest.mark.parametrize("end", [lambda b: b.close("x"), lambda b: b.finish()])
def test_a_waiting_reader_is_woken_to_stop(box: Box, end: Any) -> None:
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.append(box.mailbox.get()))
    reader.start()
    end(box.mailbox)
    reader.join(PATIENCE_S)
    assert stops(got[0])


def test_hand_over_keeps_the_queue_for_the_successor(box: Box) -> None:
    box.put(a_balance(1))
    box.mailbox.reader_gone.set()
    box.put(a_balance(2))
    box.mailbox.hand_over()
    assert not box.mailbox.reader_gone.is_set()
    assert box.drain() == [a_balance(1), a_balance(2)]
    assert not box.dead


def test_takes_along_what_is_queued_of_the_wanted_kinds(box: Box) -> None:
    fetch = m.QueryOrder(client_id="c", symbol="BTCUSDT")
    box.put(a_balance(1), a_balance(2), fetch, a_balance(3))
    money = (m.AccountUpdate,)
    assert [e.message for e in box.mailbox.take_queued(1, money)] == [a_balance(1)]
    assert [e.message for e in box.mailbox.take_queued(9, money)] == [a_balance(2)]
    assert box.mailbox.take_queued(9, money) == []
    assert box.drain() == [fetch, a_balance(3)]


def test_takes_along_over_lanes_the_urgent_first(box: Box) -> None:
    box.put(a_mark(price="1"), a_mark(price="2"), a_balance(1))
    kinds = (m.AccountUpdate, m.MarkPrice)
    taken = [e.message for e in box.mailbox.take_queued(9, kinds)]
    assert taken == [a_balance(1), a_mark(price="2")]
    box.put(a_mark(price="3"))
    assert box.drain() == [a_mark(price="3")]


def test_what_was_asked_of_a_closed_box_is_answered(box: Box) -> None:
    asked, stopped = pykka.ThreadingFuture[Any](), pykka.ThreadingFuture[Any]()
    box.mailbox.put(ForeignEnvelope(a_balance(), reply_to=asked))
    box.mailbox.close("room crashed")
    box.mailbox.put(ForeignEnvelope(_ActorStop(), reply_to=stopped))
    assert stopped.get(timeout=0) is None
    with pytest.raises(pykka.ActorDeadError, match="room: room crashed"):
        asked.get(timeout=0)
    assert not box.dead


def test_putting_does_not_wait_for_a_busy_reader(box: Box) -> None:
    writer = threading.Thread(target=lambda: box.put(*(a_balance(n) for n in range(10_000))))
    writer.start()  # nobody reads
    writer.join(PATIENCE_S)
    assert box.mailbox.depth() == 10_000


KINDS = st.one_of(
    st.integers(0, 9).map(a_balance),
    st.integers(0, 9).map(a_closed_kline),
    st.integers(0, 2).map(lambda n: a_mark(f"S{n}")),
    st.integers(0, 2).map(lambda n: a_frame(f"S{n}")),
    st.integers(0, 9).map(a_rejection),
    st.sampled_from([m.Tick(), RESTART]),
)
STEPS = st.lists(
    st.one_of(KINDS.map(lambda x: ("put", x)), st.sampled_from([("get", None), ("batch", None)]))
)
BATCHED = (m.AccountUpdate, m.MarkPrice, m.FrameRejected)


@given(steps=STEPS, end=st.sampled_from(["close", "empty", "finish"]))
def test_every_envelope_ends_handled_or_dead_and_lanes_keep_their_order(
    steps: list[tuple[str, Any]], end: str
) -> None:
    dead: list[Any] = []
    mailbox = Mailbox("room", lambda envelope, _: dead.append(envelope))
    put: list[Any] = []
    handled: list[Any] = []
    for step, message in steps:
        if step == "put":
            put.append(Envelope(message, id=len(put)))
            mailbox.put(put[-1])
        elif step == "batch":
            handled += mailbox.take_queued(3, BATCHED)
        elif mailbox.depth():
            handled.append(mailbox.get())
    queued = mailbox.depth()
    if end == "finish":
        mailbox.finish()
        handled += [mailbox.get() for _ in range(queued)]
        assert stops(mailbox.get())
    else:
        mailbox.close("x") if end == "close" else mailbox.empty()
    late = Envelope(a_balance(), id=len(put))
    mailbox.put(late)
    assert dead[-1] is late
    assert sorted(e.id for e in handled + dead) == list(range(len(put) + 1))
    for lane in (Lane.CONTROL, Lane.MONEY, Lane.TELEMETRY):
        ids = [e.id for e in handled if e.lane is lane]
        assert ids == sorted(ids)
    klines = [e.id for e in handled if isinstance(e.message, m.ClosedKline)]
    assert klines == sorted(klines)
    if end == "finish":
        money = [e for e in put if e.lane is Lane.MONEY]
        assert [e for e in handled if e.lane is Lane.MONEY] == money


@given(steps=STEPS)
def test_what_conflates_is_read_as_the_newest_put(steps: list[tuple[str, Any]]) -> None:
    mailbox = Mailbox("room", lambda _envelope, _reason: None)
    newest: dict[str, int] = {}
    for number, (step, message) in enumerate(steps):
        if step == "put":
            mailbox.put(Envelope(message, id=number))
            if isinstance(message, m.MarkPrice):
                newest[message.symbol] = number
        elif mailbox.depth():
            envelope = mailbox.get()
            if isinstance(envelope.message, m.MarkPrice):
                assert envelope.id == newest[envelope.message.symbol]


def test_writers_and_an_ending_reader_lose_nothing(box: Box) -> None:
    """Many threads put while the reader finishes: each envelope is read or a dead letter."""
    read: list[Any] = []
    started = threading.Barrier(5)

    def reader() -> None:
        started.wait()
        while not stops(envelope := box.mailbox.get()):
            read.append(envelope.message)
            if len(read) == 500:
                box.mailbox.finish()
        box.mailbox.empty()

    def writer(number: int) -> None:
        started.wait()
        box.put(*(a_balance(number * 10_000 + n) for n in range(2_000)))

    threads = [threading.Thread(target=reader)]
    threads += [threading.Thread(target=writer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(read) + len(box.dead) == 8_000
    for number in range(4):
        mine = [int(x.wallet_balance) for x in read if int(x.wallet_balance) // 10_000 == number]
        assert mine == sorted(mine)
