"""`explain`: why an order was made and what came of it, or why nothing was done at a time."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from actors.causality import Hop, bracket_of
from actors.commands.moments import shown, venue_ns
from actors.edges.evidence import Evidence, EvidenceBook
from actors.edges.state_directory import StateDirectory
from actors.edges.trace_search import UnknownIdError, collect, select
from actors.explaining import Explanation, Step, explain
from config import Config
from core.clock import interval_ns

_NOW = ("now", "last")
_FEATURES_SHOWN = 8


def show_explanation(config: Config, asked: str, *, as_json: bool = False) -> int:
    """Print the chain of facts behind an order, or behind a symbol's decision at a time.

    Raises UnknownIdError for an order or symbol that the database does not know, UsageError for a
    time that cannot be read.
    """
    state = StateDirectory.of(config)
    book = EvidenceBook(state.database)
    try:
        symbol, at, time = asked.partition("@")
        evidence = _at(book, config, symbol, time) if at else _of_order(book, asked)
    finally:
        book.close()
    explanation = explain(evidence, _messages(state, evidence))
    if as_json:
        print(json.dumps(explanation.document()))  # noqa: T201
    elif sys.stdout.isatty():
        _print_table(explanation)
    else:
        for line in lines_of(explanation):
            print(line)  # noqa: T201
    return 0


def _of_order(book: EvidenceBook, asked: str) -> Evidence:
    found = book.orders_named(asked)
    if not found:
        raise UnknownIdError(
            f"ORDER_ID must be an order of this bot, {asked!r:.60} is none."
            " Fix: give its client id, SYMBOL:orderId, or SYMBOL@TIME."
        )
    if len({symbol for symbol, _ in found}) > 1:
        symbols = [symbol for symbol, _ in found]
        raise UnknownIdError(
            f"ORDER_ID must be of one symbol, {asked} is an order of {', '.join(symbols)}."
            f" Fix: write {symbols[0]}:{asked}."
        )
    return book.of_proposal(*found[0])


def _at(book: EvidenceBook, config: Config, symbol: str, time: str) -> Evidence:
    symbol = symbol.upper()
    if symbol not in config.SYMBOLS and not book.knows(symbol):
        raise UnknownIdError(
            f"SYMBOL must be one this bot trades, was {symbol!r:.40}."
            f" Fix: choose one of {', '.join(config.SYMBOLS)}."
        )
    one = interval_ns(config.KLINE_INTERVAL)
    if time not in _NOW:
        return book.at(symbol, venue_ns(time, "TIME"), one)
    own_ns, newest_ns = book.newest_close_ns(symbol), book.newest_close_ns()
    # All symbols close together, but not all have decided on the newest close in this very moment.
    behind = time == "now" and newest_ns - own_ns > one
    return book.at(symbol, newest_ns if behind else own_ns, one)


def _messages(state: StateDirectory, evidence: Evidence) -> list[Hop]:
    """Return what the trace still has of these facts; nothing if it was rotated away."""
    brackets = {bracket_of(row["client_id"]) for row in evidence.intents}
    if not brackets and not evidence.kline_close_ns:
        return []
    of = (evidence.symbol, evidence.kline_close_ns)

    def wanted(line: dict[str, Any]) -> bool:
        body = line["body"]
        return isinstance(body, dict) and (body.get("symbol"), body.get("kline_close_ns")) == of

    traces = set(select(state.traces, wanted, '"kind":"SignalComputed"', str(of[1])))
    return collect(state.traces, traces, brackets)


# ---------------------------------------- text
def lines_of(explanation: Explanation) -> Iterator[str]:
    """Yield the verdict, then one plain line a fact; each rule and cap on a line of its own."""
    yield headline(explanation)
    for step in explanation.chain:
        yield f"{shown(step.at_ns)}  {step.kind}{_took(step)}  {_told(step)}".rstrip()
        yield from (f"    {line}" for line in _details(step))


def headline(explanation: Explanation) -> str:
    """Return the verdict in one line."""
    reason = f": {explanation.reason}" if explanation.reason else ""
    return f"{explanation.symbol} {explanation.outcome} ({explanation.reason_code}){reason}"


def _print_table(explanation: Explanation) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(headline(explanation), style="bold"))
    table = Table("venue time", "fact", "ms", "what it said")
    for step in explanation.chain:
        said = "\n".join(filter(None, (_told(step), *_details(step))))
        ms = "" if step.ms is None else f"{step.ms:.2f}"
        table.add_row(shown(step.at_ns), step.kind, ms, Text(said))
    console.print(table)


def _took(step: Step) -> str:
    return "" if step.ms is None else f" [{step.ms:.2f} ms]"


def _told(step: Step) -> str:
    """Return a fact's plain numbers as `name=value`."""
    return "  ".join(
        f"{name}={value}"
        for name, value in step.facts.items()
        if not isinstance(value, dict | list) and value not in (None, "")
    )


def _details(step: Step) -> Iterator[str]:
    """Yield what takes a line of its own: signals, features, rules, caps."""
    facts = step.facts
    for name in ("technical", "features"):
        numbers = facts.get(name) or {}
        items = [f"{key}={value:.6g}" for key, value in numbers.items() if value is not None]
        for start in range(0, len(items), _FEATURES_SHOWN):
            yield f"{name}: {'  '.join(items[start : start + _FEATURES_SHOWN])}"
    for check in facts.get("checks", ()):
        mark = "ok  " if check["passed"] else "FAIL"
        yield f"{mark} {check['rule']}: {check['value']}, limit {check['limit']}"
    for name, quantity in (facts.get("caps") or {}).items():
        yield f"cap  {name} allows {quantity}"
