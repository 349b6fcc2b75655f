"""Random requests and frames: never an exception, never a 5xx, and the books stay balanced.

A seeded run of some thousand inputs; `FUZZ_EXAMPLES` (examples of up to `BURST` inputs each, of
every kind) makes it longer, with a new seed each time; `pytest -s` shows how many they were.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.venue.simulated.clock import AffineClock
from core.venue.simulated.control import Subscriptions
from core.venue.simulated.endpoints import ENDPOINTS
from core.venue.simulated.events import MinuteClosed
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.rest import LISTEN_KEY_PATH, Door, Request
from core.venue.simulated.seeded import SeededPrices
from core.venue.simulated.signing import sign
from core.venue.simulated.stream_names import parse
from core.venue.simulated.streams import Publisher
from core.venue.simulated.ws_api import METHODS, SESSION_METHODS, Call, Caller, answer, read_call
from tests.venue.loopback import KEY, SECRET
from tests.venue.test_conservation import conserved

START_MS = 1_800_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
BURST = 40
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
INPUTS: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def counted() -> Iterator[None]:
    """Say how many inputs there were (`pytest -s`)."""
    yield
    sys.stdout.write(f"\n{INPUTS.total():,} inputs: {dict(INPUTS)}\n")


JUNK = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *("", "0", "-1", "1e5", "NaN", "Infinity", "-0", "0.0000000000001", "9" * 40, "٣", "½"),
            *(
                "true",
                "FALSE",
                "null",
                "[]",
                "{}",
                "BTCUSDT ",
                "btcusdt",
                "\x00",
                "x" * 5_000,
                "%%",
            ),
            *("[{}]", '[{"symbol":"BTCUSDT"}]', "[1,2]", '["a"]', "9223372036854775808"),
        ]
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
)
ORDERLY: dict[str, Any] = {
    "symbol": st.sampled_from([*SYMBOLS, *SYMBOLS, "NOPE"]),
    "pair": st.sampled_from(SYMBOLS),
    "side": st.sampled_from(["BUY", "SELL"]),
    "positionSide": st.sampled_from(["BOTH", "LONG", "SHORT"]),
    "type": st.sampled_from(
        [
            "MARKET",
            "LIMIT",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "STOP",
            "TRAILING_STOP_MARKET",
            "ISOLATED",
        ]
    ),
    "timeInForce": st.sampled_from(["GTC", "IOC", "FOK", "GTX", "GTD"]),
    "quantity": st.sampled_from(["0.010", "0.500", "3.000", "100.000", "5000.000"]),
    "price": st.sampled_from(["2400.00", "2410.00", "105000.0", "105500.0", "104000.0", "1.0"]),
    "triggerPrice": st.sampled_from(["2300.00", "2500.00", "104000.0", "106000.0"]),
    "activatePrice": st.sampled_from(["2300.00", "106000.0"]),
    "callbackRate": st.sampled_from(["0.1", "1", "20", "21"]),
    "reduceOnly": st.sampled_from(["true", "false"]),
    "closePosition": st.sampled_from(["true", "false"]),
    "workingType": st.sampled_from(["MARK_PRICE", "CONTRACT_PRICE"]),
    "priceMatch": st.sampled_from(["NONE", "OPPONENT", "QUEUE_5"]),
    "selfTradePreventionMode": st.sampled_from(["NONE", "EXPIRE_TAKER", "EXPIRE_BOTH"]),
    "newOrderRespType": st.sampled_from(["ACK", "RESULT"]),
    "newClientOrderId": st.sampled_from(["a", "b", "c"]),
    "origClientOrderId": st.sampled_from(["a", "b", "c"]),
    "clientAlgoId": st.sampled_from(["a", "b", "c"]),
    "algoType": st.just("CONDITIONAL"),
    "goodTillDate": st.sampled_from([str(START_MS + 10**6), str(START_MS + 10**9)]),
    "orderId": st.integers(0, 10**10).map(str),
    "algoId": st.integers(0, 10**10).map(str),
    "leverage": st.sampled_from(["1", "20", "125"]),
    "marginType": st.sampled_from(["ISOLATED", "CROSSED"]),
    "dualSidePosition": st.sampled_from(["true", "false"]),
    "multiAssetsMargin": st.sampled_from(["true", "false"]),
    "amount": st.sampled_from(["1", "100", "100000"]),
    "interval": st.sampled_from(["1m", "1h", "1d", "1M"]),
    "contractType": st.just("PERPETUAL"),
    "period": st.sampled_from(["5m", "1d"]),
    "limit": st.sampled_from(["1", "5", "500", "1000", "1500"]),
    "startTime": st.sampled_from([str(START_MS - 10**6), str(START_MS)]),
    "endTime": st.sampled_from([str(START_MS), str(START_MS + 10**9)]),
    "fromId": st.integers(0, 10**6).map(str),
    "countdownTime": st.sampled_from(["0", "1000", "60000"]),
    "orderIdList": st.sampled_from(["[1,2]", "[]", "[true]", '["x"]']),
    "batchOrders": st.sampled_from(
        [
            '[{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"0.01"}]',
            '[{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":0.01,"price":null}]',
            '[{"symbol":["BTCUSDT"]},5,null]',
        ]
    ),
    "recvWindow": st.sampled_from(["5000", "60000"]),
}
NAMES = st.sampled_from([*ORDERLY])
FIELD = st.one_of(
    *(NAMES.flatmap(lambda name: st.tuples(st.just(name), ORDERLY[name])) for _ in range(6)),
    st.tuples(NAMES, JUNK),
    st.tuples(st.text(max_size=8), JUNK),
)
ORDER = st.fixed_dictionaries(
    {name: ORDERLY[name] for name in ("symbol", "side", "type", "quantity")},
    optional={name: ORDERLY[name] for name in ("price", "timeInForce", "triggerPrice", "algoType")},
)
USUAL = ("symbol", "pair", "interval", "contractType", "period", "leverage", "amount", "orderId")
COMMON = st.fixed_dictionaries(
    {name: ORDERLY[name] for name in USUAL}, optional={"limit": ORDERLY["limit"]}
)
FIELDS = st.tuples(st.one_of(ORDER, ORDER, COMMON, st.just({})), st.lists(FIELD, max_size=6)).map(
    lambda pair: pair[0] | dict(pair[1])
)
PLACES = st.sampled_from(
    [("POST", "/fapi/v1/order"), ("POST", "/fapi/v1/algoOrder"), ("PUT", "/fapi/v1/order")]
)
ENDS = st.sampled_from(
    [*ENDPOINTS, ("POST", LISTEN_KEY_PATH), ("PUT", LISTEN_KEY_PATH), ("DELETE", LISTEN_KEY_PATH)]
)
WEIRD = st.tuples(st.sampled_from(["GET", "PUT", "TRACE", ""]), st.text(max_size=20))
TARGET = st.one_of(PLACES, PLACES, ENDS, ENDS, ENDS, ENDS, WEIRD)
MANNER = st.sampled_from(["query", "query", "query", "body", "both", "unsigned", "keyless", "raw"])
PAUSE = st.sampled_from([0, 1, 5, 50, 1_000, 30_000])
REQUEST = st.tuples(TARGET, FIELDS, MANNER, PAUSE, JUNK)

VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
STREAMS = st.sampled_from(
    [
        *("btcusdt@kline_1m", "btcusdt@depth", "!ticker@arr", "ethusdt@aggTrade", "!contractInfo"),
        *("btcusdt@depth5@500ms", "!bookTicker", "nope@ticker", "ethusdt@markPrice@1s", "\x00"),
        *("ethusdt_perpetual@continuousKline_1M", "!forceOrder@arr", "btcusdt@forceOrder"),
    ]
)
CONTROL = st.one_of(
    st.text(max_size=40),
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(
                ["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]
            ),
            "params": st.one_of(
                st.lists(STREAMS, max_size=4), st.just(["combined", True]), st.lists(VALUE)
            ),
            "id": st.one_of(st.integers(0, 99), VALUE),
        }
    ),
    st.dictionaries(st.sampled_from(["method", "params", "id"]), VALUE),
)
WS_CALL = st.one_of(
    st.text(max_size=40),
    st.tuples(
        st.sampled_from([*METHODS, *SESSION_METHODS, "dance"]), st.one_of(FIELDS, VALUE), VALUE
    ),
)


class World:
    """A venue without its sockets."""

    def __init__(self) -> None:
        source = SeededPrices(SYMBOLS, 11, START_MS, 10)
        self.exchange = Exchange(source, balance=Decimal(20_000), start_ms=START_MS)
        clock = AffineClock(anchor_venue_ms=START_MS, anchor_wall_ms=START_MS, speed=1.0)
        self.door = Door(self.exchange, clock, api_key=KEY, api_secret=SECRET)
        self.publisher = Publisher(self.exchange)
        self.wall_ms = START_MS

    def pass_time(self, pause_ms: int) -> None:
        self.wall_ms += pause_ms
        self.door.tick(self.wall_ms)
        for event in self.exchange.take_events():
            if isinstance(event, MinuteClosed):
                frames: Any = self.publisher.closed(event)
            else:
                self.publisher.heard(event.payload)
                frames = event.payload
            orjson.dumps(frames)
        orjson.dumps(self.publisher.due(self.wall_ms))

    def ask(self, target: tuple[str, str], fields: dict[str, str], manner: str, junk: str) -> None:
        """Send one request the way `manner` says, and look at what comes back."""
        method, path = target
        text = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in fields.items())
        text += f"{'&' if text else ''}timestamp={self.wall_ms}"
        query, body = ("", text) if manner == "body" else (text, "")
        if manner == "both":
            body = "leverage=5"
        if manner == "raw":
            query, body = junk, junk
        elif manner != "unsigned":
            signature = sign(SECRET, query + body)
            query += f"{'&' if query else ''}signature={signature}"
        self.check(
            Request(
                method=method,
                path=path,
                query=query,
                body=body,
                api_key=None if manner == "keyless" else KEY,
                address="127.0.0.1",
                wall_ms=self.wall_ms,
            )
        )

    def check(self, request: Request) -> Any:
        response = self.door.handle(request)
        assert response.status < 500, (request, response)
        orjson.dumps(response.body)
        if response.status != 200:
            assert response.body["code"] < 0
            assert response.body["msg"]
        return response


def quoted(text: str) -> str:
    return "".join(
        c if c.isalnum() and c.isascii() else f"%{b:02x}" for c in text for b in c.encode()
    )


@FUZZED
@given(st.lists(REQUEST, min_size=BURST // 2, max_size=BURST))
def test_random_requests_are_answered_and_the_books_stay_balanced(requests):
    world = World()
    for target, fields, manner, pause_ms, junk in requests:
        INPUTS["requests"] += 1
        world.pass_time(pause_ms)
        world.ask(target, fields, manner, junk)
    world.pass_time(120_000)
    conserved(world.exchange)
    orjson.dumps(world.exchange.dump())


@FUZZED
@given(st.lists(CONTROL, min_size=BURST // 2, max_size=BURST))
def test_random_control_frames_are_answered_and_can_be_published(frames):
    world, subscriptions = World(), Subscriptions()
    for frame in frames:
        INPUTS["control frames"] += 1
        text = frame if isinstance(frame, str) else encoded(frame)
        told = subscriptions.answer(text)
        orjson.dumps(told)
        assert "result" in told or (told["code"] in range(4) and told["msg"])
    world.publisher.watch(name for name in subscriptions.names if parse(name))
    world.pass_time(61_000)


@FUZZED
@given(st.lists(WS_CALL, min_size=BURST // 2, max_size=BURST))
def test_random_ws_api_frames_are_answered_and_the_books_stay_balanced(frames):
    world, caller = World(), Caller("127.0.0.1", START_MS)
    for frame in frames:
        INPUTS["WS-API frames"] += 1
        world.pass_time(5)
        text = frame
        if not isinstance(frame, str):
            method, params, number = frame
            if isinstance(params, dict):
                params = signed(params, world.wall_ms)
            text = encoded({"id": number, "method": method, "params": params})
        told = read_call(text, caller, world.wall_ms, world.exchange.now_ms)
        if isinstance(told, Call):
            told = answer(told, world.check(told.request))
        orjson.dumps(told)
        assert told["status"] == 200 or told["error"]["code"] < 0
    conserved(world.exchange)


def signed(params: dict[str, Any], wall_ms: int) -> dict[str, Any]:
    given = {**params, "apiKey": KEY, "timestamp": wall_ms}
    text = "&".join(f"{name}={given[name]}" for name in sorted(given))
    return {**given, "signature": sign(SECRET, text.encode("utf-8", "replace").decode())}


def encoded(value: Any) -> str:
    """Return JSON as a careless client writes it: whatever the encoder lets through."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return repr(value)
