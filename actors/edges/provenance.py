"""What made the decisions of an epoch: the program, its settings and its models, as hashes.

The audit chain keeps them with every start, and each sealed row names its epoch.
"""

import configparser
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_PROGRAM = ("run.py", "actors", "config", "core", "models")


def provenance(settings: Mapping[str, Any], models: Iterable[Path]) -> dict[str, str]:
    """Return version, commit (where the folder has one), and SHA-256 of code, settings and models.

    `settings` must hold no secret: a hash of one could be tried out.
    """
    text = json.dumps(settings, sort_keys=True, default=str)
    found = {
        "version": _version(),
        "code": _tree_hash(),
        "settings": hashlib.sha256(text.encode()).hexdigest(),
    }
    commit = _commit()
    if commit:
        found["commit"] = commit
    for path in models:
        with suppress(OSError):
            found[f"model {path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _version() -> str:
    parser = configparser.ConfigParser()
    parser.read(_ROOT / "setup.cfg", encoding="utf-8")
    return parser.get("metadata", "version", fallback="unknown")


def _tree_hash() -> str:
    """Hash every source file: a commit says nothing of what was changed since."""
    total = hashlib.sha256()
    for name in _PROGRAM:
        top = _ROOT / name
        files = [top] if top.is_file() else sorted(top.rglob("*.py"))
        for file in files:
            total.update(str(file.relative_to(_ROOT)).encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _commit() -> str:
    """Return the checked-out commit, read from the repository's own files; empty without one."""
    with suppress(OSError, IndexError):
        folder = _ROOT / ".git"
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
