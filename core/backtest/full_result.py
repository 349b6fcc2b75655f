"""What a full run found, read from the exchange's own ledger and the bot's own journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core import messages as m
from core.backtest.full_exchange import BarExchange
from core.backtest.full_market import OPENED_MS
from core.backtest.result import ExitReason, Trade
from core.backtest.tape import Tape
from core.messages import Purpose
from core.venue.simulated import ledger as book
from core.words import Side

ZERO = Decimal(0)
END_ID = "end"  # client id of the orders that close what the tape's end leaves open

_REASONS = {
    Purpose.STOP: ExitReason.STOP,
    Purpose.TARGET: ExitReason.TARGET,
    Purpose.EXIT: ExitReason.SIGNAL,
}


@dataclass(slots=True)
class _Open:
    """A round trip under way."""

    entry: book.Trade
    intent: m.Intent
    funding: Decimal = ZERO


class Reader:
    """Pairs entries and exits; `intents` is the journal by client id."""

    def __init__(self, tape: Tape, exchange: BarExchange, intents: Mapping[str, m.Intent]) -> None:
        self._tape = tape
        self._ledger = exchange.ledger
        self._intents = intents
        self._places = {symbol: place for place, symbol in enumerate(tape.symbols)}
        self._triggers: dict[tuple[str, Purpose], Decimal] = {}
        for intent in intents.values():
            if intent.purpose is Purpose.STOP:
                self._triggers[intent.proposal_id, Purpose.STOP] = intent.stop_price
            elif intent.purpose is Purpose.TARGET:
                self._triggers[intent.proposal_id, Purpose.TARGET] = intent.target_price

    def trades(self) -> tuple[Trade, ...]:
        """Return the round trips in the order a backtest lists them: by bar, signals first."""
        open_now: dict[str, _Open] = {}
        found: list[Trade] = []
        funding = [row for row in self._ledger.income if row.kind == "FUNDING_FEE"]
        rows: list[book.Trade | book.Income] = sorted(
            [*funding, *self._ledger.trades], key=lambda row: row.time_ms
        )
        for row in rows:
            if isinstance(row, book.Income):
                open_now[row.symbol].funding += row.amount
            elif row.symbol in open_now:
                found.append(self._closed(open_now.pop(row.symbol), row))
            else:
                open_now[row.symbol] = _Open(row, self._intents[self._name(row)])
        return tuple(sorted(found, key=self._rank))

    def _name(self, trade: book.Trade) -> str:
        order = self._ledger.order(trade.symbol, trade.order_id, None)
        assert order is not None
        return order.client_order_id

    def _closed(self, held: _Open, leave: book.Trade) -> Trade:
        entry = held.entry
        name, proposal = self._name(leave), held.intent.proposal_id
        if name in self._intents:
            reason = _REASONS[self._intents[name].purpose]
        else:
            reason = ExitReason.END if name.startswith(END_ID) else ExitReason.LIQUIDATION
        bar, exit_ms = self._placed(leave.time_ms, at_end=reason is ExitReason.END)
        fees = entry.commission + leave.commission
        return Trade(
            symbol=entry.symbol,
            side=Side(entry.side),
            quantity=entry.quantity,
            entry_ms=entry.time_ms,
            entry_price=entry.price,
            exit_ms=exit_ms,
            exit_price=leave.price,
            pnl=leave.realized - fees + held.funding,
            fees=fees,
            funding=held.funding,
            exit_reason=reason,
            entry_bar=self._bar(entry.time_ms),
            exit_bar=bar,
            proposal_id=proposal,
            stop_price=self._triggers[proposal, Purpose.STOP],
            target_price=self._triggers[proposal, Purpose.TARGET],
        )

    def _bar(self, time_ms: int) -> int:
        return int(self._tape.open_ms.searchsorted(time_ms, side="right")) - 1

    def _placed(self, time_ms: int, *, at_end: bool) -> tuple[int, int]:
        """Return the bar of an exit and the time it is given: the bar's open or its middle."""
        if at_end:
            return len(self._tape) - 1, time_ms
        bar = self._bar(time_ms)
        open_ms, interval_ms = int(self._tape.open_ms[bar]), self._tape.interval_ms
        within = time_ms > open_ms + OPENED_MS
        return bar, open_ms + (interval_ms // 2 if within else 0)

    def _rank(self, trade: Trade) -> tuple[int, int, int]:
        kind = {ExitReason.SIGNAL: 0, ExitReason.END: 2}.get(trade.exit_reason, 1)
        return trade.exit_bar, kind, self._places[trade.symbol]
