"""The venue's state as one message: account, positions, open orders, trades, unresolved entries.

The requests of one snapshot are not one instant; the wall time before the first is handed on, so
that execution can tell what happened since.  `userTrades` cuts a page at its old end, so pages go
up by `fromId` until one is not full.
"""

import asyncio
from collections import OrderedDict
from decimal import Decimal
from typing import Any

from actors.edges.account import Income, Worth, account_of, fee_assets
from actors.edges.binance_client import VenueClient, problem
from actors.edges.gateway_requests import Requests
from actors.edges.governor import QuietError
from actors.edges.retrying import Retrying
from actors.edges.system_clock import SystemClock
from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_MS, NS_PER_S
from core.execution.classify import Action
from core.messages import Side

_TRADES_PAGE = 1000
_DAYS_HELD = 7  # the longest window the venue answers for
_PAGES_MAX = 200
_ORDERS_PAGE = 1000
_ONE_BY_ONE_MAX = 3  # from so many unknown orders on, one list of orders is cheaper
_NAMES_MAX = 20_000
_ATTEMPTS = 5
_ALL_ORDERS_WEIGHT = 40  # of the open orders of all symbols; one symbol's weigh 1
_LAG_NS = 60 * NS_PER_S  # wall: an order may be denied so long after its trade is shown


class OrderNames:
    """Client ids by (symbol, order id), the newest 20,000: trades carry order ids only."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, int], str] = OrderedDict()

    def learn(self, symbol: str, order_id: int, client_id: str) -> None:
        """Remember the client id of an order."""
        self._names[symbol, order_id] = client_id
        if len(self._names) > _NAMES_MAX:
            self._names.popitem(last=False)

    def of(self, symbol: str, order_id: int) -> str | None:
        """Return the client id of an order, None if it was not seen."""
        return self._names.get((symbol, order_id))


class Snapshots:
    """Fetches snapshots; `names` is shared with the user stream, which fills it as well."""

    def __init__(
        self,
        *,
        clock: SystemClock,
        client: VenueClient,
        requests: Requests,
        retrying: Retrying,
        names: OrderNames,
        worth: Worth,
    ) -> None:
        self._worth = worth
        self._income = Income(clock=clock, client=client, retrying=retrying, worth=worth)
        self._clock = clock
        self._client = client
        self._requests = requests
        self._retrying = retrying
        self._names = names

    async def fetch(self, wanted: m.FetchSnapshot) -> m.VenueSnapshot | m.SnapshotFailed:
        """Return the snapshot, or why it could not be had after all retries."""
        try:
            return await self._fetch(wanted)
        except* QuietError as errors:
            reason = str(errors.exceptions[0])
        except* Exception as errors:  # noqa: BLE001 - judged and answered
            reason = _first(errors)
        return m.SnapshotFailed(reason=reason)

    async def _fetch(self, wanted: m.FetchSnapshot) -> m.VenueSnapshot | m.SnapshotFailed:
        """Fetch until positions and trades speak of the same moment.

        The venue answers one question at a time, and a fill may fall between two answers.  So the
        positions are asked for again after everything else: unchanged, they hold for all of it.
        """
        positions, busy = await self._positions()
        for _ in range(_ATTEMPTS):
            snapshot = await self._fetch_rest(wanted, positions, busy)
            later, busy = await self._positions()
            if _held(later) == _held(positions):
                return snapshot
            positions = later
        return m.SnapshotFailed(reason="the positions kept changing while they were fetched")

    async def _positions(self) -> tuple[tuple[m.VenuePosition, ...], tuple[str, ...]]:
        """Return what is held, and the symbols with a position or an open ordinary order."""
        rows = await self._retrying.read(self._client.futures_position_information)
        held = tuple(_position(row) for row in rows if Decimal(row["positionAmt"]) != 0)
        return held, tuple(dict.fromkeys(str(row["symbol"]) for row in rows))

    async def _fetch_rest(
        self,
        wanted: m.FetchSnapshot,
        positions: tuple[m.VenuePosition, ...],
        busy: tuple[str, ...],
    ) -> m.VenueSnapshot:
        taken_at_wall_ns = self._clock.wall_ns()
        asked_at_ns = self._clock.now().venue_ns
        read, client = self._retrying.read, self._client
        after, held = dict(wanted.trades_after), {p.symbol for p in positions}
        async with asyncio.TaskGroup() as group:
            account = group.create_task(self._account(asked_at_ns, wanted.income_after_ns))
            orders = [
                group.create_task(read(lambda of=of: client.futures_get_open_orders(**of)))
                for of in _with_orders(busy)
            ]
            algos = group.create_task(read(client.futures_get_open_algo_orders))
            trades = [
                group.create_task(self._trades(symbol, after.get(symbol, 0), asked_at_ns, held))
                for symbol in wanted.symbols
            ]
            found = [
                group.create_task(self._requests.found(symbol, client_id))
                for symbol, client_id in wanted.unresolved
            ]
        return m.VenueSnapshot(
            reason=wanted.reason,
            account=account.result(),
            positions=positions,
            orders=(
                *(_order(row) for task in orders for row in task.result()),
                *map(_algo_order, algos.result()),
            ),
            trades=tuple(
                sorted(
                    (trade for task in trades for trade in task.result()),
                    key=lambda trade: (trade.at_ns, trade.symbol, trade.trade_id),
                )
            ),
            found=tuple(task.result() for task in found),
            taken_at_wall_ns=taken_at_wall_ns,
            asked_wall_ns=wanted.asked_wall_ns,
            income=self._income.after(wanted.income_after_ns),
        )

    def income_moved(self) -> None:
        """Hear that the balance changed besides by trades: the next snapshot reads the list."""
        self._income.moved()

    async def _account(self, asked_at_ns: int, income_after_ns: int) -> m.AccountSnapshot:
        row = await self._retrying.read(lambda: self._client.futures_account(version=3))
        await self._worth.refresh(*fee_assets(row))
        return account_of(row, asked_at_ns, await self._income.today(income_after_ns))

    # ---------------------------------------- trades
    async def _trades(
        self, symbol: str, after: int, now_ns: int, held: set[str]
    ) -> list[m.VenueTrade]:
        """Return the trades after a known one; without one those of the last day.

        The venue keeps three months, which a first start would otherwise page through before it
        could protect anything.  Where a position is open without a known trade (the database is
        new), the longest window is read, so that its trades can show whose it is.
        """
        days = _DAYS_HELD if symbol in held else 1
        start: dict[str, int] = {"fromId": after + 1}
        if not after:
            start = {"startTime": (now_ns - days * NS_PER_DAY) // NS_PER_MS}
        rows: list[dict[str, Any]] = []
        for _ in range(_PAGES_MAX):
            page = await self._retrying.read(
                lambda start=start: self._client.futures_account_trades(
                    symbol=symbol, limit=_TRADES_PAGE, **start
                )
            )
            rows += page
            if len(page) < _TRADES_PAGE:
                break
            start = {"fromId": int(page[-1]["id"]) + 1}
        times = {int(row["orderId"]): int(row["time"]) * NS_PER_MS for row in rows}
        await self._name(symbol, dict(sorted(times.items())))
        return [self._trade(symbol, row) for row in rows if int(row["id"]) > after]

    async def _name(self, symbol: str, traded_ns: dict[int, int]) -> None:
        """Learn the client ids of orders that have not been seen; given with their newest trade."""
        unknown = [n for n in traded_ns if self._names.of(symbol, n) is None]
        if len(unknown) > _ONE_BY_ONE_MAX:
            rows = await self._retrying.read(
                lambda: self._client.futures_get_all_orders(
                    symbol=symbol, orderId=unknown[0], limit=_ORDERS_PAGE
                )
            )
            for row in rows:
                self._names.learn(symbol, int(row["orderId"]), str(row["clientOrderId"]))
            unknown = [n for n in unknown if self._names.of(symbol, n) is None]
        for order_id in unknown:
            name = await self._client_id(symbol, order_id, traded_ns[order_id])
            self._names.learn(symbol, order_id, name)

    async def _client_id(self, symbol: str, order_id: int, traded_ns: int) -> str:
        """Return the client id of an order; empty if the venue no longer remembers it.

        A young order that it denies it does not show yet: taken for forgotten, our own fill would
        be another's.  The snapshot fails instead, and is asked for again.
        """
        try:
            row = await self._retrying.read(
                lambda: self._client.futures_get_order(symbol=symbol, orderId=order_id)
            )
        except Exception as error:
            young = self._clock.now().wall_age_ns(traded_ns) < _LAG_NS
            if problem(error).verdict.action is Action.GONE and not young:
                return ""  # older than the venue remembers, so not of this bot's present
            raise
        return str(row["clientOrderId"])

    def _trade(self, symbol: str, row: dict[str, Any]) -> m.VenueTrade:
        return m.VenueTrade(
            symbol=symbol,
            trade_id=int(row["id"]),
            order_id=int(row["orderId"]),
            client_id=self._names.of(symbol, int(row["orderId"])) or "",
            side=Side(row["side"]),
            quantity=Decimal(row["qty"]),
            price=Decimal(row["price"]),
            commission=self._worth.commission(
                Decimal(row["commission"]),
                str(row.get("commissionAsset", "")),
                symbol,
                Decimal(row["qty"]) * Decimal(row["price"]),
            ),
            realized_pnl=Decimal(row["realizedPnl"]),
            at_ns=int(row["time"]) * NS_PER_MS,
        )


def _held(positions: tuple[m.VenuePosition, ...]) -> dict[str, tuple[Decimal, Decimal]]:
    """Return what is held and since what price; marks move all the time and do not count."""
    return {p.symbol: (p.quantity, p.entry_price) for p in positions}


def _position(row: dict[str, Any]) -> m.VenuePosition:
    isolated = Decimal(row.get("isolatedMargin") or 0)
    return m.VenuePosition(
        symbol=row["symbol"],
        quantity=Decimal(row["positionAmt"]),
        entry_price=Decimal(row["entryPrice"]),
        mark_price=Decimal(row["markPrice"]),
        unrealized_pnl=Decimal(row["unRealizedProfit"]),
        margin=isolated or Decimal(row.get("initialMargin") or 0),
    )


def _order(row: dict[str, Any]) -> m.VenueOrder:
    return m.VenueOrder(
        symbol=row["symbol"],
        client_id=row["clientOrderId"],
        venue_id=f"{row['symbol']}:{row['orderId']}",
        side=Side(row["side"]),
        order_type=row["type"],
        status=row["status"],
        quantity=Decimal(row["origQty"]),
        trigger_price=Decimal(0),
        close_position=bool(row.get("closePosition")),
        algo=False,
    )


def _algo_order(row: dict[str, Any]) -> m.VenueOrder:
    return m.VenueOrder(
        symbol=row["symbol"],
        client_id=row["clientAlgoId"],
        venue_id=f"{row['symbol']}:algo:{row['algoId']}",
        side=Side(row["side"]),
        order_type=row["orderType"],
        status=row["algoStatus"],
        quantity=Decimal(row.get("quantity") or 0),
        trigger_price=Decimal(row.get("triggerPrice") or 0),
        close_position=bool(row.get("closePosition")),
        algo=True,
    )


def _with_orders(busy: tuple[str, ...]) -> list[dict[str, str]]:
    """Say how to ask for the open ordinary orders: none are on symbols the venue did not list.

    None of ours rest there, and another's is counted only, so one that came since may wait for
    the next snapshot.
    """
    return [{}] if len(busy) >= _ALL_ORDERS_WEIGHT else [{"symbol": symbol} for symbol in busy]


def _first(errors: BaseExceptionGroup[Any]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return problem(error).detail
