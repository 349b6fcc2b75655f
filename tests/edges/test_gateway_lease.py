"""An entry leaves only while this process certainly owns the account's database."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from actors.edges.gateway import Gateway
from core import messages as m
from core.messages import Failure, Purpose, Side
from tests.edges.gateway_desk import Desk, Scripted

FILLED = {"orderId": 7, "status": "FILLED", "executedQty": "0.010"}


class LeasedDesk(Desk):
    """A desk whose lease the test holds."""

    def __init__(self, venue: Scripted) -> None:
        super().__init__(venue, REST_TIMEOUT=1, MAX_RETRIES=3)
        self.held = True
        self.gateway = Gateway(
            config=self.config,
            address=venue.url,
            clock=self.clock,
            post=self._post,
            tracer=self,
            may_enter=lambda: self.held,
        )


@pytest.fixture
def venue() -> Iterator[Scripted]:
    venue = Scripted()
    venue.start()
    yield venue
    venue.stop()


@pytest.fixture
def desk(venue: Scripted) -> Iterator[LeasedDesk]:
    desk = LeasedDesk(venue)
    desk.start()
    yield desk
    desk.gateway.stop(2)


def an_order(purpose: Purpose) -> m.PlaceOrder:
    return m.PlaceOrder(
        client_id=f"afb-{purpose.value}-aaaaaaaaaaaaaaaa-0",
        symbol="BTCUSDT",
        purpose=purpose,
        side=Side.BUY,
        quantity=Decimal("0.010"),
        reduce_only=purpose is not Purpose.ENTRY,
    )


def test_without_the_lease_no_entry_leaves_and_every_exit_does(
    desk: LeasedDesk, venue: Scripted
) -> None:
    venue.say("POST", "order", FILLED)
    desk.held = False
    refused = desk.ask(an_order(Purpose.ENTRY))
    assert isinstance(refused, m.OrderFailed)
    assert refused.failure is Failure.NOT_SENT
    assert venue.asked("POST", "order") == []
    assert isinstance(desk.ask(an_order(Purpose.EXIT)), m.OrderAnswered)
    desk.held = True
    assert isinstance(desk.ask(an_order(Purpose.ENTRY)), m.OrderAnswered)
