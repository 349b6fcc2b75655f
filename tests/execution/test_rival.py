"""Two bots on one account that share neither folder nor database: an entry halts the other."""

from core import messages as m
from core.execution.client_id import client_id
from core.messages import Purpose, Side
from tests.execution.desk import TAG, Desk, an_order_event, ready, sent, some

ANOTHERS = client_id(TAG, Purpose.ENTRY, "another's proposal", 0)


def halts(desk: Desk, name: str, after_s: float) -> list[str]:
    out = desk.tell(an_order_event(name, Side.BUY, status="NEW"), after_s)
    return [message.reason for message in some(m.Halt, out)]


def test_an_entry_under_our_tag_that_nobody_here_asked_for_halts_once() -> None:
    desk = ready()
    (why,) = halts(desk, ANOTHERS, 61)
    assert "another bot" in why
    assert "Fix: " in why
    assert halts(desk, ANOTHERS, 1) == []


def test_what_a_process_before_sent_may_still_arrive_in_the_first_minute() -> None:
    assert halts(ready(), ANOTHERS, 30) == []


def test_our_own_entries_and_those_under_another_tag_halt_nothing() -> None:
    desk = sent()
    assert halts(desk, desk.machine.brackets["BTCUSDT"].entry.client_id, 61) == []
    assert halts(desk, client_id("xyz", Purpose.ENTRY, "another's proposal", 0), 1) == []
    assert halts(desk, "web_1", 1) == []
