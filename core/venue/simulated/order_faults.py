"""Faults that strike inside matching: orders that fill in part, triggers that are refused."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from core.venue.simulated.errors import Rejection
from core.venue.simulated.faults import FaultTable, Group, Occasion


@dataclass(frozen=True, slots=True)
class Portion:
    """How much of an order fills at its next turn, and how it then ends ("": as it would)."""

    quantity: Decimal
    status: str


class OrderFaults:
    """The MARKET faults in place; asked by the desks at each turn of an order."""

    def __init__(self) -> None:
        self.table = FaultTable()

    @property
    def waiting(self) -> bool:
        """Whether any may still strike; nothing else need be asked when not."""
        return self.table.waits(Group.MARKET)

    def portion(self, symbol: str, quantity: Decimal, step: Decimal) -> Portion | None:
        """Return the part of `quantity` (base asset, on the step grid) that fills, if not all."""
        row = self.table.take("partial_fill", Occasion(symbol=symbol))
        if row is None:
            return None
        part = quantity * Decimal(repr(float(row.fault.args["fraction"])))
        part = (part / step).to_integral_value(ROUND_DOWN) * step
        return Portion(part, row.fault.args["status"])

    def refuse_trigger(self, symbol: str) -> bool:
        """Refuse the order of a trigger when a fault says so; True: leave it stuck.

        Raises the Rejection that the fault names, -2019 by default.
        """
        row = self.table.take("algo_reject_at_trigger", Occasion(symbol=symbol))
        if row is None:
            return False
        if row.fault.args["stuck"]:
            return True
        raise Rejection.saying(row.fault.args["code"], row.fault.args["msg"])
