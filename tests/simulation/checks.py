"""Safety at every step, on the venue's own ledger (reliability reference, B4)."""

from decimal import Decimal
from typing import Any

from config import Config
from core.clock import NS_PER_DAY, NS_PER_MS, NS_PER_S
from core.execution.client_id import purpose_of
from core.messages import Purpose
from core.venue.simulated.ledger import AlgoOrder, Order, Trade
from tests.simulation.faults import Faults
from tests.simulation.record import Record
from tests.simulation.venue_side import VenueSide

ZERO = Decimal(0)
# I2: five seconds, and the time an exit takes; a fault begins the count anew, within reason.  Where
# none has struck for a while there is no excuse but latency.
NAKED_NS = 7 * NS_PER_S
NAKED_IN_PEACE_NS = 3 * NS_PER_S
PEACE_NS = 10 * NS_PER_S
NAKED_EVER_NS = 30 * NS_PER_S
HALT_SLACK_NS = 6 * NS_PER_S  # wall: approved before, sent after
MS_PER_DAY = NS_PER_DAY // NS_PER_MS
NOTIONAL_SLACK = Decimal("1.05")
# Codes that only our own rounding or a filter bug can earn (I11).
OUR_FAULT = {-1111, -1013, -4003, -4004, -4005, -4014, -4023, -4120, -4164, -1100, -1102}


class Watch:
    """Reads what is new on the ledger after each step; `violations` says what must not be."""

    def __init__(self, config: Config, side: VenueSide, faults: Faults, record: Record) -> None:
        self._config = config
        self._side = side
        self._faults = faults
        self._record = record
        self._ledger = side.exchange.ledger
        self._orders = 0
        self._algos = 0
        self._trades = 0
        self._refusals = 0
        self._entries: dict[str, str] = {}  # hash of the proposal -> client id
        self._held: dict[str, Decimal] = {}
        self._opened_by: dict[str, int] = {}  # symbol -> order id of the entry that opened it
        self._opened_ms: dict[str, int] = {}  # symbol -> when its position began, venue time
        self._naked_ns: dict[str, int] = {}
        self._excused_ns = 0
        self._lost_since_ns: int | None = None  # when the day's loss passed its limit, by the venue
        self.naked_max_ns = 0
        self._day = side.exchange.now_ms // MS_PER_DAY
        self._day_start = side.exchange.account.wallet

    def look(self) -> None:
        """Check what changed, and the clocks of what is naked."""
        if self._side.changed:
            self._side.changed = False
            self._read_money()
            self._read_orders()
            self._read_released()
            self._read_trades()
            self._read_protection()
            self._read_refusals()
        if self._naked_ns:
            self._check_naked()

    @property
    def anxious(self) -> bool:
        """Tell whether a position is naked, so that every step counts."""
        return bool(self._naked_ns)

    def excuse(self, now_ns: int) -> None:
        """Protection may be late from here: nobody was there to give it."""
        self._excused_ns = now_ns

    def _say(self, text: str) -> None:
        self._record.violations.append(text)

    def _purpose(self, name: str) -> Purpose | None:
        return purpose_of(self._config.CLIENT_ID_TAG, name)

    # ---------------------------------------- orders
    def _read_orders(self) -> None:
        orders = self._ledger.orders
        for order in orders[self._orders :]:
            if self._purpose(order.client_order_id) is Purpose.ENTRY:
                self._check_entry(order)
        self._orders = len(orders)
        for algo in self._ledger.algo_orders[self._algos :]:
            self._check_conditional(algo)
        self._algos = len(self._ledger.algo_orders)

    def _read_released(self) -> None:
        """An entry is over without a fill only if the venue has filled nothing of it."""
        names, self._record.just_released = self._record.just_released, []
        for name in names:
            order = next((o for o in self._ledger.orders if o.client_order_id == name), None)
            outcome = self._record.released[name]
            if order is not None and order.executed and outcome != "filled":
                self._say(f"I5 {name} is filled, and was told to be over: {outcome}")

    def _check_entry(self, order: Order) -> None:
        name = order.client_order_id
        proposal = name.split("-")[2]
        if proposal in self._entries:
            self._say(f"I1 {name} is the second entry of its proposal ({self._entries[proposal]})")
        self._entries[proposal] = name
        outcome = self._record.released.get(name)
        if outcome is not None:
            self._say(f"I5 {name} exists, and was told to be over before: {outcome}")
        lost_since_ns, now_ns = self._lost_since_ns, self._side.timeline.now_ns
        if lost_since_ns is not None and now_ns - lost_since_ns > HALT_SLACK_NS:
            self._say(f"I4 {name} was accepted after the day's loss passed its limit")
        halted = self._record.halted
        if halted is not None:
            slack_ns = HALT_SLACK_NS * self._side.door.clock.speed
            at_ns, until = order.time_ms * NS_PER_MS, halted.latched_until_day
            over = until is not None and at_ns // NS_PER_DAY >= until
            if at_ns > halted.at_ns + slack_ns and not over:
                self._say(f"I4 {name} was accepted after the halt: {halted.reason_code}")
        held = self._side.exchange.account.held()
        if len(held) > self._config.MAX_OPEN_POSITIONS:
            self._say(f"I4 {len(held)} positions at once")
        quotes = self._side.exchange.quotes
        notional = sum((abs(p.amount) * quotes.last(p.symbol) for p in held), ZERO)
        equity = self._side.exchange.account.wallet
        if notional > Decimal(str(self._config.MAX_GROSS_X)) * equity * NOTIONAL_SLACK:
            self._say(f"I4 {notional:.2f} of positions on {equity:.2f}")
        most = Decimal(str(self._config.MAX_SYMBOL_NOTIONAL_X)) * equity * NOTIONAL_SLACK
        if order.quantity * quotes.last(order.symbol) > most:
            self._say(f"I4 {name} is larger than a symbol's limit")

    def _check_conditional(self, algo: AlgoOrder) -> None:
        if self._purpose(algo.client_algo_id) is None or algo.close_position:
            return
        self._say(f"I6 {algo.client_algo_id} is not a close-position order")

    def _read_money(self) -> None:
        """Note since when the day's loss is past its limit, with and without what is open."""
        exchange = self._side.exchange
        if exchange.now_ms // MS_PER_DAY != self._day:  # a new day has a budget of its own
            self._day, self._lost_since_ns = exchange.now_ms // MS_PER_DAY, None
            self._day_start = self._equity()
        share = Decimal(str(self._config.DAILY_MAX_LOSS_PCT)) * Decimal(str(self._config.HALT_AT))
        limit = self._day_start * share
        least_lost = self._day_start - max(exchange.account.wallet, self._equity())
        if least_lost <= limit:
            self._lost_since_ns = None
        elif self._lost_since_ns is None:
            self._lost_since_ns = self._side.timeline.now_ns

    def _equity(self) -> Decimal:
        exchange = self._side.exchange
        quotes = exchange.quotes
        open_pnl = sum(
            (p.amount * (quotes.mark(p.symbol) - p.entry) for p in exchange.account.held()), ZERO
        )
        return exchange.account.wallet + open_pnl

    # ---------------------------------------- trades
    def _read_trades(self) -> None:
        for trade in self._ledger.trades[self._trades :]:
            self._check_trade(trade)
        self._trades = len(self._ledger.trades)

    def _check_trade(self, trade: Trade) -> None:
        order = self._ledger.order(trade.symbol, trade.order_id, None)
        assert order is not None
        before = self._held.get(trade.symbol, ZERO)
        after = before + (trade.quantity if trade.side == "BUY" else -trade.quantity)
        self._held[trade.symbol] = after
        if before * after < ZERO:
            self._say(f"I6 {order.client_order_id} turned {before} into {after}")
        if self._purpose(order.client_order_id) is Purpose.ENTRY:
            if before == ZERO:
                self._opened_by[trade.symbol] = trade.order_id
                self._opened_ms[trade.symbol] = trade.time_ms
            elif self._opened_by.get(trade.symbol) != trade.order_id:
                self._say(f"I4 {order.client_order_id} adds to a position of {before}")
        elif abs(after) > abs(before):
            self._say(f"I6 {order.client_order_id} enlarged {before} to {after}")

    # ---------------------------------------- protection
    def _read_protection(self) -> None:
        now_ns = self._side.timeline.now_ns
        for position in self._side.exchange.account.positions.values():
            symbol = position.symbol
            if not position.amount or self._has_stop(symbol, position.amount, position.entry):
                self._naked_ns.pop(symbol, None)
            else:
                self._naked_ns.setdefault(symbol, now_ns)

    def _has_stop(self, symbol: str, amount: Decimal, entry: Decimal) -> bool:
        closing = "SELL" if amount > ZERO else "BUY"
        for algo in self._ledger.open_algos(symbol):
            if self._purpose(algo.client_algo_id) is not Purpose.STOP or algo.side != closing:
                continue
            distance = (entry - algo.trigger_price) / entry * (1 if amount > ZERO else -1)
            widest = 3 * Decimal(str(self._config.STOPLOSS_PCT))
            if distance < widest:  # one that rests on the side of profit closes with a profit
                return True
            if algo.create_ms < self._opened_ms.get(symbol, 0):
                continue  # left by an earlier trade: it protects nothing, and is on its way out
            self._say(f"I2 the stop of {symbol} is {distance:.4f} from its entry")
        return False

    def _check_naked(self) -> None:
        now_ns = self._side.timeline.now_ns
        excused_ns = max(self._excused_ns, self._faults.hurt_ns)
        for symbol, since_ns in self._naked_ns.items():
            naked_ns = now_ns - since_ns
            self.naked_max_ns = max(self.naked_max_ns, naked_ns)
            counted_ns = now_ns - max(since_ns, excused_ns)
            peace = since_ns - excused_ns > PEACE_NS
            limit_ns = NAKED_IN_PEACE_NS if peace else NAKED_NS
            if counted_ns > limit_ns or naked_ns > NAKED_EVER_NS:
                self._say(f"I2 {symbol} has had no stop for {naked_ns / NS_PER_S:.1f} s")

    def _read_refusals(self) -> None:
        for path, code in self._side.refusals[self._refusals :]:
            if code in OUR_FAULT:
                self._say(f"I11 the venue refused {path} with {code}")
        self._refusals = len(self._side.refusals)


def plain(value: Any) -> str:
    """Write an amount so that equal ones look equal."""
    return format(Decimal(str(value)).normalize(), "f")
