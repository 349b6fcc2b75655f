"""How a sweep cuts history, and what its choices would have earned.

History is cut into consecutive blocks of equal length.  A try is scored on each of them alone, from
flat and with fresh money; before each block lie the bars that features warm up on, which belong to
the blocks before, so no block sees anything later than itself.  An embargo of bars is left out
before each block, for a position may reach so far.  The last block is held out: no try is scored on
it but the chosen one, once.

The best mean over blocks that were all used to choose flatters itself.  `walk_forward` says what
the same way of choosing would have earned: at each block the try with the best mean over the
earlier blocks, scored on this one, which had no part in choosing it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import DataError

Floats = npt.NDArray[np.float64]
BLOCKS_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Bars `start` to `end` - 1 of the tape."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the walk: the try chosen by what was known before a block, and its score."""

    block: int
    chosen: int
    score: float


def cut(bars: int, *, blocks: int, embargo: int, warmup: int) -> tuple[Block, ...]:
    """Cut `bars` bars into `blocks` blocks, the last of which is to be held out.

    `warmup`: bars before the first block; `embargo`: bars left out before each later one.  What
    does not divide goes to the warm-up.  Raises DataError where a block would be shorter than the
    embargo or there are fewer than `BLOCKS_MIN`.
    """
    if blocks < BLOCKS_MIN:
        raise DataError(f"{blocks} blocks are too few to choose by. Fix: take {BLOCKS_MIN} or more")
    length = (bars - warmup - embargo * (blocks - 1)) // blocks
    if length <= max(embargo, 1):
        need = warmup + embargo * (blocks - 1) + blocks * (max(embargo, 1) + 1)
        raise DataError(f"{bars} bars are too few for {blocks} blocks. Fix: give {need} or more")
    ends = [bars - (blocks - 1 - place) * (length + embargo) for place in range(blocks)]
    return tuple(Block(start=end - length, end=end) for end in ends)


def best(scores: Floats) -> int | None:
    """Return the try with the best mean; the first of equals.

    `scores`: (tries, blocks), NaN where a try has none, which makes its mean NaN too.  None if no
    try has a mean.
    """
    means = scores.mean(axis=1)
    if np.isnan(means).all():
        return None
    return int(np.nanargmax(means))


def walk_forward(scores: Floats | Sequence[Sequence[float]]) -> tuple[Step, ...]:
    """Return what choosing by the past would have earned, from the second block on.

    `scores`: (tries, blocks) as `best` takes them.
    """
    table = np.asarray(scores, dtype=np.float64)
    steps: list[Step] = []
    for block in range(1, table.shape[1]):
        chosen = best(table[:, :block])
        if chosen is not None:
            steps.append(Step(block=block, chosen=chosen, score=float(table[chosen, block])))
    return tuple(steps)
