"""Counts orders out against approvals in, apart from everything that decides to send (C11).

It reads only what comes in and what goes out of the room.  An entry beyond the number of distinct
approved proposals, a second one of the same id, or one that no approved proposal names, does not
leave; trading halts until a person has looked.
"""

from collections import OrderedDict

from core import messages as m
from core.execution.alerts import halt
from core.execution.client_id import client_id
from core.messages import Purpose

_KEPT = 5_000


class OrdersOut:
    """Stands at the room's door.  `approved` and `sent` count since the room's start."""

    def __init__(self, tag: str) -> None:
        self.approved = 0
        self.sent = 0
        self._tag = tag
        self._open: OrderedDict[str, bool] = OrderedDict()  # entry id -> it was sent

    def note(self, approval: m.Approval) -> None:
        """Count a distinct approved proposal."""
        proposal = approval.proposal
        name = client_id(self._tag, Purpose.ENTRY, proposal.proposal_id, 0)
        if name in self._open:
            return
        self.approved += 1
        self._open[name] = False
        if len(self._open) > _KEPT:
            self._open.popitem(last=False)

    def passed(self, out: tuple[object, ...]) -> tuple[object, ...]:
        """Return what may leave; an entry in excess is replaced by a halt."""
        if not any(isinstance(x, m.PlaceOrder) for x in out):
            return out
        return tuple(self._judge(x) if isinstance(x, m.PlaceOrder) else x for x in out)

    def _judge(self, order: m.PlaceOrder) -> object:
        if order.reduce_only and order.purpose is not Purpose.ENTRY:
            return order
        if self.sent < self.approved and self._open.get(order.client_id) is False:
            self.sent += 1
            self._open[order.client_id] = True
            return order
        counted = f"{self.sent} sent for {self.approved} approved"
        return halt(f"the entry {order.client_id} is one too many ({counted}): not sent")
