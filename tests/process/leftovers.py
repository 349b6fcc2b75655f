"""What a stopped or refused bot may not leave behind on its state directory."""

import fcntl
import os
from pathlib import Path


def nothing_is_left(state: Path) -> None:
    """Assert that no address is published, no process runs and no lock is held there."""
    assert not (state / "control.json").exists()
    assert not (state / "venue" / "venue.json").exists()
    assert processes_naming(state) == []
    lock = state / "bot.lock"
    if lock.exists():
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while anyone holds it


def processes_naming(path: Path) -> list[str]:
    """Return the command lines that name a path, as an embedded venue's names its journal."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it ended while we looked
            if str(path) in words:
                found.append(words)
    return found
