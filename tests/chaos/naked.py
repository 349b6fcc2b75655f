"""When a position stood without a stop, from the venue's own histories, and whose fault it was."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from core.messages import Purpose
from tests.chaos.evidence import Evidence, Row, Window

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Naked:
    """One interval without a stop of ours.  `from_ms`, `to_ms` venue time, the rest wall seconds.

    `seconds` is without the declared windows, `under` counts those of faults, `across` the time in
    which nobody was there as well; a jump of the venue's clock is no time.
    """

    symbol: str
    from_ms: float
    to_ms: float
    seconds: float
    under: float
    across: float
    restart: bool


def intervals(evidence: Evidence) -> list[Naked]:
    """Return every interval in which an own position had no live stop on its right side."""
    found = []
    for symbol, sign, start, end in _positions(evidence):
        stops = [
            span
            for algo in evidence.ledger["algo_orders"]
            if _protects(evidence, algo, symbol, sign)
            for span in _lives(algo, float(evidence.ledger["time"]))
        ]
        found += [_judged(evidence, symbol, gap) for gap in _without((start, end), stops)]
    return [naked for naked in found if naked.to_ms > naked.from_ms]


def _positions(evidence: Evidence) -> Iterator[tuple[str, int, float, float]]:
    """Yield (symbol, sign, from, to) of each holding of a symbol the bot trades."""
    now = float(evidence.ledger["time"])
    opened: dict[str, tuple[int, float]] = {}
    for row in evidence.ledger["position_history"]:
        symbol, at = row["symbol"], float(row["time"])
        amount = Decimal(row["positionAmt"])
        sign = (amount > 0) - (amount < 0)
        before = opened.get(symbol)
        if before is not None and before[0] != sign:
            yield symbol, before[0], before[1], at
            del opened[symbol]
        if sign and symbol not in opened and symbol in evidence.limits.symbols:
            opened[symbol] = (sign, at)
    for symbol, (sign, at) in opened.items():
        yield symbol, sign, at, now


def _protects(evidence: Evidence, algo: Row, symbol: str, sign: int) -> bool:
    closing = "SELL" if sign > 0 else "BUY"
    return (
        algo["symbol"] == symbol
        and algo["side"] == closing
        and algo["closePosition"] is True
        and evidence.purpose(algo["clientAlgoId"]) is Purpose.STOP
    )


def _lives(algo: Row, now: float) -> Iterator[Span]:
    """Yield the span in which a conditional order stood; its firing is part of its work."""
    began: float | None = None
    ended = now
    for line in algo["history"]:
        if line["status"] == "NEW" and began is None:
            began = float(line["time"])
        elif line["status"] in ("CANCELED", "EXPIRED", "REJECTED", "FINISHED"):
            ended = float(line["time"])
            break
    if began is not None:
        yield began, ended


def _without(span: Span, covers: list[Span]) -> list[Span]:
    """Return what is left of a span when others are taken out."""
    left = [span]
    for low, high in covers:
        cut: list[Span] = []
        for start, end in left:
            if high <= start or low >= end:
                cut.append((start, end))
                continue
            if low > start:
                cut.append((start, low))
            if high < end:
                cut.append((high, end))
        left = cut
    return left


def _judged(evidence: Evidence, symbol: str, gap: Span) -> Naked:
    windows = evidence.windows
    speed = evidence.limits.speed * 1000
    jumps = [(w.from_ms, w.to_ms) for w in windows if w.why == "jump"]
    alone = [(w.from_ms, w.to_ms) for w in windows if w.why in ("jump", "dead")]
    excused = [(w.from_ms, w.to_ms) for w in windows]
    return Naked(
        symbol=symbol,
        from_ms=gap[0],
        to_ms=gap[1],
        seconds=_length(_without(gap, excused)) / speed,
        under=_length(_without(gap, alone)) / speed,
        across=_length(_without(gap, jumps)) / speed,
        restart=any(_overlap(gap, w) for w in windows if w.why == "dead"),
    )


def _length(spans: list[Span]) -> float:
    return sum(end - start for start, end in spans)


def _overlap(gap: Span, window: Window) -> bool:
    return window.from_ms < gap[1] and window.to_ms > gap[0]
