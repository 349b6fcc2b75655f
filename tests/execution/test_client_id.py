"""Names of orders: functions of what they are for, so that a crash gives none of them twice."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.execution.client_id import attempt_of, client_id, is_ours, purpose_of, trade_of
from core.messages import Purpose

PURPOSES = st.sampled_from(list(Purpose))
PROPOSALS = st.text(min_size=1, max_size=40)
ATTEMPTS = st.integers(0, 9_999)


@pytest.mark.parametrize(
    ("purpose", "attempt", "name"),
    [
        (Purpose.ENTRY, 0, "afb-E-csg6trnhurgrtzlm-0"),
        (Purpose.STOP, 3, "afb-S-csg6trnhurgrtzlm-3"),
    ],
)
def test_a_name_is_the_same_in_every_process_and_release(purpose, attempt, name):
    assert client_id("afb", purpose, "p", attempt) == name


@given(PURPOSES, PROPOSALS, ATTEMPTS)
def test_the_venue_takes_it_and_no_client_encodes_it(purpose, proposal, attempt):
    name = client_id("afb", purpose, proposal, attempt)
    assert re.fullmatch(r"[A-Za-z0-9-]{1,36}", name)


@given(PURPOSES, PROPOSALS, ATTEMPTS)
def test_what_it_was_made_of_is_read_back(purpose, proposal, attempt):
    name = client_id("afb", purpose, proposal, attempt)
    assert (purpose_of("afb", name), attempt_of(name)) == (purpose, attempt)
    assert trade_of(name) == trade_of(client_id("afb", Purpose.ENTRY, proposal, 0))
    assert is_ours("afb", name)
    assert not is_ours("another", name)


@given(st.lists(st.tuples(PURPOSES, PROPOSALS, ATTEMPTS), min_size=2, max_size=6, unique=True))
def test_two_things_never_share_a_name(things):
    assert len({client_id("afb", *thing) for thing in things}) == len(things)


@pytest.mark.parametrize("name", ["", "web_123", "afb-Q-csg6trnhurgrtzlm-0", "afb-E-x"])
def test_a_foreign_name_is_not_ours(name):
    assert not is_ours("afb", name)
