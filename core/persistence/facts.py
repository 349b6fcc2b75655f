"""Facts that become the same rows whatever was before: the steps of an order, a fill, income."""

from dataclasses import dataclass
from decimal import Decimal

from core import messages as m
from core.execution.order_life import OrderState, may_become
from core.persistence.audit import MOVE, Audit, canonical, sealed
from core.persistence.rows import (
    Operation,
    Value,
    Write,
    bases_text,
    exact,
    plain,
    rest_key,
    rest_text,
    state_key,
    state_text,
    utc_text,
)

# How far an order is in its life, ordinary and conditional statuses in one scale; what is not
# listed has ended.
_PROGRESS = {"NEW": 0, "PARTIALLY_FILLED": 1, "TRIGGERING": 1, "TRIGGERED": 2}
ENDED_STATUSES = (
    "FILLED",
    "FINISHED",
    "CANCELED",
    "EXPIRED",
    "EXPIRED_IN_MATCH",
    "REJECTED",
)


def statuses_beyond(status: str) -> tuple[str, ...]:
    """Return the order statuses that a row must not leave for `status`.

    >>> statuses_beyond("TRIGGERED")[:2]
    ('FILLED', 'FINISHED')
    >>> "PARTIALLY_FILLED" in statuses_beyond("NEW")
    True
    """
    if status not in _PROGRESS:
        return tuple(ended for ended in ENDED_STATUSES if ended != status)
    reached = _PROGRESS[status]
    return (*ENDED_STATUSES, *(later for later, rank in _PROGRESS.items() if rank > reached))


@dataclass(frozen=True, slots=True)
class Held:
    """An open position as its row shows it: signed base quantity and entry price in quote."""

    quantity: Decimal
    entry_price: Decimal


def move_write(message: m.IntentMoved) -> Write:
    """Move a journal row forward in the order's life; a step that life does not have is skipped."""
    state = OrderState(message.state)
    amounts = (message.executed, message.average_price)
    values: list[tuple[str, Value]] = [
        ("client_id", message.client_id),
        ("state", state.value),
        ("executed", exact(message.executed)),
        ("average_price", exact(message.average_price)),
        ("reason", plain(message.reason)),
        ("moved_at_ns", message.at_ns),
    ]
    if message.venue_id:
        values.append(("venue_id", message.venue_id))
    barred = tuple(
        current.value
        for current in OrderState
        if current is not state and not may_become(current, state)
    )
    told = [state.value, message.venue_id, *(exact(v) for v in amounts), plain(message.reason)]
    return Write(
        table="order_intent",
        operation=Operation.UPDATE,
        values=tuple(values),
        key=("client_id",),
        unless=("state", barred),
        audit=Audit(MOVE, message.client_id, canonical(told), message.at_ns),
    )


def book_writes(fill: m.FillBooked) -> tuple[Write, ...]:
    """Book a fill exactly; ours also stands in `trades`, as the specification wants it.

    `pnl` is what the venue realised, before commission: 0 on entries by its own reckoning.
    """
    booked = Write(
        table="fills",
        operation=Operation.INSERT_NEW,
        values=(
            ("symbol", fill.symbol),
            ("trade_id", fill.trade_id),
            ("order_id", fill.order_id),
            ("client_id", plain(fill.client_id)),
            ("purpose", None if fill.purpose is None else fill.purpose.value),
            ("side", fill.side.value),
            ("quantity", exact(fill.quantity)),
            ("price", exact(fill.price)),
            ("commission", exact(fill.commission)),
            ("realized_pnl", exact(fill.realized_pnl)),
            ("at_ns", fill.at_ns),
        ),
    )
    if fill.purpose is None:
        return (booked,)
    trade = Write(
        table="trades",
        operation=Operation.INSERT_NEW,
        values=(
            ("trade_id", f"{fill.symbol}:{fill.trade_id}"),
            ("order_id", f"{fill.symbol}:{fill.order_id}"),
            ("symbol", fill.symbol),
            ("side", fill.side.value),
            ("quantity", float(fill.quantity)),
            ("price", float(fill.price)),
            ("commission", float(fill.commission)),
            ("pnl", float(fill.realized_pnl)),
            ("timestamp", utc_text(fill.at_ns)),
        ),
    )
    return booked, trade


def order_write(order: m.OrderSeen) -> Write:
    """Show an order's latest status; one that is further in its life already is left alone."""
    values: tuple[tuple[str, Value], ...] = (
        ("order_id", order.venue_id),
        ("symbol", order.symbol),
        ("side", order.side.value),
        ("order_type", order.order_type),
        ("quantity", float(order.quantity)),
        ("price", None if order.price is None else float(order.price)),
        ("status", order.status),
        ("timestamp", utc_text(order.at_ns)),
    )
    return Write(
        table="orders",
        operation=Operation.UPSERT,
        values=values,
        key=("order_id",),
        unless=("status", statuses_beyond(order.status)),
    )


def income_write(income: m.VenueIncome) -> Write:
    """Book what changed the balance besides P&L and commission: funding, transfers."""
    values: tuple[tuple[str, Value], ...] = (
        ("kind", plain(income.kind)),
        ("transaction_id", income.transaction_id),
        ("symbol", plain(income.symbol)),
        ("asset", plain(income.asset)),
        ("amount", exact(income.amount)),
        ("at_ns", income.at_ns),
    )
    return Write(table="income", operation=Operation.INSERT_NEW, values=values)


def state_writes(message: m.StateChanged, epoch: int) -> tuple[Write, ...]:
    """Keep the newest state of the account or of a symbol, and each one there ever was.

    The newest is the last to arrive, whatever its time says: a clock set back must not keep an
    older, milder state in force.
    """
    values: tuple[tuple[str, Value], ...] = (
        ("symbol", message.symbol),
        ("state", message.state.value),
        ("reason_code", plain(message.reason_code)),
        ("reason", plain(message.reason)),
        ("latched_until_day", message.latched_until_day),
        ("at_ns", message.at_ns),
        ("epoch", epoch),
    )
    changed = Write(
        table="state_changes",
        operation=Operation.INSERT_NEW,
        values=values,
        audit=sealed("state_changes", dict(values), message.at_ns),
    )
    key = state_key(message.symbol)
    return bot_state_write(key, state_text(message), message.at_ns), changed


def streak_write(message: m.LossStreak, epoch: int) -> Write:
    """Keep a symbol's run of losses."""
    values: tuple[tuple[str, Value], ...] = (
        ("symbol", message.symbol),
        ("losses", message.losses),
        ("at_ns", message.at_ns),
        ("epoch", epoch),
    )
    return Write(table="loss_streaks", operation=Operation.UPSERT, values=values, key=("symbol",))


def rest_write(message: m.SymbolRest) -> Write:
    """Keep until when a symbol rests, and the stops that it could not have."""
    return bot_state_write(rest_key(message.symbol), rest_text(message), message.at_ns)


def day_write(ledger: m.DayLedger, epoch: int, venue_ns: int) -> Write:
    """Keep a venue day's sums, exact; a late fill may still correct an older day's row."""
    values: tuple[tuple[str, Value], ...] = (
        ("day", ledger.day),
        ("equity_start", exact(ledger.equity_start)),
        ("realized", exact(ledger.realized)),
        ("fees", exact(ledger.fees)),
        ("funding", exact(ledger.funding)),
        ("entries", ledger.entries),
        ("halted", int(ledger.halted)),
        ("epoch", epoch),
        ("updated_at_ns", venue_ns),
        ("transfers", exact(ledger.transfers)),
        ("wallet_start", exact(ledger.wallet_start)),
        ("equity_min", exact(ledger.equity_min)),
        ("bases", bases_text(ledger.bases)),
    )
    return Write(table="day_ledger", operation=Operation.UPSERT, values=values, key=("day",))


def bot_state_write(key: str, value: str, at_ns: int) -> Write:
    """Keep `value`, JSON text, under `key`."""
    return Write(
        table="bot_state",
        operation=Operation.UPSERT,
        values=(("key", key), ("value", value), ("timestamp", utc_text(at_ns))),
        key=("key",),
    )


def valuation(held: Held, mark: Decimal | None, at_ns: int) -> tuple[tuple[str, Value], ...]:
    """Return price and unrealised P&L at the mark, in quote; unknown without a mark."""
    if mark is None:
        return ("current_price", None), ("unrealized_pnl", None), ("timestamp", utc_text(at_ns))
    unrealized = held.quantity * (mark - held.entry_price)
    return (
        ("current_price", float(mark)),
        ("unrealized_pnl", float(unrealized)),
        ("timestamp", utc_text(at_ns)),
    )
