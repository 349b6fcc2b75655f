"""Mutants of what must be remembered, or waited for: a restart that forgets, a denial believed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core import messages as m
from core.execution.bracket import Phase
from core.execution.entry import Entries
from core.execution.order_life import OrderState
from core.risk.machine import RiskMachine


def restores_no_latch(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, stored: None


def begins_the_day_anew(original: Callable[..., Any]) -> Callable[..., Any]:
    def recover(self: RiskMachine, recovered: m.RecoveredBook, now: Any) -> Any:
        return original(self, replace(recovered, day=None), now)

    return recover


def hears_no_income(original: Callable[..., Any]) -> Callable[..., Any]:
    """The venue's own list would make up for a forgotten day: each is proved by itself."""
    return lambda self, income, now: None


def believes_the_first_denial(original: Callable[..., Any]) -> Callable[..., Any]:
    def found(self: Entries, found: m.OrderFound, now: Any) -> Any:
        bracket = self._of(found.client_id)
        if bracket is None or found.found or bracket.phase is not Phase.UNKNOWN:
            return original(self, found, now)
        return self._drop(bracket, OrderState.ABSENT, "absent", "denied once", now)

    return found
