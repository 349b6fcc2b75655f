"""Where settings come from: flags, environment, `.env`, YAML; each value remembers its place.

Precedence is flags > environment > `.env` > YAML > default.  Text that is empty in the environment
or in `.env` counts as not given, as shells and containers cannot unset what they pass on.
"""

import difflib
import io
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from dotenv.parser import parse_stream

from core.errors import ConfigurationError

CONFIG_DIR: Final = Path(__file__).parent
FLAGS, ENVIRONMENT, DOTENV, YAML_FILE = range(4)
_SIZE_MAX: Final = 1 << 20
_SECRET_SIZE_MAX: Final = 1 << 16
_KEYS: Final = ("API_KEY", "API_SECRET")
_LONE: Final = "SYMBOL"  # SYMBOL=X means SYMBOLS=[X]


@dataclass(frozen=True, slots=True)
class Given:
    """One value as someone gave it: where, and by which layer (0 is the strongest)."""

    value: Any
    where: str
    rank: int


Layer = dict[str, Given]


def gather(
    known: Collection[str],
    config_file: Path | None,
    env_file: str | Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
) -> Layer:
    """Merge all sources by precedence.  Unknown keys fail, but for other programs' variables."""
    names = {*known, _LONE}
    layers = (
        _from_flags(flags, names),
        _from_environment(environ, names),
        _from_dotenv(Path(env_file), names) if env_file else {},
        _from_yaml(config_file, names) if config_file else {},
    )
    merged: Layer = {}
    for layer in layers:
        for name, given in _lone_symbol(layer).items():
            merged.setdefault(name, given)
    for key in _KEYS:
        _reveal_file(merged, key)
    _prefer_nearer_folder(merged)
    return merged


def find_config_file(name: str | Path) -> Path:
    """Return the settings file as given, or in `config/`."""
    path = Path(name)
    for candidate in (path, CONFIG_DIR / path):
        if candidate.is_file():
            return _readable_name(candidate)
    raise ConfigurationError(
        f"--config must name a settings file, was {str(name)!r}, which is neither here nor in"
        f" config/. Fix: give one of {', '.join(sorted(f.name for f in CONFIG_DIR.glob('*.yaml')))}"
        " or a path to your own."
    )


def suggestion(name: str, known: Collection[str]) -> str:
    """Say which known setting a misspelled one may have meant."""
    near = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "remove it, docs/settings.md lists them all"


def _readable_name(path: Path) -> Path:
    """Shorten a path under the current folder, for messages."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def _unknown(name: str, where: str, known: Collection[str]) -> ConfigurationError:
    return ConfigurationError(
        f"{name!r:.60} is not a setting ({where}). Fix: {suggestion(name, known)}"
    )


def _from_flags(flags: Mapping[str, Any], known: Collection[str]) -> Layer:
    for name in flags:
        if name not in known:
            raise _unknown(name, "given to Config", known)
    return {name: Given(value, "given to Config", FLAGS) for name, value in flags.items()}


def _from_environment(environ: Mapping[str, str], known: Collection[str]) -> Layer:
    return {
        name: Given(environ[name], "environment", ENVIRONMENT)
        for name in sorted(known)
        if environ.get(name)
    }


def _from_dotenv(path: Path, known: Collection[str]) -> Layer:
    """Read `.env` without interpolation; a missing file is no error."""
    if not path.is_file():
        return {}
    layer: Layer = {}
    for binding in parse_stream(io.StringIO(_text(path))):
        where = f"{path} line {binding.original.line}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigurationError(f"{where} is not NAME=value. Fix: correct or remove it.")
        if binding.key is None:
            continue
        _refuse_misplaced(binding.key, where, "I_UNDERSTAND_LIVE")
        if binding.key not in known:
            raise _unknown(binding.key, where, known)
        if binding.key in layer:
            raise ConfigurationError(f"{binding.key} is given twice ({where}). Fix: keep one.")
        if binding.value:
            layer[binding.key] = Given(binding.value, where, DOTENV)
    return layer


def _from_yaml(path: Path, known: Collection[str]) -> Layer:
    """Read a YAML mapping of settings; keys in lower or upper case."""
    values, lines = _parsed(path)
    layer: Layer = {}
    for key, value in values.items():
        where = f"{path} line {lines.get(str(key), 1)}"
        name = str(key).upper()
        _refuse_misplaced(name, where, *_KEYS, "I_UNDERSTAND_LIVE")
        if name not in known:
            raise _unknown(str(key), where, known)
        if name in layer:
            raise ConfigurationError(f"{name} is given twice ({where}). Fix: keep one.")
        if value is None:
            raise ConfigurationError(
                f"{name} must have a value, was empty ({where}). Fix: give it one or remove it."
            )
        layer[name] = Given(value, where, YAML_FILE)
    return layer


def _parsed(path: Path) -> tuple[dict[Any, Any], dict[str, int]]:
    """Return the file's mapping, and the line of each of its keys."""
    text = _text(path)
    try:
        loader = _StrictLoader(text)
        root = loader.get_single_node()
        values = loader.construct_document(root) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigurationError(
            f"{path}{line} is not readable YAML: {error.problem}. Fix: correct that line."
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(
            f"{path} is not readable YAML: {problem:.200}. Fix: correct the file."
        ) from None
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path} must hold settings as NAME: value, was a {type(values).__name__}."
            " Fix: write one setting a line."
        )
    lines = {} if root is None else {k.value: k.start_mark.line + 1 for k, _ in root.value}
    return values, lines


class _StrictLoader(yaml.SafeLoader):
    """yaml.safe_load, but a key given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain word", key.start_mark
                )
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name} is given twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _refuse_misplaced(name: str, where: str, *barred: str) -> None:
    """Keep secrets out of files that get committed, and consent out of files altogether."""
    if name not in barred:
        return
    if name in _KEYS:
        raise ConfigurationError(
            f"{name} must not be in a settings file ({where})."
            f" Fix: put it in the environment, in .env or in the file named by {name}_FILE."
        )
    raise ConfigurationError(
        f"{name} must not be in a file ({where}). Fix: export it in the environment."
    )


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _SIZE_MAX:
            raise ConfigurationError(f"{path} must be smaller than 1 MiB. Fix: shorten it.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} must be UTF-8 text, byte {error.start} is not. Fix: save it as UTF-8."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}. Fix: check the path and its permissions."
        ) from None


def _lone_symbol(layer: Layer) -> Layer:
    if _LONE not in layer:
        return layer
    lone = layer[_LONE]
    if "SYMBOLS" in layer:
        raise ConfigurationError(
            f"SYMBOL must not be given beside SYMBOLS ({lone.where}). Fix: remove one of them."
        )
    rest = {name: given for name, given in layer.items() if name != _LONE}
    return rest | {"SYMBOLS": Given([lone.value], lone.where, lone.rank)}


def _reveal_file(merged: Layer, key: str) -> None:
    """Read API_KEY_FILE where it is given by a stronger layer than API_KEY."""
    pointer, direct = merged.get(f"{key}_FILE"), merged.get(key)
    if pointer is None or (direct is not None and direct.rank < pointer.rank):
        return
    if direct is not None and direct.rank == pointer.rank:
        raise ConfigurationError(
            f"{key} must not be given beside {key}_FILE ({direct.where}). Fix: remove one of them."
        )
    path = Path(str(pointer.value))
    merged[key] = Given(_private_text(path, f"{key}_FILE"), str(path), pointer.rank)


def _private_text(path: Path, name: str) -> str:
    """Return the content of a file that only its owner may read."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(
                    f"{name} must name a file, {path} is none. Fix: name the file with the key."
                )
            if status.st_mode & 0o077 or status.st_uid not in (os.getuid(), 0):
                raise ConfigurationError(
                    f"{name} must name a file that only you can read, {path} has mode"
                    f" {stat.S_IMODE(status.st_mode):04o}. Fix: chmod 600 {path}"
                )
            text = file.read(_SECRET_SIZE_MAX).decode("ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f"{name} must name a readable file, {path}: {error.strerror}."
            " Fix: check the path and its owner."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{name} must name a text file, {path} is none. Fix: name the file with the key."
        ) from None
    if not text:
        raise ConfigurationError(
            f"{name} must name a file with a key, {path} is empty. Fix: write the key into it."
        )
    return text


def _prefer_nearer_folder(merged: Layer) -> None:
    """Let a DB_FILE with a folder move the state, if given by a stronger layer than STATE_DIR."""
    database, folder = merged.get("DB_FILE"), merged.get("STATE_DIR")
    if database is None or folder is None or database.rank >= folder.rank:
        return
    path = str(database.value)
    if "://" not in path and Path(path).parent != Path():
        del merged["STATE_DIR"]
