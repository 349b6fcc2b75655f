"""A search on other processes and on Ray: the same to the last bit, lost workers included."""

import pytest

from actors.edges.work_pool import Workers
from tests.research.searched import found, plan


@pytest.mark.parametrize("workers", [Workers(jobs=2), Workers(jobs=2, backend="ray")])
def test_the_result_is_the_same_on_workers_one_of_which_is_killed(tmp_path, workers):
    wishes = plan(tmp_path, trials=10, STRATEGY="tests.research.work:Mortal")
    alone = found(wishes, tmp_path / "a.db")
    (tmp_path / "die").touch()
    spread = found(wishes, tmp_path / "b.db", workers)
    assert (tmp_path / "died").exists()
    assert spread[0] == alone[0]
    assert spread[1] == alone[1]
