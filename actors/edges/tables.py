"""The tables as peewee models: the specification's five, and ours beside them.

The models read and name columns; the DDL that makes them is frozen in `actors/edges/migrations.py`
and a test holds the two equal.  They are bound to no database: each query is executed with the one
it is meant for, so several databases can be open in one process.  In our tables money is decimal
text; `_ns` is UTC nanoseconds of venue time unless the name says `wall`.
"""
# ruff: noqa: D106 - peewee's `Meta` only names the table

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    CompositeKey,
    DateTimeField,
    DoubleField,
    IntegerField,
    Model,
    TextField,
)


def _stamp() -> DateTimeField:
    return DateTimeField(null=True, constraints=[SQL("DEFAULT CURRENT_TIMESTAMP")])


# ---------------------------------------- the specification's
class Order(Model):
    """One order of ours on the venue, `SYMBOL:orderId` or `SYMBOL:algo:algoId`; latest status."""

    id = AutoField()
    order_id = TextField(unique=True)
    symbol = TextField()
    side = TextField()
    order_type = TextField()
    quantity = DoubleField()
    price = DoubleField(null=True)
    status = TextField()
    timestamp = _stamp()

    class Meta:
        table_name = "orders"


class Trade(Model):
    """One fill of ours, `SYMBOL:id`; `pnl` is the venue's realised P&L before commission."""

    id = AutoField()
    trade_id = TextField(unique=True)
    order_id = TextField()
    symbol = TextField()
    side = TextField()
    quantity = DoubleField()
    price = DoubleField()
    commission = DoubleField(null=True)
    pnl = DoubleField(null=True)
    timestamp = _stamp()

    class Meta:
        table_name = "trades"


class AccountRow(Model):
    """The account's totals in quote at one moment; `total_pnl` is unrealised."""

    id = AutoField()
    total_balance = DoubleField()
    available_balance = DoubleField()
    total_pnl = DoubleField(null=True)
    total_margin = DoubleField(null=True)
    timestamp = _stamp()

    class Meta:
        table_name = "account_snapshot"


class PositionRow(Model):
    """One open position; the row goes when the position is flat."""

    id = AutoField()
    symbol = TextField()
    side = TextField()
    quantity = DoubleField()
    entry_price = DoubleField()
    current_price = DoubleField(null=True)
    unrealized_pnl = DoubleField(null=True)
    margin = DoubleField(null=True)
    timestamp = _stamp()

    class Meta:
        table_name = "positions"


class BotState(Model):
    """One named fact that survives restarts; a plain string, or JSON."""

    id = AutoField()
    key = TextField(unique=True)
    value = TextField()
    timestamp = _stamp()

    class Meta:
        table_name = "bot_state"


# ---------------------------------------- ours
class SchemaVersion(Model):
    """The migrations that were applied."""

    version = IntegerField(primary_key=True)
    applied_at = _stamp()

    class Meta:
        table_name = "schema_version"


class Epoch(Model):
    """One start of the bot on this database, and the highest equity it saw."""

    epoch = IntegerField(primary_key=True)
    venue_id = TextField()
    peak_equity = TextField()
    started_at = _stamp()

    class Meta:
        table_name = "epochs"


class IntentRow(Model):
    """The order journal: committed before the first byte leaves."""

    id = AutoField()
    client_id = TextField(unique=True)
    proposal_id = TextField()
    symbol = TextField()
    purpose = TextField()
    attempt = IntegerField()
    side = TextField()
    quantity = TextField()
    reference_price = TextField()
    stop_price = TextField()
    target_price = TextField()
    reservation = TextField(null=True)  # JSON
    decision = TextField(null=True)  # JSON
    generation = IntegerField()
    created_at_ns = BigIntegerField()
    epoch = IntegerField()
    recorded_at_wall_ns = BigIntegerField()
    recorded_at_venue_ns = BigIntegerField()
    state = TextField()
    venue_id = TextField()
    executed = TextField()
    average_price = TextField()
    reason = TextField()
    moved_at_ns = BigIntegerField()

    class Meta:
        table_name = "order_intent"


class FillRow(Model):
    """One fill, exact: ours, or a foreign one (no purpose) on the same account."""

    symbol = TextField()
    trade_id = BigIntegerField()
    order_id = BigIntegerField()
    client_id = TextField()
    purpose = TextField(null=True)
    side = TextField()
    quantity = TextField()
    price = TextField()
    commission = TextField()
    realized_pnl = TextField()
    at_ns = BigIntegerField()

    class Meta:
        table_name = "fills"
        primary_key = CompositeKey("symbol", "trade_id")


class IncomeRow(Model):
    """What changed the balance besides P&L and commission; `kind` in the venue's words.

    Rows without `transaction_id` are of schema 4: heard from the stream, with `wallet_balance`.
    """

    id = AutoField()
    kind = TextField()
    transaction_id = BigIntegerField(null=True)
    symbol = TextField(null=True)
    asset = TextField(null=True)
    amount = TextField()
    wallet_balance = TextField(null=True)
    at_ns = BigIntegerField()

    class Meta:
        table_name = "income"


class DecisionRow(Model):
    """Risk's answer to a proposal, with every rule and cap (JSON), approved or not."""

    id = AutoField()
    proposal_id = TextField()
    symbol = TextField()
    side = TextField()
    approved = IntegerField()
    reason_code = TextField()
    reason = TextField()
    checks = TextField()
    caps = TextField()
    quantity = TextField()
    strength = DoubleField(null=True)
    confidence = DoubleField(null=True)
    price = TextField()
    kline_close_ns = BigIntegerField()
    decided_at_ns = BigIntegerField()
    epoch = IntegerField()

    class Meta:
        table_name = "decisions"


class SignalRow(Model):
    """What the strategy made of one closed kline; `technical` is JSON."""

    id = AutoField()
    symbol = TextField()
    kline_close_ns = BigIntegerField()
    price = TextField()
    signal = TextField()
    strength = DoubleField(null=True)
    prediction = DoubleField(null=True)
    confidence = DoubleField(null=True)
    technical = TextField()
    reason = TextField()
    epoch = IntegerField()

    class Meta:
        table_name = "signals"


class EventRow(Model):
    """What happened to actors, trading state and reconciliation, one row each."""

    id = AutoField()
    name = TextField()
    generation = IntegerField()
    event = TextField()
    detail = TextField()
    at_ns = BigIntegerField()
    epoch = IntegerField()

    class Meta:
        table_name = "actor_events"


class DayRow(Model):
    """One trading day by venue time; `day` counts from 1970-01-01."""

    day = IntegerField(primary_key=True)
    equity_start = TextField()
    realized = TextField()
    fees = TextField()
    funding = TextField()
    entries = IntegerField()
    halted = IntegerField()
    epoch = IntegerField()
    updated_at_ns = BigIntegerField()
    transfers = TextField(null=True)
    wallet_start = TextField(null=True)
    equity_min = TextField(null=True)
    bases = TextField(null=True)  # JSON rows [symbol, mark at 00:00]

    class Meta:
        table_name = "day_ledger"


class StateRow(Model):
    """Every trading state that was ever latched or released; `symbol` empty: the account's."""

    id = AutoField()
    symbol = TextField()
    state = TextField()
    reason_code = TextField()
    reason = TextField()
    latched_until_day = IntegerField(null=True)
    at_ns = BigIntegerField()
    epoch = IntegerField()

    class Meta:
        table_name = "state_changes"


class StreakRow(Model):
    """How many round trips of a symbol lost, one after the other."""

    symbol = TextField(primary_key=True)
    losses = IntegerField()
    at_ns = BigIntegerField()
    epoch = IntegerField()

    class Meta:
        table_name = "loss_streaks"


class AuditRow(Model):
    """One link of the audit chain (`core/persistence/audit.py`)."""

    seq = BigIntegerField(primary_key=True)
    kind = TextField()
    subject = TextField()
    content = TextField()
    at_ns = BigIntegerField()
    hash = TextField()

    class Meta:
        table_name = "audit_chain"


TABLES: tuple[type[Model], ...] = (
    Order,
    Trade,
    AccountRow,
    PositionRow,
    BotState,
    SchemaVersion,
    Epoch,
    IntentRow,
    FillRow,
    IncomeRow,
    DecisionRow,
    SignalRow,
    EventRow,
    DayRow,
    StateRow,
    StreakRow,
    AuditRow,
)


def columns_of(model: type[Model]) -> tuple[str, ...]:
    """Return a table's column names in order."""
    return tuple(field.column_name for field in model._meta.sorted_fields)  # noqa: SLF001


def required_of(model: type[Model]) -> tuple[str, ...]:
    """Return the columns that a new row must bring: neither null, numbered nor defaulted."""
    fields = model._meta.sorted_fields  # noqa: SLF001
    return tuple(
        field.column_name for field in fields if not field.null and not isinstance(field, AutoField)
    )
