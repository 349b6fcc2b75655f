"""What each fact becomes in the database.  Message and time in, writes out.

Everything may arrive twice: after a crash the room's queue is handed to the successor, and a
reconciliation books the same trades again.  So each table has a natural key, and a repeated fact
finds its row already there.  A fact that comes late never pulls a row back in its life: an ended
order stays ended.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import assert_never

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution.order_life import OrderState
from core.persistence.audit import sealed
from core.persistence.facts import (
    Held,
    book_writes,
    bot_state_write,
    day_write,
    income_write,
    move_write,
    order_write,
    rest_write,
    state_writes,
    streak_write,
    valuation,
)
from core.persistence.rows import (
    Operation,
    Value,
    Write,
    caps_text,
    checks_text,
    exact,
    finite,
    intent_values,
    plain,
    utc_text,
)

# Marks arrive every second for every symbol; the open positions' rows follow at this pace.
MARK_REFRESH_WALL_NS = 2 * NS_PER_S

PersistenceInput = (
    m.RecordIntent
    | m.IntentMoved
    | m.Decision
    | m.SignalComputed
    | m.FillBooked
    | m.OrderSeen
    | m.PositionChanged
    | m.IncomeBooked
    | m.AccountSnapshot
    | m.MarkPrice
    | m.Reconciled
    | m.StateChanged
    | m.LossStreak
    | m.SymbolRest
    | m.DayLedger
    | m.ActorEvent
)


class PersistenceMachine:
    """Turns facts into rows.  Keeps the open positions, their newest marks and the epoch's peak.

    `epoch` is this process's number from `DatabaseManager.begin_epoch`; it stands in the rows.
    `leverage` by symbol gives a position's margin; a symbol without one has NULL there.
    The shell answers `FetchBook` itself (it needs the database, not a row).
    """

    def __init__(self, epoch: int, leverage: Mapping[str, Decimal] | None = None) -> None:
        self._epoch = epoch
        self._leverage = dict(leverage or {})
        self._held: dict[str, Held] = {}
        self._marks: dict[str, Decimal] = {}
        self._refreshed_wall_ns: dict[str, int] = {}
        self._peak_equity = Decimal(0)

    def handle(self, message: PersistenceInput, now: Moment) -> tuple[Write, ...]:
        """Return the writes that make this fact durable; empty when nothing is to be stored.

        `now` stamps the journal: hand in the moment right before the commit.
        """
        match message:
            case m.RecordIntent():
                return (self._record(message.intent, now),)
            case m.IntentMoved():
                return (move_write(message),)
            case m.Decision():
                return (self._decide(message),)
            case m.SignalComputed():
                return (self._signal(message),)
            case m.FillBooked():
                return book_writes(message)
            case m.OrderSeen():
                return (order_write(message),)
            case m.PositionChanged():
                return (self._position(message, now),)
            case m.MarkPrice():
                return self._mark(message, now)
            case m.IncomeBooked():
                return (income_write(message.income),)
            case m.AccountSnapshot():
                return self._account(message)
            case m.Reconciled():
                return self._reconciled(message, now)
            case m.StateChanged():
                return self._state(message)
            case m.DayLedger():
                return (day_write(message, self._epoch, now.venue_ns),)
            case m.LossStreak():
                return (streak_write(message, self._epoch),)
            case m.SymbolRest():
                return (rest_write(message),)
            case m.ActorEvent():
                at_ns = message.at_ns or now.venue_ns
                event = (message.name, message.generation, message.event, message.detail, at_ns)
                return (self._event(*event),)
            case _:
                assert_never(message)

    # ------------------------------------------------------------ journal and decisions
    def _record(self, intent: m.Intent, now: Moment) -> Write:
        """Journal an intent; one that stands already is left as it is, whatever became of it."""
        values: tuple[tuple[str, Value], ...] = (
            *intent_values(intent),
            ("epoch", self._epoch),
            ("recorded_at_wall_ns", now.wall_ns),
            ("recorded_at_venue_ns", now.venue_ns),
            ("state", OrderState.SENDING.value),
            ("venue_id", ""),
            ("executed", "0"),
            ("average_price", "0"),
            ("reason", ""),
            ("moved_at_ns", now.venue_ns),
        )
        return Write(
            table="order_intent",
            operation=Operation.INSERT_NEW,
            values=values,
            audit=sealed("order_intent", dict(values), now.venue_ns),
        )

    def _decide(self, decision: m.Decision) -> Write:
        values: tuple[tuple[str, Value], ...] = (
            ("proposal_id", decision.proposal_id),
            ("symbol", decision.symbol),
            ("side", str(decision.side)),
            ("approved", int(decision.approved)),
            ("reason_code", plain(decision.reason_code)),
            ("reason", plain(decision.reason)),
            ("checks", checks_text(decision.checks)),
            ("caps", caps_text(decision.caps)),
            ("quantity", exact(decision.quantity)),
            ("strength", finite(decision.strength)),
            ("confidence", finite(decision.confidence)),
            ("price", exact(decision.price)),
            ("kline_close_ns", decision.kline_close_ns),
            ("decided_at_ns", decision.decided_at_ns),
            ("epoch", self._epoch),
        )
        return Write(
            table="decisions",
            operation=Operation.INSERT_NEW,
            values=values,
            audit=sealed("decisions", dict(values), decision.decided_at_ns),
        )

    def _signal(self, signal: m.SignalComputed) -> Write:
        values: tuple[tuple[str, Value], ...] = (
            ("symbol", signal.symbol),
            ("kline_close_ns", signal.kline_close_ns),
            ("price", repr(signal.price)),
            ("signal", plain(signal.signal)),
            ("strength", finite(signal.strength)),
            ("prediction", finite(signal.prediction)),
            ("confidence", finite(signal.confidence)),
            ("technical", json.dumps({name: finite(value) for name, value in signal.technical})),
            ("reason", plain(signal.reason)),
            ("epoch", self._epoch),
        )
        return Write(table="signals", operation=Operation.INSERT_NEW, values=values)

    # ------------------------------------------------------------ positions and account
    def _position(self, message: m.PositionChanged, now: Moment) -> Write:
        symbol = message.symbol
        if message.quantity == 0:
            self._held.pop(symbol, None)
            return Write(
                table="positions",
                operation=Operation.DELETE,
                values=(("symbol", symbol),),
                key=("symbol",),
            )
        held = Held(message.quantity, message.entry_price)
        mark = self._marks.get(symbol)
        leverage = self._leverage.get(symbol)
        cost = abs(message.quantity) * message.entry_price
        values: tuple[tuple[str, Value], ...] = (
            ("symbol", symbol),
            ("side", (m.Side.BUY if message.quantity > 0 else m.Side.SELL).value),
            ("quantity", float(abs(message.quantity))),
            ("entry_price", float(message.entry_price)),
            ("margin", None if leverage is None else float(cost / leverage)),
            *valuation(held, mark, message.at_ns),
        )
        self._held[symbol] = held
        self._refreshed_wall_ns[symbol] = now.wall_ns
        return Write(table="positions", operation=Operation.UPSERT, values=values, key=("symbol",))

    def _mark(self, message: m.MarkPrice, now: Moment) -> tuple[Write, ...]:
        """Remember the mark; at most every `MARK_REFRESH_WALL_NS` it reaches an open position."""
        symbol = message.symbol
        self._marks[symbol] = message.price
        held = self._held.get(symbol)
        if held is None:
            return ()
        if now.wall_ns - self._refreshed_wall_ns[symbol] < MARK_REFRESH_WALL_NS:
            return ()
        self._refreshed_wall_ns[symbol] = now.wall_ns
        values = (("symbol", symbol), *valuation(held, message.price, message.event_ns))
        return (
            Write(table="positions", operation=Operation.UPDATE, values=values, key=("symbol",)),
        )

    def _account(self, message: m.AccountSnapshot) -> tuple[Write, ...]:
        row = Write(
            table="account_snapshot",
            operation=Operation.INSERT,
            values=(
                ("total_balance", float(message.wallet_balance)),
                ("available_balance", float(message.available_balance)),
                ("total_pnl", float(message.unrealized_pnl)),
                ("total_margin", float(message.margin)),
                ("timestamp", utc_text(message.at_ns)),
            ),
        )
        equity = message.wallet_balance + message.unrealized_pnl
        if equity <= self._peak_equity:
            return (row,)
        self._peak_equity = equity
        # Each epoch raises only its own peak, so a restart with an empty memory lowers nothing.
        peak = Write(
            table="epochs",
            operation=Operation.UPDATE,
            values=(("epoch", self._epoch), ("peak_equity", exact(equity))),
            key=("epoch",),
        )
        return row, peak

    # ------------------------------------------------------------ state and history
    def _reconciled(self, message: m.Reconciled, now: Moment) -> tuple[Write, ...]:
        summary = {
            "reason": message.reason,
            "report": list(message.report),
            "foreign_positions": message.foreign_positions,
            "foreign_orders": message.foreign_orders,
            "at_ns": now.venue_ns,
        }
        detail = "\n".join((message.reason, *message.report))
        return (
            bot_state_write("reconciled", json.dumps(summary), now.venue_ns),
            self._event("execution", 0, "reconciled", detail, now.venue_ns),
        )

    def _state(self, message: m.StateChanged) -> tuple[Write, ...]:
        detail = f"{message.reason_code}: {message.reason}"
        if message.symbol:
            detail = f"{message.symbol} {detail}"
        return (
            *state_writes(message, self._epoch),
            self._event("risk", 0, message.state.value, detail, message.at_ns),
        )

    def _event(self, name: str, generation: int, event: str, detail: str, at_ns: int) -> Write:
        values: tuple[tuple[str, Value], ...] = (
            ("name", name),
            ("generation", generation),
            ("event", event),
            ("detail", plain(detail)),
            ("at_ns", at_ns),
            ("epoch", self._epoch),
        )
        return Write(table="actor_events", operation=Operation.INSERT, values=values)
