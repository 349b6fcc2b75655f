"""The one book of record: orders, algo orders, fills, income, balances, positions; append-only.

REST answers, stream events and `/sim/ledger` are all rendered from these rows (`render.py`).
Nothing is ever dropped; every change of an order leaves a line in its history.  Times are venue
milliseconds, money is Decimal.  Ids are the venue's: order and trade numbers are unique per symbol
only, each symbol counting in a range of its own.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

_Row = TypeVar("_Row")

ZERO = Decimal(0)
CASH = Decimal("0.00000001")  # money is booked in 1e-8 USDT, as the venue prints it

OPEN_STATUSES = frozenset({"NEW", "PARTIALLY_FILLED"})
ALGO_OPEN_STATUSES = frozenset({"NEW"})


def closes(side: str, position_side: str) -> bool:
    """Tell whether an order's sides close in hedge mode: SELL on LONG, BUY on SHORT."""
    return (side, position_side) in {("SELL", "LONG"), ("BUY", "SHORT")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """One change of a resting order."""

    amendment_id: int
    time_ms: int
    price_before: Decimal
    price_after: Decimal
    quantity_before: Decimal
    quantity_after: Decimal
    price_match: str


@dataclass(slots=True, kw_only=True)
class Order:
    """An ordinary order and all it went through."""

    order_id: int
    symbol: str
    client_order_id: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    close_position: bool
    time_ms: int
    original_type: str
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    price_match: str = "NONE"
    self_trade_prevention: str = "EXPIRE_MAKER"
    good_till_ms: int = 0
    ends_ms: int = 0  # when it ends by itself; 0: never
    stop_price: Decimal = ZERO
    status: str = "NEW"
    executed: Decimal = ZERO
    quote: Decimal = ZERO  # sum of price x quantity of the fills
    update_ms: int = 0
    algo_id: int = 0
    modify_id: int = 0  # of the last amendment
    activate_price: Decimal = ZERO  # of the trailing stop it comes from
    callback_rate: Decimal = ZERO  # percent
    amendments: list[Amendment] = field(default_factory=list)
    history: list[dict[str, object]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it can still fill or be cancelled."""
        return self.status in OPEN_STATUSES

    @property
    def reduces(self) -> bool:
        """Whether it may only make its position smaller."""
        return self.reduce_only or self.close_position or closes(self.side, self.position_side)

    @property
    def remaining(self) -> Decimal:
        """Quantity not executed yet."""
        return self.quantity - self.executed

    @property
    def average_price(self) -> Decimal:
        """Volume-weighted fill price; 0 without a fill."""
        return self.quote / self.executed if self.executed else ZERO

    @property
    def sign(self) -> int:
        """+1 for BUY, −1 for SELL."""
        return 1 if self.side == "BUY" else -1

    def move(self, status: str, time_ms: int, **details: str) -> None:
        """Enter a status and note it in the history."""
        self.status = status
        self.update_ms = time_ms
        self.history.append({"time": time_ms, "status": status, **details})


@dataclass(slots=True, kw_only=True)
class AlgoOrder:
    """A conditional order of the Algo Service."""

    algo_id: int
    client_algo_id: str
    symbol: str
    side: str
    position_side: str
    order_type: str
    time_in_force: str
    quantity: Decimal
    trigger_price: Decimal
    price: Decimal
    working_type: str
    close_position: bool
    price_protect: bool
    reduce_only: bool
    create_ms: int
    price_match: str = "NONE"
    self_trade_prevention: str = "EXPIRE_MAKER"
    good_till_ms: int = 0
    status: str = "NEW"
    update_ms: int = 0
    trigger_ms: int = 0
    order_id: int = 0  # of the ordinary order it became; 0 before the trigger
    failure: str = ""
    callback_rate: Decimal = ZERO  # percent; of a trailing stop only, as the next three
    activate_price: Decimal = ZERO
    activated: bool = False
    extreme: Decimal = ZERO  # best price since the activation
    history: list[dict[str, object]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it waits for its trigger."""
        return self.status in ALGO_OPEN_STATUSES

    @property
    def is_trailing(self) -> bool:
        """Whether its trigger follows the price."""
        return self.order_type == "TRAILING_STOP_MARKET"

    @property
    def family(self) -> str:
        """STOP or TAKE_PROFIT: one close-position order of each may wait per side."""
        return "TAKE_PROFIT" if self.order_type.startswith("TAKE_PROFIT") else "STOP"

    @property
    def fires_upward(self) -> bool:
        """Whether a rising price triggers it."""
        return (self.side == "BUY") == (self.family == "STOP")

    def is_hit_by(self, price: Decimal) -> bool:
        """Tell whether a price satisfies the trigger."""
        return price >= self.trigger_price if self.fires_upward else price <= self.trigger_price

    def move(self, status: str, time_ms: int, **details: str) -> None:
        """Enter a status and note it in the history."""
        self.status = status
        self.update_ms = time_ms
        self.history.append({"time": time_ms, "status": status, **details})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One fill."""

    trade_id: int
    order_id: int
    symbol: str
    side: str
    position_side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal
    realized: Decimal
    maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """One change of the wallet that has a reason of its own."""

    income_id: int
    symbol: str
    kind: str
    amount: Decimal
    info: str
    trade_id: str
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginMove:
    """Cash moved to (+) or from (−) an isolated position by the user."""

    symbol: str
    position_side: str
    kind: int  # 1 add, 2 reduce
    amount: Decimal
    time_ms: int


@dataclass(slots=True)
class _Numbers:
    order: int
    trade: int


class Ledger:
    """Rows in the order they happened, with the indices that requests ask by."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.algo_orders: list[AlgoOrder] = []
        self.trades: list[Trade] = []
        self.income: list[Income] = []
        self.balances: list[dict[str, object]] = []
        self.position_history: list[dict[str, object]] = []
        self.margin_moves: list[MarginMove] = []
        self._orders_by_id: dict[tuple[str, int], Order] = {}
        self._orders_by_client: dict[tuple[str, str], Order] = {}
        self._algos_by_id: dict[int, AlgoOrder] = {}
        self._algos_by_client: dict[str, AlgoOrder] = {}
        self._open_orders: dict[str, dict[int, Order]] = {}
        self._open_algos: dict[str, dict[int, AlgoOrder]] = {}
        self._trades_by_symbol: dict[str, list[Trade]] = {}
        self._numbers: dict[str, _Numbers] = {}
        self._next_algo = 4_000_001_000_000_001
        self._next_income = 700_000_000_001
        self._next_client = 1
        self._next_amendment = 5_000

    # ------------------------------------------------------------------ numbers
    def next_order_id(self, symbol: str) -> int:
        """Return the symbol's next order number."""
        numbers = self._numbers_of(symbol)
        numbers.order += 1
        return numbers.order

    def next_trade_id(self, symbol: str) -> int:
        """Return the symbol's next trade number."""
        numbers = self._numbers_of(symbol)
        numbers.trade += 1
        return numbers.trade

    def next_algo_id(self) -> int:
        """Return the next number of the Algo Service (16 digits, one range for all symbols)."""
        self._next_algo += 1
        return self._next_algo

    def next_client_id(self) -> str:
        """Return an id for a client that gave none."""
        self._next_client += 1
        return f"web_{self._next_client:020d}"

    def next_amendment_id(self) -> int:
        """Return the next number of an amendment."""
        self._next_amendment += 1
        return self._next_amendment

    def _numbers_of(self, symbol: str) -> _Numbers:
        if symbol not in self._numbers:
            start = (zlib.crc32(symbol.encode()) % 900 + 100) * 10_000_000
            self._numbers[symbol] = _Numbers(start, start // 10)
        return self._numbers[symbol]

    # ------------------------------------------------------------------ writing
    def add_order(self, order: Order) -> None:
        """Record a new order as open."""
        self.orders.append(order)
        self._orders_by_id[order.symbol, order.order_id] = order
        self._orders_by_client[order.symbol, order.client_order_id] = order
        self._open_orders.setdefault(order.symbol, {})[order.order_id] = order

    def add_algo(self, algo: AlgoOrder) -> None:
        """Record a new conditional order as waiting."""
        self.algo_orders.append(algo)
        self._algos_by_id[algo.algo_id] = algo
        self._algos_by_client[algo.client_algo_id] = algo
        self._open_algos.setdefault(algo.symbol, {})[algo.algo_id] = algo

    def requeue(self, order: Order) -> None:
        """Put an open order behind all others of its symbol."""
        rows = self._open_orders[order.symbol]
        rows[order.order_id] = rows.pop(order.order_id)

    def settle_order(self, order: Order) -> None:
        """Take an order that has ended out of the open ones."""
        if not order.is_open:
            self._open_orders.get(order.symbol, {}).pop(order.order_id, None)

    def settle_algo(self, algo: AlgoOrder) -> None:
        """Take a conditional order that no longer waits out of the open ones."""
        if not algo.is_open:
            self._open_algos.get(algo.symbol, {}).pop(algo.algo_id, None)

    def add_trade(self, trade: Trade) -> None:
        """Record a fill."""
        self.trades.append(trade)
        self._trades_by_symbol.setdefault(trade.symbol, []).append(trade)

    def add_income(
        self, symbol: str, kind: str, amount: Decimal, time_ms: int, trade_id: str = ""
    ) -> None:
        """Record a change of the wallet."""
        self._next_income += 1
        row = Income(
            income_id=self._next_income,
            symbol=symbol,
            kind=kind,
            amount=amount,
            info=trade_id or kind,
            trade_id=trade_id,
            time_ms=time_ms,
        )
        self.income.append(row)

    def add_balance(self, time_ms: int, wallet: Decimal) -> None:
        """Record the wallet after a change."""
        self.balances.append({"time": time_ms, "asset": "USDT", "balance": str(wallet)})

    def add_position(
        self, time_ms: int, symbol: str, position_side: str, amount: Decimal, entry: Decimal
    ) -> None:
        """Record a position after a change."""
        self.position_history.append(
            {
                "time": time_ms,
                "symbol": symbol,
                "positionSide": position_side,
                "positionAmt": str(amount),
                "entryPrice": str(entry),
            }
        )

    # ------------------------------------------------------------------ reading
    def order(self, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Find an order by number, else by the latest use of a client id."""
        if order_id is not None:
            return self._orders_by_id.get((symbol, order_id))
        return self._orders_by_client.get((symbol, client_order_id or ""))

    def algo(self, algo_id: int | None, client_algo_id: str | None) -> AlgoOrder | None:
        """Find a conditional order by number, else by the latest use of a client id."""
        if algo_id is not None:
            return self._algos_by_id.get(algo_id)
        return self._algos_by_client.get(client_algo_id or "")

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return open orders, oldest first."""
        return _flat(self._open_orders, symbol)

    def resting(self, symbol: str, side: str) -> dict[Decimal, Decimal]:
        """Return the quantities that limit orders of a side leave in the book, by price."""
        found: dict[Decimal, Decimal] = {}
        for order in self._open_orders.get(symbol, {}).values():
            if order.side == side and order.type == "LIMIT":
                found[order.price] = found.get(order.price, ZERO) + order.remaining
        return found

    def busy_symbols(self) -> list[str]:
        """Return the symbols with open orders."""
        return [symbol for symbol, rows in self._open_orders.items() if rows]

    def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        """Return waiting conditional orders, oldest first."""
        return _flat(self._open_algos, symbol)

    def watched(self) -> list[str]:
        """Return the symbols for whose price an order of any kind waits."""
        waiting = {symbol: None for symbol, rows in self._open_orders.items() if rows}
        return list(waiting | {symbol: None for symbol, rows in self._open_algos.items() if rows})

    def trades_of(self, symbol: str) -> list[Trade]:
        """Return the fills of a symbol, oldest first."""
        return self._trades_by_symbol.get(symbol, [])


def _flat(rows: dict[str, dict[int, _Row]], symbol: str | None) -> list[_Row]:
    groups: Iterable[dict[int, _Row]]
    groups = rows.values() if symbol is None else [rows.get(symbol, {})]
    return [row for group in groups for row in group.values()]
