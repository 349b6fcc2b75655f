"""What a request goes through before its handler: path, key, signature, stamp, limits."""

import time
from decimal import Decimal
from typing import Any

import pytest

from core.venue.simulated.clock import AffineClock
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.rest import Door, Request, Response
from core.venue.simulated.signing import sign
from tests.venue.market_on_paper import START_MS, PaperPrices, flat

WALL_MS = 1_700_000_000_000


def a_door(speed: float = 1.0, **more: Any) -> Door:
    source = PaperPrices({"BTCUSDT": flat("100000.00", 10)})
    exchange = Exchange(source, balance=Decimal(10000), start_ms=START_MS)
    clock = AffineClock(anchor_venue_ms=START_MS, anchor_wall_ms=WALL_MS, speed=speed)
    return Door(exchange, clock, api_key="key", api_secret="secret", **more)


def ask(
    door: Door, method: str, path: str, query: str = "", body: str = "", **more: Any
) -> Response:
    fields = {"api_key": "key", "address": "1.2.3.4", "wall_ms": WALL_MS, **more}
    return door.handle(Request(method=method, path=path, query=query, body=body, **fields))


SECRET = "secret"


def signed(query: str, stamp: int = START_MS, secret: str = SECRET) -> str:
    payload = f"{query}&timestamp={stamp}".lstrip("&")
    return f"{payload}&signature={sign(secret, payload)}"


BALANCE = "/fapi/v3/balance"


def test_public_paths_need_no_key_and_unknown_paths_are_404():
    door = a_door()
    assert ask(door, "GET", "/fapi/v1/ping", api_key=None).status == 200
    assert ask(door, "GET", "/fapi/v1/nope").status == 404
    assert ask(door, "PATCH", "/fapi/v1/order").status == 404


@pytest.mark.parametrize(
    ("key", "status", "code"), [(None, 401, -2014), ("other", 401, -2015), ("key", 200, None)]
)
def test_a_wrong_key_is_unauthorized(key, status, code):
    answer = ask(a_door(), "GET", BALANCE, signed(""), api_key=key)
    assert answer.status == status
    assert code is None or answer.body["code"] == code


def test_the_signature_may_stand_in_query_or_body_and_cover_both():
    door = a_door()
    path = "/fapi/v1/leverage"
    text = "leverage=5&symbol=BTCUSDT"
    assert ask(door, "POST", path, signed(text)).status == 200
    assert ask(door, "POST", path, "", signed(text)).status == 200
    body = f"symbol=BTCUSDT&timestamp={START_MS}"
    both = sign("secret", "leverage=7" + body)
    answer = ask(door, "POST", path, "leverage=7", f"{body}&signature={both}")
    assert answer.body["leverage"] == 7
    assert ask(door, "POST", path, signed(text, secret="wrong")).body["code"] == -1022
    assert ask(door, "POST", path, text).body["code"] == -1102


def test_encoded_and_raw_signatures_are_both_honest():
    door = a_door()
    raw = f"origClientOrderId=a:b/c&symbol=BTCUSDT&timestamp={START_MS}"
    encoded = raw.replace(":", "%3A").replace("/", "%2F")
    for text in (raw, encoded):
        answer = ask(door, "GET", "/fapi/v1/order", f"{encoded}&signature={sign('secret', text)}")
        assert answer.body["code"] == -2013


@pytest.mark.parametrize(
    ("stamp", "code"),
    [
        (START_MS, None),
        (WALL_MS, None),
        (WALL_MS - 5_000, None),
        (WALL_MS - 5_001, -1021),
        (START_MS + 1_000, None),
        (START_MS + 1_001, -1021),
    ],
)
def test_stamps_of_either_clock_are_accepted_within_the_window(stamp, code):
    answer = ask(a_door(), "GET", BALANCE, signed("", stamp))
    assert (answer.body["code"] if code else answer.status) == (code or 200)


def test_weights_and_order_counts_go_out_in_the_headers():
    door = a_door()
    first = ask(door, "GET", BALANCE, signed(""))
    assert first.headers == {"X-MBX-USED-WEIGHT-1M": "5"}
    order = signed("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010")
    placed = ask(door, "POST", "/fapi/v1/order", order)
    assert placed.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert placed.headers["X-MBX-USED-WEIGHT-1M"] == "5"


def test_limits_are_enforced_only_when_asked_for():
    free, strict = a_door(), a_door(enforce_limits=True)
    path = "/fapi/v1/ticker/24hr"
    for _ in range(60):
        assert ask(free, "GET", path).status == 200
        ask(strict, "GET", path)
    refused = ask(strict, "GET", path)
    assert (refused.status, refused.body["code"]) == (429, -1003)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    for _ in range(30):
        refused = ask(strict, "GET", path)
    assert refused.status == 418
    assert ask(strict, "GET", path, wall_ms=WALL_MS + 200_000).status == 200


def test_only_requests_that_may_change_something_are_for_the_journal():
    door = a_door()
    order = signed("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010")
    assert ask(door, "GET", BALANCE, signed("")).entry is None
    entry = ask(door, "POST", "/fapi/v1/order", order).entry
    assert entry.params == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "0.010",
    }
    assert ask(door, "POST", "/fapi/v1/order", order + "0").entry is None


def test_a_listen_key_is_one_per_account_and_dies_after_an_hour():
    door = a_door()
    path = "/fapi/v1/listenKey"
    key = ask(door, "POST", path).body["listenKey"]
    assert ask(door, "POST", path).body["listenKey"] == key
    late = WALL_MS + 3_600_000
    assert ask(door, "PUT", path, wall_ms=late - 1).status == 200
    assert door.listen_keys.expire(late + 3_600_000) == key
    assert ask(door, "PUT", path).body["code"] == -1125


def test_the_clock_is_a_straight_line_that_may_change_its_pace():
    clock = AffineClock(anchor_venue_ms=1_000, anchor_wall_ms=0, speed=60.0)
    assert clock.venue_ms(100) == 7_000
    slower = clock.repaced(100, 1.0)
    assert slower.venue_ms(150) == 7_050
    assert slower.repaced(150, 0.0).venue_ms(10**9) == 7_050


def test_garbage_is_refused_and_never_breaks_the_door():
    door = a_door()
    paths = ["/fapi/v1/klines", "/fapi/v1/depth", "/fapi/v1/order", "/fapi/v1/algoOrder", "/"]
    junk = [
        "",
        "a=b",
        "%%%",
        "limit=99999999999999999999",
        "symbol=%ff&interval=1m",
        "&&=&",
        "\x00",
    ]
    started = time.monotonic()
    for path in paths:
        for text in junk:
            for method in ("GET", "POST", "DELETE"):
                for query, body in ((text, ""), ("", text), (signed(text), "")):
                    assert ask(door, method, path, query, body).status < 500
    assert time.monotonic() - started < 5
