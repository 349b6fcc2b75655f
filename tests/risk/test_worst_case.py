"""What the settings can cost, in the figures of the specified example."""

from decimal import Decimal

import pytest

from config import Config, load_config
from core.risk.worst_case import WorstCase, contradictions, size_lines, worst_case

BALANCE = Decimal(10_000)


def settings(**given: object) -> Config:
    return Config(_env_file=None, _environ={}, **given)


def worst(config: Config) -> WorstCase:
    return worst_case(config, config.SYMBOLS, BALANCE)


def errors(config: Config) -> list[str]:
    return [c.text for c in contradictions(config, worst(config)) if c.error]


def test_the_specified_numbers_give_the_effective_sizes_of_the_reference():
    found = worst(settings())
    size = found.sizes[0]
    assert (size.raw, size.cap) == (50_000, "slot_budget")
    assert round(size.notional) == 4_167
    assert round(size.margin) == 833
    assert found.day_limit == 300
    assert round(found.at_stops, 6) == 300
    assert round(found.gap_slack, 6) == Decimal("37.5")
    assert round(found.disaster, 6) == 2_500


def test_a_start_with_the_specified_numbers_tells_the_effective_size_and_the_worst_day():
    text = "\n".join(size_lines(worst(settings())))
    assert "formula 50,000 (5.00 x balance), effective 4,167 (0.417 x, slot_budget)" in text
    assert "3 at once: 1.25 x balance; worst day 300.00 USDT (3.0%)" in text
    assert "2,500 (25%) if every position is liquidated" in text


def test_symbols_of_other_settings_have_a_line_of_their_own():
    config = settings(SYMBOL_CONFIGS={"ETHUSDT": {"LEVERAGE": 2}})
    rows = size_lines(worst(config))[1:-1]
    assert [row.split("]")[0] for row in rows] == [
        "[BTCUSDT, BNBUSDT, ADAUSDT, SOLUSDT",
        "[ETHUSDT",
    ]


def test_the_live_profile_has_nothing_to_warn_of():
    config = load_config("prod.yaml", env_file=None, environ={})
    assert size_lines(worst(config)) == ()
    assert contradictions(config, worst(config)) == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"LEVERAGE": 50}, "STOPLOSS_PCT 0.02 lies beyond liquidation"),
        ({"TAKE_PROFIT_PCT": 0.001}, "TAKE_PROFIT_PCT 0.001 does not pay two fees"),
        ({"SIZING_MODE": "reject"}, "no entry can pass"),
        ({"SIZING_MODE": "literal", "MAX_ORDER_NOTIONAL_X": 5.0}, "one stop costs"),
    ],
)
def test_settings_that_contradict_each_other_are_errors_with_a_fix(given, words):
    assert any(words in text for text in errors(settings(**given)))


def test_fewer_symbols_than_slots_bound_the_sum():
    config = settings(SYMBOLS=["BTCUSDT"])
    assert round(worst(config).at_stops, 6) == 100
