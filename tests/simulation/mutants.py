"""Seeded bugs: each replaces one method of the real code while a simulation runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from actors.mailbox import Mailbox
from actors.persistence import PersistenceActor
from actors.supervisor import SupervisorActor
from core import messages as m
from core.execution import reconcile
from core.execution.adoption import Adoption
from core.execution.bracket import LegState, Phase
from core.execution.entry import Entries
from core.execution.holdings import Holdings
from core.execution.order_life import OrderState
from core.execution.protection import Protection
from core.execution.recovery import Recovery
from core.messages import Failure, Purpose
from core.risk import machine as risk_machine
from core.risk.book import Book
from core.risk.machine import RiskMachine
from core.risk.risk_manager import RiskManager
from core.routes import Lane

Change = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Mutant:
    """`changes` maps (class or module, name of a method) to what makes the wrong one of it."""

    name: str
    breaks: tuple[str, ...]  # the invariants that may tell
    changes: dict[tuple[Any, str], Change]

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Put the bug into the code, and take it out again."""
        originals = {place: getattr(*place) for place in self.changes}
        raw = {(owner, name): vars(owner)[name] for owner, name in self.changes}
        for (owner, name), change in self.changes.items():
            setattr(owner, name, change(originals[owner, name]))
        try:
            yield
        finally:
            for (owner, name), value in raw.items():
                setattr(owner, name, value)


# ---------------------------------------- fences
def _execution_believes(original: Callable[..., Any]) -> Callable[..., Any]:
    def refusal(self: Entries, approval: m.Approval, now: Any) -> str:
        proposal = approval.proposal
        self.generations[proposal.symbol] = proposal.generation
        return str(original(self, approval, now))

    return refusal


def _journal_believes(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(self: Entries, recorded: m.IntentRecorded, now: Any) -> Any:
        bracket = self._of(recorded.client_id)
        if bracket is not None and bracket.entry is not None:
            self.generations[bracket.symbol] = bracket.entry.generation
        return original(self, recorded, now)

    return recorded


def _risk_believes(original: Callable[..., Any]) -> Callable[..., Any]:
    def standing(self: RiskMachine, proposal: m.Proposal, review: Any) -> None:
        self._generations[proposal.symbol] = proposal.generation
        original(self, proposal, review)

    return standing


# ---------------------------------------- entries
def _resends(original: Callable[..., Any]) -> Callable[..., Any]:
    def failed(self: Entries, bracket: Any, failure: m.OrderFailed, now: Any) -> Any:
        if failure.failure is not Failure.UNKNOWN or bracket.phase is not Phase.SENT:
            return original(self, bracket, failure, now)
        return (_entry(bracket.entry),)

    return failed


def _entry(intent: m.Intent) -> m.PlaceOrder:
    return m.PlaceOrder(
        client_id=intent.client_id,
        symbol=intent.symbol,
        purpose=Purpose.ENTRY,
        side=intent.side,
        quantity=intent.quantity,
        reduce_only=False,
    )


def _sends_at_once(original: Callable[..., Any]) -> Callable[..., Any]:
    def approve(self: Entries, approval: m.Approval, now: Any) -> Any:
        out = original(self, approval, now)
        records = [x for x in out if isinstance(x, m.RecordIntent)]
        for record in records:
            self._of(record.intent.client_id).enter(Phase.SENT, now.wall_ns)
        return (*(_entry(record.intent) for record in records), *out)

    return approve


def _reserves_nothing(original: Callable[..., Any]) -> Callable[..., Any]:
    def review(self: RiskMachine, proposal: m.Proposal, now: Any) -> Any:
        out = original(self, proposal, now)
        self.book.reserved.pop(proposal.proposal_id, None)
        return out

    return review


def _sends_again_at_start(original: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: Recovery, book: m.RecoveredBook, now: Any) -> Any:
        out = original(self, book, now)
        again = [
            _entry(b.entry)
            for b in self._brackets.values()
            if b.phase is Phase.UNKNOWN and b.entry is not None
        ]
        return (*again, *out)

    return begin


def _forgets_open_entries(original: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: Recovery, book: m.RecoveredBook, now: Any) -> Any:
        return original(self, replace(book, intents=()), now)

    return begin


# ---------------------------------------- protection
def _skips_the_stop(original: Callable[..., Any]) -> Callable[..., Any]:
    def protect(self: Protection, bracket: Any, price: Any, now: Any) -> Any:
        out = original(self, bracket, price, now)
        stop = bracket.legs.get(Purpose.STOP)
        if stop is not None:
            stop.state = LegState.LIVE
            bracket.enter(Phase.PROTECTED, now.wall_ns)
        return tuple(
            x for x in out if not (isinstance(x, m.PlaceAlgoOrder) and x.purpose is Purpose.STOP)
        )

    return protect


def _mirrors_the_stop(original: Callable[..., Any]) -> Callable[..., Any]:
    def trigger(self: Protection, bracket: Any, purpose: Purpose, price: Any) -> Any:
        found = original(self, bracket, purpose, price)
        if purpose is Purpose.STOP and found is not None:
            return self._instruments[bracket.symbol].stop_price(
                price, bracket.stop_pct, bracket.side.opposite
            )
        return found

    return trigger


def _widens_the_stop(original: Callable[..., Any]) -> Callable[..., Any]:
    def trigger(self: Protection, bracket: Any, purpose: Purpose, price: Any) -> Any:
        if purpose is Purpose.STOP:
            return self._instruments[bracket.symbol].stop_price(
                price, bracket.stop_pct * 10, bracket.side
            )
        return original(self, bracket, purpose, price)

    return trigger


def _opens_by_exit(original: Callable[..., Any]) -> Callable[..., Any]:
    def flatten(self: Protection, bracket: Any, why: str, now: Any) -> Any:
        return tuple(
            replace(x, reduce_only=False) if isinstance(x, m.PlaceOrder) else x
            for x in original(self, bracket, why, now)
        )

    return flatten


# ---------------------------------------- books
def _loses_a_fill(original: Callable[..., Any]) -> Callable[..., Any]:
    def book_trade(self: Recovery, trade: m.VenueTrade, now: Any) -> Any:
        out = original(self, trade, now)
        return () if trade.trade_id % 5 == 0 else out

    return book_trade


def _counts_twice(original: Callable[..., Any]) -> Callable[..., Any]:
    def count(self: Holdings, symbol: str, trade_id: int) -> bool:
        original(self, symbol, trade_id)
        return True

    return count


def _forgets_failed_writes(original: Callable[..., Any]) -> Callable[..., Any]:
    def lost(self: PersistenceActor, error: Any, wall_ns: int) -> Any:
        self._held.clear()
        return original(self, error, wall_ns)

    return lost


def _acknowledges_unwritten(original: Callable[..., Any]) -> Callable[..., Any]:
    def commit(self: PersistenceActor, envelopes: list[Any]) -> Any:
        for envelope in envelopes:
            message = envelope.message
            if isinstance(message, m.RecordIntent) and message.awaited:
                epoch = self.context.directory.epoch
                name = message.intent.client_id
                self.emit((m.IntentRecorded(client_id=name, epoch=epoch),), envelope)
        return original(self, envelopes)

    return commit


# ---------------------------------------- limits
def _stays_active(original: Any) -> Any:
    def state(self: RiskMachine) -> m.TradingState:
        said: m.TradingState = original.fget(self)
        reconciling = said is m.TradingState.RECONCILING
        return said if reconciling else m.TradingState.ACTIVE

    return property(state)


def _lost_nothing(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: Decimal(0)


def _always(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *given: True


# ---------------------------------------- runtime
def _loses_money_mail(original: Callable[..., Any]) -> Callable[..., Any]:
    def queue(self: Mailbox, envelope: Any) -> Any:
        lane = getattr(envelope, "lane", Lane.CONTROL)
        if lane is Lane.MONEY and envelope.id % 25 == 0:
            return envelope, "mutant"
        return original(self, envelope)

    return queue


def _ignores_crashes(original: Callable[..., Any]) -> Callable[..., Any]:
    def crashed(self: SupervisorActor, crash: m.Crashed) -> Any:
        return original(self, crash) if crash.name.startswith("symbol") else ()

    return crashed


def _restarts_one_only(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, position: None


# ---------------------------------------- outcomes
def _releases_on_unknown(original: Callable[..., Any]) -> Callable[..., Any]:
    def failed(self: Entries, bracket: Any, failure: m.OrderFailed, now: Any) -> Any:
        out = original(self, bracket, failure, now)
        if failure.failure is not Failure.UNKNOWN or bracket.phase is not Phase.UNKNOWN:
            return out
        return (*out, _over(bracket, "unknown"))

    return failed


def _over(bracket: Any, outcome: str) -> m.EntryEnded:
    return m.EntryEnded(
        proposal_id=bracket.proposal_id, symbol=bracket.symbol, outcome=outcome, detail="mutant"
    )


def _takes_silence_for_a_refusal(original: Callable[..., Any]) -> Callable[..., Any]:
    def failed(self: Entries, bracket: Any, failure: m.OrderFailed, now: Any) -> Any:
        return original(self, bracket, replace(failure, failure=Failure.REFUSED), now)

    return failed


def _believes_the_first_denial(original: Callable[..., Any]) -> Callable[..., Any]:
    def found(self: Entries, found: m.OrderFound, now: Any) -> Any:
        bracket = self._of(found.client_id)
        if bracket is None or found.found or bracket.phase is not Phase.UNKNOWN:
            return original(self, found, now)
        return self._drop(bracket, OrderState.ABSENT, "absent", "mutant", now)

    return found


def _never_too_old(original: Callable[..., Any]) -> Callable[..., Any]:
    def refusal(self: Entries, approval: m.Approval, now: Any) -> str:
        said = str(original(self, approval, now))
        return "" if said == "too old" else said

    return refusal


def _waits_for_its_row(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(self: Entries, recorded: m.IntentRecorded, now: Any) -> Any:
        bracket = self._of(recorded.client_id)
        if bracket is not None and bracket.phase is Phase.RECORDING:
            bracket.since_wall_ns = now.wall_ns
        return original(self, recorded, now)

    return recorded


def _waits_for_ever(original: Callable[..., Any]) -> Callable[..., Any]:
    def watch(self: Entries, bracket: Any, now: Any) -> Any:
        return () if bracket.phase is Phase.RECORDING else original(self, bracket, now)

    return watch


# ---------------------------------------- more protection
def _waits_for_the_whole_fill(original: Callable[..., Any]) -> Callable[..., Any]:
    def protect(self: Protection, bracket: Any, price: Any, now: Any) -> Any:
        entry = bracket.entry
        partly = entry is not None and bracket.filled < entry.quantity
        return () if partly else original(self, bracket, price, now)

    return protect


def _trusts_what_it_adopts(original: Callable[..., Any]) -> Callable[..., Any]:
    def adopt(self: Adoption, action: Any, now: Any) -> Any:
        out, report = original(self, action, now)
        bracket = self._brackets[action.position.symbol]
        for leg in bracket.legs.values():
            leg.state = LegState.LIVE
        bracket.enter(Phase.PROTECTED, now.wall_ns)
        return tuple(x for x in out if not isinstance(x, m.PlaceAlgoOrder)), report

    return adopt


def _cancels_before_the_exit(original: Callable[..., Any]) -> Callable[..., Any]:
    def flatten(self: Protection, bracket: Any, why: str, now: Any) -> Any:
        out = original(self, bracket, why, now)
        if not out:
            return out
        live = [leg for leg in bracket.legs.values() if leg.state is LegState.LIVE]
        return (*(self._cancel(bracket, leg, now) for leg in live), *out)

    return flatten


def _ignores_the_end_of_a_leg(original: Callable[..., Any]) -> Callable[..., Any]:
    def ended(self: Protection, bracket: Any, leg: Any, update: m.AlgoUpdate, now: Any) -> Any:
        return original(self, bracket, leg, update, now) if update.status == "FINISHED" else ()

    return ended


def _leaves_what_is_left(original: Callable[..., Any]) -> Callable[..., Any]:
    def clear(self: Protection, bracket: Any, now: Any) -> Any:
        for leg in bracket.legs.values():
            leg.state = LegState.GONE
        return ()

    return clear


def _leaves_what_it_finds(original: Callable[..., Any]) -> Callable[..., Any]:
    def carry_out(self: Recovery, action: Any, now: Any) -> Any:
        return () if isinstance(action, reconcile.Remove) else original(self, action, now)

    return carry_out


def _never_compares(original: Callable[..., Any]) -> Callable[..., Any]:
    def tick(self: Recovery, now: Any) -> Any:
        return self._finish() if self._compared else original(self, now)

    return tick


# ---------------------------------------- more limits
def _forgets_the_day(original: Callable[..., Any]) -> Callable[..., Any]:
    def recover(self: RiskMachine, book: m.RecoveredBook) -> Any:
        return original(self, replace(book, day=None, state=None))

    return recover


def _turns_the_sign(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: -original(self)


def _goes_by_the_wall(original: Callable[..., Any]) -> Callable[..., Any]:
    def roll(self: Book, now: Any) -> Any:
        return original(self, replace(now, venue_ns=now.wall_ns))

    return roll


def _without_caps(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **given: (("formula", 20 * given["raw"]),)


def _keeps_no_wallet(original: Callable[..., Any]) -> Callable[..., Any]:
    def book(self: Book, told: Any, now: Any) -> None:
        if self.wallet is None:
            original(self, told, now)

    return book


def _keeps_no_queue(original: Any) -> Any:
    return False


def _starts_nobody_again(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, restart: ()


MUTANTS = (
    Mutant(
        "drop fencing",
        ("I13",),
        {
            (Entries, "_refusal"): _execution_believes,
            (Entries, "recorded"): _journal_believes,
            (RiskMachine, "_check_standing"): _risk_believes,
        },
    ),
    Mutant(
        "resend an entry of unknown outcome",
        ("I1",),
        {(Entries, "failed"): _resends},
    ),
    Mutant(
        "send before the journal",
        ("I8",),
        {(Entries, "approve"): _sends_at_once},
    ),
    Mutant(
        "acknowledge unwritten rows",
        ("I8",),
        {(PersistenceActor, "_commit"): _acknowledges_unwritten},
    ),
    Mutant(
        "reserve nothing",
        ("I4",),
        {(RiskMachine, "_review"): _reserves_nothing},
    ),
    Mutant(
        "send again at start",
        ("I1",),
        {(Recovery, "begin"): _sends_again_at_start},
    ),
    Mutant(
        "forget open entries at start",
        ("L3", "L6", "I3"),
        {(Recovery, "begin"): _forgets_open_entries},
    ),
    Mutant(
        "skip the stop",
        ("I2",),
        {(Protection, "protect"): _skips_the_stop},
    ),
    Mutant(
        "stop on the wrong side",
        ("I2",),
        {(Protection, "_trigger"): _mirrors_the_stop},
    ),
    Mutant(
        "stop ten times too far",
        ("I2",),
        {(Protection, "_trigger"): _widens_the_stop},
    ),
    Mutant(
        "exit without reduce-only",
        ("I6",),
        {(Protection, "flatten"): _opens_by_exit},
    ),
    Mutant(
        "lose a fill",
        ("I3", "L5"),
        {(Recovery, "book_trade"): _loses_a_fill},
    ),
    Mutant(
        "count a fill twice",
        ("I2", "I3", "L5", "L6"),
        {(Holdings, "count"): _counts_twice},
    ),
    Mutant(
        "forget writes that failed",
        ("I3", "L6"),
        {(PersistenceActor, "_lost"): _forgets_failed_writes},
    ),
    Mutant(
        "ignore the halt",
        ("I4",),
        {
            (RiskMachine, "trading_state"): _stays_active,
            (RiskManager, "check_daily_loss_limit"): _always,
            (Book, "lost_today"): _lost_nothing,
        },
    ),
    Mutant(
        "ignore the slots",
        ("I4",),
        {(RiskManager, "check_open_positions_limit"): _always},
    ),
    Mutant(
        "lose money mail", ("I3", "L2", "L3", "L6", "I2"), {(Mailbox, "_queue"): _loses_money_mail}
    ),
    Mutant(
        "leave the dead unburied",
        ("L1", "L2", "L3", "I3"),
        {(SupervisorActor, "_crashed"): _ignores_crashes},
    ),
    Mutant(
        "restart one room alone",
        ("L2", "I2", "L1"),
        {(SupervisorActor, "_stop_after"): _restarts_one_only},
    ),
    Mutant(
        "release the reservation of an unknown entry",
        ("I5", "I4"),
        {(Entries, "failed"): _releases_on_unknown},
    ),
    Mutant(
        "take silence for a refusal",
        ("I5", "I3"),
        {(Entries, "failed"): _takes_silence_for_a_refusal},
    ),
    Mutant(
        "believe the first denial",
        ("I5", "I3"),
        {(Entries, "found"): _believes_the_first_denial},
    ),
    Mutant(
        "send an entry however old",
        ("I4", "L3", "L6"),
        {
            (Entries, "_refusal"): _never_too_old,
            (Entries, "recorded"): _waits_for_its_row,
            (Entries, "watch"): _waits_for_ever,
        },
    ),
    Mutant(
        "stop after the full fill only",
        ("I2", "I7"),
        {(Protection, "protect"): _waits_for_the_whole_fill},
    ),
    Mutant(
        "trust what is adopted",
        ("I2", "I7"),
        {(Adoption, "adopt"): _trusts_what_it_adopts},
    ),
    Mutant(
        "cancel the stop before the exit",
        ("I2",),
        {(Protection, "flatten"): _cancels_before_the_exit},
    ),
    Mutant(
        "swallow the end of a stop",
        ("I2", "I7", "L5"),
        {(Protection, "ended"): _ignores_the_end_of_a_leg},
    ),
    Mutant(
        "leave orphans",
        ("I7",),
        {
            (Protection, "clear"): _leaves_what_is_left,
            (Recovery, "_carry_out"): _leaves_what_it_finds,
        },
    ),
    Mutant(
        "never compare again",
        ("I2", "I3", "I7", "I15", "L3", "L5", "L6"),
        {(Recovery, "tick"): _never_compares},
    ),
    Mutant(
        "forget the day at a restart",
        ("I4",),
        {(RiskMachine, "_recover"): _forgets_the_day},
    ),
    Mutant(
        "turn the sign of the day",
        ("I4",),
        {(Book, "day_pnl"): _turns_the_sign},
    ),
    Mutant(
        "go by the wall for the day",
        ("L7",),
        {(Book, "roll_day"): _goes_by_the_wall},
    ),
    Mutant(
        "size without caps",
        ("I4", "I11"),
        {(risk_machine, "caps"): _without_caps},
    ),
    Mutant(
        "never look at the wallet again",
        ("I15",),
        {
            (Book, "book_account"): _keeps_no_wallet,
            (Book, "check_wallet"): _keeps_no_wallet,
        },
    ),
    Mutant(
        "lose the queue of persistence",
        ("I3", "L6", "I8", "L3"),
        {(PersistenceActor, "keeps_queue"): _keeps_no_queue},
    ),
    Mutant(
        "start nobody again",
        ("L1", "L2", "I2"),
        {(SupervisorActor, "_restart"): _starts_nobody_again},
    ),
)
