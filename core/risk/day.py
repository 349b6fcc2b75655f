"""The trading day: where its equity started, and what is its gain, its loss, or neither.

    day P&L    equity - E0 - transfers
    realised   wallet - E0 - transfers + sum over open positions of quantity * (base - entry)

E0 is wallet plus open P&L at 00:00 UTC of the venue.  A position carried over midnight counts from
its mark at 00:00, its base: what it had gained or lost by then is in E0 already.  Both follow from
the wallet, so a fill that nobody told us of is still counted.  Source: reliability reference, D.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from core import messages as m
from core.risk.sizing import ZERO

# The base under the empty symbol: the equity that drawdown counts from (`DayLedger.bases`).
PEAK = ""
# And what had been paid in, net, on an account's first day before we first saw it: it is where its
# day starts from, while what is paid in later moves no limit.
PAID_IN = "+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """What the venue says was earned and moved since 00:00 of a day; `wallet` is of that moment."""

    day: int
    wallet: Decimal
    earned: Decimal
    transfers: Decimal


def lived_through(
    day: int, equity: Decimal, wallet: Decimal, marks: Iterable[tuple[str, Decimal]]
) -> m.DayLedger:
    """Start a day that we saw begin: everything is known, and open positions count from mark."""
    return _ledger(day, equity, wallet=wallet, transfers=ZERO, bases=tuple(marks))


def reckoned(
    income: Income,
    positions: Iterable[m.PositionChanged],
    marks: dict[str, m.MarkPrice],
    *,
    first: bool,
) -> m.DayLedger:
    """Start a day that began without us, from the venue's income; `first`: no day before is known.

    The marks of midnight are unknown, so the worse is assumed: an open gain is yesterday's, an open
    loss is today's.
    """
    paid_in = income.transfers if first else ZERO
    wallet = income.wallet - income.earned - income.transfers + paid_in
    gains = _open_gains(positions, marks)
    equity = wallet + sum((gain for _, _, gain in gains), ZERO)
    bases = tuple((symbol, price) for symbol, price, _ in gains)
    if paid_in != ZERO:
        bases = with_base(bases, PAID_IN, paid_in)
    transfers = income.transfers - paid_in
    return _ledger(income.day, equity, wallet=wallet, transfers=transfers, bases=bases)


def guessed(
    day: int,
    equity: Decimal,
    before: m.DayLedger | None,
    positions: Iterable[m.PositionChanged],
    marks: dict[str, m.MarkPrice],
) -> m.DayLedger:
    """Start a day of which nothing is known: the limit from the lowest equity known.

    What lies between that and the equity now is neither gain nor loss, so a loss counts from now.
    `wallet_start` stays 0: the ledger is replaced once the venue's income is known.
    """
    known = (before.equity_min or before.equity_start) if before is not None else equity
    start = min(equity, known)
    bases = tuple((symbol, price) for symbol, price, _ in _open_gains(positions, marks))
    return _ledger(day, start, wallet=ZERO, transfers=equity - start, bases=bases)


def base_of(day: m.DayLedger | None, symbol: str, entry: Decimal) -> Decimal:
    """Return the price that a position counts from today: its mark at 00:00, or its entry."""
    bases = day.bases if day is not None else ()
    return next((price for name, price in bases if name == symbol), entry)


def with_base(
    bases: tuple[tuple[str, Decimal], ...], name: str, price: Decimal | None
) -> tuple[tuple[str, Decimal], ...]:
    """Return the bases with one set anew, or without it."""
    kept = tuple(base for base in bases if base[0] != name)
    return kept if price is None else (*kept, (name, price))


def _open_gains(
    positions: Iterable[m.PositionChanged], marks: dict[str, m.MarkPrice]
) -> tuple[tuple[str, Decimal, Decimal], ...]:
    """Return symbol, mark and gain of each position that stands in profit."""
    found = []
    for p in positions:
        mark = marks.get(p.symbol)
        gain = p.quantity * (mark.price - p.entry_price) if mark is not None else ZERO
        if mark is not None and gain > ZERO:
            found.append((p.symbol, mark.price, gain))
    return tuple(found)


def _ledger(
    day: int,
    equity: Decimal,
    *,
    wallet: Decimal,
    transfers: Decimal,
    bases: tuple[tuple[str, Decimal], ...],
) -> m.DayLedger:
    return m.DayLedger(
        day=day,
        equity_start=equity,
        realized=ZERO,
        fees=ZERO,
        funding=ZERO,
        entries=0,
        halted=False,
        transfers=transfers,
        wallet_start=wallet,
        equity_min=equity + transfers,
        bases=bases,
    )
