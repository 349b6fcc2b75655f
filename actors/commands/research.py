"""The words that fetch history, learn from it and judge by it; each does its work elsewhere."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands.options import (
    Address,
    AsJson,
    Backend,
    ConfigFile,
    DataDir,
    DayAfter,
    FirstDay,
    FundingDir,
    Jobs,
    SymbolList,
    names,
    settings_of,
)

if TYPE_CHECKING:
    from actors.commands.backtest import BacktestOptions
    from actors.commands.train import LearningOptions

Experiments = Annotated[
    bool,
    typer.Option("--experiments", help="Search for skill instead; needs no model. See docs."),
]
OnlyIdeas = Annotated[
    str | None,
    typer.Option("--only", metavar="A,B", help="With --experiments: some of them. [all]"),
]


def add_research_commands(app: typer.Typer) -> None:
    """Add them to the command line."""
    _add_download(app)
    _add_learning(app)
    _add_backtest(app)
    _add_sweep(app)


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
        address: Address = None,
        as_json: AsJson = False,
    ) -> int:
        """Train a model per symbol, save it and print its out-of-fold scores."""
        from actors.commands.scores import show_scores
        from actors.commands.train import run_train

        options = _learning_options(config, data, symbols, jobs, (backend, address))
        return show_scores(run_train(options), as_json=as_json)

    @app.command(epilog="Example: python run.py evaluate --data candles --json")
    def evaluate(
        *,
        data: DataDir,
        config: ConfigFile = None,
        symbols: SymbolList = None,
        jobs: Jobs = None,
        backend: Backend = "local",
        address: Address = None,
        experiments: Experiments = False,
        only: OnlyIdeas = None,
        as_json: AsJson = False,
    ) -> int:
        """Judge the saved models on candles; rows they were trained on are scored by a refit."""
        from actors.commands.scores import show_scores
        from actors.commands.train import run_evaluate

        options = _learning_options(config, data, symbols, jobs, (backend, address))
        if experiments:
            from actors.commands import experiments as search

            # Whoever picks some has all of them to pick from.
            found = search.run_experiments(options, search.ideas_named(only), among=search.IDEAS)
            return search.show_experiments(found, as_json=as_json)
        return show_scores(run_evaluate(options), as_json=as_json)


def _add_backtest(app: typer.Typer) -> None:
    @app.command(
        epilog="Example: python run.py backtest --data candles --from 2025-05-10 --to 2025-06-20"
    )
    def backtest(
        *,
        data: DataDir,
        funding: FundingDir = None,
        config: ConfigFile = None,
        since: FirstDay = None,
        until: DayAfter = None,
        report: Annotated[
            Path | None, typer.Option(metavar="FILE.html", help="Write a page about it.")
        ] = None,
        trials: Annotated[
            int | None,
            typer.Option(metavar="N", min=1, help="Settings tried on these days so far, for it."),
        ] = None,
        full: Annotated[
            bool,
            typer.Option("--full", help="Every bar through every machine: the same, slower."),
        ] = False,
        as_json: AsJson = False,
    ) -> int:
        """Trade recorded history with the bot's own strategy, risk and limits."""
        from dataclasses import replace

        from actors.commands.backtest import run

        options = replace(
            _history_options(data, funding, since, until),
            report=report,
            trials=trials,
            full=full,
        )
        return run(settings_of(config), options, as_json=as_json)


def _add_sweep(app: typer.Typer) -> None:
    @app.command(
        epilog="Example: python run.py sweep --data candles --space space.yaml --trials 100"
    )
    def sweep(
        *,
        data: DataDir,
        space: Annotated[
            Path, typer.Option(metavar="FILE", help="YAML: what to search. docs/research.md")
        ],
        trials: Annotated[int, typer.Option(metavar="N", help="Tries in all.")],
        funding: FundingDir = None,
        config: ConfigFile = None,
        since: FirstDay = None,
        until: DayAfter = None,
        blocks: Annotated[
            int, typer.Option(metavar="N", help="Blocks of history, the last held out.")
        ] = 5,
        embargo: Annotated[
            int | None, typer.Option(metavar="BARS", help="Left out between blocks. [a day]")
        ] = None,
        storage: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Keeps tries. [STATE_DIR/sweep.db]")
        ] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with what it keeps.")] = False,
        seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the search.")] = 42,
        jobs: Jobs = None,
        backend: Backend = "local",
        address: Address = None,
        as_json: AsJson = False,
    ) -> int:
        """Search settings on recorded history; scored block by block, judged on a held-out one."""
        from functools import partial

        from actors.commands.sweep import SweepOptions, run, settings_changed
        from actors.edges.state_directory import StateDirectory
        from actors.edges.work_pool import Workers

        settings = settings_of(config)
        options = SweepOptions(
            data=_history_options(data, funding, since, until),
            space=space,
            trials=trials,
            storage=storage or StateDirectory.of(settings).root / "sweep.db",
            workers=Workers(jobs=_jobs(jobs), backend=backend, address=address),
            changed=partial(settings_changed, config),
            resume=resume,
            seed=seed,
            blocks=blocks,
            embargo=embargo,
        )
        return run(settings, options, as_json=as_json)


def _history_options(
    data: Path, funding: Path | None, since: str | None, until: str | None
) -> "BacktestOptions":
    from actors.commands.backtest import BacktestOptions
    from actors.commands.moments import midnight

    return BacktestOptions(
        data=data,
        funding=funding,
        since=None if since is None else midnight(since, "--from"),
        until=None if until is None else midnight(until, "--to"),
    )


def _jobs(given: int | None) -> int:
    return (os.cpu_count() or 1) if given is None else given


def _learning_options(
    config: str | None,
    data: Path,
    symbols: str | None,
    jobs: int | None,
    cluster: tuple[str, str | None],
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
        jobs=_jobs(jobs),
        backend=cluster[0],
        address=cluster[1],
        model_type=settings.MODEL_TYPE,
    )
