"""Settings: one flat frozen `Config`, read once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.loading import find_config_file
from config.settings import Config

__all__ = ["Config", "load_config"]


def load_config(
    config_file: str | Path | None = None,
    env_file: str | Path | None = ".env",
    environ: Mapping[str, str] | None = None,
    **flags: Any,
) -> Config:
    """Read the settings: flags > environment > `.env` > the YAML file > defaults.

    `config_file` is looked up as given, then in `config/`.  `environ` is the process's own
    where not given.  Raises `ConfigurationError`.
    """
    found = find_config_file(config_file) if config_file is not None else None
    return Config(_config_file=found, _env_file=env_file, _environ=environ, **flags)
