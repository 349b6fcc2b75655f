"""What a sweep leaves beside its storage: the best settings as YAML, and a page of pictures."""

import html
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml

from actors.edges.sweep_storage import SweepStorage
from config import Config, load_config
from config.settings import secret_names
from core.errors import ConfigurationError

_NOT_IN_FILES = frozenset({"I_UNDERSTAND_LIVE"})


def write_settings(
    path: Path,
    given: Config,
    best: Config,
    searched: Mapping[str, Any],
    lines: Iterable[str],
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Write settings for `--config`: all that differ from the defaults, secrets left out.

    `lines` become the comment at its top; `environ` is this process's own by default.  Returns
    the searched settings that environment or `.env` set to something else, which beats the file.
    """
    plain = best.model_dump(mode="json", exclude=set(secret_names()) | _NOT_IN_FILES)
    fields = Config.model_fields
    differing = {
        name: value
        for name, value in plain.items()
        if name in searched
        or getattr(best, name) != fields[name].get_default(call_default_factory=True)
    }
    left_out = sorted(name for name in secret_names() if name in given.model_fields_set)
    comments = [*lines, *([f"not repeated here: {', '.join(left_out)}"] if left_out else [])]
    head = "".join(f"# {line}\n" for line in comments)
    _replace(path, head + yaml.safe_dump(differing, sort_keys=True, allow_unicode=True))
    try:
        met = load_config(path, environ=environ)
    except ConfigurationError:  # whatever the environment adds contradicts it
        return tuple(searched)
    return tuple(name for name in searched if getattr(met, name) != getattr(best, name))


def write_page(path: Path, storage: SweepStorage, lines: Iterable[str]) -> None:
    """Write one HTML file, readable without a network: importance, course, each setting."""
    study = storage.copy()
    figures = [optuna.visualization.plot_optimization_history(study)]
    if storage.importances():
        figures.insert(
            0, optuna.visualization.plot_param_importances(study, evaluator=storage.evaluator())
        )
    figures.append(optuna.visualization.plot_slice(study))
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=place == 0)
        for place, figure in enumerate(figures)
    ]
    said = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    _replace(
        path,
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sweep</title>'
        '<body style="font-family: sans-serif; max-width: 70em; margin: 2em auto">'
        f"<h1>Sweep</h1><ul>{said}</ul>{''.join(parts)}</body></html>\n",
    )


def _replace(path: Path, text: str) -> None:
    """Write a file in one step.  Raises ConfigurationError."""
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(scratch).replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}). Fix: name another --storage"
        ) from None
