"""Runs seeds and says what was found: `make chaos SEEDS=20000`, or one seed with `--seed`."""

# ruff: noqa: T201 - it is a command: what it finds goes to the terminal

import argparse
import sys
import time
from collections import Counter

import loguru

from tests.simulation import kill_run
from tests.simulation.world import Outcome, Simulation


def run_seed(seed: int, without: tuple[str, ...] = (), *, whole: bool = False) -> Outcome:
    """Run one seed in silence."""
    loguru.logger.remove()
    return Simulation(seed, without=without, whole=whole).run()


def main() -> int:
    """Run what the command line asks for; 1 if any seed failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="this one only, with all it says")
    parser.add_argument("--without", default="", help="kinds of faults left out, comma-separated")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so many; 0: never")
    parser.add_argument("--kill-points", action="store_true", help="kill at each point in turn")
    given = parser.parse_args()
    if given.kill_points:
        if given.seed is not None:
            return kill_run.show(given.seed)
        return kill_run.run_points(range(given.first, given.first + given.seeds), given.seconds)
    without = tuple(kind for kind in given.without.split(",") if kind)
    if given.seed is not None:
        outcome = run_seed(given.seed, without, whole=True)
        print("\n".join(outcome.lines))
        print("\n".join(outcome.violations) or "no violation")
        return int(bool(outcome.violations))
    return run_many(range(given.first, given.first + given.seeds), without, given.seconds)


def run_many(seeds: range, without: tuple[str, ...], seconds: float) -> int:
    """Run seeds, print counts by fault and by outcome, and each failure with its rerun line."""
    began = time.monotonic()
    faults: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    naked: list[float] = []
    for seed in seeds:
        outcome = run_seed(seed, without)
        totals["seeds"] += 1
        totals["failed" if outcome.violations else "passed"] += 1
        totals["entries"] += outcome.entries
        totals["trades"] += outcome.trades
        totals["processes"] += outcome.processes
        totals["turns"] += outcome.turns
        naked.append(outcome.naked_max_s)
        faults.update(outcome.faults)
        if outcome.violations:
            print(f"seed {seed}: {outcome.violations[0]}\n  rerun: {outcome.rerun}", flush=True)
        if seconds and time.monotonic() - began > seconds:
            break
    took = time.monotonic() - began
    print("faults: " + ", ".join(f"{kind} {n}" for kind, n in sorted(faults.items())))
    print("totals: " + ", ".join(f"{kind} {n}" for kind, n in totals.items()))
    print(
        f"longest without a stop: {max(naked):.1f} s; {totals['seeds'] / took:.1f} seeds/s,"
        f" {totals['turns'] / took:.0f} turns/s, {took:.0f} s in all"
    )
    return int(bool(totals["failed"]))


if __name__ == "__main__":
    sys.exit(main())
