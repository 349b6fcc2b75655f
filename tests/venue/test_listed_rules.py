"""The listed instruments: real ones as recorded, made-up ones by number."""

import json
import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigurationError
from core.venue.simulated.instruments import (
    LISTED,
    exchange_info_symbol,
    expanded,
    leverage_bracket,
    listed,
)
from core.venue.simulated.seeded import SeededPrices

SHARED = Path(__file__).parents[2] / "../shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no recorded data beside the project")
START_MS = 1_795_000_020_000


def test_an_unlisted_symbol_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigurationError, match="did you mean BTCUSDT"):
        SeededPrices(("BTCUSD",), 1, START_MS, 0)


def test_made_up_symbols_are_listed_by_number_and_each_has_a_market_of_its_own():
    names = expanded(["BTCUSDT", "SIM:500"])
    assert (len(names), names[1], names[-1]) == (501, "SIM001USDT", "SIM500USDT")
    assert expanded(["SIM:9999"])[-1] == "SIM9999USDT"
    assert all(re.fullmatch(r"[A-Z0-9_]{2,20}", name) for name in names)
    for name in expanded(["SIM:9999"])[::7]:
        rules = listed(name)
        assert rules.seed_price % rules.tick_size == 0
        assert Decimal("0.000009") < rules.tick_size / rules.seed_price < Decimal("0.00011")
        assert rules.step_size * rules.seed_price <= 1
        assert rules.price_min < rules.seed_price / 10 < rules.seed_price * 10 < rules.price_max
        assert rules.market_quantity_max % rules.step_size == 0
        assert 0.0007 < rules.volatility < 0.0015
    source = SeededPrices(names[1:4], 7, START_MS, 2_000)
    moves = [np.diff(np.log(source.bars(name, 0, 3_000).close)) for name in source.symbols]
    assert (np.corrcoef(moves)[np.triu_indices(3, 1)] < 0.9).all()
    for move, name in zip(moves, source.symbols, strict=True):
        assert 0.8 * listed(name).volatility < move.std() < 1.2 * listed(name).volatility


@pytest.mark.parametrize("name", ["SIM000USDT", "SIM01USDT", "SIM0123USDT", "SIM10000USDT"])
def test_only_the_documented_made_up_names_are_listed(name):
    with pytest.raises(ConfigurationError, match="SIM001USDT to SIM9999USDT"):
        listed(name)


@pytest.mark.parametrize("text", ["SIM:", "SIM:0", "SIM:10000", "SIM:-1", "SIM:x"])
def test_a_senseless_number_of_made_up_symbols_is_refused_in_one_line(text):
    with pytest.raises(ConfigurationError, match=r"1 to 9999.*Fix:"):
        expanded([text])


@pytest.mark.parametrize("symbol", LISTED)
def test_listed_rules_agree_with_each_other(symbol):
    rules = listed(symbol)
    assert rules.seed_price % rules.tick_size == 0
    assert rules.price_min < rules.seed_price < rules.price_max
    assert -rules.tick_size.normalize().as_tuple().exponent <= rules.price_precision
    ladder = rules.brackets
    assert [row.number for row in ladder] == list(range(1, len(ladder) + 1))
    for lower, upper in pairwise(ladder):
        at = upper.notional_floor
        assert at == lower.notional_cap
        assert at * lower.maintenance_rate - lower.cum == at * upper.maintenance_rate - upper.cum
        assert rules.bracket_of(at) is lower
        assert rules.bracket_of(at + 1) is upper
    assert rules.notional_cap_at(1) == ladder[-1].notional_cap
    assert rules.notional_cap_at(ladder[0].leverage_max) == ladder[0].notional_cap
    assert rules.notional_cap_at(1_000) == 0


@needs_shared
def test_brackets_and_filters_equal_the_recorded_answers():
    recorded_brackets = json.loads(
        (SHARED / "exchange/leverageBracket-um-2025-07-10.json").read_text()
    )
    by_symbol = {answer["symbol"]: answer for answer in recorded_brackets}
    for symbol, rules in LISTED.items():
        assert leverage_bracket(rules) == by_symbol[symbol]
    sample = json.loads((SHARED / "exchange/fapi-prod-btcusdt-samples-2026-09-15.json").read_text())
    (wanted,) = sample["exchangeInfo"]["symbols"]
    rendered = exchange_info_symbol(LISTED["BTCUSDT"])
    assert {name: rendered[name] for name in wanted} == wanted
