"""A tree that holds, when its test is over, that no message was lost."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from tests.actors.world import Tree


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> None:
    logger.remove()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Callable[..., Tree]]:
    """Return a maker of trees; each is stopped and audited in the end."""
    planted: list[Tree] = []

    def make(**settings: Any) -> Tree:
        planted.append(Tree(tmp_path / f"traces-{len(planted)}", **settings))
        return planted[-1]

    yield make
    for tree in planted:
        tree.audit()


@pytest.fixture
def tree(plant: Callable[..., Tree]) -> Tree:
    return plant().start_up()


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Collect the human log's lines, also those that libraries would add to it."""
    lines: list[str] = []

    class Intercept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    def sink(line: str) -> None:
        lines.append(line.rstrip("\n"))

    number = logger.add(sink, format="{level} {extra[module]}: {message}", level="INFO")
    handler = Intercept(logging.WARNING)
    logging.getLogger().addHandler(handler)
    yield lines
    logger.remove(number)
    logging.getLogger().removeHandler(handler)
