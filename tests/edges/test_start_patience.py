"""A start goes by the venue's limits: it waits for room, says so in one line, and weighs little."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from core import messages as m
from core.errors import UnavailableError
from tests.edges.gateway_desk import PATIENCE_S, Desk, Scripted, Simulated

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
LISTING = {
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "9", "tickSize": "0.1"},
                {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "9", "stepSize": "1"},
            ],
        }
    ]
}


def too_many(seconds: int, status: int = 429) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"code": -1003, "msg": "too many"}, {"Retry-After": str(seconds)}


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), format="{message}", level="WARNING")
    yield lines
    logger.remove(sink)


@pytest.fixture
def venue() -> Iterator[Scripted]:
    venue = Scripted()
    venue.start()
    venue.say("GET", "exchangeInfo", LISTING)
    yield venue
    venue.stop()


@pytest.fixture
def desk(venue: Scripted) -> Iterator[Desk]:
    desk = Desk(venue, MAX_RETRIES=0)
    yield desk
    desk.gateway.stop(2)


def test_a_refusal_of_the_first_request_is_waited_out_and_told_in_one_line(
    desk: Desk, venue: Scripted, said: list[str]
) -> None:
    venue.say("POST", "listenKey", too_many(1), {"listenKey": "key"})
    desk.start()
    assert len(venue.asked("POST", "listenKey")) == 2
    (line,) = [text for text in said if "the start waits" in text]
    assert "the venue wants silence" in line


@pytest.mark.parametrize("status", [429, 418])
def test_a_refusal_while_symbols_are_prepared_is_waited_out(
    desk: Desk, venue: Scripted, said: list[str], status: int
) -> None:
    venue.say("GET", "exchangeInfo", too_many(1, status), LISTING)
    desk.start()
    assert "BTCUSDT" in desk.gateway.prepare(("BTCUSDT",)).instruments
    assert len([text for text in said if "the start waits" in text]) == 1


def test_a_longer_silence_than_a_start_waits_for_is_one_line_with_its_fix(
    desk: Desk, venue: Scripted
) -> None:
    venue.say("GET", "exchangeInfo", too_many(100_000))
    desk.start()
    with pytest.raises(UnavailableError, match="Fix: start it again after that") as caught:
        desk.gateway.prepare(("BTCUSDT",))
    assert "\n" not in str(caught.value)
    assert len(venue.asked("GET", "exchangeInfo")) == 1


def test_a_start_that_waits_is_abandoned_when_asked_to(
    desk: Desk, venue: Scripted, said: list[str]
) -> None:
    venue.say("GET", "exchangeInfo", too_many(100))
    desk.start()
    ended: list[BaseException] = []

    def prepare() -> None:
        try:
            desk.gateway.prepare(("BTCUSDT",))
        except UnavailableError as error:
            ended.append(error)

    waiting = threading.Event()
    sink = logger.add(lambda line: waiting.set() if "the start waits" in line else None)
    thread = threading.Thread(target=prepare)
    thread.start()
    assert waiting.wait(PATIENCE_S)
    desk.gateway.abandon_start()
    thread.join(PATIENCE_S)
    logger.remove(sink)
    assert not thread.is_alive()
    assert "abandoned" in str(ended[0])
    assert len(venue.asked("GET", "exchangeInfo")) == 1


def test_a_start_abandoned_before_it_began_does_not_wait(desk: Desk, venue: Scripted) -> None:
    venue.say("POST", "listenKey", too_many(100))
    desk.gateway.abandon_start()
    with pytest.raises(UnavailableError, match="abandoned"):
        desk.gateway.start()


def test_a_second_start_with_five_symbols_weighs_at_most_150() -> None:
    """All that a start asks: connection, preparation, one snapshot, 1,000 candles a symbol."""
    venue = Simulated(speed=1.0, rate_limits=True, symbols=SYMBOLS, history=1_200)
    venue.start()
    weights = []
    for _ in range(2):
        before = venue.weight
        desk = Desk(venue, SYMBOLS=list(SYMBOLS))
        desk.gateway.start()
        desk.gateway.prepare(SYMBOLS)
        for symbol in SYMBOLS:
            history = desk.ask(m.FetchHistory(symbol=symbol, bars=1_000))
            assert len(history.candles) == 1_000
        trades_after = tuple((symbol, 0) for symbol in SYMBOLS)
        wanted = m.FetchSnapshot(
            reason="start-up", symbols=SYMBOLS, trades_after=trades_after, unresolved=()
        )
        assert isinstance(desk.ask(wanted), m.VenueSnapshot)
        desk.gateway.stop(5)
        weights.append(venue.weight - before)
    venue.stop()
    first, second = weights
    assert 0 < second <= 150 < first <= 160, weights
