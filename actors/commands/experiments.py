"""`run.py evaluate --experiments`: the search for skill, judged on bars that chose nothing."""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from actors.commands.train import LearningOptions, workers_of
from actors.edges.work_pool import Task, progress
from core.errors import UsageError
from models.experiments.catalogue import IDEAS
from models.experiments.market import Market, market_of
from models.experiments.runner import cut_of, run_idea
from models.experiments.variant import Idea


def run_experiments(
    options: LearningOptions, ideas: tuple[Idea, ...] = IDEAS, among: tuple[Idea, ...] = ()
) -> dict[str, Any]:
    """Run the experiments on the candles of a folder, corrected for being some `among` more.

    Returns `{experiments: [..], symbols, choose_ms, judge_ms, trials, elapsed_s}`; the ranges are
    first and last open time of the bars to choose on and of those judged once.  Raises UsageError,
    DataError as `run_train`.
    """
    from actors.commands.reading import read_and_say

    workers = workers_of(options)
    # Wall time of a command that a person waits for; nothing is decided by it.
    started = time.perf_counter()
    market = market_of(read_and_say(options.data, options.symbols, options.interval))
    cut = cut_of(market)
    judged = sum(not idea.needs or idea.needs in market.flow for idea in among or ideas)
    tasks: list[Task] = [(_run, (market, idea, judged)) for idea in ideas]
    with progress("experiments", len(tasks)) as advance, workers.pool() as pool:
        experiments = pool.run(tasks, advance)
    return {
        "experiments": experiments,
        "symbols": list(market.symbols),
        "flow": list(market.flow),
        "choose_ms": [int(market.open_ms[0]), int(market.open_ms[cut - 1])],
        "judge_ms": [int(market.open_ms[cut]), int(market.open_ms[-1])],
        "trials": sum(found["trials"] for found in experiments),
        "elapsed_s": round(time.perf_counter() - started, 3),
    }


def ideas_named(only: str | None) -> tuple[Idea, ...]:
    """Return the ideas of a comma-separated list of names, or all; raises UsageError."""
    if only is None:
        return IDEAS
    known = {idea.name: idea for idea in IDEAS}
    names = [name.strip() for name in only.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(
                f"--only must name experiments, was {name!r:.40}. Fix: choose from"
                f" {', '.join(known)}."
            )
    return tuple(known[name] for name in dict.fromkeys(names))


def _run(market: Market, idea: Idea, judged: int) -> dict[str, Any]:
    return run_idea(market, idea, judged_together=judged).as_dict()


def show_experiments(result: Mapping[str, Any], *, as_json: bool = False) -> int:
    """Print a line an experiment, or the one JSON document."""
    if as_json:
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
        return 0
    for line in experiment_lines(result):
        sys.stdout.write(f"{line}\n")
    return 0


def experiment_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found in words."""
    for found in result["experiments"]:
        told = found["held_out"]
        cells = "" if told is None else _cells(told)
        chosen = f" ({found['chosen']})" if found["chosen"] else ""
        yield f"{found['name']}{chosen}: trials={found['trials']}{cells}  {found['verdict']}"
    yield f"{result['trials']} trials, took {result['elapsed_s']:.1f} s"


def _cells(told: Mapping[str, Any]) -> str:
    return (
        f"  right={told['accuracy']:.2%}  ci_95={told['low']:.2%} to {told['high']:.2%}"
        f"  acts_on={told['coverage']:.1%}  rows={told['acted']}"
        f"  gain={told['gain_bp']:.2f} bp"
    )
