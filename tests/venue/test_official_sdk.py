"""Binance's own SDK against the venue: its models validate every answer and every event."""

import asyncio
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.venue.loopback import KEY, SECRET, a_venue

with warnings.catch_warnings():
    # The SDK's models and what it imports use names that their authors have deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance_common.configuration import (
        ConfigurationRestAPI,
        ConfigurationWebSocketAPI,
        ConfigurationWebSocketStreams,
    )
    from binance_common.errors import BadRequestError, UnauthorizedError
    from binance_sdk_derivatives_trading_usds_futures import derivatives_trading_usds_futures as sdk

# The SDK's models warn through pydantic about fields that shadow attributes of their parents.
# Its WS-API gives aiohttp a time-out in a form that aiohttp has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic"),
    pytest.mark.filterwarnings("ignore:parameter 'timeout':DeprecationWarning"),
]

BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 0.01}


def a_client(url: str, key: str = KEY, secret: str = SECRET) -> Any:
    socket = url.replace("http", "ws")
    rest = ConfigurationRestAPI(key, secret, base_path=url, timeout=5_000)
    streams = ConfigurationWebSocketStreams(stream_url=socket)
    calls = ConfigurationWebSocketAPI(key, secret, stream_url=f"{socket}/ws-fapi/v1")
    return sdk.DerivativesTradingUsdsFutures(rest, calls, streams)


def over_rest(work: Callable[[Any], None], key: str = KEY, secret: str = SECRET) -> None:
    async def run() -> None:
        async with a_venue() as url:
            client = a_client(url, key, secret)
            client.rest_api._session.trust_env = False
            await asyncio.to_thread(work, client.rest_api)
            client.rest_api._session.close()

    asyncio.run(run())


def known(model: Any) -> Any:
    """Return a validated answer, after looking that the model knows every field of it."""
    value = getattr(model, "actual_instance", model)
    for row in value if isinstance(value, list) else [value]:
        if hasattr(row, "to_dict"):
            assert row.to_dict()
    return value


def test_market_data_passes_the_models():
    def work(rest: Any) -> None:
        symbol = {"symbol": "BTCUSDT"}
        candles = {**symbol, "interval": "1m", "limit": 5}
        pair = {"pair": "BTCUSDT", "interval": "1m", "limit": 5}
        assert rest.test_connectivity().data() is not None
        assert abs(known(rest.check_server_time().data()).server_time / 1000 - time.time()) < 3_600
        info = known(rest.exchange_information().data())
        assert [row.symbol for row in info.symbols] == ["BTCUSDT", "ETHUSDT", "ADAUSDT"]
        assert len(rest.kline_candlestick_data(**candles).data()) == 5
        assert len(rest.mark_price_kline_candlestick_data(**candles).data()) == 5
        assert len(rest.premium_index_kline_data(**candles).data()) == 5
        assert len(rest.index_price_kline_candlestick_data(**pair).data()) == 5
        continuous = {**pair, "contract_type": "PERPETUAL"}
        assert len(rest.continuous_contract_kline_candlestick_data(**continuous).data()) == 5
        assert len(rest.order_book(**symbol, limit=10).data().bids) == 10
        for ask in (
            rest.mark_price,
            rest.symbol_price_ticker,
            rest.symbol_price_ticker_v2,
            rest.symbol_order_book_ticker,
            rest.ticker24hr_price_change_statistics,
            rest.query_insurance_fund_balance_snapshot,
            rest.adl_risk,
        ):
            known(ask(**symbol).data())
            known(ask().data())
        for ask in (
            rest.recent_trades_list,
            rest.old_trades_lookup,
            rest.compressed_aggregate_trades_list,
            rest.get_funding_rate_history,
            rest.open_interest,
            rest.query_index_price_constituents,
            rest.rpi_order_book,
        ):
            known(ask(**symbol).data())
        known(rest.get_funding_rate_info().data())
        known(rest.asset_index().data())
        known(rest.composite_index_symbol_information().data())
        statistics = {**symbol, "period": "5m"}
        for ask in (
            rest.taker_buy_sell_volume,
            rest.open_interest_statistics,
            rest.long_short_ratio,
            rest.top_trader_long_short_ratio_accounts,
            rest.top_trader_long_short_ratio_positions,
        ):
            known(ask(**statistics).data())
        known(rest.basis(pair="BTCUSDT", contract_type="PERPETUAL", period="5m").data())
        known(rest.quarterly_contract_settlement_price(pair="BTCUSDT").data())

    over_rest(work)


def test_an_account_trades_and_every_answer_passes_the_models():
    def work(rest: Any) -> None:
        rest.change_initial_leverage(symbol="BTCUSDT", leverage=5)
        rest.change_margin_type(symbol="BTCUSDT", margin_type="ISOLATED")
        entry = rest.new_order(**BUY, new_order_resp_type="RESULT").data()
        assert (entry.status, entry.executed_qty) == ("FILLED", "0.010")
        stop = rest.new_algo_order(
            algo_type="CONDITIONAL",
            symbol="BTCUSDT",
            side="SELL",
            type="STOP_MARKET",
            trigger_price=90_000,
            close_position="true",
        ).data()
        assert stop.algo_status == "NEW"
        assert rest.current_all_algo_open_orders().data()[0].algo_id == stop.algo_id
        assert rest.query_algo_order(algo_id=stop.algo_id).data().order_type == "STOP_MARKET"
        assert rest.cancel_algo_order(algo_id=stop.algo_id).data().code == "200"
        limit = {**BUY, "type": "LIMIT", "time_in_force": "GTC", "price": 95_000}
        resting = rest.new_order(**limit).data()
        changed = rest.modify_order(
            symbol="BTCUSDT", side="BUY", quantity=0.012, price=94_000, order_id=resting.order_id
        ).data()
        assert (changed.order_id, changed.orig_qty) == (resting.order_id, "0.012")
        assert rest.query_order(symbol="BTCUSDT", order_id=resting.order_id).data().avg_price
        assert len(rest.current_all_open_orders().data()) == 1
        cancelled = rest.cancel_order(symbol="BTCUSDT", order_id=resting.order_id).data()
        assert cancelled.status == "CANCELED"
        assert known(rest.position_information_v3().data())[0].position_amt == "0.010"
        for ask in (
            rest.account_information_v2,
            rest.account_information_v3,
            rest.futures_account_balance_v2,
            rest.futures_account_balance_v3,
            rest.futures_account_configuration,
            rest.symbol_configuration,
            rest.get_current_position_mode,
            rest.get_current_multi_assets_mode,
            rest.get_income_history,
            rest.notional_and_leverage_brackets,
            rest.query_user_rate_limit,
            rest.get_bnb_burn_status,
            rest.position_information_v2,
            rest.position_adl_quantile_estimation,
            rest.users_force_orders,
            rest.futures_trading_quantitative_rules_indicators,
        ):
            known(ask().data())
        for ask in (
            rest.account_trade_list,
            rest.all_orders,
            rest.query_all_algo_orders,
            rest.user_commission_rate,
            rest.cancel_all_open_orders,
            rest.cancel_all_algo_open_orders,
            rest.get_order_modify_history,
            rest.get_position_margin_change_history,
        ):
            known(ask(symbol="BTCUSDT").data())
        assert rest.start_user_data_stream().data().listen_key
        rest.keepalive_user_data_stream()
        rest.close_user_data_stream()

    over_rest(work)


def test_refusals_become_the_sdks_own_errors():
    def work(rest: Any) -> None:
        with pytest.raises(BadRequestError, match="Margin is insufficient"):
            rest.new_order(**{**BUY, "quantity": 100})
        with pytest.raises(BadRequestError, match="Invalid symbol"):
            rest.mark_price(symbol="NONE")

    over_rest(work)

    def unknown(rest: Any) -> None:
        with pytest.raises(UnauthorizedError):
            rest.futures_account_balance_v3()

    over_rest(unknown, key="other")


async def first_of(stream: Any) -> Any:
    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(message: Any) -> None:
        if not arrived.done():
            arrived.set_result(message)

    stream.on("message", take)
    async with asyncio.timeout(10):
        return await arrived


def test_streams_and_user_data_pass_the_models():
    async def run() -> None:
        async with a_venue() as url:
            client = a_client(url)
            client.rest_api._session.trust_env = False
            key = (await asyncio.to_thread(client.rest_api.start_user_data_stream)).data()
            streams = client.websocket_streams
            await streams.create_connection()
            symbol = {"symbol": "btcusdt"}
            for stream in (
                await streams.kline_candlestick_streams(**symbol, interval="1m"),
                await streams.mark_price_stream(**symbol, update_speed="1s"),
                await streams.mark_price_stream_for_all_market(update_speed="1s"),
                await streams.aggregate_trade_streams(**symbol),
                await streams.individual_symbol_book_ticker_streams(**symbol),
                await streams.individual_symbol_ticker_streams(**symbol),
                await streams.individual_symbol_mini_ticker_stream(**symbol),
                await streams.partial_book_depth_streams(**symbol, levels=5),
                await streams.diff_book_depth_streams(**symbol),
            ):
                assert known(await first_of(stream))
            user = await streams.user_data(key.listen_key)
            told = asyncio.create_task(first_of(user))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(lambda: client.rest_api.new_order(**BUY))
            assert known(await told)
            await streams.close_connection(close_session=True)
            client.rest_api._session.close()

    asyncio.run(run())


def test_orders_go_over_the_ws_api():
    async def run() -> None:
        async with a_venue() as url:
            client = a_client(url)
            calls = client.websocket_api
            await calls.create_connection()
            placed = (await calls.new_order(**BUY, new_order_resp_type="RESULT")).data()
            assert placed.result.status == "FILLED"
            held = (await calls.position_information_v2()).data()
            assert held.result[0].position_amt == "0.010"
            await calls.close_connection(close_session=True)

    asyncio.run(run())
