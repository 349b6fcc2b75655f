"""One proposal under review: every rule with its number and its limit, and the verdict."""

from decimal import Decimal

from core import messages as m
from core.clock import Moment
from core.risk.sizing import ZERO


class Review:
    """Collects rules in order; the first failed one gives the reason code, all are kept."""

    def __init__(self, proposal: m.Proposal, now: Moment) -> None:
        self._proposal = proposal
        self._now = now
        self._checks: list[m.RuleCheck] = []
        self._caps: tuple[tuple[str, Decimal], ...] = ()
        self.passed = True  # no rule failed so far
        self.quantity = ZERO  # once sized, base units
        self.binding = "nothing"  # the cap that set it

    def size(self, caps: tuple[tuple[str, Decimal], ...], binding: str, quantity: Decimal) -> None:
        """Note how large the entry becomes, and what made it so."""
        self._caps, self.binding, self.quantity = caps, binding, quantity

    def rule(self, name: str, value: object, limit: object, *, passed: bool) -> None:
        """Note one rule: what was compared, with which limit, and whether it held."""
        self.passed = self.passed and passed
        self._checks.append(
            m.RuleCheck(rule=name, value=str(value), limit=str(limit), passed=passed)
        )

    def decide(self) -> m.Decision:
        """Close the review."""
        failed = next((check for check in self._checks if not check.passed), None)
        proposal = self._proposal
        return m.Decision(
            proposal_id=proposal.proposal_id,
            symbol=proposal.symbol,
            side=proposal.side,
            approved=failed is None and self.quantity > 0,
            reason_code="approved" if failed is None else failed.rule,
            reason="" if failed is None else f"{failed.rule}: {failed.value}, limit {failed.limit}",
            checks=tuple(self._checks),
            caps=self._caps,
            quantity=self.quantity,
            strength=proposal.strength,
            confidence=proposal.confidence,
            price=proposal.price,
            kline_close_ns=proposal.kline_close_ns,
            decided_at_ns=self._now.venue_ns,
        )
