"""Training and evaluation on other processes and on Ray: the same models and scores."""

import os
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from actors.commands.train import LearningOptions, run_evaluate, run_train
from models.model_files import model_path, read_manifest
from tests.research.searched import SYMBOLS, history


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Options of one process, and what it learned and judged."""
    folder = tmp_path_factory.mktemp("alone")
    options = LearningOptions(
        data=history(folder, bars=700),
        symbols=SYMBOLS,
        model_dir=folder / "models",
        key_file=folder / "key",
        jobs=1,
    )
    return options, run_train(options), run_evaluate(options)


@pytest.mark.parametrize("backend", ["local", "ray"])
def test_models_and_scores_are_the_same_on_workers(tmp_path, alone, backend):
    options, learned, judged = alone
    spread = replace(options, model_dir=tmp_path, jobs=2, backend=backend)
    learned_there, judged_there = run_train(spread), run_evaluate(spread)
    for symbol in SYMBOLS:
        assert scores(learned, symbol) == scores(learned_there, symbol)
        assert scores(judged, symbol) == scores(judged_there, symbol)
        one, other = (
            read_manifest(model_path(folder, symbol), options.key_file)
            for folder in (options.model_dir, spread.model_dir)
        )
        assert one == other  # the hash of the model's bytes included


def test_a_worker_killed_while_it_trains_changes_nothing(tmp_path, alone):
    options, learned, _ = alone
    with killing_one_worker() as killed:
        again = run_train(replace(options, model_dir=tmp_path, jobs=2))
    assert killed, "no worker was met"
    for symbol in SYMBOLS:
        assert scores(again, symbol) == scores(learned, symbol)
        assert (
            model_path(tmp_path, symbol).read_bytes()
            == model_path(options.model_dir, symbol).read_bytes()
        )


@contextmanager
def killing_one_worker():
    """Kill the first process of the pool as soon as it is there; yields the list of it."""
    killed, over = [], threading.Event()

    def hunt():
        while not over.wait(0.01) and not killed:
            for task in Path("/proc/self/task").iterdir():
                for pid in (task / "children").read_text().split():
                    with suppress(OSError):
                        if b"popen_loky" in Path(f"/proc/{pid}/cmdline").read_bytes():
                            os.kill(int(pid), signal.SIGKILL)
                            killed.append(pid)
                            return

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        yield killed
    finally:
        over.set()
        hunter.join()


def scores(result, symbol):
    rows = result["symbols"][symbol]
    return {name: value for name, value in rows.items() if name not in {"model", "card"}}
