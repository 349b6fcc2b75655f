"""Both speeds of a backtest over one tape, and tapes made to hurt."""

import zlib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actors.backtesting import Study, backtest
from actors.edges.tape_files import Recording, rules_of
from actors.full_backtesting import full_backtest
from actors.model_shelf import ModelShelf
from config import Config
from core.backtest.result import BacktestResult
from core.backtest.tape import Funding, Tape

DAY_MS = 86_400_000
MINUTE_MS = 60_000
MIDNIGHT_MS = 1_767_571_200_000  # 2026-01-05, a Monday
FUNDING_MS = 8 * 3_600_000
DICE = "tests.backtest.parity:Dice"


class Dice:
    """Decides by a hash of the last candle: equal whoever asks, and however much he shows."""

    warmup = 3

    def __init__(self, config: dict[str, Any]) -> None:
        """Take the settings, of which none matters."""

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        """Say something in about every third bar."""
        last = df.iloc[-1]
        drawn = zlib.crc32(f"{df.index[-1].value} {float(last['close'])!r}".encode()) % 20
        word = {0: "BUY", 1: "BUY", 2: "SELL", 3: "SELL", 4: "BUY", 5: "SELL", 6: "CLOSE"}
        said = word.get(drawn)
        return said, 0.9 if said else 0.0, {}


def settings(**changes: Any) -> Config:
    """Return settings under which much happens in few bars."""
    given: dict[str, Any] = {
        "SYMBOLS": ["BTCUSDT", "ETHUSDT", "ADAUSDT"],
        "STRATEGY": DICE,
        "ALLOW_TECHNICAL_ONLY": True,
        "KLINE_HISTORY": 60,
        "STOPLOSS_PCT": 0.004,
        "TAKE_PROFIT_PCT": 0.006,
        "MAX_SYMBOL_NOTIONAL_X": 0.5,
        "MAX_ENTRIES_SYMBOL_1H": 1_000,
        "MAX_ENTRIES_DAY": 10_000,
        "LOSS_STREAK_LATCH": 0,
        "SLIPPAGE_BPS": 2.0,
    }
    return Config(_env_file=None, _environ={}, VENUE="embedded", **(given | changes))


def both(tape: Tape, config: Config) -> tuple[BacktestResult, BacktestResult]:
    """Return what the screen and what the machines make of a tape."""
    recording = Recording(tape=tape, filled_bars={})
    study = Study(recording=recording, shelf=ModelShelf(Path()), told={}, predicted_by={})
    return backtest(study, config), full_backtest(study, config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How a made tape behaves: deviation of a minute's return, and how often a bar leaps."""

    volatility: float = 0.0015
    leaps: float = 0.02  # part of the bars that open elsewhere than the last one closed
    leap: float = 0.01  # by how much
    calm: float = 0.1  # part of the bars without any move


def made(
    seed: int,
    bars: int,
    config: Config,
    *,
    weather: Weather = Weather(),
    before_midnight: int = 40,
    interval_ms: int = MINUTE_MS,
) -> Tape:
    """Return a tape that begins some bars before midnight, with funding at its hours."""
    rng = np.random.default_rng(seed)
    start_ms = MIDNIGHT_MS - before_midnight * interval_ms
    open_ms = start_ms + np.arange(bars, dtype=np.int64) * interval_ms
    rules = {symbol: rules_of(symbol, config) for symbol in config.SYMBOLS}
    seeds = {"BTCUSDT": 100_000.0, "ETHUSDT": 2_500.0, "ADAUSDT": 0.6}
    tables = {}
    for symbol in config.SYMBOLS:
        calm = rng.random(bars) < weather.calm
        leaps = np.where(rng.random(bars) < weather.leaps, rng.choice((-1, 1), bars), 0)
        inner = np.where(calm, 0.0, rng.normal(0.0, weather.volatility, bars))
        steps = inner + np.where(calm, 0.0, leaps * weather.leap)
        close = seeds[symbol] * np.exp(np.cumsum(steps))
        opened = close / np.exp(inner)
        reach = np.where(calm, 0.0, np.abs(rng.normal(0.0, weather.volatility * 2, (2, bars))))
        table = np.stack(
            [
                opened,
                np.maximum(opened, close) * (1 + reach[0]),
                np.minimum(opened, close) * (1 - reach[1]),
                close,
            ]
        )
        tick = float(rules[symbol].tick)
        on_grid = np.round(np.round(table / tick) * tick, rules[symbol].price_decimals)
        volume = np.where(calm, 0.0, np.round(rng.lognormal(3.0, 1.0, bars), 3))
        tables[symbol] = np.vstack([on_grid, volume, np.full(bars, np.nan)])
    due = [bar for bar, at in enumerate(open_ms.tolist()) if at % FUNDING_MS == 0]
    return Tape(
        interval_ms=interval_ms,
        open_ms=open_ms,
        bars=tables,
        instruments=rules,
        funding={
            symbol: tuple(
                Funding(bar=bar, rate=Decimal(str(round(float(rng.normal(0, 3e-4)), 8))))
                for bar in due
            )
            for symbol in config.SYMBOLS
        },
    )


def data_folder() -> Path:
    """Return where real market data lies beside the checkout; it may be absent."""
    return Path(__file__).resolve().parents[3] / "shared" / "data"
