"""Diff depth joins a REST snapshot by the venue's own rule and then follows the book exactly."""

import random
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tests.venue.watching import Watched

NAME = "btcusdt@depth@100ms"


def joined(snapshot: Any, events: list[Any]) -> tuple[dict, dict, int] | None:
    """Return the book after the venue's procedure, or None where it would have to begin again."""
    bids, asks = ({Decimal(p): q for p, q in snapshot[side]} for side in ("bids", "asks"))
    last = snapshot["lastUpdateId"]
    left = [event for event in events if event["u"] >= last]
    if not left or not left[0]["U"] <= last <= left[0]["u"]:
        return None
    for before, event in pairwise([None, *left]):
        assert before is None or event["pu"] == before["u"]
        for side, rows in ((bids, event["b"]), (asks, event["a"])):
            for price, quantity in rows:
                side.pop(Decimal(price), None)
                if Decimal(quantity):
                    side[Decimal(price)] = quantity
        last = event["u"]
    return bids, asks, last


def book_of(snapshot: Any) -> tuple[dict, dict]:
    bids, asks = ({Decimal(p): q for p, q in snapshot[side]} for side in ("bids", "asks"))
    return bids, asks


@pytest.mark.parametrize("speed", [1.0, 7.0, 60.0])
def test_a_snapshot_of_any_moment_joins_the_diffs_and_follows_the_book(speed):
    watched = Watched(NAME, speed=speed)
    watched.play(1.5)
    for wait_s in (0.1, 0.325, 1.0, 0.775):
        watched.play(wait_s)
        snapshot = watched.snapshot()
        watched.play(2.5)
        book = joined(snapshot, watched.of(NAME))
        assert book is not None
        bids, asks, last = book
        while last < watched.exchange.quotes.update_id("BTCUSDT"):
            watched.wall_ms += 1_000  # the venue stands still: the last change is pushed
            watched.jump(0)
            bids, asks, last = joined(snapshot, watched.of(NAME))
        assert (bids, asks) == book_of(watched.snapshot())
        assert max(bids) < min(asks)


def test_update_numbers_are_dense_and_chained():
    watched = Watched(NAME, "btcusdt@depth@500ms", "btcusdt@depth", "btcusdt@rpiDepth@500ms")
    watched.play(3)
    counts = {name: len(watched.of(name)) for name in ("btcusdt@depth", NAME)}
    assert counts[NAME] == 30
    assert counts["btcusdt@depth"] == 12
    for name in (NAME, "btcusdt@depth@500ms", "btcusdt@rpiDepth@500ms"):
        events = watched.of(name)
        assert len(events) > 5
        for before, after in pairwise(events):
            assert after["pu"] == before["u"]
            assert after["U"] == before["u"] + 1 <= after["u"]


def test_own_fills_show_in_the_book_and_its_pushes():
    watched = Watched(NAME, speed=0)
    watched.jump(0.001)
    snapshot = watched.snapshot()
    best, quantity = snapshot["asks"][0]
    watched.ask("POST order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=quantity)
    watched.wall_ms += 100
    watched.jump(0)
    event = watched.of(NAME)[-1]
    assert [Decimal(row[1]) for row in event["a"] if row[0] == best] == [0]
    bids, asks, _ = joined(snapshot, watched.of(NAME))
    assert (bids, asks) == book_of(watched.snapshot())


def test_partial_depth_shows_the_best_levels_in_the_shape_of_the_diff_stream():
    watched = Watched("btcusdt@depth5@100ms", "btcusdt@depth20")
    watched.play(2)
    event = watched.of("btcusdt@depth5@100ms")[-1]
    assert list(event) == ["e", "E", "T", "s", "ps", "U", "u", "pu", "b", "a", "st"]
    assert len(event["b"]) == len(event["a"]) == 5
    assert len(watched.of("btcusdt@depth20")[-1]["b"]) == 20
    assert Decimal(event["b"][0][0]) < Decimal(event["a"][0][0])


@pytest.mark.parametrize("seed", range(12))
def test_a_snapshot_of_a_book_between_two_pushes_leaves_no_ghosts(seed):
    draws = random.Random(seed)
    watched = Watched(NAME, seed=seed, speed=0)
    watched.jump(1)
    for _ in range(4):
        watched.jump(draws.choice((3, 8, 20, 61)))  # the wall stands: nothing is pushed
        if draws.random() < 0.5:
            side = draws.choice(("BUY", "SELL"))
            watched.ask("POST order", symbol="BTCUSDT", side=side, type="MARKET", quantity=3)
        snapshot = watched.snapshot()
        watched.jump(draws.choice((3, 8, 20, 61)))
        watched.wall_ms += 1_000
        watched.jump(0)
        bids, asks, _ = joined(snapshot, watched.of(NAME))
        assert (bids, asks) == book_of(watched.snapshot())


def test_a_push_over_too_many_books_carries_followers_on_and_takes_no_older_snapshot():
    watched = Watched(NAME, speed=0)
    watched.jump(1)
    follower = watched.snapshot()
    watched.jump(30)
    older = watched.snapshot()
    watched.jump(3 * 3600)
    watched.wall_ms += 1_000
    watched.jump(0)
    events = watched.of(NAME)
    assert events[-1]["pu"] == events[-2]["u"]
    assert events[-1]["U"] == events[-1]["u"]
    assert joined(older, events) is None
    assert joined(follower, events)[:2] == book_of(watched.snapshot())
    assert joined(watched.snapshot(), events)[:2] == book_of(watched.snapshot())


def test_partial_depth_is_chained():
    watched = Watched("btcusdt@depth5@100ms")
    watched.play(3)
    events = watched.of("btcusdt@depth5@100ms")
    assert len(events) > 5
    for before, after in pairwise(events):
        assert after["pu"] == before["u"]


def test_own_resting_orders_are_seen_by_everybody():
    watched = Watched(NAME, "btcusdt@depth5@100ms", "btcusdt@bookTicker", speed=0)
    watched.jump(0.001)
    before = watched.snapshot()
    (best, held), far = before["bids"][0], before["bids"][300]
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    for price in (best, far[0]):
        watched.ask("POST order", **order, quantity="0.111", price=price, newClientOrderId=price)
    watched.wall_ms += 100
    watched.jump(0)
    after = watched.snapshot()
    assert after["lastUpdateId"] > before["lastUpdateId"]
    assert Decimal(after["bids"][0][1]) == Decimal(held) + Decimal("0.111")
    assert Decimal(after["bids"][300][1]) == Decimal(far[1]) + Decimal("0.111")
    assert watched.of("btcusdt@bookTicker")[-1]["B"] == after["bids"][0][1]
    assert watched.of("btcusdt@depth5@100ms")[-1]["b"] == after["bids"][:5]
    assert joined(before, watched.of(NAME))[:2] == book_of(after)
    watched.ask("DELETE order", symbol="BTCUSDT", origClientOrderId=best)
    watched.ask("DELETE order", symbol="BTCUSDT", origClientOrderId=far[0])
    watched.wall_ms += 100
    watched.jump(0)
    assert watched.snapshot()["bids"] == before["bids"]
    assert joined(before, watched.of(NAME))[:2] == book_of(before)


@pytest.mark.parametrize("seed", range(6))
def test_the_book_with_own_orders_in_it_is_never_crossed_and_leaves_no_ghosts(seed):
    draws = random.Random(seed)
    watched = Watched(NAME, seed=seed, speed=0)
    watched.jump(1)
    order = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.9"}
    for _ in range(12):
        side = draws.choice(("BUY", "SELL"))
        levels = watched.snapshot()["bids" if side == "BUY" else "asks"]
        watched.ask("POST order", **order, side=side, price=levels[draws.randrange(40)][0])
        watched.jump(draws.choice((0, 3, 8, 20)))
        snapshot = watched.snapshot()
        watched.jump(draws.choice((0, 3, 8)))
        if draws.random() < 0.3:
            watched.ask("DELETE allOpenOrders", symbol="BTCUSDT")
        watched.wall_ms += 1_000
        watched.jump(0.001)
        bids, asks, _ = joined(snapshot, watched.of(NAME))
        assert (bids, asks) == book_of(watched.snapshot())
        assert max(bids) < min(asks)
