"""Results and page contents, made by hand; every value given in a test matters to it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from actors.reporting.content import Content, Prices, Slippage, Source
from config import Config
from core.backtest.result import BacktestResult, ExitReason, Halt, Trade
from core.symbol.strategy import EnhancedStrategy
from core.words import Side

MINUTE = 60_000
DAY = 86_400_000
MONDAY = 1_750_032_000_000 // DAY * DAY  # 2025-06-16 00:00 UTC
BTC, ETH = "BTCUSDT", "ETHUSDT"


def a_config(**changes: Any) -> Config:
    return Config(_env_file=None, _environ={}, **changes)


def a_trade(pnl: str = "5", *, entry_bar: int = 1, bars: int = 3, **changes: Any) -> Trade:
    given: dict[str, Any] = {
        "symbol": BTC,
        "side": Side.BUY,
        "quantity": Decimal("0.1"),
        "entry_ms": MONDAY + entry_bar * MINUTE,
        "entry_price": Decimal(100_000),
        "exit_ms": MONDAY + (entry_bar + bars) * MINUTE + MINUTE // 2,
        "exit_price": Decimal(100_100),
        "pnl": Decimal(pnl),
        "fees": Decimal(4),
        "funding": Decimal(-1),
        "exit_reason": ExitReason.TARGET,
        "entry_bar": entry_bar,
        "exit_bar": entry_bar + bars,
        "proposal_id": "p",
        "stop_price": Decimal(98_000),
        "target_price": Decimal(104_000),
    }
    return Trade(**(given | changes))


def a_halt(minute: int, state: str, symbol: str = "", reason: str = "day loss") -> Halt:
    return Halt(
        at_ms=MONDAY + minute * MINUTE,
        symbol=symbol,
        state=state,
        reason_code="day_loss",
        reason=reason,
    )


def a_result(
    trades: Sequence[Trade] = (),
    equity: Sequence[float] | None = None,
    *,
    step: int = MINUTE,
    **changes: Any,
) -> BacktestResult:
    curve = np.array(equity if equity is not None else [10_000.0] * 10, dtype=np.float64)
    given: dict[str, Any] = {
        "symbols": (BTC,),
        "interval_ms": step,
        "start_equity": Decimal(10_000),
        "trades": tuple(trades),
        "open_ms": MONDAY + step * np.arange(len(curve), dtype=np.int64),
        "equity": curve,
        "signals": {BTC: 3},
        "refusals": {},
        "halts": (),
        "filled_bars": {},
        "predicted_by": {},
    }
    return BacktestResult(**(given | changes))


def some_prices(count: int, step: int = MINUTE) -> Prices:
    generator = np.random.default_rng(7)
    close = 100_000.0 + np.cumsum(generator.normal(0, 20, count))
    opened = np.concatenate([[100_000.0], close[:-1]])
    high, low = np.maximum(opened, close) + 5, np.minimum(opened, close) - 5
    return Prices(
        step_ms=step,
        open_ms=MONDAY + step * np.arange(count, dtype=np.int64),
        ohlc=np.stack([opened, high, low, close]),
    )


def a_content(result: BacktestResult | None = None, **changes: Any) -> Content:
    found = result if result is not None else a_result([a_trade()])
    given: dict[str, Any] = {
        "source": Source.BACKTEST,
        "result": found,
        "config": a_config(),
        "prices": {BTC: some_prices(len(found.open_ms), found.interval_ms)},
        "slippage": Slippage(amount=Decimal(2), how="as assumed"),
        "strategy": EnhancedStrategy,
        "decided_at_once": True,
    }
    return Content(**(given | changes))
