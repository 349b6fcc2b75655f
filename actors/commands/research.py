"""The words that learn from history and judge by it; what each does is in a file of its own."""

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

Experiments = Annotated[
    bool,
    typer.Option("--experiments", help="Search for skill instead; needs no model. See docs."),
]


def add_research_commands(app: typer.Typer) -> None:
    """Add them to the command line."""

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
        experiments: Experiments = False,
        as_json: AsJson = False,
    ) -> int:
        """Judge the saved models on candles; rows they were trained on are scored by a refit."""
        from actors.commands.scores import show_scores
        from actors.commands.train import run_evaluate

        options = _learning_options(config, data, symbols, jobs, backend)
        if experiments:
            from actors.commands.experiments import run_experiments, show_experiments

            return show_experiments(run_experiments(options), as_json=as_json)
        return show_scores(run_evaluate(options), as_json=as_json)


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
