import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from actors.edges.state_directory import ControlAddress, NotRunningError, StateDirectory
from config import Config
from core.errors import ConfigurationError, UnavailableError

ROOT = Path(__file__).parents[2]
ADDRESS = ControlAddress(host="127.0.0.1", port=4711, token="a-token", pid=os.getpid())


def a_config(**flags) -> Config:
    return Config(_env_file=None, _environ={}, **flags)


def a_directory(folder: Path) -> StateDirectory:
    directory = StateDirectory.of(a_config(STATE_DIR=str(folder / "state")))
    directory.create()
    return directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_state_directory_holds_database_and_models_when_given():
    directory = StateDirectory.of(a_config(STATE_DIR="/s"))
    assert directory.root == Path("/s")
    assert directory.database == "/s/async_bot_state.db"
    assert directory.models == Path("/s/models")
    assert directory.lock_file.parent == directory.control_file.parent == directory.root


def test_folder_of_the_database_is_the_state_directory_otherwise():
    directory = StateDirectory.of(a_config(DB_FILE="/d/bot.db"))
    assert directory.root == Path("/d")
    assert directory.database == "/d/bot.db"
    assert directory.models == Path.cwd() / "models"


def test_absolute_paths_stay_where_they_are():
    directory = StateDirectory.of(a_config(STATE_DIR="/s", DB_FILE="/d/bot.db", MODEL_DIR="/m"))
    assert (directory.database, directory.models) == ("/d/bot.db", Path("/m"))


def test_database_address_passes_unchanged():
    directory = StateDirectory.of(a_config(STATE_DIR="/s", DB_FILE="postgresql://h/d"))
    assert directory.database == "postgresql://h/d"


def test_resolving_creates_nothing(tmp_path):
    StateDirectory.of(a_config(STATE_DIR=str(tmp_path / "state")))
    assert not (tmp_path / "state").exists()


def test_folders_and_later_files_are_private(tmp_path):
    before = os.umask(0o022)
    try:
        directory = a_directory(tmp_path)
        (directory.logs / "x").touch()
        directory.write_control(ADDRESS)
    finally:
        os.umask(before)
    assert mode(directory.root) == mode(directory.traces) == 0o700
    assert mode(directory.logs / "x") == mode(directory.control_file) == 0o600


def test_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    directory = StateDirectory.of(a_config(STATE_DIR=str(tmp_path / "file" / "state")))
    with pytest.raises(ConfigurationError) as caught:
        directory.create()
    assert "STATE_DIR must be a folder that can be written to" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_second_holder_is_refused_naming_the_first_until_it_lets_go(tmp_path):
    directory = a_directory(tmp_path)
    first = directory.lock()
    with pytest.raises(UnavailableError, match=f"in use by pid {os.getpid()}"):
        directory.lock()
    first.release()
    first.release()
    directory.lock().release()


def test_lock_ends_with_its_process_and_no_child_keeps_it(tmp_path):
    directory = a_directory(tmp_path)
    holder = (
        "import subprocess, sys\n"
        "from actors.edges.state_directory import StateDirectory\n"
        "from config import Config\n"
        f"d = StateDirectory.of(Config(_env_file=None, STATE_DIR={str(directory.root)!r}))\n"
        "lock = d.lock()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], close_fds=False)\n"
        "print('held', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UnavailableError, match=f"pid {process.pid}"):
            directory.lock()
        process.kill()
        process.wait()
        directory.lock().release()


def test_control_address_is_published_found_and_withdrawn(tmp_path):
    directory = a_directory(tmp_path)
    with pytest.raises(NotRunningError):
        directory.read_control()
    directory.write_control(ADDRESS)
    assert directory.read_control() == ADDRESS
    assert set(json.loads(directory.control_file.read_text())) == {"host", "port", "token", "pid"}
    directory.remove_control()
    directory.remove_control()
    with pytest.raises(NotRunningError):
        directory.read_control()


def test_what_a_killed_process_left_of_its_address_is_gone_after_the_next_start(tmp_path):
    state = a_directory(tmp_path)
    state.create()
    (state.root / "control.tmp").write_text('{"token": "old', encoding="utf-8")
    state.write_control(ControlAddress(host="127.0.0.1", port=1, token="t", pid=os.getpid()))
    assert state.read_control().token == "t"
    assert [path.name for path in state.root.iterdir() if path.name.startswith("control")] == [
        "control.json"
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "h"}'])
def test_damaged_control_file_is_one_line(tmp_path, text):
    directory = a_directory(tmp_path)
    directory.control_file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"control\.json cannot be read"):
        directory.read_control()


def test_token_does_not_print():
    assert "a-token" not in repr(ADDRESS)
