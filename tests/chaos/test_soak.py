"""A short soak of the real process, and when a long one fails."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.soak import SLOPES_MAX, Sample, slope, soak, too_steep

FLAT = Sample(at_s=0.0, bars=0, rss_mib=200.0, threads=30, files=40, waiting=0, database_mib=10.0)


def samples(rss_per_100k: float) -> list[Sample]:
    return [
        replace(FLAT, at_s=n * 5.0, bars=n * 10_000, rss_mib=200.0 + n * rss_per_100k / 10)
        for n in range(20)
    ]


def test_a_slope_is_per_hundred_thousand_bars() -> None:
    assert slope(samples(4.0), "rss_mib") == pytest.approx(4.0)
    assert slope(samples(4.0), "threads") == 0.0


def test_what_grows_too_fast_is_named() -> None:
    flat = dict.fromkeys(SLOPES_MAX, 0.0)
    assert too_steep({"per_100k_bars": flat}) == []
    assert too_steep({"per_100k_bars": flat | {"rss_mib": 3.1}}) == ["rss_mib"]


@pytest.mark.process
def test_a_short_soak_compares_the_books_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = soak(bars=200, symbols=4, speed=330, folder=tmp_path, minutes=2)
    assert first["violations"] == {}
    assert first["exit_code"] == 0
    again = soak(bars=first["bars"] + 50, symbols=4, speed=330, folder=tmp_path, minutes=2)
    assert again["violations"] == {}
    assert again["bars"] > first["bars"]
