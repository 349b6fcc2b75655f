"""What is latched, as those outside the risk room see it: in memory, and on disk.

Read from other threads: single values are whole, and each is only ever replaced.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from core.messages import StateChanged, TradingState
from core.risk.breaker import CORRELATED_FAILURE

ACCOUNT = ""  # the key of what holds for all symbols
_HALT, _FLATTEN, _PAUSE = "halt", "flatten", "pause"
_OF_THE_DAY = frozenset({"day_loss", "day_loss_soft"})


class Latched(Protocol):
    """The part of the risk machine that tells what is latched."""

    @property
    def state(self) -> StateChanged | None:
        """Return what is latched for the account; None if nothing is."""
        ...

    @property
    def symbol_states(self) -> Mapping[str, StateChanged]:
        """Return what is latched for single symbols."""
        ...

    def state_is_recorded(self, symbol: str = ACCOUNT) -> bool:
        """Tell whether the newest state of the account or a symbol is on disk."""
        ...


def stopped(risk: Latched, *, flat: bool = False) -> bool:
    """Tell whether a person's halt holds; with `flat` only if positions are closed as well."""
    found = _causes(risk.state)
    return _FLATTEN in found or (not flat and _HALT in found)


def paused(risk: Latched, symbol: str) -> bool:
    """Tell whether a person's pause of a symbol holds."""
    return _PAUSE in _causes(risk.symbol_states.get(symbol))


def awaits_resume(state: StateChanged | None) -> bool:
    """Tell whether `resume` releases something of this state; the day and `revive` do the rest."""
    return bool(_causes(state) - _OF_THE_DAY - {CORRELATED_FAILURE})


def latches(risk: Latched) -> list[dict[str, Any]]:
    """Return what is latched for `status`: of the account, then of symbols."""
    held = {ACCOUNT: risk.state} if risk.state is not None else {}
    rows = {**held, **dict(risk.symbol_states)}
    return [
        {
            "symbol": symbol,
            "state": state.state.value,
            "reason_code": state.reason_code,
            "reason": state.reason,
            "until": _until(state),
            "since_ms": state.at_ns // 1_000_000,
            "stored": risk.state_is_recorded(symbol),
        }
        for symbol, state in rows.items()
        if state.state is not TradingState.ACTIVE
    ]


def _causes(state: StateChanged | None) -> frozenset[str]:
    if state is None or state.state is TradingState.ACTIVE:
        return frozenset()
    return frozenset(state.reason_code.split(","))


def _until(state: StateChanged) -> str:
    if awaits_resume(state):
        return "resume"
    return "revive" if CORRELATED_FAILURE in _causes(state) else "next venue day"
