"""The baseline goes through the same rounds, and the same checks see what it breaks."""

from pathlib import Path

import pytest

from tests.chaos.rounds import LAST
from tests.chaos.textbook import JUDGED, TextbookJob


@pytest.mark.process
def test_what_a_naive_bot_forgets_in_its_deaths_is_found(tmp_path: Path) -> None:
    job = TextbookJob(tmp_path, seed=3)
    try:
        rounds = job.run([*["K10", "K6"] * 5, LAST])  # three in four go wrong
    finally:
        job.venue.stop()
    assert [done.harness for done in rounds] == [""] * len(rounds)
    found = {name for done in rounds for name in done.violations}
    assert found
    assert found <= set(JUDGED)
