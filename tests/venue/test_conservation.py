"""Money and positions are conserved under any orders, modes and prices, in exact decimals."""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.venue.simulated.errors import Rejection
from core.venue.simulated.events import UserEvent
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.faults import read_fault
from core.venue.simulated.ledger import Order
from core.venue.simulated.market import MINUTE_MS
from core.venue.simulated.market_faults import inject
from tests.venue.market_on_paper import START_MS, algo, an_exchange, call, limit, market

BTC = st.integers(95_000_0, 105_000_0).map(lambda tenths: f"{tenths / 10:.2f}")
ETH = st.integers(1_700_00, 2_300_00).map(lambda cents: f"{cents / 100:.2f}")
MINUTES = 6


def paths(prices: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    minute = st.lists(prices, min_size=1, max_size=6)
    return st.lists(minute, min_size=MINUTES, max_size=MINUTES)


SYMBOL = st.sampled_from(["BTCUSDT", "ETHUSDT"])
SIDE = st.sampled_from(["BUY", "SELL"])
QUANTITY = st.sampled_from(["0.010", "0.050", "0.300", "2.000"])
MODE = st.sampled_from(["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "NONE"])
TIF = st.sampled_from(["GTC", "IOC", "FOK", "GTX"])
AWAY = st.sampled_from(["0.980", "0.995", "0.9999", "1.0001", "1.005", "1.020"])

FAULT = st.sampled_from(
    [
        ("partial_fill", {"fraction": 0.3}),
        ("partial_fill", {"fraction": 0.5, "status": "EXPIRED"}),
        ("algo_reject_at_trigger", {}),
        ("price_jump", {"pct": 3}),
        ("price_jump", {"pct": -4}),
        ("price_jump", {"pct": 13}),
        ("price_freeze", {"s": 30}),
        ("foreign_order", {"side": "SELL", "type": "MARKET", "quantity": "0.010"}),
        ("delist", {"status": "SETTLING"}),
    ]
)


# ---------------------------------------------------------------------- what always holds
def conserved(exchange: Exchange) -> None:
    """Check the books against each other: wallet, positions, orders, margins."""
    ledger, account = exchange.ledger, exchange.account
    trades = ledger.trades
    others = [row.amount for row in ledger.income if row.kind not in {"REALIZED_PNL", "COMMISSION"}]
    booked = sum((trade.realized - trade.commission for trade in trades), Decimal(0))
    assert account.wallet == booked + sum(others, Decimal(0))
    assert account.wallet == sum((row.amount for row in ledger.income), Decimal(0))
    assert account.wallet >= 0
    for symbol in exchange.quotes.symbols:
        for side in ("BOTH", "LONG", "SHORT"):
            check_position(exchange, symbol, side)
    for order in ledger.orders:
        check_order(exchange, order)


def check_position(exchange: Exchange, symbol: str, side: str) -> None:
    ledger, position = exchange.ledger, exchange.account.position(symbol, side)
    mine = [row for row in ledger.trades if (row.symbol, row.position_side) == (symbol, side)]
    signed = [row.quantity if row.side == "BUY" else -row.quantity for row in mine]
    assert position.amount == sum(signed, Decimal(0))
    assert position.isolated_wallet >= 0
    assert position.amount or not position.isolated_wallet
    assert position.amount or not position.entry
    assert not (side == "LONG" and position.amount < 0)
    assert not (side == "SHORT" and position.amount > 0)
    closers = [row for row in ledger.open_algos(symbol) if row.close_position]
    assert position.amount or not [row for row in closers if row.position_side == side]
    resting = [
        row for row in ledger.open_orders(symbol) if row.reduces and row.position_side == side
    ]
    assert all(position.amount * row.sign < 0 for row in resting)


def check_order(exchange: Exchange, order: Order) -> None:
    mine = [row for row in exchange.ledger.trades if row.order_id == order.order_id]
    mine = [row for row in mine if row.symbol == order.symbol]
    assert sum((row.quantity for row in mine), Decimal(0)) == order.executed <= order.quantity
    assert sum((row.quantity * row.price for row in mine), Decimal(0)) == order.quote
    assert order.is_open == (order in exchange.ledger.open_orders(order.symbol))
    if order.status == "FILLED":
        assert not order.remaining
    if order.type in {"MARKET", "LIQUIDATION"}:
        assert not order.is_open


def priced(exchange: Exchange, symbol: str, factor: str) -> str:
    tick = exchange.quotes.instruments[symbol].tick_size
    return str(exchange.quotes.last(symbol) * Decimal(factor) // tick * tick)


# ---------------------------------------------------------------------- the machine
class Trader(RuleBasedStateMachine):
    """Trades at random, in any mode; a refused request must change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    @initialize(btc=paths(BTC), eth=paths(ETH), dual=st.booleans(), isolated=st.booleans())
    def open(self, btc: Any, eth: Any, dual: bool, isolated: bool) -> None:
        self.exchange = an_exchange(
            {"BTCUSDT": btc, "ETHUSDT": eth},
            balance="3000",
            start_ms=START_MS - 3 * MINUTE_MS,
            rate="-0.0007",
        )
        if dual:
            call(self.exchange, "POST v1/positionSide/dual", dualSidePosition="true")
        if isolated:
            call(self.exchange, "POST v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")

    def attempt(self, act: Any, *args: Any, **params: Any) -> None:
        exchange = self.exchange
        before = (exchange.account.wallet, len(exchange.ledger.orders), len(exchange.outbox))
        try:
            act(exchange, *args, **params)
        except Rejection:
            after = (exchange.account.wallet, len(exchange.ledger.orders), len(exchange.outbox))
            assert after == before

    def side_of(self, side: str, closing: bool) -> dict[str, str]:
        if not self.exchange.account.dual_side:
            return {"reduceOnly": "true"} if closing else {}
        opens = "LONG" if side == "BUY" else "SHORT"
        other = "SHORT" if side == "BUY" else "LONG"
        return {"positionSide": other if closing else opens}

    @rule(symbol=SYMBOL, side=SIDE, quantity=QUANTITY, closing=st.booleans(), mode=MODE)
    def trade(self, symbol: str, side: str, quantity: str, closing: bool, mode: str) -> None:
        more = {"selfTradePreventionMode": mode, **self.side_of(side, closing)}
        self.attempt(market, side, quantity, symbol=symbol, **more)

    @rule(
        symbol=SYMBOL,
        side=SIDE,
        quantity=QUANTITY,
        away=AWAY,
        tif=TIF,
        closing=st.booleans(),
        mode=MODE,
    )
    def rest(self, **wish: Any) -> None:
        symbol, side = wish["symbol"], wish["side"]
        price = priced(self.exchange, symbol, wish["away"])
        more = {"selfTradePreventionMode": wish["mode"], "timeInForce": wish["tif"]}
        more |= self.side_of(side, wish["closing"])
        self.attempt(limit, side, wish["quantity"], price, symbol=symbol, **more)

    @rule(
        symbol=SYMBOL,
        side=SIDE,
        away=AWAY,
        kind=st.sampled_from(["STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TAKE_PROFIT"]),
        size=st.sampled_from(["all", "0.010", "0.300"]),
    )
    def protect(self, symbol: str, side: str, away: str, kind: str, size: str) -> None:
        trigger = priced(self.exchange, symbol, away)
        fields: dict[str, str] = self.side_of(side, closing=True)
        if size == "all":
            fields = {"closePosition": "true", **fields}
            fields.pop("reduceOnly", None)
        else:
            fields["quantity"] = size
        if not kind.endswith("MARKET"):
            fields["price"] = trigger
        self.attempt(algo, side, kind, trigger, symbol=symbol, **fields)

    @rule(symbol=SYMBOL, side=SIDE, rate=st.sampled_from(["0.1", "1.0"]), closing=st.booleans())
    def trail(self, symbol: str, side: str, rate: str, closing: bool) -> None:
        fields = {"callbackRate": rate, "quantity": "0.050", **self.side_of(side, closing)}
        self.attempt(algo, side, "TRAILING_STOP_MARKET", "", symbol=symbol, **fields)

    @precondition(lambda self: self.exchange.ledger.open_orders())
    @rule(data=st.data(), quantity=QUANTITY, away=AWAY)
    def amend(self, data: Any, quantity: str, away: str) -> None:
        order = data.draw(st.sampled_from(self.exchange.ledger.open_orders()))
        price = priced(self.exchange, order.symbol, away)
        change = {"symbol": order.symbol, "side": order.side, "quantity": quantity, "price": price}
        self.attempt(call, "PUT v1/order", orderId=order.order_id, **change)

    @precondition(lambda self: self.exchange.ledger.open_orders())
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        order = data.draw(st.sampled_from(self.exchange.ledger.open_orders()))
        ids = json.dumps([order.order_id])
        call(self.exchange, "DELETE v1/batchOrders", symbol=order.symbol, orderIdList=ids)
        assert not order.is_open

    @rule(symbol=SYMBOL, leverage=st.sampled_from([1, 5, 20, 50]))
    def lever(self, symbol: str, leverage: int) -> None:
        self.attempt(call, "POST v1/leverage", symbol=symbol, leverage=leverage)

    @rule(symbol=SYMBOL, kind=st.sampled_from(["ISOLATED", "CROSSED"]))
    def margin_type(self, symbol: str, kind: str) -> None:
        self.attempt(call, "POST v1/marginType", symbol=symbol, marginType=kind)

    @rule(symbol=SYMBOL, side=SIDE, amount=st.sampled_from(["5", "300"]), kind=st.integers(1, 2))
    def move_margin(self, symbol: str, side: str, amount: str, kind: int) -> None:
        fields = {"symbol": symbol, "amount": amount, "type": kind}
        if self.exchange.account.dual_side:
            fields["positionSide"] = "LONG" if side == "BUY" else "SHORT"
        self.attempt(call, "POST v1/positionMargin", **fields)

    @rule(dual=st.booleans())
    def change_mode(self, dual: bool) -> None:
        word = str(dual).lower()
        self.attempt(call, "POST v1/positionSide/dual", dualSidePosition=word)

    @rule(symbol=SYMBOL, length=st.sampled_from([0, 7_000]))
    def count_down(self, symbol: str, length: int) -> None:
        call(self.exchange, "POST v1/countdownCancelAll", symbol=symbol, countdownTime=length)

    @rule(wait=st.sampled_from([1_000, 23_000, 61_000]))
    def wait(self, wait: int) -> None:
        self.exchange.advance(self.exchange.now_ms + wait)

    @rule(fault=FAULT, symbol=SYMBOL)
    def strike(self, fault: tuple[str, dict[str, object]], symbol: str) -> None:
        kind, args = fault
        wish = {"kind": kind, "count": 1, "match": {"symbol": symbol}, "args": args}
        with suppress(Rejection):  # a foreign order may be refused like any other
            inject(self.exchange, read_fault(wish))

    @invariant()
    def books_agree(self) -> None:
        if hasattr(self, "exchange"):
            conserved(self.exchange)
            self.check_events()

    def check_events(self) -> None:
        """The wallet last told is the wallet, and nothing is told of the future."""
        for event in self.exchange.take_events():
            if isinstance(event, UserEvent):
                assert event.payload["E"] <= self.exchange.now_ms
                if event.payload["e"] == "ACCOUNT_UPDATE":
                    self.wallet_told = Decimal(event.payload["a"]["B"][0]["wb"])
        told = getattr(self, "wallet_told", Decimal(3000))
        assert told == self.exchange.account.wallet


Trader.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyTrader = Trader.TestCase


# ---------------------------------------------------------------------- slicing of time
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["market", "reduce", "limit", "stop", "target", "trail", "isolate", "wait"]
        ),
        SYMBOL,
        SIDE,
        QUANTITY,
    ),
    min_size=4,
    max_size=25,
)


def act(exchange: Exchange, action: tuple[str, str, str, str]) -> None:
    kind, symbol, side, quantity = action
    factors = {"BUY": ("0.995", "1.005"), "SELL": ("1.005", "0.995")}[side]
    near, far = (priced(exchange, symbol, factor) for factor in factors)
    match kind:
        case "market":
            market(exchange, side, quantity, symbol=symbol)
        case "reduce":
            market(exchange, side, quantity, symbol=symbol, reduceOnly="true")
        case "limit":
            limit(exchange, side, quantity, near, symbol=symbol)
        case "stop":
            algo(exchange, side, "STOP_MARKET", far, symbol=symbol, closePosition="true")
        case "target":
            algo(exchange, side, "TAKE_PROFIT_MARKET", near, symbol=symbol, quantity=quantity)
        case "trail":
            fields = {"symbol": symbol, "quantity": quantity, "callbackRate": "0.5"}
            algo(exchange, side, "TRAILING_STOP_MARKET", "", **fields)
        case "isolate":
            call(exchange, "POST v1/marginType", symbol=symbol, marginType="ISOLATED")
        case _:
            exchange.advance(exchange.now_ms + 23_000)


@settings(max_examples=60, deadline=None)
@given(btc=paths(BTC), eth=paths(ETH), actions=ACTIONS, step=st.integers(1_000, 30_000))
def test_playing_point_by_point_equals_playing_at_once(btc, eth, actions, step):
    def play(step_ms: int) -> object:
        exchange = an_exchange({"BTCUSDT": btc, "ETHUSDT": eth}, balance="3000")
        for action in actions:
            with suppress(Rejection):
                act(exchange, action)
        while not exchange.ended:
            exchange.advance(exchange.now_ms + step_ms)
        return exchange.dump()

    assert play(step) == play(24 * 3_600_000)
