"""Round trips: from flat to flat, net of commission, and how many in a row ended in a loss."""

from dataclasses import dataclass, field
from decimal import Decimal

from core import messages as m
from core.risk.sizing import ZERO


@dataclass(slots=True)
class Trips:
    """What each symbol holds by its fills, what that trip has earned so far, and the streaks."""

    losses: dict[str, int] = field(default_factory=dict)
    _held: dict[str, Decimal] = field(default_factory=dict)
    _earned: dict[str, Decimal] = field(default_factory=dict)

    def restore(self, book: m.RecoveredBook) -> None:
        """Start from the stored streaks and holdings; what an open trip has earned is not known."""
        self.losses = dict(book.loss_streaks)
        self._held = dict(book.positions)

    def note(self, fill: m.FillBooked) -> m.LossStreak | None:
        """Follow a fill; the streak is told when a trip has ended and changed it.

        Another's order (by hand, a liquidation) only counts as far as it reduces what is ours.
        """
        symbol = fill.symbol
        before, signed = self._held.get(symbol, ZERO), fill.side.sign * fill.quantity
        if fill.purpose is None:
            if before * signed >= ZERO:
                return None
            signed = -before if abs(signed) > abs(before) else signed
        after = before + signed
        self._held[symbol] = after
        earned = self._earned.get(symbol, ZERO) + fill.realized_pnl - fill.commission
        self._earned[symbol] = earned
        if before == ZERO or before * after > ZERO:
            return None
        self._earned[symbol] = ZERO
        streak = self.losses.get(symbol, 0) + 1 if earned < ZERO else 0
        return self._set(symbol, streak, fill.at_ns)

    def forgive(self, symbol: str, at_ns: int) -> m.LossStreak | None:
        """Count anew: a person has seen it."""
        return self._set(symbol, 0, at_ns)

    def _set(self, symbol: str, losses: int, at_ns: int) -> m.LossStreak | None:
        if losses == self.losses.get(symbol, 0):
            return None
        self.losses[symbol] = losses
        return m.LossStreak(symbol=symbol, losses=losses, at_ns=at_ns)
