"""Money and positions are conserved under any orders and prices, in exact decimals."""

from contextlib import suppress
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.market import MINUTE_MS
from tests.venue.market_on_paper import START_MS, algo, an_exchange, call, limit, market

BTC = st.integers(95_000_0, 105_000_0).map(lambda tenths: f"{tenths / 10:.2f}")
ETH = st.integers(1_700_00, 2_300_00).map(lambda cents: f"{cents / 100:.2f}")
MINUTES = 6


def paths(prices: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    minute = st.lists(prices, min_size=1, max_size=6)
    return st.lists(minute, min_size=MINUTES, max_size=MINUTES)


SYMBOL = st.sampled_from(["BTCUSDT", "ETHUSDT"])
SIDE = st.sampled_from(["BUY", "SELL"])
QUANTITY = st.sampled_from(["0.010", "0.050", "0.300"])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("market"), SYMBOL, SIDE, QUANTITY),
        st.tuples(st.just("reduce"), SYMBOL, SIDE, QUANTITY),
        st.tuples(st.just("limit"), SYMBOL, SIDE, QUANTITY),
        st.tuples(st.just("stop"), SYMBOL, SIDE, QUANTITY),
        st.tuples(st.just("target"), SYMBOL, SIDE, QUANTITY),
        st.tuples(st.just("isolate"), SYMBOL, SIDE, QUANTITY),
        st.tuples(st.just("wait"), SYMBOL, SIDE, QUANTITY),
    ),
    min_size=4,
    max_size=25,
)


def act(exchange: Exchange, action: tuple[str, str, str, str]) -> None:
    kind, symbol, side, quantity = action
    last = exchange.quotes.last(symbol)
    tick = exchange.quotes.instruments[symbol].tick_size
    away = {"BUY": Decimal("0.995"), "SELL": Decimal("1.005")}[side]
    near, far = last * away // tick * tick, last * (2 - away) // tick * tick
    match kind:
        case "market":
            market(exchange, side, quantity, symbol=symbol)
        case "reduce":
            market(exchange, side, quantity, symbol=symbol, reduceOnly="true")
        case "limit":
            limit(exchange, side, quantity, str(near), symbol=symbol)
        case "stop":
            algo(exchange, side, "STOP_MARKET", str(far), symbol=symbol, closePosition="true")
        case "target":
            algo(exchange, side, "TAKE_PROFIT_MARKET", str(near), symbol=symbol, quantity=quantity)
        case "isolate":
            call(exchange, "POST v1/marginType", symbol=symbol, marginType="ISOLATED")
        case _:
            exchange.advance(exchange.now_ms + 23_000)


def conserved(exchange: Exchange) -> None:
    ledger, account = exchange.ledger, exchange.account
    trades = ledger.trades
    others = [row.amount for row in ledger.income if row.kind not in {"REALIZED_PNL", "COMMISSION"}]
    booked = sum((trade.realized - trade.commission for trade in trades), Decimal(0))
    assert account.wallet == booked + sum(others, Decimal(0))
    for symbol, position in account.positions.items():
        mine = [trade for trade in trades if trade.symbol == symbol]
        signed = [t.quantity if t.side == "BUY" else -t.quantity for t in mine]
        assert position.amount == sum(signed, Decimal(0))
        assert position.isolated_wallet >= 0
        assert position.amount or not position.isolated_wallet
        closers = [row for row in ledger.open_algos(symbol) if row.close_position]
        assert position.amount or not closers
    for order in ledger.orders:
        mine = [t for t in trades if (t.symbol, t.order_id) == (order.symbol, order.order_id)]
        assert sum((t.quantity for t in mine), Decimal(0)) == order.executed <= order.quantity
    assert account.wallet >= 0


@settings(max_examples=120, deadline=None)
@given(btc=paths(BTC), eth=paths(ETH), actions=ACTIONS)
def test_the_wallet_is_the_sum_of_what_was_booked_at_every_step(btc, eth, actions):
    exchange = an_exchange(
        {"BTCUSDT": btc, "ETHUSDT": eth},
        balance="3000",
        start_ms=START_MS - 3 * MINUTE_MS,
        rate="-0.0007",
    )
    for action in actions:
        with suppress(Rejection):  # a refused action is one too: nothing may have changed
            act(exchange, action)
        conserved(exchange)


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
