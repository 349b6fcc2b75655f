"""Risk's decisions: which proposal becomes an approval, of what size, and when nothing does."""

from dataclasses import replace
from decimal import Decimal
from typing import assert_never

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution.order_life import ENDED
from core.messages import TradingState
from core.risk.book import Book, Reserved
from core.risk.breaker import Breaker
from core.risk.policy import Policies, sizing_limits
from core.risk.review import Review
from core.risk.risk_manager import RiskManager
from core.risk.sizing import ZERO, Limits, binding, caps, reserve
from core.venue.instrument import Instrument

RiskInput = (
    m.Proposal
    | m.ExitProposal
    | m.MarkPrice
    | m.AccountUpdate
    | m.AccountSnapshot
    | m.FillBooked
    | m.PositionChanged
    | m.EntryEnded
    | m.Reconciled
    | m.ReconcilePending
    | m.RecoveredBook
    | m.StreamUp
    | m.StreamDown
    | m.StorageFailed
    | m.StorageHealed
    | m.ActorStarted
    | m.SymbolQuarantined
    | m.CorrelatedFailure
    | m.CorrelatedFailureCleared
    | m.Tick
    | m.VenueHealth
    | m.InstrumentChanged
)
RiskOutput = m.Decision | m.Approval | m.ExitApproval | m.StateChanged | m.DayLedger

_DECIDED_KEPT = 1_000


class RiskMachine:
    """The only gate.  Rules run in a fixed order; the first failed one names the refusal.

    State: the book, the latched state, what currently forbids entries, generations of the
    symbols, and the last decision per symbol for those who ask why nothing happens.
    """

    def __init__(
        self,
        *,
        policies: Policies,
        managers: dict[str, RiskManager],
        instruments: dict[str, Instrument],
        interval_ns: int,
    ) -> None:
        account = policies.for_symbol(next(iter(instruments)))  # its own limits have no overrides
        self.book = Book(count_foreign=account.COUNT_FOREIGN)
        self.last_decision: dict[str, m.Decision] = {}
        self._breaker = Breaker(account)
        self._begun = False
        self._policies = policies
        self._managers = managers  # one a symbol: overrides may differ
        self._instruments = instruments
        self._interval_ns = interval_ns
        self._obstacles: dict[str, str] = {"reconciling": "start-up"}
        self._generations: dict[str, int] = {}
        self._quarantined: dict[str, str] = {}
        self._decided: dict[str, None] = {}  # proposal ids, oldest first
        self._leverage = {s: Decimal(str(policies.for_symbol(s).LEVERAGE)) for s in instruments}

    @property
    def state(self) -> m.StateChanged | None:
        """Return the latched state; None if nothing is latched."""
        return self._breaker.state

    @property
    def trading_state(self) -> TradingState:
        """Return what is let through now."""
        if "reconciling" in self._obstacles:
            return TradingState.RECONCILING
        return self._breaker.trading_state

    def day_limit(self) -> Decimal:
        """Return the loss that ends the day, quote units; 0 while the day is unknown."""
        return self._breaker.day_limit(self.book)

    def handle(self, message: RiskInput, now: Moment) -> tuple[RiskOutput, ...]:
        """Return what follows from a message."""
        match message:
            case m.Proposal():
                return self._review(message, now)
            case m.ExitProposal():
                return self._review_exit(message)
            case m.MarkPrice():
                self.book.marks[message.symbol] = message
            case m.PositionChanged():
                self.book.place(message, now)
            case m.EntryEnded():
                self.book.reserved.pop(message.proposal_id, None)
            case m.VenueHealth() | m.InstrumentChanged():
                pass
            case m.FillBooked() | m.AccountUpdate() | m.AccountSnapshot():
                return self._money(message, now)
            case m.Tick():
                return self._look(now)
            case m.RecoveredBook():
                return self._recover(message)
            case m.CorrelatedFailure():
                return self._breaker.reduce(message.reason, now)
            case m.CorrelatedFailureCleared():
                return self._breaker.clear_reduce(message.reason, now)
            case _:
                self._note(message)
        return ()

    def _note(
        self,
        message: m.Reconciled
        | m.ReconcilePending
        | m.StreamUp
        | m.StreamDown
        | m.StorageFailed
        | m.StorageHealed
        | m.ActorStarted
        | m.SymbolQuarantined,
    ) -> None:
        """Keep what forbids entries, and what no longer does."""
        match message:
            case m.ReconcilePending():
                self._obstacles["reconciling"] = message.reason
            case m.Reconciled():
                self._obstacles.pop("reconciling", None)
            case m.StreamDown():
                self._obstacles[f"stream_{message.stream}"] = message.reason
            case m.StreamUp():
                self._obstacles.pop(f"stream_{message.stream}", None)
            case m.StorageFailed():
                self._obstacles["storage"] = message.reason
            case m.StorageHealed():
                self._obstacles.pop("storage", None)
            case m.ActorStarted():
                self._generations[message.symbol] = message.generation
                self._quarantined.pop(message.symbol, None)
            case m.SymbolQuarantined():
                self._quarantined[message.symbol] = message.reason
            case _:
                assert_never(message)

    # ------------------------------------------------------------------ entries
    def _review(self, proposal: m.Proposal, now: Moment) -> tuple[RiskOutput, ...]:
        review = Review(proposal, now)
        self._check_standing(proposal, review)
        self._check_freshness(proposal, review, now)
        self._check_room(proposal, review)
        limits = self._limits(proposal.symbol)
        found: tuple[tuple[str, Decimal], ...] = ()
        quantity = ZERO
        if review.passed and self.book.wallet is not None:
            found, quantity = self._size(proposal, limits, review)
        decision = review.decide(found, quantity)
        self.last_decision[proposal.symbol] = decision
        self._remember(proposal.proposal_id)
        if not decision.approved:
            return (decision,)
        policy = self._policies.for_symbol(proposal.symbol)
        reservation = reserve(quantity, proposal.price, limits)
        self.book.reserved[proposal.proposal_id] = Reserved(
            symbol=proposal.symbol, side=proposal.side, reservation=reservation
        )
        approval = m.Approval(
            proposal=proposal,
            decision=decision,
            quantity=quantity,
            stop_pct=limits.stop_pct,
            target_pct=Decimal(str(policy.TAKE_PROFIT_PCT)),
            reservation=reservation,
            approved_at_wall_ns=now.wall_ns,
        )
        ledger = self._count_entry()
        return (decision, approval, *ledger)

    def _check_standing(self, proposal: m.Proposal, review: Review) -> None:
        """State, fence, permission, validity, duplicates."""
        symbol = proposal.symbol
        for name, reason in self._obstacles.items():
            review.rule(name, reason, "no obstacle", passed=False)
        state = self.trading_state
        review.rule("state", state, TradingState.ACTIVE, passed=state is TradingState.ACTIVE)
        current = self._generations.get(symbol, 0)
        review.rule(
            "fenced",
            proposal.generation,
            f"generation {current}",
            passed=proposal.generation == current,
        )
        review.rule(
            "quarantined",
            self._quarantined.get(symbol, "no"),
            "no",
            passed=symbol not in self._quarantined,
        )
        review.rule("symbol", symbol, "configured", passed=symbol in self._instruments)
        if symbol in self._instruments:
            policy, manager = self._policies.for_symbol(symbol), self._managers[symbol]
            worth = manager.validate_trade_parameters(
                proposal.side, proposal.strength, proposal.confidence
            )
            said = "technical-only" if proposal.confidence is None else f"{proposal.confidence:.2f}"
            review.rule(
                "signal",
                f"strength {proposal.strength:.2f}, confidence {said}",
                f"strength {policy.MIN_SIGNAL_STRENGTH}, confidence {policy.MIN_ML_CONFIDENCE}",
                passed=worth,
            )
        review.rule(
            "duplicate",
            proposal.proposal_id,
            "new",
            passed=proposal.proposal_id not in self._decided,
        )

    def _check_freshness(self, proposal: m.Proposal, review: Review, now: Moment) -> None:
        """No entry on old or contradicting prices."""
        age_ns = now.venue_ns - proposal.kline_close_ns
        limit_ns = self._interval_ns // 2
        review.rule(
            "stale_kline",
            f"{age_ns / NS_PER_S:.1f} s after its close",
            f"{limit_ns / NS_PER_S:.1f} s (venue time)",
            passed=-NS_PER_S <= age_ns <= limit_ns,
        )
        policy = self._policies.for_symbol(proposal.symbol)
        mark = self.book.marks.get(proposal.symbol)
        age_s = now.wall_age_ns(mark.event_ns) / NS_PER_S if mark is not None else float("inf")
        review.rule(
            "stale_mark",
            f"{age_s:.1f} s",
            f"{policy.MARK_MAX_AGE_S} s",
            passed=age_s <= policy.MARK_MAX_AGE_S,
        )
        if mark is not None:
            apart = abs(proposal.price - mark.price) / mark.price
            review.rule(
                "collar",
                f"{apart:.5f}",
                f"{policy.COLLAR_PCT}",
                passed=apart <= Decimal(str(policy.COLLAR_PCT)),
            )

    def _check_room(self, proposal: m.Proposal, review: Review) -> None:
        """Slots, balance, the day's loss."""
        symbol, book = proposal.symbol, self.book
        taken = symbol in book.positions or any(r.symbol == symbol for r in book.reserved.values())
        review.rule("position_open", "yes" if taken else "no", "no", passed=not taken)
        manager = self._managers.get(symbol)
        if manager is None:
            return
        used, policy = book.slots_used(), self._policies.for_symbol(symbol)
        review.rule(
            "slots_full",
            f"{used} of {policy.MAX_OPEN_POSITIONS} slots",
            f"{policy.MAX_OPEN_POSITIONS}",
            passed=manager.check_open_positions_limit(used),
        )
        balance = float(book.wallet) if book.wallet is not None else float("nan")
        review.rule(
            "low_balance",
            f"{balance:.2f}",
            f"{policy.MIN_BALANCE_THRESHOLD}",
            passed=manager.check_balance_threshold(balance),
        )
        manager.day_start_equity = float(book.day.equity_start) if book.day is not None else None
        pnl = float(book.day_pnl())
        review.rule(
            "day_loss",
            f"{pnl:.2f}",
            f"-{float(self.day_limit()):.2f}",
            passed=book.day is not None and manager.check_daily_loss_limit(pnl),
        )

    def _limits(self, symbol: str) -> Limits:
        return sizing_limits(
            self._policies.for_symbol(symbol),
            symbol,
            self._instruments.get(symbol),
            day_limit=self.day_limit(),
            lost_today=self.book.lost_today(),
        )

    def _size(
        self, proposal: m.Proposal, limits: Limits, review: Review
    ) -> tuple[tuple[tuple[str, Decimal], ...], Decimal]:
        """Size the entry: formula, caps, rounding down, the venue's minimum."""
        policy = self._policies.for_symbol(proposal.symbol)
        instrument = self._instruments[proposal.symbol]
        wallet = self.book.wallet or ZERO
        balance = min(wallet, wallet + self.book.unrealized())
        formula = self._managers[proposal.symbol].calculate_position_size(
            float(balance),
            policy.RISK_PER_TRADE,
            float(proposal.price),
            float(instrument.quantity_min),
        )
        raw = Decimal(str(formula))
        cost = 2 * limits.taker_fee + limits.gap
        found = caps(
            raw=raw,
            balance=balance,
            price=proposal.price,
            sign=proposal.side.sign,
            exposure=self.book.exposure(self._leverage, cost),
            limits=limits,
        )
        name, smallest = binding(found, policy.SIZING_MODE)
        if policy.SIZING_MODE != "clip" and smallest < raw:
            review.rule("sizing", f"{name} allows {smallest:f}", f"raw {raw:f}", passed=False)
        quantity = instrument.round_quantity_down(smallest)
        fits = quantity >= instrument.quantity_min and instrument.notional_ok(
            quantity, proposal.price, Decimal(str(policy.MIN_NOTIONAL_MULT))
        )
        review.rule(
            "below_minimum",
            f"{name} allows {quantity:f}",
            f"quantity {instrument.quantity_min:f}, notional {instrument.min_notional:f}"
            f" x {policy.MIN_NOTIONAL_MULT}",
            passed=fits,
        )
        return found, quantity

    def _remember(self, proposal_id: str) -> None:
        self._decided[proposal_id] = None
        if len(self._decided) > _DECIDED_KEPT:
            del self._decided[next(iter(self._decided))]

    def _count_entry(self) -> tuple[m.DayLedger, ...]:
        if self.book.day is None:
            return ()
        self.book.day = replace(self.book.day, entries=self.book.day.entries + 1)
        return (self.book.day,)

    def _review_exit(self, proposal: m.ExitProposal) -> tuple[RiskOutput, ...]:
        """Let an exit pass: exits are exempt from everything except validity."""
        position = self.book.positions.get(proposal.symbol)
        current = self._generations.get(proposal.symbol, 0)
        if position is None or position.foreign or proposal.generation != current:
            return ()
        return (
            m.ExitApproval(
                symbol=proposal.symbol,
                proposal_id=proposal.proposal_id,
                reason="the strategy said CLOSE",
            ),
        )

    # ------------------------------------------------------------------ money, day, state
    def _money(
        self, message: m.FillBooked | m.AccountUpdate | m.AccountSnapshot, now: Moment
    ) -> tuple[RiskOutput, ...]:
        book, before = self.book, self.book.day
        match message:
            case m.FillBooked():
                book.book_fill(message, now)
            case m.AccountUpdate():
                book.book_account(message, now)
            case m.AccountSnapshot():
                book.check_wallet(message, now)
        return (book.day,) if book.day is not None and book.day is not before else ()

    def _look(self, now: Moment) -> tuple[RiskOutput, ...]:
        """Judge the day, once wallet and positions speak of the same moment."""
        return self._breaker.judge(self.book, now) if self.book.quiet(now) else ()

    def _recover(self, recovered: m.RecoveredBook) -> tuple[RiskOutput, ...]:
        """Start from what the database holds; positions follow from execution.

        Comes again whenever execution restarts.  Day and latches are then older than ours, since
        only we write them; but approvals that died with execution's inbox are in no journal, so
        the reservations are the journal's.
        """
        if not self._begun:
            self._begun = True
            self.book.day = recovered.day
            self._breaker.restore(recovered.state)
        for intent, _ in recovered.intents:
            self._remember(intent.proposal_id)
        self.book.reserved = {
            intent.proposal_id: Reserved(
                symbol=intent.symbol, side=intent.side, reservation=intent.reservation
            )
            for intent, state in recovered.intents
            if intent.reservation is not None and state not in ENDED
        }
        return ()
