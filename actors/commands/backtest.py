"""`run.py backtest`: trade recorded history with the bot's own strategy and risk."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from actors.assembly import load_predictors
from actors.backtesting import Study, backtest, prepare
from actors.commands.reading import read_and_say, say
from actors.edges.history_report import HistoryReport
from actors.edges.report_files import assets, writable, write_page
from actors.edges.state_directory import StateDirectory
from actors.edges.tape_files import tape_of
from actors.full_backtesting import full_backtest
from actors.narration import Line
from actors.reporting.backtest_content import backtest_content
from actors.reporting.page import page_of
from config import Config
from core.backtest.metrics import Figures, metrics_of, symbol_figures
from core.backtest.result import BacktestResult, Trade

_PERCENT: Final = frozenset(
    {"win_rate", "total_return", "yearly_return", "max_drawdown", "exposure"}
)
_COLUMNS: Final = ("trades", "win_rate", "profit_factor", "net_profit", "fees", "funding")


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """What `backtest` is asked to do; times are UTC."""

    data: Path
    funding: Path | None = None  # None: in `data`
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    report: Path | None = None  # where to write the page
    trials: int | None = None  # settings tried on these bars, this one included
    full: bool = False  # every bar goes through every machine


def read_study(config: Config, options: BacktestOptions) -> Study:
    """Read history, funding rates and models; say on stderr what is odd about them.

    Raises DataError for data that is missing or damaged, ConfigurationError for a symbol without
    rules.
    """
    frames = read_and_say(options.data, tuple(config.SYMBOLS), config.KLINE_INTERVAL)
    report = HistoryReport()
    recording = tape_of(
        config,
        frames,
        options.funding or options.data,
        report=report,
        since=options.since,
        until=options.until,
    )
    say(report)
    models = load_predictors(config, StateDirectory.of(config))
    for level, _, line in models.lines:
        if level != "INFO":
            sys.stderr.write(f"{line}\n")
    return prepare(recording, models.shelf, said=_said(models.lines, config))


def run(config: Config, options: BacktestOptions, *, as_json: bool) -> int:
    """Run one backtest and print it."""
    if options.report is not None:
        writable("--report", options.report)
    study = read_study(config, options)
    # Wall time of a command that a person waits for; nothing is decided by it.
    started = time.perf_counter()
    with _bar(study) as (decided, done):
        if options.full:
            for symbol in config.SYMBOLS:  # decided on bar by bar
                decided(symbol)
            result = full_backtest(study, config, since=options.since, done=done)
        else:
            result = backtest(study, config, since=options.since, decided=decided, done=done)
    elapsed_s = time.perf_counter() - started
    document = document_of(result, elapsed_s)
    if options.report is not None:
        content = backtest_content(study, config, result, trials=options.trials)
        write_page("--report", options.report, page_of(content, assets()))
        document["report"] = str(options.report)
    if as_json:
        print(json.dumps(document))  # noqa: T201
    else:
        show(document)
    return 0


def _said(lines: Iterable[Line], config: Config) -> tuple[str, ...]:
    """Return what was told of the models without the folder they are in."""
    folder = f"{StateDirectory.of(config).models}/"
    return tuple(text.replace(folder, "") for _, _, text in lines)


def document_of(result: BacktestResult, elapsed_s: float) -> dict[str, Any]:
    """Return the result as the JSON document of `--json`; money as numbers, times in UTC ms."""
    return {
        "metrics": metrics_of(result),
        "symbols": {symbol: symbol_figures(result, symbol) for symbol in result.symbols},
        "trades": [_trade(trade) for trade in result.trades],
        "refusals": dict(result.refusals),
        "halts": [
            {
                "at": halt.at_ms,
                "symbol": halt.symbol,
                "state": halt.state,
                "reason_code": halt.reason_code,
                "reason": halt.reason,
            }
            for halt in result.halts
        ],
        "predicted_by": {s: dict(counts) for s, counts in result.predicted_by.items()},
        "first": int(result.open_ms[0]),
        "last": int(result.open_ms[-1]) + result.interval_ms,
        "bars": len(result.open_ms) * len(result.symbols),
        "elapsed_s": round(elapsed_s, 3),
    }


def _trade(trade: Trade) -> dict[str, Any]:
    return {
        "symbol": trade.symbol,
        "side": trade.side.value,
        "quantity": float(trade.quantity),
        "entry_time": trade.entry_ms,
        "entry_price": float(trade.entry_price),
        "exit_time": trade.exit_ms,
        "exit_price": float(trade.exit_price),
        "pnl": float(trade.pnl),
        "fees": float(trade.fees),
        "funding": float(trade.funding),
        "exit_reason": trade.exit_reason.value,
    }


def show(document: Mapping[str, Any]) -> None:
    """Print the figures: a table on a terminal, plain lines elsewhere."""
    lines = list(lines_of(document))
    if not sys.stdout.isatty():
        print("\n".join(lines))  # noqa: T201
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("symbol", *_COLUMNS)
    for symbol, figures in document["symbols"].items():
        table.add_row(symbol, *(_text(name, figures[name]) for name in _COLUMNS))
    console.print(table)
    figures = Table("figure", "value", title="portfolio")
    for name, value in document["metrics"].items():
        figures.add_row(name, _text(name, value))
    console.print(figures)
    for line in lines[-_closing(document) :]:
        console.print(line, markup=False)


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield plain lines: the portfolio, each symbol, halts, refusals, the time it took."""
    metrics: Figures = document["metrics"]
    yield "  ".join(f"{name}={_text(name, value)}" for name, value in metrics.items())
    for symbol, figures in document["symbols"].items():
        cells = (f"{name}={_text(name, figures[name])}" for name in _COLUMNS)
        yield f"symbol={symbol}  " + "  ".join(cells)
    for halt in document["halts"]:
        scope = halt["symbol"] or "account"
        yield f"{_time(halt['at'])} {scope} {halt['state']}: {halt['reason']}"
    refusals = ", ".join(f"{code} {count}" for code, count in document["refusals"].items())
    yield f"refused when asked: {refusals or 'nothing'}"
    yield (
        f"{document['bars']:,} bars, {_time(document['first'])} to {_time(document['last'])} UTC,"
        f" in {document['elapsed_s']:.2f} s"
    )
    if "report" in document:
        yield f"page: {document['report']}"


def _closing(document: Mapping[str, Any]) -> int:
    return len(document["halts"]) + 2 + ("report" in document)


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in _PERCENT:
        return f"{value:.2%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


@contextmanager
def _bar(study: Study) -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """Show on a terminal's stderr how far it is; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield (lambda _symbol: None), (lambda _bar: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    symbols = study.recording.tape.symbols
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        deciding = bar.add_task("deciding", total=len(symbols))
        trading = bar.add_task("trading", total=study.bars)
        yield (
            (lambda _symbol: bar.advance(deciding)),
            (lambda at: bar.update(trading, completed=at)),
        )
