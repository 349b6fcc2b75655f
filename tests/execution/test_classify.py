"""Failed requests: the table of section B2, and that nothing doubtful counts as refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.execution.classify import Action, Trouble, classify, remedy
from core.messages import Failure

UNKNOWN_503 = "Unknown error, please check your request or try again later."


@pytest.mark.parametrize(
    ("trouble", "failure"),
    [
        (Trouble.CONNECT, Failure.NOT_SENT),
        (Trouble.TIMEOUT, Failure.UNKNOWN),
        (Trouble.RESET, Failure.UNKNOWN),
        (Trouble.UNREADABLE, Failure.UNKNOWN),
    ],
)
def test_trouble_on_the_way_is_unknown_once_a_byte_may_have_left(trouble, failure):
    assert classify(trouble).failure is failure


ANSWERS = [
    (408, -1007, "Timeout waiting for response", Failure.UNKNOWN, Action.RESOLVE),
    (408, 0, "", Failure.UNKNOWN, Action.RESOLVE),
    (400, -1000, "An unknown error occured", Failure.UNKNOWN, Action.RESOLVE),
    (400, -1006, "", Failure.UNKNOWN, Action.RESOLVE),
    (503, 0, UNKNOWN_503, Failure.UNKNOWN, Action.RESOLVE),
    (503, -1001, UNKNOWN_503, Failure.UNKNOWN, Action.RESOLVE),
    (500, 0, "<html>", Failure.UNKNOWN, Action.RESOLVE),
    (502, 0, "<html>Bad Gateway", Failure.UNKNOWN, Action.RESOLVE),
    (503, 0, "", Failure.UNKNOWN, Action.RESOLVE),
    (503, 0, "Service Unavailable.", Failure.REFUSED, Action.RETRY),
    (503, -1008, "Request throttled", Failure.REFUSED, Action.RETRY),
    (
        *(503, -1001, "Internal error; unable to process your request."),
        *(Failure.REFUSED, Action.RETRY),
    ),
    (429, -1003, "", Failure.REFUSED, Action.COOL_DOWN),
    (429, -1015, "", Failure.REFUSED, Action.COOL_DOWN),
    (418, 0, "banned until 1795000000000", Failure.REFUSED, Action.COOL_DOWN),
    (403, 0, "<html>", Failure.REFUSED, Action.HALT),
    (400, -1021, "", Failure.REFUSED, Action.RESYNC_CLOCK),
    (400, -5028, "", Failure.REFUSED, Action.RESYNC_CLOCK),
    (400, -2019, "Margin is insufficient.", Failure.REFUSED, Action.REFRESH_ACCOUNT),
    (400, -2018, "", Failure.REFUSED, Action.REFRESH_ACCOUNT),
    (400, -4118, "", Failure.REFUSED, Action.REFRESH_ACCOUNT),
    (400, -2021, "", Failure.REFUSED, Action.FLATTEN),
    (400, -4142, "", Failure.REFUSED, Action.FLATTEN),
    (400, -2022, "", Failure.REFUSED, Action.RESYNC_POSITION),
    (400, -4116, "", Failure.REFUSED, Action.ADOPT),
    (400, -4117, "", Failure.REFUSED, Action.WAIT),
    (400, -4045, "", Failure.REFUSED, Action.REAP),
    (400, -4120, "", Failure.REFUSED, Action.HALT),
    (401, -2014, "", Failure.REFUSED, Action.HALT),
    (401, -2015, "", Failure.REFUSED, Action.HALT),
    (400, -1002, "", Failure.REFUSED, Action.HALT),
    (400, -2017, "", Failure.REFUSED, Action.HALT),
    (400, -2023, "", Failure.REFUSED, Action.REDUCE_ONLY),
    (400, -4192, "", Failure.REFUSED, Action.REDUCE_ONLY),
    (400, -4140, "", Failure.REFUSED, Action.CLOSE_SYMBOL),
    (400, -1121, "", Failure.REFUSED, Action.CLOSE_SYMBOL),
    (400, -1111, "", Failure.REFUSED, Action.REFRESH_FILTERS),
    (400, -4014, "", Failure.REFUSED, Action.REFRESH_FILTERS),
    (400, -4164, "", Failure.REFUSED, Action.REFRESH_FILTERS),
    (400, -2011, "", Failure.REFUSED, Action.GONE),
    (400, -2013, "", Failure.REFUSED, Action.GONE),
    (400, -1125, "", Failure.REFUSED, Action.GONE),
    (400, -9999, "never seen", Failure.REFUSED, Action.REJECT),
    (200, -1121, "", Failure.REFUSED, Action.CLOSE_SYMBOL),
    *((503, code, "", Failure.REFUSED, Action.RETRY) for code in (-1001, -1016)),
    *((400, code, "", Failure.REFUSED, Action.REFRESH_ACCOUNT) for code in (-2024, -2027, -2028)),
    *((400, code, "", Failure.REFUSED, Action.REFRESH_ACCOUNT) for code in (-4050, -4051)),
    (400, -4509, "", Failure.REFUSED, Action.RESYNC_POSITION),
    (400, -4130, "", Failure.REFUSED, Action.ADOPT),
    (400, -2025, "", Failure.REFUSED, Action.REAP),
    *((400, code, "", Failure.REFUSED, Action.REDUCE_ONLY) for code in (-4087, -4088, -4105)),
    *((400, code, "", Failure.REFUSED, Action.REDUCE_ONLY) for code in (-4106, -4107, -4189)),
    *((400, code, "", Failure.REFUSED, Action.REDUCE_ONLY) for code in (-4400, -4401)),
    *((400, code, "", Failure.REFUSED, Action.CLOSE_SYMBOL) for code in (-1122, -4141, -4402)),
    *((400, code, "", Failure.REFUSED, Action.REFRESH_FILTERS) for code in (-1013, -4023, -4024)),
    *((400, code, "", Failure.REFUSED, Action.REFRESH_FILTERS) for code in range(-4007, -4000)),
    *((400, code, "", Failure.REFUSED, Action.REFRESH_FILTERS) for code in (-4013, -4016)),
    *((400, code, "", Failure.REFUSED, Action.REFRESH_FILTERS) for code in (-4183, -4184)),
    *((400, code, "", Failure.REFUSED, Action.REFRESH_FILTERS) for code in (-4210, -4211)),
    *((400, code, "", Failure.REFUSED, Action.HALT) for code in (-1022, -1099, -4061, -4109)),
]


@pytest.mark.parametrize(("status", "code", "text", "failure", "action"), ANSWERS)
def test_answers_are_judged_by_the_table(status, code, text, failure, action):
    verdict = classify(status=status, code=code, text=text)
    assert (verdict.failure, verdict.action) == (failure, action)


def test_every_code_that_is_judged_stands_in_the_table_above():
    """A code without a line of its own counts as rejected: all others must be told apart here."""
    told = {code for _, code, *_ in ANSWERS}
    judged = {
        code
        for code in range(-9_999, 0)
        if classify(status=400, code=code) != classify(status=400, code=-9_999)
    }
    assert judged <= told
    assert len(judged) > 60


@given(st.integers(500, 599), st.text(max_size=80))
def test_a_server_error_without_a_code_is_refused_only_by_its_very_words(status, text):
    verdict = classify(status=status, text=text)
    words = text.casefold()
    named = "service unavailable" in words or "internal error; unable to process" in words
    assert verdict.failure is Failure.UNKNOWN or (status == 503 and named)


@given(st.integers(0, 999), st.integers(-9999, 0), st.text(max_size=80))
def test_a_protective_order_is_repeated_only_when_it_certainly_did_not_happen(status, code, text):
    verdict = classify(status=status, code=code, text=text)
    assert not (verdict.repeatable and verdict.failure is Failure.UNKNOWN)
    assert remedy(code or status)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (-1111, "precision settings"),
        (-1130, "reduce the data fetch limit"),
        ("AttributeError", "model file exists"),
        ("ConnectionError", "internet connection"),
        ("connect", "internet connection"),
        (-2015, "API_KEY"),
        (-1021, "clock"),
        (-4106, "reduce"),
        (418, "ban"),
        (403, "Fix:"),
        (-7777, "-7777"),
        ("weird", "weird"),
    ],
)
def test_common_errors_name_their_remedy(what, words):
    assert words in remedy(what)
    assert "Fix:" in remedy(what)
