"""Whether anything may open at all, whether this symbol may, and whether the wish is valid."""

from core.clock import NS_PER_MS
from core.messages import TradingState
from core.risk.case import Case
from core.risk.latches import ACCOUNT, causes

_HOUR_MS = 3_600_000


def obstacles(case: Case) -> None:
    """Nothing opens while reconciling, without streams, or while the database takes no writes."""
    for name, reason in case.account.standing.obstacles.items():
        case.review.rule(name, reason, "no obstacle", passed=False)


def state(case: Case) -> None:
    """C8, C14, C15: the account's latched state."""
    told = case.account.latches.states.get(ACCOUNT)
    why = f"{case.state} ({told.reason})" if told is not None else case.state
    active = case.state is TradingState.ACTIVE
    case.review.rule("state", why, TradingState.ACTIVE, passed=active)


def symbol_state(case: Case) -> None:
    """C6, C8, C17, C19: the symbol's own latches; the code is the oldest cause."""
    told = case.account.latches.states.get(case.proposal.symbol)
    if told is None:
        case.review.rule("symbol_state", TradingState.ACTIVE, TradingState.ACTIVE, passed=True)
    else:
        why = f"{told.state} ({told.reason})"
        case.review.rule(causes(told)[0], why, "no latch", passed=False)


def fence(case: Case) -> None:
    """Only the current generation of a symbol may wish."""
    current = case.account.standing.generations.get(case.proposal.symbol, 0)
    given = case.proposal.generation
    case.review.rule("fenced", given, f"generation {current}", passed=given == current)


def quarantine(case: Case) -> None:
    """A symbol that crashed too often only closes."""
    why = case.account.standing.quarantined.get(case.proposal.symbol)
    case.review.rule("quarantined", why or "no", "no", passed=why is None)


def pause(case: Case) -> None:
    """C17: a symbol rests after its stop could not be had, or the venue lacked margin for it."""
    left_s, why = case.account.standing.pause_left(case.proposal.symbol, case.now)
    said = f"{left_s:.0f} s left ({why})" if left_s > 0 else "none"
    case.review.rule("cooldown", said, "none", passed=left_s <= 0)


def symbol(case: Case) -> None:
    """C20: only what is configured is traded."""
    known = case.manager is not None
    case.review.rule("symbol", case.proposal.symbol, "configured", passed=known)


def listing(case: Case) -> None:
    """C20: a perpetual in USDT that is being traded and not about to be delisted."""
    if case.manager is None:
        return
    listed = case.instrument
    if listed is None:
        case.review.rule("not_listed", "not listed", "listed", passed=False)
        return
    trading = listed.status == "TRADING"
    case.review.rule("not_trading", listed.status, "TRADING", passed=trading)
    kind = f"{listed.contract_type} in {listed.quote_asset}"
    case.review.rule("contract", kind, "PERPETUAL in USDT", passed=kind == "PERPETUAL in USDT")
    if listed.delivery_ms > 0:
        left_h = (listed.delivery_ms - case.now.venue_ns // NS_PER_MS) / _HOUR_MS
        guard_h = case.policy.DELIST_GUARD_H
        case.review.rule(
            "delisting", f"in {left_h:.1f} h", f"{guard_h} h", passed=left_h >= guard_h
        )


def signal(case: Case) -> None:
    """C19: strong and confident enough, and finite."""
    if case.manager is None:
        return
    wish, policy = case.proposal, case.policy
    worth = case.manager.validate_trade_parameters(wish.side, wish.strength, wish.confidence)
    said = "technical-only" if wish.confidence is None else f"{wish.confidence:.2f}"
    case.review.rule(
        "signal",
        f"strength {wish.strength:.2f}, confidence {said}",
        f"strength {policy.MIN_SIGNAL_STRENGTH}, confidence {policy.MIN_ML_CONFIDENCE}",
        passed=worth,
    )
