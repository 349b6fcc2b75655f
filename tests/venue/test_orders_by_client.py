"""Amendments, batches, trailing stops, countdown and hedge mode with python-binance as it is."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.venue.loopback import BinanceAPIException, a_client, a_venue

TICK = Decimal("0.1")


async def near(client: Any, factor: str) -> str:
    ticker = await client.futures_orderbook_ticker(symbol="BTCUSDT")
    return str((Decimal(ticker["bidPrice"]) * Decimal(factor)).quantize(TICK))


def with_a_client(scenario: Any) -> None:
    async def run() -> None:
        async with a_venue(speed=1) as url, a_client(url) as (client, _):
            await scenario(client)

    asyncio.run(run())


def test_an_order_is_amended_batched_and_cancelled_by_the_batch():
    async def scenario(client: Any) -> None:
        price = await near(client, "0.98")
        plain = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        rows = [{**plain, "quantity": "0.010", "price": price} for _ in range(2)]
        placed = await client.futures_place_batch_order(batchOrders=rows)
        assert [row["status"] for row in placed] == ["NEW", "NEW"]
        first = placed[0]["orderId"]
        changed = await client.futures_modify_order(
            symbol="BTCUSDT", side="BUY", orderId=first, quantity="0.012", price=price
        )
        assert (changed["orderId"], changed["origQty"]) == (first, "0.012")
        ids = [row["orderId"] for row in placed]
        ended = await client.futures_cancel_orders(symbol="BTCUSDT", orderIdList=ids)
        assert [row["status"] for row in ended] == ["CANCELED", "CANCELED"]
        armed = await client.futures_countdown_cancel_all(symbol="BTCUSDT", countdownTime=60_000)
        assert armed == {"symbol": "BTCUSDT", "countdownTime": "60000"}

    with_a_client(scenario)


def test_both_sides_are_held_in_hedge_mode_and_one_trails():
    async def scenario(client: Any) -> None:
        await client.futures_change_position_mode(dualSidePosition="true")
        order = {"symbol": "BTCUSDT", "type": "MARKET", "quantity": "0.010"}
        for side, position in (("BUY", "LONG"), ("SELL", "SHORT")):
            await client.futures_create_order(side=side, positionSide=position, **order)
        held = await client.futures_position_information()
        assert {row["positionSide"]: row["positionAmt"] for row in held} == {
            "LONG": "0.010",
            "SHORT": "-0.010",
        }
        trailing = await client.futures_create_order(
            symbol="BTCUSDT",
            side="SELL",
            positionSide="LONG",
            type="TRAILING_STOP_MARKET",
            quantity="0.010",
            callbackRate="1.0",
        )
        assert (trailing["orderType"], trailing["callbackRate"]) == ("TRAILING_STOP_MARKET", "1.0")
        with pytest.raises(BinanceAPIException) as caught:
            await client.futures_create_order(side="SELL", **order)
        assert caught.value.code == -4061

    with_a_client(scenario)
