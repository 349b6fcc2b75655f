"""The same results from every backend, also when workers die."""

import socket

import pytest

from actors.edges.work_pool import Workers
from core.errors import DataError, UnavailableError, UsageError
from tests.research import work

POOLS = {
    "one process": Workers(jobs=1),
    "processes": Workers(jobs=2),
    "ray": Workers(jobs=2, backend="ray"),
}
SQUARES = [0, 1, 4, 9, 16]


def run(name, tasks):
    with POOLS[name].pool() as pool:
        return pool.run(tasks)


@pytest.mark.parametrize("name", POOLS)
def test_results_come_in_the_order_of_the_tasks(name):
    assert run(name, [(work.square, (n,)) for n in range(5)]) == SQUARES


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_a_lost_worker_s_task_is_done_again(name, tmp_path):
    tasks = [(work.die_once, (n, str(tmp_path))) for n in range(5)]
    assert run(name, tasks) == SQUARES
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("name", POOLS)
def test_what_a_task_refuses_is_said_as_it_was(name):
    with pytest.raises(DataError, match="row 2 is no number"):
        run(name, [(work.refuse, (n,)) for n in range(4)])


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_a_task_that_kills_every_worker_ends_with_a_remedy(name):
    with pytest.raises(UnavailableError, match=r"lost its worker 3 times.* Fix: lower --jobs"):
        run(name, [(work.always_die, (1,))])


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"backend": "dask"}, "--backend must be local or ray, was dask"),
        ({"address": "10.0.0.1:6379"}, "--address 10.0.0.1:6379 needs a cluster"),
        ({"jobs": 0}, "--jobs must be at least 1, was 0"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(wish, said):
    with pytest.raises(UsageError, match=said):
        Workers(**wish)


def test_a_cluster_that_is_not_there_is_said_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        pool = Workers(backend="ray", address=address).pool()
        with pytest.raises(UnavailableError, match=f"cluster {address} cannot be reached"), pool:
            pass
