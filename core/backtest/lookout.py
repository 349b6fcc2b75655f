"""What the screen is to watch for, as risk stands now; nothing else may be passed by unasked."""

import numpy as np

from core.backtest.books import Books
from core.backtest.desk import Desk
from core.backtest.screen import (
    BUDGET,
    EXIT_COST,
    LEAST_NOTIONAL,
    LEAST_QUANTITY,
    LOSS,
    STEP,
    Watch,
)
from core.backtest.tape import Tape
from core.messages import TradingState
from core.risk.day import base_of
from core.risk.latches import DAY_LOSS, DAY_LOSS_SOFT, DRAWDOWN, causes
from core.risk.machine import RiskMachine
from core.risk.policy import Policies, RiskPolicy
from core.risk.sizing import ZERO

_NEARLY = 1e-9  # of equity: what floats may be off; risk decides exactly


class Lookout:
    """Keeps a screen's `watch` in step with risk, desk and books."""

    def __init__(
        self, tape: Tape, policies: Policies, risk: RiskMachine, desk: Desk, books: Books
    ) -> None:
        self.watch = Watch.of(len(tape.symbols))
        self._symbols = tape.symbols
        self._risk, self._desk, self._books = risk, desk, books
        self._account: RiskPolicy = policies.for_symbol(tape.symbols[0])
        if self._account.BUDGET_USES_GAINS:
            self.watch.at_stop_min = -np.inf
        for place, symbol in enumerate(tape.symbols):
            rules, policy = tape.instruments[symbol], policies.for_symbol(symbol)
            limits, orders = risk.limits_of(symbol), self.watch.orders
            orders[EXIT_COST, place] = float(limits.exit_cost)
            orders[LOSS, place] = float(limits.loss_per_notional)
            orders[STEP, place] = float(rules.step)
            orders[LEAST_QUANTITY, place] = float(rules.quantity_min)
            orders[LEAST_NOTIONAL, place] = float(rules.min_notional) * policy.MIN_NOTIONAL_MULT

    def refresh(self) -> None:
        """Tell the screen what is held, who may be asked, and which equity risk waits for."""
        watch = self.watch
        watch.wallet = float(self._desk.wallet)
        watch.peak = max(watch.peak, float(self._risk.book.peak))
        for place, symbol in enumerate(self._symbols):
            held = self._books.held.get(place)
            if held is None:
                watch.held[place] = 0.0
            elif watch.held[place] == 0.0:
                watch.held[place] = float(held.side.sign * held.quantity)
                watch.entry[place] = float(held.entry_price)
                watch.stop[place] = float(held.stop)
                watch.target[place] = float(held.target)
                watch.liquidation[place] = float(held.liquidation)
            if held is not None:  # midnight gives it another base
                base = base_of(self._risk.book.day, symbol, held.entry_price)
                watch.at_stop[place] = float(held.side.sign * held.quantity * (base - held.stop))
        self._see_who_may_be_asked()
        account = causes(self._risk.state)
        watch.low_equity = self._low_equity(account)
        watch.kept = 0.0
        if DRAWDOWN not in account:
            watch.kept = (1 - self._account.MAX_DRAWDOWN) * (1 + _NEARLY)

    def _see_who_may_be_asked(self) -> None:
        book, account = self._risk.book, self._account
        open_now = self._risk.trading_state is TradingState.ACTIVE and (
            book.slots_used() < account.MAX_OPEN_POSITIONS
            and (book.day is None or book.day.entries < account.MAX_ENTRIES_DAY)
        )
        latched = self._risk.symbol_states
        for place, symbol in enumerate(self._symbols):
            self.watch.may_ask[place] = open_now and symbol not in latched
        self.watch.orders[BUDGET] = self._day_budget()

    def _day_budget(self) -> float:
        """Return what may still be lost today if nothing is held; inf where nobody asks that."""
        book = self._risk.book
        if book.day is None or self._account.SIZING_MODE == "literal":
            return np.inf
        limits = self._risk.limits_of(self._symbols[0])
        reserved = sum((r.reservation.risk for r in book.reserved.values()), ZERO)
        return float(limits.day_limit - limits.lost_today - reserved)

    def _low_equity(self, account: tuple[str, ...]) -> float:
        """Return the equity at which the day's loss latches something next."""
        day, limit = self._risk.book.day, float(self._risk.day_limit())
        if day is None or DAY_LOSS in account:
            return -np.inf
        part = self._account.HALT_AT
        if DAY_LOSS_SOFT not in account:
            part = min(part, self._account.SOFT_LOSS_AT)
        level = float(day.equity_start + day.transfers) - limit * part
        return level + _NEARLY * abs(level)
