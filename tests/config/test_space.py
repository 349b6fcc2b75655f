"""A sweep's space: what it may hold, and how a wrong one is refused."""

from pathlib import Path

import pytest

from config.space import Choices, Range, read_space
from core.errors import ConfigurationError


def space_file(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ranges_and_choices_are_read(tmp_path):
    path = space_file(
        tmp_path,
        "stoploss_pct: {low: 0.002, high: 0.03, log: true}\n"
        "MAX_OPEN_POSITIONS: [1, 2, 3]\n"
        "LEVERAGE: {low: 1, high: 9, step: 2}\n",
    )
    assert read_space(path) == {
        "STOPLOSS_PCT": Range(low=0.002, high=0.03, log=True),
        "MAX_OPEN_POSITIONS": Choices(values=(1, 2, 3)),
        "LEVERAGE": Range(low=1, high=9, step=2),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no setting"),
        ("- 1\n", "names no setting"),
        ("a: [", "is no YAML"),
        ("STOPLOS_PCT: [0.1, 0.2]", "STOPLOS_PCT is not a setting"),
        ("API_KEY: [a, b]", "API_KEY is not a setting"),
        ("LEVERAGE: 3", "neither a range nor a list"),
        ("LEVERAGE: [3]", "neither a range nor a list"),
        ("LEVERAGE: {low: 1, high: 3, width: 1}", "neither a range nor a list"),
        ("LEVERAGE: {low: 3, high: 3}", "goes from 3 to 3"),
        ("LEVERAGE: {low: 1, high: x}", "has 'x', which is no number"),
        ("LEVERAGE: {low: true, high: 3}", "has True, which is no number"),
        ("LEVERAGE: {low: 0, high: 3}", "LEVERAGE has 0, which must be"),
        ("LEVERAGE: [1, 1000]", "LEVERAGE has 1000, which must be"),
        ("LEVERAGE: {low: 1, high: 3, step: 5}", "has the step 5"),
        ("LEVERAGE: {low: 1, high: 3, log: 1}", "has log: 1"),
        ("LEVERAGE: {low: 1, high: 3, step: 1, log: true}", "cannot be logarithmic"),
        ("LEVERAGE: [1, 2]\nleverage: [1, 2]", "LEVERAGE is there twice"),
    ],
)
def test_a_wrong_space_is_refused_with_file_setting_and_fix(tmp_path, text, said):
    with pytest.raises(ConfigurationError, match=f"space.yaml.*{said}.*Fix: "):
        read_space(space_file(tmp_path, text))


def test_a_misspelled_setting_is_answered_with_the_nearest_one(tmp_path):
    with pytest.raises(ConfigurationError, match="did you mean STOPLOSS_PCT"):
        read_space(space_file(tmp_path, "STOPLOS_PCT: [0.1, 0.2]"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none.yaml cannot be read.*Fix: "):
        read_space(tmp_path / "none.yaml")
