"""Any sequence of events: the worst case stays within the day's limit, days only go forward."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S, Moment, day_of
from core.messages import TradingState
from core.risk.machine import RiskMachine
from tests.builders import (
    DAY,
    NOON_NS,
    WALL_NS,
    a_book,
    a_fill,
    a_flat,
    a_mark,
    a_moment,
    a_position,
    a_proposal,
    an_account,
    an_account_update,
    an_intent,
)
from tests.risk.rooms import SYMBOLS, a_risk, make_ready

STOP, EXIT_COST = Decimal("0.02"), Decimal("0.0035")
LIMIT = Decimal(300)
WIDE = {"MAX_ENTRIES_SYMBOL_1H": 10**6, "MAX_ENTRIES_DAY": 10**6, "LOSS_STREAK_LATCH": 0}
RECONCILED = m.Reconciled(reason="", report=(), foreign_positions=0, foreign_orders=0)


class Budget(RuleBasedStateMachine):
    """T-D2, T-D4, T-D5: entries, partial fills, unknown outcomes, stop-outs, restarts.

    Prices stand at 100, so each stop-out loses exactly what was reckoned with; the model keeps its
    own account of what is reserved, held and lost.
    """

    @initialize()
    def begin(self) -> None:
        self.risk = make_ready(a_risk(MAX_OPEN_POSITIONS=4, **WIDE))
        self.wallet, self.lost = Decimal(10_000), Decimal(0)
        self.reserved: dict[str, m.Approval] = {}
        self.held: dict[str, tuple[Decimal, str]] = {}
        self.number = 0

    def _now(self) -> Moment:
        """Wall time passes, so that the same order again is none; venue time stands at noon."""
        return a_moment(self.number * 11, venue_s=0)

    def _next(self) -> int:
        self.number += 1
        self.risk.handle(an_account(str(self.wallet)), self._now())
        return self.number

    @rule(symbol=st.sampled_from(SYMBOLS), side=st.sampled_from(m.Side))
    def wish(self, symbol: str, side: m.Side) -> None:
        wish = a_proposal(self._next(), symbol=symbol, side=side)
        for message in self.risk.handle(wish, self._now()):
            if isinstance(message, m.Approval):
                self.reserved[symbol] = message

    @precondition(lambda self: self.reserved)
    @rule(data=st.data(), part=st.sampled_from([Decimal("0.25"), Decimal(1)]))
    def fill(self, data: st.DataObject, part: Decimal) -> None:
        symbol = data.draw(st.sampled_from(sorted(self.reserved)))
        approval = self.reserved[symbol]
        sign = approval.proposal.side.sign
        quantity = approval.quantity * part
        self.held[symbol] = (quantity * sign, approval.proposal.proposal_id)
        self._pay(symbol, -quantity * 100 * Decimal("0.0005"), approval.proposal.side)
        position = a_position(
            str(quantity * sign), symbol, stop_price=100 * (1 - sign * STOP),
            proposal_id=approval.proposal.proposal_id,
        )  # fmt: skip
        self.risk.handle(position, self._now())
        self._end(symbol, "filled")

    @precondition(lambda self: self.reserved)
    @rule(data=st.data(), outcome=st.sampled_from(["refused", "absent", "expired", "not_sent"]))
    def drop(self, data: st.DataObject, outcome: str) -> None:
        self._end(data.draw(st.sampled_from(sorted(self.reserved))), outcome)

    def _end(self, symbol: str, outcome: str) -> None:
        approval = self.reserved.pop(symbol)
        ended = m.EntryEnded(
            proposal_id=approval.proposal.proposal_id, symbol=symbol, outcome=outcome, detail=""
        )
        self.risk.handle(ended, self._now())

    @precondition(lambda self: self.held)
    @rule(data=st.data(), gain=st.booleans())
    def close(self, data: st.DataObject, gain: bool) -> None:
        symbol = data.draw(st.sampled_from(sorted(self.held)))
        quantity, _ = self.held.pop(symbol)
        size = abs(quantity) * 100
        pnl = size * Decimal("0.0365") if gain else -size * (STOP + EXIT_COST)
        self._pay(symbol, pnl, m.Side.SELL if quantity > 0 else m.Side.BUY)
        self.risk.handle(a_flat(symbol), self._now())
        self.risk.handle(
            an_account_update(str(self.wallet), event_ns=NOON_NS + self.number), self._now()
        )

    @rule()
    def funding(self) -> None:
        """A cost from outside takes half of what is left of the limit."""
        cost = (LIMIT - self._worst()) / 2
        self.wallet -= cost
        self.lost += cost
        self._next()
        update = an_account_update(
            str(self.wallet), "FUNDING_FEE", str(-cost), event_ns=NOON_NS + self.number
        )
        self.risk.handle(update, self._now())

    def _pay(self, symbol: str, pnl: Decimal, side: m.Side) -> None:
        self.wallet += pnl
        self.lost -= pnl
        fill = a_fill(str(pnl), symbol=symbol, trade_id=self._next(), side=side)
        self.risk.handle(fill, self._now())

    @rule()
    def restart_execution(self) -> None:
        """The journal tells what is reserved: it may be UNKNOWN for ever."""
        intents = tuple(
            (
                replace(
                    an_intent(reservation=approval.reservation, symbol=symbol),
                    proposal_id=approval.proposal.proposal_id,
                    side=approval.proposal.side,
                ),
                "UNKNOWN",
            )
            for symbol, approval in self.reserved.items()
        )
        before = sum(r.reservation.risk for r in self.risk.book.reserved.values())
        self.risk.handle(a_book(intents=intents), self._now())
        assert sum(r.reservation.risk for r in self.risk.book.reserved.values()) == before

    def _worst(self) -> Decimal:
        held = sum((abs(q) * 100 * (STOP + EXIT_COST) for q, _ in self.held.values()), Decimal(0))
        reserved = sum((a.reservation.risk for a in self.reserved.values()), Decimal(0))
        return max(Decimal(0), self.lost) + held + reserved

    @invariant()
    def the_worst_case_of_all_that_is_open_never_exceeds_the_limit(self) -> None:
        assert self._worst() <= LIMIT

    @invariant()
    def slots_are_never_exceeded(self) -> None:
        assert len({*self.held, *self.reserved}) <= 4


class Days(RuleBasedStateMachine):
    """T-D6, T-D7: time goes forward and back, the bot is down for days, money moves and is lost."""

    @initialize()
    def begin(self) -> None:
        self.venue_ns, self.wall_ns = NOON_NS, WALL_NS
        self.wallet, self.events = Decimal(10_000), 0
        self.stored: m.DayLedger | None = None
        self.state: m.StateChanged | None = None
        self.highest = DAY
        self.halted_on: set[int] = set()
        self.expected: Decimal | None = None  # the day's P&L by our own account
        self.risk: RiskMachine
        self._start()

    def _start(self) -> None:
        self.risk = a_risk()
        self._tell(a_book(day=self.stored, state=self.state))
        self._tell(an_account(str(self.wallet), at_ns=self.venue_ns))
        self._tell(RECONCILED)
        self._look()

    def _tell(self, message: object) -> None:
        now = Moment(venue_ns=self.venue_ns, wall_ns=self.wall_ns)
        for told in self.risk.handle(message, now):  # type: ignore[arg-type]
            if isinstance(told, m.DayLedger):
                before = self.stored.day if self.stored is not None else None
                if before is None or told.day > before:
                    self.expected = Decimal(0)
                self.stored = told
            elif isinstance(told, m.StateChanged):
                self.state = told

    def _look(self) -> None:
        self.wall_ns += NS_PER_S
        self._tell(m.Tick())
        self.highest = max(self.highest, day_of(self.venue_ns))
        if self.risk.trading_state is TradingState.HALTED and self.stored is not None:
            self.halted_on.add(self.stored.day)

    @rule(hours=st.integers(1, 100))
    def time_passes(self, hours: int) -> None:
        self.venue_ns += hours * 3_600 * NS_PER_S
        self._look()

    @rule(hours=st.integers(1, 30))
    def the_clock_steps_back(self, hours: int) -> None:
        self.venue_ns -= hours * 3_600 * NS_PER_S
        self._look()

    @rule()
    def the_last_moment_of_a_day(self) -> None:
        self.venue_ns = (day_of(self.venue_ns) + 1) * NS_PER_DAY - 1
        self._look()
        self.venue_ns += 1
        self._look()

    @rule(pct=st.integers(-2, 2))
    def a_trade_ends(self, pct: int) -> None:
        self._money("ORDER", Decimal(pct * 50), Decimal(0))
        if self.expected is not None:
            self.expected += pct * 50

    @rule(amount=st.sampled_from([-5_000, -1_000, 1_000, 5_000]))
    def money_is_moved(self, amount: int) -> None:
        if self.wallet + amount > 1_000:
            self._money("WITHDRAW" if amount < 0 else "DEPOSIT", Decimal(amount), Decimal(amount))

    def _money(self, reason: str, change: Decimal, told: Decimal) -> None:
        self.events += 1
        self.wallet += change
        event_ns = max(self.venue_ns, NOON_NS) + self.events
        update = an_account_update(str(self.wallet), reason, str(told), event_ns)
        # An update of before a step back would be older than the newest; the venue's clock is one.
        self.risk.book.wallet_event_ns = min(self.risk.book.wallet_event_ns, event_ns)
        self._tell(update)
        self._look()

    @rule(hours=st.integers(0, 80))
    def the_process_dies_and_comes_back(self, hours: int) -> None:
        self.venue_ns += hours * 3_600 * NS_PER_S
        self.wall_ns += hours * 3_600 * NS_PER_S
        self._start()

    @invariant()
    def the_day_is_the_latest_that_was_seen(self) -> None:
        assert self.risk.book.day is not None
        assert self.risk.book.day.day == self.highest

    @invariant()
    def a_transfer_is_no_gain_or_loss(self) -> None:
        assert self.risk.book.day_pnl() == self.expected

    @invariant()
    def a_day_that_halted_stays_halted(self) -> None:
        if self.risk.book.day is not None and self.risk.book.day.day in self.halted_on:
            assert self.risk.trading_state is TradingState.HALTED

    @invariant()
    def the_limit_is_a_part_of_the_days_first_equity(self) -> None:
        assert self.risk.book.day is not None
        assert self.risk.day_limit() == self.risk.book.day.equity_start * Decimal("0.03")


class Marks(RuleBasedStateMachine):
    """A day's P&L counts from midnight whatever is carried over it, closed after it, or added."""

    @initialize()
    def begin(self) -> None:
        self.risk = make_ready(a_risk())
        self.price, self.quantity, self.wallet = Decimal(100), Decimal(0), Decimal(10_000)
        self.entry, self.days, self.trades = Decimal(100), 0, 0
        self.start = Decimal(10_000)

    def _now(self) -> Moment:
        return a_moment(self.trades * 2 + self.days, venue_s=self.days * 86_400 + self.trades)

    def _look(self) -> None:
        self.trades += 1
        self.risk.handle(m.Tick(), self._now())

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.quantity * (self.price - self.entry)

    @rule(price=st.integers(95, 105))
    def the_market_moves(self, price: int) -> None:
        self.price = Decimal(price)
        self.risk.handle(a_mark(str(price), event_ns=self._now().venue_ns), self._now())
        self._look()

    @precondition(lambda self: self.quantity == 0)
    @rule(quantity=st.sampled_from([-5, 5]))
    def a_position_opens(self, quantity: int) -> None:
        self.quantity, self.entry = Decimal(quantity), self.price
        position = a_position(
            str(quantity),
            entry_price=self.price,
            stop_price=self.price - (2 if quantity > 0 else -2),
        )
        self.risk.handle(position, self._now())
        self._look()

    @precondition(lambda self: self.quantity != 0)
    @rule()
    def it_closes(self) -> None:
        pnl = self.quantity * (self.price - self.entry)
        side = m.Side.SELL if self.quantity > 0 else m.Side.BUY
        fill = a_fill(
            str(pnl), trade_id=1_000 + self.trades, side=side, quantity=abs(self.quantity),
            price=self.price, at_ns=self._now().venue_ns,
        )  # fmt: skip
        self.quantity, self.wallet = Decimal(0), self.wallet + pnl
        self.risk.handle(fill, self._now())
        self.risk.handle(a_flat(), self._now())
        update = an_account_update(str(self.wallet), event_ns=self._now().venue_ns)
        self.risk.handle(update, self._now())
        self._look()

    @rule()
    def midnight_passes(self) -> None:
        self._look()
        self.start = self.equity
        self.days += 1
        self._look()

    @invariant()
    def the_days_profit_is_what_equity_gained_since_midnight(self) -> None:
        assert self.risk.book.day_pnl() == self.equity - self.start

    @invariant()
    def what_is_realised_and_what_is_open_make_up_the_day(self) -> None:
        book = self.risk.book
        base = dict(book.day.bases).get("BTCUSDT", self.entry) if book.day else self.entry
        day_open = self.quantity * (self.price - base)
        assert book.realized_today() == self.equity - self.start - day_open


for machine in (Budget, Days, Marks):
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBudget = Budget.TestCase
TestDays = Days.TestCase
TestMarks = Marks.TestCase
