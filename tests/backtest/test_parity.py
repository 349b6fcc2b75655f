"""The screen and the full machines make the same trades, to the last digit."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from actors.backtesting import backtest
from actors.commands.backtest import BacktestOptions, read_study
from actors.full_backtesting import full_backtest
from core.backtest.result import BacktestResult, ExitReason, Trade
from core.clock import NS_PER_MS, interval_ns
from tests.backtest.parity import Weather, both, data_folder, made, settings


def assert_same(screen: BacktestResult, full: BacktestResult) -> None:
    """Compare all that does not depend on how often risk was asked in vain."""
    for ours, theirs in zip(screen.trades, full.trades, strict=False):
        assert ours == theirs
    assert len(screen.trades) == len(full.trades)
    assert np.array_equal(screen.equity, full.equity)
    assert screen.signals == full.signals
    assert account_halts(screen) == account_halts(full)


def account_halts(result: BacktestResult) -> list[tuple[str, str]]:
    return [(halt.state, halt.reason_code) for halt in result.halts if not halt.symbol]


def reasons(trades: Iterable[Trade]) -> set[ExitReason]:
    return {trade.exit_reason for trade in trades}


def test_a_made_market_is_traded_alike_with_every_way_out_but_liquidation():
    timid = settings(DAILY_MAX_LOSS_PCT=0.02)
    bold = settings(DAILY_MAX_LOSS_PCT=0.5, MAX_DRAWDOWN=0.95)
    runs = [
        both(made(seed, 500 + seed, config, before_midnight=250), config)
        for seed in (1, 2)
        for config in (timid, bold)
    ]
    for screen, full in runs:
        assert_same(screen, full)
    trades = [trade for _, full in runs for trade in full.trades]
    ways_out = {ExitReason.STOP, ExitReason.TARGET, ExitReason.SIGNAL, ExitReason.END}
    assert reasons(trades) >= ways_out
    assert any(trade.funding for trade in trades)
    assert any(halt.reason_code == "day_loss_soft" for _, full in runs for halt in full.halts)


@tries(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    weather=st.builds(
        Weather,
        volatility=st.sampled_from((0.0002, 0.001, 0.004)),
        leaps=st.sampled_from((0.0, 0.03, 0.2)),
        leap=st.sampled_from((0.002, 0.02, 0.3)),
    ),
    chosen=st.fixed_dictionaries(
        {
            "STOPLOSS_PCT": st.sampled_from((0.002, 0.01)),
            "TAKE_PROFIT_PCT": st.sampled_from((0.003, 0.02)),
            "SLIPPAGE_BPS": st.sampled_from((0.0, 1.0, 5.0)),
            "DAILY_MAX_LOSS_PCT": st.sampled_from((0.004, 0.03, 0.5)),
            "MAX_DRAWDOWN": st.sampled_from((0.01, 0.9)),
            "MAX_OPEN_POSITIONS": st.integers(1, 3),
            "LOSS_STREAK_LATCH": st.sampled_from((0, 3)),
            "MAX_ENTRIES_SYMBOL_1H": st.sampled_from((2, 1_000)),
            "KLINE_INTERVAL": st.sampled_from(("1m", "1m", "1m", "5m", "1h")),
        }
    ),
    before_midnight=st.integers(0, 250),
)
def test_any_tape_is_traded_alike(seed, weather, chosen, before_midnight):
    config = settings(**chosen)
    tape = made(
        seed,
        250,
        config,
        weather=weather,
        before_midnight=before_midnight,
        interval_ms=interval_ns(config.KLINE_INTERVAL) // NS_PER_MS,
    )
    assert_same(*both(tape, config))


def test_leaps_past_the_liquidation_price_cost_the_margin_in_both():
    config = settings(LEVERAGE=5, DAILY_MAX_LOSS_PCT=0.9, MAX_DRAWDOWN=0.9)
    screen, full = both(made(3, 900, config, weather=Weather(leaps=0.05, leap=0.25)), config)
    assert_same(screen, full)
    lost = [t for t in full.trades if t.exit_reason is ExitReason.LIQUIDATION]
    assert lost
    for trade in lost:
        margin = trade.quantity * trade.entry_price / 5
        assert abs(trade.pnl + trade.fees - trade.funding + margin) < 1e-6


def test_a_strategy_that_is_asked_on_the_last_bar_fills_nothing_in_either():
    config = settings()
    tape = made(8, 400, config)
    for end in range(394, 400):
        screen, full = both(tape.cut(0, end), config)
        assert_same(screen, full)
        assert all(trade.entry_bar < end for trade in full.trades)


@pytest.fixture(scope="module")
def real() -> Path:
    folder = data_folder() / "um-1m" / "2025q2"
    if not folder.is_dir():
        pytest.skip(f"no market data at {folder}")
    return folder


def test_real_minutes_of_five_symbols_are_traded_alike(real, tmp_path):
    config = settings(
        SYMBOLS=["BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT"],
        STRATEGY="core.symbol.strategy:EnhancedStrategy",
        KLINE_HISTORY=200,
        STATE_DIR=str(tmp_path),
        TAKE_PROFIT_PCT=0.008,
        MAX_SYMBOL_NOTIONAL_X=0.25,
    )
    options = BacktestOptions(
        data=real,
        funding=data_folder() / "um-funding",
        since=datetime(2025, 5, 11, tzinfo=UTC),
        until=datetime(2025, 5, 12, tzinfo=UTC),
    )
    study = read_study(config, options)
    screen = backtest(study, config, since=options.since)
    full = full_backtest(study, config, since=options.since)
    assert_same(screen, full)
    assert len(full.trades) > 30
    assert {trade.symbol for trade in full.trades} == set(config.SYMBOLS)
