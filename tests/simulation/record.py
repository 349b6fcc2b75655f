"""What a run says of itself: the tracer's shape, a hash of everything, and what rooms promised."""

import hashlib
from collections import Counter
from decimal import Decimal
from typing import Any

from actors.mailbox import Envelope
from config import Config
from core import messages as m
from core.clock import NS_PER_MS
from core.execution.client_id import client_id, purpose_of
from core.messages import Purpose
from core.routes import Room
from core.venue.simulated.account import Position
from core.venue.simulated.exchange import Exchange

_HASHED_TOGETHER = 500


class Record:
    """Takes the trace of every process of a run; `violations` are broken promises, in words."""

    def __init__(self, *, whole: bool = False, config: Config | None = None) -> None:
        found = config or Config(_env_file=None, _environ={})
        self._tag = found.CLIENT_ID_TAG
        # Once from the approval to the row, once from the row to the order.
        self._age_max_ns = 2 * found.ENTRY_MAX_AGE_MS * NS_PER_MS
        self.violations: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.approved: dict[str, m.Approval] = {}  # by proposal id
        self.released: dict[
            str, str
        ] = {}  # entries that risk was told to be over, with the outcome
        self.just_released: list[str] = []
        self.halted: m.StateChanged | None = None  # the account's newest halt, while it holds
        self._halt_on_disk = False
        self._sent: set[str] = set()  # entries that were ever sent
        self.lines: list[str] = []
        self._whole = whole
        self._hash = hashlib.sha256()
        self._unhashed: list[str] = []
        self._fence: dict[str, int] = {}  # symbol -> generation that execution knows
        self._intents: dict[str, m.Intent] = {}

    @property
    def digest(self) -> str:
        """Return the hash of all that happened, in order."""
        self._take_in()
        return self._hash.hexdigest()

    def _take_in(self) -> None:
        self._hash.update("".join(self._unhashed).encode())
        self._unhashed.clear()

    def begin(self, epoch: int) -> None:
        """A new process knows no generation, and of a halt only what reached the disk.

        The day's loss it finds again by itself: it stands in the wallet.
        """
        self._fence.clear()
        if self.halted is not None and self.halted.latched_until_day is None:
            self.halted = self.halted if self._halt_on_disk else None
        self._write(f"epoch {epoch}")

    def _write(self, line: str) -> None:
        self._unhashed.append(line)
        if len(self._unhashed) > _HASHED_TOGETHER:
            self._take_in()
        if self._whole:
            self.lines.append(line)

    # ---------------------------------------- the tracer's shape
    def sent(self, envelope: Envelope) -> None:
        message = envelope.message
        kind = type(message).__name__
        self.kinds[kind] += 1
        body = repr(message) if self._whole else kind
        at = envelope.sent_ns
        self._write(f"{envelope.id} {envelope.cause} {body} {envelope.recipient} {at}\n")
        match message:
            case m.RecordIntent():
                self._intents[message.intent.client_id] = message.intent
            case m.Approval():
                self._approve(message)
            case m.PlaceOrder(purpose=Purpose.ENTRY):
                self._check_first(message)
                self._check_fence(message)
                self._check_age(message, at)
            case m.EntryEnded():
                name = client_id(self._tag, Purpose.ENTRY, message.proposal_id, 0)
                self.released.setdefault(name, message.outcome)
                self.just_released.append(name)
            case m.StateChanged(symbol=""):
                halts = message.state in (m.TradingState.HALTED, m.TradingState.FLATTEN)
                self.halted, self._halt_on_disk = (message if halts else None), False
            case m.StateRecorded() if message.state == self.halted:
                self._halt_on_disk = True

    def handled(
        self, envelope: Envelope, taken_ns: int, done_ns: int, outcome: str, **_: Any
    ) -> None:
        self._write(f"{envelope.id} {outcome} {done_ns}\n")
        message = envelope.message
        if isinstance(message, m.ActorStarted) and envelope.recipient == Room.EXECUTION.value:
            self._fence[message.symbol] = message.generation

    def dead(self, envelope: Envelope, at_ns: int, reason: str) -> None:
        self.dead_letters[reason.rsplit(" ", maxsplit=1)[-1]] += 1
        self._write(f"{envelope.id} dead {reason} {at_ns}\n")

    def started(self, name: str, generation: int, now: Any) -> None:
        if name == Room.EXECUTION.value:
            self._fence.clear()
        self._write(f"{name} {generation} starts\n")

    def flush(self) -> None:
        """Nothing is kept back."""

    # ---------------------------------------- promises
    def _approve(self, approval: m.Approval) -> None:
        if approval.proposal.proposal_id in self.approved:
            before = self.approved[approval.proposal.proposal_id]
            if before is not approval:
                self.kinds["approved again"] += 1
        self.approved[approval.proposal.proposal_id] = approval

    def _check_first(self, order: m.PlaceOrder) -> None:
        """An entry is sent at most once for ever: its id does not keep it from filling twice."""
        if order.client_id in self._sent:
            self.violations.append(f"I1 {order.client_id} is sent a second time")
        self._sent.add(order.client_id)

    def _check_fence(self, order: m.PlaceOrder) -> None:
        intent = self._intents.get(order.client_id)
        known = self._fence.get(order.symbol)
        if intent is not None and known is not None and intent.generation < known:
            self.violations.append(
                f"I13 {order.client_id} of generation {intent.generation} was sent after execution"
                f" knew generation {known}"
            )

    def _check_age(self, order: m.PlaceOrder, at_ns: int) -> None:
        """An approval is carried out while it is fresh, by the clock that the bot goes by."""
        intent = self._intents.get(order.client_id)
        approval = self.approved.get(intent.proposal_id) if intent is not None else None
        if approval is None:
            return
        age_ns = at_ns - approval.approved_at_wall_ns
        if age_ns > self._age_max_ns:
            self.violations.append(f"I4 {order.client_id} was approved {age_ns / 1e9:.1f} s before")

    def entry_leaves(
        self, name: str, data: dict[str, Any], row: tuple[str, int, str] | None
    ) -> None:
        """Judge an entry at the moment its request is sent by what the journal holds on disk."""
        if row is None:
            self.violations.append(f"I8 {name} leaves without a journal row")
            return
        quantity, _, proposal = row
        if Decimal(quantity) != Decimal(data["quantity"]):
            self.violations.append(f"I1 {name} asks for {data['quantity']}, journalled {quantity}")
        if proposal not in self.approved:
            self.violations.append(f"I1 {name} leaves without an approval")

    def cancel_leaves(self, name: str, exchange: Exchange) -> None:
        """Nobody takes away the only stop of what is held; one of the wrong side is none."""
        stops = [
            algo
            for algo in exchange.ledger.open_algos()
            if purpose_of(self._tag, algo.client_algo_id) is Purpose.STOP
            and (algo.side == "SELL") == (exchange.account.positions[algo.symbol].amount > 0)
        ]
        symbol = next((algo.symbol for algo in stops if algo.client_algo_id == name), "")
        only = sum(algo.symbol == symbol for algo in stops) == 1
        if only and exchange.account.positions[symbol].amount:
            self.violations.append(f"I2 {name}, the only stop of {symbol}, is cancelled")

    def stop_leaves(self, data: dict[str, Any], position: Position, last: Decimal) -> None:
        """Judge a stop at the moment its request is sent by the position it is for.

        It lies beyond the entry's price; where that was never heard, beyond the market's.
        """
        if not position.amount:
            return
        trigger = Decimal(data["triggerPrice"])
        closing = "SELL" if position.amount > 0 else "BUY"
        prices = (position.entry, last)
        wrong = trigger >= max(prices) if closing == "SELL" else trigger <= min(prices)
        if data["side"] != closing or wrong:
            self.violations.append(
                f"I2 {data['clientAlgoId']} {data['side']} at {trigger} protects no position of"
                f" {position.amount} entered at {position.entry}"
            )
