"""What the settings can cost at most, and where they contradict each other.  Pure.

Per symbol and entry: the formula's notional is `balance * risk / stop`; what the caps leave of it
is the effective size.  Reliability reference, sections D1 and D2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.risk.policy import Policies, RiskPolicy, sizing_limits
from core.risk.sizing import Exposure, Limits, binding, caps, reserve

_ZERO, _ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySize:
    """How large one entry of a symbol may be, quote units; `cap` names the binding limit."""

    symbol: str
    raw: Decimal  # notional of the formula alone
    notional: Decimal  # what the caps leave of it
    cap: str
    margin: Decimal  # isolated: what is lost when it is liquidated
    loss_at_stop: Decimal  # with two fees and the gap allowance
    gap: Decimal  # the gap allowance in it


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCase:
    """The sums of the largest entries, as many as there are slots; quote units."""

    balance: Decimal
    day_limit: Decimal
    slots: int
    sizes: tuple[EntrySize, ...]  # of every symbol
    gross: Decimal
    at_stops: Decimal  # every stop is hit, each with its fees and gap
    gap_slack: Decimal  # the part of it reckoned for gaps: one larger costs more than the limit
    disaster: Decimal  # every position is liquidated: the sum of isolated margins


def worst_case(policies: Policies, symbols: Sequence[str], balance: Decimal) -> WorstCase:
    """Size one entry per symbol at this balance with nothing open, and add the largest up."""
    account = policies.for_symbol(symbols[0])
    limit = balance * Decimal(str(account.DAILY_MAX_LOSS_PCT))
    slots = min(account.MAX_OPEN_POSITIONS, len(symbols))
    sizes = tuple(_size(policies.for_symbol(name), name, balance, limit) for name in symbols)
    by_loss = sorted((size.loss_at_stop for size in sizes), reverse=True)
    by_margin = sorted((size.margin for size in sizes), reverse=True)
    largest = sorted(sizes, key=lambda size: size.notional, reverse=True)[:slots]
    return WorstCase(
        balance=balance,
        day_limit=limit,
        slots=slots,
        sizes=sizes,
        gross=sum((size.notional for size in largest), _ZERO),
        at_stops=sum(by_loss[:slots], _ZERO),
        gap_slack=sum((size.gap for size in largest), _ZERO),
        disaster=sum(by_margin[:slots], _ZERO),
    )


def _size(policy: RiskPolicy, symbol: str, balance: Decimal, day_limit: Decimal) -> EntrySize:
    limits = _limits(policy, symbol, day_limit)
    raw = balance * limits.risk_per_trade / limits.stop_pct
    exposure = _free(balance)
    found = caps(
        raw=raw,
        balance=balance,
        price=_ONE,
        sign=1,
        held=_ZERO,
        correlated=_ZERO,
        exposure=exposure,
        limits=limits,
    )
    # Lots are counted in base units, which a price of 1 says nothing about; how symbols move
    # together shows only once they have moved.
    in_quote = tuple(cap for cap in found if cap[0] not in ("market_lot", "correlated"))
    name, notional = binding(in_quote, policy.SIZING_MODE)
    reserved = reserve(notional, _ONE, limits)
    return EntrySize(
        symbol=symbol,
        raw=raw,
        notional=notional,
        cap=name,
        margin=notional / limits.leverage,
        loss_at_stop=reserved.risk,
        gap=notional * limits.gap,
    )


def _free(balance: Decimal) -> Exposure:
    return Exposure(
        gross=_ZERO,
        net=_ZERO,
        at_risk=_ZERO,
        drift=_ZERO,
        margin_free=balance,
        margin_reserved=_ZERO,
    )


def _limits(policy: RiskPolicy, symbol: str, day_limit: Decimal) -> Limits:
    return sizing_limits(
        policy, symbol, None, day_limit=day_limit, lost_today=_ZERO, gained_today=_ZERO
    )


def size_lines(worst: WorstCase) -> tuple[str, ...]:
    """Say how far the formula is above what its caps leave; empty where they hardly differ."""
    groups: dict[str, list[str]] = {}
    for size in worst.sizes:
        if size.raw > 2 * size.notional:
            groups.setdefault(_size_text(size, worst.balance), []).append(size.symbol)
    if not groups:
        return ()
    whole = worst.balance
    head = f"the size formula asks for more than its caps leave; effective at {whole:,.0f} USDT:"
    rows = (f"[{', '.join(symbols)}] {text}" for text, symbols in groups.items())
    tail = (
        f"{worst.slots} at once: {worst.gross / whole:.2f} x balance; worst day"
        f" {worst.at_stops:,.2f} USDT ({worst.at_stops / whole:.1%}) if every stop is hit,"
        f" {worst.disaster:,.0f} ({worst.disaster / whole:.0%}) if every position is liquidated"
    )
    return (head, *rows, tail)


def _size_text(size: EntrySize, balance: Decimal) -> str:
    return (
        f"formula {size.raw:,.0f} ({size.raw / balance:.2f} x balance), effective"
        f" {size.notional:,.0f} ({size.notional / balance:.3f} x, {size.cap}), margin"
        f" {size.margin:,.0f}, loss at the stop {size.loss_at_stop:,.2f}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Settings that cannot all be meant; an error means that it must not trade like this."""

    error: bool
    text: str
    fix: str


def contradictions(policies: Policies, worst: WorstCase) -> tuple[Contradiction, ...]:
    """Return what cannot be meant, errors first."""
    found = [x for size in worst.sizes for x in _of_symbol(policies.for_symbol(size.symbol), size)]
    over = [size for size in worst.sizes if size.loss_at_stop > worst.day_limit]
    if over:
        text = (
            f"[{over[0].symbol}] one stop costs {over[0].loss_at_stop:,.2f} USDT, the day's limit"
            f" is {worst.day_limit:,.2f}"
        )
        fix = "set SIZING_MODE to clip, or lower RISK_PER_TRADE"
        found.append(Contradiction(error=True, text=text, fix=fix))
    if size_lines(worst):
        text = "the formula's size is far above its caps, which decide instead"
        fix = "lower RISK_PER_TRADE (0.01 fits three slots and a daily limit of 0.03)"
        found.append(Contradiction(error=False, text=text, fix=fix))
    return tuple(found)


def _of_symbol(policy: RiskPolicy, size: EntrySize) -> Iterator[Contradiction]:
    liquidation = Decimal(1) / policy.LEVERAGE  # about: maintenance margin makes it less
    if Decimal(str(policy.STOPLOSS_PCT)) >= liquidation:
        yield Contradiction(
            error=True,
            text=f"[{size.symbol}] STOPLOSS_PCT {policy.STOPLOSS_PCT:g} lies beyond liquidation,"
            f" about {liquidation:.4f} at LEVERAGE {policy.LEVERAGE}",
            fix="lower LEVERAGE or STOPLOSS_PCT",
        )
    if policy.TAKE_PROFIT_PCT <= 2 * policy.TAKER_FEE:
        yield Contradiction(
            error=True,
            text=f"[{size.symbol}] TAKE_PROFIT_PCT {policy.TAKE_PROFIT_PCT:g} does not pay two fees"
            f" of TAKER_FEE {policy.TAKER_FEE:g}",
            fix="raise TAKE_PROFIT_PCT",
        )
    if policy.SIZING_MODE == "reject" and size.notional < size.raw:
        yield Contradiction(
            error=True,
            text=f"[{size.symbol}] SIZING_MODE reject: the formula's {size.raw:,.0f} USDT exceeds"
            f" {size.cap} ({size.notional:,.0f}), no entry can pass",
            fix="set SIZING_MODE to clip, or lower RISK_PER_TRADE",
        )
