"""The table of refusals: every code's status and words, as a fault raises them."""

import re

import pytest

from core.venue.simulated.errors import ERRORS, SAMPLES, Rejection
from core.venue.simulated.faults import FaultTable, Occasion, read_fault
from core.venue.simulated.request_faults import plan_for

STATUSES = {
    **dict.fromkeys((-1001, -1006, -1008, -1016), 503),
    **dict.fromkeys((-1003, -1015), 429),
    **dict.fromkeys((-1002, -1099, -2014, -2015, -2017), 401),
    -1007: 408,
}
DOCUMENTED = (
    *(-1000, -1001, -1002, -1003, -1006, -1007, -1008, -1015, -1016, -1021, -1022, -1099),
    *(-1100, -1101, -1102, -1103, -1104, -1106, -1111, -1114, -1115, -1116, -1117, -1120),
    *(-1121, -1122, -1125, -1127, -1128, -1130, -1136),
    *(-2010, -2011, -2013, -2014, -2015, -2017, -2018, -2019, -2020, -2021, -2022, -2023),
    *(-2024, -2025, -2026, -2027, -2028, -4062, -4083, -4087, -4088, -4105, -4106, -4107),
    *(-4109, -4116, -4117, -4118, -4120, -4142, -4164, -4189, -4192, -4210, -4211, -4400),
    *(-4401, -5021, -5022, -5043),
)


@pytest.mark.parametrize("code", sorted({*ERRORS, *DOCUMENTED}, reverse=True))
def test_a_fault_says_the_documented_words_with_the_documented_status(code):
    assert code in ERRORS
    refusal = Rejection.saying(code)
    assert (refusal.code, refusal.status) == (code, STATUSES.get(code, 400))
    assert refusal.message.strip() == refusal.message != ""
    assert not re.search(r"  |[{}]|%s|''|than \(|than \.|is \.", refusal.message)
    assert ("%s" in ERRORS[code].message) == (code in SAMPLES)


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (
            -1008,
            503,
            (
                "Request throttled by system-level protection."
                " Reduce-only/close-position orders are exempt. Please try again."
            ),
        ),
        (-1001, 503, "Internal error; unable to process your request. Please try again."),
        (-1016, 503, "This service is no longer available."),
        (-1015, 429, "Too many new orders; current limit is 300 orders per 10 SECONDS."),
        (-1021, 400, "Timestamp for this request is outside of the recvWindow."),
        (-4164, 400, "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
    ],
)
def test_a_rest_reject_without_arguments_is_the_venues_own_answer(code, status, text):
    table = FaultTable()
    table.arm(read_fault({"kind": "rest_reject", "args": {"code": code}}))
    occasion = Occasion(method="POST", path="/fapi/v1/order", symbol="BTCUSDT")
    answer = plan_for(table, occasion, 0).answer
    assert answer is not None
    assert (answer.status, answer.body) == (status, {"code": code, "msg": text})
