"""What the tests of commands share."""

from pathlib import Path

import pytest

from actors.edges.state_directory import StateDirectory
from config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings whose state directory is there and empty."""
    config = Config(_env_file=None, _environ={}, STATE_DIR=str(tmp_path / "state"))
    StateDirectory.of(config).create()
    return config
