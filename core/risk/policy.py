"""The settings that risk reads, as `config.Config` holds them."""

from typing import Protocol

from core.risk.risk_manager import RiskSettings


class RiskPolicy(RiskSettings, Protocol):
    """Limits; `_PCT` and `_X` are fractions and multiples of equity, `_S` and `_MS` wall time."""

    LEVERAGE: int
    RISK_PER_TRADE: float
    TAKE_PROFIT_PCT: float
    TAKER_FEE: float
    GAP_ALLOWANCE: float
    SIZING_MODE: str
    MAX_MARGIN_USAGE: float
    MAX_SYMBOL_NOTIONAL_X: float
    MAX_ORDER_NOTIONAL_X: float
    MAX_GROSS_X: float
    MAX_NET_X: float
    MIN_NOTIONAL_MULT: float
    COLLAR_PCT: float
    MARK_MAX_AGE_S: float
    SOFT_LOSS_AT: float
    HALT_AT: float


class Policies(Protocol):
    """Gives the effective settings of one symbol."""

    def for_symbol(self, symbol: str) -> RiskPolicy:
        """Return the settings with the symbol's overrides applied."""
        ...
