"""The specification's risk rules, one method each."""

import math
from typing import Any, Protocol


class RiskSettings(Protocol):
    """The settings these rules read (`config.Config`)."""

    STOPLOSS_PCT: float
    DAILY_MAX_LOSS_PCT: float
    MAX_OPEN_POSITIONS: int
    MIN_BALANCE_THRESHOLD: float
    MIN_SIGNAL_STRENGTH: float
    MIN_ML_CONFIDENCE: float


class StateReader(Protocol):
    """What is asked of a database manager; any object with this method will do.

    One that also has `get_day_start_equity() -> float | None` is asked for that first.
    """

    def get_bot_state(self) -> dict[str, Any]:
        """Return the bot's stored state by key."""
        ...


class RiskManager:
    """Position sizing and the limits of the specification.

    `check_*` and `validate_*` answer True for "may trade".  Amounts are in the quote asset.
    Unknown or non-finite numbers are answered as "may not": money code fails closed.

    `day_start_equity` is the equity at 00:00 UTC of the venue's day, the base of the daily loss
    limit.  RiskActor sets it from its day ledger; standing alone, the manager asks the database.
    """

    def __init__(self, config: RiskSettings, db_manager: StateReader | None) -> None:
        self._config = config
        self._db_manager = db_manager
        self.day_start_equity: float | None = None

    def calculate_position_size(
        self, balance: float, risk_per_trade: float, price: float, min_quantity: float
    ) -> float:
        """Return `balance * risk_per_trade / (price * STOPLOSS_PCT)` in base units.

        0.0 where that is below `min_quantity` or not a positive finite number.  The formula is an
        upper bound: at the specified numbers it asks for more margin than the balance, so
        `core/risk/sizing.py` applies further caps to it.
        """
        loss_per_unit = price * self._config.STOPLOSS_PCT
        if not (math.isfinite(loss_per_unit) and loss_per_unit > 0):
            return 0.0
        quantity = balance * risk_per_trade / loss_per_unit
        if not (math.isfinite(quantity) and quantity > 0 and quantity >= min_quantity):
            return 0.0
        return quantity

    def daily_loss_limit(self) -> float | None:
        """Return the loss at which the day ends, a positive amount; None while unknown."""
        equity = self.day_start_equity
        if equity is None and self._db_manager is not None:
            equity = self._stored_equity(self._db_manager)
        if equity is None or not math.isfinite(equity) or equity <= 0:
            return None
        return equity * self._config.DAILY_MAX_LOSS_PCT

    @staticmethod
    def _stored_equity(database: StateReader) -> float | None:
        read = getattr(database, "get_day_start_equity", None)
        known = _number(read()) if read is not None else None
        return _number(database.get_bot_state().get("day_start_equity")) if known is None else known

    def check_daily_loss_limit(self, current_pnl: float) -> bool:
        """Tell whether the day's P&L (realised and unrealised) is above minus the limit."""
        if not math.isfinite(current_pnl):
            return False
        if current_pnl >= 0:
            return True
        limit = self.daily_loss_limit()
        return limit is not None and current_pnl > -limit

    def check_balance_threshold(self, balance: float) -> bool:
        """Tell whether the balance is at least MIN_BALANCE_THRESHOLD."""
        return math.isfinite(balance) and balance >= self._config.MIN_BALANCE_THRESHOLD

    def check_open_positions_limit(self, open_positions: int) -> bool:
        """Tell whether one more position fits beside `open_positions` (a count)."""
        return open_positions < self._config.MAX_OPEN_POSITIONS

    def validate_trade_parameters(
        self, signal: str, strength: float, confidence: float | None
    ) -> bool:
        """Tell whether a signal is worth a trade: a side, strong and confident enough.

        `confidence=None` (technical-only) skips the confidence filter.
        """
        if signal not in ("BUY", "SELL"):
            return False
        if not self._config.MIN_SIGNAL_STRENGTH <= strength < math.inf:
            return False
        return confidence is None or self._config.MIN_ML_CONFIDENCE <= confidence < math.inf


def _number(stored: object) -> float | None:
    try:
        return float(str(stored))
    except ValueError:
        return None
