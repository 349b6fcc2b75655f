"""A journal rebuilds the very same exchange, also after a kill -9 in the middle of a line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from actors.edges.venue_journal import Journal, World, open_journal
from actors.edges.venue_source import VenueSettings
from core.errors import ConfigurationError
from core.venue.simulated.endpoints import ENDPOINTS
from core.venue.simulated.errors import Rejection
from core.venue.simulated.market import MINUTE_MS
from core.venue.simulated.params import Params
from core.venue.simulated.rest import Entry

SETTINGS = VenueSettings(
    symbols=("BTCUSDT", "ETHUSDT"),
    seed=7,
    balance="10000",
    history=60,
    data="",
    funding="",
    start_ms=1_800_000_012_345,
)


def send(world: World, journal: Journal, method: str, path: str, **params: str) -> None:
    """What the server does: journal first, then perform."""
    entry = Entry(at_ms=world.exchange.now_ms, method=method, path=path, params=params)
    journal.request(entry)
    try:
        ENDPOINTS[method, path].handler(world.exchange, Params(params))
    except Rejection:
        return


def an_hour_of_trading(path: Path) -> World:
    world, journal = open_journal(path, SETTINGS)
    exchange = world.exchange
    order = {"symbol": "BTCUSDT", "type": "MARKET", "quantity": "0.010"}
    for minute in range(60):
        exchange.advance(exchange.now_ms + MINUTE_MS)
        side = "BUY" if minute % 2 else "SELL"
        if minute % 7 == 0:
            send(world, journal, "POST", "/fapi/v1/order", side=side, **order)
            send(world, journal, "POST", "/fapi/v1/order", side="NONSENSE", **order)
        if minute % 11 == 0:
            price = exchange.quotes.last("ETHUSDT") - 1
            fields = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
            path_of = "/fapi/v1/order"
            send(world, journal, "POST", path_of, quantity="0.100", price=str(price), **fields)
        journal.mark(exchange)
        exchange.take_events()
    journal.close()
    return world


def test_a_reopened_journal_gives_the_same_ledger_and_goes_on(tmp_path):
    path = tmp_path / "venue.jsonl"
    first = an_hour_of_trading(path)
    again, journal = open_journal(path, replace(SETTINGS, start_ms=SETTINGS.start_ms + 10**9))
    assert again.resumed
    assert again.venue_id == first.venue_id
    assert again.exchange.dump() == first.exchange.dump()
    for world in (first, again):
        world.exchange.advance(world.exchange.now_ms + 600 * MINUTE_MS)
    assert again.exchange.dump() == first.exchange.dump()
    journal.close()


def test_a_half_written_last_line_is_forgotten(tmp_path):
    path = tmp_path / "venue.jsonl"
    first = an_hour_of_trading(path)
    with path.open("a") as stream:
        stream.write('{"k":"r","t":18')
    again, journal = open_journal(path, SETTINGS)
    assert again.exchange.dump() == first.exchange.dump()
    journal.close()
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_damaged_line_inside_is_refused_with_its_number(tmp_path):
    path = tmp_path / "venue.jsonl"
    an_hour_of_trading(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:5], "garbage\n", *lines[6:]]))
    with pytest.raises(ConfigurationError, match="damaged at line 6"):
        open_journal(path, SETTINGS)


@pytest.mark.parametrize(
    "other",
    [
        replace(SETTINGS, seed=8),
        replace(SETTINGS, symbols=("XRPUSDT",)),
        replace(SETTINGS, data="/elsewhere"),
    ],
)
def test_a_ledger_begun_otherwise_is_refused_in_one_line(tmp_path, other):
    path = tmp_path / "venue.jsonl"
    open_journal(path, SETTINGS)[1].close()
    with pytest.raises(ConfigurationError, match="holds another ledger") as caught:
        open_journal(path, other)
    assert "\n" not in str(caught.value)
    assert "Fix:" in str(caught.value)


def test_a_tampered_amount_is_noticed(tmp_path):
    path = tmp_path / "venue.jsonl"
    an_hour_of_trading(path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    bought = [row for row in rows if row.get("q", {}).get("quantity") == "0.010"]
    bought[0]["q"]["quantity"] = "0.011"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigurationError, match="rebuilt wallet"):
        open_journal(path, SETTINGS)
