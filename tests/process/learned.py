"""Models for the process tests: trained once a session, by the real command, on planted candles."""

import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from tests.process.conftest import ROOT

SYMBOLS = ("BTCUSDT", "ETHUSDT")
_PRICES = {"BTCUSDT": (105_000.0, 1), "ETHUSDT": (2_400.0, 2)}
_BARS = 3_000
LEAN = -0.3  # right in 60 % of minutes: learnable, and no more than the leak tests find plausible
_START_MS = 1_767_225_600_000  # 2026-01-01 00:00 UTC
_MINUTE_MS = 60_000


def planted_candles(symbol: str, bars: int, lean: float = LEAN) -> pd.DataFrame:
    """Return one-minute candles, each return leaning `lean` times on the one before.

    Columns as in Binance's files: open_time (ms), open high low close volume.
    """
    first_price, decimals = _PRICES[symbol]
    rng = np.random.default_rng(len(symbol) + int(first_price))
    shocks = rng.normal(0.0, 0.0005, bars)
    returns = np.empty(bars)
    before = 0.0
    for bar in range(bars):
        before = returns[bar] = lean * before + shocks[bar]
    close = (first_price * np.exp(np.cumsum(returns))).round(decimals)
    opened = np.concatenate([[first_price], close[:-1]])
    reach = first_price * 0.0002 * rng.random((2, bars))
    return pd.DataFrame(
        {
            "open_time": _START_MS + _MINUTE_MS * np.arange(bars),
            "open": opened,
            "high": (np.maximum(opened, close) + reach[0]).round(decimals),
            "low": (np.minimum(opened, close) - reach[1]).round(decimals),
            "close": close,
            "volume": rng.uniform(5.0, 50.0, bars).round(2),
        }
    )


def write_candles(folder: Path, bars: int, lean: float = LEAN) -> dict[str, pd.DataFrame]:
    """Write `SYMBOL-1m.csv` of each of `SYMBOLS`; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = {symbol: planted_candles(symbol, bars, lean) for symbol in SYMBOLS}
    for symbol, frame in frames.items():
        frame.to_csv(folder / f"{symbol}-1m.csv", index=False)
    return frames


@functools.cache
def skilled_models() -> Path:
    """Return a models folder (its key beside it) whose models have proved skill out of sample."""
    folder = Path(tempfile.mkdtemp(prefix="models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_candles(folder / "data", _BARS)
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "train", "--data", str(folder / "data"), "--json"],
        env={"STATE_DIR": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdicts = {s: row["verdict"] for s, row in json.loads(done.stdout)["symbols"].items()}
    assert all(text.startswith("skilled") for text in verdicts.values()), verdicts
    return folder / "models"
