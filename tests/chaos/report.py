"""What a chaos run found: figures as JSON, as one table on a terminal, and in the docs."""

import json
import subprocess
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import Any

from actors.kill_points import POINTS
from tests.chaos.elsewhere import ELSEWHERE
from tests.chaos.evidence import Row
from tests.chaos.processes import ROOT
from tests.chaos.round_log import outcome
from tests.chaos.rounds import EARLY, LAST, RANDOM
from tests.chaos.swarm import CATALOGUE

_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_FAULTY = "F"
FAULTS = 57


def quantiles(values: list[float]) -> Row:
    """Return n, p50, p99 and max of wall seconds, rounded to milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0, "p50": None, "p99": None, "max": None}

    def at(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3)

    return {"n": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 3)}


def histogram(values: list[float]) -> dict[str, int]:
    """Count wall seconds by bucket; each key is the bucket's upper end."""
    names = [*(f"<= {edge:g}" for edge in _BUCKETS_S), f"> {_BUCKETS_S[-1]:g}"]
    counts = dict.fromkeys(names, 0)
    for value in values:
        place = next((i for i, edge in enumerate(_BUCKETS_S) if value <= edge), len(_BUCKETS_S))
        counts[names[place]] += 1
    return counts


def summary(rounds: list[Row], **facts: Any) -> Row:
    """Return the figures of all rounds; `facts` go in as they are."""
    hits = Counter(r["point"] for r in rounds if r["hit"])
    missed = Counter(r["point"] for r in rounds if not r["hit"])
    kills = sum(hits.values())
    wrong = [(name, line) for r in rounds for name, ls in r["violations"].items() for line in ls]
    naked = [n for r in rounds for n in r["naked"]]
    online = [n["seconds"] for n in naked if not n["restart"] and not n["fault"]]
    under = [n["across"] for n in naked if not n["restart"] and n["fault"]]
    across = [n["across"] for n in naked if n["restart"]]
    resolved, struck = Counter[str](), Counter[str]()
    for r in rounds:
        struck.update(r.get("struck", {}))
        resolved.update(r["resolved"])
    back = [r for r in rounds if r["active_s"]]
    return {
        **facts,
        "commit": commit(),
        "rounds": len(rounds),
        "kills": kills,
        "points": {p: {"hit": hits[p], "missed": missed[p]} for p in POINTS},
        "random_kills": {p: hits[p] for p in (RANDOM, EARLY, LAST)},
        "violations": _counted(wrong),
        "halted_then_killed": sum(bool(r.get("halted")) for r in rounds),
        "rounds_with_trouble": sum(bool(r["harness"]) for r in rounds),
        "rounds_violated": sum(bool(r["violations"]) for r in rounds),
        "bound_95": round(3 / kills, 4) if kills else None,
        "faults": _by_fault(rounds),
        "struck": dict(struck),
        "states_after": dict(Counter(r["state"] or "not back" for r in rounds)),
        "recovery_s": quantiles([r["active_s"] for r in back]),
        "protected_s": quantiles([r["protected_s"] for r in back if r["protected_s"]]),
        "round_s": quantiles([r["took_s"] for r in rounds]),
        "entries_open_at_death": dict(resolved),
        "naked_s": {
            "online": quantiles(online) | {"histogram": histogram(online)},
            "under faults": quantiles(under) | {"histogram": histogram(under)},
            "across a restart": quantiles(across) | {"histogram": histogram(across)},
        },
    }


def _counted(wrong: list[tuple[str, str]]) -> Row:
    counts = Counter(name for name, _ in wrong)
    return {
        name: {"count": n, "examples": [line for i, line in wrong if i == name][:3]}
        for name, n in sorted(counts.items())
    }


def _by_fault(rounds: list[Row]) -> Row:
    """Return for each fault how often it was armed and struck, and what was found after it did.

    It is found by the next comparison.  Of a fault that did not strike nothing follows.
    """
    table: dict[str, Counter[str]] = {}
    jobs: dict[Any, list[Row]] = {}
    for r in rounds:
        jobs.setdefault(r["job"], []).append(r)
    for rows in jobs.values():
        for r, after in zip_longest(rows, rows[1:]):
            for number in sorted(set(r["faults"])):
                table.setdefault(number, Counter())["armed"] += 1
            for number in sorted(set(r["took_hold"])) or ["none"]:
                row = table.setdefault(number, Counter())
                row["struck"] += 1
                row[outcome(r, after)] += 1
    order = sorted(table, key=lambda n: int(n[1:]) if n.startswith(_FAULTY) else 0)
    return {n: dict(table[n]) for n in order}


def commit() -> str:
    """Return the short hash of what is checked out."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


# ---------------------------------------- words
def table(figures: Row) -> list[str]:
    """Return the figures as markdown lines, fit for a terminal."""
    if figures["what"] in _TABLES:
        return _TABLES[figures["what"]](figures)
    hit = {p: row["hit"] for p, row in figures["points"].items()}
    head = (
        f"{figures['kills']} kills in {figures['rounds']} rounds ({figures['what']}, "
        f"{figures['database']}, {figures['jobs']} at once, {figures['seconds']:.0f} s, "
        f"machine {figures.get('slowness', 1):.1f} times slower than idle, commit "
        f"{figures['commit']}); rounds with a violation: {figures['rounds_violated']}; with none in"
        f" {figures['kills']} the 95 % bound is {figures['bound_95']}."
    )
    lines = [
        head,
        "",
        "| kill point | hit | | kill point | hit |",
        "|---|---|---|---|---|",
    ]
    names = [*POINTS]
    half = len(names) // 2
    lines += [
        f"| {a} {POINTS[a].text} | {hit[a]} | | {b} {POINTS[b].text} | {hit[b]} |"
        for a, b in zip(names[:half], names[half:], strict=True)
    ]
    drawn = figures["random_kills"]
    early = drawn[EARLY]
    if figures["rounds_with_trouble"]:
        told = figures.get("trouble") or ()
        lines += ["", f"Rounds with trouble of the driver's own: {figures['rounds_with_trouble']}."]
        lines += [f"Jobs that ended early: {'; '.join(told)}."] if told else []
    halted = figures["halted_then_killed"]
    lines += ["", f"Random kills: {drawn[RANDOM] + drawn[LAST]} in trading, {early} in starting."]
    lines += [f"Halted by a person just before, and begun halted again: {halted}."]
    lines += ["", "| | n | p50 s | p99 s | max s |", "|---|---|---|---|---|"]
    lines += [
        _row("start to ACTIVE", figures["recovery_s"]),
        _row("start to all protected", figures["protected_s"]),
        *(_row(f"without a stop, {name}", row) for name, row in figures["naked_s"].items()),
        _row("one round", figures["round_s"]),
    ]
    names = list(figures["naked_s"]["online"]["histogram"])
    lines += ["", f"| without a stop, s | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(str(n) for n in row['histogram'].values())} |"
        for name, row in figures["naked_s"].items()
    ]
    lines += ["", f"Entries open at a death became: {_words(figures['entries_open_at_death'])}."]
    lines += [f"State after recovery: {_words(figures['states_after'])}."]
    lines += [f"Times that a fault of the venue's struck, by kind: {_words(figures['struck'])}."]
    lines += _fault_table(figures["faults"])
    lines += ["", "| invariant | violations | per 100 kills | first |", "|---|---|---|---|"]
    part = 100 / max(1, figures["kills"])
    lines += [
        f"| {name} | {row['count']} | {row['count'] * part:.0f} | {row['examples'][0][:160]} |"
        for name, row in figures["violations"].items()
    ] or ["| all | 0 | 0 | |"]
    return lines


def _fault_table(faults: Row) -> list[str]:
    """Return a line for each fault of the catalogue: injected, shown elsewhere, or neither."""
    injected = {name for name, *_ in CATALOGUE}
    lines = [
        "",
        "| fault | armed | struck | clean | violated | driver | elsewhere |",
        "|---" * 7 + "|",
    ]
    for n in ["none", *(f"F{number}" for number in range(1, FAULTS + 1))]:
        row, (why, tests) = faults.get(n, {}), ELSEWHERE.get(n, ("", ()))
        names = ", ".join(f"`{t.partition('::')[2] or t}`" for t in tests)
        counts = [row.get(k, 0) for k in ("armed", "struck", "clean", "violated", "harness")]
        shown = [str(c) if row or n in injected else "" for c in counts]
        lines.append(f"| {n} | {' | '.join(shown)} | {why}{': ' if why and names else ''}{names} |")
    return lines


def _soak_table(figures: Row) -> list[str]:
    first, last, slopes = figures["first"], figures["last"], figures["per_100k_bars"]
    lines = [
        (
            f"{figures['bars']:,} bars of {figures['symbols']} symbols, {figures['orders']} orders,"
            f" {figures['bars_per_s']:.0f} bars/s, load {figures['load']:.1f};"
            f" violations: {len(figures['violations'])}."
        ),
        "",
        "| | after warming up | at the end | per 100,000 bars |",
        "|---|---|---|---|",
    ]
    names = {
        "rss_mib": "resident MiB",
        "threads": "threads",
        "files": "open files",
        "database_mib": "database MiB",
    }
    return lines + [
        f"| {name} | {first[key]} | {last[key]} | {slopes[key]:+.2f} |"
        for key, name in names.items()
    ]


def _stepped_table(figures: Row) -> list[str]:
    head = (
        f"{figures['kills']:,} kills in {figures['runs']:,} seeds (from {figures['first']}, commit "
        f"{figures['commit']}, {figures['seconds']} s), {len(figures['failed'])} failed; longest "
        f"without a stop {figures['naked_max_s']:.1f} s."
    )
    sides = [f"{side} {part}" for side in ("BUY", "SELL") for part in ("none", "part", "full")]
    lines = [
        head,
        "",
        "The newest entry at the death, by its side and how much of it was filled:",
        "",
        f"| kill point | seeds | kills | no entry | {' | '.join(sides)} |",
        "|---" * (len(sides) + 4) + "|",
    ]
    for point, row in figures["points"].items():
        counts = [row["runs"], row["kills"], *(row["entries"].get(k, 0) for k in ("", *sides))]
        lines.append(f"| {point} {POINTS[point].text} | {' | '.join(map(str, counts))} |")
    return lines


_TABLES = {"soak": _soak_table, "kill points on one thread": _stepped_table}


def _row(name: str, row: Row) -> str:
    shown = ["-" if row[k] is None else f"{row[k]:.2f}" for k in ("p50", "p99", "max")]
    return f"| {name} | {row['n']} | {' | '.join(shown)} |"


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "none"


def write_docs(page: Path, files: list[Path]) -> None:
    """Put the figures of JSON files between the page's marks."""
    start, end = "<!-- figures: start -->", "<!-- figures: end -->"
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(start)
    tail = rest.split(end)[1]
    blocks = [
        "\n".join([f"### {figures['what'].capitalize()}", "", *table(figures)])
        for figures in (json.loads(file.read_text(encoding="utf-8")) for file in files)
    ]
    body = "\n\n".join(blocks)
    page.write_text(f"{head}{start}\n\n{body}\n\n{end}{tail}", encoding="utf-8")
