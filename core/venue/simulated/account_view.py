"""The account as the venue shows it: REST versions 2 and 3, and ACCOUNT_UPDATE.

Three spellings of the margin type exist side by side (`CROSSED`/`ISOLATED`, `cross`/`isolated`, a
boolean), and v3 leaves out what v2 lists; both are the venue's, not ours.
"""

from decimal import Decimal
from typing import Any

from core.venue.simulated.account import Account
from core.venue.simulated.ledger import ZERO, Ledger
from core.venue.simulated.peril import adl_rank
from core.venue.simulated.positions import POSITION_SIDES, Position
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import fixed, money, price_text, quantity_text

Json = dict[str, Any]

ASSET = "USDT"


def account_event(
    account: Account,
    quotes: Quotes,
    reason: str,
    *positions: Position,
    funding: str = "",
    paid: Decimal = ZERO,
) -> Json:
    """ACCOUNT_UPDATE with the wallet and the given positions.

    `funding` names the symbol of a settlement, `paid` what it added to the wallet.
    """
    detail: Json = {
        "m": reason,
        "B": [
            {
                "a": ASSET,
                "wb": money(account.wallet),
                "cw": money(account.cross_wallet),
                "bc": money(paid),
            }
        ],
        "P": [_position_event(account, quotes, position) for position in positions],
    }
    if funding:
        detail["S"] = funding
    return {"e": "ACCOUNT_UPDATE", "E": quotes.now_ms, "T": quotes.now_ms, "a": detail}


def _position_event(account: Account, quotes: Quotes, position: Position) -> Json:
    rules = quotes.instruments[position.symbol]
    return {
        "s": position.symbol,
        "pa": quantity_text(rules, position.amount),
        "ep": _entry(position.entry),
        "bep": _entry(position.break_even),
        "cr": money(position.realized),
        "up": money(account.profit(position)),
        "mt": "isolated" if account.is_isolated(position) else "cross",
        "iw": money(position.isolated_wallet),
        "ps": position.side,
        "ma": ASSET,
    }


def margin_call_event(account: Account, quotes: Quotes, positions: list[Position]) -> Json:
    """MARGIN_CALL for positions whose margin is nearly used up; `cw` only with a cross one."""
    event: Json = {"e": "MARGIN_CALL", "E": quotes.now_ms}
    if not all(account.is_isolated(position) for position in positions):
        event["cw"] = money(account.cross_wallet)
    event["p"] = [
        {
            "s": position.symbol,
            "ps": position.side,
            "pa": quantity_text(quotes.instruments[position.symbol], position.amount),
            "mt": "ISOLATED" if account.is_isolated(position) else "CROSSED",
            "iw": money(position.isolated_wallet),
            "mp": fixed(quotes.mark(position.symbol), 8),
            "up": money(account.profit(position)),
            "mm": money(account.maintenance(position)),
        }
        for position in positions
    ]
    return event


def multi_assets_event(quotes: Quotes, on: bool) -> Json:
    """ACCOUNT_CONFIG_UPDATE of the multi-assets switch."""
    now_ms = quotes.now_ms
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ai": {"j": on}}


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
        held = account.held()
        unrealized = sum((account.profit(row) for row in held), ZERO)
        position_margin = sum((account.position_margin(row) for row in held), ZERO)
        order_margin = account.orders_margin()
        available = account.available()
        return {
            "initialMargin": position_margin + order_margin,
            "maintMargin": sum((account.maintenance(row) for row in held), ZERO),
            "walletBalance": account.wallet,
            "unrealizedProfit": unrealized,
            "marginBalance": account.wallet + unrealized,
            "positionInitialMargin": position_margin,
            "openOrderInitialMargin": order_margin,
            "crossWalletBalance": account.cross_wallet,
            "crossUnPnl": account.cross_unrealized(),
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
        positions = [self._position_account_v3(row) for row in self._touched()]
        return {**self._totals(sums), "assets": [self._asset(sums)], "positions": positions}

    def account_v2(self) -> Json:
        """GET /fapi/v2/account: every symbol."""
        sums = self._sums()
        symbols, sides = self._quotes.symbols, self._account.sides
        positions = [self._position_account_v2(row) for name in symbols for row in sides(name)]
        return {
            "feeTier": 0,
            "feeBurn": False,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "updateTime": 0,
            "multiAssetsMargin": self._account.multi_assets,
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
        """GET /fapi/v3/positionRisk: touched positions, without leverage and margin type."""
        return [self._risk_v3(row) for row in self._touched() if symbol in {None, row.symbol}]

    def position_risk_v2(self, symbol: str | None) -> list[Json]:
        """GET /fapi/v2/positionRisk: all symbols; BOTH too in hedge mode, always flat there."""
        wanted = [symbol] if symbol else list(self._quotes.symbols)
        sides = POSITION_SIDES if self._account.dual_side else POSITION_SIDES[:1]
        return [
            self._risk_v2(self._account.position(name, side)) for name in wanted for side in sides
        ]

    def adl_quantiles(self, symbol: str | None) -> list[Json]:
        """GET /fapi/v1/adlQuantile: 0 (last in line) to 4 per position side; held symbols only."""
        rows = []
        for name in [symbol] if symbol else self._quotes.symbols:
            if self._account.is_held(name):
                found = {
                    row.side: adl_rank(self._account, row) for row in self._account.sides(name)
                }
                quantiles = {"HEDGE": 0, **found} if self._account.dual_side else found
                rows.append({"symbol": name, "adlQuantile": quantiles})
        return rows

    def ledger_positions(self) -> list[Json]:
        """Held positions for `/sim/ledger`."""
        return [self._risk_v3(position) for position in self._account.held()]

    def _touched(self) -> list[Position]:
        rank = self._quotes.rank
        busy = {(o.symbol, o.position_side) for o in self._ledger.open_orders()}
        touched = busy | {(row.symbol, row.side) for row in self._account.held()}
        ordered = sorted(touched, key=lambda key: (rank[key[0]], key[1]))
        return [self._account.position(*key) for key in ordered]

    # ------------------------------------------------------------------ rows
    def _base(self, position: Position) -> Json:
        account, symbol = self._account, position.symbol
        rules = self._quotes.instruments[symbol]
        bids, asks = account.order_notionals(symbol, position.side)
        profit = account.profit(position)
        isolated_margin = ZERO
        if account.is_isolated(position) and position.amount:
            isolated_margin = position.isolated_wallet + profit
        order_margin = account.order_margin(position)
        position_margin = account.position_margin(position)
        return {
            "symbol": symbol,
            "positionSide": position.side,
            "positionAmt": quantity_text(rules, position.amount),
            "isolatedMargin": money(isolated_margin),
            "notional": money(account.notional(position)),
            "isolatedWallet": money(position.isolated_wallet),
            "initialMargin": money(position_margin + order_margin),
            "maintMargin": money(account.maintenance(position)),
            "positionInitialMargin": money(position_margin),
            "openOrderInitialMargin": money(order_margin),
            "entryPrice": _entry(position.entry),
            "breakEvenPrice": _entry(position.break_even),
            "unrealizedProfit": money(profit),
            "bidNotional": fixed(bids, 5),
            "askNotional": fixed(asks, 5),
            "updateTime": position.update_ms,
        }

    def _pick(self, position: Position, names: str) -> Json:
        row = self._base(position)
        return {name: row[name] for name in names.split()}

    def _position_account_v3(self, position: Position) -> Json:
        return self._pick(
            position,
            "symbol positionSide positionAmt unrealizedProfit isolatedMargin notional"
            " isolatedWallet initialMargin maintMargin updateTime",
        )

    def _position_account_v2(self, position: Position) -> Json:
        row = self._pick(
            position,
            "symbol initialMargin maintMargin unrealizedProfit positionInitialMargin"
            " openOrderInitialMargin entryPrice breakEvenPrice bidNotional askNotional"
            " positionSide positionAmt notional isolatedWallet updateTime",
        )
        settings = self._account.settings[position.symbol]
        row["leverage"] = str(settings.leverage)
        row["isolated"] = settings.isolated
        row["maxNotional"] = self._cap(position.symbol)
        return row

    def _cap(self, symbol: str) -> str:
        leverage = self._account.settings[symbol].leverage
        return f"{self._quotes.instruments[symbol].notional_cap_at(leverage):f}"

    def _risk_v3(self, position: Position) -> Json:
        rules = self._quotes.instruments[position.symbol]
        row = self._pick(
            position,
            "symbol positionSide positionAmt entryPrice breakEvenPrice isolatedMargin notional"
            " isolatedWallet initialMargin maintMargin positionInitialMargin"
            " openOrderInitialMargin bidNotional askNotional updateTime",
        )
        row["markPrice"] = fixed(self._quotes.mark(position.symbol), 8)
        row["unRealizedProfit"] = money(self._account.profit(position))
        liquidation = self._account.liquidation_price(position)
        row["liquidationPrice"] = fixed(liquidation, 8) if liquidation else "0"
        row["marginAsset"] = rules.quote_asset
        row["adl"] = adl_rank(self._account, position)
        return row

    def _risk_v2(self, position: Position) -> Json:
        symbol = position.symbol
        settings, rules = self._account.settings[symbol], self._quotes.instruments[symbol]
        row = self._pick(
            position,
            "symbol positionAmt entryPrice breakEvenPrice isolatedMargin notional isolatedWallet"
            " positionSide updateTime",
        )
        liquidation = self._account.liquidation_price(position)
        row |= {
            "markPrice": fixed(self._quotes.mark(symbol), 8),
            "unRealizedProfit": money(self._account.profit(position)),
            "liquidationPrice": price_text(rules, liquidation) if liquidation else "0",
            "leverage": str(settings.leverage),
            "maxNotionalValue": self._cap(symbol),
            "marginType": "isolated" if settings.isolated else "cross",
            "isAutoAddMargin": "false",
        }
        return row

    def symbol_config(self, symbol: str | None) -> list[Json]:
        """GET /fapi/v1/symbolConfig."""
        rows = []
        for name in [symbol] if symbol else self._quotes.symbols:
            settings = self._account.settings[name]
            rows.append(
                {
                    "symbol": name,
                    "marginType": "ISOLATED" if settings.isolated else "CROSSED",
                    "isAutoAddMargin": False,
                    "leverage": settings.leverage,
                    "maxNotionalValue": self._cap(name),
                }
            )
        return rows
