"""The Algo Service: conditional orders in a store of their own (Binance reference, section 5).

NEW → TRIGGERING → TRIGGERED → FINISHED; CANCELED by the user, EXPIRED when the position is closed
some other way, REJECTED when the order it becomes is refused.  The ordinary order carries the
`clientAlgoId` as its client id.  No margin is checked before the trigger.
"""

from decimal import Decimal

from core.venue.simulated.account import Account
from core.venue.simulated.errors import Rejection
from core.venue.simulated.events import Outbox
from core.venue.simulated.ledger import AlgoOrder, Ledger, Order
from core.venue.simulated.orders import OrderDesk
from core.venue.simulated.positions import Position
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import algo_event
from core.venue.simulated.tickets import LIMIT_ALGOS, Ticket, matched_price
from core.venue.simulated.trailing import follow, prepare

OPEN_MAX = 200
_FAILURES = {-2022: "Reduce Only reject"}  # what events call a refusal otherwise than requests do


class AlgoDesk:
    """Conditional orders of one account."""

    def __init__(
        self, ledger: Ledger, quotes: Quotes, account: Account, desk: OrderDesk, outbox: Outbox
    ) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self._account = account
        self._desk = desk
        self._outbox = outbox

    # ------------------------------------------------------------------ acceptance
    def place(self, ticket: Ticket) -> AlgoOrder:
        """Accept a conditional order.

        Raises -4116 (waiting order of that id), -4045 (200 waiting), -4509 (closePosition while
        flat), -2022 (closePosition that would add), -4130 (one of its family waits already),
        -2021 (trigger already met), -4135 (activation price on the wrong side).
        """
        waiting = self._ledger.open_algos()
        if any(algo.client_algo_id == ticket.client_id for algo in waiting):
            raise Rejection(-4116)
        if len(waiting) >= OPEN_MAX:
            raise Rejection(-4045)
        now_ms = self._quotes.now_ms
        algo = AlgoOrder(
            algo_id=0,
            client_algo_id="",
            symbol=ticket.symbol,
            side=ticket.side,
            position_side=ticket.position_side,
            order_type=ticket.type,
            time_in_force=ticket.time_in_force,
            quantity=ticket.quantity,
            trigger_price=ticket.trigger_price,
            price=ticket.price,
            working_type=ticket.working_type,
            close_position=ticket.close_position,
            price_protect=ticket.price_protect,
            reduce_only=ticket.reduce_only or ticket.close_position,
            create_ms=now_ms,
            self_trade_prevention=ticket.self_trade_prevention,
            good_till_ms=ticket.good_till_ms,
            price_match=ticket.price_match,
            callback_rate=ticket.callback_rate,
            activate_price=ticket.activate_price,
        )
        price = self._working_price(algo)
        if algo.close_position:
            self._check_close_position(algo)
        elif algo.time_in_force == "GTE_GTC" and not self._position(algo).amount:
            raise Rejection(-4509)
        if algo.is_trailing:
            prepare(algo, price)
        elif algo.is_hit_by(price):
            raise Rejection(-2021)
        algo.algo_id = self._ledger.next_algo_id()
        algo.client_algo_id = ticket.client_id or self._ledger.next_client_id()
        algo.move("NEW", now_ms)
        self._ledger.add_algo(algo)
        self._tell(algo)
        if algo.is_trailing:
            self._trail(algo, price)
        return algo

    def _check_close_position(self, algo: AlgoOrder) -> None:
        amount = self._position(algo).amount
        if not amount:
            raise Rejection(-4509)
        if (amount > 0) == (algo.side == "BUY"):
            raise Rejection(-2022)
        for other in self._ledger.open_algos(algo.symbol):
            if (
                other.close_position
                and other.family == algo.family
                and (other.side, other.position_side) == (algo.side, algo.position_side)
            ):
                raise Rejection(-4130)

    def cancel(self, algo: AlgoOrder) -> None:
        """Cancel a waiting order; -2011 for one that has triggered or ended."""
        if not algo.is_open:
            raise Rejection(-2011)
        self._move(algo, "CANCELED")

    def expire_due(self, algo: AlgoOrder) -> None:
        """End a GTD order whose date has come."""
        if algo.is_open:
            self._move(algo, "EXPIRED")

    # ------------------------------------------------------------------ trigger
    def match(self, symbol: str) -> None:
        """Trigger what the present prices satisfy, oldest first."""
        waiting = self._ledger.open_algos(symbol)
        if not waiting:
            return
        prices = {
            "MARK_PRICE": self._quotes.mark(symbol),
            "CONTRACT_PRICE": self._quotes.last(symbol),
        }
        gap = abs(prices["MARK_PRICE"] / prices["CONTRACT_PRICE"] - 1)
        protected = gap > self._quotes.instruments[symbol].trigger_protect
        for algo in waiting:
            if not algo.is_open:
                continue
            price = prices[algo.working_type]
            hit = self._trail(algo, price) if algo.is_trailing else algo.is_hit_by(price)
            if hit and not (algo.price_protect and protected):
                self._trigger(algo)

    def _trail(self, algo: AlgoOrder, price: Decimal) -> bool:
        """Let a trailing stop follow a price; its activation is told by a second NEW."""
        was_active = algo.activated
        hit = follow(algo, price)
        if algo.activated and not was_active:
            algo.move("NEW", self._quotes.now_ms, isActivated="true")
            self._tell(algo)
        return hit

    def _trigger(self, algo: AlgoOrder) -> None:
        algo.trigger_ms = self._quotes.now_ms
        self._move(algo, "TRIGGERING")
        try:
            faults = self._desk.faults
            if faults.waiting and faults.refuse_trigger(algo.symbol):
                return
            ticket = self._desk.check(self._ticket(algo))
        except Rejection as refusal:
            algo.failure = _FAILURES.get(refusal.code, refusal.message)
            self._move(algo, "REJECTED")
            return
        self._desk.execute(self._desk.place(ticket, algo))

    def _ticket(self, algo: AlgoOrder) -> Ticket:
        """Return the ordinary order that a triggered one becomes."""
        price = algo.price
        if algo.price_match != "NONE":
            price = matched_price(self._quotes, algo.symbol, algo.side, algo.price_match)
        return Ticket(
            symbol=algo.symbol,
            side=algo.side,
            type="LIMIT" if algo.order_type in LIMIT_ALGOS else "MARKET",
            quantity=self._size(algo),
            price=price,
            time_in_force="GTC" if algo.time_in_force == "GTE_GTC" else algo.time_in_force,
            reduce_only=algo.reduce_only,
            client_id=algo.client_algo_id,
            self_trade_prevention=algo.self_trade_prevention,
            close_position=algo.close_position,
            working_type=algo.working_type,
            price_protect=algo.price_protect,
            good_till_ms=algo.good_till_ms,
            position_side=algo.position_side,
            price_match=algo.price_match,
            callback_rate=algo.callback_rate,
            activate_price=algo.activate_price,
        )

    def _size(self, algo: AlgoOrder) -> Decimal:
        if not algo.close_position:
            return algo.quantity
        return abs(self._position(algo).amount)

    def _position(self, algo: AlgoOrder) -> Position:
        return self._account.position(algo.symbol, algo.position_side)

    def _working_price(self, algo: AlgoOrder) -> Decimal:
        if algo.working_type == "MARK_PRICE":
            return self._quotes.mark(algo.symbol)
        return self._quotes.last(algo.symbol)

    # ------------------------------------------------------------------ what the desk tells
    def order_entered(self, order: Order) -> None:
        """Call a conditional order TRIGGERED: the one it becomes is in the book."""
        algo = self._ledger.algo(order.algo_id, None)
        if algo is not None:
            algo.order_id = order.order_id
            self._move(algo, "TRIGGERED")

    def order_ended(self, order: Order) -> None:
        """Finish the conditional order whose ordinary order has ended."""
        algo = self._ledger.algo(order.algo_id, None) if order.algo_id else None
        if algo is not None and algo.status == "TRIGGERED":
            self._move(algo, "FINISHED")

    def position_gone(self, position: Position) -> None:
        """Expire the orders that live only as long as the position that is gone."""
        for algo in self._ledger.open_algos(position.symbol):
            bound = algo.close_position or algo.time_in_force == "GTE_GTC"
            if bound and algo.position_side == position.side:
                self._move(algo, "EXPIRED")

    def delist(self, symbol: str) -> None:
        """Expire what waits for a symbol that is listed no more."""
        for algo in self._ledger.open_algos(symbol):
            self._move(algo, "EXPIRED")

    def child(self, algo: AlgoOrder) -> Order | None:
        """Return the ordinary order it became, if it did."""
        return self._ledger.order(algo.symbol, algo.order_id, None) if algo.order_id else None

    def _move(self, algo: AlgoOrder, status: str) -> None:
        details = {"reason": algo.failure} if algo.failure else {}
        algo.move(status, self._quotes.now_ms, **details)
        self._ledger.settle_algo(algo)
        self._tell(algo)

    def _tell(self, algo: AlgoOrder) -> None:
        rules = self._quotes.instruments[algo.symbol]
        self._outbox.user(algo_event(rules, algo, self.child(algo)))


def hits_within(algo: AlgoOrder, low: Decimal, high: Decimal) -> bool:
    """Tell whether prices between the two could change the order; they always move a trail."""
    return algo.is_trailing or algo.is_hit_by(high if algo.fires_upward else low)
