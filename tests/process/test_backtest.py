"""`run.py backtest` as a person uses it, on the real minutes and on made-up ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.symbol.seeded_candles import seeded_candles

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
REAL = ROOT / "../shared/data"
TRADE = {
    "symbol",
    "side",
    "quantity",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "pnl",
    "exit_reason",
}
METRICS = {
    "win_rate",
    "profit_factor",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "total_return",
    "trades",
    "fees",
    "funding",
}


def backtest(state: Path, *words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "run.py", "backtest", *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "STATE_DIR": str(state), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        frame = seeded_candles(2_000, seed)
        frame[["open", "high", "low", "close"]] *= 1_000.0 if symbol == "BTCUSDT" else 30.0
        table = frame.reset_index(names="open_time")
        table["open_time"] = frame.index.asi8
        table.to_csv(data / f"{symbol}-1m.csv", index=False)
    return data


@pytest.mark.skipif(not REAL.exists(), reason="needs the real minutes of ../shared/data")
def test_real_minutes_with_their_funding(tmp_path):
    said = backtest(
        tmp_path,
        *("--data", str(REAL / "um-1m/2025q2"), "--funding", str(REAL / "um-funding")),
        *("--from", "2025-05-12", "--to", "2025-06-12", "--json"),
    )
    document = json.loads(said.stdout)
    assert set(document["metrics"]) >= METRICS
    assert document["metrics"]["trades"] == len(document["trades"]) > 50
    assert all(set(trade) >= TRADE for trade in document["trades"])
    assert document["bars"] == 5 * (31 * 1_440 + 1)
    assert document["elapsed_s"] > 0
    results = sum(trade["pnl"] for trade in document["trades"])
    assert document["metrics"]["end_equity"] == pytest.approx(10_000 + results)
    assert any(trade["funding"] for trade in document["trades"])
    first = min(trade["entry_time"] for trade in document["trades"])
    assert first >= 1_747_008_000_000  # 2025-05-12


def test_missing_funding_is_an_error_unless_it_is_said_to_be_zero(tmp_path, folder):
    words = ("--data", str(folder))
    symbols = {"SYMBOLS": "BTCUSDT,ETHUSDT"}
    refused = backtest(tmp_path, *words, code=64, **symbols)
    assert "holds no funding rates of BTCUSDT" in refused.stderr
    assert "FUNDING=zero" in refused.stderr
    said = backtest(tmp_path, *words, **symbols, FUNDING="zero").stdout
    assert "trades=" in said
    assert "symbol=ETHUSDT" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "yesterday"), "--from must be a day such as"),
        (("--to", "2001-01-01"), "the symbols have no common window"),
        (("--from", "2100-01-01"), "leave nothing after"),
    ],
)
def test_days_that_cannot_be_are_refused_in_a_line(tmp_path, folder, words, said):
    env = {"SYMBOLS": "BTCUSDT,ETHUSDT", "FUNDING": "zero"}
    code = 2 if "yesterday" in words else 64
    done = backtest(tmp_path, "--data", str(folder), *words, code=code, **env)
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert said in line
