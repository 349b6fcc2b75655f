"""A small history to search on, as files and as a plan."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from actors.commands.backtest import BacktestOptions, read_study
from actors.edges.sweep_storage import Outcome, SweepStorage, open_storage
from actors.edges.work_pool import Workers
from actors.sweeping import Plan, Verdict, blocks_of, judge, search
from config import Config
from config.space import Choices, Range, Space
from tests.symbol.seeded_candles import seeded_candles

SYMBOLS = ("BTCUSDT", "ETHUSDT")
PRICES = {"BTCUSDT": 1_000.0, "ETHUSDT": 30.0}  # of what the walk gives
SPACE: Space = {
    "STOPLOSS_PCT": Range(low=0.002, high=0.03, log=True),
    "MIN_SIGNAL_STRENGTH": Range(low=0.3, high=0.9, step=0.05),
    "MAX_OPEN_POSITIONS": Choices(values=(1, 2)),
    "SOFT_LOSS_AT": Range(low=0.3, high=1.0),
}
SPACE_FILE = """\
STOPLOSS_PCT: {low: 0.002, high: 0.03, log: true}
MIN_SIGNAL_STRENGTH: {low: 0.3, high: 0.9, step: 0.05}
MAX_OPEN_POSITIONS: [1, 2]
SOFT_LOSS_AT: {low: 0.3, high: 1.0}
"""
GIVEN: dict[str, Any] = {
    "SYMBOLS": list(SYMBOLS),
    "FUNDING": "zero",
    "ALLOW_TECHNICAL_ONLY": True,
    "STOPLOSS_PCT": 0.004,
    "TAKE_PROFIT_PCT": 0.006,
    "HALT_AT": 0.8,  # so that some of SOFT_LOSS_AT contradict it
    "LOSS_STREAK_LATCH": 0,
    "MAX_ENTRIES_SYMBOL_1H": 60,
    "MAX_SIGNAL_RATIO": 1_000,
}


def history(folder: Path, bars: int = 3_000) -> Path:
    """Write the minutes of two symbols."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for seed, symbol in enumerate(SYMBOLS):
        frame = seeded_candles(bars, seed, rhythm=0.6)
        frame[["open", "high", "low", "close"]] *= PRICES[symbol]
        table = frame.reset_index(names="open_time")
        table["open_time"] = frame.index.asi8
        table.to_csv(data / f"{symbol}-1m.csv", index=False)
    return data


def settings(folder: Path, **changes: Any) -> Config:
    given = GIVEN | {"STATE_DIR": str(folder)} | changes
    return Config(_env_file=None, _environ={}, **given)


def plan(folder: Path, *, trials: int = 20, seed: int = 42, **base: Any) -> Plan:
    """Return a search over that history; `base` changes the given settings."""

    def changed(changes: Any) -> Config:
        return settings(folder, **(base | dict(changes)))

    given = changed({})
    study = read_study(given, BacktestOptions(data=history(folder)))
    return Plan(
        study=study,
        space=SPACE,
        given=given,
        changed=changed,
        blocks=blocks_of(study, given, blocks=4, embargo=5, since=None),
        trials=trials,
        seed=seed,
    )


def stored(
    path: Path, *, seed: int = 42, resume: bool = False, **identity: Any
) -> AbstractContextManager[SweepStorage]:
    identity = {"seed": seed} | identity
    return open_storage(path, SPACE, seed=seed, identity=identity, resume=resume)


def found(
    wishes: Plan, path: Path, workers: Workers | None = None, *, resume: bool = False
) -> tuple[list[Outcome], Verdict | None]:
    """Search, and return what was tried and what came of it."""
    workers = workers or Workers(jobs=1)
    with stored(path, resume=resume) as storage, workers.pool() as pool:
        search(wishes, storage, pool, lambda: None)
        return storage.outcomes(), judge(wishes, storage, pool)
