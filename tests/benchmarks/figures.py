"""One measured figure beside its target, and how a benchmark prints them.

A benchmark is a module of this folder with `measure(given)`, a generator of figures: it prints
them one by one, or as JSON lines for `make bench`.  `--short` only shows that it works.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured, in `unit`; `theirs` is the naive path or peer of the same run."""

    name: str
    ours: float
    unit: str
    target: float | None = None  # None: for scale only
    wanted: Literal["at most", "at least"] = "at most"
    of_theirs: bool = False  # the target is a multiple of `theirs`
    peer: str = ""
    theirs: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Return ours over theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def met(self) -> bool | None:
        """Tell whether the target is reached; None without one."""
        value = self.ratio if self.of_theirs else self.ours
        if self.target is None or value is None:
            return None
        return value <= self.target if self.wanted == "at most" else value >= self.target

    @property
    def cells(self) -> tuple[str, ...]:
        """Return figure, ours, reference, ratio, target, verdict, as words."""
        beside = "" if self.theirs is None else f"{self.peer} {amount(self.theirs)} {self.unit}"
        goal = ""
        if self.target is not None:
            sign = "<=" if self.wanted == "at most" else ">="
            of = "x" if self.of_theirs else f" {self.unit}"
            goal = f"{sign} {amount(self.target)}{of}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        ours = f"{amount(self.ours)} {self.unit}" + (f" ({self.note})" if self.note else "")
        ratio = "" if self.ratio is None else f"{amount(self.ratio)}"
        return self.name, ours, beside, ratio, goal, verdict


HEADINGS = ("figure", "ours", "reference in the same run", "ratio", "target", "")


def amount(value: float) -> str:
    """Return a number with three digits that count.

    >>> amount(0.01234), amount(45.678), amount(1_400_000.0)
    ('0.0123', '45.7', '1,400,000')
    """
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def run(
    measure: Callable[[argparse.Namespace], Iterable[Figure]],
    about: str | None,
    add: Callable[[argparse.ArgumentParser], Any] = lambda _: None,
) -> int:
    """Run one benchmark as a program; `add` gives it options of its own."""
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--json", action="store_true", help="a JSON object a line")
    options.add_argument("--short", action="store_true", help="only show that it works")
    add(options)
    given = options.parse_args()
    for measured in measure(given):
        figure = measured
        if given.short:  # so few rounds say nothing
            figure = dataclasses.replace(figure, target=None)
        if given.json:
            line = json.dumps(dataclasses.asdict(figure))
        else:
            name, *rest = figure.cells
            line = f"{name}: " + "; ".join(cell for cell in rest if cell)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


def each_us(act: Callable[[int], object], count: int, rounds: int = 7) -> tuple[float, float]:
    """Return microseconds per call: median and worst of the rounds, the first call not counted."""
    act(0)
    taken = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        for number in range(count):
            act(number)
        taken.append((time.perf_counter_ns() - start) / count / 1e3)
    return statistics.median(taken), max(taken)


def quantile(values: Iterable[float], part: float) -> float:
    """Return the value below which `part` of the values lie.

    >>> quantile([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * part))]
