"""Slots, balance, the day's loss, and what must hold of the sized entry (C1-C4, C14, C22, C23)."""

from decimal import Decimal

from core.clock import day_of
from core.risk.case import Case
from core.risk.liquidation import liquidation_distance
from core.risk.sizing import ZERO


def position_open(case: Case) -> None:
    """One position a symbol; nothing is added to it."""
    symbol, book = case.proposal.symbol, case.book
    taken = symbol in book.positions or any(r.symbol == symbol for r in book.reserved.values())
    case.review.rule("position_open", "yes" if taken else "no", "no", passed=not taken)


def slots(case: Case) -> None:
    """C4: open, reserved, in flight and foreign positions together."""
    if case.manager is None:
        return
    used, most = case.book.slots_used(), case.policy.MAX_OPEN_POSITIONS
    free = case.manager.check_open_positions_limit(used)
    case.review.rule("slots_full", f"{used} of {most} slots", f"{most}", passed=free)


def balance(case: Case) -> None:
    """A balance worth trading."""
    if case.manager is None:
        return
    wallet = case.book.wallet
    money = float(wallet) if wallet is not None else float("nan")
    enough = case.manager.check_balance_threshold(money)
    least = case.policy.MIN_BALANCE_THRESHOLD
    case.review.rule("low_balance", f"{money:.2f}", f"{least}", passed=enough)


def day_loss(case: Case) -> None:
    """C14: the day has begun, by venue time, and has not lost its limit, as far as is known."""
    if case.manager is None:
        return
    book, day = case.book, case.book.day
    case.manager.day_start_equity = float(day.equity_start) if day is not None else None
    pnl = float(book.day_pnl())
    begun = day is not None and day_of(case.now.venue_ns) <= day.day and not book.may_hide_a_loss()
    case.review.rule(
        "day_loss",
        f"{pnl:.2f}" if begun else "the venue's day is not reckoned yet",
        f"-{float(case.limits.day_limit):.2f}",
        passed=begun and case.manager.check_daily_loss_limit(pnl),
    )


# ---------------------------------------- of the sized entry
def correlated(case: Case) -> None:
    """What is held and the new one, hit by a common shock, lose no more than a part of equity."""
    wish, policy, shock = case.proposal, case.policy, case.shock
    with_whom = ", ".join(
        f"{name} {'unknown' if value is None else f'{value:+.2f}'}"
        for name, value in shock.partners
    )
    room = Decimal(str(shock.room))
    case.review.rule(
        "correlated_exposure",
        f"a shock of {policy.CORRELATION_SHOCK} deviations costs {shock.loss:.2f} USDT now and"
        f" leaves room for {room:.2f} of {wish.symbol} {wish.side}"
        f" (it moves with {with_whom or 'nothing held'})",
        f"{policy.MAX_CORRELATED_X} x equity = {float(case.balance) * policy.MAX_CORRELATED_X:.2f}",
        passed=policy.SIZING_MODE == "literal" or _fits(case, room / wish.price),
    )


def minimum(case: Case) -> None:
    """C23: rounded down, it is still large enough for the venue."""
    assert case.instrument is not None
    listed, quantity = case.instrument, case.review.quantity
    case.review.rule(
        "below_minimum",
        f"{case.review.binding} allows {quantity:f}",
        f"quantity {listed.quantity_min:f}, notional {listed.min_notional:f}"
        f" x {case.policy.MIN_NOTIONAL_MULT}",
        passed=_fits(case, quantity),
    )


def order_size(case: Case) -> None:
    """C1: the final order against its limits, reckoned anew: sizing itself may be wrong."""
    assert case.instrument is not None
    quantity, wish = case.review.quantity, case.proposal
    largest = case.limits.quantity_max
    notional = quantity * wish.price
    most = max(ZERO, case.balance) * Decimal(str(case.policy.MAX_ORDER_NOTIONAL_X))
    case.review.rule(
        "order_size",
        f"{quantity:f}, notional {notional:.2f}",
        f"{largest:f}, notional {most:.2f}",
        passed=quantity <= largest and notional <= most,
    )


def liquidation(case: Case) -> None:
    """C22: the stop lies well inside the liquidation price."""
    assert case.instrument is not None
    wish, limits = case.proposal, case.limits
    if case.review.quantity <= ZERO:
        return
    distance = liquidation_distance(
        case.instrument, wish.side, case.review.quantity, wish.price, limits.leverage
    )
    stop = wish.price * limits.stop_pct
    least = stop * Decimal(str(case.policy.LIQ_DISTANCE_MIN))
    case.review.rule(
        "liquidation_distance",
        f"{distance:.4f} from the entry, {distance / stop:.2f} stop distances",
        f"{case.policy.LIQ_DISTANCE_MIN} stop distances",
        passed=distance >= least,
    )


def _fits(case: Case, quantity: Decimal) -> bool:
    """Tell whether the venue takes this quantity, rounded down to its step."""
    assert case.instrument is not None
    within = min(max(ZERO, quantity), case.instrument.market_quantity_max)
    rounded = case.instrument.round_quantity_down(within)
    return rounded >= case.instrument.quantity_min and case.instrument.notional_ok(
        rounded, case.proposal.price, Decimal(str(case.policy.MIN_NOTIONAL_MULT))
    )
