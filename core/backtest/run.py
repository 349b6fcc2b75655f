"""One backtest: the screen finds what happens next, risk decides, and the books are kept exactly.

Semantics: docs/backtest.md.  Prices are floats in the tape and exact decimals from the moment that
they become an order or a fill.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Protocol

import numpy as np

from core import messages as m
from core.backtest.books import Books, Held
from core.backtest.desk import Desk
from core.backtest.lookout import Lookout
from core.backtest.result import BacktestResult, ExitReason, Halt
from core.backtest.rhythm import Rhythm
from core.backtest.screen import ASK, BOUNDARY, EXIT, LOW_EQUITY, Screen
from core.backtest.tape import CLOSE, HIGH, LOW, OPEN, Tape
from core.clock import NS_PER_DAY, NS_PER_MS
from core.messages import Side
from core.risk.liquidation import liquidation_distance
from core.risk.machine import RiskMachine
from core.risk.policy import RiskPolicy
from core.risk.risk_manager import RiskManager
from core.symbol.strategy import CLOSE_ROW, DecidedRows
from core.venue.simulated.positions import cash

_NEARLY = 1e-9  # of equity: what floats may be off; risk decides exactly
_BPS = Decimal(10_000)


class BacktestPolicy(RiskPolicy, Protocol):
    """The settings of one symbol that a backtest reads."""

    SLIPPAGE_BPS: float


class BacktestSettings(BacktestPolicy, Protocol):
    """The settings of the account, and those of each symbol."""

    VENUE_BALANCE: float

    def for_symbol(self, symbol: str) -> BacktestPolicy:
        """Return the settings with the symbol's overrides applied."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one symbol's fills cost beyond their price."""

    slippage: Decimal  # part of the price
    fee: Decimal  # part of the notional
    leverage: Decimal

    @classmethod
    def of(cls, policy: BacktestPolicy) -> "Costs":
        """Read them from the settings."""
        return cls(
            slippage=Decimal(str(policy.SLIPPAGE_BPS)) / _BPS,
            fee=Decimal(str(policy.TAKER_FEE)),
            leverage=Decimal(policy.LEVERAGE),
        )


def run_backtest(
    tape: Tape,
    settings: BacktestSettings,
    decided: Mapping[str, DecidedRows],
    *,
    start: int,
    strategy_name: str,
    filled_bars: Mapping[str, int] | None = None,
    predicted_by: Mapping[str, Mapping[str, int]] | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> BacktestResult:
    """Trade bars `start` to the end of a tape; what lies before warmed the decisions up.

    `decided`: every symbol's decisions on all bars of the tape; `done` is told the bar reached, now
    and then.  The last two mappings are handed through to the result.
    """
    return _Run(tape, settings, decided, start, strategy_name).result(
        filled_bars or {}, predicted_by or {}, done
    )


class _Run:
    def __init__(
        self,
        tape: Tape,
        settings: BacktestSettings,
        decided: Mapping[str, DecidedRows],
        start: int,
        strategy_name: str,
    ) -> None:
        self._tape, self._settings, self._start = tape, settings, start
        self._end = len(tape)
        self._symbols = tape.symbols
        self._decided = [decided[symbol] for symbol in self._symbols]
        self._costs = [Costs.of(settings.for_symbol(s)) for s in self._symbols]
        self._policies = [settings.for_symbol(s) for s in self._symbols]
        interval_ns = tape.interval_ms * NS_PER_MS
        sides = np.stack([rows.sides for rows in self._decided])
        first_bar = int(tape.open_ms[0]) // tape.interval_ms + 1  # number of the first close
        rhythms, always = [], np.zeros(sides.shape, dtype=np.bool_)
        for place, row in enumerate(sides):
            wishes = np.flatnonzero((row == 1) | (row == -1))
            wishes = wishes[wishes >= start]
            rhythm = Rhythm.of(wishes + first_bar, interval_ns)
            rhythms.append(rhythm)
            always[place, wishes] = rhythm.ratio > self._policies[place].MAX_SIGNAL_RATIO
        self._screen = Screen(tape, sides, always)
        self._risk = RiskMachine(
            policies=settings,
            managers={
                s: RiskManager(p, None) for s, p in zip(self._symbols, self._policies, strict=True)
            },
            instruments=dict(tape.instruments),
            interval_ns=interval_ns,
        )
        self._desk = Desk(
            tape,
            self._risk,
            rhythms,
            returns_bars=settings.CORRELATION_BARS,
            strategy_name=strategy_name,
        )
        self._books = Books()
        self._settlements = _settlements(tape)
        self._boundaries = _boundaries(tape, self._settlements)
        self._lookout = Lookout(tape, settings, self._risk, self._desk, self._books)

    def result(
        self,
        filled_bars: Mapping[str, int],
        predicted_by: Mapping[str, Mapping[str, int]],
        done: Callable[[int], None],
    ) -> BacktestResult:
        wallet = Decimal(str(self._settings.VENUE_BALANCE))
        first, last = self._start, self._end - 1
        self._desk.begin(first, wallet)
        self._lookout.refresh()
        # The first bar's close is the first decision.
        self._ask(first)
        bar, at_close = first + 1, False
        boundaries = [b for b in self._boundaries if first < b < last] + [last]
        for boundary in boundaries:
            while bar <= boundary:
                bar, at_close = self._step(bar, boundary, at_close=at_close)
            done(bar)
        for place in self._books.places():
            self._close(place, last, _price(self._tape, place, CLOSE, last), ExitReason.END)
        return BacktestResult(
            symbols=self._symbols,
            interval_ms=self._tape.interval_ms,
            start_equity=wallet,
            trades=tuple(self._books.trades),
            open_ms=self._tape.open_ms[first:],
            equity=self._books.equity(self._tape, first, wallet),
            signals={
                s: int(np.count_nonzero(rows.sides[first:]))
                for s, rows in zip(self._symbols, self._decided, strict=True)
            },
            refusals=dict(sorted(self._desk.refusals.items())),
            halts=tuple(halt_of(one) for one in self._desk.halts),
            filled_bars=dict(filled_bars),
            predicted_by=dict(predicted_by),
        )

    # ------------------------------------------------------------------ from event to event
    def _step(self, bar: int, boundary: int, *, at_close: bool) -> tuple[int, bool]:
        """Handle the next event; return where the search goes on."""
        found = self._screen.find(self._lookout.watch, bar, boundary, at_close=at_close)
        if found.peak_bar >= 0:
            self._lookout.watch.peak = found.peak
            if found.peak_bar != found.bar:  # else it is looked at below
                self._desk.look(found.peak_bar)
        match found.kind:
            case k if k == EXIT:
                self._leave(found.bar)
                self._lookout.refresh()
                return found.bar, False
            case k if k in {LOW_EQUITY, BOUNDARY}:
                self._desk.look(found.bar)
                if found.bar == boundary:
                    self._cross(boundary)
                self._lookout.refresh()
                self._ask(found.bar)
                return found.bar + 1, False
            case k if k == ASK:
                self._desk.look(found.bar)
                self._ask(found.bar)
                return found.bar + 1, False
            case _:
                return boundary + 1, False

    def _cross(self, bar: int) -> None:
        """Begin a day and settle funding at a bar's close."""
        if self._desk.close_ns(bar) % NS_PER_DAY == 0:
            self._desk.new_day(bar)
        for place, rate in self._settlements.get(bar, ()):
            held = self._books.held.get(place)
            if held is not None:
                mark = _price(self._tape, place, CLOSE, bar)
                amount = cash(-held.side.sign * held.quantity * mark * rate)
                held.funding += amount
                self._desk.funded(bar, amount)

    # ------------------------------------------------------------------ decisions at a close
    def _ask(self, bar: int) -> None:
        """Put every signal of a close that is worth it to risk, and fill what it approves."""
        if bar + 1 >= self._end:
            return
        approvals: list[tuple[int, m.Approval]] = []
        leaving: list[int] = []
        for place in range(len(self._symbols)):
            side = self._screen.asked(self._lookout.watch, place, bar)
            if side == CLOSE_ROW:
                leaving.append(place)
            elif side:
                approval = self._review(bar, place, Side.BUY if side > 0 else Side.SELL)
                if approval is not None:
                    approvals.append((place, approval))
                self._lookout.refresh()
        for place in leaving:
            self._close(place, bar + 1, _price(self._tape, place, OPEN, bar + 1), ExitReason.SIGNAL)
        for place, approval in approvals:
            self._enter(bar + 1, place, approval)
        if approvals or leaving:
            self._lookout.refresh()

    def _review(self, bar: int, place: int, side: Side) -> m.Approval | None:
        rows = self._decided[place]
        confidence = float(rows.confidences[bar])
        return self._desk.ask(
            bar,
            place,
            side,
            float(rows.strengths[bar]),
            None if np.isnan(confidence) else confidence,
            _price(self._tape, place, CLOSE, bar),
        )

    # ------------------------------------------------------------------ fills
    def _enter(self, bar: int, place: int, approval: m.Approval) -> None:
        """Fill an approved entry at a bar's open."""
        symbol, side = self._symbols[place], approval.proposal.side
        instrument, costs = self._tape.instruments[symbol], self._costs[place]
        price = self._slipped(place, _price(self._tape, place, OPEN, bar), side)
        quantity = approval.quantity
        distance = liquidation_distance(instrument, side, quantity, price, costs.leverage)
        fee = cash(quantity * price * costs.fee)
        held = Held(
            symbol=symbol,
            side=side,
            quantity=quantity,
            entry_price=price,
            entry_bar=bar,
            entry_ms=int(self._tape.open_ms[bar]),
            stop=instrument.stop_price(price, approval.stop_pct, side),
            target=instrument.target_price(price, approval.target_pct, side),
            liquidation=price - side.sign * distance,
            proposal_id=approval.proposal.proposal_id,
            fees=fee,
        )
        self._books.held[place] = held
        self._desk.filled(
            self._desk.close_ns(bar - 1),
            held.told(self._desk.close_ns(bar - 1)),
            side=side,
            quantity=quantity,
            price=price,
            fee=fee,
            gained=Decimal(0),
            purpose=m.Purpose.ENTRY,
        )

    def _leave(self, bar: int) -> None:
        """Close what reaches its stop, target or liquidation within a bar; the stop first."""
        for place in self._books.places():
            held = self._books.held[place]
            opened, high, low = (_price(self._tape, place, row, bar) for row in (OPEN, HIGH, LOW))
            found = held.way_out(opened, high, low, at_open=bar > held.entry_bar)
            if found is not None:
                price, reason, within = found
                self._close(place, bar, price, reason, within=within)

    def _close(
        self, place: int, bar: int, price: Decimal, reason: ExitReason, *, within: bool = False
    ) -> None:
        """Fill an exit: at a bar's open, inside of it, or (END) at its close."""
        held, costs = self._books.held.pop(place), self._costs[place]
        side = held.side.opposite
        if reason is ExitReason.LIQUIDATION:  # the whole margin, and nothing on top
            price = held.bankruptcy(costs.leverage)
            fee = Decimal(0)
        else:
            price = self._slipped(place, price, side)
            fee = cash(held.quantity * price * costs.fee)
        at_ms = int(self._tape.open_ms[bar])
        if reason is ExitReason.END:
            at_ms += self._tape.interval_ms
        elif within:
            at_ms += self._tape.interval_ms // 2
        gained = cash(held.side.sign * held.quantity * (price - held.entry_price))
        held.fees += fee
        self._books.book(held, bar, at_ms, price, gained, reason)
        self._desk.filled(
            at_ms * NS_PER_MS,
            held.gone(at_ms * NS_PER_MS),
            side=side,
            quantity=held.quantity,
            price=price,
            fee=fee,
            gained=gained,
            purpose=_PURPOSES[reason],
        )

    def _slipped(self, place: int, price: Decimal, side: Side) -> Decimal:
        """Return a price worse by the slippage, on the tick grid against us."""
        worse = price * (1 + side.sign * self._costs[place].slippage)
        instrument = self._tape.instruments[self._symbols[place]]
        return instrument.round_price(worse, ROUND_CEILING if side.sign > 0 else ROUND_FLOOR)


_PURPOSES = {
    ExitReason.STOP: m.Purpose.STOP,
    ExitReason.TARGET: m.Purpose.TARGET,
    ExitReason.SIGNAL: m.Purpose.EXIT,
    ExitReason.LIQUIDATION: m.Purpose.STOP,
    ExitReason.END: m.Purpose.EXIT,
}


def _price(tape: Tape, place: int, row: int, bar: int) -> Decimal:
    symbol = tape.symbols[place]
    return tape.instruments[symbol].price_from_float(float(tape.bars[symbol][row, bar]))


def _settlements(tape: Tape) -> dict[int, tuple[tuple[int, Decimal], ...]]:
    """Return settlements by the bar at whose close they fall, in the order of the symbols."""
    found: dict[int, list[tuple[int, Decimal]]] = {}
    for place, symbol in enumerate(tape.symbols):
        for one in tape.funding.get(symbol, ()):
            if one.bar >= 1:
                found.setdefault(one.bar - 1, []).append((place, one.rate))
    return {bar: tuple(rows) for bar, rows in found.items()}


def _boundaries(tape: Tape, settlements: Mapping[int, object]) -> list[int]:
    """Return the bars at whose close a day begins or funding is settled, ascending."""
    day_ms = NS_PER_DAY // NS_PER_MS
    midnights = np.flatnonzero((tape.open_ms + tape.interval_ms) % day_ms == 0)
    return sorted({*midnights.tolist(), *settlements})


def halt_of(state: m.StateChanged) -> Halt:
    """Return a latched state as the result tells it."""
    return Halt(
        at_ms=state.at_ns // NS_PER_MS,
        symbol=state.symbol,
        state=state.state.value,
        reason_code=state.reason_code,
        reason=state.reason,
    )
