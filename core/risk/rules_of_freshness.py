"""No entry on old, frozen or contradicting data (C5, C13, C16, C18).  Exits are not asked."""

from decimal import Decimal

from core.clock import NS_PER_S
from core.risk.case import Case

_AHEAD_S = 1.0  # how far a clock may be off before an event counts as from the future
_HEALTH_MAX_AGE_S = 5.0  # it is told every second


def kline(case: Case) -> None:
    """The candle decided on closed less than half an interval ago, by venue time."""
    age_ns = case.now.venue_ns - case.proposal.kline_close_ns
    limit_ns = case.account.interval_ns // 2
    case.review.rule(
        "stale_kline",
        f"{age_ns / NS_PER_S:.1f} s after its close",
        f"{limit_ns / NS_PER_S:.1f} s (venue time)",
        passed=-NS_PER_S <= age_ns <= limit_ns,
    )


def mark(case: Case) -> None:
    """A mark price of now: neither old nor from the future."""
    told, limit_s = case.mark, case.policy.MARK_MAX_AGE_S
    age_s = case.now.wall_age_ns(told.event_ns) / NS_PER_S if told is not None else float("inf")
    case.review.rule("stale_mark", f"{age_s:.1f} s", f"{limit_s} s", passed=age_s <= limit_s)
    case.review.rule("future_mark", f"{age_s:.1f} s", f"-{_AHEAD_S} s", passed=age_s >= -_AHEAD_S)


def frozen_mark(case: Case) -> None:
    """A mark that stands still while others move is a broken feed, not a calm market."""
    moved = case.book.marks_moved_wall_ns
    limit_s = case.policy.MARK_FROZEN_S
    mine = moved.get(case.proposal.symbol)
    newest = max((at for name, at in moved.items() if name != case.proposal.symbol), default=None)
    if mine is None or newest is None:
        return
    still_s = (case.now.wall_ns - mine) / NS_PER_S
    others_s = (case.now.wall_ns - newest) / NS_PER_S
    frozen = still_s > limit_s >= others_s
    case.review.rule(
        "frozen_mark",
        f"unchanged for {still_s:.1f} s, another for {others_s:.1f} s",
        f"{limit_s} s",
        passed=not frozen,
    )


def account(case: Case) -> None:
    """C13: the account's state is of now."""
    known = case.book.account_wall_ns
    age_s = (case.now.wall_ns - known) / NS_PER_S if known is not None else float("inf")
    limit_s = case.policy.ACCOUNT_MAX_AGE_S
    case.review.rule("stale_account", f"{age_s:.1f} s", f"{limit_s} s", passed=age_s <= limit_s)


def health(case: Case) -> None:
    """C16: streams speak, the clock is known.  Asked once somebody tells of it at all."""
    told = case.account.standing.health
    if told is None:
        return
    age_s = (case.now.wall_ns - told.at_wall_ns) / NS_PER_S
    fresh = age_s <= _HEALTH_MAX_AGE_S
    case.review.rule("stale_health", f"{age_s:.1f} s", f"{_HEALTH_MAX_AGE_S} s", passed=fresh)
    silent_s, silence = told.market_silent_s, case.policy.WS_SILENCE_S
    case.review.rule("silence", f"{silent_s:.1f} s", f"{silence} s", passed=silent_s <= silence)
    off_ms, most_ms = abs(told.clock_error_ms), case.policy.CLOCK_ERR_MS
    case.review.rule("clock_error", f"{off_ms} ms", f"{most_ms} ms", passed=off_ms <= most_ms)


def collar(case: Case) -> None:
    """C5: the price decided on and mark agree."""
    if case.mark is not None:
        _apart(case, "collar", case.proposal.price, case.policy.COLLAR_PCT)


def last_price(case: Case) -> None:
    """C5: the last trade and mark agree; unasked while the feed has seen no trade."""
    if case.mark is not None and case.mark.last_price is not None:
        _apart(case, "last_price", case.mark.last_price, case.policy.MARK_LAST_DIV_PCT)


def spike(case: Case) -> None:
    """C18: a move out of all proportion must be confirmed by a mark of after the candle's close."""
    wish, returns = case.proposal, case.account.returns
    change = returns.move_of_bar(wish.symbol, wish.kline_close_ns, float(wish.price))
    if change is None:
        return
    limit = case.policy.MAX_BAR_RET
    if abs(change) > limit:  # what is far above the one limit is held against the other
        limit = max(limit, returns.spike(wish.symbol, wish.kline_close_ns))
    told = case.mark
    confirmed = (
        told is not None
        and told.event_ns >= wish.kline_close_ns
        and abs(wish.price - told.price) <= told.price * Decimal(str(case.policy.COLLAR_PCT))
    )
    case.review.rule(
        "spike",
        f"{change:+.4f}, {'confirmed' if confirmed else 'not confirmed'} by mark",
        f"{limit:.4f}",
        passed=abs(change) <= limit or confirmed,
    )


def _apart(case: Case, name: str, price: Decimal, limit: float) -> None:
    assert case.mark is not None
    apart = abs(price - case.mark.price) / case.mark.price
    passed = apart <= Decimal(str(limit))
    case.review.rule(name, f"{apart:.5f}", f"{limit}", passed=passed)
