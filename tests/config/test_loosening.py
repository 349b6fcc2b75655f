"""Which limits are looser than those of the last start."""

import json
from typing import Any

import pytest

from config import Config
from config.loosening import limits_of, loosened
from config.settings import limit_names


def a_config(**flags: Any) -> Config:
    return Config(_env_file=None, _environ={}, SYMBOLS="BTCUSDT,ETHUSDT", **flags)


def kept(**flags: Any) -> Any:
    """The limits of a start as the database gives them back."""
    return json.loads(json.dumps(limits_of(a_config(**flags))))


@pytest.mark.parametrize(
    ("name", "strict", "loose"),
    [
        ("MAX_OPEN_POSITIONS", 3, 4),
        ("DAILY_MAX_LOSS_PCT", 0.03, 0.031),
        ("MIN_BALANCE_THRESHOLD", 10, 0),
        ("LOSS_STREAK_LATCH", 6, 0),
        ("LOSS_STREAK_LATCH", 6, 7),
        ("COUNT_FOREIGN", True, False),
        ("BUDGET_USES_GAINS", False, True),
        ("SIZING_MODE", "reject", "clip"),
        ("SIZING_MODE", "clip", "literal"),
        ("MAX_ORDER_QTY", {"BTCUSDT": 1.0}, {}),
        ("MAX_ORDER_QTY", {"BTCUSDT": 1.0}, {"BTCUSDT": 2.0}),
        ("MAX_ORDER_QTY", {"BTCUSDT": 1.0}, {"ETHUSDT": 2.0}),
    ],
)
def test_a_looser_limit_is_named_and_a_tighter_or_the_same_one_is_not(name, strict, loose):
    (said,) = loosened(kept(**{name: strict}), a_config(**{name: loose}))
    assert said.startswith(f"{name} ")
    if name != "MAX_ORDER_QTY" or loose == {}:
        assert loosened(kept(**{name: loose}), a_config(**{name: strict})) == ()
    assert loosened(kept(**{name: strict}), a_config(**{name: strict})) == ()


def test_a_symbols_own_limit_is_named_with_the_symbol_and_what_it_inherits_only_once():
    own = {"SYMBOL_CONFIGS": {"ETHUSDT": {"LEVERAGE": 3}}}
    assert loosened(kept(**own), a_config()) == ("LEVERAGE 3 -> 5 for ETHUSDT",)
    assert loosened(kept(), a_config(**own)) == ()
    assert loosened(kept(), a_config(LEVERAGE=7)) == ("LEVERAGE 5 -> 7",)


def test_a_new_symbol_is_held_against_what_held_everywhere_and_a_new_limit_against_nothing():
    before = kept()
    del before["ETHUSDT"], before["*"]["MAX_NET_X"]
    assert loosened(before, a_config(MAX_NET_X=9)) == ()
    wider = a_config(SYMBOL_CONFIGS={"ETHUSDT": {"LEVERAGE": 10}})
    assert loosened(before, wider) == ("LEVERAGE 5 -> 10 for ETHUSDT",)
    assert loosened({}, wider) == ()


def test_every_money_limit_and_order_limit_says_which_way_is_looser():
    """A limit that nobody gave a direction would be loosened without a word."""
    names = list(Config.model_fields)
    first, last = names.index("DAILY_MAX_LOSS_PCT"), names.index("CLIENT_ID_TAG")
    no_limits = {
        *("CORRELATION_BARS", "TAKER_FEE", "SLIPPAGE_BPS", "MIN_NOTIONAL_MULT"),
        *("WEIGHT_SOFT", "WEIGHT_HARD"),
    }
    assert set(names[first:last]) - set(limit_names()) == no_limits
