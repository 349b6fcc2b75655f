"""Runs seeds and says what was found: `make chaos SEEDS=20000`, or one seed with `--seed`."""

# ruff: noqa: T201 - it is a command: what it finds goes to the terminal

import argparse
import gc
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import loguru

from tests.simulation import kill_run
from tests.simulation.mutants import MUTANTS
from tests.simulation.world import Outcome, Simulation

_GARBAGE_FROM = 50_000  # a run makes little garbage in cycles and much that lives to its end


def run_seed(seed: int, without: tuple[str, ...] = (), *, whole: bool = False) -> Outcome:
    """Run one seed in silence."""
    loguru.logger.remove()
    return Simulation(seed, without=without, whole=whole).run()


def run_seed_with(seed: int, without: tuple[str, ...], mutant: str) -> Outcome:
    """Run one seed, with a bug in the code if one is named."""
    gc.set_threshold(_GARBAGE_FROM)
    bug = next((known for known in MUTANTS if known.name == mutant), None)
    with bug.alive() if bug is not None else nullcontext():
        return run_seed(seed, without)


def main() -> int:
    """Run what the command line asks for; 1 if any seed failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one only, with all it says")
    parser.add_argument("--without", default="", help="kinds of faults left out, comma-separated")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so many; 0: never")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core"
    )
    parser.add_argument(
        "--mutant", default="", choices=["", *(known.name for known in MUTANTS)], metavar="NAME",
        help="put this bug of docs/simulation.md into the code",
    )  # fmt: skip
    parser.add_argument("--kill-points", action="store_true", help="kill at each point in turn")
    parser.add_argument("--json", type=Path, help="with --kill-points: write the figures there")
    given = parser.parse_args()
    if given.kill_points:
        if given.seed is not None:
            return kill_run.show(given.seed)
        ended = over(range(given.first, given.first + given.seeds), kill_run.run_point, given)
        return kill_run.report_points(ended, given.first, given.json)
    without = tuple(kind for kind in given.without.split(",") if kind)
    if given.seed is not None:
        bug = next((known for known in MUTANTS if known.name == given.mutant), None)
        with bug.alive() if bug is not None else nullcontext():
            outcome = run_seed(given.seed, without, whole=True)
        print("\n".join(outcome.lines))
        print("\n".join(outcome.violations) or "no violation")
        return int(bool(outcome.violations))
    seeds = range(given.first, given.first + given.seeds)
    run = partial(run_seed_with, without=without, mutant=given.mutant)
    return report(over(seeds, run, given))


def over(seeds: range, run: Callable[[int], Any], given: argparse.Namespace) -> Iterator[Any]:
    """Yield what became of each seed as it ends, over `--jobs` processes, for `--seconds`."""
    jobs, seconds = given.jobs, given.seconds
    began, left = time.monotonic(), iter(seeds)
    if jobs <= 1:
        for seed in left:
            yield run(seed)
            if seconds and time.monotonic() - began > seconds:
                return
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running: set[Future[Any]] = set()
        while True:
            late = seconds and time.monotonic() - began > seconds
            for seed in itertools.islice(left, 0 if late else 2 * jobs - len(running)):
                running.add(pool.submit(run, seed))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from sorted((one.result() for one in done), key=lambda ended: ended.seed)


def report(ended: Iterator[Outcome]) -> int:
    """Print each failure with its rerun line, then counts by fault and one line of rates."""
    began = time.monotonic()
    faults: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    naked_s = 0.0
    for outcome in ended:
        totals["seeds"] += 1
        totals["failed"] += bool(outcome.violations)
        totals["entries"] += outcome.entries
        totals["trades"] += outcome.trades
        totals["processes"] += outcome.processes
        totals["turns"] += outcome.turns
        naked_s = max(naked_s, outcome.naked_max_s)
        faults.update(outcome.faults)
        if outcome.violations:
            print(f"seed {outcome.seed}: {outcome.violations[0]}\n  rerun: {outcome.rerun}")
            sys.stdout.flush()
    took_s = time.monotonic() - began
    print("faults: " + ", ".join(f"{kind} {n}" for kind, n in sorted(faults.items())))
    print(
        f"{totals['seeds']} seeds, {totals['failed']} failed: {totals['entries']} entries, "
        f"{totals['trades']} trades, {totals['processes']} processes, {faults.total()} faults, "
        f"longest without a stop {naked_s:.1f} s; {totals['seeds'] / took_s:.1f} seeds/s, "
        f"{totals['turns'] / took_s:.0f} turns/s, {took_s:.0f} s in all"
    )
    return int(bool(totals["failed"]))


if __name__ == "__main__":
    sys.exit(main())
