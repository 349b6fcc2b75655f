"""The second line before an entry leaves: trading state and size, checked again where it is sent.

Risk has decided all of this already.  Here it is decided once more from other numbers, so that one
corrupted size or one lost halt in risk opens nothing.
"""

from decimal import Decimal

from core import messages as m
from core.execution.settings import ExecutionSettings
from core.messages import TradingState
from core.venue.instrument import Instrument

_ZERO = Decimal(0)
# The equity known here is that of the last snapshot: risk's is newer, so it may be a little more.
_STALE_EQUITY = Decimal("1.05")
CONDITIONALS_MAX = 200  # of the account, the venue's limit
_OF_A_BRACKET = 2


class Gate:
    """Holds the trading states as risk told them, and the account's last known equity."""

    def __init__(self, settings: ExecutionSettings, instruments: dict[str, Instrument]) -> None:
        self.equity: Decimal | None = None
        self.conditionals = 0  # open on the account, whoever placed them
        self._settings = settings
        self._instruments = instruments
        self._states: dict[str, m.StateChanged] = {}  # by symbol; "" is the account's

    def begin(self, book: m.RecoveredBook) -> None:
        """Take over what is stored; what risk told since is newer."""
        for state in (book.state, *book.symbol_states):
            if state is not None:
                self.note(state)

    def note(self, changed: m.StateChanged) -> None:
        """Hear of a trading state; an older one than the one known is history."""
        known = self._states.get(changed.symbol)
        if known is None or changed.at_ns >= known.at_ns:
            self._states[changed.symbol] = changed

    def note_account(self, account: m.AccountSnapshot) -> None:
        """Learn what the account is worth."""
        self.equity = account.wallet_balance + account.unrealized_pnl

    def must_flatten(self, symbol: str = "") -> str:
        """Say why every position (of a symbol) must be closed; empty if it need not."""
        for scope in dict.fromkeys(("", symbol)):
            state = self._states.get(scope)
            if state is not None and state.state is TradingState.FLATTEN:
                return f"FLATTEN: {state.reason}"
        return ""

    def closed(self, symbol: str) -> str:
        """Say what forbids entries of a symbol; empty if nothing does."""
        for scope in ("", symbol):
            state = self._states.get(scope)
            if state is not None and state.state is not TradingState.ACTIVE:
                return f"trading state is {state.state}: {state.reason}"
        return ""

    def too_large(self, symbol: str, quantity: Decimal, price: Decimal) -> str:
        """Say which limit an entry breaks; empty if none.  An unknown limit is a broken one."""
        instrument = self._instruments.get(symbol)
        if instrument is None or self.equity is None:
            return "its limits are not known"
        if not quantity.is_finite() or quantity <= _ZERO or not price.is_finite():
            return f"{quantity} at {price} is no order"
        if quantity > instrument.market_quantity_max:
            return f"quantity {quantity:f} > {instrument.market_quantity_max:f}, the venue's most"
        largest = self._settings.order_quantity_max(symbol)
        if largest is not None and quantity > largest:
            return f"quantity {quantity:f} > {largest:f}, MAX_ORDER_QTY"
        most = self._settings.order_notional_max(symbol) * max(self.equity, _ZERO) * _STALE_EQUITY
        if quantity * price > most:
            return f"notional {quantity * price:.2f} > {most:.2f}, MAX_ORDER_NOTIONAL_X"
        if self.conditionals + _OF_A_BRACKET > CONDITIONALS_MAX:
            return f"{self.conditionals} conditional orders of {CONDITIONALS_MAX} are open"
        return ""
