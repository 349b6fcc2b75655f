"""The rate governor: limits hold, protection never waits, silence is kept; on virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.edges.demand import Demand, Lane, demand_of
from actors.edges.governor import Governor, QuietError
from actors.stepped import Timeline
from core import messages as m
from core.clock import NS_PER_S
from core.venue.simulated.endpoints import ENDPOINTS
from core.venue.simulated.params import Params
from tests.edges.gateway_desk import Desk, Scripted, Simulated, a_stop, an_entry
from tests.simulation.loop import SteppedLoop

START_NS = 1_795_000_020 * NS_PER_S  # a full minute
STOP = Demand(lane=Lane.PROTECTION, weight=0, orders=1)
TARGET = Demand(lane=Lane.TARGET, weight=0, orders=1)
ENTRY = Demand(lane=Lane.ENTRY, weight=0, orders=1)
CANCEL = Demand(lane=Lane.CANCEL, orders=1)
READ = Demand(lane=Lane.READ, weight=40)
HISTORY = Demand(lane=Lane.HISTORY, weight=10)
DEMANDS = (STOP, TARGET, ENTRY, CANCEL, READ, HISTORY)


class Desktop:
    """A governor on a timeline, and when each request was let go."""

    def __init__(self, **numbers: Any) -> None:
        self.timeline = Timeline(START_NS)
        self.loop = SteppedLoop(self.timeline)
        self.governor = Governor(
            **{
                "orders_per_10s": 20,
                "orders_per_min": 60,
                "weight_soft": 0.6,
                "weight_hard": 0.8,
                "wall_ns": lambda: self.timeline.now_ns,
                **numbers,
            }
        )
        self.sent: list[tuple[float, Demand]] = []
        self.waited: list[tuple[Demand, float]] = []
        self.refused: list[tuple[float, Demand]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.close()

    @property
    def now(self) -> float:
        return (self.timeline.now_ns - START_NS) / NS_PER_S

    def ask(self, demand: Demand, takes_s: float = 0.05) -> None:
        self.loop.create_task(self._request(demand, takes_s))

    async def _request(self, demand: Demand, takes_s: float) -> None:
        asked = self.now
        try:
            async with self.governor.turn(demand):
                self.sent.append((self.now, demand))
                self.waited.append((demand, self.now - asked))
                await asyncio.sleep(takes_s)
        except QuietError:
            self.refused.append((self.now, demand))

    def at(self, seconds: float, action: Callable[[], Any]) -> None:
        def act() -> None:
            self.loop.call_soon(action)

        self.timeline.at(START_NS + round(seconds * NS_PER_S), act)

    def run(self, until: float) -> None:
        while True:
            while self.loop.busy():
                self.loop.turn()
            due_ns = self.timeline.next_ns()
            if due_ns is None or due_ns > START_NS + until * NS_PER_S:
                break
            self.timeline.happen()
        assert not self.loop.failures

    def count(self, demand: Demand) -> int:
        return sum(each is demand for _, each in self.sent)

    def most(self, span_s: float, amount: Callable[[Demand], int]) -> int:
        """Return the largest sum over any sliding window of what was sent."""
        # Differences of float seconds are off by less than a microsecond.
        return max(
            (
                sum(amount(d) for at, d in self.sent if 0 <= round(t - at, 6) < span_s)
                for t, _ in self.sent
            ),
            default=0,
        )


@pytest.fixture
def desk() -> Iterator[Desktop]:
    with Desktop() as desk:
        yield desk


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(DEMANDS), st.floats(0, 90), st.integers(1, 30), st.floats(0.01, 3)
        ),
        max_size=25,
    )
)
@example([(STOP, 57.0, 1, 3.0), (READ, 0.0, 6, 1.0), (READ, 0.0, 25, 0.25), (READ, 0.0, 26, 0.25)])
def test_no_window_ever_exceeds_a_limit_and_stops_never_wait(bursts):
    with Desktop() as desk:
        _hold_the_limits(desk, bursts)


def _hold_the_limits(desk: Desktop, bursts: Any) -> None:
    for demand, at, count, takes_s in bursts:
        # Stops stay below the venue's own limit here: beyond it nobody may send.
        for _ in range(min(count, 8) if demand is STOP else count):
            desk.at(at, lambda d=demand, t=takes_s: desk.ask(d, t))
    desk.run(300)
    for span_s, most in ((10, 20), (60, 60)):
        others = desk.most(span_s, lambda d: d.orders if d is not STOP else 0)
        assert others <= most
        assert desk.most(span_s, lambda d: d.orders if d in (ENTRY, TARGET) else 0) <= most // 2
    assert desk.most(60, lambda d: d.weight) <= 2400 * 0.95
    assert desk.most(60, lambda d: d.weight if d.lane >= Lane.READ else 0) <= 2400 * 0.8
    assert all(waited == 0 for demand, waited in desk.waited if demand is STOP)
    assert not [d for _, d in desk.refused if d is STOP]


def test_with_500_proposals_at_once_stops_and_exits_still_go_out_at_once(desk):
    for _ in range(500):
        desk.at(0, lambda: desk.ask(ENTRY))
        desk.at(0, lambda: desk.ask(HISTORY))
    for n in range(10):
        desk.at(0.001 * n, lambda: desk.ask(STOP))
    desk.run(0.5)
    assert desk.count(ENTRY) == 10
    assert [waited for demand, waited in desk.waited if demand is STOP] == [0.0] * 10
    assert len([d for _, d in desk.refused if d is ENTRY]) == 490  # at once, not later


def test_stops_may_pass_our_own_limit_but_not_the_venues(desk):
    desk.at(0, lambda: [desk.ask(CANCEL) for _ in range(20)])
    desk.at(1, lambda: [desk.ask(STOP) for _ in range(400)])
    desk.at(1, lambda: desk.ask(CANCEL))
    desk.run(2)
    assert desk.count(STOP) == 280
    assert desk.count(CANCEL) == 20
    desk.run(13)
    assert desk.count(STOP) > 280


def test_twenty_stops_and_targets_asked_for_in_turn_go_out_stops_first(desk):
    for n in range(20):
        desk.at(0.02 * n, lambda: (desk.ask(STOP), desk.ask(TARGET)))
    desk.run(1)
    assert desk.count(STOP) == 20
    assert desk.most(10, lambda d: d.orders) <= 23
    desk.run(70)
    assert desk.count(TARGET) == 20  # they wait instead of being lost


def test_a_snapshot_never_waits_behind_histories(desk):
    desk.at(0, lambda: [desk.ask(HISTORY, takes_s=2) for _ in range(50)])
    desk.at(0.01, lambda: [desk.ask(READ) for _ in range(4)])
    desk.run(0.5)
    assert [waited for demand, waited in desk.waited if demand is READ] == [0.0] * 4


def test_history_slows_down_at_the_soft_limit_and_all_reads_end_at_the_hard_one(desk):
    desk.at(0, lambda: desk.governor.hear({"X-MBX-USED-WEIGHT-1M": "1500"}))
    for n in range(8):
        desk.at(0.1 * n, lambda: desk.ask(HISTORY))
    desk.at(0.5, lambda: desk.ask(READ))
    desk.run(3.05)
    assert desk.count(HISTORY) == 4  # one a second
    assert desk.count(READ) == 1
    desk.at(10, lambda: desk.governor.hear({"X-MBX-USED-WEIGHT-1M": "1921"}))
    for demand in DEMANDS:
        desk.at(11, lambda d=demand: desk.ask(d))
    desk.run(20)
    late = {demand for at, demand in desk.sent if at >= 11}
    assert {STOP, CANCEL} == late
    assert ENTRY in {d for at, d in desk.refused if at >= 11}
    assert READ not in late
    assert HISTORY not in late
    desk.run(62)  # the venue's minute is over
    assert READ in {demand for at, demand in desk.sent if at > 60}


def test_after_429_nothing_but_protection_is_sent_until_the_venue_allows_it(desk):
    desk.at(0, lambda: desk.governor.silence(7.0, banned=False))
    for demand in DEMANDS:
        desk.at(1, lambda d=demand: desk.ask(d))
    desk.run(6.9)
    assert [demand for _, demand in desk.sent] == [STOP]
    desk.run(12)
    assert {demand for _, demand in desk.sent} == {STOP, TARGET, READ, HISTORY}
    assert {demand for _, demand in desk.refused} == {ENTRY, CANCEL}


def test_in_a_ban_nothing_at_all_is_sent_until_its_end(desk):
    desk.at(0, lambda: desk.governor.silence(120.0, banned=True))
    for demand in DEMANDS:
        desk.at(1, lambda d=demand: desk.ask(d))
    desk.run(119)
    assert desk.sent == []
    desk.at(121, lambda: desk.ask(ENTRY))
    desk.run(122)
    assert desk.count(ENTRY) == 1


def test_the_venue_s_own_count_and_limits_bind_too(desk):
    rows = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 1},
    ]
    desk.at(0, lambda: desk.governor.learn_limits(rows))
    desk.at(1, lambda: desk.governor.hear({"X-MBX-ORDER-COUNT-10S": "50"}))  # others' orders
    desk.at(2, lambda: (desk.ask(ENTRY), desk.ask(STOP), desk.ask(READ), desk.ask(READ)))
    desk.at(2, lambda: desk.ask(READ))
    desk.run(5)
    assert desk.sent == [(2.0, READ), (2.0, READ)]  # 40 each: a third passes 80
    assert [demand for _, demand in desk.refused] == [ENTRY]
    desk.run(12)
    assert desk.count(STOP) == 1


def test_a_request_that_is_given_up_while_it_waits_leaves_nothing_behind(desk):
    async def scenario(governor: Governor) -> None:
        governor.silence(5.0, banned=False)
        waiting = asyncio.get_running_loop().create_task(_hold(governor))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(10)
        for _ in range(3):
            await _hold(governor)

    desk.at(0, lambda: desk.loop.create_task(scenario(desk.governor)))
    desk.run(30)
    assert desk.governor._waiting == []


def _hold(governor: Governor) -> Coroutine[Any, Any, None]:
    async def hold() -> None:
        async with governor.turn(READ):
            pass

    return hold()


# ---------------------------------------- what a request costs
@pytest.mark.parametrize(
    ("method", "path", "parameters"),
    [
        ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT", "limit": 99}),
        ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT", "limit": 1500}),
        ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT"}),
        ("GET", "/fapi/v3/account", {}),
        ("GET", "/fapi/v3/positionRisk", {}),
        ("GET", "/fapi/v1/openOrders", {}),
        ("GET", "/fapi/v1/openOrders", {"symbol": "BTCUSDT"}),
        ("GET", "/fapi/v1/openAlgoOrders", {}),
        ("GET", "/fapi/v1/openAlgoOrders", {"symbol": "BTCUSDT"}),
        ("GET", "/fapi/v1/userTrades", {"symbol": "BTCUSDT"}),
        ("GET", "/fapi/v1/allOrders", {"symbol": "BTCUSDT"}),
        ("GET", "/fapi/v1/order", {"symbol": "BTCUSDT"}),
        ("GET", "/fapi/v1/income", {}),
        ("GET", "/fapi/v1/leverageBracket", {}),
        ("GET", "/fapi/v1/accountConfig", {}),
        ("GET", "/fapi/v1/symbolConfig", {}),
        ("GET", "/fapi/v1/positionSide/dual", {}),
        ("GET", "/fapi/v1/exchangeInfo", {}),
        ("GET", "/fapi/v1/time", {}),
        ("POST", "/fapi/v1/leverage", {}),
        ("POST", "/fapi/v1/marginType", {}),
        ("POST", "/fapi/v1/order", {}),
        ("POST", "/fapi/v1/algoOrder", {}),
        ("DELETE", "/fapi/v1/algoOrder", {}),
    ],
)
def test_a_request_weighs_what_the_venue_charges(method, path, parameters):
    weight = ENDPOINTS[method, path].weight
    if callable(weight):
        weight = weight(Params({name: str(value) for name, value in parameters.items()}))
    demand = demand_of(method, path, parameters)
    assert demand.weight == weight
    assert demand.orders >= ENDPOINTS[method, path].orders[0]


# ---------------------------------------- through the gateway
def test_a_burst_of_entries_is_refused_before_the_wire_and_a_stop_is_not():
    venue = Scripted()
    venue.start()
    desk = Desk(venue)
    desk.start()
    venue.say("POST", "order", {"orderId": 7, "status": "FILLED", "executedQty": "0.010"})
    placed = {"algoId": 9, "algoStatus": "NEW", "clientAlgoId": a_stop().client_id}
    venue.say("POST", "algoOrder", placed)
    for n in range(500):
        desk.put(an_entry(f"afb-E-{n:016d}-0"))
    desk.put(a_stop())
    answers = [desk.answers.get(timeout=10)[0] for _ in range(501)]
    assert len(venue.asked("POST", "order")) == 10
    assert len(venue.asked("POST", "algoOrder")) == 1
    failed = [answer for answer in answers if getattr(answer, "failure", "")]
    assert len(failed) == 490
    assert {(f.failure.value, f.action) for f in failed} == {("not_sent", "cool_down")}
    assert "ORDERS_PER_10S" in failed[0].detail
    desk.gateway.stop(2)
    venue.stop()


def test_a_venue_that_enforces_its_limits_never_has_to():
    venue = Simulated(speed=1.0, rate_limits=True)
    venue.start()
    desk = Desk(venue)
    desk.start()
    wanted = m.FetchSnapshot(
        reason="x", symbols=("BTCUSDT",), trades_after=(("BTCUSDT", 0),), unresolved=()
    )
    # Weight 60 each and more: all at once they would pass 2400 twice.  None is whole before the
    # weight is used up, so what the venue counted is waited for, not a number of answers: requests
    # that are answered at once weigh 2, and the 1,200 needed then take a minute and more.
    for _ in range(80):
        desk.put(wanted)
    desk.put(a_stop())
    while venue.weight < 1_800:
        desk.hear(m.VenueHealth)
    for _ in range(2):  # as long again for what must not follow
        desk.hear(m.VenueHealth)
    answers = [desk.answers.get_nowait()[0] for _ in range(desk.answers.qsize())]
    assert any(isinstance(answer, m.OrderAnswered | m.OrderFailed) for answer in answers)
    assert 429 not in venue.statuses
    assert 418 not in venue.statuses
    desk.gateway.stop(2)
    venue.stop()


@pytest.mark.parametrize("status", [429, 418])
def test_a_query_stays_home_while_the_venue_wants_silence(status):
    venue = Scripted()
    venue.start()
    desk = Desk(venue)
    desk.start()
    refused = (status, {"code": -1003, "msg": "too many"}, {"Retry-After": "120"})
    venue.say("GET", "order", refused)
    query = m.QueryOrder(client_id=an_entry().client_id, symbol="BTCUSDT")
    assert isinstance(desk.ask(query), m.OrderFailed)
    answer = desk.ask(query)
    assert isinstance(answer, m.OrderFailed)
    assert answer.failure is m.Failure.NOT_SENT
    assert len(venue.asked("GET", "order")) == 1
    desk.gateway.stop(2)
    venue.stop()
