"""From a backtest to what its page tells of."""

from decimal import Decimal

from actors.backtesting import Study
from actors.edges.strategy_loader import load_strategy_class
from actors.reporting.content import Content, Prices, Slippage, Source
from config import Config
from core.backtest.decisions import RowStrategy, decides_rows
from core.backtest.result import BacktestResult, ExitReason, Trade
from core.backtest.tape import CLOSE

_BPS = Decimal(10_000)


def backtest_content(
    study: Study, config: Config, result: BacktestResult, *, trials: int | None
) -> Content:
    """Return what the page of one backtest is made of; `trials`: settings tried on these bars."""
    tape = study.recording.tape
    first = int(tape.open_ms.searchsorted(result.open_ms[0]))
    last = first + len(result.open_ms)
    strategy = load_strategy_class(config.STRATEGY)
    return Content(
        source=Source.BACKTEST,
        result=result,
        config=config,
        prices={
            symbol: Prices(
                step_ms=tape.interval_ms,
                open_ms=result.open_ms,
                ohlc=tape.bars[symbol][: CLOSE + 1, first:last],
            )
            for symbol in result.symbols
        },
        slippage=slippage_of(result, config),
        strategy=strategy,
        decided_at_once=issubclass(strategy, RowStrategy) and decides_rows(strategy),
        models=study.said,
        trials=trials,
    )


def slippage_of(result: BacktestResult, config: Config) -> Slippage:
    """Return by how much fills were assumed worse than the price; rounding to ticks is left out.

    A liquidation takes the margin and slips no further.
    """
    total = sum((_slipped(trade, config) for trade in result.trades), Decimal(0))
    return Slippage(
        amount=total,
        how="Slippage is what SLIPPAGE_BPS assumes; the rounding of prices to ticks, against us,"
        " counts as price moves.",
    )


def _slipped(trade: Trade, config: Config) -> Decimal:
    part = Decimal(str(config.for_symbol(trade.symbol).SLIPPAGE_BPS)) / _BPS
    cost = Decimal(0)
    for price, sign in ((trade.entry_price, 1), (trade.exit_price, -1)):
        if sign < 0 and trade.exit_reason is ExitReason.LIQUIDATION:
            continue
        worse = sign * trade.side.sign * part  # of the price before it slipped
        cost += trade.quantity * price * part / (1 + worse)
    return cost
