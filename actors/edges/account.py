"""The account's state: read every few seconds, what it earned today, and fees in quote units.

A fee may be charged in another asset than the quote (BNB, with the venue's fee discount on).  It is
counted by that asset's newest price; while none is known, by the taker fee of the trade's notional,
which is what the discount is taken from, so a fee is never counted too low.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from actors.edges.binance_client import VenueClient
from actors.edges.governor import Governor
from actors.edges.retrying import Retrying
from actors.edges.system_clock import SystemClock
from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_MS

ZERO = Decimal(0)
_PERIOD_S = 10.0  # wall
_PRICE_AGE_S = 60.0
_INCOME_PERIOD_S = 60.0
_INCOME_PAGE = 1000
_PAGES_MAX = 10
_OVERLAP_MS = 3_600_000  # rows may appear late: the last hour is read again
TRANSFERS = frozenset(
    {"TRANSFER", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER", "COIN_SWAP_DEPOSIT"}
    | {"COIN_SWAP_WITHDRAW", "STRATEGY_UMFUTURES_TRANSFER", "WELCOME_BONUS"}
)
_OF_FILLS = frozenset({"REALIZED_PNL", "COMMISSION"})  # booked with their fill


class Worth:
    """What amounts of other assets are worth in the quote asset of a symbol."""

    def __init__(self, client: VenueClient, retrying: Retrying, taker_fee: Decimal) -> None:
        self._client = client
        self._retrying = retrying
        self._taker_fee = taker_fee
        self._prices: dict[tuple[str, str], Decimal] = {}
        self._read_at: dict[tuple[str, str], float] = {}  # loop time; also of what was not found
        self.quotes: tuple[str, ...] = ("USDT",)

    def known(self, amount: Decimal, asset: str, quote: str) -> Decimal | None:
        """Return an amount in the quote asset, None without a price."""
        if asset in ("", quote) or not amount:
            return amount
        price = self._prices.get((asset, quote))
        self._read_at.setdefault((asset, quote), float("-inf"))  # wanted from now on
        return amount * price if price is not None else None

    def commission(self, amount: Decimal, asset: str, symbol: str, notional: Decimal) -> Decimal:
        """Return a trade's fee in the quote asset of its symbol."""
        worth = self.known(amount, asset, self.quote_of(symbol))
        return worth if worth is not None else abs(notional) * self._taker_fee

    def quote_of(self, symbol: str) -> str:
        """Return the quote asset of a symbol."""
        base = symbol.partition("_")[0]
        return next((quote for quote in self.quotes if base.endswith(quote)), self.quotes[0])

    async def refresh(self, *assets: str) -> None:
        """Read the prices that are wanted and old; one that cannot be had stays as it was."""
        now = asyncio.get_running_loop().time()
        for asset in assets:
            if asset not in self.quotes:
                self._read_at.setdefault((asset, self.quotes[0]), float("-inf"))
        for (asset, quote), read_at in list(self._read_at.items()):
            if now - read_at < _PRICE_AGE_S:
                continue
            self._read_at[asset, quote] = now
            with suppress(Exception):  # counted conservatively then
                row = await self._retrying.once(
                    lambda pair=asset + quote: self._client.futures_symbol_ticker(symbol=pair)
                )
                price = Decimal(row["price"])
                if price.is_finite() and price > 0:
                    self._prices[asset, quote] = price


class Income:
    """The venue's list of income, read since 00:00 venue time or since what execution knows.

    Asked for once a minute at most, or at once when the stream told of income.
    """

    def __init__(
        self, *, clock: SystemClock, client: VenueClient, retrying: Retrying, worth: Worth
    ) -> None:
        self._clock = clock
        self._client = client
        self._retrying = retrying
        self._worth = worth
        self._from_ms = -1  # rows are held since then; -1: never asked
        self._newest_ms = 0
        self._rows: dict[tuple[str, ...], dict[str, Any]] = {}
        self._asked_at = float("-inf")

    def moved(self) -> None:
        """Ask again with the next snapshot."""
        self._asked_at = float("-inf")

    async def today(self, after_ns: int = 0) -> tuple[Decimal | None, Decimal | None]:
        """Return (earned, transferred), quote units; Nones where not asked or not known.

        What is later than `after_ns` is read as well, if that is before today.
        """
        now = asyncio.get_running_loop().time()
        day_ms = self._clock.now().venue_ns // NS_PER_DAY * NS_PER_DAY // NS_PER_MS
        from_ms = min(day_ms, after_ns // NS_PER_MS) if after_ns else day_ms
        reaches_back = self._from_ms < 0 or from_ms < self._from_ms
        if now - self._asked_at < _INCOME_PERIOD_S and not reaches_back:
            return None, None
        self._asked_at = now
        if reaches_back:
            self._rows, self._newest_ms = {}, 0
        self._rows = {k: row for k, row in self._rows.items() if int(row["time"]) >= from_ms}
        self._from_ms = from_ms
        try:
            whole = await self._read(from_ms)
        except Exception:  # noqa: BLE001 - the snapshot counts; this comes with the next one
            self.moved()
            return None, None
        return self._sums(day_ms) if whole else (None, None)

    def after(self, after_ns: int) -> tuple[m.VenueIncome, ...]:
        """Return what was read and is later than a venue time, oldest first, without P&L and fees.

        The list was read from its old end, so nothing older than a row given here is missing.
        """
        since_ns = after_ns or self._from_ms * NS_PER_MS - 1
        rows = [
            _listed(row)
            for row in self._rows.values()
            if row["incomeType"] not in _OF_FILLS and int(row["time"]) * NS_PER_MS > since_ns
        ]
        return tuple(sorted(rows, key=lambda row: (row.at_ns, row.kind, row.transaction_id)))

    async def _read(self, from_ms: int) -> bool:
        start_ms = max(from_ms, self._newest_ms - _OVERLAP_MS)
        for page in range(1, _PAGES_MAX + 1):
            rows = await self._retrying.read(
                lambda page=page: self._client.futures_income_history(
                    startTime=start_ms, page=page, limit=_INCOME_PAGE
                )
            )
            for row in rows:
                # tranId is unique within one type only.
                names = ("incomeType", "tranId", "tradeId", "symbol", "asset", "time", "income")
                self._rows[tuple(str(row.get(name, "")) for name in names)] = row
                self._newest_ms = max(self._newest_ms, int(row["time"]))
            if len(rows) < _INCOME_PAGE:
                return True
        return False  # the next time goes on from the newest row

    def _sums(self, from_ms: int) -> tuple[Decimal | None, Decimal | None]:
        earned = transferred = ZERO
        for row in self._rows.values():
            if int(row["time"]) < from_ms:
                continue
            amount, asset = Decimal(row["income"]), str(row.get("asset", ""))
            quotes = self._worth.quotes
            worth = self._worth.known(amount, "" if asset in quotes else asset, quotes[0])
            if row["incomeType"] in TRANSFERS:
                transferred += worth if worth is not None else ZERO
            elif worth is None:
                return None, None  # half a sum would be taken for the whole
            else:
                earned += worth
        return earned, transferred


def _listed(row: dict[str, Any]) -> m.VenueIncome:
    return m.VenueIncome(
        kind=str(row["incomeType"]),
        transaction_id=int(row["tranId"]),
        symbol=str(row.get("symbol") or ""),
        asset=str(row.get("asset") or ""),
        amount=Decimal(row["income"]),
        at_ns=int(row["time"]) * NS_PER_MS,
    )


class AccountKeeper:
    """Reads the totals every 10 s and tells them, except while reads should wait."""

    def __init__(
        self,
        *,
        clock: SystemClock,
        client: VenueClient,
        retrying: Retrying,
        governor: Governor,
        worth: Worth,
        news: Callable[[Any], None],
    ) -> None:
        self._clock = clock
        self._client = client
        self._retrying = retrying
        self._governor = governor
        self._worth = worth
        self._news = news

    async def keep(self) -> None:
        """Tell it every 10 s, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_S)
            if self._governor.busy:
                continue
            with suppress(Exception):  # that the venue is away is told by others
                asked_at_ns = self._clock.now().venue_ns
                row = await self._retrying.once(lambda: self._client.futures_account(version=3))
                self._news(account_of(row, asked_at_ns))
                await self._worth.refresh()


def account_of(
    row: dict[str, Any],
    at_ns: int,
    today: tuple[Decimal | None, Decimal | None] = (None, None),
) -> m.AccountSnapshot:
    """Read the totals of `GET account`."""
    return m.AccountSnapshot(
        wallet_balance=Decimal(row["totalWalletBalance"]),
        available_balance=Decimal(row["availableBalance"]),
        unrealized_pnl=Decimal(row["totalUnrealizedProfit"]),
        margin=Decimal(row["totalInitialMargin"]),
        at_ns=at_ns,
        earned_today=today[0],
        transfers_today=today[1],
    )


def fee_assets(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the assets that the account holds and fees may thus be charged in."""
    return tuple(
        str(asset["asset"])
        for asset in row.get("assets", [])
        if Decimal(asset.get("walletBalance") or 0) > ZERO
    )
