"""The account: wallet, positions, margin; the only place where money moves.

One-way mode: one position per symbol, side `BOTH` (positions are keyed by symbol and side, so that
hedge mode is two more keys).  The wallet changes by realized profit, commission, funding and the
insurance fund only, each with its income row; isolated margin is a part of the wallet set aside.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from core.venue.simulated.errors import Rejection
from core.venue.simulated.ledger import CASH, ZERO, Ledger, Order, Trade
from core.venue.simulated.margin import liquidation_price, maintenance_margin
from core.venue.simulated.quotes import Quotes

ENTRY_PLACES = Decimal("0.000000000001")
SHORT_ASSUMPTION = Decimal("1.0015")  # a short is assumed to open up to 0.15 % higher
LEVERAGE_DEFAULT = 20


@dataclass(slots=True)
class Position:
    """A signed quantity at an average entry price."""

    symbol: str
    side: str = "BOTH"
    amount: Decimal = ZERO
    entry: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    realized: Decimal = ZERO
    fee_rate: Decimal = ZERO  # of the last opening fill, for the break-even price
    update_ms: int = 0

    def unrealized(self, mark: Decimal) -> Decimal:
        """Return the profit at a mark price, before fees."""
        return self.amount * (mark - self.entry)

    @property
    def break_even(self) -> Decimal:
        """Entry price moved by the fee paid to open."""
        direction = 1 if self.amount >= 0 else -1
        return self.entry * (1 + direction * self.fee_rate)


@dataclass(slots=True)
class SymbolSettings:
    """What a trader has chosen for a symbol."""

    leverage: int = LEVERAGE_DEFAULT
    isolated: bool = False


def cash(value: Decimal) -> Decimal:
    """Round to the 1e-8 that money is booked in."""
    return value.quantize(CASH, ROUND_HALF_EVEN)


class Account:
    """Wallet and positions over the ledger and the market."""

    def __init__(self, ledger: Ledger, quotes: Quotes, balance: Decimal) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self.wallet = cash(balance)
        self.positions = {symbol: Position(symbol) for symbol in quotes.symbols}
        self.settings = {symbol: SymbolSettings() for symbol in quotes.symbols}
        self.update_ms = quotes.now_ms
        ledger.add_income("", "TRANSFER", self.wallet, quotes.now_ms)
        ledger.add_balance(quotes.now_ms, self.wallet)

    # ------------------------------------------------------------------ figures
    @property
    def cross_wallet(self) -> Decimal:
        """Wallet less what is set aside for isolated positions."""
        return self.wallet - sum((p.isolated_wallet for p in self.positions.values()), ZERO)

    def held(self) -> list[Position]:
        """Return positions that are not flat, in symbol order."""
        return [position for position in self.positions.values() if position.amount]

    def unrealized(self, symbol: str) -> Decimal:
        """Return a position's profit at the mark price."""
        position = self.positions[symbol]
        return position.unrealized(self._quotes.mark(symbol)) if position.amount else ZERO

    def cross_unrealized(self) -> Decimal:
        """Return the profit of all cross positions at their marks."""
        held = [p.symbol for p in self.held() if not self.settings[p.symbol].isolated]
        return sum((self.unrealized(symbol) for symbol in held), ZERO)

    def notional(self, symbol: str) -> Decimal:
        """Return the signed position value at the mark price."""
        amount = self.positions[symbol].amount
        return amount * self._quotes.mark(symbol) if amount else ZERO

    def position_margin(self, symbol: str) -> Decimal:
        """Return the initial margin of the position: |notional at mark| / leverage."""
        return abs(self.notional(symbol)) / self.settings[symbol].leverage

    def maintenance(self, symbol: str) -> Decimal:
        """Return the maintenance margin of the position at its mark price."""
        notional = self.notional(symbol)
        if not notional:
            return ZERO
        return maintenance_margin(self._quotes.instruments[symbol], notional)

    def order_margin(self, symbol: str, extra: tuple[int, Decimal] | None = None) -> Decimal:
        """Return the initial margin that opening orders of a symbol need above the position's.

        `extra` is a further order as (sign, notional).  Buys and sells are not added up: the larger
        of the two exposures counts.
        """
        bids, asks = self.order_notionals(symbol)
        if extra is not None:
            sign, value = extra
            bids, asks = (bids + value, asks) if sign > 0 else (bids, asks + value)
        if not bids and not asks:
            return ZERO
        notional = self.notional(symbol)
        exposure = max(abs(notional), notional + bids, asks - notional)
        return (exposure - abs(notional)) / self.settings[symbol].leverage

    def order_notionals(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Return the notionals of resting opening buys and sells."""
        bids = asks = ZERO
        for order in self._ledger.open_orders(symbol):
            if order.reduce_only or order.close_position:
                continue
            if order.sign > 0:
                bids += order.remaining * order.price
            else:
                asks += order.remaining * order.price
        return bids, asks

    def available(self) -> Decimal:
        """Return what may back new positions; never negative."""
        used = sum((self.order_margin(symbol) for symbol in self.positions), ZERO)
        for position in self.held():
            if not self.settings[position.symbol].isolated:
                used += self.position_margin(position.symbol)
        return max(ZERO, self.cross_wallet + self.cross_unrealized() - used)

    def liquidation_price(self, symbol: str) -> Decimal:
        """Return the mark price at which the position is taken over; 0 for none."""
        position = self.positions[symbol]
        rules = self._quotes.instruments[symbol]
        wallet = position.isolated_wallet
        if not self.settings[symbol].isolated:
            wallet = self.cross_wallet + self.cross_unrealized() - self.unrealized(symbol)
            for other in self.held():
                if other.symbol != symbol and not self.settings[other.symbol].isolated:
                    wallet -= self.maintenance(other.symbol)
        return liquidation_price(rules, position.amount, position.entry, wallet)

    # ------------------------------------------------------------------ gates
    def check_opening(self, symbol: str, sign: int, quantity: Decimal, price: Decimal) -> None:
        """Refuse an order whose opening part the account cannot back.

        Raises -2027 past the bracket of the leverage, -2019 without the margin.
        """
        mark, last = self._quotes.mark(symbol), self._quotes.last(symbol)
        assumed = price if sign > 0 else max(last * SHORT_ASSUMPTION, mark, price)
        before = self.order_margin(symbol)
        needed = self.order_margin(symbol, (sign, quantity * assumed)) - before
        if needed <= 0:
            return
        leverage = self.settings[symbol].leverage
        exposure = abs(self.notional(symbol)) + (before + needed) * leverage
        if exposure > self._quotes.instruments[symbol].notional_cap_at(leverage):
            raise Rejection(-2027)
        open_loss = quantity * max(ZERO, sign * (price - mark))
        if needed + open_loss > self.available():
            raise Rejection(-2019)

    # ------------------------------------------------------------------ money
    def fill(self, order: Order, quantity: Decimal, price: Decimal, *, maker: bool) -> Trade:
        """Book one fill: position, realized profit, commission; returns the trade."""
        instrument = self._quotes.instruments[order.symbol]
        rate = instrument.maker_fee if maker else instrument.taker_fee
        now_ms = self._quotes.now_ms
        position = self.positions[order.symbol]
        signed = quantity * order.sign
        closed = ZERO
        if position.amount * signed < 0:
            closed = min(quantity, abs(position.amount))
        realized = cash(-order.sign * closed * (price - position.entry))
        self._reduce(position, closed * order.sign)
        self._increase(position, (quantity - closed) * order.sign, price, rate)
        position.realized += realized
        position.update_ms = now_ms
        trade = Trade(
            trade_id=self._ledger.next_trade_id(order.symbol),
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            quantity=quantity,
            price=price,
            commission=cash(quantity * price * rate),
            realized=realized,
            maker=maker,
            time_ms=now_ms,
        )
        self._ledger.add_trade(trade)
        self.book(order.symbol, "REALIZED_PNL", realized, str(trade.trade_id))
        self.book(order.symbol, "COMMISSION", -trade.commission, str(trade.trade_id))
        self._ledger.add_position(
            now_ms, order.symbol, position.side, position.amount, position.entry
        )
        return trade

    def _reduce(self, position: Position, signed: Decimal) -> None:
        if not signed:
            return
        left = position.amount + signed
        freed = position.isolated_wallet * abs(signed) / abs(position.amount)
        position.isolated_wallet = cash(position.isolated_wallet - freed) if left else ZERO
        position.amount = left
        if not left:
            position.entry = ZERO

    def _increase(self, position: Position, signed: Decimal, price: Decimal, rate: Decimal) -> None:
        if not signed:
            return
        total = position.amount + signed
        cost = position.amount * position.entry + signed * price
        position.entry = (cost / total).quantize(ENTRY_PLACES, ROUND_HALF_EVEN)
        position.amount = total
        position.fee_rate = rate
        settings = self.settings[position.symbol]
        if settings.isolated:
            wanted = cash(abs(signed) * price / settings.leverage)
            position.isolated_wallet += min(wanted, max(ZERO, self.cross_wallet))

    def book(self, symbol: str, kind: str, amount: Decimal, trade_id: str = "") -> None:
        """Move the wallet and note why; zero amounts leave no row."""
        if not amount:
            return
        now_ms = self._quotes.now_ms
        self.wallet += amount
        self.update_ms = now_ms
        self._ledger.add_income(symbol, kind, amount, now_ms, trade_id)
        self._ledger.add_balance(now_ms, self.wallet)

    def settle_funding(self, symbol: str, rate: Decimal) -> bool:
        """Pay or receive funding on a held position: −amount · mark · rate; False when flat."""
        position = self.positions[symbol]
        if not position.amount:
            return False
        payment = cash(-self.notional(symbol) * rate)
        if self.settings[symbol].isolated:
            position.isolated_wallet += payment
        self.book(symbol, "FUNDING_FEE", payment)
        return True

    # ------------------------------------------------------------------ liquidation
    def doomed(self) -> list[str]:
        """Return the positions that the risk engine takes over now, worst maintenance first."""
        found = []
        cross = []
        for position in self.held():
            symbol = position.symbol
            if not self.settings[symbol].isolated:
                cross.append(symbol)
            elif position.isolated_wallet + self.unrealized(symbol) <= self.maintenance(symbol):
                found.append(symbol)
        if cross:
            needed = sum((self.maintenance(symbol) for symbol in cross), ZERO)
            if self.cross_wallet + self.cross_unrealized() <= needed:
                found += sorted(cross, key=self.maintenance, reverse=True)[:1]
        return found

    def can_be_doomed(self, extremes: dict[str, tuple[Decimal, Decimal]]) -> bool:
        """Tell whether any path of marks within (low, high) per symbol may liquidate something.

        Conservative: every position is put at its worst price at once, at twice its maintenance.
        """
        cross_margin, any_cross = self.cross_wallet, False
        for position in self.held():
            symbol = position.symbol
            low, high = extremes[symbol]
            worst = low if position.amount > 0 else high
            rules = self._quotes.instruments[symbol]
            need = 2 * maintenance_margin(rules, abs(position.amount) * high)
            if self.settings[symbol].isolated:
                if position.isolated_wallet + position.unrealized(worst) <= need:
                    return True
            else:
                cross_margin += position.unrealized(worst) - need
                any_cross = True
        return any_cross and cross_margin <= 0
