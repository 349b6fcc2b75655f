"""What risk knows of the account: positions, reservations, marks, wallet, and the trading day."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from core import messages as m
from core.clock import NS_PER_MS, Moment, day_of
from core.risk.sizing import ZERO, Exposure

# Order events and account events of one fill arrive one after the other; in between, a loss would
# be counted in the wallet and in the position.  Equity is judged only after this much silence.
_QUIET_NS = 250 * NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """An approved entry whose outcome is not known yet."""

    symbol: str
    side: m.Side
    reservation: m.Reservation


@dataclass(slots=True)
class Book:
    """The account as risk sees it.  All amounts in the quote asset, Decimal."""

    positions: dict[str, m.PositionChanged] = field(default_factory=dict)
    reserved: dict[str, Reserved] = field(default_factory=dict)  # by proposal id
    marks: dict[str, m.MarkPrice] = field(default_factory=dict)
    wallet: Decimal | None = None
    wallet_event_ns: int = 0
    day: m.DayLedger | None = None
    moved_wall_ns: int = 0  # when money last moved

    def place(self, position: m.PositionChanged, now: Moment) -> None:
        """Take in a position; a flat one that is not busy is forgotten."""
        self.moved_wall_ns = now.wall_ns
        if position.quantity == ZERO and not position.busy:
            self.positions.pop(position.symbol, None)
        else:
            self.positions[position.symbol] = position

    def set_wallet(self, balance: Decimal, event_ns: int, now: Moment) -> None:
        """Take in a wallet balance unless a newer one is known."""
        if event_ns >= self.wallet_event_ns:
            self.wallet, self.wallet_event_ns = balance, event_ns
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

    def slots_used(self) -> int:
        """Count positions (foreign ones too) and reservations, each symbol once."""
        open_now = {p.symbol for p in self.positions.values() if p.quantity != ZERO}
        return len(open_now | {r.symbol for r in self.reserved.values()})

    def exposure(self, leverage: Mapping[str, Decimal], cost: Decimal) -> Exposure:
        """Sum up what is open and reserved.

        `leverage` by symbol; `cost` is fees and gap per notional that a stop-out adds.  A position
        without a confirmed stop counts as at risk with its whole margin.
        """
        gross = net = at_risk = margin = ZERO
        for p in self.positions.values():
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
            margin += r.reservation.margin
            at_risk += r.reservation.risk
        return Exposure(
            gross=gross,
            net=net,
            at_risk=at_risk,
            margin_free=max(ZERO, (self.wallet or ZERO) - margin),
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

    def book_fill(self, fill: m.FillBooked) -> None:
        """Add a fill to the day it happened on, if that is today."""
        if self.day is not None and day_of(fill.at_ns) == self.day.day:
            self.day = replace(
                self.day,
                realized=self.day.realized + fill.realized_pnl,
                fees=self.day.fees + fill.commission,
            )

    def book_account(self, update: m.AccountUpdate) -> None:
        """Add funding to the day; a transfer moves the day's start, it is no gain or loss."""
        if self.day is None:
            return
        if update.reason == "FUNDING_FEE":
            self.day = replace(self.day, funding=self.day.funding + update.balance_change)
        elif update.reason != "ORDER":
            start = self.day.equity_start + update.balance_change
            self.day = replace(self.day, equity_start=start)
