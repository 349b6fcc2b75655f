"""The words that fetch history, learn from it and judge by it; each does its work elsewhere."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands.options import (
    AsJson,
    Backend,
    ConfigFile,
    DataDir,
    Jobs,
    SymbolList,
    names,
    settings_of,
)

if TYPE_CHECKING:
    from actors.commands.train import LearningOptions


def add_research_commands(app: typer.Typer) -> None:
    """Add them to the command line."""
    _add_download(app)
    _add_learning(app)
    _add_backtest(app)


def _add_download(app: typer.Typer) -> None:
    @app.command(
        epilog="Example: python run.py download --symbols BTCUSDT,ETHUSDT --from 2025-01-01"
        " --to 2025-07-01 --out candles"
    )
    def download(
        *,
        symbols: Annotated[str, typer.Option(metavar="A,B", help="Symbols, separated by commas.")],
        since: Annotated[str, typer.Option("--from", metavar="D", help="First day, UTC.")],
        until: Annotated[str, typer.Option("--to", metavar="D", help="Day after the last, UTC.")],
        out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")],
        base: Annotated[
            str | None, typer.Option(metavar="URL", help="Archive. [https://data.binance.vision]")
        ] = None,
        interval: Annotated[str, typer.Option(metavar="I", help="Kline interval.")] = "1m",
        config: ConfigFile = None,
        as_json: AsJson = False,
    ) -> int:
        """Fetch klines and funding from the public archive; checksums verified, resumable."""
        settings = settings_of(config)
        from actors.commands.download import BASE, DownloadOptions
        from actors.commands.download import download as fetch
        from actors.commands.moments import day

        options = DownloadOptions(
            symbols=tuple(dict.fromkeys(names(symbols))),
            first=day(since, "--from"),
            until=day(until, "--to"),
            out=out,
            base=BASE if base is None else base,
            interval=interval,
            retries=settings.MAX_RETRIES,
            retry_delay_s=settings.RETRY_DELAY,
        )
        return fetch(options, as_json=as_json)


def _add_learning(app: typer.Typer) -> None:
    @app.command(epilog="Example: python run.py train --data candles --symbols BTCUSDT,ETHUSDT")
    def train(
        *,
        data: DataDir,
        config: ConfigFile = None,
        symbols: SymbolList = None,
        jobs: Jobs = None,
        backend: Backend = "local",
        as_json: AsJson = False,
    ) -> int:
        """Train a model per symbol, save it and print its out-of-fold scores."""
        from actors.commands.scores import show_scores
        from actors.commands.train import run_train

        options = _learning_options(config, data, symbols, jobs, backend)
        return show_scores(run_train(options), as_json=as_json)

    @app.command(epilog="Example: python run.py evaluate --data candles --json")
    def evaluate(
        *,
        data: DataDir,
        config: ConfigFile = None,
        symbols: SymbolList = None,
        jobs: Jobs = None,
        backend: Backend = "local",
        as_json: AsJson = False,
    ) -> int:
        """Judge the saved models on candles; rows they were trained on are scored by a refit."""
        from actors.commands.scores import show_scores
        from actors.commands.train import run_evaluate

        options = _learning_options(config, data, symbols, jobs, backend)
        return show_scores(run_evaluate(options), as_json=as_json)


def _add_backtest(app: typer.Typer) -> None:
    @app.command(
        epilog="Example: python run.py backtest --data candles --from 2025-05-10 --to 2025-06-20"
    )
    def backtest(
        *,
        data: DataDir,
        funding: Annotated[
            Path | None, typer.Option(metavar="DIR", help="Funding rates. [those in --data]")
        ] = None,
        config: ConfigFile = None,
        since: Annotated[
            str | None, typer.Option("--from", metavar="D", help="First day, UTC. [all]")
        ] = None,
        until: Annotated[
            str | None, typer.Option("--to", metavar="D", help="Day after the last, UTC.")
        ] = None,
        as_json: AsJson = False,
    ) -> int:
        """Trade recorded history with the bot's own strategy, risk and limits."""
        from actors.commands.backtest import BacktestOptions, run
        from actors.commands.moments import midnight

        options = BacktestOptions(
            data=data,
            funding=funding,
            since=None if since is None else midnight(since, "--from"),
            until=None if until is None else midnight(until, "--to"),
        )
        return run(settings_of(config), options, as_json=as_json)


def _learning_options(
    config: str | None, data: Path, symbols: str | None, jobs: int | None, backend: str
) -> "LearningOptions":
    from actors.commands.train import LearningOptions
    from actors.edges.log import setup_log
    from actors.edges.state_directory import StateDirectory

    settings = settings_of(config)
    setup_log(settings.LOG_LEVEL)
    return LearningOptions(
        data=data,
        symbols=None if symbols is None else names(symbols),
        model_dir=StateDirectory.of(settings).models,
        interval=settings.KLINE_INTERVAL,
        jobs=(os.cpu_count() or 1) if jobs is None else jobs,
        backend=backend,
        model_type=settings.MODEL_TYPE,
    )
