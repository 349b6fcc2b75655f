"""I4: what the bot may hold, enter and lose, judged at every trade of the venue's ledger."""

from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate

from core.messages import Purpose, TradingState
from tests.chaos.evidence import ZERO, Evidence, held_after

_DAY_MS = 86_400_000
_SLACK = Decimal("1.05")  # price between a decision and its fill
_HALT_SLACK_S = 3.0  # wall: approved before, executed after
_DAY_GAP = Decimal("0.15")  # of the wallet: what spikes of 50 % do to three positions of a quarter


def limits_hold(e: Evidence) -> list[str]:
    """I4: slots, sizes, gross, margin at every trade; no entry unless the account is ACTIVE."""
    found = []
    held: dict[str, Decimal] = {}
    worth: dict[str, Decimal] = {}
    orders = e.order_of()
    balance = _balances(e)
    for trade, _, after in held_after(e):
        symbol, at = trade["symbol"], int(trade["time"])
        held[symbol], worth[symbol] = after, abs(after) * Decimal(trade["price"])
        order = orders.get((symbol, int(trade["orderId"])))
        if order is None or e.purpose(order["clientOrderId"]) is not Purpose.ENTRY:
            continue
        equity = balance(at)
        count = sum(1 for s in e.limits.symbols if held.get(s))
        gross = sum((worth[s] for s in e.limits.symbols if held.get(s)), ZERO)
        if count > e.limits.positions_max:
            found.append(f"{order['clientOrderId']}: {count} positions at once")
        if gross > e.limits.gross_x * equity * _SLACK:
            found.append(f"{order['clientOrderId']}: {gross:.2f} held on {equity:.2f}")
        if worth[symbol] > e.limits.symbol_x * equity * _SLACK:
            found.append(f"{order['clientOrderId']}: {worth[symbol]:.2f} of one symbol")
        if gross / e.limits.leverage > e.limits.margin_usage * equity * _SLACK:
            found.append(f"{order['clientOrderId']}: margin of {gross / e.limits.leverage:.2f}")
    return [*found, *_entries_after_a_halt(e), *_beyond_the_day(e)]


def _beyond_the_day(e: Evidence) -> list[str]:
    """Judge the days' realised loss, and entries once the day's limit is lost."""
    entries = sorted((float(order["time"]), order["clientOrderId"]) for order in e.entries())
    wallet, day, began, lost, found = ZERO, -1, ZERO, ZERO, []
    spent: dict[int, float] = {}  # venue day: when its limit was lost
    for row in sorted(e.ledger["income"], key=lambda r: float(r["time"])):
        at, amount = float(row["time"]), Decimal(row["income"])
        if at // _DAY_MS != day:
            day, began, lost = at // _DAY_MS, wallet, ZERO
        wallet += amount
        if row["incomeType"] == "TRANSFER":
            began += amount
            continue
        lost -= amount
        if lost > e.limits.day_loss * began and day not in spent:
            spent[day] = at
        if lost > (e.limits.day_loss + _DAY_GAP) * began:
            found.append(f"day {day:.0f} lost {lost:.2f} of {began:.2f}")
    slack = _HALT_SLACK_S * 1000 * e.limits.speed
    return found[:1] + [
        f"{name} was accepted after the day's limit was lost"
        for at, name in entries
        if at > spent.get(at // _DAY_MS, float("inf")) + slack
    ]


def _balances(e: Evidence) -> Callable[[int], Decimal]:
    """Return what tells the wallet at a venue time: all income up to then."""
    rows = sorted((int(r["time"]), Decimal(r["income"])) for r in e.ledger["income"])
    times = [time for time, _ in rows]
    sums = [ZERO, *accumulate(amount for _, amount in rows)]
    return lambda when: sums[bisect_right(times, when)]


def _entries_after_a_halt(e: Evidence) -> list[str]:
    """Judge each entry by the states in force as it was made, whichever life had set them."""
    slack = _HALT_SLACK_S * 1000 * e.limits.speed
    found = []
    for order in e.entries():
        at = float(order["time"])
        before = [state for state, since in e.states if since + slack < at]
        meanwhile = [state for state, since in e.states if at - slack <= since <= at]
        in_force = [*before[-1:], *meanwhile]
        if before and TradingState.ACTIVE not in in_force:
            found.append(f"{order['clientOrderId']} was accepted while {in_force[-1]}")
    return found
