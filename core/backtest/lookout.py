"""What the screen is to watch for, as risk stands now; nothing else may be passed by unasked."""

from decimal import Decimal

import numpy as np

from core.backtest.books import Books
from core.backtest.desk import Desk
from core.backtest.screen import Watch
from core.backtest.tape import Tape
from core.messages import TradingState
from core.risk.latches import DAY_LOSS, DAY_LOSS_SOFT, DRAWDOWN, causes
from core.risk.machine import RiskMachine
from core.risk.policy import Policies, RiskPolicy
from core.risk.sizing import day_budget

_NEARLY = 1e-9  # of equity or notional: what floats may be off; risk decides exactly


class Lookout:
    """Keeps a screen's `watch` in step with risk, desk and books."""

    def __init__(
        self, tape: Tape, policies: Policies, risk: RiskMachine, desk: Desk, books: Books
    ) -> None:
        self.watch = Watch.of(len(tape.symbols))
        self._symbols = tape.symbols
        self._risk, self._desk, self._books = risk, desk, books
        self._account: RiskPolicy = policies.for_symbol(tape.symbols[0])
        self._least = [
            float(tape.instruments[symbol].min_notional)
            * policies.for_symbol(symbol).MIN_NOTIONAL_MULT
            * (1 - _NEARLY)
            for symbol in tape.symbols
        ]

    def refresh(self) -> None:
        """Tell the screen what is held, who may be asked, and which equity risk waits for."""
        watch = self.watch
        watch.wallet = float(self._desk.wallet)
        watch.peak = max(watch.peak, float(self._risk.book.peak))
        for place in range(len(self._symbols)):
            held = self._books.held.get(place)
            if held is None:
                watch.held[place] = 0.0
            elif watch.held[place] == 0.0:
                watch.held[place] = float(held.side.sign * held.quantity)
                watch.entry[place] = float(held.entry_price)
                watch.stop[place] = float(held.stop)
                watch.target[place] = float(held.target)
                watch.liquidation[place] = float(held.liquidation)
        self._see_who_may_be_asked()
        account = causes(self._risk.state)
        watch.low_equity = self._low_equity(account)
        watch.kept = 0.0
        if DRAWDOWN not in account:
            watch.kept = (1 - self._account.MAX_DRAWDOWN) * (1 + _NEARLY)

    def _see_who_may_be_asked(self) -> None:
        """Spare risk the questions whose answer is no until a fill, a settlement or a day.

        They are: nothing may be opened at all, and a day's budget that leaves less than the venue's
        smallest order.  Up to its exit the mark of a position lies between its stop and target, so
        the lower of them bounds what its exit costs, and with it what others leave of the budget.
        """
        book, account = self._risk.book, self._account
        open_now = self._risk.trading_state is TradingState.ACTIVE and (
            book.slots_used() < account.MAX_OPEN_POSITIONS
            and (book.day is None or book.day.entries < account.MAX_ENTRIES_DAY)
        )
        latched = self._risk.symbol_states
        lowest = {held.symbol: min(held.stop, held.target) for held in self._books.held.values()}
        for place, symbol in enumerate(self._symbols):
            self.watch.may_ask[place] = (
                open_now
                and place not in self._books.held
                and symbol not in latched
                and self._budget_leaves_an_order(place, lowest)
            )

    def _budget_leaves_an_order(self, place: int, lowest: dict[str, Decimal]) -> bool:
        symbol, book = self._symbols[place], self._risk.book
        if book.day is None or self._account.SIZING_MODE == "literal":  # it knows no budget
            return True
        limits = self._risk.limits_of(symbol)
        leverage = {held: self._risk.leverage_of(held) for held in lowest}
        exposure = book.exposure(leverage, limits.exit_cost, lowest)
        room = day_budget(exposure, limits) / limits.loss_per_notional
        return float(room) >= self._least[place]

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
