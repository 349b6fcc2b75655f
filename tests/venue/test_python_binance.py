"""The whole flow of a bot over real HTTP and WebSockets, with python-binance as it is."""

import asyncio
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from tests.venue.loopback import KEY, BinanceAPIException, a_client, a_venue, next_of

TENTH = Decimal("0.1")
TASKS: list[asyncio.Task] = []  # kept, or the loop may drop them


async def ledger_of(url: str) -> dict:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/sim/ledger") as answer:
        return await answer.json()


def wake(client: Any) -> None:
    ask = client.futures_change_leverage(symbol="ETHUSDT", leverage=3)
    TASKS.append(asyncio.get_running_loop().create_task(ask))


def test_an_entry_is_protected_and_closed_by_stop_or_target():
    async def scenario() -> None:
        async with a_venue(speed=60) as url, a_client(url) as (client, sockets):
            await client.futures_change_leverage(symbol="BTCUSDT", leverage=5)
            await client.futures_change_margin_type(symbol="BTCUSDT", marginType="ISOLATED")
            async with sockets.futures_user_socket() as user:
                entry = await client.futures_create_order(
                    symbol="BTCUSDT",
                    side="BUY",
                    type="MARKET",
                    quantity="0.010",
                    newClientOrderId="bot-E-1",
                    newOrderRespType="RESULT",
                )
                assert entry["status"] == "FILLED"
                filled = (await next_of(user, lambda m: m.get("o", {}).get("X") == "FILLED"))[-1]
                price = Decimal(filled["o"]["ap"])
                for kind, move, name in (
                    ("STOP_MARKET", "0.9985", "bot-S-1"),
                    ("TAKE_PROFIT_MARKET", "1.0015", "bot-T-1"),
                ):
                    trigger = (price * Decimal(move)).quantize(TENTH)
                    await client.futures_create_order(
                        symbol="BTCUSDT",
                        side="SELL",
                        type=kind,
                        triggerPrice=str(trigger),
                        closePosition="true",
                        workingType="MARK_PRICE",
                        clientAlgoId=name,
                    )
                assert len(await client.futures_get_open_orders(conditional=True)) == 2
                held = await client.futures_position_information()
                assert [row["positionAmt"] for row in held] == ["0.010"]
                async with aiohttp.ClientSession() as session:
                    for _ in range(60):  # jump on until one of the two has fired
                        body = {"advance_s": 600}
                        await (await session.post(f"{url}/sim/clock", json=body)).release()
                        if not await client.futures_position_information():
                            break
                seen = await next_of(user, lambda m: m.get("o", {}).get("X") == "EXPIRED")
                # The library's close waits for a further message, or ten seconds.
                asyncio.get_running_loop().call_later(0.1, wake, client)
            kinds = [m["o"]["X"] for m in seen if m["e"] == "ALGO_UPDATE"]
            assert kinds == ["NEW", "NEW", "TRIGGERING", "TRIGGERED", "FINISHED", "EXPIRED"]
            assert await client.futures_position_information() == []
            trades = await client.futures_account_trades(symbol="BTCUSDT")
            ledger = await ledger_of(url)
            assert trades == ledger["trades"]
            booked = sum(Decimal(t["realizedPnl"]) - Decimal(t["commission"]) for t in trades)
            (balance,) = await client.futures_account_balance()
            assert Decimal(balance["balance"]) == Decimal(10000) + booked

    asyncio.run(scenario())


def test_start_up_questions_are_answered_in_their_shapes():
    async def scenario() -> None:
        async with a_venue() as url, a_client(url) as (client, _):
            info = await client.futures_exchange_info()
            filters = {row["filterType"] for row in info["symbols"][0]["filters"]}
            assert {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL"} <= filters
            bars = await client.futures_klines(symbol="ETHUSDT", interval="1m", limit=200)
            assert len(bars) == 200
            assert all(b[0] - a[0] == 60_000 for a, b in pairwise(bars))
            assert [type(cell) for cell in bars[0]] == [
                *[int, str, str, str, str, str],
                *[int, str, int, str, str, str],
            ]
            account = await client.futures_account()
            assert len(account["positions"]) == 3
            assert account["availableBalance"] == "10000.00000000"
            assert (await client.futures_get_position_mode()) == {"dualSidePosition": False}
            assert (await client.futures_mark_price(symbol="BTCUSDT"))["markPrice"]
            assert (await client.get_account_api_permissions())["enableFutures"] is True
            assert len(await client.futures_leverage_bracket()) == 3
            assert await client.futures_get_open_orders() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("key", "secret", "code"), [("other", "a-secret", -2015), (KEY, "x", -1022)]
)
def test_strangers_are_refused(key, secret, code):
    async def scenario() -> None:
        async with a_venue() as url, a_client(url, key, secret) as (client, _):
            with pytest.raises(BinanceAPIException) as caught:
                await client.futures_account_balance()
            assert caught.value.code == code
            assert caught.value.status_code == (401 if code == -2015 else 400)

    asyncio.run(scenario())


def test_closed_klines_arrive_once_a_minute_and_agree_with_the_history():
    async def scenario() -> None:
        async with a_venue(speed=0) as url, a_client(url) as (client, sockets):
            names = ["btcusdt@kline_1m", "ethusdt@kline_1m", "btcusdt@kline_5m"]
            stream = sockets.futures_multiplex_socket(names)
            async with stream, aiohttp.ClientSession() as session:
                first = await client.futures_time()
                body = {"advance_s": 600}
                await (await session.post(f"{url}/sim/clock", json=body)).release()
                last = (first["serverTime"] + 600_000) // 60_000 * 60_000 - 60_000
                closed: list[dict] = []

                def all_closed(message: dict) -> bool:
                    if message["data"]["k"]["x"]:
                        closed.append(message["data"])
                    return len(closed) == 10 + 10 + 2

                await next_of(stream, all_closed)
            for symbol in ("BTCUSDT", "ETHUSDT"):
                frames = [m["k"] for m in closed if (m["s"], m["k"]["i"]) == (symbol, "1m")]
                times = [k["t"] for k in frames]
                assert times == list(range(times[0], last + 1, 60_000))
                assert len(times) == 10
                rows = await client.futures_klines(
                    symbol=symbol, interval="1m", startTime=times[0], endTime=last
                )
                keys = ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q"]
                assert [[k[name] for name in keys] for k in frames] == [row[:11] for row in rows]
            fives = [m["k"] for m in closed if m["k"]["i"] == "5m"]
            assert len(fives) == 2
            rows = await client.futures_klines(
                symbol="BTCUSDT", interval="5m", startTime=fives[0]["t"], limit=2
            )
            assert [[k["o"], k["h"], k["l"], k["c"], k["v"]] for k in fives] == [
                row[1:6] for row in rows
            ]

    asyncio.run(scenario())


def test_every_socket_of_the_client_gets_its_frames():
    async def scenario() -> None:
        async with a_venue() as url, a_client(url) as (_client, sockets):
            wanted = {
                "continuous_kline": sockets.kline_futures_socket("BTCUSDT"),
                "markPriceUpdate": sockets.symbol_mark_price_socket("BTCUSDT"),
                "bookTicker": sockets.symbol_ticker_futures_socket("BTCUSDT"),
                "aggTrade": sockets.aggtrade_futures_socket("BTCUSDT"),
                "depthUpdate": sockets.futures_depth_socket("BTCUSDT"),
            }
            for event, stream in wanted.items():
                async with stream:
                    message = (await next_of(stream, lambda _m: True))[0]
                    payload = message.get("data", message)
                    assert payload["e"] == event

    asyncio.run(scenario())
