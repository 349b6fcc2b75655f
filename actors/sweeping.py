"""A sweep: many settings tried on one recording, the best chosen by what it earned block by block.

Every try is scored on all blocks but the last (`core/backtest/blocks.py`); the last is run at the
end, by the chosen settings and by those given, and by nobody else.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from actors.backtesting import Study, decide_all, warmup_of
from actors.edges.sweep_storage import Outcome, SweepStorage
from actors.edges.work_pool import Pool, Task
from config import Config
from config.settings import secret_names
from config.space import Space
from core.backtest.blocks import Block, Step, best, cut, walk_forward
from core.backtest.result import BacktestResult
from core.backtest.run import run_backtest
from core.backtest.tries import BlockScore, Score, luck_of, score_of
from core.errors import ConfigurationError, DataError
from core.symbol.strategy import DecidedRows

# They shape the recording, which is read once, or say where files lie.
FIXED: Final = frozenset(
    {
        *("SYMBOLS", "KLINE_INTERVAL", "FUNDING", "MIN_ORDER_USD_FALLBACK", "MODEL_TYPE"),
        *("STATE_DIR", "DB_FILE", "MODEL_DIR", "VENUE", "TESTNET", "SYMBOL_CONFIGS"),
        *("DEFAULT_SYMBOL", "I_UNDERSTAND_LIVE"),
    }
)
_PLACES: Final = frozenset({"STATE_DIR", "DB_FILE", "MODEL_DIR", "LOG_LEVEL"})
_DAY_MS: Final = 86_400_000
_NEVER_TRADES: Final = "it never trades in the blocks that choose"
Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is searched, on what, and how it is scored."""

    study: Study
    space: Space
    given: Config
    changed: Callable[[Settings], Config]  # the given settings with some changed
    blocks: tuple[Block, ...]
    trials: int
    seed: int

    @property
    def choosing(self) -> tuple[Block, ...]:
        """Return the blocks that tries are scored on."""
        return self.blocks[:-1]

    def identity(self) -> dict[str, Any]:
        """Return what tries must have in common to be compared, by its name for people."""
        plain = self.given.model_dump(
            mode="json", exclude=set(secret_names()) | _PLACES | set(self.space)
        )
        return {
            "space": repr(sorted(self.space.items())),
            "seed": self.seed,
            "cut into blocks": [[block.start, block.end] for block in self.blocks],
            "history": _digest(self.study),
            "models": self.study.shelf.hashes(),
            "base of settings": hashlib.sha256(repr(sorted(plain.items())).encode()).hexdigest(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a sweep found."""

    outcomes: tuple[Outcome, ...]
    chosen: int
    judged: Score  # of the chosen settings, on every block, the held-out one last
    as_given: Score  # of the settings without a change, likewise
    steps: tuple[Step, ...]  # of the walk forward
    deflated: float | None
    by_luck: float  # per-bar Sharpe ratio that the best of so many reaches without skill
    looks: int  # at the held-out block, this one included

    @property
    def held_out(self) -> BlockScore:
        """Return what the chosen settings earned on the block that chose nothing."""
        return self.judged.blocks[-1]

    @property
    def walked(self) -> float | None:
        """Return the mean Sharpe ratio of choosing by the past; None without a step."""
        return float(np.mean([step.score for step in self.steps])) if self.steps else None


def blocks_of(
    study: Study, config: Config, *, blocks: int, embargo: int | None, since: datetime | None
) -> tuple[Block, ...]:
    """Cut a recording; `embargo` in bars, None: of a day.  Raises DataError for too few bars."""
    tape = study.recording.tape
    first = warmup_of(study, config)
    if since is not None:
        first = max(first, int(tape.open_ms.searchsorted(int(since.timestamp() * 1000))))
    if embargo is None:
        embargo = max(1, _DAY_MS // tape.interval_ms)
    return cut(len(tape), blocks=blocks, embargo=embargo, warmup=first)


def run_try(study: Study, config: Config, blocks: Sequence[Block]) -> list[BacktestResult]:
    """Trade each block from flat, with fresh money and all that lies before it known.

    Raises ConfigurationError for settings that do not fit each other or the recording.
    """
    decisions = decide_all(study, config, until_bar=blocks[-1].end)
    if decisions.first >= blocks[0].start:
        raise DataError(
            f"{decisions.first + 1} bars of warm-up reach into the first block, which begins after"
            f" {blocks[0].start}. Fix: give more candles before it"
        )
    return [
        run_backtest(
            decisions.tape.cut(0, block.end),
            config,
            {symbol: _until(block.end, rows) for symbol, rows in decisions.rows.items()},
            start=block.start - 1,
            strategy_name=config.STRATEGY,
        )
        for block in blocks
    ]


def score_try(study: Study, config: Config, blocks: Sequence[Block]) -> Score | str:
    """Score some settings; a text says why they cannot be."""
    try:
        results = run_try(study, config, blocks)
    except ConfigurationError as error:
        return str(error)
    # Doing nothing scores 0, and on a history where all that trades loses it would win.
    return score_of(results) if any(result.trades for result in results) else _NEVER_TRADES


def search(plan: Plan, storage: SweepStorage, pool: Pool, told: Callable[[], None]) -> None:
    """Make tries until there are as many as planned; `told` is called at each.

    Those stored before are kept.  Raises DataError where the given settings cannot be run.
    """
    for _ in range(min(len(storage), plan.trials)):
        told()
    # What would be wrong with every try is said before the first.
    (given,) = pool.run([(score_try, (plan.study, plan.given, plan.choosing))])
    if isinstance(given, str) and given != _NEVER_TRADES:
        raise DataError(given)
    while len(storage) < plan.trials:
        wishes = storage.next_settings(plan.trials)
        refusals: dict[int, str] = {}
        tasks: dict[int, Task] = {}
        for place, settings in enumerate(wishes):
            try:
                config = plan.changed(settings)
            except ConfigurationError as error:
                refusals[place] = str(error)
                told()
            else:
                tasks[place] = (score_try, (plan.study, config, plan.choosing))
        scored = dict(zip(tasks, pool.run(list(tasks.values()), told), strict=True))
        for place, settings in enumerate(wishes):
            found = (refusals | scored)[place]
            storage.add(
                Outcome(settings=settings, score=None, refused=found)
                if isinstance(found, str)
                else Outcome(settings=settings, score=found)
            )


def judge(plan: Plan, storage: SweepStorage, pool: Pool) -> Verdict | None:
    """Choose, and run what was chosen on the held-out block; None if no try could be scored."""
    outcomes = storage.outcomes()
    nothing = (float("nan"),) * len(plan.choosing)
    table = np.array([nothing if one.score is None else one.score.sharpes for one in outcomes])
    chosen = best(table)
    if chosen is None:
        return None
    ours, given = pool.run(
        [
            (run_try, (plan.study, plan.changed(outcomes[chosen].settings), plan.blocks)),
            (run_try, (plan.study, plan.given, plan.blocks)),
        ]
    )
    ratios = [one.score.sharpe_per_bar for one in outcomes if one.score is not None]
    deflated, by_luck = luck_of(ours[:-1], ratios)
    return Verdict(
        outcomes=tuple(outcomes),
        chosen=chosen,
        judged=score_of(ours),
        as_given=score_of(given),
        steps=walk_forward(table),
        deflated=deflated,
        by_luck=by_luck,
        looks=storage.looked(),
    )


def _until(end: int, rows: DecidedRows) -> DecidedRows:
    return DecidedRows(rows.sides[:end], rows.strengths[:end], rows.confidences[:end])


def _digest(study: Study) -> str:
    tape = study.recording.tape
    found = hashlib.sha256(tape.open_ms.tobytes())
    for symbol, table in tape.bars.items():
        found.update(symbol.encode())
        found.update(table.tobytes())
        found.update(repr(tape.funding.get(symbol, ())).encode())
    return found.hexdigest()
