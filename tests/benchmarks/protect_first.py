"""From a start to all positions protected: `python -m tests.benchmarks.protect_first`.

Twenty positions whose stops were taken away while the bot was dead, as in the test of that name;
from the first word in the database, when all modules are loaded, to the last stop on the venue.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figures import Figure, run
from tests.process.conftest import World
from tests.process.test_protect_first import COUNT, TARGET_S, protected_again


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Kill a bot with twenty positions, and start it again."""
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "world")
        world.folder.mkdir()
        try:
            found = protected_again(world, Path(name))
        finally:
            world.end()
    yield Figure(
        name=f"start to all {COUNT} positions protected",
        ours=found["start_s"],
        unit="s",
        target=TARGET_S,
        note=f"and {found['loading_s']:.1f} to load the modules before",
    )


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
