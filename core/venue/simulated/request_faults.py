"""What faults do to a request: a plan that a server carries out around the door.

The order in which several faults act on one request: delay, maintenance, time-out before, reset
before, refusal, status; then the request is performed; then its answer is lost, cut or dripped.
"""

from dataclasses import dataclass, replace
from typing import Any

from core.venue.simulated.errors import Rejection
from core.venue.simulated.faults import Armed, FaultTable, Group, Occasion
from core.venue.simulated.rest import Response

LOST, WHOLE, HALF = "lost", "whole", "half"
RETRY_AFTER_S = {418: 120, 429: 30}
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_NAMES = {403: "403 Forbidden", 502: "502 Bad Gateway", 504: "504 Gateway Time-out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to treat one request; durations in wall seconds.

    `answer` stands in for the door's; with `performs` the request takes effect all the same.
    `ending` tells how much of the answer gets out, after `hold_s`.
    """

    delay_s: float = 0.0
    performs: bool = True
    answer: Response | None = None
    ending: str = WHOLE
    hold_s: float = 0.0
    drip_s: float = 0.0  # between bytes of the answer; 0 sends it at once
    lag_s: float = 0.0  # how old the state is that a query sees


HARMLESS = Plan()


def plan_for(table: FaultTable, occasion: Occasion, wall_ms: int) -> Plan:
    """Return what the faults in place do to a request, and count their strokes."""
    if not table.waits(Group.REQUEST):
        return HARMLESS
    plan = Plan()
    slow = table.take("latency", occasion)
    if slow is not None:
        pause = slow.fault.args["ms"] / 1000
        drips = slow.fault.args["drip"]
        plan = replace(plan, delay_s=0.0 if drips else pause, drip_s=pause if drips else 0.0)
    if table.take("maintenance", occasion, wall_ms) is not None:
        closed = Rejection(-1016)
        answer = Response(status=closed.status, body=closed.body())
        return replace(plan, performs=False, answer=answer)
    early = table.take("timeout_before", occasion)
    if early is not None:
        return replace(plan, performs=False, ending=LOST, hold_s=early.fault.args["s"])
    cut = table.find("reset", occasion)
    when = cut.fault.args["when"] if cut is not None else ""
    if cut is not None:
        table.take("reset", occasion)
    if when == "before":
        return replace(plan, performs=False, ending=LOST)
    answered = _answered(table, occasion, wall_ms, plan)
    if answered is not None:
        return answered
    late = table.take("timeout_after", occasion)
    if late is not None:
        return replace(plan, ending=LOST, hold_s=late.fault.args["s"])
    if when:
        plan = replace(plan, ending=HALF if when == "body" else LOST)
    lag = table.take("query_lag", occasion, wall_ms) if occasion.method == "GET" else None
    return plan if lag is None else replace(plan, lag_s=lag.fault.args["s"])


def _answered(table: FaultTable, occasion: Occasion, wall_ms: int, plan: Plan) -> Plan | None:
    """Return the plan of a request that is answered by a fault, if it is."""
    refused = table.take("rest_reject", occasion)
    if refused is not None:
        args = refused.fault.args
        refusal = Rejection.saying(args["code"], args["msg"], args["status"])
        answer = Response(status=refusal.status, body=refusal.body())
        return replace(plan, performs=False, answer=answer)
    given = table.take("rest_status", occasion)
    if given is not None:
        performs = given.fault.args["executed"]
        return replace(plan, performs=performs, answer=_status_answer(given, wall_ms))
    return None


def _status_answer(row: Armed, wall_ms: int) -> Response:
    args = row.fault.args
    status: int = args["status"]
    headers = {str(name): str(value) for name, value in args["headers"].items()}
    if status in RETRY_AFTER_S:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S[status]))
    body: Any = args["body"]
    if body is None:
        wait_ms = 1000 * int(headers.get("Retry-After", 0) or 0)
        body = _usual_body(status, wall_ms + wait_ms, executed=args["executed"])
    return Response(status=status, body=body, headers=headers)


def _usual_body(status: int, until_ms: int, *, executed: bool) -> Any:
    """Return what the venue says with a status (Binance reference, 9.3)."""
    if status == 418:
        return {"code": -1003, "msg": f"Way too many requests; IP banned until {until_ms}."}
    if status == 429:
        return Rejection(-1003).body()
    if status == 408:
        return Rejection(-1007).body()
    if status == 503 and executed:
        text = "Unknown error, please check your request or try again later."
        return {"code": -1000, "msg": text}
    if status == 503:
        return {"code": -1001, "msg": "Service Unavailable."}
    if status < 400:
        return ""
    return _PAGE.format(_NAMES.get(status, f"{status} Error"))
