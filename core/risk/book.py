"""What risk knows of the account: positions, reservations, marks, wallet, and the trading day."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment, day_of
from core.risk.day import (
    PAID_IN,
    PEAK,
    Income,
    base_of,
    guessed,
    lived_through,
    reckoned,
    with_base,
)
from core.risk.sizing import ZERO, Exposure

# Order events and account events of one fill arrive one after the other; in between, a loss would
# be counted in the wallet and in the position.  Equity is judged only after this much silence.
_QUIET_NS = 250 * NS_PER_MS
_SNAPSHOT_MARGIN_NS = NS_PER_S
_LIVED_NS = 5 * NS_PER_S  # looked at equity so shortly before midnight: we saw the day begin
_TRANSFER_SETTLES_NS = 60 * NS_PER_S  # until the venue's list of income shows a transfer
_BOOKED_KEPT = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """An approved entry whose outcome is not known yet."""

    symbol: str
    side: m.Side
    reservation: m.Reservation


@dataclass(slots=True)
class Book:
    """The account as risk sees it.  All amounts in the quote asset, Decimal."""

    count_foreign: bool = True  # foreign positions take slots and exposure
    positions: dict[str, m.PositionChanged] = field(default_factory=dict)
    reserved: dict[str, Reserved] = field(default_factory=dict)  # by proposal id
    marks: dict[str, m.MarkPrice] = field(default_factory=dict)
    marks_moved_wall_ns: dict[str, int] = field(default_factory=dict)  # when each last changed
    wallet: Decimal | None = None
    wallet_event_ns: int = 0  # venue time of the newest account event
    wallet_heard_wall_ns: int = 0  # when it was heard
    account_wall_ns: int | None = None  # as of when the account's state is known
    available: Decimal | None = None  # of the newest snapshot
    day: m.DayLedger | None = None
    yesterday: m.DayLedger | None = None  # late fills still belong to it
    peak: Decimal = ZERO  # equity that drawdown counts from
    looked_wall_ns: int = 0  # when equity was last looked at
    income: Income | None = None
    transfer_wall_ns: int = 0  # when a transfer was last heard of
    moved_wall_ns: int = 0  # when money last moved
    booked: dict[tuple[str, int] | m.AccountUpdate, None] = field(default_factory=dict)

    # ------------------------------------------------------------------ positions and prices
    def place(self, position: m.PositionChanged, now: Moment) -> None:
        """Take in a position; a flat one that is not busy is forgotten."""
        self.moved_wall_ns = now.wall_ns
        if position.quantity == ZERO:
            self._forget_base(position.symbol)
        if position.quantity == ZERO and not position.busy:
            self.positions.pop(position.symbol, None)
        else:
            self.positions[position.symbol] = position

    def hear_mark(self, mark: m.MarkPrice, now: Moment) -> None:
        """Take in a mark price, and whether it is another than before."""
        before = self.marks.get(mark.symbol)
        if before is None or before.price != mark.price:
            self.marks_moved_wall_ns[mark.symbol] = now.wall_ns
        self.marks[mark.symbol] = mark

    def mark_of(self, symbol: str, fallback: Decimal) -> Decimal:
        """Return the newest mark price of a symbol, or the fallback."""
        mark = self.marks.get(symbol)
        return mark.price if mark is not None else fallback

    def unrealized(self) -> Decimal:
        """Return the open P&L of all positions at mark."""
        return sum(
            (
                p.quantity * (self.mark_of(p.symbol, p.entry_price) - p.entry_price)
                for p in self.positions.values()
            ),
            ZERO,
        )

    def equity(self) -> Decimal | None:
        """Return wallet plus open P&L; None while the wallet is unknown."""
        return None if self.wallet is None else self.wallet + self.unrealized()

    def quiet(self, now: Moment) -> bool:
        """Tell whether wallet and positions speak of the same moment."""
        return now.wall_ns - self.moved_wall_ns > _QUIET_NS

    # ------------------------------------------------------------------ what is at stake
    def counted(self) -> tuple[m.PositionChanged, ...]:
        """Return the positions that take slots and exposure."""
        held = self.positions.values()
        return tuple(p for p in held if self.count_foreign or not p.foreign)

    def slots_used(self) -> int:
        """Count positions (foreign ones too) and reservations, each symbol once."""
        open_now = {p.symbol for p in self.counted() if p.quantity != ZERO}
        return len(open_now | {r.symbol for r in self.reserved.values()})

    def day_if_stopped(
        self, p: m.PositionChanged, leverage: Decimal, exit_cost: Decimal
    ) -> Decimal:
        """Return a position's part in the day's P&L if its stop fills, fees and gap included.

        Without a confirmed stop it loses all that backs it, its isolated margin.
        """
        base = base_of(self.day, p.symbol, p.entry_price)
        if p.stop_price is None:
            return p.quantity * (p.entry_price - base) - abs(p.quantity) * p.entry_price / leverage
        notional = abs(p.quantity) * self.mark_of(p.symbol, p.entry_price)
        return p.quantity * (p.stop_price - base) - notional * exit_cost

    def exposure(self, leverage: Mapping[str, Decimal], exit_cost: Decimal) -> Exposure:
        """Sum up what is open and reserved.

        `leverage` by symbol; `exit_cost` is the fee and gap per notional that a stop-out adds.
        """
        gross = net = at_risk = drift = margin = reserved = ZERO
        by_symbol: dict[str, Decimal] = {}
        for p in self.counted():
            multiple = leverage.get(p.symbol, Decimal(1))
            notional = p.quantity * self.mark_of(p.symbol, p.entry_price)
            gross += abs(notional)
            net += notional
            margin += abs(p.quantity) * p.entry_price / multiple
            by_symbol[p.symbol] = notional
            stopped = self.day_if_stopped(p, multiple, exit_cost)
            at_risk += max(ZERO, -stopped)
            drift += stopped
        for r in self.reserved.values():
            notional = r.side.sign * r.reservation.notional
            gross += abs(notional)
            net += notional
            by_symbol[r.symbol] = by_symbol.get(r.symbol, ZERO) + notional
            reserved += r.reservation.margin
            at_risk += r.reservation.risk
            drift -= r.reservation.risk
        free = max(ZERO, (self.wallet or ZERO) - margin)
        return Exposure(
            gross=gross,
            net=net,
            at_risk=at_risk,
            drift=drift,
            margin_free=free if self.available is None else min(free, self.available),
            margin_reserved=reserved,
            by_symbol=by_symbol,
        )

    # ------------------------------------------------------------------ the day
    def roll_day(self, now: Moment) -> bool:
        """Start the venue's new UTC day if it has come; lazy, idempotent, never backwards."""
        equity, today = self.equity(), day_of(now.venue_ns)
        if equity is None or self.wallet is None:
            return False
        seen = self.day is not None and now.wall_ns - self.looked_wall_ns <= _LIVED_NS
        self.looked_wall_ns = now.wall_ns
        if self.day is not None and today <= self.day.day:
            return False
        self.yesterday = self.day
        if seen:
            open_now = (p for p in self.positions.values() if p.quantity != ZERO)
            marks = ((p.symbol, self.mark_of(p.symbol, p.entry_price)) for p in open_now)
            self.day = lived_through(today, equity, self.wallet, marks)
        elif self.income is not None and self.income.day == today:
            self.day = self._reckoned(self.income)
        else:
            held = self.positions.values()
            self.day = guessed(today, equity, self.yesterday, held, self.marks)
        if self.peak > ZERO:
            self._keep_peak()
        return True

    def may_hide_a_loss(self) -> bool:
        """Tell whether the day's start was guessed, and below all equity that was known before.

        What is missing may have been withdrawn, or lost today.
        """
        day, before = self.day, self.yesterday
        if day is None or before is None or day.wallet_start != ZERO:
            return False
        return day.equity_start < (before.equity_min or before.equity_start)

    def day_pnl(self) -> Decimal:
        """Return the day's P&L, realised and open, with fees and funding; 0 while unknown."""
        equity = self.equity()
        if equity is None or self.day is None:
            return ZERO
        return equity - self.day.equity_start - self.day.transfers

    def realized_today(self) -> Decimal:
        """Return what the day has gained or lost for good.

        Open profit does not count, it may be gone at the stop.  Wallet and fills tell the same
        loss one after the other; the lower of the two is believed.
        """
        day = self.day
        if day is None or self.wallet is None:
            return ZERO
        carried = sum(
            (
                p.quantity * (base_of(day, p.symbol, p.entry_price) - p.entry_price)
                for p in self.positions.values()
            ),
            ZERO,
        )
        by_wallet = self.wallet - day.equity_start - day.transfers + carried
        return min(by_wallet, day.realized - day.fees + day.funding)

    def lost_today(self) -> Decimal:
        """Return what the day has lost for good, at least 0: what its budget is short of."""
        return max(ZERO, -self.realized_today())

    def note_extremes(self, equity: Decimal, step: Decimal) -> None:
        """Follow equity's peak and the day's low; the ledger once they moved by `step` of it."""
        day = self.day
        self.peak = max(self.peak, equity)
        if day is None:
            return
        low = min(day.equity_min or equity, equity)
        stored = base_of(day, PEAK, ZERO)
        if self.peak - stored > stored * step or day.equity_min - low > equity * step:
            self.day = replace(day, equity_min=low, bases=with_base(day.bases, PEAK, self.peak))

    def forgive_drawdown(self) -> None:
        """Count the drawdown anew from the equity of now: a person has seen the old one."""
        equity = self.equity()
        if equity is not None:
            self.peak = equity
            self._keep_peak()

    def _keep_peak(self) -> None:
        if self.day is not None:
            self.day = replace(self.day, bases=with_base(self.day.bases, PEAK, self.peak))

    def _forget_base(self, symbol: str) -> None:
        if self.day is not None and any(name == symbol for name, _ in self.day.bases):
            self.day = replace(self.day, bases=with_base(self.day.bases, symbol, None))

    # ------------------------------------------------------------------ money
    def check_account(self, account: m.AccountSnapshot, now: Moment) -> None:
        """Take in a snapshot's balance, unless the stream may have told a newer one.

        A snapshot is some requests old when it arrives, so events heard since then, with a margin,
        are newer; and it never outdates an event, whatever our clock made of its time.
        """
        taken_wall_ns = min(now.wall_ns, now.wall_ns - now.wall_age_ns(account.at_ns))
        quiet = self.quiet(now)
        self.available = account.available_balance
        self.account_wall_ns = max(self.account_wall_ns or 0, taken_wall_ns)
        if self.wallet is not None and (
            self.wallet_heard_wall_ns >= taken_wall_ns - _SNAPSHOT_MARGIN_NS
        ):
            return
        if self.wallet != account.wallet_balance:
            self.wallet = account.wallet_balance
            self.moved_wall_ns = now.wall_ns
        if account.earned_today is not None and account.transfers_today is not None:
            income = Income(
                day=day_of(account.at_ns),
                wallet=account.wallet_balance,
                earned=account.earned_today,
                transfers=account.transfers_today,
            )
            self._take_income(income, now, quiet=quiet)

    def _take_income(self, income: Income, now: Moment, *, quiet: bool) -> None:
        """Believe the venue's own sums: of transfers, and of the wallet that the day began with.

        We saw the day begin, but may have been deaf: a fill of which nobody had told us yet was
        yesterday's.  `quiet`: nothing has moved of late, so list and wallet know of the same.
        """
        self.income, day = income, self.day
        if day is None or day.day != income.day:
            return
        paid_in = base_of(day, PAID_IN, ZERO)
        transfers = income.transfers - paid_in
        start = income.wallet - income.earned - transfers
        if day.wallet_start == ZERO:
            known = self._reckoned(income)
            self.day = replace(
                day,
                equity_start=known.equity_start,
                wallet_start=known.wallet_start,
                transfers=known.transfers,
                bases=with_base(known.bases, PEAK, self.peak) if self.peak else known.bases,
            )
        elif day.transfers != transfers and (
            now.wall_ns - self.transfer_wall_ns > _TRANSFER_SETTLES_NS
        ):
            self._move_peak(transfers - day.transfers)
            self.day = replace(self.day or day, transfers=transfers)
        elif day.transfers == transfers and day.wallet_start != start and quiet:
            moved = start - day.wallet_start
            self.day = replace(day, wallet_start=start, equity_start=day.equity_start + moved)

    def _reckoned(self, income: Income) -> m.DayLedger:
        first = self.yesterday is None
        return reckoned(income, self.positions.values(), self.marks, first=first)

    def _move_peak(self, transferred: Decimal) -> None:
        """Let the peak follow a transfer: a withdrawal is no drawdown."""
        if self.peak > ZERO:
            self.peak = max(ZERO, self.peak + transferred)
            self._keep_peak()

    def book_fill(self, fill: m.FillBooked, now: Moment) -> tuple[m.DayLedger, ...] | None:
        """Add a fill to the day it happened on; None if it was counted before.

        Its P&L is the venue's, from the entry; a position carried over midnight counts from its
        base.  Returns yesterday's ledger if the fill is a late one of yesterday.
        """
        if not self._is_new((fill.symbol, fill.trade_id)):
            return None
        self.moved_wall_ns = now.wall_ns
        day = day_of(fill.at_ns)
        if self.day is not None and day == self.day.day:
            self.day = _booked(self.day, fill, fill.realized_pnl - self._of_yesterday(fill))
        elif self.yesterday is not None and day == self.yesterday.day:
            self.yesterday = _booked(self.yesterday, fill, fill.realized_pnl)
            return (self.yesterday,)
        return ()

    def _of_yesterday(self, fill: m.FillBooked) -> Decimal:
        """Return the part of a fill's P&L that its position had at midnight."""
        held = self.positions.get(fill.symbol)
        if held is None or held.quantity * fill.side.sign >= ZERO:
            return ZERO
        closed = min(fill.quantity, abs(held.quantity)) * -fill.side.sign
        return closed * (base_of(self.day, fill.symbol, held.entry_price) - held.entry_price)

    def book_account(self, update: m.AccountUpdate, now: Moment) -> None:
        """Take in a wallet balance unless a newer one is known, and why it changed, once.

        Funding is a cost of the day; a transfer is no gain or loss, and moves no limit.
        """
        if not self._is_new(update):
            return
        if update.event_ns >= self.wallet_event_ns:
            self.wallet, self.wallet_event_ns = update.wallet_balance, update.event_ns
            self.wallet_heard_wall_ns = self.moved_wall_ns = now.wall_ns
            self.account_wall_ns = now.wall_ns
        if self.day is None:
            return
        if update.reason == "FUNDING_FEE":
            if day_of(update.event_ns) < self.day.day:
                return
            self.day = replace(self.day, funding=self.day.funding + update.balance_change)
        elif update.reason != "ORDER" and update.balance_change != ZERO:
            self.transfer_wall_ns = now.wall_ns
            self._move_peak(update.balance_change)
            moved = self.day.transfers + update.balance_change
            self.day = replace(self.day, transfers=moved)

    def _is_new(self, key: tuple[str, int] | m.AccountUpdate) -> bool:
        """Tell whether this was not booked before, and remember it."""
        if key in self.booked:
            return False
        self.booked[key] = None
        if len(self.booked) > _BOOKED_KEPT:
            del self.booked[next(iter(self.booked))]
        return True


def _booked(day: m.DayLedger, fill: m.FillBooked, pnl: Decimal) -> m.DayLedger:
    return replace(day, realized=day.realized + pnl, fees=day.fees + fill.commission)
