"""Calls of the spot and wallet hosts that futures clients make at start.

The account holds futures money only: its spot wallet is empty, there is no spot or margin market,
and no coin moves in or out.
"""

from typing import Any

from core.venue.simulated.exchange import Exchange
from core.venue.simulated.params import Params

Json = dict[str, Any]

_NONE = "0"


def spot_exchange_info(exchange: Exchange, _params: Params) -> Json:
    """GET /api/v3/exchangeInfo: no spot symbols."""
    return {
        "timezone": "UTC",
        "serverTime": exchange.now_ms,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [],
    }


def spot_account(exchange: Exchange, _params: Params) -> Json:
    """GET /api/v3/account: an account without spot balances."""
    rates = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000"}
    return {
        "makerCommission": 0,
        "takerCommission": 0,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {**rates, "seller": "0.00000000"},
        "canTrade": False,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": exchange.now_ms,
        "accountType": "SPOT",
        "balances": [],
        "permissions": [],
        "uid": 0,
    }


def all_coins(exchange: Exchange, _params: Params) -> list[Json]:
    """GET /sapi/v1/capital/config/getall: the listed assets; nothing can be moved."""
    instruments = exchange.quotes.instruments.values()
    coins = dict.fromkeys(["USDT", *(rules.base_asset for rules in instruments)])
    return [
        {
            "coin": coin,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "name": coin,
            **dict.fromkeys(("free", "locked", "freeze", "withdrawing", "ipoing"), _NONE),
            "ipoable": _NONE,
            "storage": _NONE,
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
        for coin in coins
    ]


def margin_pairs(_exchange: Exchange, _params: Params) -> list[Json]:
    """GET /sapi/v1/margin/allPairs and /margin/isolated/allPairs: there are none."""
    return []


def account_info(_exchange: Exchange, _params: Params) -> Json:
    """GET /sapi/v1/account/info."""
    off = dict.fromkeys(("isMarginEnabled", "isOptionsEnabled"), False)
    return {"vipLevel": 0, **off, "isFutureEnabled": True, "isPortfolioMarginRetailEnabled": False}


def account_status(_exchange: Exchange, _params: Params) -> Json:
    """GET /sapi/v1/account/status."""
    return {"data": "Normal"}


def system_status(_exchange: Exchange, _params: Params) -> Json:
    """GET /sapi/v1/system/status."""
    return {"status": 0, "msg": "normal"}
