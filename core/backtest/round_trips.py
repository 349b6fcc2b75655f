"""From fills to round trips: what was opened, until it was flat again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from core.backtest.result import ExitReason, Trade
from core.words import Purpose, Side

ZERO = Decimal(0)
_REASONS: Mapping[Purpose | None, ExitReason] = {
    Purpose.STOP: ExitReason.STOP,
    Purpose.TARGET: ExitReason.TARGET,
    Purpose.EXIT: ExitReason.EXIT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill of ours.  Price in quote per base, money in quote, time UTC ms."""

    symbol: str
    number: int  # the venue's trade id: orders fills of one moment
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    gained: Decimal  # realised by the venue's reckoning, before commission; 0 where it opens
    at_ms: int
    purpose: Purpose | None = None  # None: not known
    proposal_id: str = ""  # of the entry or exit; empty: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """One settlement: received, negative where paid."""

    symbol: str
    amount: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Where stop and target of a proposal were to be; 0 where not known."""

    stop_price: Decimal = ZERO
    target_price: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrips:
    """Closed trades in the order of their exits, and what makes none."""

    trades: tuple[Trade, ...]
    open_symbols: tuple[str, ...]  # still held
    without_entry: int  # fills that close what no fill here opened
    without_exit: int  # trips whose end no fill tells: closed by someone else


@dataclass(slots=True)
class _Trip:
    """What is held of a symbol, and what came of it so far."""

    symbol: str
    side: Side
    entry_ms: int
    proposal_id: str
    bought: Decimal = ZERO  # base, of all entry fills
    entry_value: Decimal = ZERO  # quote
    left: Decimal = ZERO  # base, of all exit fills
    exit_value: Decimal = ZERO
    gained: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    def take(self, fill: Fill, quantity: Decimal) -> None:
        """Count a fill in, or as much of it as belongs here."""
        if fill.side is self.side:
            self.bought += quantity
            self.entry_value += quantity * fill.price
        else:
            self.left += quantity
            self.exit_value += quantity * fill.price
        self.gained += fill.gained if fill.side is not self.side else ZERO
        self.fees += fill.commission * quantity / fill.quantity

    def closed(self, fill: Fill, bracket: Bracket, first_ms: int, interval_ms: int) -> Trade:
        """Return it as a trade that this fill ended."""
        return Trade(
            symbol=self.symbol,
            side=self.side,
            quantity=self.bought,
            entry_ms=self.entry_ms,
            entry_price=self.entry_value / self.bought,
            exit_ms=fill.at_ms,
            exit_price=self.exit_value / self.left,
            pnl=self.gained - self.fees + self.funding,
            fees=self.fees,
            funding=self.funding,
            exit_reason=_REASONS.get(fill.purpose, ExitReason.UNKNOWN),
            entry_bar=(self.entry_ms - first_ms) // interval_ms,
            exit_bar=(fill.at_ms - first_ms) // interval_ms,
            proposal_id=self.proposal_id,
            stop_price=bracket.stop_price,
            target_price=bracket.target_price,
        )


@dataclass(slots=True)
class _Folding:
    first_ms: int
    interval_ms: int
    brackets: Mapping[str, Bracket]
    held: dict[str, _Trip] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    without_entry: int = 0
    without_exit: int = 0

    def fill(self, fill: Fill) -> None:
        """Open, add to, reduce or close a trip; what is left of a fill opens the next one."""
        trip = self.held.get(fill.symbol)
        if trip is not None and _begins_another(trip, fill):
            self.without_exit += 1
            trip = None
        if trip is None:
            if fill.gained != ZERO or fill.purpose not in {None, Purpose.ENTRY}:
                self.without_entry += 1
                self.held.pop(fill.symbol, None)
                return
            self._open(fill, fill.quantity)
            return
        held = trip.bought - trip.left
        taken = fill.quantity if fill.side is trip.side else min(held, fill.quantity)
        trip.take(fill, taken)
        if trip.left < trip.bought:
            return
        del self.held[fill.symbol]
        bracket = self.brackets.get(trip.proposal_id, Bracket())
        self.trades.append(trip.closed(fill, bracket, self.first_ms, self.interval_ms))
        if taken < fill.quantity:
            self._open(fill, fill.quantity - taken)

    def _open(self, fill: Fill, quantity: Decimal) -> None:
        trip = _Trip(fill.symbol, fill.side, fill.at_ms, fill.proposal_id)
        trip.take(fill, quantity)
        self.held[fill.symbol] = trip

    def funding(self, paid: FundingPaid) -> None:
        """Count a settlement in with what is held; without a trip it belongs to none."""
        trip = self.held.get(paid.symbol)
        if trip is not None:
            trip.funding += paid.amount


def round_trips(
    fills: Iterable[Fill],
    funding: Sequence[FundingPaid] = (),
    *,
    first_ms: int,
    interval_ms: int,
    brackets: Mapping[str, Bracket] | None = None,
) -> RoundTrips:
    """Return the round trips of fills: from the first one on until the symbol is flat.

    Net results are the venue's realised ones less commission and plus funding settled meanwhile.  A
    settlement of the very moment of a fill counts before it.  `brackets` by proposal id; bars are
    counted from `first_ms`, of `interval_ms` each.
    """
    folding = _Folding(first_ms, interval_ms, brackets or {})
    facts: list[Fill | FundingPaid] = [*funding, *fills]
    facts.sort(key=lambda fact: (fact.at_ms, fact.number if isinstance(fact, Fill) else -1))
    for fact in facts:
        if isinstance(fact, Fill):
            folding.fill(fact)
        else:
            folding.funding(fact)
    return RoundTrips(
        trades=tuple(folding.trades),
        open_symbols=tuple(sorted(folding.held)),
        without_entry=folding.without_entry,
        without_exit=folding.without_exit,
    )


def _begins_another(trip: _Trip, fill: Fill) -> bool:
    """Tell whether an entry belongs to a later proposal than what seems to be held."""
    return (
        fill.purpose is Purpose.ENTRY
        and bool(fill.proposal_id and trip.proposal_id)
        and fill.proposal_id != trip.proposal_id
    )
