"""The tables of a page."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from actors.reporting.content import Content
from actors.reporting.series import periods
from actors.reporting.text import (
    NOTHING,
    Cell,
    count,
    number,
    percent,
    signed,
    table,
    tone,
)
from config.settings import secret_names
from core.backtest.luck import PERCENTILES, RUNS, Spread
from core.backtest.metrics import Figures, exposure, symbol_figures, trade_figures
from core.backtest.result import Trade
from core.words import Side

_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]+@")
_STRONG: Final = 0.10  # a month's return that gets the full tint


def symbols_table(content: Content) -> str:
    """One row a symbol, and one for all."""
    result = content.result
    names = sorted(
        result.symbols, key=lambda name: -float(symbol_figures(result, name)["net_profit"] or 0.0)
    )
    rows = [_symbol_row(name, symbol_figures(result, name)) for name in names]
    bars, symbols = len(result.equity), len(result.symbols)
    total = trade_figures(result.trades) | {
        "signals": sum(result.signals.values()),
        "exposure": exposure(result.trades, bars, symbols),
    }
    rows.append([(str(cell[0]), f"{cell[1]} sum") for cell in _symbol_row("all", total)])
    head = ("symbol", "trades", "won", "profit factor", "net, USDT", "a trade", "avg win")
    costs = ("avg loss", "fees", "funding", "signals", "time held")
    return table((*head, *costs), rows)


def _symbol_row(name: str, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    net, funding = figures["net_profit"], figures["funding"]
    return [
        (name, "name"),
        (count(figures["trades"]), ""),
        (percent(figures["win_rate"], 1), ""),
        (number(figures["profit_factor"]), ""),
        (signed(net), tone(net)),
        (signed(figures["expectancy"]), tone(figures["expectancy"])),
        (number(figures["average_win"]), ""),
        (number(figures["average_loss"]), ""),
        (number(figures["fees"]), ""),
        (signed(funding), ""),
        (count(figures["signals"]), ""),
        (percent(figures["exposure"], 1), ""),
    ]


def ways_table(content: Content) -> str:
    """Longs against shorts, and by what closed the trade."""
    trades = content.result.trades
    groups: list[tuple[str, list[Trade]]] = [
        ("long", [trade for trade in trades if trade.side is Side.BUY]),
        ("short", [trade for trade in trades if trade.side is Side.SELL]),
    ]
    reasons = Counter(trade.exit_reason for trade in trades)
    groups += [
        (f"closed by {reason.value}", [trade for trade in trades if trade.exit_reason is reason])
        for reason, _ in reasons.most_common()
    ]
    rows = []
    for name, among in groups:
        figures = trade_figures(among)
        net = figures["net_profit"]
        rows.append(
            [
                (name, "name"),
                (count(figures["trades"]), ""),
                (percent(figures["win_rate"], 1), ""),
                (signed(net), tone(net)),
                (signed(figures["expectancy"]), tone(figures["expectancy"])),
                (number(figures["average_bars"], 1), ""),
            ]
        )
    return table(("trades", "how many", "won", "net, USDT", "a trade", "avg bars"), rows)


def months_table(content: Content) -> str:
    """Returns of the months, a row a year; a month that is not whole counts what there is."""
    cut = periods(content.result, "M")
    by_year: dict[str, dict[int, float]] = {}
    for start_ms, change in zip(cut.start_ms.tolist(), cut.returns.tolist(), strict=True):
        at = datetime.fromtimestamp(start_ms / 1000, UTC)
        by_year.setdefault(str(at.year), {})[at.month] = change
    rows: list[list[Cell]] = []
    for year, found in by_year.items():
        whole = float(np.prod([1 + change for change in found.values()])) - 1
        months = [_month(found.get(month)) for month in range(1, 13)]
        rows.append([(year, "name"), *months, (percent(whole), f"sum {tone(whole)}")])
    return table(("", *_MONTHS, "year"), rows, "months")


def _month(change: float | None) -> tuple[str, str]:
    if change is None:
        return "", "none"
    strength = min(4, 1 + int(abs(change) / _STRONG * 3))
    word = tone(round(change, 6))
    return percent(change), f"tint-{word}-{strength}" if word else ""


def luck_table(redrawn: Spread, reordered: Spread) -> str:
    """Percentiles of both Monte Carlos."""
    ends = redrawn.percentiles()["final_equity"]
    falls = reordered.percentiles()["max_drawdown"]
    drawn_falls = redrawn.percentiles()["max_drawdown"]
    rows = [
        [("end equity, trades drawn anew", "name"), *(number(ends[p], 0) for p in PERCENTILES)],
        [("drawdown, trades drawn anew", "name"), *(percent(drawn_falls[p]) for p in PERCENTILES)],
        [("drawdown, same trades reordered", "name"), *(percent(falls[p]) for p in PERCENTILES)],
    ]
    return table((f"percentiles of {RUNS:,} runs", *(f"{p} %" for p in PERCENTILES)), rows)


def pairs(rows: Sequence[tuple[str, Cell]]) -> str:
    """Return names and values, one pair a line."""
    return table(("", ""), [[(name, "name"), value] for name, value in rows], "pairs")


def facts(figures: Figures) -> str:
    """Every figure of the portfolio by its name in `--json`."""
    shares = {"win_rate", "total_return", "yearly_return", "max_drawdown", "exposure"}
    rows = []
    for name, value in figures.items():
        if value is None:
            text = NOTHING
        elif name in shares:
            text = percent(value)
        else:
            text = count(value) if isinstance(value, int) else number(value, 4)
        rows.append((name, text))
    return pairs(rows)


def settings_tables(content: Content) -> tuple[str, str]:
    """Settings that were changed, and those as they come; never a secret."""
    changed: list[list[Cell]] = []
    rest: list[list[Cell]] = []
    config = content.config
    for name, described in type(config).model_fields.items():
        if name in secret_names():
            continue
        value, default = getattr(config, name), described.get_default(call_default_factory=True)
        text = described.description or ""
        if value == default:
            rest.append([(name, "name"), _shown(value), (text, "words")])
        else:
            changed.append([(name, "name"), _shown(value), _shown(default), (text, "words")])
    return (
        table(("setting", "here", "as it comes", "what it is"), changed, "settings"),
        table(("setting", "value", "what it is"), rest, "settings"),
    )


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = ", ".join(str(item) for item in value)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, Decimal | float):
        text = f"{value:g}" if abs(value) < 1e6 else f"{value:,.0f}"  # noqa: PLR2004
    else:
        text = str(value)
    return _PASSWORD.sub("…@", text) or NOTHING
