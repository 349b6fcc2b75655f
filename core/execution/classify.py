"""What a failed request means: whether it may have happened, and what to do about it.

One pure function over one table (reliability reference, section B2; venue reference, section 9).
The rule behind it: whatever is not provably refused may have happened.  Codes decide first, then
the HTTP status, then the words of a 503; message texts vary, so nothing else rests on them.
"""

from dataclasses import dataclass
from enum import StrEnum

from core.messages import Failure, OrderFailed


class Trouble(StrEnum):
    """What the edge saw go wrong."""

    CONNECT = "connect"  # no connection, so no byte left: DNS, refused, TLS, connect time-out
    TIMEOUT = "timeout"  # no answer in time
    RESET = "reset"  # the connection broke with the request under way
    UNREADABLE = "unreadable"  # success by status, but the body cannot be read
    ANSWER = "answer"  # the venue answered with an error


class Action(StrEnum):
    """What the failure asks for."""

    RETRY = "retry"  # certainly not executed; the same again after a pause
    RESOLVE = "resolve"  # find out by query before anything else
    COOL_DOWN = "cool_down"  # the venue wants silence for a while
    RESYNC_CLOCK = "resync_clock"
    FLATTEN = "flatten"  # the price is already beyond the trigger
    RESYNC_POSITION = "resync_position"
    ADOPT = "adopt"  # it exists already: query and adopt
    WAIT = "wait"  # a result is on its way by the user stream
    REAP = "reap"  # too many conditional orders are open
    REFRESH_ACCOUNT = "refresh_account"
    REDUCE_ONLY = "reduce_only"
    CLOSE_SYMBOL = "close_symbol"
    REFRESH_FILTERS = "refresh_filters"
    GONE = "gone"  # nothing there (any more)
    HALT = "halt"  # keys, access or a programming error: a person must look
    REJECT = "reject"  # refused, with nothing further to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a request failed and what follows."""

    failure: Failure
    action: Action

    @property
    def repeatable(self) -> bool:
        """Tell whether a protective order may be sent again: it certainly did not happen."""
        return self.failure is Failure.NOT_SENT or self.action in _REPEATABLE

    @property
    def readable_again(self) -> bool:
        """Tell whether a read may succeed when repeated."""
        return self.repeatable or self.failure is Failure.UNKNOWN


_REPEATABLE = frozenset({Action.RETRY, Action.RESYNC_CLOCK, Action.COOL_DOWN})
_UNKNOWN = Verdict(failure=Failure.UNKNOWN, action=Action.RESOLVE)


def _refused(action: Action) -> Verdict:
    return Verdict(failure=Failure.REFUSED, action=action)


_BY_TROUBLE = {
    Trouble.CONNECT: Verdict(failure=Failure.NOT_SENT, action=Action.RETRY),
    Trouble.TIMEOUT: _UNKNOWN,
    Trouble.RESET: _UNKNOWN,
    Trouble.UNREADABLE: _UNKNOWN,
}

_CODES: dict[Action, tuple[int, ...]] = {
    Action.RETRY: (-1001, -1008, -1016),
    Action.COOL_DOWN: (-1003, -1015),
    Action.RESYNC_CLOCK: (-1021, -5028),
    Action.REFRESH_ACCOUNT: (-2018, -2019, -2024, -2027, -2028, -4050, -4051, -4118),
    Action.FLATTEN: (-2021, -4142),
    Action.RESYNC_POSITION: (-2022, -4509),
    Action.ADOPT: (-4116, -4130),
    Action.WAIT: (-4117,),
    Action.REAP: (-4045, -2025),
    Action.REDUCE_ONLY: (-2023, -4087, -4088, -4105, -4106, -4107, -4189, -4192, -4400, -4401),
    Action.CLOSE_SYMBOL: (-1121, -1122, -4140, -4141, -4402),
    Action.REFRESH_FILTERS: (
        *(-1013, -1111, -4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014),
        *(-4016, -4023, -4024, -4164, -4183, -4184, -4210, -4211),
    ),
    Action.GONE: (-2011, -2013, -1125),
    Action.HALT: (-1002, -1022, -1099, -2014, -2015, -2017, -4061, -4109, -4120),
}
_BY_CODE = {code: _refused(action) for action, codes in _CODES.items() for code in codes}
_BY_CODE |= dict.fromkeys((-1000, -1006, -1007), _UNKNOWN)

# 503 without a code that decides: these two texts mean that nothing was executed.
_NOT_EXECUTED = ("service unavailable", "internal error; unable to process")
_MAY_BE_EXECUTED = "unknown error"


def classify(
    trouble: Trouble = Trouble.ANSWER, *, status: int = 0, code: int = 0, text: str = ""
) -> Verdict:
    """Judge one failed request.

    `status` is the HTTP status, `code` the venue's (0 without one), `text` its words or the raw
    body.  For a query's -2013 the caller must add time and repetition: alone it proves nothing.
    """
    if trouble is not Trouble.ANSWER:
        return _BY_TROUBLE[trouble]
    words = text.casefold()
    if status >= 500 and _MAY_BE_EXECUTED in words:  # noqa: PLR2004 - HTTP's server errors
        return _UNKNOWN
    if code in _BY_CODE:
        return _BY_CODE[code]
    match status:
        case 418 | 429:
            return _refused(Action.COOL_DOWN)
        case 401 | 403:
            return _refused(Action.HALT)
        case 503 if any(phrase in words for phrase in _NOT_EXECUTED):
            return _refused(Action.RETRY)
        case _ if 400 <= status < 500 and status != 408:  # noqa: PLR2004 - HTTP's client errors
            return _refused(Action.REJECT)
        case _ if 200 <= status < 300 and code < 0:  # noqa: PLR2004 - an error inside a success
            return _refused(Action.REJECT)
        case _:
            return _UNKNOWN


def action_of(failure: OrderFailed) -> Action:
    """Return what a failed order asks for, from its code where nobody has said it yet."""
    if failure.action:
        return Action(failure.action)
    if failure.failure is Failure.UNKNOWN:
        return Action.RESOLVE
    if failure.failure is Failure.NOT_SENT:
        return Action.RETRY
    verdict = _BY_CODE.get(failure.code)
    return verdict.action if verdict is not None else Action.REJECT


_REMEDIES: dict[int | str, str] = {
    -1111: "Precision error. Fix: check the symbol's precision settings (tick and step size).",
    -1130: "Invalid limit or parameter. Fix: reduce the data fetch limit (KLINE_HISTORY).",
    -1121: "Unknown symbol. Fix: correct SYMBOLS.",
    -1021: "Clock error. Fix: synchronise this machine's clock (NTP).",
    -1003: "Too many requests. Fix: wait, and trade fewer symbols or stop other bots on this IP.",
    -1015: "Too many orders. Fix: wait; lower ORDERS_PER_10S and ORDERS_PER_MIN.",
    -1022: "Signature refused. Fix: check API_SECRET.",
    -2014: "API key malformed. Fix: check API_KEY, and that it belongs to this VENUE.",
    -2015: "API key refused. Fix: check API_KEY, its futures permission and its IP list.",
    -2019: "Margin is insufficient. Fix: lower RISK_PER_TRADE or add funds.",
    -2021: "The price is already beyond the trigger. Fix: none, the position is closed instead.",
    -4028: "Leverage not allowed. Fix: lower LEVERAGE for this symbol.",
    -4048: "Margin type cannot change with a position open. Fix: close it first.",
    -4061: "Position mode is hedge. Fix: set one-way mode on the venue.",
    -4120: "Wrong endpoint for this order type. Fix: report this, it is a programming error.",
    -4161: "Leverage cannot fall while a position is open. Fix: close it first.",
    -4164: "Below the least notional. Fix: raise the order size or leave the symbol out.",
    "AttributeError": "Model loading issue. Fix: check that the model file exists (run.py train).",
    "ConnectionError": "Network issue. Fix: check the internet connection and the venue's status.",
    "connect": "Network issue. Fix: check the internet connection and the venue's status.",
    "reset": "Network issue. Fix: check the internet connection and the venue's status.",
    "timeout": "No answer in time. Fix: check the internet connection, or raise REST_TIMEOUT.",
    "unreadable": "The answer is unreadable. Fix: check for a proxy between here and the venue.",
    "403": "Access denied by the venue's firewall. Fix: check this IP's region and request rate.",
    "418": "This IP is banned for too many requests. Fix: wait until the ban ends.",
}
_BY_ACTION = {
    Action.RETRY: "The venue is overloaded. Fix: none, it is repeated with growing pauses.",
    Action.COOL_DOWN: "Too many requests. Fix: wait, and send less.",
    Action.REFRESH_FILTERS: "The order breaks a filter. Fix: check the precision settings.",
    Action.RESYNC_POSITION: "The position changed meanwhile. Fix: none, it is read again.",
    Action.REDUCE_ONLY: "The account may only reduce positions. Fix: see the venue's notices.",
    Action.CLOSE_SYMBOL: "The symbol is not tradable now. Fix: take it out of SYMBOLS.",
    Action.HALT: "Access refused. Fix: check key, permissions and IP list.",
    Action.REFRESH_ACCOUNT: "Margin is insufficient. Fix: lower RISK_PER_TRADE or add funds.",
    Action.RESOLVE: "It is not known whether this was executed. Fix: none, it is being resolved.",
}


def remedy(what: int | str) -> str:
    """Return one line naming cause and fix for a venue code, an HTTP status or a kind of trouble.

    >>> remedy("timeout")
    'No answer in time. Fix: check the internet connection, or raise REST_TIMEOUT.'
    """
    known = _REMEDIES.get(what) or _REMEDIES.get(str(what))
    if known:
        return known
    if isinstance(what, int):
        verdict = classify(status=400, code=what) if what < 0 else classify(status=what)
        return _BY_ACTION.get(verdict.action, f"Refused by the venue ({what}). Fix: see its docs.")
    return f"{what}. Fix: see the log."
