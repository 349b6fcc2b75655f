"""What risk knows of the account: positions, reservations, marks, wallet, and the trading day."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment, day_of
from core.risk.sizing import ZERO, Exposure

# Order events and account events of one fill arrive one after the other; in between, a loss would
# be counted in the wallet and in the position.  Equity is judged only after this much silence.
_QUIET_NS = 250 * NS_PER_MS
_SNAPSHOT_MARGIN_NS = NS_PER_S
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
    wallet: Decimal | None = None
    wallet_event_ns: int = 0  # venue time of the newest account event
    wallet_heard_wall_ns: int = 0  # when it was heard
    day: m.DayLedger | None = None
    moved_wall_ns: int = 0  # when money last moved
    booked: dict[tuple[str, int] | m.AccountUpdate, None] = field(default_factory=dict)

    def place(self, position: m.PositionChanged, now: Moment) -> None:
        """Take in a position; a flat one that is not busy is forgotten."""
        self.moved_wall_ns = now.wall_ns
        if position.quantity == ZERO and not position.busy:
            self.positions.pop(position.symbol, None)
        else:
            self.positions[position.symbol] = position

    def check_wallet(self, account: m.AccountSnapshot, now: Moment) -> None:
        """Take in a snapshot's balance, unless the stream may have told a newer one.

        A snapshot is some requests old when it arrives, so events heard since then, with a margin,
        are newer; and it never outdates an event, whatever our clock made of its time.
        """
        asked_wall_ns = now.wall_ns - now.wall_age_ns(account.at_ns) - _SNAPSHOT_MARGIN_NS
        if self.wallet is not None and self.wallet_heard_wall_ns >= asked_wall_ns:
            return
        if self.wallet != account.wallet_balance:
            self.wallet = account.wallet_balance
            self.moved_wall_ns = now.wall_ns

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

    def _counted(self) -> tuple[m.PositionChanged, ...]:
        """Return the positions that take slots and exposure."""
        held = self.positions.values()
        return tuple(p for p in held if self.count_foreign or not p.foreign)

    def slots_used(self) -> int:
        """Count positions (foreign ones too) and reservations, each symbol once."""
        open_now = {p.symbol for p in self._counted() if p.quantity != ZERO}
        return len(open_now | {r.symbol for r in self.reserved.values()})

    def exposure(self, leverage: Mapping[str, Decimal], cost: Decimal) -> Exposure:
        """Sum up what is open and reserved.

        `leverage` by symbol; `cost` is fees and gap per notional that a stop-out adds.  A position
        without a confirmed stop counts as at risk with its whole margin.
        """
        gross = net = at_risk = margin = reserved = ZERO
        for p in self._counted():
            mark = self.mark_of(p.symbol, p.entry_price)
            notional = abs(p.quantity) * mark
            gross += notional
            net += p.quantity * mark
            margin += abs(p.quantity) * p.entry_price / leverage.get(p.symbol, Decimal(1))
            if p.stop_price is None:
                loss = notional / leverage.get(p.symbol, Decimal(1))
            else:
                loss = p.quantity * (p.entry_price - p.stop_price) + notional * cost
            at_risk += max(ZERO, loss)
        for r in self.reserved.values():
            gross += r.reservation.notional
            net += r.side.sign * r.reservation.notional
            reserved += r.reservation.margin
            at_risk += r.reservation.risk
        return Exposure(
            gross=gross,
            net=net,
            at_risk=at_risk,
            margin_free=max(ZERO, (self.wallet or ZERO) - margin),
            margin_reserved=reserved,
        )

    def roll_day(self, now: Moment) -> bool:
        """Start the venue's new UTC day if it has come; lazy, idempotent, never backwards."""
        equity, today = self.equity(), day_of(now.venue_ns)
        if equity is None or (self.day is not None and today <= self.day.day):
            return False
        self.day = m.DayLedger(
            day=today,
            equity_start=equity,
            realized=ZERO,
            fees=ZERO,
            funding=ZERO,
            entries=0,
            halted=False,
        )
        return True

    def day_pnl(self) -> Decimal:
        """Return the day's P&L, realised and open, with fees and funding; 0 while unknown."""
        equity = self.equity()
        if equity is None or self.day is None:
            return ZERO
        return equity - self.day.equity_start

    def lost_today(self) -> Decimal:
        """Return what the day has lost for good, at least 0: what its budget is short of.

        Open profit does not count, it may be gone at the stop.  Wallet and fills tell the same loss
        one after the other; the larger one is believed.
        """
        if self.day is None or self.wallet is None:
            return ZERO
        booked = self.day.realized - self.day.fees + self.day.funding
        return max(ZERO, self.day.equity_start - self.wallet, -booked)

    def book_fill(self, fill: m.FillBooked, now: Moment) -> None:
        """Add a fill, once, to the day it happened on, if that is today."""
        if not self._is_new((fill.symbol, fill.trade_id)):
            return
        self.moved_wall_ns = now.wall_ns
        if self.day is not None and day_of(fill.at_ns) == self.day.day:
            self.day = replace(
                self.day,
                realized=self.day.realized + fill.realized_pnl,
                fees=self.day.fees + fill.commission,
            )

    def book_account(self, update: m.AccountUpdate, now: Moment) -> None:
        """Take in a wallet balance unless a newer one is known, and why it changed, once.

        Funding is a cost of the day; a transfer moves the day's start, it is no gain or loss.
        """
        if not self._is_new(update):
            return
        if update.event_ns >= self.wallet_event_ns:
            self.wallet, self.wallet_event_ns = update.wallet_balance, update.event_ns
            self.wallet_heard_wall_ns = self.moved_wall_ns = now.wall_ns
        if self.day is None:
            return
        if update.reason == "FUNDING_FEE":
            self.day = replace(self.day, funding=self.day.funding + update.balance_change)
        elif update.reason != "ORDER" and update.balance_change != ZERO:
            start = self.day.equity_start + update.balance_change
            self.day = replace(self.day, equity_start=start)

    def _is_new(self, key: tuple[str, int] | m.AccountUpdate) -> bool:
        """Tell whether this was not booked before, and remember it."""
        if key in self.booked:
            return False
        self.booked[key] = None
        if len(self.booked) > _BOOKED_KEPT:
            del self.booked[next(iter(self.booked))]
        return True
