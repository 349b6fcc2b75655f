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
from core.execution.bracket import LegState, Phase
from core.execution.entry import Entries
from core.execution.gate import Gate
from core.execution.holdings import Holdings
from core.execution.orders_out import OrdersOut
from core.execution.protection import Protection
from core.execution.recovery import Recovery
from core.messages import Failure, Purpose
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
    def review(self: RiskMachine, proposal: m.Proposal, now: Any) -> Any:
        self._standing.generations[proposal.symbol] = proposal.generation
        return original(self, proposal, now)

    return review


# ---------------------------------------- entries
def _lets_out(original: Callable[..., Any]) -> Callable[..., Any]:
    """The counter at the door would hide what is wrong behind it: each is proved by itself."""
    return lambda self, out: out


def _never_closed(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, symbol: ""


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


def _enters_twice(original: Callable[..., Any]) -> Callable[..., Any]:
    def refusal(self: Entries, approval: m.Approval, now: Any) -> str:
        said = str(original(self, approval, now))
        return "" if said in ("entered before", "the symbol is busy", "reconciling") else said

    return refusal


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
        self._unwritten.clear()
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


MUTANTS = (
    Mutant(
        "drop fencing",
        ("I13",),
        {
            (Entries, "_refusal"): _execution_believes,
            (Entries, "recorded"): _journal_believes,
            (RiskMachine, "_review"): _risk_believes,
        },
    ),
    Mutant(
        "resend an entry of unknown outcome",
        ("I1",),
        {(Entries, "failed"): _resends, (OrdersOut, "passed"): _lets_out},
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
        {(Recovery, "begin"): _sends_again_at_start, (OrdersOut, "passed"): _lets_out},
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
        {(Protection, "flatten"): _opens_by_exit, (OrdersOut, "passed"): _lets_out},
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
            (Gate, "closed"): _never_closed,
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
)
