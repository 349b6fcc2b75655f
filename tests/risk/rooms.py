"""A risk machine made ready to approve, for the tests of the risk room."""

from decimal import Decimal
from typing import Any

from core import messages as m
from core.risk.machine import RiskMachine
from core.risk.risk_manager import RiskManager
from tests.builders import (
    MINUTE_NS,
    Policy,
    a_book,
    a_mark,
    a_moment,
    an_account,
    an_instrument,
)

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")


def a_risk(symbols: tuple[str, ...] = SYMBOLS, **settings: Any) -> RiskMachine:
    """A machine that has only been built: it knows nothing yet."""
    policy = Policy(**settings)
    return RiskMachine(
        policies=policy,
        managers={symbol: RiskManager(policy, None) for symbol in symbols},
        instruments={symbol: an_instrument(symbol) for symbol in symbols},
        interval_ns=MINUTE_NS,
    )


def make_ready(risk: RiskMachine, *, wallet: str = "10000", **recovered: Any) -> RiskMachine:
    """Book read, wallet known, reconciled, generations and marks known, the day begun: at 0."""
    early = a_moment(-1)
    risk.handle(a_book(**recovered), early)
    risk.handle(an_account(wallet), early)
    risk.handle(
        m.Reconciled(reason="start-up", report=(), foreign_positions=0, foreign_orders=0), early
    )
    for symbol in risk._instruments:
        risk.handle(m.ActorStarted(name=f"symbol/{symbol}", symbol=symbol, generation=1), early)
        risk.handle(a_mark(symbol=symbol), early)
    risk.handle(m.Tick(), a_moment(0))
    return risk


def ready(symbols: tuple[str, ...] = SYMBOLS, **settings: Any) -> RiskMachine:
    """A machine that approves a strong wish."""
    return make_ready(a_risk(symbols, **settings))


def decide(
    risk: RiskMachine, proposal: m.Proposal, after_s: float = 0.0
) -> tuple[m.Decision, m.Approval | None]:
    """The decision on a proposal, and the leave if there is one."""
    out = risk.handle(proposal, a_moment(after_s))
    decision = next(x for x in out if isinstance(x, m.Decision))
    return decision, next((x for x in out if isinstance(x, m.Approval)), None)


def refusal(risk: RiskMachine, proposal: m.Proposal, after_s: float = 0.0) -> str:
    """The reason code of a refusal; no approval came with it."""
    decision, approval = decide(risk, proposal, after_s)
    assert approval is None
    assert not decision.approved
    return decision.reason_code


def cap(decision: m.Decision, name: str) -> Decimal:
    """The quantity one cap allowed."""
    return dict(decision.caps)[name]
