"""Trailing stops: activation, then a trigger that follows the best price at a callback rate.

A SELL waits until the price has reached its activation price from below, remembers the highest
price from then on and fires once the price has come back from it by the rate; a BUY is the mirror.
"""

from decimal import Decimal

from core.venue.simulated.errors import Rejection
from core.venue.simulated.ledger import AlgoOrder


def prepare(algo: AlgoOrder, price: Decimal) -> None:
    """Set the activation price, by default the present one.

    Raises -4135 for a BUY above and a SELL below the present price.
    """
    if not algo.activate_price:
        algo.activate_price = price
    elif (algo.activate_price - price) * _direction(algo) < 0:
        raise Rejection(-4135)


def follow(algo: AlgoOrder, price: Decimal) -> bool:
    """Take note of a price; tell whether the order fires.

    >>> row = dict(algo_id=1, client_algo_id="a", symbol="BTCUSDT", position_side="BOTH")
    >>> row |= dict(order_type="TRAILING_STOP_MARKET", time_in_force="GTC", price=Decimal(0))
    >>> row |= dict(working_type="MARK_PRICE", close_position=False, price_protect=False)
    >>> row |= dict(reduce_only=True, create_ms=0, quantity=Decimal(1), trigger_price=Decimal(0))
    >>> algo = AlgoOrder(side="SELL", callback_rate=Decimal(1), activate_price=Decimal(110), **row)
    >>> [follow(algo, Decimal(price)) for price in (109, 100, 110, 120, 119, "118.8")]
    [False, False, False, False, False, True]
    """
    direction = _direction(algo)
    if not algo.activated:
        if (price - algo.activate_price) * direction < 0:
            return False
        algo.activated, algo.extreme = True, price
        return False
    if (price - algo.extreme) * direction > 0:
        algo.extreme = price
    turn = algo.extreme * (1 - direction * algo.callback_rate / 100)
    return (price - turn) * direction <= 0


def _direction(algo: AlgoOrder) -> int:
    """+1 when it follows a rising price (SELL), −1 when a falling one."""
    return 1 if algo.side == "SELL" else -1
