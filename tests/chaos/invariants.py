"""I1 to I16 (reliability reference, B4), each a function of the evidence that says what is wrong.

An empty list means that the invariant holds.  Money is compared exactly.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from orjson import loads

from core.clock import NS_PER_MS
from core.execution.order_life import ENDED, OrderState, from_venue
from core.messages import Purpose
from tests.chaos.evidence import ZERO, Evidence, Row, held_after
from tests.chaos.limits_held import limits_hold
from tests.chaos.naked import intervals

_DAY_MS = 86_400_000
_CLOCK_MS = 200.0  # wall: how far two readings of the venue's clock may differ
_INCOME_DUE_S = 80.0  # wall: a minute between two looks, a snapshot, and its commit
_IN_FLIGHT_S = 4.0  # wall: recvWindow of an entry and a second
_ORPHAN_S = 60.0
_CLOSING_S = 0.25  # wall: the way of the order that closes after the limit
_UNANSWERED_S = 3.0  # wall: REST_TIMEOUT of the runs, and the longest fault of the swarm
# The journal's words for an order that the venue never had.
_NEVER_THERE = (OrderState.ABSENT, OrderState.REJECTED, OrderState.NOT_SENT)
# Codes that only our own rounding or a filter bug can earn.
_OUR_FAULT = ("-1111", "-1013", "-4003", "-4004", "-4005", "-4014", "-4023", "-4120", "-4164")


def one_entry_a_proposal(e: Evidence) -> list[str]:
    """I1: at most one entry a proposal for ever, and no more filled than was approved."""
    rows = {row["client_id"]: row for row in e.intents}
    seen: dict[str, str] = {}
    found = []
    for order in e.entries():
        name = order["clientOrderId"]
        proposal = rows[name]["proposal_id"] if name in rows else name.split("-")[2]
        if proposal in seen:
            found.append(f"{name} is the second entry of proposal {proposal} ({seen[proposal]})")
        seen[proposal] = name
        approved = Decimal(rows[name]["quantity"]) if name in rows else None
        if approved is not None and Decimal(order["executedQty"]) > approved:
            found.append(f"{name} filled {order['executedQty']} of {approved}")
    return found


def never_naked(e: Evidence) -> list[str]:
    """I2: no position without a live stop for longer than allowed, outside declared windows."""
    return [
        f"{n.symbol} from venue ms {n.from_ms:.0f}: no stop for {n.seconds:.1f} s"
        f" ({n.across:.1f} s with declared windows)"
        for n in intervals(e)
        if n.seconds > e.limits.naked_s + _CLOSING_S
    ]


def never_naked_under_faults(e: Evidence) -> list[str]:
    """I2, strictly: the same while faults strike, but for a request that is never answered."""
    return [
        f"{n.symbol} from venue ms {n.from_ms:.0f}: no stop for {n.under:.1f} s under faults"
        for n in intervals(e)
        if n.under > e.limits.naked_s + _UNANSWERED_S + _CLOSING_S
    ]


def books_equal(e: Evidence) -> list[str]:
    """I3: fills, positions and outcomes of entries in the database equal the ledger's."""
    there = {
        (t["symbol"], int(t["id"])): (
            int(t["orderId"]),
            t["side"],
            *(Decimal(t[k]) for k in ("qty", "price", "commission", "realizedPnl")),
        )
        for t in e.ledger["trades"]
        if t["symbol"] in e.limits.symbols
    }
    here = {
        (f["symbol"], int(f["trade_id"])): (
            int(f["order_id"]),
            f["side"],
            *(Decimal(f[k]) for k in ("quantity", "price", "commission", "realized_pnl")),
        )
        for f in e.fills
        if f["symbol"] in e.limits.symbols
    }
    found = [f"fill {k} is not in the database" for k in there if k not in here]
    found += [f"fill {k} was invented" for k in here if k not in there]
    found += [
        f"fill {k} is {here[k]}, the venue's {there[k]}"
        for k in here
        if k in there and here[k] != there[k]
    ]
    if len(e.trades) != len({t["trade_id"] for t in e.trades}) or len(e.trades) < len(here):
        found.append(f"trades has {len(e.trades)} rows for {len(here)} fills")
    return [*found, *_positions_equal(e), *_outcomes_equal(e), *_orders_equal(e)]


def _positions_equal(e: Evidence) -> list[str]:
    there = {
        p["symbol"]: Decimal(p["positionAmt"])
        for p in e.ledger["positions"]
        if Decimal(p["positionAmt"]) and p["symbol"] in e.limits.symbols
    }
    here = {
        p["symbol"]: Decimal(str(p["quantity"])) * (1 if p["side"] == "BUY" else -1)
        for p in e.positions
        if p["symbol"] in e.limits.symbols
    }
    return [] if here == there else [f"positions are {here}, the venue's {there}"]


def _outcomes_equal(e: Evidence) -> list[str]:
    orders = {o["clientOrderId"]: o for o in e.ledger["orders"]}
    found = []
    for row in e.intents:
        if row["purpose"] != Purpose.ENTRY:
            continue
        name, state, order = row["client_id"], row["state"], orders.get(row["client_id"])
        if state not in ENDED:
            found.append(f"{name} is still {state}")
        executed = Decimal(order["executedQty"]) if order is not None else ZERO
        if state == "FILLED" and not executed:
            found.append(f"the journal says {name} filled, the venue never filled it")
        if state in ("REJECTED", "NOT_SENT", "ABSENT") and executed:
            found.append(f"the journal says {name} is {state}, the venue filled {executed}")
    return found


def _orders_equal(e: Evidence) -> list[str]:
    """Compare journal and table of orders with every order of ours that the venue has.

    An exit is sent without waiting for its row: one that a dying process sent, and that ended
    before the next looked, is not known to anybody here.  Its fills are, and are compared above.
    """
    sent = {o["clientOrderId"]: {from_venue(o["status"])} for o in e.ledger["orders"]}
    sent |= {a["clientAlgoId"]: set() for a in e.ledger["algo_orders"]}
    for a in e.ledger["algo_orders"]:  # a repeat may bring a name twice, once the first has ended
        sent[a["clientAlgoId"]].add(from_venue(a["algoStatus"]))
    found = []
    for row in e.intents:
        name, state = row["client_id"], row["state"]
        if row["purpose"] == Purpose.ENTRY:
            continue
        there = sent.get(name, set())
        if state in (OrderState.SENDING, OrderState.UNKNOWN):
            found.append(f"{name} is still {state}, the venue says {_words(there)}")
        elif state not in there and (there or state not in _NEVER_THERE):
            found.append(f"the journal says {name} is {state}, the venue {_words(there)}")
    here = {row["order_id"]: row["status"] for row in e.order_table}
    there_all = {f"{o['symbol']}:{o['orderId']}": o for o in e.ledger["orders"]}
    there_all |= {f"{a['symbol']}:algo:{a['algoId']}": a for a in e.ledger["algo_orders"]}
    for number, order in there_all.items():
        name = order.get("clientOrderId") or order["clientAlgoId"]
        status = order.get("status") or order["algoStatus"]
        if e.purpose(name) is None or here.get(number) == status:
            continue
        if number not in here and _died_with_its_process(e, order):
            continue
        found.append(f"orders has {name} ({number}) as {here.get(number)}, the venue {status}")
    return found


def _words(states: set[OrderState]) -> str:
    return ", ".join(sorted(states)) or "nothing"


def _died_with_its_process(e: Evidence, order: Row) -> bool:
    last = order["history"][-1] if order["history"] else {"time": order.get("updateTime", 0)}
    over = from_venue(order.get("status") or order["algoStatus"]) in ENDED
    return over and any(w.why == "dead" and w.from_ms <= last["time"] <= w.to_ms for w in e.windows)


def nothing_acknowledged_is_lost(e: Evidence) -> list[str]:
    """I5: what was in the database, or was said to be, is there after the kill."""
    fills = {(f["symbol"], int(f["trade_id"])) for f in e.fills}
    intents = {row["client_id"] for row in e.intents}
    found = [f"fill {k} was there before" for k in sorted(e.known_fills - fills)]
    found += [f"intent {k} was there before" for k in sorted(e.known_intents - intents)]
    return found + [f"intent {k} was said to be recorded" for k in sorted(e.promised - intents)]


def only_entries_open(e: Evidence) -> list[str]:
    """I6: no order but an entry enlarges a position, none turns it, none adds to one."""
    orders = e.order_of()
    opened_by: dict[str, int] = {}
    found = []
    for trade, before, after in held_after(e):
        symbol, number = trade["symbol"], int(trade["orderId"])
        order = orders.get((symbol, number))
        purpose = e.purpose(order["clientOrderId"]) if order is not None else None
        name = order["clientOrderId"] if order is not None else f"order {number}"
        if symbol not in e.limits.symbols or name.startswith("ios_"):
            continue
        if before * after < 0:
            found.append(f"{name} turned {symbol} from {before} to {after}")
        if abs(after) > abs(before) and purpose is not Purpose.ENTRY:
            found.append(f"{name} enlarged {symbol} from {before} to {after}")
        if purpose is Purpose.ENTRY and before == ZERO:
            opened_by[symbol] = number
        elif purpose is Purpose.ENTRY and opened_by.get(symbol) != number:
            found.append(f"{name} adds to {before} {symbol}")
    return found


def no_orphans(e: Evidence) -> list[str]:
    """I7: no open order of ours without its position."""
    held = {p["symbol"] for p in e.ledger["positions"] if Decimal(p["positionAmt"])}
    now = float(e.ledger["time"])
    flat_since = {r["symbol"]: float(r["time"]) for r in e.ledger["position_history"]}
    found = []
    for algo in e.ledger["algo_orders"]:
        name, symbol = algo["clientAlgoId"], algo["symbol"]
        if e.purpose(name) is None or algo["algoStatus"] != "NEW" or symbol in held:
            continue
        since = max(flat_since.get(symbol, 0.0), float(algo["createTime"]))
        if now - since > _ORPHAN_S * 1000 * e.limits.speed or e.recovered_s:
            found.append(f"{name} protects no position of {symbol}")
    return found + [
        f"{o['clientOrderId']} rests on {o['symbol']}"
        for o in e.ledger["orders"]
        if e.purpose(o["clientOrderId"]) is not None
        and o["status"] in ("NEW", "PARTIALLY_FILLED")
        and now - float(o["time"]) > _ORPHAN_S * 1000 * e.limits.speed
    ]


def journal_first(e: Evidence) -> list[str]:
    """I8: each entry has a journal row older than itself; others' orders are left alone."""
    rows = {row["client_id"]: row for row in e.intents}
    found = []
    for order in e.entries():
        row = rows.get(order["clientOrderId"])
        if row is None:
            found.append(f"{order['clientOrderId']} has no journal row")
            continue
        ahead = row["recorded_at_venue_ns"] / NS_PER_MS - float(order["time"])
        if ahead > _CLOCK_MS * e.limits.speed:
            found.append(f"{order['clientOrderId']} was journalled {ahead:.0f} ms after it")
    for order in (*e.ledger["orders"], *e.ledger["algo_orders"]):
        name = order.get("clientOrderId") or order.get("clientAlgoId", "")
        status = order.get("status") or order.get("algoStatus")
        if name.startswith("ios_") and status == "CANCELED":
            found.append(f"{name} is another's and was cancelled")
    return found


def foreign_left_alone(e: Evidence) -> list[str]:
    """I9: a foreign position is never increased by us, and is counted."""
    found = [
        f"{order['clientOrderId']} enters {order['symbol']}, where a foreign position stands"
        for order in e.entries()
        if float(order["time"])
        > e.foreign_since_ms.get(order["symbol"], float("inf")) + 10_000 * e.limits.speed
    ]
    foreign = [p for p in e.status.get("positions", ()) if p.get("foreign")]
    if e.foreign_since_ms and e.status and not foreign:
        found.append(f"foreign positions of {sorted(e.foreign_since_ms)} are not counted")
    return found


def rates_hold(e: Evidence) -> list[str]:
    """I10: order messages in any ten wall seconds, and weight a minute, within the limits."""
    times = sorted(
        float(o.get("time") or o.get("createTime"))
        for o in (*e.ledger["orders"], *e.ledger["algo_orders"])
        if e.purpose(o.get("clientOrderId") or o.get("clientAlgoId")) is not None
    )
    span = 10_000 * e.limits.speed
    most, low = 0, 0
    for high, at in enumerate(times):
        while at - times[low] > span:
            low += 1
        most = max(most, high - low + 1)
    found = [f"{most} orders in 10 s"] if most > e.limits.orders_per_10s else []
    heaviest = max(e.weights, default=0)
    if heaviest > e.limits.weight_per_min:
        found.append(f"request weight {heaviest} in a minute")
    return found


def no_malformed_order(e: Evidence) -> list[str]:
    """I11: the venue never refuses an order for its form."""
    return [
        f"{row['client_id']}: {row['reason']}"
        for row in e.intents
        if str(row["reason"]).startswith(_OUR_FAULT) and not _rules_were_new(e, row)
    ]


def _rules_were_new(e: Evidence, row: Row) -> bool:
    """Tell whether the venue had just changed its rules: then one refusal is how one learns it."""
    at_ns = row["recorded_at_wall_ns"]
    return any(w.why == "filters" and w.wall_ns[0] <= at_ns <= w.wall_ns[1] for w in e.windows)


def comes_back(e: Evidence) -> list[str]:
    """I12: within 30 s after faults cease it is active, or says why not."""
    found = []
    if e.recovered_s > 30:
        found.append(f"recovery took {e.recovered_s:.1f} s")
    state = e.status.get("state", "")
    if state not in ("ACTIVE", "") and not e.status.get("reason"):
        found.append(f"{state} without a reason")
    found += [
        f"{a['name']} is {a['state']}"
        for a in e.status.get("actors", ())
        if a["state"] not in ("up", "quarantined")
    ]
    return found


def no_zombie_orders(e: Evidence) -> list[str]:
    """I13: no entry of an epoch once a later one has journalled its first order."""
    epoch_of = {row["client_id"]: int(row["epoch"]) for row in e.intents}
    found = []
    for order in e.entries():
        mine = epoch_of.get(order["clientOrderId"])
        later = [at for number, at in e.epochs if mine is not None and number > mine]
        if later and float(order["time"]) > min(later) + _IN_FLIGHT_S * 1000 * e.limits.speed:
            found.append(f"{order['clientOrderId']} of epoch {mine} came in a later one")
    return found


def explainable(e: Evidence) -> list[str]:
    """I14: every entry has its decision, approved, and the quantity it asked for."""
    rows = {row["client_id"]: row for row in e.intents}
    found = []
    for order in e.entries():
        row = rows.get(order["clientOrderId"])
        if row is None or not row["decision"] or not row["proposal_id"]:
            found.append(f"{order['clientOrderId']} has no decision")
        elif Decimal(row["quantity"]) != Decimal(order["origQty"]):
            found.append(f"{order['clientOrderId']} asked for {order['origQty']}")
    return found


def audit_holds(e: Evidence) -> list[str]:
    """I14, audit: the chain verifies from end to end, and so do the rows that it seals."""
    return list(e.audit_faults)


def money_adds_up(e: Evidence) -> list[str]:
    """I15: realised money and fees of the database equal the ledger's change of wallet."""
    booked = sum(
        (
            Decimal(f["realized_pnl"]) - Decimal(f["commission"])
            for f in e.fills
            if f["symbol"] in e.limits.symbols
        ),
        ZERO,
    )
    rows = e.ledger["income"]
    kinds = ("REALIZED_PNL", "COMMISSION")
    ours = [r for r in rows if r["incomeType"] in kinds and r["symbol"] in e.limits.symbols]
    earned = sum((Decimal(r["income"]) for r in ours), ZERO)
    apart = f"apart by {booked - earned}: booked {booked}, the venue {earned}"
    found = [] if booked == earned else [apart]
    wallet = next(Decimal(b["balance"]) for b in e.ledger["balances"] if b["asset"] == "USDT")
    total = sum((Decimal(r["income"]) for r in rows), ZERO)
    if wallet != total:
        found.append(f"the venue's wallet {wallet} is not its income {total}")
    return found


def days_add_up(e: Evidence) -> list[str]:
    """I15, days: a day's P&L counts from the wallet that the venue had at its midnight.

    And without what was paid in or out since; what was paid in on the first day, before the bot
    first looked, is where that day starts from.  0 stands for a start that is not known yet.  Only
    the newest day is judged: what a bot that died believed of an older one moves no limit any more.
    """
    found = []
    for day in sorted(e.days, key=lambda row: row["day"])[-1:]:
        paid_in = sum((Decimal(price) for name, price in loads(day["bases"]) if name == "+"), ZERO)
        before, moved = paid_in, -paid_in
        for row in e.ledger["income"]:
            number = int(row["time"]) // _DAY_MS
            if number < day["day"]:
                before += Decimal(row["income"])
            elif number == day["day"] and row["incomeType"] == "TRANSFER":
                moved += Decimal(row["income"])
        start, transfers = Decimal(day["wallet_start"]), Decimal(day["transfers"])
        if (start, transfers) != (before, moved):
            found.append(
                f"day {day['day']}: starts at {start}, the venue's wallet was {before};"
                f" transfers {transfers}, the venue's {moved}"
            )
    return found


def funding_is_booked(e: Evidence) -> list[str]:
    """I15, funding: what was paid while nobody listened is in the database too, each row once.

    The list is read with a snapshot, at most once a minute: what is younger is not judged yet.
    """
    due_ms = float(e.ledger["time"]) - _INCOME_DUE_S * 1000 * e.limits.speed
    paid = [r for r in e.ledger["income"] if r["incomeType"] == "FUNDING_FEE"]
    there = Counter((int(r["tranId"]), r["symbol"], Decimal(r["income"])) for r in paid)
    young = {int(r["tranId"]) for r in paid if r["time"] >= due_ms}
    here = Counter(
        (int(r["transaction_id"]), r["symbol"], Decimal(r["amount"]))
        for r in e.income
        if r["kind"] == "FUNDING_FEE"
    )
    lost = sorted(row for row in (there - here).elements() if row[0] not in young)
    invented = sorted((here - there).elements())
    return [f"funding lost {lost}, invented {invented}"] if lost or invented else []


def no_secret_left(e: Evidence) -> list[str]:
    """I16: no key, secret or token in any file the bot wrote."""
    return [f"a secret stands in {name}" for name in e.secrets]


Invariant = Callable[[Evidence], list[str]]
INVARIANTS: dict[str, Invariant] = {
    "I1": one_entry_a_proposal,
    "I2": never_naked,
    "I2 under faults": never_naked_under_faults,
    "I3": books_equal,
    "I4": limits_hold,
    "I5": nothing_acknowledged_is_lost,
    "I6": only_entries_open,
    "I7": no_orphans,
    "I8": journal_first,
    "I9": foreign_left_alone,
    "I10": rates_hold,
    "I11": no_malformed_order,
    "I12": comes_back,
    "I13": no_zombie_orders,
    "I14": explainable,
    "I14 audit": audit_holds,
    "I15": money_adds_up,
    "I15 days": days_add_up,
    "I15 funding": funding_is_booked,
    "I16": no_secret_left,
}


def violations(e: Evidence, names: Any = None) -> dict[str, list[str]]:
    """Return what is wrong, by invariant; empty if all hold."""
    chosen = INVARIANTS if names is None else {name: INVARIANTS[name] for name in names}
    found = {name: check(e) for name, check in chosen.items()}
    return {name: lines for name, lines in found.items() if lines}
