"""The backtest in full fidelity: every bar through the bot's own machines and its exchange.

One queue delivers by `core/routes.py`, as every runtime does; the gateway's place is taken by the
exchange itself, the database's by a nod.  A round at a bar's close, all of it at one moment:

1. just before, risk and execution hear the closes as marks, and look at what they know;
2. the bar ends: a new day begins, funding is settled, the next bar opens;
3. every symbol hears its candle; what it wishes is decided, journalled, sent and filled at that
   open, and protected, before the next bar runs on.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core import messages as m
from core.backtest.books import Books
from core.backtest.full_exchange import BarExchange
from core.backtest.full_gateway import Command, FullGateway
from core.backtest.full_market import BarPrices
from core.backtest.full_result import END_ID, Reader
from core.backtest.result import BacktestResult
from core.backtest.run import BacktestSettings, Costs, halt_of
from core.backtest.tape import CLOSE, HIGH, LOW, Tape
from core.clock import NS_PER_DAY, NS_PER_MS, NS_PER_S, Moment
from core.execution.machine import ExecutionMachine
from core.feed.machine import FeedMachine
from core.risk.machine import RiskMachine
from core.routes import GATEWAY_ROUTES, ROUTES, Room
from core.symbol.machine import SymbolMachine
from core.venue.simulated.exchange import Exchange

_GENERATION = 1
_EPOCH = 1
_HOUR_NS = 3_600 * NS_PER_S
_WISHES = (m.Proposal, m.ExitProposal)
_EMPTY_BOOK = m.RecoveredBook(
    epoch=_EPOCH,
    intents=(),
    positions=(),
    entry_prices=(),
    last_trade_ids=(),
    day=None,
    state=None,
    peak_equity=Decimal(0),
)


def run_full(
    tape: Tape,
    settings: BacktestSettings,
    *,
    symbols: Mapping[str, SymbolMachine],
    risk: RiskMachine,
    execution: ExecutionMachine,
    start: int,
    warmup: int,
    filled_bars: Mapping[str, int] | None = None,
    predicted_by: Mapping[str, Mapping[str, int]] | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> BacktestResult:
    """Trade bars `start` to the end of a tape with the machines given, built for its instruments.

    `warmup`: bars that the symbols get as history before they hear one by one; the rest as in
    `core.backtest.run.run_backtest`, whose trades these are (docs/backtest.md).
    """
    wallet = Decimal(str(settings.VENUE_BALANCE))
    costs = {symbol: Costs.of(settings.for_symbol(symbol)) for symbol in tape.symbols}
    prices = BarPrices(tape, first=start, fees={s: one.fee for s, one in costs.items()})
    exchange = BarExchange(prices, balance=wallet, costs=costs)
    run = FullRun(
        tape,
        exchange,
        symbols=symbols,
        risk=risk,
        execution=execution,
        start=start,
        warmup=warmup,
    )
    run.play(done)
    trades = Reader(tape, exchange, run.intents).trades()
    return BacktestResult(
        symbols=tape.symbols,
        interval_ms=tape.interval_ms,
        start_equity=wallet,
        trades=trades,
        open_ms=tape.open_ms[start:],
        equity=Books(trades=list(trades)).equity(tape, start, wallet),
        signals=run.signals,
        refusals=dict(sorted(run.refusals.items())),
        halts=tuple(halt_of(one) for one in run.halts),
        filled_bars=dict(filled_bars or {}),
        predicted_by=dict(predicted_by or {}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the machines hear of the market; other values than these are for the venue's replays."""

    look_ns: int = NS_PER_MS  # so long before a close everybody looks at its marks
    marks_at_close: bool = True  # heard once more by whoever is asked at the close
    working_type: str = "CONTRACT_PRICE"  # the price that stops and targets look at


class FullRun:
    """Plays one tape from bar `start` on; the bars before warm the symbols up.

    The exchange plays the tape's bars, whatever its paths and its book are.
    """

    def __init__(
        self,
        tape: Tape,
        exchange: Exchange,
        *,
        symbols: Mapping[str, SymbolMachine],
        risk: RiskMachine,
        execution: ExecutionMachine,
        start: int,
        warmup: int,
        pace: Pace | None = None,
    ) -> None:
        """`warmup`: bars that the symbols are given as history before they hear one by one."""
        self._pace = pace or Pace()
        self.intents: dict[str, m.Intent] = {}  # the order journal, by client id
        self.halts: list[m.StateChanged] = []
        self.refusals: dict[str, int] = {}
        self.signals = dict.fromkeys(tape.symbols, 0)
        self._tape = tape
        self._exchange = exchange
        self._symbols = symbols
        self._risk = risk
        self._execution = execution
        self._start = start
        self._warmup = warmup
        self._feed = FeedMachine(tape.symbols)
        self._gateway = FullGateway(exchange, self._pace.working_type)
        self._queue: deque[tuple[Room, Any]] = deque()
        self._interval_ns = tape.interval_ms * NS_PER_MS
        self._marks_before: dict[str, Decimal] = {}
        self._rooms: dict[Room, Callable[[Any, Moment], Iterable[object]]] = {
            Room.FEED: self._feed.handle,
            Room.SYMBOL: lambda message, now: symbols[message.symbol].handle(message, now),
            Room.RISK: risk.handle,
            Room.EXECUTION: execution.handle,
            Room.PERSISTENCE: self._journal,
            Room.GATEWAY: lambda command, _now: self._ask_exchange(command),
            Room.SUPERVISOR: lambda _message, _now: (),
        }

    def play(self, done: Callable[[int], None] = lambda _: None) -> None:
        """Play the tape to its end; `done` is told every bar that was played."""
        self._warm_up()
        last = len(self._tape) - 1
        for bar in range(self._start, len(self._tape)):
            self._look(bar)
            self._begin_day(bar)
            if bar < last:
                self._close(bar)
            done(bar)
        for symbol in self._tape.symbols:  # the last close is counted, and decides nothing
            self._count(self._hear(symbol, last))
        self._leave()

    def _leave(self) -> None:
        """Close at the last close what the tape leaves open."""
        self._exchange.advance(tape_ms(self._close_ns(len(self._tape) - 1)))
        for position in self._exchange.account.held():
            order = m.PlaceOrder(
                client_id=f"{END_ID}-{position.symbol}",
                symbol=position.symbol,
                purpose=m.Purpose.EXIT,
                side=m.Side.SELL if position.amount > 0 else m.Side.BUY,
                quantity=abs(position.amount),
                reduce_only=True,
            )
            self._gateway.handle(order)

    # ------------------------------------------------------------------ rounds
    def _warm_up(self) -> None:
        """Let the symbols learn the bars before the start; nothing they wish is heard."""
        tape = self._tape
        for symbol, machine in self._symbols.items():
            now = _at(self._close_ns(self._warmup - 1))
            machine.start(now)
            history = m.KlineHistory(
                symbol=symbol, candles=tuple(self._candles(symbol, 0, self._warmup))
            )
            machine.handle(history, now)
            self._risk.handle(history, now)
            for bar in range(self._start):
                at_ns = self._close_ns(bar) - self._pace.look_ns
                close = self._price(symbol, CLOSE, bar)
                self._tell_mark(symbol, bar, close, _at(at_ns))
            for candle in self._candles(symbol, self._warmup, self._start):
                closed = m.ClosedKline(
                    symbol=symbol, candle=candle, event_ns=candle.open_time_ns + self._interval_ns
                )
                machine.handle(closed, _at(closed.event_ns))
                self._risk.handle(closed, _at(closed.event_ns))
        before_ns = self._close_ns(self._start) - self._pace.look_ns
        self._exchange.advance(tape_ms(before_ns))
        now = _at(before_ns)
        self._post(_EMPTY_BOOK)
        for symbol in tape.symbols:
            name = f"{Room.SYMBOL.value}/{symbol}"
            self._post(m.ActorStarted(name=name, symbol=symbol, generation=_GENERATION))
        self._deliver(now)

    def _look(self, bar: int) -> None:
        """Bring a bar to its end and have risk and execution look at where it closes."""
        before_ns = self._close_ns(bar) - self._pace.look_ns
        now = _at(before_ns)
        self._exchange.advance(tape_ms(before_ns))
        self._listen()
        risk, brackets = self._risk, self._execution.brackets
        for symbol in self._tape.symbols:
            mark = self._tell_mark(symbol, bar, self._exchange.quotes.mark(symbol), now)
            if symbol in brackets:
                self._after(self._execution.handle(mark, now), now)
        self._after(risk.handle(m.Tick(), now), now)
        if brackets or self._close_ns(bar) % _HOUR_NS == 0:
            self._after(self._execution.handle(m.Tick(), now), now)

    def _begin_day(self, bar: int) -> None:
        """Have risk look once more where a day begins: before anything of the new one happens."""
        now = _at(self._close_ns(bar))
        if now.venue_ns % NS_PER_DAY == 0 or bar == self._start:
            self._after(self._risk.handle(m.Tick(), now), now)

    def _close(self, bar: int) -> None:
        """Close a bar, and let everybody do what follows at the next one's open."""
        close_ns = self._close_ns(bar)
        now = _at(close_ns)
        self._exchange.advance(tape_ms(close_ns))
        self._listen()
        wishes: list[object] = []
        for symbol in self._tape.symbols:
            wishes += self._count(self._hear(symbol, bar))
        if not wishes:
            return
        self._risk.handle(self._gateway.account(), now)
        if self._pace.marks_at_close:
            for symbol in self._tape.symbols:
                price = self._exchange.quotes.mark(symbol)
                self._risk.handle(_mark(symbol, price, close_ns), now)
        self._after(wishes, now)

    def _hear(self, symbol: str, bar: int) -> Iterable[object]:
        (candle,) = self._candles(symbol, bar, bar + 1)
        close_ns = self._close_ns(bar)
        closed = m.ClosedKline(symbol=symbol, candle=candle, event_ns=close_ns)
        now = _at(close_ns)
        self._risk.handle(closed, now)
        return self._symbols[symbol].handle(closed, now)

    def _count(self, outs: Iterable[object]) -> list[object]:
        """Return what a symbol wishes, and count it."""
        wishes = [out for out in outs if isinstance(out, _WISHES)]
        for wish in wishes:
            self.signals[wish.symbol] += 1
        return list(wishes)

    # ------------------------------------------------------------------ delivery
    def _post(self, message: object) -> None:
        self._queue += [(room, message) for room in ROUTES[type(message)]]

    def _after(self, outs: Iterable[object], now: Moment) -> None:
        for out in outs:
            self._post(out)
        if self._queue:
            self._deliver(now)

    def _deliver(self, now: Moment) -> None:
        """Deliver in the order of asking, until nobody has anything more to say."""
        while self._queue:
            room, message = self._queue.popleft()
            for out in self._rooms[room](message, now):
                self._post(out)

    def _listen(self) -> None:
        """Hear what the exchange did by itself, each event at its own time."""
        for event in self._gateway.heard():
            self._after(self._feed.handle(event, _NEVER), _at(event.event_ns))

    def _ask_exchange(self, command: Command) -> Iterable[object]:
        """Hand a command to the exchange; its answer comes before its events."""
        for answer in self._gateway.handle(command):
            self._queue += [(room, answer) for room in GATEWAY_ROUTES[type(answer)]]
        for event in self._gateway.heard():
            self._queue.append((Room.FEED, event))
        return ()

    def _journal(self, message: Any, now: Moment) -> Iterable[object]:  # noqa: ARG002
        """Nod where the database would: at once."""
        match message:
            case m.RecordIntent():
                self.intents[message.intent.client_id] = message.intent
                if message.awaited:
                    return (m.IntentRecorded(client_id=message.intent.client_id, epoch=_EPOCH),)
            case m.StateChanged():
                self.halts.append(message)
                return (m.StateRecorded(state=message),)
            case m.Decision(approved=False, reason_code=code):
                self.refusals[code] = self.refusals.get(code, 0) + 1
        return ()

    # ------------------------------------------------------------------ the tape's words
    def _close_ns(self, bar: int) -> int:
        return int(self._tape.open_ms[bar]) * NS_PER_MS + self._interval_ns

    def _candles(self, symbol: str, first: int, end: int) -> Iterable[m.Candle]:
        times = self._tape.open_ms[first:end].tolist()
        rows = self._tape.bars[symbol][:, first:end].T.tolist()
        for open_ms, (opened, high, low, close, volume, taker) in zip(times, rows, strict=True):
            yield m.Candle(
                open_time_ns=open_ms * NS_PER_MS,
                open=opened,
                high=high,
                low=low,
                close=close,
                volume=volume,
                taker_buy_volume=taker,
            )

    def _tell_mark(self, symbol: str, bar: int, price: Decimal, now: Moment) -> m.MarkPrice:
        """Tell risk a bar's mark, after another price where only that shows that it moved."""
        table = self._tape.bars[symbol]
        mark = _mark(symbol, price, now.venue_ns)
        before = self._marks_before.get(symbol)
        self._marks_before[symbol] = price
        if price == before and table[HIGH, bar] > table[LOW, bar]:
            low = self._price(symbol, LOW, bar)
            other = low if low != price else self._price(symbol, HIGH, bar)
            self._risk.handle(_mark(symbol, other, now.venue_ns), now)
        self._risk.handle(mark, now)
        return mark

    def _price(self, symbol: str, row: int, bar: int) -> Decimal:
        value = float(self._tape.bars[symbol][row, bar])
        return self._tape.instruments[symbol].price_from_float(value)


def _mark(symbol: str, price: Decimal, at_ns: int) -> m.MarkPrice:
    return m.MarkPrice(symbol=symbol, price=price, event_ns=at_ns, last_price=price)


def _at(ns: int) -> Moment:
    return Moment(venue_ns=ns, wall_ns=ns)


def tape_ms(ns: int) -> int:
    """Return nanoseconds as the exchange's milliseconds."""
    return ns // NS_PER_MS


_NEVER = _at(0)
