"""What the mutants put in the place of real methods: each takes the original."""

from collections.abc import Callable
from dataclasses import replace
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
from core.execution.protection import Protection
from core.execution.recovery import Recovery
from core.messages import Failure, Purpose
from core.risk.book import Book
from core.risk.machine import RiskMachine
from core.routes import Lane


# ---------------------------------------- fences
def execution_believes(original: Callable[..., Any]) -> Callable[..., Any]:
    def refusal(self: Entries, approval: m.Approval, now: Any) -> str:
        proposal = approval.proposal
        self.generations[proposal.symbol] = proposal.generation
        return str(original(self, approval, now))

    return refusal


def journal_believes(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(self: Entries, recorded: m.IntentRecorded, now: Any) -> Any:
        bracket = self._of(recorded.client_id)
        if bracket is not None and bracket.entry is not None:
            self.generations[bracket.symbol] = bracket.entry.generation
        return original(self, recorded, now)

    return recorded


def risk_believes(original: Callable[..., Any]) -> Callable[..., Any]:
    def review(self: RiskMachine, proposal: m.Proposal, now: Any) -> Any:
        self._standing.generations[proposal.symbol] = proposal.generation
        return original(self, proposal, now)

    return review


# ---------------------------------------- the second line
def lets_out(original: Callable[..., Any]) -> Callable[..., Any]:
    """The counter at the door would hide what is wrong behind it: each is proved by itself."""
    return lambda self, out: out


def never_closed(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, symbol: ""


def never_too_large(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, symbol, quantity, price: ""


# ---------------------------------------- entries
def resends(original: Callable[..., Any]) -> Callable[..., Any]:
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


def sends_at_once(original: Callable[..., Any]) -> Callable[..., Any]:
    def approve(self: Entries, approval: m.Approval, now: Any) -> Any:
        out = original(self, approval, now)
        records = [x for x in out if isinstance(x, m.RecordIntent)]
        for record in records:
            self._of(record.intent.client_id).enter(Phase.SENT, now.wall_ns)
        return (*(_entry(record.intent) for record in records), *out)

    return approve


def reserves_nothing(original: Callable[..., Any]) -> Callable[..., Any]:
    def review(self: RiskMachine, proposal: m.Proposal, now: Any) -> Any:
        out = original(self, proposal, now)
        self.book.reserved.pop(proposal.proposal_id, None)
        return out

    return review


def sends_again_at_start(original: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: Recovery, book: m.RecoveredBook, now: Any) -> Any:
        out = original(self, book, now)
        again = [
            _entry(b.entry)
            for b in self._brackets.values()
            if b.phase is Phase.UNKNOWN and b.entry is not None
        ]
        return (*again, *out)

    return begin


def forgets_open_entries(original: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: Recovery, book: m.RecoveredBook, now: Any) -> Any:
        return original(self, replace(book, intents=()), now)

    return begin


# ---------------------------------------- protection
def skips_the_stop(original: Callable[..., Any]) -> Callable[..., Any]:
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


def mirrors_the_stop(original: Callable[..., Any]) -> Callable[..., Any]:
    def trigger(self: Protection, bracket: Any, purpose: Purpose, price: Any) -> Any:
        found = original(self, bracket, purpose, price)
        if purpose is Purpose.STOP and found is not None:
            return self._instruments[bracket.symbol].stop_price(
                price, bracket.stop_pct, bracket.side.opposite
            )
        return found

    return trigger


def widens_the_stop(original: Callable[..., Any]) -> Callable[..., Any]:
    def trigger(self: Protection, bracket: Any, purpose: Purpose, price: Any) -> Any:
        if purpose is Purpose.STOP:
            return self._instruments[bracket.symbol].stop_price(
                price, bracket.stop_pct * 10, bracket.side
            )
        return original(self, bracket, purpose, price)

    return trigger


def opens_by_exit(original: Callable[..., Any]) -> Callable[..., Any]:
    def leave(self: Protection, bracket: Any, why: str, now: Any) -> Any:
        return tuple(
            replace(x, reduce_only=False) if isinstance(x, m.PlaceOrder) else x
            for x in original(self, bracket, why, now)
        )

    return leave


# ---------------------------------------- books
def loses_a_fill(original: Callable[..., Any]) -> Callable[..., Any]:
    def book_trade(self: Recovery, trade: m.VenueTrade, now: Any) -> Any:
        out = original(self, trade, now)
        return () if trade.trade_id % 5 == 0 else out

    return book_trade


def counts_twice(original: Callable[..., Any]) -> Callable[..., Any]:
    def count(self: Holdings, symbol: str, trade_id: int) -> bool:
        original(self, symbol, trade_id)
        return True

    return count


def forgets_failed_writes(original: Callable[..., Any]) -> Callable[..., Any]:
    def lost(self: PersistenceActor, error: Any, wall_ns: int) -> Any:
        self._unwritten.clear()
        return original(self, error, wall_ns)

    return lost


def acknowledges_unwritten(original: Callable[..., Any]) -> Callable[..., Any]:
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
def stays_active(original: Any) -> Any:
    def state(self: RiskMachine) -> m.TradingState:
        said: m.TradingState = original.fget(self)
        reconciling = said is m.TradingState.RECONCILING
        return said if reconciling else m.TradingState.ACTIVE

    return property(state)


def lost_nothing(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: Decimal(0)


def always(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *given: True


# ---------------------------------------- runtime
def loses_money_mail(original: Callable[..., Any]) -> Callable[..., Any]:
    def queue(self: Mailbox, envelope: Any) -> Any:
        lane = getattr(envelope, "lane", Lane.CONTROL)
        if lane is Lane.MONEY and envelope.id % 25 == 0:
            return envelope, "mutant"
        return original(self, envelope)

    return queue


def ignores_crashes(original: Callable[..., Any]) -> Callable[..., Any]:
    def crashed(self: SupervisorActor, crash: m.Crashed) -> Any:
        return original(self, crash) if crash.name.startswith("symbol") else ()

    return crashed


def restarts_one_only(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, position: None


# ---------------------------------------- outcomes
def releases_on_unknown(original: Callable[..., Any]) -> Callable[..., Any]:
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


def takes_silence_for_a_refusal(original: Callable[..., Any]) -> Callable[..., Any]:
    def failed(self: Entries, bracket: Any, failure: m.OrderFailed, now: Any) -> Any:
        return original(self, bracket, replace(failure, failure=Failure.REFUSED), now)

    return failed


def never_too_old(original: Callable[..., Any]) -> Callable[..., Any]:
    def refusal(self: Entries, approval: m.Approval, now: Any) -> str:
        said = str(original(self, approval, now))
        return "" if said == "too old" else said

    return refusal


def waits_for_its_row(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(self: Entries, recorded: m.IntentRecorded, now: Any) -> Any:
        bracket = self._of(recorded.client_id)
        if bracket is not None and bracket.phase is Phase.RECORDING:
            bracket.since_wall_ns = now.wall_ns
        return original(self, recorded, now)

    return recorded


def waits_for_ever(original: Callable[..., Any]) -> Callable[..., Any]:
    def watch(self: Entries, bracket: Any, now: Any) -> Any:
        return () if bracket.phase is Phase.RECORDING else original(self, bracket, now)

    return watch


# ---------------------------------------- more protection
def waits_for_the_whole_fill(original: Callable[..., Any]) -> Callable[..., Any]:
    def protect(self: Protection, bracket: Any, price: Any, now: Any) -> Any:
        entry = bracket.entry
        partly = entry is not None and bracket.filled < entry.quantity
        return () if partly else original(self, bracket, price, now)

    return protect


def looks_at_no_open_bracket(original: Callable[..., Any]) -> Callable[..., Any]:
    """Closing what has been naked too long would make up for a stop that nobody sent."""
    return lambda self, bracket, now: ()


def trusts_what_it_adopts(original: Callable[..., Any]) -> Callable[..., Any]:
    def adopt(self: Adoption, action: Any, now: Any) -> Any:
        out, report = original(self, action, now)
        bracket = self._brackets[action.position.symbol]
        for leg in bracket.legs.values():
            leg.state = LegState.LIVE
        bracket.enter(Phase.PROTECTED, now.wall_ns)
        return tuple(x for x in out if not isinstance(x, m.PlaceAlgoOrder)), report

    return adopt


def cancels_before_the_exit(original: Callable[..., Any]) -> Callable[..., Any]:
    def flatten(self: Protection, bracket: Any, why: str, now: Any) -> Any:
        out = original(self, bracket, why, now)
        if not out:
            return out
        live = [leg for leg in bracket.legs.values() if leg.state is LegState.LIVE]
        return (*(self._cancel(bracket, leg, now) for leg in live), *out)

    return flatten


def leaves_what_is_left(original: Callable[..., Any]) -> Callable[..., Any]:
    def clear(self: Protection, bracket: Any, now: Any) -> Any:
        for leg in bracket.legs.values():
            leg.state = LegState.GONE
        return ()

    return clear


def leaves_what_it_finds(original: Callable[..., Any]) -> Callable[..., Any]:
    def carry_out(self: Recovery, action: Any, now: Any) -> Any:
        return () if isinstance(action, reconcile.Remove) else original(self, action, now)

    return carry_out


# ---------------------------------------- more limits
def turns_the_sign(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: -original(self)


def goes_by_the_wall(original: Callable[..., Any]) -> Callable[..., Any]:
    def roll(self: Book, now: Any) -> Any:
        return original(self, replace(now, venue_ns=now.wall_ns))

    return roll


def without_caps(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **given: (("formula", 20 * given["raw"]),)


def no_rules(original: Any) -> tuple[()]:
    """The rules after sizing would hide what sizing does: it is proved by itself."""
    return ()


def keeps_no_wallet(original: Callable[..., Any]) -> Callable[..., Any]:
    def book(self: Book, told: Any, now: Any) -> None:
        known = self.wallet
        original(self, told, now)
        if known is not None:
            self.wallet = known

    return book


def starts_nobody_again(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, restart: ()
