"""The gate's rules in the order they are asked: the first that fails names the refusal.

All are asked and all stand in the decision, except that what needs a size is asked only of an entry
that passed so far.  Exits are exempt from everything here (`RiskMachine` lets them pass).
"""

from collections.abc import Callable

from core.risk import rules_of_exposure as exposure
from core.risk import rules_of_freshness as freshness
from core.risk import rules_of_standing as standing
from core.risk import rules_of_tempo as tempo
from core.risk.case import Case

Rule = Callable[[Case], None]

BEFORE_SIZING: tuple[Rule, ...] = (
    # state
    standing.obstacles,
    standing.state,
    standing.symbol_state,
    standing.fence,
    standing.quarantine,
    standing.pause,
    # validity
    standing.symbol,
    standing.listing,
    standing.signal,
    # staleness
    freshness.kline,
    freshness.mark,
    freshness.frozen_mark,
    freshness.account,
    freshness.health,
    # duplicates, rates
    tempo.duplicate,
    tempo.entries_of_hour,
    tempo.entries_of_day,
    tempo.loss_streak,
    tempo.signal_rate,
    # slots
    exposure.position_open,
    exposure.slots,
    # price
    freshness.collar,
    freshness.last_price,
    freshness.spike,
    # money
    exposure.balance,
    exposure.day_loss,
)
AFTER_SIZING: tuple[Rule, ...] = (
    exposure.correlated,
    exposure.minimum,
    exposure.order_size,
    exposure.liquidation,
    tempo.same_again,
)
