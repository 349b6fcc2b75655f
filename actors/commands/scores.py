"""How `train` and `evaluate` print their scores."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_TITLES = ("symbol", "rows", "direction", "ci_95", "rmse", "brier", "acts_on", "right_then")


def show_scores(result: Mapping[str, Any], *, as_json: bool = False) -> int:
    """Print a row and a verdict a symbol, or the one JSON document; not-a-number becomes null."""
    if as_json:
        print(orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY).decode())  # noqa: T201
    elif sys.stdout.isatty():
        _print_table(result)
    else:
        for line in score_lines(result):
            print(line)  # noqa: T201
    return 0


def score_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield one plain line a symbol, and how long it took."""
    for symbol, scores in result["symbols"].items():
        cells = zip(_TITLES, _row(symbol, scores), strict=True)
        card = f"  card={scores['card']}" if "card" in scores else ""
        yield "  ".join(f"{t}={cell}" for t, cell in cells) + f"  {scores['verdict']}{card}"
    yield f"took {result['elapsed_s']:.1f} s"


def _print_table(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(*_TITLES)
    for symbol, scores in result["symbols"].items():
        table.add_row(*map(Text, _row(symbol, scores)))
    console.print(table)
    for symbol, scores in result["symbols"].items():
        console.print(Text(f"{symbol}: {scores['verdict']}"))
        if "card" in scores:
            console.print(Text(f"  card: {scores['card']} (and .html)"))
    console.print(f"took {result['elapsed_s']:.1f} s")


def _row(symbol: str, scores: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        symbol,
        str(scores["rows"]),
        _percent(scores["direction_accuracy"]),
        f"{_percent(scores['ci_low'])} to {_percent(scores['ci_high'])}",
        f"{scores['rmse']:.6f}",
        f"{scores['brier']:.4f}",
        _percent(scores["coverage"]),
        _percent(scores["accuracy_at_confidence"]),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
