"""One proposal before the gate: what the rules may look at."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from core import messages as m
from core.clock import Moment
from core.messages import TradingState
from core.risk.book import Book
from core.risk.correlation import Returns, Shock
from core.risk.latches import Latches
from core.risk.policy import RiskPolicy
from core.risk.review import Review
from core.risk.risk_manager import RiskManager
from core.risk.sizing import Exposure, Limits
from core.risk.standing import Standing
from core.risk.tempo import Entries, Signals
from core.risk.trips import Trips
from core.venue.instrument import Instrument


@dataclass(frozen=True, kw_only=True)
class Account:
    """What all rules look at, whatever the proposal."""

    book: Book
    standing: Standing
    latches: Latches
    entries: Entries
    signals: Signals
    trips: Trips
    returns: Returns
    leverage: dict[str, Decimal]
    interval_ns: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """One proposal, the settings and rules of its symbol, and the review that notes each check.

    `manager` and `instrument` are None for a symbol that is not traded.
    """

    proposal: m.Proposal
    now: Moment
    review: Review
    account: Account
    policy: RiskPolicy
    manager: RiskManager | None
    instrument: Instrument | None
    state: TradingState  # of the account
    duplicate: bool
    limits: Limits

    @property
    def book(self) -> Book:
        """Return the account's book."""
        return self.account.book

    @property
    def mark(self) -> m.MarkPrice | None:
        """Return the symbol's mark price, if one was heard."""
        return self.book.marks.get(self.proposal.symbol)

    @cached_property
    def balance(self) -> Decimal:
        """Return what sizes an order: the wallet less open losses; gains do not count."""
        wallet = self.book.wallet or Decimal(0)
        return min(wallet, wallet + self.book.unrealized())

    @cached_property
    def exposure(self) -> Exposure:
        """Return what is open and reserved."""
        return self.book.exposure(self.account.leverage, self.limits.exit_cost)

    @cached_property
    def shock(self) -> Shock:
        """Return what a common shock costs, and what it leaves for this entry."""
        policy = self.policy
        return self.account.returns.shock(
            {s: float(n) for s, n in self.exposure.by_symbol.items() if s != self.proposal.symbol},
            self.proposal.symbol,
            self.proposal.side.sign,
            size=policy.CORRELATION_SHOCK,
            limit=float(self.balance) * policy.MAX_CORRELATED_X,
        )
