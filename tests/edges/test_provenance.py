"""What made a decision: each part that is changed changes its own hash, and no other."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from actors.edges.provenance import described, provenance
from config import Config

CANARY = "canary-77c1"
PARTS = ("code", "settings", "strategy", "model BTCUSDT.joblib")


def a_config(**given: Any) -> Config:
    return Config(_env_file=None, SYMBOLS=["BTCUSDT"], **given)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A program of three files, with a model and a strategy beside it."""
    program = tmp_path / "program"
    (program / "core").mkdir(parents=True)
    (program / "run.py").write_text("run()\n", encoding="utf-8")
    (program / "core" / "a.py").write_text("A = 1\n", encoding="utf-8")
    (program / "setup.cfg").write_text("[metadata]\nversion = 4.5.6\n", encoding="utf-8")
    (tmp_path / "BTCUSDT.joblib").write_bytes(b"model")
    return program


@pytest.fixture
def strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    name = f"strategy_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("class Mine:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found: type = importlib.import_module(name).Mine
    return found


def told(root: Path, strategy: type, config: Config | None = None) -> dict[str, str]:
    models = [root.parent / "BTCUSDT.joblib"]
    return provenance(described(config or a_config()), models, strategy, root)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_the_same_program_settings_and_models_have_the_same_hashes(root, strategy):
    one = told(root, strategy)
    assert one == told(root, strategy)
    assert set(one) == {"version", *PARTS}
    assert one["version"] == "4.5.6"
    assert all(len(one[name]) == 64 for name in PARTS)


@pytest.mark.parametrize(
    "setting",
    [
        {"DAILY_MAX_LOSS_PCT": 0.04},
        {"SYMBOL_CONFIGS": {"BTCUSDT": {"LEVERAGE": 2}}},
        {"SYMBOLS": ["ETHUSDT"]},
    ],
)
def test_a_changed_setting_changes_the_hash_of_the_settings(root, strategy, setting):
    config = Config(_env_file=None, **{"SYMBOLS": ["BTCUSDT"], **setting})
    assert changed(told(root, strategy), told(root, strategy, config)) == {"settings"}


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("program/core/a.py", "code"),
        ("program/run.py", "code"),
        ("program/core/new.py", "code"),
        ("BTCUSDT.joblib", "model BTCUSDT.joblib"),
    ],
)
def test_a_changed_file_changes_the_hash_that_names_it(root, strategy, path, part):
    before = told(root, strategy)
    (root.parent / path).write_bytes(b"B = 2\n")
    assert changed(before, told(root, strategy)) == {part}


def test_a_file_that_only_moved_is_another_program(root, strategy):
    before = told(root, strategy)
    (root / "core" / "a.py").rename(root / "core" / "b.py")
    assert changed(before, told(root, strategy)) == {"code"}


def test_a_changed_strategy_of_a_user_is_seen(root, strategy):
    before = told(root, strategy)
    source = Path(str(importlib.import_module(strategy.__module__).__file__))
    source.write_text("class Mine:\n    warmup = 1\n", encoding="utf-8")
    assert changed(before, told(root, strategy)) == {"strategy"}


def test_what_is_no_part_of_the_program_changes_nothing(root, strategy):
    before = told(root, strategy)
    (root / "core" / "notes.txt").write_text("x", encoding="utf-8")
    (root / "tests").mkdir()
    (root / "tests" / "test_a.py").write_text("x", encoding="utf-8")
    assert told(root, strategy) == before


def test_neither_secrets_nor_places_enter(root, strategy, tmp_path):
    secrets = {
        "API_KEY": CANARY,
        "API_SECRET": CANARY,
        "CONTROL_TOKEN": CANARY,
        "NOTIFY_URLS": [f"json://{CANARY}"],
    }
    config = a_config(**secrets, STATE_DIR=str(tmp_path / CANARY), DB_FILE=CANARY)
    assert all(CANARY in secret for secret in config.secrets())
    assert CANARY not in json.dumps(described(config))
    assert not set(secrets) & set(described(config))
    assert told(root, strategy, config) == told(root, strategy)


def test_the_commit_is_read_from_the_repository(root, strategy):
    (root / ".git" / "refs" / "heads").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (root / ".git" / "refs" / "heads" / "main").write_text("abc123\n", encoding="utf-8")
    assert told(root, strategy)["commit"] == "abc123"


def test_this_program_describes_itself():
    own = provenance(described(a_config()), [])
    assert {"version", "code", "settings"} <= set(own)
    assert own["version"] != "unknown"
