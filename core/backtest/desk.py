"""What risk hears of a backtest, in its own words, and when; the same machine decides as live.

Just before a bar's close risk looks at equity at that close (`look`), at midnight it looks again,
which begins its day (`new_day`), and then it is asked (`ask`).  What lies between two looks it is
spared, for it would change nothing: `screen.py` stops wherever equity reaches a limit or a peak.
"""

from collections.abc import Sequence
from decimal import Decimal

from core import messages as m
from core.backtest.rhythm import Rhythm
from core.backtest.tape import CLOSE, HIGH, LOW, Tape
from core.clock import NS_PER_MS, Moment
from core.risk.machine import RiskMachine
from core.symbol.indicators import IntArray
from core.symbol.machine import proposal_id

ZERO = Decimal(0)
_BEFORE_CLOSE_NS = NS_PER_MS
_GENERATION = 1


class Desk:
    """Speaks with risk; time is venue time and wall time in one."""

    def __init__(
        self,
        tape: Tape,
        risk: RiskMachine,
        rhythms: Sequence[Rhythm],
        *,
        returns_bars: int,
        strategy_name: str,
    ) -> None:
        """`rhythms`: by place of the symbol; `returns_bars`: how many returns risk remembers."""
        self.wallet = ZERO
        self.halts: list[m.StateChanged] = []
        self.refusals: dict[str, int] = {}
        self._tape = tape
        self._risk = risk
        self._rhythms = rhythms
        self._run_bars = returns_bars + 2  # so many make what was known before irrelevant
        self._strategy_name = strategy_name
        self._interval_ns = tape.interval_ms * NS_PER_MS
        self._closes = [tape.bars[s][CLOSE] for s in tape.symbols]
        self._moved = [_moved(tape, s) for s in tape.symbols]
        self._heard = [-1] * len(tape.symbols)  # bar whose closes risk's returns know
        self._marked = [-1] * len(tape.symbols)  # bar in which the mark moved last, as told
        self._trades = 0

    # ------------------------------------------------------------------ time
    def close_ns(self, bar: int) -> int:
        """Return when a bar closes and the next one opens."""
        return int(self._tape.open_ms[bar]) * NS_PER_MS + self._interval_ns

    # ------------------------------------------------------------------ what risk is told
    def begin(self, bar: int, wallet: Decimal) -> None:
        """Start an empty account at a bar's close."""
        self.wallet = wallet
        now = _at(self.close_ns(bar) - _BEFORE_CLOSE_NS)
        self._tell(_EMPTY_BOOK, now)
        self._tell(self._account(now, earned=ZERO), now)
        self._tell(_RECONCILED, now)
        for symbol in self._tape.symbols:
            name = f"symbol/{symbol}"
            self._tell(m.ActorStarted(name=name, symbol=symbol, generation=_GENERATION), now)
        self.look(bar)
        self._tell(m.Tick(), _at(self.close_ns(bar)))

    def look(self, bar: int) -> None:
        """Have equity judged at a bar's close, a moment before it."""
        ns = self.close_ns(bar) - _BEFORE_CLOSE_NS
        self._mark(bar, ns)
        self._tell(m.Tick(), _at(ns))

    def new_day(self, bar: int) -> None:
        """Begin the day at a bar's close; `look` was a moment ago."""
        self._tell(m.Tick(), _at(self.close_ns(bar)))

    def ask(  # noqa: PLR0917 -- one proposal, field by field
        self,
        bar: int,
        place: int,
        side: m.Side,
        strength: float,
        confidence: float | None,
        price: Decimal,
    ) -> m.Approval | None:
        """Put a proposal to risk at a bar's close; return its leave, if it gave one."""
        close_ns, symbol = self.close_ns(bar), self._tape.symbols[place]
        now = _at(close_ns)
        self._mark(bar, close_ns)
        self._tell_returns(bar)
        self._tell_rhythm(place, close_ns)
        self._tell(self._account(now), now)
        proposal = m.Proposal(
            proposal_id=proposal_id(symbol, self._strategy_name, close_ns, side),
            symbol=symbol,
            side=side,
            strength=strength,
            confidence=confidence,
            price=price,
            kline_close_ns=close_ns,
            decided_at_ns=close_ns,
            generation=_GENERATION,
        )
        approval: m.Approval | None = None
        for out in self._tell(proposal, now):
            if isinstance(out, m.Approval):
                approval = out
            elif isinstance(out, m.Decision) and not out.approved:
                self.refusals[out.reason_code] = self.refusals.get(out.reason_code, 0) + 1
        return approval

    def filled(
        self,
        at_ns: int,
        position: m.PositionChanged,
        *,
        side: m.Side,
        quantity: Decimal,
        price: Decimal,
        fee: Decimal,
        gained: Decimal,
        purpose: m.Purpose,
    ) -> None:
        """Tell a fill of ours, the wallet after it, and the position it left.

        `gained`: price gain, before the fee.
        """
        now = _at(at_ns)
        self._trades += 1
        self.wallet += gained - fee
        self._tell(
            m.FillBooked(
                symbol=position.symbol,
                trade_id=self._trades,
                order_id=self._trades,
                client_id="",
                purpose=purpose,
                side=side,
                quantity=quantity,
                price=price,
                commission=fee,
                realized_pnl=gained,
                at_ns=at_ns,
            ),
            now,
        )
        self._tell(self._wallet("ORDER", ZERO, at_ns), now)
        self._tell(position, now)
        if purpose is m.Purpose.ENTRY:
            self._ended(position.symbol, position.proposal_id, "filled", now)

    def never_filled(self, symbol: str, proposal: str, bar: int) -> None:
        """Tell that an approved entry came to nothing: the tape ended."""
        self._ended(symbol, proposal, "expired", _at(self.close_ns(bar)))

    def funded(self, bar: int, amount: Decimal) -> None:
        """Tell a settlement of funding at a bar's close; received if above 0."""
        at_ns = self.close_ns(bar)
        self.wallet += amount
        self._tell(self._wallet("FUNDING_FEE", amount, at_ns), _at(at_ns))

    # ------------------------------------------------------------------ helpers of the above
    def _tell(self, message: object, now: Moment) -> tuple[object, ...]:
        out = self._risk.handle(message, now)  # type: ignore[arg-type]
        self.halts += [one for one in out if isinstance(one, m.StateChanged)]
        return out

    def _ended(self, symbol: str, proposal: str, outcome: str, now: Moment) -> None:
        ended = m.EntryEnded(proposal_id=proposal, symbol=symbol, outcome=outcome, detail="")
        self._tell(ended, now)

    def _mark(self, bar: int, at_ns: int) -> None:
        """Tell the closes of a bar as marks, and when each moved last: a price at rest is frozen.

        Live the mark moves within a bar as well; so it counts as moved in every bar that has a
        range.
        """
        for place, symbol in enumerate(self._tape.symbols):
            table, moved = self._tape.bars[symbol], int(self._moved[place][bar])
            if moved != self._marked[place]:
                self._marked[place] = moved
                then = min(self.close_ns(moved) - _BEFORE_CLOSE_NS, at_ns)
                close = table[CLOSE, moved]
                other = table[LOW, moved] if table[LOW, moved] != close else table[HIGH, moved]
                self._tell_mark(symbol, other, then)
                self._tell_mark(symbol, close, then)
            self._tell_mark(symbol, table[CLOSE, bar], at_ns)

    def _tell_mark(self, symbol: str, price: float, at_ns: int) -> None:
        exact = self._tape.instruments[symbol].price_from_float(price)
        mark = m.MarkPrice(symbol=symbol, price=exact, event_ns=at_ns, last_price=exact)
        self._tell(mark, _at(at_ns))

    def _tell_returns(self, bar: int) -> None:
        number = self.close_ns(bar) // self._interval_ns - 1  # of this bar, since 1970
        for place, symbol in enumerate(self._tape.symbols):
            first = max(self._heard[place] + 1, bar + 1 - self._run_bars, 0)
            if first <= bar:
                closes = self._closes[place][first : bar + 1].tolist()
                self._risk.take_closes(symbol, number - (bar - first), closes)
                self._heard[place] = bar

    def _tell_rhythm(self, place: int, close_ns: int) -> None:
        rhythm = self._rhythms[place]
        number = close_ns // self._interval_ns
        first, recent, older = rhythm.before(int(rhythm.bars.searchsorted(number)))
        self._risk.take_rhythm(self._tape.symbols[place], first, recent, older)

    def _account(self, now: Moment, earned: Decimal | None = None) -> m.AccountSnapshot:
        book = self._risk.book
        margin = sum(
            (
                abs(p.quantity) * p.entry_price / self._risk.leverage_of(p.symbol)
                for p in book.positions.values()
            ),
            ZERO,
        )
        return m.AccountSnapshot(
            wallet_balance=self.wallet,
            available_balance=max(ZERO, self.wallet - margin),
            unrealized_pnl=book.unrealized(),
            margin=margin,
            at_ns=now.venue_ns,
            earned_today=earned,
            transfers_today=earned,
        )

    def _wallet(self, reason: str, change: Decimal, at_ns: int) -> m.AccountUpdate:
        return m.AccountUpdate(
            reason=reason, wallet_balance=self.wallet, balance_change=change, event_ns=at_ns
        )


_EMPTY_BOOK = m.RecoveredBook(
    epoch=1,
    intents=(),
    positions=(),
    entry_prices=(),
    last_trade_ids=(),
    day=None,
    state=None,
    peak_equity=ZERO,
)
_RECONCILED = m.Reconciled(reason="backtest", report=(), foreign_positions=0, foreign_orders=0)


def _at(ns: int) -> Moment:
    return Moment(venue_ns=ns, wall_ns=ns)


def _moved(tape: Tape, symbol: str) -> IntArray:
    """Return for every bar the last one, itself included, in which the price moved."""
    import numpy as np

    table = tape.bars[symbol]
    moved = table[HIGH] > table[LOW]
    moved[1:] |= table[CLOSE, 1:] != table[CLOSE, :-1]
    bars: IntArray = np.maximum.accumulate(np.where(moved, np.arange(len(tape)), 0))
    return bars
