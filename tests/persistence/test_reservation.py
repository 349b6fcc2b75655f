"""The journal row is the reservation: what was reserved before a crash is reserved after it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.edges.database import DatabaseManager
from core import messages as m
from core.execution.order_life import ENDED
from core.persistence.machine import PersistenceMachine
from core.risk.machine import RiskMachine
from tests.builders import a_proposal
from tests.persistence.builders import a_moment, a_move, a_record, an_intent
from tests.risk.rooms import SYMBOLS, a_risk, decide, ready

_LIVES = (
    (),
    ("ACKED",),
    ("ACKED", "FILLED"),
    ("UNKNOWN",),
    ("UNKNOWN", "ABSENT"),
    ("UNKNOWN", "FILLED"),
    ("REJECTED",),
    ("NOT_SENT",),
)
_TRADED = SYMBOLS[:3]


class Desk:
    """Risk and the journal, as far as reservations go."""

    def __init__(self, db_url: str) -> None:
        self.db_url = db_url
        self.database = DatabaseManager(db_url)
        self.machine = PersistenceMachine(epoch=1)
        self.risk = ready()
        self.journalled: set[str] = set()

    def approve(self, symbol: str) -> m.Approval:
        proposal = a_proposal(symbol=symbol, proposal_id=f"p-{symbol}")
        _, approval = decide(self.risk, proposal, 1)
        assert approval is not None
        return approval

    def journal(self, approval: m.Approval) -> None:
        proposal = approval.proposal
        intent = an_intent(
            client_id=proposal.proposal_id,
            proposal_id=proposal.proposal_id,
            symbol=proposal.symbol,
            side=proposal.side,
            quantity=approval.quantity,
            reservation=approval.reservation,
            decision=approval.decision,
        )
        self.database.apply(self.machine.handle(a_record(intent), a_moment()))
        self.journalled.add(proposal.proposal_id)

    def move(self, symbol: str, state: str) -> None:
        name = f"p-{symbol}"
        self.database.apply(self.machine.handle(a_move(state, name), a_moment()))
        if state in ENDED:
            ended = m.EntryEnded(symbol=symbol, proposal_id=name, outcome=state, detail="")
            self.risk.handle(ended, a_moment())

    def after_a_crash(self) -> RiskMachine:
        """Risk as the next process has it; this one's connection is simply dropped."""
        if self.db_url != ":memory:":
            self.database._connection._drop()
        successor = a_risk()
        successor.handle(self.database.recover(), a_moment())
        return successor

    def check(self) -> None:
        """Nothing that may have been sent loses its reservation, and nothing else keeps one."""
        before = {
            name: reserved
            for name, reserved in self.risk.book.reserved.items()
            if name in self.journalled
        }
        after = self.after_a_crash().book.reserved
        assert after == before
        assert _sum(after) == _sum(before)
        for intent, _ in self.database.recover().intents:
            assert intent.decision is not None
            assert intent.reservation is not None
            assert intent.decision.proposal_id == intent.proposal_id


def _sum(reserved: dict[str, Any]) -> tuple[Decimal, Decimal, Decimal]:
    kept = [r.reservation for r in reserved.values()]
    return (
        sum((r.notional for r in kept), Decimal(0)),
        sum((r.margin for r in kept), Decimal(0)),
        sum((r.risk for r in kept), Decimal(0)),
    )


@pytest.mark.parametrize("life", _LIVES, ids="-".join)
def test_a_crash_at_any_point_of_an_entry_keeps_the_sum_of_what_is_reserved(db_url, life):
    desk = Desk(db_url)
    desk.check()
    approval = desk.approve(SYMBOLS[0])
    desk.check()  # approved, not journalled: it can never be sent, so nothing is reserved
    desk.journal(approval)
    desk.check()
    assert _sum(desk.after_a_crash().book.reserved) != _sum({})
    for state in life:
        desk.move(SYMBOLS[0], state)
        desk.check()
    desk.database.close()


@settings(max_examples=30, deadline=None)
@given(
    lives=st.tuples(*(st.sampled_from(_LIVES) for _ in _TRADED)),
    turns=st.lists(st.integers(0, len(_TRADED) - 1), min_size=1, max_size=15),
)
def test_a_crash_at_any_point_of_several_entries_keeps_the_sum_of_what_is_reserved(lives, turns):
    desk = Desk(":memory:")
    approvals: dict[str, m.Approval] = {}
    todo = {symbol: list(life) for symbol, life in zip(_TRADED, lives, strict=True)}
    for turn in turns:
        symbol = _TRADED[turn]
        if symbol not in approvals:
            approvals[symbol] = desk.approve(symbol)
        elif f"p-{symbol}" not in desk.journalled:
            desk.journal(approvals[symbol])
        elif todo[symbol]:
            desk.move(symbol, todo[symbol].pop(0))
        desk.check()
    desk.database.close()
