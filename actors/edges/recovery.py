"""What the database knows at start, read back into messages."""

from decimal import Decimal

import peewee
from peewee import Database

from actors.edges.tables import (
    BotState,
    DayRow,
    DecisionRow,
    Epoch,
    FillRow,
    IncomeRow,
    IntentRow,
    Order,
    StateRow,
    StreakRow,
)
from core.clock import NS_PER_DAY, Moment
from core.execution.holdings import TRADES_KNOWN
from core.execution.income import LAG_NS
from core.execution.order_life import ENDED, OrderState
from core.messages import (
    DayLedger,
    Intent,
    Purpose,
    RecoveredBook,
    Side,
    StateChanged,
    SymbolRest,
    TradingState,
)
from core.persistence.book import BookedFill, NetPosition, net_positions
from core.persistence.facts import ENDED_STATUSES
from core.persistence.rows import (
    bases_from_text,
    intent_from_row,
    rest_from_text,
    rest_key,
    state_from_text,
    state_key,
)
from core.risk.tempo import NORM_NS, RECENT_BARS

_BRACKET = tuple(Purpose)
_UNLISTED_MAX = 100  # orders and fills looked at: some hours of them
_RESUMED = "resumed"  # the reason of a state that a person's `resume` released


def read_book(database: Database, now: Moment | None = None) -> RecoveredBook:
    """Return the book as of the last commit; epoch 0 when none has begun.

    The last day is counted back from `now`, or without one from the newest journal row.
    """
    net = _positions(database)
    positions = {symbol: position for symbol, position in net.items() if position.quantity != 0}
    newest = FillRow.select(FillRow.symbol, peewee.fn.MAX(FillRow.trade_id))
    last_ids = newest.group_by(FillRow.symbol).order_by(FillRow.symbol).tuples()
    days = _days(database)
    epochs = tuple(Epoch.select(Epoch.epoch, Epoch.peak_equity).tuples().execute(database))
    return RecoveredBook(
        epoch=max((epoch for epoch, _ in epochs), default=0),
        intents=_intents(database, tuple(positions)),
        positions=tuple((symbol, held.quantity) for symbol, held in positions.items()),
        entry_prices=tuple((symbol, held.entry_price) for symbol, held in positions.items()),
        foreign=tuple((s, held.foreign) for s, held in net.items() if held.foreign != 0),
        last_trade_ids=tuple(
            (symbol, int(number)) for symbol, number in last_ids.execute(database)
        ),
        known_trades=_known_trades(database),
        day=days[0] if days else None,
        day_before=days[1] if len(days) > 1 else None,
        state=_state(database),
        peak_equity=max((Decimal(peak) for _, peak in epochs), default=Decimal(0)),
        symbol_states=_symbol_states(database),
        loss_streaks=_loss_streaks(database),
        rests=_rests(database),
        entries=_entries(database, now),
        wishes=_wishes(database),
        booked=_booked(database),
        absent=_absent(database, now),
        unlisted=_unlisted(database),
        open_rows=_open_rows(database),
        income_up_to_ns=_income_up_to_ns(database),
    )


def _known_trades(database: Database) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the latest trade ids of each symbol, ascending."""
    symbols = FillRow.select(FillRow.symbol).distinct().order_by(FillRow.symbol).tuples()
    known = []
    for (symbol,) in symbols.execute(database):
        latest = (
            FillRow.select(FillRow.trade_id)
            .where(FillRow.symbol == symbol)
            .order_by(FillRow.trade_id.desc())
            .limit(TRADES_KNOWN)
        )
        ids = [int(number) for (number,) in latest.tuples().execute(database)]
        known.append((symbol, tuple(reversed(ids))))
    return tuple(known)


def _positions(database: Database) -> dict[str, NetPosition]:
    query = FillRow.select(
        FillRow.symbol,
        FillRow.trade_id,
        FillRow.purpose,
        FillRow.side,
        FillRow.quantity,
        FillRow.price,
    )
    return net_positions(
        BookedFill(
            symbol=symbol,
            trade_id=trade_id,
            ours=purpose is not None,
            side=Side(side),
            quantity=Decimal(quantity),
            price=Decimal(price),
        )
        for symbol, trade_id, purpose, side, quantity, price in query.tuples().execute(database)
    )


def _intents(database: Database, held: tuple[str, ...]) -> tuple[tuple[Intent, str], ...]:
    """Return the intents still open and the newest bracket of each symbol held, oldest first.

    And entries that executed without a booked fill: their position is found on the venue, and only
    their own row says whose trade it is.
    """
    # Literally the words of the partial index, so that it is used.
    ended = ", ".join(f"'{state}'" for state in sorted(ENDED))
    open_rows = IntentRow.select().where(peewee.SQL(f"state NOT IN ({ended})"))
    rows = {row["id"]: row for row in open_rows.dicts().execute(database)}
    for symbol in held:
        for purpose in _BRACKET:
            newest = (
                IntentRow.select()
                .where((IntentRow.symbol == symbol) & (IntentRow.purpose == purpose.value))
                .order_by(IntentRow.id.desc())
                .limit(1)
            )
            rows.update((row["id"], row) for row in newest.dicts().execute(database))
    booked = FillRow.select(FillRow.client_id)
    unbooked = IntentRow.select().where(
        (IntentRow.purpose == Purpose.ENTRY.value)
        & (peewee.Cast(IntentRow.executed, "REAL") != 0)
        & (IntentRow.client_id.not_in(booked))
    )
    rows.update((row["id"], row) for row in unbooked.dicts().execute(database))
    return tuple((intent_from_row(rows[id_]), rows[id_]["state"]) for id_ in sorted(rows))


def _booked(database: Database) -> tuple[str, ...]:
    """Return the entries that are open by the journal and have filled by the fills."""
    open_entries = IntentRow.select(IntentRow.client_id).where(
        (IntentRow.purpose == Purpose.ENTRY.value) & IntentRow.state.not_in(sorted(ENDED))
    )
    filled = FillRow.select(FillRow.client_id).where(FillRow.client_id.in_(open_entries))
    return tuple(sorted({name for (name,) in filled.tuples().execute(database)}))


def _unlisted(database: Database) -> tuple[tuple[str, str], ...]:
    """Return of the newest orders those that are over while the table of orders does not say how.

    By the journal, and by the fills: a stop that fires becomes another order.
    """
    over = [str(state) for state in (OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED)]
    moved = IntentRow.select(IntentRow.symbol, IntentRow.client_id, IntentRow.venue_id)
    journal = moved.where(IntentRow.state.in_(over)).order_by(IntentRow.id.desc())
    filled = FillRow.select(FillRow.symbol, FillRow.client_id, FillRow.order_id)
    fills = filled.order_by(FillRow.at_ns.desc())
    newest = [*journal.limit(_UNLISTED_MAX).tuples().execute(database)]
    newest += [
        (symbol, name, f"{symbol}:{number}")
        for symbol, name, number in fills.limit(_UNLISTED_MAX).tuples().execute(database)
    ]
    told = Order.select(Order.order_id).where(
        Order.order_id.in_([venue_id for _, _, venue_id in newest])
        & Order.status.in_(ENDED_STATUSES)
    )
    listed = {venue_id for (venue_id,) in told.tuples().execute(database)}
    missing = [(symbol, name) for symbol, name, venue_id in newest if venue_id not in listed]
    return tuple(dict.fromkeys(missing))


def _open_rows(database: Database) -> tuple[tuple[str, str], ...]:
    """Return the newest orders, by venue id, that the table of orders does not call over."""
    newest = (
        Order.select(Order.symbol, Order.order_id)
        .where(Order.status.not_in(ENDED_STATUSES))
        .order_by(Order.id.desc())
        .limit(_UNLISTED_MAX)
    )
    return tuple(newest.tuples().execute(database))


def _days(database: Database) -> list[DayLedger]:
    """Return the newest two days, the newest first."""
    newest = DayRow.select().order_by(DayRow.day.desc()).limit(2)
    return [
        DayLedger(
            day=row["day"],
            equity_start=Decimal(row["equity_start"]),
            realized=Decimal(row["realized"]),
            fees=Decimal(row["fees"]),
            funding=Decimal(row["funding"]),
            entries=row["entries"],
            halted=bool(row["halted"]),
            transfers=Decimal(row["transfers"] or 0),
            wallet_start=Decimal(row["wallet_start"] or 0),
            # Of a row that an older program wrote, the start is the lowest that is known.
            equity_min=Decimal(row["equity_min"] or row["equity_start"]),
            bases=bases_from_text(row["bases"] or "[]"),
        )
        for row in newest.dicts().execute(database)
    ]


def _state(database: Database) -> StateChanged | None:
    query = BotState.select(BotState.value).where(BotState.key == state_key(""))
    text = query.scalar(database)
    return None if text is None else state_from_text(text)


def _symbol_states(database: Database) -> tuple[StateChanged, ...]:
    """Return what is latched for single symbols, by symbol."""
    kept = BotState.select(BotState.value).where(BotState.key.startswith(state_key("-")[:-1]))
    rows = kept.order_by(BotState.key).tuples().execute(database)
    states = (state_from_text(text) for (text,) in rows)
    return tuple(state for state in states if state.state is not TradingState.ACTIVE)


def _loss_streaks(database: Database) -> tuple[tuple[str, int], ...]:
    query = StreakRow.select(StreakRow.symbol, StreakRow.losses).where(StreakRow.losses > 0)
    rows = query.order_by(StreakRow.symbol).tuples().execute(database)
    return tuple((symbol, int(losses)) for symbol, losses in rows)


def _rests(database: Database) -> tuple[SymbolRest, ...]:
    """Return how each symbol rests, by symbol."""
    kept = BotState.select(BotState.value).where(BotState.key.startswith(rest_key("")))
    rows = kept.order_by(BotState.key).tuples().execute(database)
    return tuple(rest_from_text(text) for (text,) in rows)


def _entries(database: Database, now: Moment | None) -> tuple[tuple[str, int], ...]:
    """Return the entries that may have left within the last venue day, ascending."""
    stamp = IntentRow.recorded_at_venue_ns
    newest = now.venue_ns if now else IntentRow.select(peewee.fn.MAX(stamp)).scalar(database)
    rows = (
        IntentRow.select(IntentRow.symbol, stamp)
        .where(IntentRow.purpose == Purpose.ENTRY.value)
        .where(IntentRow.state != OrderState.NOT_SENT.value)
        .where(stamp > int(newest or 0) - NS_PER_DAY)
        .order_by(stamp, IntentRow.id)
    )
    return tuple((symbol, int(at_ns)) for symbol, at_ns in rows.tuples().execute(database))


def _wishes(database: Database) -> tuple[tuple[str, int, int, tuple[int, ...]], ...]:
    """Return each symbol's decided wishes of its last 30 days, those before a `resume` left out."""
    close = DecisionRow.kline_close_ns
    released = StateRow.select(StateRow.symbol, peewee.fn.MAX(StateRow.at_ns))
    released = released.where(StateRow.reason_code == _RESUMED).group_by(StateRow.symbol)
    resumed = {symbol: int(at_ns) for symbol, at_ns in released.tuples().execute(database)}
    newest = DecisionRow.select(DecisionRow.symbol, peewee.fn.MAX(close))
    newest = newest.group_by(DecisionRow.symbol).order_by(DecisionRow.symbol)
    found = []
    for symbol, last_ns in newest.tuples().execute(database):
        since_ns = max(int(last_ns) - NORM_NS, resumed.get(symbol, 0))
        counted = (DecisionRow.symbol == symbol) & (close > since_ns)
        totals = DecisionRow.select(peewee.fn.MIN(close), peewee.fn.COUNT(close.distinct()))
        first_ns, count = next(iter(totals.where(counted).tuples().execute(database)))
        if not count:
            continue
        latest = DecisionRow.select(close).distinct().where(counted)
        latest = latest.order_by(close.desc()).limit(RECENT_BARS)
        ends = sorted(int(at_ns) for (at_ns,) in latest.tuples().execute(database))
        found.append((symbol, int(first_ns), int(count), tuple(ends)))
    return tuple(found)


def _absent(database: Database, now: Moment | None) -> tuple[Intent, ...]:
    """Return the entries believed absent that are still to be watched for, oldest first."""
    stamp = IntentRow.recorded_at_wall_ns
    newest = now.wall_ns if now else IntentRow.select(peewee.fn.MAX(stamp)).scalar(database)
    rows = (
        IntentRow.select()
        .where(IntentRow.purpose == Purpose.ENTRY.value)
        .where(IntentRow.state == OrderState.ABSENT.value)
        .where(stamp > int(newest or 0) - NS_PER_DAY)
        .order_by(IntentRow.id)
    )
    return tuple(intent_from_row(row) for row in rows.dicts().execute(database))


def _income_up_to_ns(database: Database) -> int:
    """Return the venue time up to which no income is missing; 0 in a database without a day.

    The venue's list may lag, so what it showed last is not the end of what it will show of then.
    A row that the stream told has no number to be known again by: the list is read from after it.
    Before any income, the database's own first day is where it begins.
    """
    told = IncomeRow.transaction_id.is_null()
    newest = IncomeRow.select(peewee.fn.MAX(IncomeRow.at_ns))
    told_ns = newest.where(told).scalar(database)
    listed_ns = newest.where(~told).scalar(database)
    first_day = DayRow.select(peewee.fn.MIN(DayRow.day)).scalar(database)
    return max(
        int(told_ns or 0),
        int(listed_ns or 0) - LAG_NS,
        0 if first_day is None else int(first_day) * NS_PER_DAY - 1,
    )
