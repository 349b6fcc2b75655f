"""Request weights, order counts and bans, as `--rate-limits on` enforces them."""

import pytest

from core.venue.simulated.limits import (
    BAN_MAX_MS,
    CUTS_MAX,
    DEFIANT_MAX,
    POOL_MAX,
    WEIGHT_MAX,
    Limits,
)
from core.venue.simulated.signing import sign
from tests.venue.test_venue_door import START_MS, WALL_MS, a_door, ask, signed

MINUTE_MS = 60_000
NOW = WALL_MS // 300_000 * 300_000


def test_weight_past_the_limit_is_429_until_the_minute_turns():
    limits = Limits(enforced=True)
    assert limits.charge_weight("a", NOW, WEIGHT_MAX) is None
    refused = limits.charge_weight("a", NOW + 1_000, 1)
    assert (refused.status, refused.code, refused.retry_after_s) == (429, -1003, 59)
    assert limits.charge_weight("b", NOW + 1_000, 1) is None
    assert limits.charge_weight("a", NOW + MINUTE_MS, 1) is None


def test_bans_begin_at_two_minutes_and_grow_up_to_three_days():
    limits, now, spans = Limits(enforced=True), NOW, []
    for _ in range(8):
        limits.charge_weight("a", now, WEIGHT_MAX)
        for _ in range(DEFIANT_MAX + 1):
            verdict = limits.charge_weight("a", now, 1)
        assert verdict.status == 418
        assert f"banned until {now + verdict.retry_after_s * 1000}" in verdict.message
        spans.append(verdict.retry_after_s)
        assert limits.charge_weight("a", now + spans[-1] * 1000 - 1, 1).status == 418
        now = (now + spans[-1] * 1000) // MINUTE_MS * MINUTE_MS + MINUTE_MS
        assert limits.charge_weight("a", now, 1) is None
    assert spans[0] == 120
    assert spans == sorted(spans)
    assert spans[-1] == BAN_MAX_MS // 1000


def test_sockets_closed_again_and_again_for_talking_too_much_ban_the_address():
    limits = Limits(enforced=True)
    for _ in range(CUTS_MAX - 1):
        limits.charge_violation("a", NOW)
        assert limits.ban("a", NOW) is None
    limits.charge_violation("a", NOW)
    assert (limits.ban("a", NOW).status, limits.ban("a", NOW).retry_after_s) == (418, 120)
    assert limits.charge_weight("a", NOW, 1).status == 418
    assert limits.ban("b", NOW) is None
    assert limits.ban("a", NOW + 120_000) is None
    lax = Limits(enforced=False)
    for _ in range(CUTS_MAX):
        lax.charge_violation("a", NOW)
    assert lax.ban("a", NOW) is None


def test_orders_are_counted_by_account_in_two_windows():
    limits = Limits(enforced=True)
    assert [limits.charge_orders(NOW, 1, 1) for _ in range(300)] == [None] * 300
    refused = limits.charge_orders(NOW, 1, 1)
    assert (refused.status, refused.code) == (429, -1015)
    assert "300 orders per 10 SECOND" in refused.message
    assert limits.charge_orders(NOW + 10_000, 5, 1) is None
    assert limits.order_counts(NOW + 10_000) == (5, 302)


def test_the_funding_endpoints_have_a_pool_of_their_own():
    limits = Limits(enforced=True)
    for _ in range(POOL_MAX):
        assert limits.charge_weight("a", NOW, 0, pooled=True) is None
    assert limits.charge_weight("a", NOW, 0, pooled=True).status == 429
    assert limits.charge_weight("a", NOW, 1) is None
    assert limits.charge_weight("a", NOW + 300_000, 0, pooled=True) is None


def test_nothing_is_refused_without_enforcement_but_all_is_counted():
    limits = Limits(enforced=False)
    assert limits.charge_weight("a", NOW, 10 * WEIGHT_MAX) is None
    assert limits.charge_orders(NOW, 1_000, 1_000) is None
    shown = limits.headers("a", NOW, orders=True)
    assert shown["X-MBX-USED-WEIGHT-1M"] == str(10 * WEIGHT_MAX)
    assert shown["X-MBX-ORDER-COUNT-10S"] == "1000"


@pytest.mark.parametrize(
    ("path", "query", "weight"),
    [
        ("klines", "symbol=BTCUSDT&interval=1m&limit=99", 1),
        ("klines", "symbol=BTCUSDT&interval=1m&limit=100", 2),
        ("klines", "symbol=BTCUSDT&interval=1m", 5),
        ("klines", "symbol=BTCUSDT&interval=1m&limit=1001", 10),
        ("depth", "symbol=BTCUSDT&limit=50", 2),
        ("depth", "symbol=BTCUSDT&limit=100", 5),
        ("depth", "symbol=BTCUSDT", 10),
        ("depth", "symbol=BTCUSDT&limit=1000", 20),
        ("ticker/24hr", "", 40),
        ("ticker/bookTicker", "", 5),
        ("premiumIndex", "", 10),
        ("aggTrades", "symbol=BTCUSDT", 20),
        ("fundingRate", "", 0),
        ("nothing", "", 0),
    ],
)
def test_a_request_weighs_what_the_documents_say(path, query, weight):
    answer = ask(a_door(), "GET", f"/fapi/v1/{path}", query)
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_an_order_past_the_count_changes_nothing():
    door = a_door(enforce_limits=True)
    order = signed("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=1.00")
    answers = [ask(door, "POST", "/fapi/v1/order", order) for _ in range(301)]
    assert (answers[-1].status, answers[-1].body["code"]) == (429, -1015)
    assert answers[-1].entry is None
    assert "Retry-After" in answers[-1].headers


def test_a_parameter_may_come_once_in_query_or_body():
    door = a_door()
    twice = f"symbol=BTCUSDT&symbol=ETHUSDT&timestamp={START_MS}"
    assert ask(door, "GET", "/fapi/v1/openInterest", twice).body["code"] == -1101
    query, body = "leverage=7&symbol=BTCUSDT", f"leverage=9&timestamp={START_MS}"
    signature = sign("secret", query + body)
    answer = ask(door, "POST", "/fapi/v1/leverage", query, f"{body}&signature={signature}")
    assert answer.body["leverage"] == 7


def test_symbols_may_be_percent_encoded_and_of_any_script():
    door = a_door()
    named = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert ask(door, "GET", "/fapi/v1/openInterest", f"symbol={named}").body["code"] == -1121
    assert ask(door, "GET", "/fapi/v1/openInterest", "symbol=%42TCUSDT").status == 200
