"""A short form of the soak: `python -m tests.benchmarks.restarts` is the long one."""

import gc
from pathlib import Path

from tests.benchmarks.restarts import Field, at_rest_kib, soak

RESTARTS = 500


def test_restarts_leave_no_threads_and_no_memory_behind(tmp_path: Path) -> None:
    field = Field(3, tmp_path)
    soak(field, RESTARTS)
    at_rest_kib()
    objects = len(gc.get_objects())
    threads, before_kib, after_kib = soak(field, RESTARTS)
    kept = len(gc.get_objects()) - objects
    field.end()
    assert threads <= 0
    assert kept < RESTARTS, "what each restart kept would be counted here"
    assert after_kib - before_kib < 8_192, "noise of one process; what grows shows in the long one"
