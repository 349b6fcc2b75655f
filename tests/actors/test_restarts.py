"""A short form of the soak: `python -m tests.benchmarks.restarts` is the long one."""

from pathlib import Path

from tests.benchmarks.restarts import Field, soak


def test_restarts_leave_no_threads_and_no_memory_behind(tmp_path: Path) -> None:
    field = Field(3, tmp_path)
    threads, kib = soak(field, 500)
    field.end()
    assert threads <= 0
    assert kib < 2_048
