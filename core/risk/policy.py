"""The settings that risk reads, as `config.Config` holds them."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from core.risk.liquidation import largest_notional
from core.risk.risk_manager import RiskSettings
from core.risk.sizing import ZERO, Limits
from core.venue.instrument import Instrument


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
    MAX_ORDER_QTY: Mapping[str, float]
    MAX_GROSS_X: float
    MAX_NET_X: float
    MIN_NOTIONAL_MULT: float
    COLLAR_PCT: float
    MARK_MAX_AGE_S: float
    SOFT_LOSS_AT: float
    HALT_AT: float
    COUNT_FOREIGN: bool
    BUDGET_USES_GAINS: bool
    MAX_DRAWDOWN: float
    LIQ_DISTANCE_MIN: float
    MARK_LAST_DIV_PCT: float
    MARK_FROZEN_S: float
    MAX_BAR_RET: float
    MAX_ENTRIES_SYMBOL_1H: int
    MAX_ENTRIES_DAY: int
    LOSS_STREAK_LATCH: int
    MAX_SIGNAL_RATIO: float
    DUP_WINDOW_S: float
    DELIST_GUARD_H: float
    ACCOUNT_MAX_AGE_S: float
    WS_SILENCE_S: float
    CLOCK_ERR_MS: int
    MAX_CORRELATED_X: float
    CORRELATION_BARS: int
    CORRELATION_SHOCK: float
    MARGIN_COOLDOWN_S: float
    PROTECTION_COOLDOWN_S: float
    PROTECTION_FAILURES_MAX: int


class Policies(Protocol):
    """Gives the effective settings of one symbol."""

    def for_symbol(self, symbol: str) -> RiskPolicy:
        """Return the settings with the symbol's overrides applied."""
        ...


def sizing_limits(
    policy: RiskPolicy,
    symbol: str,
    instrument: Instrument | None,
    *,
    day_limit: Decimal,
    lost_today: Decimal,
    gained_today: Decimal,
) -> Limits:
    """Gather the numbers that size an entry, exact; without an instrument nothing may be sent."""

    def exact(value: float) -> Decimal:
        return Decimal(str(value))

    market_max = instrument.market_quantity_max if instrument is not None else ZERO
    return Limits(
        risk_per_trade=exact(policy.RISK_PER_TRADE),
        stop_pct=exact(policy.STOPLOSS_PCT),
        taker_fee=exact(policy.TAKER_FEE),
        gap=exact(policy.GAP_ALLOWANCE),
        leverage=exact(policy.LEVERAGE),
        slots=policy.MAX_OPEN_POSITIONS,
        day_limit=day_limit,
        lost_today=lost_today - (gained_today if policy.BUDGET_USES_GAINS else ZERO),
        margin_usage=exact(policy.MAX_MARGIN_USAGE),
        symbol_notional_x=exact(policy.MAX_SYMBOL_NOTIONAL_X),
        gross_x=exact(policy.MAX_GROSS_X),
        net_x=exact(policy.MAX_NET_X),
        order_notional_x=exact(policy.MAX_ORDER_NOTIONAL_X),
        quantity_max=min(market_max, exact(policy.MAX_ORDER_QTY.get(symbol, math.inf))),
        bracket_notional=largest_notional(instrument, policy.LEVERAGE),
        gains_count=policy.BUDGET_USES_GAINS,
    )
