"""The command line as a person meets it: a process, its exit code and its one line."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors.edges.state_directory import StateDirectory
from config import Config

ROOT = Path(__file__).parents[2]
COMMANDS = {
    *("run", "venue", "train", "evaluate", "status", "crash", "report"),
    *("trace", "explain", "replay", "replay-crash", "revive"),
    *("halt", "resume", "flatten", "pause", "panic", "check"),
    "download",
    "backtest",
    "sweep",
}


def run_py(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `run.py` in a folder of its own, without this process's settings."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in Config.model_fields
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words],
        cwd=folder,
        env={**inherited, "STATE_DIR": str(folder / "state"), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Return the one line of a refusal."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Fix:" in line
    return line


def test_help_lists_the_commands_there_are_and_no_others(tmp_path):
    done = run_py(tmp_path, "--help")
    assert done.returncode == 0
    listed = done.stdout.split("Commands:")[1]
    assert set(re.findall(r"^  ([a-z-]+)  ", listed, re.MULTILINE)) == COMMANDS


def test_help_is_instant(tmp_path):
    run_py(tmp_path, "--help")
    started = time.perf_counter()
    run_py(tmp_path, "--help")
    assert time.perf_counter() - started < 2.0  # measured 0.1 s; importing pandas alone takes more


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(tmp_path, command):
    done = run_py(tmp_path, command, "--help")
    assert done.returncode == 0
    assert f"Example: python run.py {command}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("foo",), "'foo'"),
        (("status", "--jsn"), "--jsn"),
        (("crash",), "SYMBOL"),
        (("--duration", "soon"), "--duration"),
        (("--duration", "-5"), "-5"),
        (("--duration", "nan"), "nan"),
        (("train",), "--data"),
        (("venue", "--symbols", ""), "--symbols"),
        (("venue", "--speed", "-1"), "--speed"),
        (("venue", "--rate-limits", "maybe"), "'maybe'"),
        (("venue", "--port", "70000"), "--port"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_2(tmp_path, words, said):
    assert said in refused(run_py(tmp_path, *words), 2)


@pytest.mark.parametrize("words", [(), ("run",), ("status",), ("train", "--data", ".")])
def test_wrong_setting_is_one_line_and_exits_64(tmp_path, words):
    line = refused(run_py(tmp_path, *words, MAX_OPEN_POSITIONS="-5"), 64)
    assert line == (
        "error: MAX_OPEN_POSITIONS must be at least 1, was '-5' (environment)."
        " Fix: set it to 1 or more."
    )


def test_unknown_key_is_answered_with_the_nearest_one_and_its_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("leverage: 3\nstop_loss_pct: 0.1\n")
    line = refused(run_py(tmp_path, "--config", "mine.yaml"), 64)
    assert "'stop_loss_pct' is not a setting (mine.yaml line 2)" in line
    assert "STOPLOSS_PCT?" in line


def test_unreadable_yaml_names_file_and_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("leverage: 3\nsymbols: [BTCUSDT\n")
    assert "mine.yaml line" in refused(run_py(tmp_path, "--config", "mine.yaml"), 64)


def test_missing_settings_file_exits_64(tmp_path):
    assert "'nope.yaml'" in refused(run_py(tmp_path, "--config", "nope.yaml"), 64)


def test_dotenv_of_the_current_folder_is_read(tmp_path):
    (tmp_path / ".env").write_text("LEVERAGE=500\n")
    assert "(.env line 1)" in refused(run_py(tmp_path), 64)


def test_debug_adds_the_traceback_and_keeps_the_line_last(tmp_path):
    done = run_py(tmp_path, "--debug", LEVERAGE="500")
    assert done.returncode == 64
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: LEVERAGE")


def test_secrets_stay_out_of_errors_and_tracebacks(tmp_path):
    canary = "canary-9c8b7a"
    done = run_py(tmp_path, "--debug", API_KEY=canary, API_SECRET=canary, VENUE="lve")
    assert canary not in done.stderr + done.stdout


def test_status_without_a_running_bot_says_so_and_exits_1(tmp_path):
    line = refused(run_py(tmp_path, "status"), 1)
    assert "none runs" in line
    assert not (tmp_path / "state").exists()


def test_state_directory_that_cannot_be_written_exits_64(tmp_path):
    (tmp_path / "file").touch()
    line = refused(run_py(tmp_path, STATE_DIR=str(tmp_path / "file" / "state")), 64)
    assert "STATE_DIR must be a folder that can be written to" in line


def test_second_bot_on_the_same_state_directory_exits_75(tmp_path):
    directory = StateDirectory.of(Config(_env_file=None, STATE_DIR=str(tmp_path / "state")))
    directory.create()
    lock = directory.lock()
    try:
        done = run_py(tmp_path)
    finally:
        lock.release()
    assert done.returncode == 75
    assert f"in use by pid {os.getpid()}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "API_KEY must be set for VENUE=live"),
        ({"API_KEY": "k"}, "API_SECRET must be set for VENUE=live"),
        ({"API_KEY": "k", "API_SECRET": "s"}, "I_UNDERSTAND_LIVE must be yes"),
    ],
)
def test_live_is_refused_without_keys_or_consent(tmp_path, environ, said):
    done = run_py(tmp_path, "--config", "prod.yaml", **environ)
    assert done.returncode == 64
    assert said in done.stderr.splitlines()[-1]
