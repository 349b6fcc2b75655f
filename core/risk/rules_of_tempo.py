"""How often, and how often in vain (C6, C12, C19).  A throttle that fails is latched after."""

from core.risk.case import Case
from core.risk.latches import ENTRY_RATE, LOSS_STREAK, SIGNAL_RATE

# What the review of a wish latches for its symbol, until a person resumes it.
LATCHING = (ENTRY_RATE, LOSS_STREAK, SIGNAL_RATE)


def duplicate(case: Case) -> None:
    """C12: each wish is decided on once."""
    case.review.rule("duplicate", case.proposal.proposal_id, "new", passed=not case.duplicate)


def entries_of_hour(case: Case) -> None:
    """C6: so many entries of a symbol per venue hour."""
    limit = case.policy.MAX_ENTRIES_SYMBOL_1H
    done = case.account.entries.within_hour(case.proposal.symbol, case.now)
    case.review.rule(ENTRY_RATE, f"{done} entries in an hour", limit, passed=done < limit)


def entries_of_day(case: Case) -> None:
    """C6: so many entries of all symbols per venue day."""
    limit, day = case.policy.MAX_ENTRIES_DAY, case.book.day
    done = max(case.account.entries.of_day(case.now), day.entries if day is not None else 0)
    case.review.rule("entries_day", f"{done} entries today", limit, passed=done < limit)


def loss_streak(case: Case) -> None:
    """C6: so many round trips in a row that lost; 0 is off."""
    limit = case.policy.LOSS_STREAK_LATCH
    lost = case.account.trips.losses.get(case.proposal.symbol, 0)
    said = f"{lost} losses in a row"
    case.review.rule(LOSS_STREAK, said, limit or "off", passed=not limit or lost < limit)


def signal_rate(case: Case) -> None:
    """C19: wishes of the last hour of bars against the symbol's own norm."""
    ratio, limit = case.account.signals.ratio(case.proposal.symbol), case.policy.MAX_SIGNAL_RATIO
    said = f"{ratio:.1f} times its norm" if ratio is not None else "no norm yet"
    case.review.rule(SIGNAL_RATE, said, f"{limit}", passed=ratio is None or ratio <= limit)


def same_again(case: Case) -> None:
    """C12: not the same symbol, side and quantity twice within a short while."""
    wish, window_s = case.proposal, case.policy.DUP_WINDOW_S
    quantity = case.review.quantity
    ago_s = case.account.entries.same_again_s(wish.symbol, wish.side, quantity, case.now)
    said = f"{quantity:f} again after {ago_s:.1f} s" if ago_s is not None else "not of late"
    passed = ago_s is None or ago_s >= window_s
    case.review.rule("dup_window", said, f"{window_s} s", passed=passed)
