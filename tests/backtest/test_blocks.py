"""How history is cut for a sweep, and what choosing by the past would have earned."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.backtest.blocks import Step, best, cut, walk_forward
from core.errors import DataError


@given(st.integers(0, 5_000), st.integers(0, 12), st.integers(0, 300), st.integers(0, 300))
def test_blocks_never_overlap_keep_their_embargo_and_end_with_the_tape(bars, n, embargo, warmup):
    try:
        blocks = cut(bars, blocks=n, embargo=embargo, warmup=warmup)
    except DataError:
        return
    assert len(blocks) == n
    assert blocks[0].start >= warmup
    assert blocks[-1].end == bars
    assert len({block.end - block.start for block in blocks}) == 1
    for earlier, later in itertools.pairwise(blocks):
        assert later.start - earlier.end == embargo


@pytest.mark.parametrize(("bars", "blocks"), [(10_000, 2), (100, 5)])
def test_too_little_to_choose_by_is_refused(bars, blocks):
    with pytest.raises(DataError, match=r"are too few.*Fix: "):
        cut(bars, blocks=blocks, embargo=20, warmup=50)


def test_the_walk_chooses_by_the_past_alone():
    scores = np.array([[3.0, -1.0, 0.0], [1.0, 5.0, 2.0], [2.0, 9.0, 9.0]])
    assert walk_forward(scores) == (
        Step(block=1, chosen=0, score=-1.0),  # the third was best only later
        Step(block=2, chosen=2, score=9.0),
    )


@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=6))
def test_the_future_of_the_scores_changes_no_earlier_step(scores):
    changed = [[*row[:2], -row[2], -row[3]] for row in scores]
    assert walk_forward(scores)[0] == walk_forward(changed)[0]


def test_a_try_without_a_score_is_never_chosen():
    nan = float("nan")
    assert best(np.array([[9.0, nan], [1.0, 1.0]])) == 1
    assert best(np.array([[nan, nan]])) is None
