"""Liveness at the end: what every book must say once faults have ceased and trading has paused."""

import sqlite3
from decimal import Decimal
from pathlib import Path

from core.clock import day_of
from core.execution.client_id import purpose_of
from core.execution.order_life import ENDED, OrderState, from_venue
from core.messages import Purpose, TradingState
from tests.simulation.checks import plain
from tests.simulation.process import Process
from tests.simulation.venue_side import BALANCE, VenueSide

UNLISTED_ORDER = "I3 orders: "  # asked for after the next snapshot
UNLISTED = "I15 income: "  # what may be waited for longer: the venue's list is read once a minute


def unsettled(process: Process | None, side: VenueSide, path: Path) -> list[str]:
    """Return, in words, everything that is not as it must be."""
    if process is None or process.supervisor is None:
        return ["L1 the bot is not running"]
    found = [
        f"L1 {child.spec.name} is {child.state}: {child.last_error}"
        for child in process.supervisor.children.values()
        if child.state not in ("up", "quarantined")
    ]
    if found:
        return found
    execution, risk = process.machines.execution, process.machines.risk
    assert execution is not None
    assert risk is not None
    if not execution._recovery.reconciled:
        found.append("L2 execution has not reconciled")
    if risk.trading_state is not TradingState.ACTIVE and risk.state is None:
        found.append(f"L2 risk is {risk.trading_state} without a latch")
    found += [f"L2 risk: {name}: {why}" for name, why in risk.obstacles.items()]
    day, today = risk.book.day, day_of(side.line()[0])
    if day is not None and day.day != today:
        found.append(f"L7 risk counts day {day.day}, the venue is at {today}")
    if risk.book.reserved:
        found.append(f"L3 reserved for nothing: {sorted(risk.book.reserved)}")
    return [*found, *_positions(process, side), *_books(side, path, process.config.CLIENT_ID_TAG)]


def _positions(process: Process, side: VenueSide) -> list[str]:
    """The venue's positions are in every book, and protected; nothing protects the void."""
    found: list[str] = []
    tag = process.config.CLIENT_ID_TAG
    execution, risk = process.machines.execution, process.machines.risk
    assert execution is not None
    assert risk is not None
    for symbol, position in side.exchange.account.positions.items():
        amount = position.amount
        own = [
            purpose_of(tag, algo.client_algo_id) for algo in side.exchange.ledger.open_algos(symbol)
        ]
        wanted = [Purpose.STOP, Purpose.TARGET] if amount else []
        if sorted(own) != wanted:
            found.append(f"I7 {symbol} holds {amount} with {sorted(own)}")
        held = execution.holdings.of(symbol).quantity
        if held != amount:
            found.append(f"I3 execution holds {held} {symbol}, the venue {amount}")
        known = risk.book.positions.get(symbol)
        if (known.quantity if known else Decimal(0)) != amount:
            found.append(f"I3 risk knows {known} of {symbol}, the venue {amount}")
        if known is not None and not amount:
            found.append(f"L5 {symbol} is not free: {known}")
    wallet = side.exchange.account.wallet
    if risk.book.wallet != wallet:
        found.append(f"I15 risk's wallet is {risk.book.wallet}, the venue's {wallet}")
    return found


def _books(side: VenueSide, path: Path, tag: str) -> list[str]:
    """The database equals the ledger: trades, fills, positions, journal, money."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [
            *_trades(database, side),
            *_open_rows(database, side),
            *_income(database, side),
            *_journal(database, side, tag),
            *_exits_of_the_journal(database, side, tag),
            *_orders(database, side, tag),
        ]
    finally:
        database.close()


def _trades(database: sqlite3.Connection, side: VenueSide) -> list[str]:
    ledger = side.exchange.ledger
    there = {
        (t.symbol, t.trade_id): (plain(t.quantity), plain(t.price), plain(t.commission))
        for t in ledger.trades
    }
    query = "SELECT symbol, trade_id, quantity, price, commission FROM fills"
    here = {(s, i): (plain(q), plain(p), plain(c)) for s, i, q, p, c in database.execute(query)}
    found = []
    if here != there:
        lost = [k for k in there if k not in here]
        more = [k for k in here if k not in there]
        other = [k for k in here if k in there and here[k] != there[k]]
        found.append(f"I3 fills: lost {lost}, invented {more}, different {other}")
    counted = database.execute("SELECT COUNT(*), COUNT(DISTINCT trade_id) FROM trades").fetchone()
    if counted != (len(there), len(there)):
        found.append(f"I3 trades has {counted} rows, the ledger {len(there)}")
    realized = sum((t.realized for t in ledger.trades), Decimal(0))
    paid = sum((t.commission for t in ledger.trades), Decimal(0))
    rest = sum(
        (r.amount for r in ledger.income if r.kind not in ("REALIZED_PNL", "COMMISSION")),
        Decimal(0),
    )
    if side.exchange.account.wallet != realized - paid + rest:
        found.append("I15 the venue's own money does not add up")
    booked = sum(
        (
            Decimal(p) - Decimal(c)
            for p, c in database.execute("SELECT realized_pnl, commission FROM fills")
        ),
        Decimal(0),
    )
    if booked != realized - paid:
        found.append(f"I15 booked {booked}, the venue {realized - paid} of {BALANCE}")
    return found


def _income(database: sqlite3.Connection, side: VenueSide) -> list[str]:
    """Funding and the like, also what was paid while nobody listened; not what came before us."""
    others = ("REALIZED_PNL", "COMMISSION", "TRANSFER")
    there = sorted(
        (r.kind, r.income_id, r.symbol, plain(r.amount))
        for r in side.exchange.ledger.income
        if r.kind not in others
    )
    query = "SELECT kind, transaction_id, symbol, amount FROM income WHERE kind <> 'TRANSFER'"
    here = sorted((k, i, s, plain(a)) for k, i, s, a in database.execute(query))
    return [] if here == there else [f"{UNLISTED}{here}, the venue {there}"]


def _open_rows(database: sqlite3.Connection, side: VenueSide) -> list[str]:
    here = {
        symbol: (name, plain(quantity))
        for symbol, name, quantity in database.execute(
            "SELECT symbol, side, quantity FROM positions"
        )
    }
    there = {
        p.symbol: (name, plain(abs(p.amount)))
        for p in side.exchange.account.held()
        for name in [here.get(p.symbol, ("?", ""))[0]]
    }
    return [] if here == there else [f"I3 positions: {here}, the venue {there}"]


def _journal(database: sqlite3.Connection, side: VenueSide, tag: str) -> list[str]:
    """Every order of ours has its row, and every row knows how its order ended."""
    ledger = side.exchange.ledger
    rows = {
        name: (purpose, state, symbol)
        for name, purpose, state, symbol in database.execute(
            "SELECT client_id, purpose, state, symbol FROM order_intent"
        )
    }
    sent = {o.client_order_id for o in ledger.orders} | {
        a.client_algo_id for a in ledger.algo_orders
    }
    found = [
        f"I8 {name} has no journal row"
        for name in sorted(sent)
        if purpose_of(tag, name) is Purpose.ENTRY and name not in rows
    ]
    for name, (purpose, state, symbol) in rows.items():
        if purpose == Purpose.ENTRY and state not in ENDED:
            found.append(f"L6 the entry {name} of {symbol} is still {state}")
        if purpose == Purpose.ENTRY and state == "FILLED" and name not in sent:
            found.append(f"I3 the journal says {name} filled, the venue never saw it")
        if purpose == Purpose.ENTRY and state in ("REJECTED", "NOT_SENT", "ABSENT"):
            order = ledger.order(symbol, None, name)
            if order is not None and order.executed:
                found.append(f"I3 the journal says {name} is {state}, the venue filled it")
    return found


def _exits_of_the_journal(database: sqlite3.Connection, side: VenueSide, tag: str) -> list[str]:
    """Stops, targets and exits: the journal has each where the venue has it."""
    ledger = side.exchange.ledger
    became = {o.client_order_id: {from_venue(o.status)} for o in ledger.orders}
    ended: dict[str, set[OrderState]] = {}
    for a in ledger.algo_orders:  # a repeat may bring a name twice, once the first has ended
        ended.setdefault(a.client_algo_id, set()).add(from_venue(a.status))
    there = became | ended
    query = "SELECT client_id, purpose, state FROM order_intent WHERE purpose <> 'E'"
    never = (OrderState.ABSENT, OrderState.REJECTED, OrderState.NOT_SENT)
    return [
        f"{UNLISTED_ORDER}the journal says {name} is {state}, the venue {there.get(name)}"
        for name, _, state in database.execute(query)
        if (state not in there[name] if name in there else OrderState(state) not in never)
    ]


def _orders(database: sqlite3.Connection, side: VenueSide, tag: str) -> list[str]:
    """The table of orders has every order of ours, with the status the venue has it in.

    Exits leave without waiting for their rows.  One that a process sent as it died, and that ended
    before the next one looked, nobody here knows of; its fills are found, and compared above.  Its
    name is not known either, and may be used again.
    """
    ledger = side.exchange.ledger
    there = {
        f"{o.symbol}:{o.order_id}": o.status
        for o in ledger.orders
        if purpose_of(tag, o.client_order_id) is not None
    } | {
        f"{a.symbol}:algo:{a.algo_id}": a.status
        for a in ledger.algo_orders
        if purpose_of(tag, a.client_algo_id) is not None
    }
    here = dict(database.execute("SELECT order_id, status FROM orders"))
    journal = {name for (name,) in database.execute("SELECT client_id FROM order_intent")}
    (lives,) = database.execute("SELECT count(*) FROM epochs").fetchone()
    unknown = {
        f"{a.symbol}:algo:{a.algo_id}"
        for a in ledger.algo_orders
        if lives > 1 and from_venue(a.status) in ENDED and a.client_algo_id not in journal
    }
    newest = {o.client_order_id: o.order_id for o in ledger.orders}
    unknown |= {
        f"{o.symbol}:{o.order_id}"
        for o in ledger.orders
        if lives > 1 and not o.is_open
        if o.client_order_id not in journal or newest[o.client_order_id] != o.order_id
    }
    return [
        f"{UNLISTED_ORDER}orders has {name} as {here.get(name)}, the venue {status}"
        for name, status in there.items()
        if here.get(name) != status and (name in here or name not in unknown)
    ]
