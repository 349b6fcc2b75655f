"""The account as the venue shows it: REST versions 2 and 3, and ACCOUNT_UPDATE.

Three spellings of the margin type exist side by side (`CROSSED`/`ISOLATED`, `cross`/`isolated`, a
boolean), and v3 leaves out what v2 lists; both are the venue's, not ours.
"""

from decimal import Decimal
from typing import Any

from core.venue.simulated.account import Account, Position
from core.venue.simulated.ledger import ZERO, Ledger
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import fixed, money, price_text, quantity_text

Json = dict[str, Any]

ASSET = "USDT"


def account_event(
    account: Account, quotes: Quotes, reason: str, *symbols: str, funding: str = ""
) -> Json:
    """ACCOUNT_UPDATE with the wallet and the given positions."""
    detail: Json = {
        "m": reason,
        "B": [
            {
                "a": ASSET,
                "wb": money(account.wallet),
                "cw": money(account.cross_wallet),
                "bc": "0",
            }
        ],
        "P": [_position_event(account, quotes, symbol) for symbol in symbols],
    }
    if funding:
        detail["S"] = funding
    return {"e": "ACCOUNT_UPDATE", "E": quotes.now_ms, "T": quotes.now_ms, "a": detail}


def _position_event(account: Account, quotes: Quotes, symbol: str) -> Json:
    position, rules = account.positions[symbol], quotes.instruments[symbol]
    isolated = account.settings[symbol].isolated
    return {
        "s": symbol,
        "pa": quantity_text(rules, position.amount),
        "ep": _entry(position.entry),
        "bep": _entry(position.break_even),
        "cr": money(position.realized),
        "up": money(account.unrealized(symbol)),
        "mt": "isolated" if isolated else "cross",
        "iw": money(position.isolated_wallet),
        "ps": position.side,
        "ma": ASSET,
    }


def config_event(quotes: Quotes, symbol: str, leverage: int) -> Json:
    """ACCOUNT_CONFIG_UPDATE of a leverage change."""
    now_ms = quotes.now_ms
    detail = {"s": symbol, "l": leverage}
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ac": detail}


def _entry(value: Decimal) -> str:
    text = f"{value:f}".rstrip("0") if "." in f"{value:f}" else f"{value:f}"
    return f"{text}0" if text.endswith(".") else text


class AccountView:
    """Renders the account at the venue's present."""

    def __init__(self, account: Account, quotes: Quotes, ledger: Ledger) -> None:
        self._account = account
        self._quotes = quotes
        self._ledger = ledger

    # ------------------------------------------------------------------ sums
    def _sums(self) -> dict[str, Decimal]:
        account = self._account
        held = [position.symbol for position in account.held()]
        cross = [symbol for symbol in held if not account.settings[symbol].isolated]
        unrealized = sum((account.unrealized(symbol) for symbol in held), ZERO)
        position_margin = sum((account.position_margin(symbol) for symbol in held), ZERO)
        order_margin = sum((account.order_margin(symbol) for symbol in account.positions), ZERO)
        available = account.available()
        return {
            "initialMargin": position_margin + order_margin,
            "maintMargin": sum((account.maintenance(symbol) for symbol in held), ZERO),
            "walletBalance": account.wallet,
            "unrealizedProfit": unrealized,
            "marginBalance": account.wallet + unrealized,
            "positionInitialMargin": position_margin,
            "openOrderInitialMargin": order_margin,
            "crossWalletBalance": account.cross_wallet,
            "crossUnPnl": sum((account.unrealized(symbol) for symbol in cross), ZERO),
            "availableBalance": available,
            "maxWithdrawAmount": min(available, max(ZERO, account.cross_wallet)),
        }

    def _asset(self, sums: dict[str, Decimal]) -> Json:
        row: Json = {"asset": ASSET}
        row |= {name: money(value) for name, value in sums.items()}
        row["marginAvailable"] = True
        row["updateTime"] = self._account.update_ms
        return row

    @staticmethod
    def _totals(sums: dict[str, Decimal]) -> Json:
        odd = {"crossUnPnl": "totalCrossUnPnl", "availableBalance": "", "maxWithdrawAmount": ""}
        names = {name: f"total{name[0].upper()}{name[1:]}" for name in sums} | odd
        return {names[name] or name: money(value) for name, value in sums.items()}

    # ------------------------------------------------------------------ answers
    def account_v3(self) -> Json:
        """GET /fapi/v3/account: positions with an amount or an open order only."""
        sums = self._sums()
        positions = [self._position_account_v3(symbol) for symbol in self._touched()]
        return {**self._totals(sums), "assets": [self._asset(sums)], "positions": positions}

    def account_v2(self) -> Json:
        """GET /fapi/v2/account: every symbol."""
        sums = self._sums()
        positions = [self._position_account_v2(symbol) for symbol in self._quotes.symbols]
        return {
            "feeTier": 0,
            "feeBurn": False,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
            **self._totals(sums),
            "assets": [self._asset(sums)],
            "positions": positions,
        }

    def balance(self) -> list[Json]:
        """GET /fapi/v2/balance and v3."""
        sums = self._sums()
        return [
            {
                "accountAlias": "SgsR",
                "asset": ASSET,
                "balance": money(sums["walletBalance"]),
                "crossWalletBalance": money(sums["crossWalletBalance"]),
                "crossUnPnl": money(sums["crossUnPnl"]),
                "availableBalance": money(sums["availableBalance"]),
                "maxWithdrawAmount": money(sums["maxWithdrawAmount"]),
                "marginAvailable": True,
                "updateTime": self._account.update_ms,
            }
        ]

    def position_risk_v3(self, symbol: str | None) -> list[Json]:
        """GET /fapi/v3/positionRisk: touched symbols, without leverage and margin type."""
        wanted = [symbol] if symbol else list(self._quotes.symbols)
        return [self._risk_v3(name) for name in self._touched() if name in wanted]

    def position_risk_v2(self, symbol: str | None) -> list[Json]:
        """GET /fapi/v2/positionRisk: all symbols."""
        wanted = [symbol] if symbol else list(self._quotes.symbols)
        return [self._risk_v2(name) for name in wanted]

    def ledger_positions(self) -> list[Json]:
        """Held positions for `/sim/ledger`."""
        return [self._risk_v3(position.symbol) for position in self._account.held()]

    def _touched(self) -> list[str]:
        held = {position.symbol for position in self._account.held()}
        return [
            symbol
            for symbol in self._quotes.symbols
            if symbol in held or self._ledger.open_orders(symbol)
        ]

    # ------------------------------------------------------------------ rows
    def _base(self, symbol: str) -> tuple[Position, Json]:
        account, rules = self._account, self._quotes.instruments[symbol]
        position = account.positions[symbol]
        bids, asks = account.order_notionals(symbol)
        isolated_margin = ZERO
        if account.settings[symbol].isolated and position.amount:
            isolated_margin = position.isolated_wallet + account.unrealized(symbol)
        order_margin = account.order_margin(symbol)
        position_margin = account.position_margin(symbol)
        return position, {
            "symbol": symbol,
            "positionSide": position.side,
            "positionAmt": quantity_text(rules, position.amount),
            "isolatedMargin": money(isolated_margin),
            "notional": money(account.notional(symbol)),
            "isolatedWallet": money(position.isolated_wallet),
            "initialMargin": money(position_margin + order_margin),
            "maintMargin": money(account.maintenance(symbol)),
            "positionInitialMargin": money(position_margin),
            "openOrderInitialMargin": money(order_margin),
            "entryPrice": _entry(position.entry),
            "breakEvenPrice": _entry(position.break_even),
            "unrealizedProfit": money(account.unrealized(symbol)),
            "bidNotional": fixed(bids, 5),
            "askNotional": fixed(asks, 5),
            "updateTime": position.update_ms,
        }

    def _pick(self, symbol: str, names: str) -> Json:
        _, row = self._base(symbol)
        return {name: row[name] for name in names.split()}

    def _position_account_v3(self, symbol: str) -> Json:
        return self._pick(
            symbol,
            "symbol positionSide positionAmt unrealizedProfit isolatedMargin notional"
            " isolatedWallet initialMargin maintMargin updateTime",
        )

    def _position_account_v2(self, symbol: str) -> Json:
        settings, rules = self._account.settings[symbol], self._quotes.instruments[symbol]
        row = self._pick(
            symbol,
            "symbol initialMargin maintMargin unrealizedProfit positionInitialMargin"
            " openOrderInitialMargin entryPrice breakEvenPrice bidNotional askNotional"
            " positionSide positionAmt notional isolatedWallet updateTime",
        )
        row["leverage"] = str(settings.leverage)
        row["isolated"] = settings.isolated
        row["maxNotional"] = f"{rules.notional_cap_at(settings.leverage):f}"
        return row

    def _risk_v3(self, symbol: str) -> Json:
        rules = self._quotes.instruments[symbol]
        row = self._pick(
            symbol,
            "symbol positionSide positionAmt entryPrice breakEvenPrice isolatedMargin notional"
            " isolatedWallet initialMargin maintMargin positionInitialMargin"
            " openOrderInitialMargin bidNotional askNotional updateTime",
        )
        row["markPrice"] = fixed(self._quotes.mark(symbol), 8)
        row["unRealizedProfit"] = money(self._account.unrealized(symbol))
        liquidation = self._account.liquidation_price(symbol)
        row["liquidationPrice"] = fixed(liquidation, 8) if liquidation else "0"
        row["marginAsset"] = rules.quote_asset
        row["adl"] = 1 if self._account.positions[symbol].amount else 0
        return row

    def _risk_v2(self, symbol: str) -> Json:
        settings, rules = self._account.settings[symbol], self._quotes.instruments[symbol]
        row = self._pick(
            symbol,
            "symbol positionAmt entryPrice breakEvenPrice isolatedMargin notional isolatedWallet"
            " positionSide updateTime",
        )
        liquidation = self._account.liquidation_price(symbol)
        row |= {
            "markPrice": fixed(self._quotes.mark(symbol), 8),
            "unRealizedProfit": money(self._account.unrealized(symbol)),
            "liquidationPrice": price_text(rules, liquidation) if liquidation else "0",
            "leverage": str(settings.leverage),
            "maxNotionalValue": f"{rules.notional_cap_at(settings.leverage):f}",
            "marginType": "isolated" if settings.isolated else "cross",
            "isAutoAddMargin": "false",
        }
        return row

    def symbol_config(self, symbol: str | None) -> list[Json]:
        """GET /fapi/v1/symbolConfig."""
        rows = []
        for name in [symbol] if symbol else self._quotes.symbols:
            settings, rules = self._account.settings[name], self._quotes.instruments[name]
            rows.append(
                {
                    "symbol": name,
                    "marginType": "ISOLATED" if settings.isolated else "CROSSED",
                    "isAutoAddMargin": False,
                    "leverage": settings.leverage,
                    "maxNotionalValue": f"{rules.notional_cap_at(settings.leverage):f}",
                }
            )
        return rows
