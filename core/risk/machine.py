"""Risk's decisions: which proposal becomes an approval, of what size, and when nothing does.

The rules stand in `core/risk/gate.py`, in the order they are asked; what is latched, and by whom,
in `latches.py` and `commands.py`; the money in `book.py`, `day.py` and `sizing.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from core import messages as m
from core.clock import Moment
from core.execution.order_life import ENDED
from core.messages import TradingState
from core.risk.book import Book, Reserved
from core.risk.breaker import Breaker
from core.risk.case import Account, Case
from core.risk.commands import Commands
from core.risk.correlation import Returns
from core.risk.day import PEAK, base_of
from core.risk.gate import AFTER_SIZING, BEFORE_SIZING
from core.risk.latches import ACCOUNT, Latches, stricter
from core.risk.mail import RiskInput, RiskOutput
from core.risk.policy import Policies, sizing_limits
from core.risk.review import Review
from core.risk.risk_manager import RiskManager
from core.risk.sizing import ZERO, Limits, binding, caps, reserve
from core.risk.standing import Note, Standing
from core.risk.tempo import Entries, Signals
from core.risk.trips import Trips
from core.venue.instrument import Instrument

_DECIDED_KEPT = 1_000


class RiskMachine:
    """The only gate.  Rules run in a fixed order; the first failed one names the refusal.

    State: the book, the latches, what currently forbids entries, generations of the symbols, how
    often they traded and how they moved, and the last decision per symbol for those who ask why
    nothing happens.
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
        self._latches = Latches()
        self._breaker = Breaker(account, self._latches)
        self._begun = False
        self._policies = policies
        self._managers = managers  # one a symbol: overrides may differ
        self._instruments = dict(instruments)  # ours: the venue may change its rules
        self._standing = Standing()
        self._entries = Entries()
        self._trips = Trips()
        self._decided: dict[str, None] = {}  # proposal ids, oldest first
        self._account = Account(
            book=self.book,
            standing=self._standing,
            latches=self._latches,
            entries=self._entries,
            signals=Signals(interval_ns),
            trips=self._trips,
            returns=Returns(bars=account.CORRELATION_BARS, interval_ns=interval_ns),
            leverage={s: Decimal(str(policies.for_symbol(s).LEVERAGE)) for s in instruments},
            interval_ns=interval_ns,
        )
        self._commands = Commands(
            policies=policies,
            latches=self._latches,
            standing=self._standing,
            book=self.book,
            entries=self._entries,
            signals=self._account.signals,
            trips=self._trips,
        )

    # ------------------------------------------------------------------ for those who ask
    @property
    def state(self) -> m.StateChanged | None:
        """Return what is latched for the account; None if nothing is."""
        return self._latches.states.get(ACCOUNT)

    @property
    def symbol_states(self) -> dict[str, m.StateChanged]:
        """Return what is latched for single symbols."""
        return {s: state for s, state in self._latches.states.items() if s != ACCOUNT}

    @property
    def trading_state(self) -> TradingState:
        """Return what is let through now."""
        latched = self._latches.state_of()
        if "reconciling" in self._standing.obstacles and latched is TradingState.ACTIVE:
            return TradingState.RECONCILING
        return latched

    def trading_state_of(self, symbol: str) -> TradingState:
        """Return what is let through for a symbol: the stricter of its own and the account's."""
        return stricter(self.trading_state, self._latches.state_of(symbol))

    @property
    def obstacles(self) -> dict[str, str]:
        """Return what forbids entries while it lasts, by name, and why."""
        return self._standing.obstacles

    def state_is_recorded(self, symbol: str = ACCOUNT) -> bool:
        """Tell whether the newest state of the account or a symbol is on disk.

        A command is acknowledged only then; it was obeyed before.
        """
        return self._latches.is_recorded(symbol)

    def day_limit(self) -> Decimal:
        """Return the loss that ends the day, quote units; 0 while the day is unknown."""
        return self._breaker.day_limit(self.book)

    def leverage_of(self, symbol: str) -> Decimal:
        """Return the leverage of a symbol's positions."""
        return self._account.leverage[symbol]

    def limits_of(self, symbol: str) -> Limits:
        """Return the numbers that size an entry of a symbol now."""
        return sizing_limits(
            self._policies.for_symbol(symbol),
            symbol,
            self._instruments.get(symbol),
            day_limit=self.day_limit(),
            lost_today=self.book.lost_today(),
            gained_today=max(ZERO, self.book.realized_today()),
        )

    # ------------------------------------------------------------------ history in one go
    def take_closes(self, symbol: str, first_bar: int, closes: Sequence[float]) -> None:
        """Take in closes of consecutive bars, numbered since 1970, as `ClosedKline` one by one."""
        self._account.returns.take_run(symbol, first_bar, closes)

    def take_rhythm(self, symbol: str, first: int, recent: Sequence[int], older: float) -> None:
        """Go on from a rhythm of wishes that was followed elsewhere (`core/risk/tempo.py`)."""
        self._account.signals.resume(symbol, first_bar=first, recent=recent, older=older)

    # ------------------------------------------------------------------ messages
    def handle(self, message: RiskInput, now: Moment) -> tuple[RiskOutput, ...]:
        """Return what follows from a message."""
        match message:
            case m.Proposal():
                return self._review(message, now)
            case m.ExitProposal():
                return self._review_exit(message)
            case m.FillBooked() | m.AccountUpdate() | m.AccountSnapshot() | m.PositionChanged():
                return self._money(message, now)
            case m.Tick():
                return self._look(now)
            case m.Halt():
                return self._commands.halt(message, now)
            case m.Flatten():
                return self._commands.flatten(message, now)
            case m.Pause():
                return self._commands.pause(message, now)
            case m.Resume():
                return self._commands.resume(message, now)
            case m.OrderFailed():
                return self._commands.order_failed(message, now)
            case m.ProtectionFailed():
                return self._commands.protection_failed(message, now)
            case m.CorrelatedFailure():
                return self._commands.reduce(message, now)
            case m.CorrelatedFailureCleared():
                return self._commands.clear_reduce(message, now)
            case m.RecoveredBook():
                return self._recover(message, now)
            case _:
                self._learn(message, now)
                return ()

    def _learn(
        self,
        message: Note
        | m.MarkPrice
        | m.ClosedKline
        | m.KlineHistory
        | m.EntryEnded
        | m.InstrumentChanged
        | m.StateRecorded,
        now: Moment,
    ) -> None:
        """Take in what changes our knowledge and asks for no answer."""
        match message:
            case m.MarkPrice():
                self.book.hear_mark(message, now)
            case m.ClosedKline():
                self._account.returns.take(message.symbol, message.candle)
            case m.KlineHistory():
                self._account.returns.take_history(message.symbol, message.candles)
            case m.EntryEnded():
                self.book.reserved.pop(message.proposal_id, None)
            case m.StateRecorded():
                self._latches.note_recorded(message.state)
            case m.InstrumentChanged():
                self._instruments.pop(message.symbol, None)
                if message.instrument is not None:
                    self._instruments[message.symbol] = message.instrument
            case _:
                self._standing.note(message)

    # ------------------------------------------------------------------ entries
    def _review(self, proposal: m.Proposal, now: Moment) -> tuple[RiskOutput, ...]:
        self._account.signals.note(proposal.symbol, proposal.kline_close_ns)
        case = self._case(proposal, now)
        for rule in BEFORE_SIZING:
            rule(case)
        if case.review.passed and self.book.wallet is not None:
            self._size(case)
            for rule in AFTER_SIZING:
                rule(case)
        decision = case.review.decide()
        self.last_decision[proposal.symbol] = decision
        self._remember(proposal.proposal_id)
        if not decision.approved:
            return (decision, *self._commands.throttle(decision, now))
        approval = self._approve(case, decision)
        return (decision, approval, *self._count_entry())

    def _case(self, proposal: m.Proposal, now: Moment) -> Case:
        symbol = proposal.symbol
        policy, instrument = self._policies.for_symbol(symbol), self._instruments.get(symbol)
        return Case(
            proposal=proposal,
            now=now,
            review=Review(proposal, now),
            account=self._account,
            policy=policy,
            manager=self._managers.get(symbol),
            instrument=instrument,
            state=self.trading_state,
            duplicate=proposal.proposal_id in self._decided,
            limits=self.limits_of(symbol),
        )

    def _size(self, case: Case) -> None:
        """Size the entry: formula, caps, rounding down."""
        proposal, policy, instrument = case.proposal, case.policy, case.instrument
        assert instrument is not None
        formula = self._managers[proposal.symbol].calculate_position_size(
            float(case.balance),
            policy.RISK_PER_TRADE,
            float(proposal.price),
            float(instrument.quantity_min),
        )
        raw = Decimal(str(formula))
        found = caps(
            raw=raw,
            balance=case.balance,
            price=proposal.price,
            sign=proposal.side.sign,
            held=case.exposure.by_symbol.get(proposal.symbol, ZERO),
            correlated=Decimal(str(case.shock.room)),
            exposure=case.exposure,
            limits=case.limits,
        )
        name, smallest = binding(found, policy.SIZING_MODE)
        if policy.SIZING_MODE != "clip" and smallest < raw:
            said = f"{name} allows {smallest:f}"
            case.review.rule("sizing", said, f"raw {raw:f}", passed=False)
        case.review.size(found, name, instrument.round_quantity_down(smallest))

    def _approve(self, case: Case, decision: m.Decision) -> m.Approval:
        """Reserve at once what the entry may cost, then give leave."""
        proposal, limits, quantity = case.proposal, case.limits, decision.quantity
        reservation = reserve(quantity, proposal.price, limits)
        self.book.reserved[proposal.proposal_id] = Reserved(
            symbol=proposal.symbol, side=proposal.side, reservation=reservation
        )
        self._entries.note(proposal.symbol, proposal.side, quantity, case.now)
        return m.Approval(
            proposal=proposal,
            decision=decision,
            quantity=quantity,
            stop_pct=limits.stop_pct,
            target_pct=Decimal(str(case.policy.TAKE_PROFIT_PCT)),
            reservation=reservation,
            approved_at_wall_ns=case.now.wall_ns,
        )

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
        current = self._standing.generations.get(proposal.symbol, 0)
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
        self,
        message: m.FillBooked | m.AccountUpdate | m.AccountSnapshot | m.PositionChanged,
        now: Moment,
    ) -> tuple[RiskOutput, ...]:
        book = self.book
        before = book.day
        out: tuple[RiskOutput, ...] = ()
        match message:
            case m.FillBooked():
                late = book.book_fill(message, now)
                if late is None:
                    return ()
                out = (*late, *self._commands.streak(self._trips.note(message), now))
            case m.AccountUpdate():
                book.book_account(message, now)
            case m.AccountSnapshot():
                book.check_account(message, now)
            case m.PositionChanged():
                book.place(message, now)
        changed = book.day is not None and book.day is not before
        return (*((book.day,) if changed and book.day is not None else ()), *out)

    def _look(self, now: Moment) -> tuple[RiskOutput, ...]:
        """Judge day and drawdown, once wallet and positions speak of the same moment."""
        if not (self.book.quiet(now) and self._standing.reconciled_once):
            return ()
        return self._breaker.judge(self.book, now)

    def _recover(self, recovered: m.RecoveredBook, now: Moment) -> tuple[RiskOutput, ...]:
        """Start from what the database holds; positions follow from execution.

        Comes again whenever execution restarts.  Day, latches, streaks and counts are then older
        than ours, since only we write them; but approvals that died with execution's inbox are in
        no journal, so the reservations are the journal's.
        """
        if not self._begun:
            self._begun = True
            self.book.day, self.book.yesterday = recovered.day, recovered.day_before
            self.book.peak = base_of(recovered.day, PEAK, recovered.peak_equity)
            for stored in (recovered.state, *recovered.symbol_states):
                if stored is not None:
                    self._latches.restore(stored)
            self._trips.restore(recovered)
            self._commands.restore(recovered.rests, now)
            self._entries.restore(recovered.entries)
            self._account.signals.restore(recovered.wishes)
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
