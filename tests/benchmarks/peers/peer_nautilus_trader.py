"""nautilus_trader: the whole order life cycle; brackets whose children rest at its exchange."""

from decimal import Decimal
from importlib.metadata import version

import numpy as np
import pandas as pd
from contract import CASH, FAST, FEE, PART, SLOW, STOP, TARGET, WARMUP, answer
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
PLACES = {"BTCUSDT": (2, 3), "ETHUSDT": (2, 3), "BNBUSDT": (3, 2), "SOLUSDT": (4, 0)}


def perpetual(symbol):
    price, size = PLACES.get(symbol, (5, 0))
    return CryptoPerpetual(
        instrument_id=InstrumentId(Symbol(symbol), VENUE),
        raw_symbol=Symbol(symbol),
        base_currency=Currency.from_str(symbol.removesuffix("USDT")),
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=price,
        size_precision=size,
        price_increment=Price(10.0**-price, price),
        size_increment=Quantity(10.0**-size, size),
        margin_init=Decimal("0.05"),
        margin_maint=Decimal("0.025"),
        maker_fee=Decimal(str(FEE)),
        taker_fee=Decimal(str(FEE)),
        ts_event=0,
        ts_init=0,
    )


class EmaCross(Strategy):
    def __init__(self, instrument, bar_type):
        super().__init__()
        self.instrument, self.bar_type = instrument, bar_type
        self.fast, self.slow = ExponentialMovingAverage(FAST), ExponentialMovingAverage(SLOW)
        self.above = None
        self.seen = 0

    def on_start(self):
        self.register_indicator_for_bars(self.bar_type, self.fast)
        self.register_indicator_for_bars(self.bar_type, self.slow)
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar):
        self.seen += 1
        above, before = self.fast.value > self.slow.value, self.above
        self.above = above
        if self.seen < WARMUP or before is None or above == before:
            return
        instrument = self.instrument
        if not self.portfolio.is_flat(instrument.id):
            return
        side, close = (1 if above else -1), float(bar.close)
        equity = float(self.portfolio.account(VENUE).balance_total(USDT))
        bracket = self.order_factory.bracket(
            instrument_id=instrument.id,
            order_side=OrderSide.BUY if above else OrderSide.SELL,
            quantity=instrument.make_qty(equity * PART / close),
            sl_trigger_price=instrument.make_price(close * (1 - side * STOP)),
            tp_price=instrument.make_price(close * (1 + side * TARGET)),
        )
        self.submit_order_list(bracket)

    def on_stop(self):
        self.cancel_all_orders(self.instrument.id)
        self.close_all_positions(self.instrument.id)


def prepare(tape):
    ready = []
    for symbol, bars in tape.items():
        instrument = perpetual(symbol)
        bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
        index = pd.to_datetime(np.array(bars["open_ms"]) + 60_000, unit="ms", utc=True)
        names = ("open", "high", "low", "close", "volume")
        frame = pd.DataFrame({name: np.array(bars[name]) for name in names}, index=index)
        frame["volume"] = 1e6  # plenty, so that every order fills whole
        ready.append((instrument, bar_type, BarDataWrangler(bar_type, instrument).process(frame)))
    return ready


def run(ready):
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True)
        )
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USDT,
        starting_balances=[Money(CASH, USDT)],
    )
    for number, (instrument, bar_type, bars) in enumerate(ready):
        engine.add_instrument(instrument)
        engine.add_data(bars)
        strategy = EmaCross(instrument, bar_type)
        strategy.change_id(type(strategy.id)(f"EmaCross-{number:03d}"))
        engine.add_strategy(strategy)
    engine.run()
    equity = float(engine.portfolio.account(VENUE).balance_total(USDT))
    trades = len(engine.cache.positions()) + len(engine.cache.position_snapshots())
    return trades, equity


answer(version("nautilus_trader"), prepare, run)
