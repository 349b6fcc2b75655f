"""What made the decisions of an epoch: the program, its settings and its models, as hashes.

The audit chain keeps them with every start, and each sealed row names its epoch.
"""

import configparser
import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from config import Config
from config.settings import secret_names

_ROOT = Path(__file__).parents[2]
_PROGRAM = ("run.py", "actors", "config", "core", "models")
# Secrets, and what belongs to this place rather than to how it trades.
_NOT_DESCRIBED = {
    *secret_names(),
    *("API_KEY_FILE", "API_SECRET_FILE", "I_UNDERSTAND_LIVE"),
    *("STATE_DIR", "DB_FILE", "VENUE_URL"),
}


def described(config: Config) -> dict[str, Any]:
    """Return the settings that decide how it trades, by name; no secret is among them."""
    return config.model_dump(mode="json", exclude=_NOT_DESCRIBED)


def provenance(
    settings: Mapping[str, Any],
    models: Iterable[Path],
    strategy: type | None = None,
    root: Path = _ROOT,
) -> dict[str, str]:
    """Return version, commit (where the folder has one), and SHA-256 of all that decides.

    That is code, settings, models, and the file of the `strategy`, which may be a user's own.
    `settings` must hold no secret: a hash of one could be tried out.  `root`: the program's folder.
    """
    text = json.dumps(settings, sort_keys=True, default=str)
    found = {
        "version": _version(root),
        "code": _tree_hash(root),
        "settings": hashlib.sha256(text.encode()).hexdigest(),
    }
    with suppress(OSError, TypeError):  # what was not defined in a file has none
        source = Path(inspect.getfile(strategy)) if strategy is not None else None
        if source is not None:
            found["strategy"] = hashlib.sha256(source.read_bytes()).hexdigest()
    commit = _commit(root)
    if commit:
        found["commit"] = commit
    for path in models:
        with suppress(OSError):
            found[f"model {path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _version(root: Path) -> str:
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg", encoding="utf-8")
    return parser.get("metadata", "version", fallback="unknown")


def _tree_hash(root: Path) -> str:
    """Hash every source file: a commit says nothing of what was changed since."""
    total = hashlib.sha256()
    for name in _PROGRAM:
        top = root / name
        files = [top] if top.is_file() else sorted(top.rglob("*.py"))
        for file in files:
            total.update(str(file.relative_to(root)).encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _commit(root: Path) -> str:
    """Return the checked-out commit, read from the repository's own files; empty without one."""
    with suppress(OSError, IndexError):
        folder = root / ".git"
        if folder.is_file():
            folder = Path(folder.read_text(encoding="utf-8").split("gitdir:", 1)[1].strip())
        head = (folder / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        common = folder / "commondir"
        shared = folder / common.read_text(encoding="utf-8").strip() if common.exists() else folder
        for place in (folder, shared):
            if (place / name).exists():
                return (place / name).read_text(encoding="utf-8").strip()
        for line in (shared / "packed-refs").read_text(encoding="utf-8").splitlines():
            if line.endswith(f" {name}"):
                return line.split()[0]
    return ""
