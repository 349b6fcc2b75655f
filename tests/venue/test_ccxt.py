"""ccxt and ccxt.pro against the venue, as they are: only the addresses are changed."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.venue.loopback import KEY, SECRET, a_venue

with warnings.catch_warnings():
    # ccxt and what it brings along import names that their own authors have deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ccxt
    import ccxt.pro as ccxt_pro

SYMBOL = "BTC/USDT:USDT"
Scenario = Callable[[Any, str], Awaitable[None]]


def settings(url: str) -> dict[str, Any]:
    versions = {"": "v1", "V2": "v2", "V3": "v3"}
    paths = {
        f"fapi{side}{suffix}": f"{url}/fapi/{version}"
        for side in ("Public", "Private")
        for suffix, version in versions.items()
    }
    spot = dict.fromkeys(("public", "private", "v1"), f"{url}/api/v3")
    sapi = {"sapi": f"{url}/sapi/v1", "fapiData": f"{url}/futures/data"}
    socket = url.replace("http", "ws")
    streams = {"linear": f"{socket}/ws", "ws-api": {"linear": f"{socket}/ws-fapi/v1"}}
    return {
        "apiKey": KEY,
        "secret": SECRET,
        "urls": {"api": {**paths, **spot, **sapi, "ws": streams}},
        "aiohttp_trust_env": False,
    }


def directed(exchange: Any, url: str) -> Any:
    """Point a ccxt exchange to the venue; everything else is as delivered."""
    wanted = settings(url)["urls"]["api"]
    exchange.urls["api"].update({k: v for k, v in wanted.items() if k != "ws"})
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"]["linear"] = wanted["ws"]["linear"]
        exchange.urls["api"]["ws"]["ws-api"]["linear"] = wanted["ws"]["ws-api"]["linear"]
    return exchange


@asynccontextmanager
async def a_client(url: str) -> AsyncIterator[Any]:
    keys = {"apiKey": KEY, "secret": SECRET, "enableRateLimit": False}
    client = directed(ccxt_pro.binanceusdm(keys), url)
    try:
        yield client
    finally:
        await client.close()


def on_a_venue(scenario: Scenario, speed: float = 60.0) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), a_venue(speed=speed) as url, a_client(url) as client:
            await scenario(client, url)

    asyncio.run(run())


def test_markets_prices_and_history_are_read():
    async def scenario(client: Any, _url: str) -> None:
        markets = await client.load_markets()
        market = markets[SYMBOL]
        assert market["active"]
        assert market["swap"]
        assert market["precision"]["price"] == 0.1
        assert market["limits"]["amount"]["min"] == 0.001
        assert market["limits"]["cost"]["min"] == 50
        ticker = await client.fetch_ticker(SYMBOL)
        book = await client.fetch_order_book(SYMBOL, 50)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert ticker["last"] > 0
        assert (
            set(await client.fetch_tickers()) == set(await client.fetch_bids_asks()) == set(markets)
        )
        bars = await client.fetch_ohlcv(SYMBOL, "1m", limit=100)
        assert len(bars) == 100
        for price in ("mark", "index", "premiumIndex"):
            assert (
                len(await client.fetch_ohlcv(SYMBOL, "1m", limit=9, params={"price": price})) == 9
            )
        assert len(await client.fetch_ohlcv(SYMBOL, "1M")) >= 1
        assert (await client.fetch_funding_rate(SYMBOL))["fundingTimestamp"]
        assert len(await client.fetch_trades(SYMBOL, limit=20)) == 20
        assert abs(await client.fetch_time() - client.milliseconds()) < 3_600_000
        assert (await client.fetch_open_interest(SYMBOL))["openInterestAmount"] == 0
        assert (await client.fetch_status())["status"] == "ok"
        currencies = await client.fetch_currencies()
        assert "USDT" in currencies

    on_a_venue(scenario)


def test_an_account_trades_and_its_books_agree():
    async def scenario(client: Any, _url: str) -> None:
        await client.load_markets()
        assert (await client.fetch_balance())["USDT"]["total"] == 10_000
        await client.set_leverage(5, SYMBOL)
        await client.set_margin_mode("isolated", SYMBOL)
        bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
        assert (bought["status"], bought["filled"]) == ("closed", 0.01)
        (position,) = await client.fetch_positions([SYMBOL])
        assert (position["side"], position["contracts"]) == ("long", 0.01)
        stop = await client.create_order(
            SYMBOL,
            "market",
            "sell",
            0.01,
            params={"stopLossPrice": position["entryPrice"] * 0.9, "reduceOnly": True},
        )
        params = {"trigger": True}
        assert [row["id"] for row in await client.fetch_open_orders(SYMBOL, params=params)] == [
            stop["id"]
        ]
        await client.cancel_order(stop["id"], SYMBOL, params=params)
        assert await client.fetch_open_orders(SYMBOL, params=params) == []
        price = position["entryPrice"] * 0.97
        resting = await client.create_order(SYMBOL, "limit", "buy", 0.01, price)
        assert resting["status"] == "open"
        edited = await client.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.011, price * 0.99)
        assert edited["id"] == resting["id"]
        assert len(await client.fetch_open_orders(SYMBOL)) == 1
        await client.cancel_order(resting["id"], SYMBOL)
        assert (await client.fetch_order(resting["id"], SYMBOL))["status"] == "canceled"
        sold = await client.create_order(
            SYMBOL, "market", "sell", 0.01, params={"reduceOnly": True}
        )
        assert sold["status"] == "closed"
        trades = await client.fetch_my_trades(SYMBOL)
        assert [trade["order"] for trade in trades] == [bought["id"], sold["id"]]
        total = (await client.fetch_balance())["USDT"]["total"]
        gains = sum(float(t["info"]["realizedPnl"]) - t["fee"]["cost"] for t in trades)
        assert total == pytest.approx(10_000 + gains, abs=1e-6)
        assert len(await client.fetch_orders(SYMBOL)) == 3
        assert (await client.fetch_leverage_tiers([SYMBOL]))[SYMBOL]
        assert (await client.fetch_trading_fee(SYMBOL))["taker"] == 0.0005

    on_a_venue(scenario)


def test_refusals_become_the_librarys_own_errors():
    async def scenario(client: Any, _url: str) -> None:
        await client.load_markets()
        with pytest.raises(ccxt.ExchangeError, match="-2019"):
            await client.create_order(SYMBOL, "market", "buy", 100)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order("1", SYMBOL)
        price = (await client.fetch_ticker(SYMBOL))["last"] * 1.01
        with pytest.raises(ccxt.InvalidOrder, match="-5022"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, price, {"timeInForce": "GTX"})
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError):
            await client.fetch_balance()
        client.apiKey = "unknown"
        with pytest.raises(ccxt.AuthenticationError):
            await client.fetch_balance()

    on_a_venue(scenario)


async def a_position(client: Any) -> list[Any]:
    while True:  # the first answer may be what was held before: nothing
        found = await client.watch_positions([SYMBOL])
        if found:
            return found


def test_every_stream_is_watched():
    async def scenario(client: Any, _url: str) -> None:
        await client.load_markets()
        assert await client.watch_ohlcv(SYMBOL, "1m")
        # its default, @trade, is acknowledged and silent: production carries no such stream
        trades = await client.watch_trades(SYMBOL, params={"name": "aggTrade"})
        assert trades[-1]["price"] > 0
        assert (await client.watch_ticker(SYMBOL))["last"] > 0
        assert (await client.watch_mark_price(SYMBOL))["markPrice"] > 0
        book = await client.watch_order_book(SYMBOL)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await client.watch_bids_asks([SYMBOL]))[SYMBOL]["bid"] > 0
        watched = asyncio.gather(
            client.watch_orders(SYMBOL),
            client.watch_my_trades(SYMBOL),
            client.watch_balance(),
            a_position(client),
        )
        await asyncio.sleep(1)
        bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
        orders, trades, balance, positions = await watched
        assert orders[-1]["id"] == trades[-1]["order"] == bought["id"]
        assert balance["USDT"]["total"] < 10_000
        assert positions[-1]["contracts"] == 0.01

    on_a_venue(scenario)


def test_orders_go_over_the_ws_api_too():
    async def scenario(client: Any, _url: str) -> None:
        await client.load_markets()
        bought = await client.create_order_ws(SYMBOL, "market", "buy", 0.01)
        assert bought["filled"] == 0.01
        resting = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 95_000)
        assert (await client.cancel_order_ws(resting["id"], SYMBOL))["status"] == "canceled"
        assert (await client.fetch_balance_ws())["USDT"]["total"] < 10_000

    on_a_venue(scenario)


def test_the_synchronous_client_works_from_a_thread():
    def trade(url: str) -> tuple[str, float]:
        client = directed(ccxt.binanceusdm({"apiKey": KEY, "secret": SECRET}), url)
        client.session.trust_env = False
        client.load_markets()
        bought = client.create_order(SYMBOL, "market", "buy", 0.01)
        (position,) = client.fetch_positions([SYMBOL])
        client.session.close()
        return bought["status"], position["contracts"]

    async def run() -> None:
        async with a_venue() as url:
            assert await asyncio.to_thread(trade, url) == ("closed", 0.01)

    asyncio.run(run())
