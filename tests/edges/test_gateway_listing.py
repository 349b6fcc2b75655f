"""The listed rules under way: what changes is told, what vanishes too."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from actors.edges import listing
from core import messages as m
from tests.edges.gateway_desk import Desk, Scripted, an_entry


def a_row(symbol: str, tick: str = "0.1", **fields: Any) -> dict[str, Any]:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "99999", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "9", "stepSize": "1"},
    ]
    return {"symbol": symbol, "status": "TRADING", "filters": filters, **fields}


BRACKETS = [
    {
        "symbol": "BTCUSDT",
        "brackets": [
            {
                "bracket": n,
                "initialLeverage": 100 // n,
                "notionalCap": 10_000 * n,
                "notionalFloor": 10_000 * (n - 1),
                "maintMarginRatio": 0.004 * n,
                "cum": 2.5 * n,
            }
            for n in (2, 1)
        ],
    }
]


@pytest.fixture
def desk(monkeypatch) -> Iterator[Desk]:
    monkeypatch.setattr(listing, "_AGAIN_S", 0.05)
    venue = Scripted()
    venue.start()
    venue.say("GET", "exchangeInfo", {"symbols": [a_row("BTCUSDT"), a_row("ETHUSDT")]})
    venue.say("GET", "leverageBracket", BRACKETS)
    desk = Desk(venue, MAX_RETRIES=0)
    desk.start()
    yield desk
    desk.gateway.stop(2)
    venue.stop()


def test_instruments_come_with_their_margin_brackets_ascending(desk):
    instruments = desk.gateway.prepare(("BTCUSDT", "ETHUSDT")).instruments
    first, second = instruments["BTCUSDT"].brackets
    assert (first.notional_floor, first.notional_cap) == (Decimal(0), Decimal(10_000))
    assert (second.leverage_max, second.maintenance_rate) == (50, Decimal("0.008"))
    assert second.maintenance_cum == Decimal("5.0")
    assert instruments["ETHUSDT"].brackets == ()


def test_after_a_refusal_by_the_rules_they_are_read_again_and_changes_told(desk):
    known = desk.gateway.prepare(("BTCUSDT", "ETHUSDT")).instruments["BTCUSDT"]
    rows = {"symbols": [a_row("BTCUSDT", tick="0.5")]}
    desk.venue.say("GET", "exchangeInfo", rows)
    desk.venue.say("POST", "order", (400, {"code": -1111, "msg": "Precision."}))
    assert desk.ask(an_entry()).action == "refresh_filters"
    changed = desk.hear(m.InstrumentChanged, symbol="BTCUSDT").instrument
    assert changed.tick == Decimal("0.5")
    assert changed.brackets == known.brackets
    assert desk.hear(m.InstrumentChanged, symbol="ETHUSDT").instrument is None


@pytest.mark.parametrize(
    "fields", [{"status": "SETTLING"}, {"deliveryDate": 1_796_000_000_000}, {"filters": []}]
)
def test_status_delivery_and_unreadable_rules_count_as_changes(desk, fields):
    desk.gateway.prepare(("BTCUSDT", "ETHUSDT"))
    rows = {"symbols": [{**a_row("BTCUSDT"), **fields}, a_row("ETHUSDT")]}
    desk.venue.say("GET", "exchangeInfo", rows)
    desk.venue.say("POST", "order", (400, {"code": -4140, "msg": "Invalid symbol status."}))
    desk.ask(an_entry())
    assert desk.hear(m.InstrumentChanged).symbol == "BTCUSDT"


def test_the_same_rules_again_are_no_news(desk, monkeypatch):
    monkeypatch.setattr(listing, "_PERIOD_S", 0.05)
    desk.gateway.prepare(("BTCUSDT", "ETHUSDT"))
    desk.venue.say("POST", "order", (400, {"code": -1111, "msg": "Precision."}))
    asked = len(desk.venue.asked("GET", "exchangeInfo"))
    desk.ask(an_entry())
    desk.hear(m.VenueHealth)
    desk.hear(m.VenueHealth)
    assert len(desk.venue.asked("GET", "exchangeInfo")) > asked
    assert not [n for n in list(desk.news.queue) if isinstance(n, m.InstrumentChanged)]
