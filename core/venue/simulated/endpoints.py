"""Which paths there are: handler, what a caller must prove, request weight, orders counted.

Weights are per address, order counts per account (Binance reference, 1.4 and 2 to 5).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from core.venue.simulated import rest_account as account
from core.venue.simulated import rest_batch as batch
from core.venue.simulated import rest_data as data
from core.venue.simulated import rest_klines as klines
from core.venue.simulated import rest_market as market
from core.venue.simulated import rest_settings as options
from core.venue.simulated import rest_trade as trade
from core.venue.simulated import rest_wallet as wallet
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.params import Params

Handler = Callable[[Exchange, Params], Any]
Weight = int | Callable[[Params], int]


class Security(Enum):
    """What a caller must prove."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table."""

    handler: Handler
    security: Security = Security.NONE
    weight: Weight = 1
    orders: tuple[int, int] = (0, 0)  # counted in ten seconds, in a minute
    pooled: bool = False  # of the funding endpoints' own pool


def _per_symbol(with_symbol: int, without: int) -> Callable[[Params], int]:
    return lambda params: with_symbol if "symbol" in params else without


def _by_limit(default: int, *steps: tuple[int, int]) -> Callable[[Params], int]:
    def weight(params: Params) -> int:
        text = params.maybe("limit", str(default))
        limit = int(text) if text.isdecimal() and len(text) < 9 else default
        return next((cost for most, cost in steps if limit <= most), steps[-1][1])

    return weight


_KLINES = _by_limit(500, (99, 1), (499, 2), (1000, 5), (10**9, 10))
_DEPTH = _by_limit(500, (50, 2), (100, 5), (500, 10), (1000, 20))
_SIGNED = Security.SIGNED


def _signed(handler: Handler, weight: Weight = 1, orders: tuple[int, int] = (0, 0)) -> Endpoint:
    return Endpoint(handler, _SIGNED, weight, orders)


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    # --- market data
    ("GET", "/fapi/v1/ping"): Endpoint(market.ping),
    ("GET", "/fapi/v1/time"): Endpoint(market.time),
    ("GET", "/api/v3/ping"): Endpoint(market.ping),
    ("GET", "/api/v3/time"): Endpoint(market.time),
    ("GET", "/fapi/v1/exchangeInfo"): Endpoint(market.exchange_info),
    ("GET", "/fapi/v1/klines"): Endpoint(klines.klines, weight=_KLINES),
    ("GET", "/fapi/v1/continuousKlines"): Endpoint(klines.continuous_klines, weight=_KLINES),
    ("GET", "/fapi/v1/markPriceKlines"): Endpoint(klines.mark_price_klines, weight=_KLINES),
    ("GET", "/fapi/v1/indexPriceKlines"): Endpoint(klines.index_price_klines, weight=_KLINES),
    ("GET", "/fapi/v1/premiumIndexKlines"): Endpoint(klines.premium_index_klines, weight=_KLINES),
    ("GET", "/fapi/v1/premiumIndex"): Endpoint(market.premium_index, weight=_per_symbol(1, 10)),
    ("GET", "/fapi/v1/fundingRate"): Endpoint(market.funding_rate, weight=0, pooled=True),
    ("GET", "/fapi/v1/fundingInfo"): Endpoint(market.funding_info, weight=0, pooled=True),
    ("GET", "/fapi/v1/ticker/price"): Endpoint(market.ticker_price, weight=_per_symbol(1, 2)),
    ("GET", "/fapi/v2/ticker/price"): Endpoint(market.ticker_price, weight=_per_symbol(1, 2)),
    ("GET", "/fapi/v1/ticker/bookTicker"): Endpoint(market.book_ticker, weight=_per_symbol(2, 5)),
    ("GET", "/fapi/v1/ticker/24hr"): Endpoint(market.ticker_24hr, weight=_per_symbol(1, 40)),
    ("GET", "/fapi/v1/depth"): Endpoint(market.depth, weight=_DEPTH),
    ("GET", "/fapi/v1/aggTrades"): Endpoint(market.agg_trades, weight=20),
    ("GET", "/fapi/v1/trades"): Endpoint(market.trades, weight=5),
    ("GET", "/fapi/v1/historicalTrades"): Endpoint(market.old_trades, Security.KEY, 200),
    ("GET", "/fapi/v1/openInterest"): Endpoint(market.open_interest),
    ("GET", "/fapi/v1/rpiDepth"): Endpoint(market.depth, weight=20),
    ("GET", "/fapi/v1/constituents"): Endpoint(data.constituents, weight=2),
    ("GET", "/fapi/v1/indexInfo"): Endpoint(data.composite_index),
    ("GET", "/fapi/v1/assetIndex"): Endpoint(data.asset_index, weight=_per_symbol(1, 10)),
    ("GET", "/fapi/v1/insuranceBalance"): Endpoint(data.insurance_fund),
    ("GET", "/fapi/v1/symbolAdlRisk"): Endpoint(data.adl_risk),
    # --- statistics: no weight of this pool
    ("GET", "/futures/data/takerlongshortRatio"): Endpoint(data.taker_ratio, weight=0),
    ("GET", "/futures/data/basis"): Endpoint(data.basis, weight=0),
    ("GET", "/futures/data/openInterestHist"): Endpoint(data.open_interest_history, weight=0),
    ("GET", "/futures/data/topLongShortAccountRatio"): Endpoint(data.account_ratio, weight=0),
    ("GET", "/futures/data/topLongShortPositionRatio"): Endpoint(data.account_ratio, weight=0),
    ("GET", "/futures/data/globalLongShortAccountRatio"): Endpoint(data.account_ratio, weight=0),
    ("GET", "/futures/data/delivery-price"): Endpoint(data.delivery_price, weight=0),
    # --- spot and wallet calls of a client's start
    ("GET", "/api/v3/exchangeInfo"): Endpoint(wallet.spot_exchange_info, weight=0),
    ("GET", "/api/v3/account"): _signed(wallet.spot_account, 0),
    ("GET", "/sapi/v1/system/status"): Endpoint(wallet.system_status, weight=0),
    ("GET", "/sapi/v1/account/status"): _signed(wallet.account_status, 0),
    ("GET", "/sapi/v1/account/info"): _signed(wallet.account_info, 0),
    ("GET", "/sapi/v1/capital/config/getall"): _signed(wallet.all_coins, 0),
    ("GET", "/sapi/v1/margin/allPairs"): Endpoint(wallet.margin_pairs, Security.KEY, 0),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Endpoint(wallet.margin_pairs, Security.KEY, 0),
    # --- account
    ("GET", "/fapi/v2/account"): _signed(account.account_v2, 5),
    ("GET", "/fapi/v3/account"): _signed(account.account_v3, 5),
    ("GET", "/fapi/v2/balance"): _signed(account.balance, 5),
    ("GET", "/fapi/v3/balance"): _signed(account.balance, 5),
    ("GET", "/fapi/v2/positionRisk"): _signed(account.position_risk_v2, 5),
    ("GET", "/fapi/v3/positionRisk"): _signed(account.position_risk_v3, 5),
    ("GET", "/fapi/v1/accountConfig"): _signed(account.account_config, 5),
    ("GET", "/fapi/v1/symbolConfig"): _signed(account.symbol_config, 5),
    ("GET", "/fapi/v1/leverageBracket"): _signed(account.leverage_bracket),
    ("GET", "/fapi/v1/commissionRate"): _signed(account.commission_rate, 20),
    ("GET", "/fapi/v1/positionSide/dual"): _signed(options.position_mode, 30),
    ("POST", "/fapi/v1/positionSide/dual"): _signed(options.set_position_mode),
    ("GET", "/fapi/v1/multiAssetsMargin"): _signed(options.multi_assets, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): _signed(options.set_multi_assets),
    ("POST", "/fapi/v1/leverage"): _signed(options.set_leverage),
    ("POST", "/fapi/v1/marginType"): _signed(options.set_margin_type),
    ("POST", "/fapi/v1/positionMargin"): _signed(options.set_position_margin),
    ("GET", "/fapi/v1/positionMargin/history"): _signed(options.position_margin_history),
    ("GET", "/fapi/v1/adlQuantile"): _signed(account.adl_quantile, 5),
    ("GET", "/fapi/v1/apiTradingStatus"): _signed(account.trading_status, _per_symbol(1, 10)),
    ("GET", "/fapi/v1/forceOrders"): _signed(batch.force_orders, _per_symbol(20, 50)),
    ("GET", "/fapi/v1/income"): _signed(account.income, 30),
    ("GET", "/fapi/v1/userTrades"): _signed(account.user_trades, 5),
    ("GET", "/fapi/v1/feeBurn"): _signed(account.fee_burn, 30),
    ("GET", "/fapi/v1/rateLimit/order"): _signed(account.order_limits),
    ("GET", "/sapi/v1/account/apiRestrictions"): _signed(account.api_restrictions),
    # --- orders
    ("POST", "/fapi/v1/order"): _signed(trade.place_order, 0, (1, 1)),
    ("POST", "/fapi/v1/order/test"): _signed(trade.check_order, 0),
    ("GET", "/fapi/v1/order"): _signed(trade.get_order),
    ("DELETE", "/fapi/v1/order"): _signed(trade.cancel_order),
    ("GET", "/fapi/v1/openOrder"): _signed(trade.open_order),
    ("GET", "/fapi/v1/openOrders"): _signed(trade.open_orders, _per_symbol(1, 40)),
    ("GET", "/fapi/v1/allOrders"): _signed(trade.all_orders, 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): _signed(trade.cancel_all),
    ("PUT", "/fapi/v1/order"): _signed(batch.modify_order, 0, (1, 1)),
    ("GET", "/fapi/v1/orderAmendment"): _signed(batch.amendments),
    ("POST", "/fapi/v1/batchOrders"): _signed(batch.place_batch, 5, (5, 1)),
    ("PUT", "/fapi/v1/batchOrders"): _signed(batch.modify_batch, 5, (5, 1)),
    ("DELETE", "/fapi/v1/batchOrders"): _signed(batch.cancel_batch),
    ("POST", "/fapi/v1/countdownCancelAll"): _signed(batch.countdown, 10),
    # --- conditional orders
    ("POST", "/fapi/v1/algoOrder"): _signed(trade.place_algo, 0, (1, 1)),
    ("GET", "/fapi/v1/algoOrder"): _signed(trade.get_algo),
    ("DELETE", "/fapi/v1/algoOrder"): _signed(trade.cancel_algo),
    ("GET", "/fapi/v1/openAlgoOrders"): _signed(trade.open_algos, _per_symbol(1, 40)),
    ("GET", "/fapi/v1/allAlgoOrders"): _signed(trade.all_algos, 5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): _signed(trade.cancel_all_algos),
}
