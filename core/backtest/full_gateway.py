"""The short way between the machines and the exchange: no socket, no signature, no delay.

Commands become the venue's own requests, its answers and its user stream become messages by the
readers that the live bot uses.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core import messages as m
from core.clock import NS_PER_MS
from core.execution.classify import classify
from core.feed.frames import parse_user
from core.messages import Purpose, Side
from core.venue.simulated import events
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.ledger import AlgoOrder, Trade
from core.venue.simulated.params import Params
from core.venue.simulated.positions import Position
from core.venue.simulated.rest_trade import cancel_algo, place_algo, place_order

_ALGO_TYPES = {Purpose.STOP: "STOP_MARKET", Purpose.TARGET: "TAKE_PROFIT_MARKET"}
Command = m.PlaceOrder | m.PlaceAlgoOrder | m.CancelAlgoOrder | m.FetchSnapshot
UserEvent = m.OrderUpdate | m.AlgoUpdate | m.AccountUpdate


class FullGateway:
    """Carries commands to one exchange; `working_type` is the price that triggers look at."""

    def __init__(self, exchange: Exchange, working_type: str) -> None:
        self._exchange = exchange
        self._working_type = working_type

    def handle(self, command: Command) -> tuple[object, ...]:
        """Return the answer to a command.  Raises TypeError for one no backtest needs."""
        match command:
            case m.PlaceOrder():
                return (self._placed(command),)
            case m.PlaceAlgoOrder():
                return (self._conditional(command),)
            case m.CancelAlgoOrder():
                return (self._cancelled(command),)
            case m.FetchSnapshot():
                return (self._snapshot(command),)
            case _:
                raise TypeError(f"a backtest has no answer to {type(command).__name__}")

    def heard(self) -> list[UserEvent]:
        """Return what the user stream tells since it was last asked, oldest first."""
        found: list[UserEvent] = []
        for event in self._exchange.take_events():
            message = parse_user(event.payload) if isinstance(event, events.UserEvent) else None
            if message is not None:
                assert not isinstance(message, m.FrameRejected), message
                found.append(message)
        return found

    def _placed(self, order: m.PlaceOrder) -> m.OrderAnswered | m.OrderFailed:
        fields = {
            "symbol": order.symbol,
            "side": order.side.value,
            "type": "MARKET",
            "quantity": f"{order.quantity:f}",
            "newClientOrderId": order.client_id,
            "newOrderRespType": "RESULT",
        }
        if order.reduce_only:
            fields["reduceOnly"] = "true"
        return self._asked(order, order.purpose, place_order, fields)

    def _conditional(self, order: m.PlaceAlgoOrder) -> m.OrderAnswered | m.OrderFailed:
        fields = {
            "algoType": "CONDITIONAL",
            "symbol": order.symbol,
            "side": order.side.value,
            "type": _ALGO_TYPES[order.purpose],
            "triggerPrice": f"{order.trigger_price:f}",
            "closePosition": "true",
            "workingType": self._working_type,
            "clientAlgoId": order.client_id,
        }
        return self._asked(order, order.purpose, place_algo, fields)

    def _asked(
        self,
        order: m.PlaceOrder | m.PlaceAlgoOrder,
        purpose: Purpose,
        handler: Callable[[Exchange, Params], dict[str, Any]],
        fields: dict[str, str],
    ) -> m.OrderAnswered | m.OrderFailed:
        try:
            row = handler(self._exchange, Params(fields))
        except Rejection as refusal:
            verdict = classify(status=refusal.status, code=refusal.code, text=refusal.message)
            return m.OrderFailed(
                client_id=order.client_id,
                symbol=order.symbol,
                purpose=purpose,
                failure=verdict.failure,
                code=refusal.code,
                detail=refusal.message,
                action=verdict.action.value,
            )
        number = f"algo:{row['algoId']}" if "algoId" in row else row["orderId"]
        return m.OrderAnswered(
            client_id=order.client_id,
            symbol=order.symbol,
            purpose=purpose,
            venue_id=f"{order.symbol}:{number}",
            status=row.get("status") or row["algoStatus"],
            executed=Decimal(row.get("executedQty", "0")),
        )

    def _cancelled(self, order: m.CancelAlgoOrder) -> m.AlgoGone:
        try:
            cancel_algo(self._exchange, Params({"clientAlgoId": order.client_id}))
        except Rejection as refusal:
            detail = refusal.message
        else:
            detail = "cancelled"
        return m.AlgoGone(client_id=order.client_id, symbol=order.symbol, detail=detail)

    def _snapshot(self, asked: m.FetchSnapshot) -> m.VenueSnapshot:
        exchange = self._exchange
        ledger, held = exchange.ledger, exchange.account.held()
        at_ns = exchange.now_ms * NS_PER_MS
        new = not ledger.orders
        return m.VenueSnapshot(
            reason=asked.reason,
            account=self.account(earned_today=Decimal(0) if new else None),
            positions=tuple(self._position(position) for position in held),
            orders=tuple(_order(algo) for algo in ledger.open_algos()),
            trades=tuple(
                self._trade(trade)
                for symbol, known in asked.trades_after
                for trade in ledger.trades_of(symbol)
                if trade.trade_id > known
            ),
            found=(),
            taken_at_wall_ns=at_ns,
            asked_wall_ns=asked.asked_wall_ns,
        )

    def _position(self, position: Position) -> m.VenuePosition:
        account = self._exchange.account
        return m.VenuePosition(
            symbol=position.symbol,
            quantity=position.amount,
            entry_price=position.entry,
            mark_price=self._exchange.quotes.mark(position.symbol),
            unrealized_pnl=account.profit(position),
            margin=position.isolated_wallet,
        )

    def _trade(self, trade: Trade) -> m.VenueTrade:
        order = self._exchange.ledger.order(trade.symbol, trade.order_id, None)
        assert order is not None
        return m.VenueTrade(
            symbol=trade.symbol,
            trade_id=trade.trade_id,
            order_id=trade.order_id,
            client_id=order.client_order_id,
            side=Side(trade.side),
            quantity=trade.quantity,
            price=trade.price,
            commission=trade.commission,
            realized_pnl=trade.realized,
            at_ns=trade.time_ms * NS_PER_MS,
        )

    def account(self, earned_today: Decimal | None = None) -> m.AccountSnapshot:
        """Return the account's totals; each position binds its initial margin."""
        account = self._exchange.account
        held = account.held()
        margin = sum(
            (abs(p.amount) * p.entry / account.settings[p.symbol].leverage for p in held),
            Decimal(0),
        )
        return m.AccountSnapshot(
            wallet_balance=account.wallet,
            available_balance=max(Decimal(0), account.wallet - margin),
            unrealized_pnl=sum((account.profit(p) for p in held), Decimal(0)),
            margin=margin,
            at_ns=self._exchange.now_ms * NS_PER_MS,
            earned_today=earned_today,
            transfers_today=earned_today,
        )


def _order(algo: AlgoOrder) -> m.VenueOrder:
    return m.VenueOrder(
        symbol=algo.symbol,
        client_id=algo.client_algo_id,
        venue_id=f"{algo.symbol}:algo:{algo.algo_id}",
        side=Side(algo.side),
        order_type=algo.order_type,
        status=algo.status,
        quantity=algo.quantity,
        trigger_price=algo.trigger_price,
        close_position=algo.close_position,
        algo=True,
    )
