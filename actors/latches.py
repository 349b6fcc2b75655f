"""What is latched, as those outside the risk room see it: in memory, and on disk.

Read from other threads: single values are whole, and each is only ever replaced.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from core.messages import StateChanged, TradingState

ACCOUNT = ""  # the key of what holds for all symbols
_STOPPED = (TradingState.HALTED, TradingState.FLATTEN)


class Latched(Protocol):
    """The part of the risk machine that tells what is latched."""

    @property
    def symbol_states(self) -> Mapping[str, StateChanged]:
        """Return what is latched for single symbols."""
        ...

    @property
    def recorded(self) -> Mapping[str, StateChanged]:
        """Return the newest state on disk by symbol; the empty one is the account."""
        ...

    @property
    def state(self) -> StateChanged | None:
        """Return what is latched for the account; None if nothing is."""
        ...


def awaits_person(state: StateChanged | None) -> bool:
    """Tell whether only a person releases this state."""
    latched = state is not None and state.state is not TradingState.ACTIVE
    return latched and state is not None and state.latched_until_day is None


def stopped(risk: Latched, *, flat: bool = False) -> bool:
    """Tell whether a person's halt holds; with `flat` only if positions are closed as well."""
    state = risk.state
    if state is None or not awaits_person(state):
        return False
    return state.state is TradingState.FLATTEN if flat else state.state in _STOPPED


def stored(risk: Latched, symbol: str = ACCOUNT) -> bool:
    """Tell whether a restart would find what holds now, of the account or of a symbol."""
    held = risk.symbol_states.get(symbol) if symbol else risk.state
    newest = risk.recorded.get(symbol)
    if held is not None and held.state is not TradingState.ACTIVE:
        return newest == held
    return newest is None or newest.state is TradingState.ACTIVE


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
            "until": "resume" if state.latched_until_day is None else "next venue day",
            "since_ms": state.at_ns // 1_000_000,
            "stored": stored(risk, symbol),
        }
        for symbol, state in rows.items()
        if state.state is not TradingState.ACTIVE
    ]
