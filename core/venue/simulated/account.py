"""The account: wallet, positions, margin; the only place where money moves.

A symbol has one position BOTH, in hedge mode LONG and SHORT instead.  The wallet changes by
realized profit, commission, funding and the insurance fund only, each with its income row; isolated
margin is a part of the wallet set aside.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal

from core.venue.simulated.errors import Rejection
from core.venue.simulated.ledger import ZERO, Ledger, Order, Trade
from core.venue.simulated.margin import joint_liquidation_price, maintenance_margin
from core.venue.simulated.positions import POSITION_SIDES, Position, SymbolSettings, cash
from core.venue.simulated.quotes import Quotes

SHORT_ASSUMPTION = Decimal("1.0015")  # a short is assumed to open up to 0.15 % higher


class Account:
    """Wallet and positions over the ledger and the market."""

    def __init__(self, ledger: Ledger, quotes: Quotes, balance: Decimal) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self.wallet = cash(balance)
        self.dual_side = False  # hedge mode
        self.multi_assets = False
        self.positions = {symbol: Position(symbol) for symbol in quotes.symbols}
        self._sides: dict[tuple[str, str], Position] = {
            (symbol, "BOTH"): position for symbol, position in self.positions.items()
        }
        self._held: dict[tuple[int, str], Position] = {}
        self.settings = {symbol: SymbolSettings() for symbol in quotes.symbols}
        self.update_ms = quotes.now_ms
        ledger.add_income("", "TRANSFER", self.wallet, quotes.now_ms)
        ledger.add_balance(quotes.now_ms, self.wallet)

    # ------------------------------------------------------------------ positions
    def position(self, symbol: str, side: str = "BOTH") -> Position:
        """Return a symbol's position of a side, flat or not."""
        found = self._sides.get((symbol, side))
        if found is None:
            found = self._sides[symbol, side] = Position(symbol, side)
        return found

    def sides(self, symbol: str) -> list[Position]:
        """Return the positions that the present mode has: BOTH, or LONG and SHORT."""
        names = POSITION_SIDES[1:] if self.dual_side else POSITION_SIDES[:1]
        return [self.position(symbol, name) for name in names]

    def held(self, symbol: str | None = None) -> list[Position]:
        """Return positions that are not flat, in symbol order."""
        rows = [self._held[key] for key in sorted(self._held)]
        return rows if symbol is None else [row for row in rows if row.symbol == symbol]

    def is_held(self, symbol: str) -> bool:
        """Tell whether the symbol has a position of any side."""
        rank = self._quotes.rank[symbol]
        return any((rank, side) in self._held for side in POSITION_SIDES)

    @contextmanager
    def showing(self, past: Mapping[tuple[str, str], tuple[Decimal, Decimal]]) -> Iterator[None]:
        """Hold other amounts and entry prices by symbol and side while a query is answered.

        What is not named is flat; the isolated margin stays.
        """
        held = self._held
        present = [(position, position.amount, position.entry) for position in self._sides.values()]
        for position, _, _ in present:
            key = (position.symbol, position.side)
            position.amount, position.entry = past.get(key, (ZERO, ZERO))
        rank = self._quotes.rank
        self._held = {(rank[p.symbol], p.side): p for p, _, _ in present if p.amount}
        try:
            yield
        finally:
            self._held = held
            for position, amount, entry in present:
                position.amount, position.entry = amount, entry

    def is_isolated(self, position: Position) -> bool:
        """Tell whether a position stands on its own margin."""
        return self.settings[position.symbol].isolated

    # ------------------------------------------------------------------ figures
    @property
    def cross_wallet(self) -> Decimal:
        """Wallet less what is set aside for isolated positions."""
        return self.wallet - sum((row.isolated_wallet for row in self._held.values()), ZERO)

    def profit(self, position: Position) -> Decimal:
        """Return a position's profit at the mark price."""
        if not position.amount:
            return ZERO
        return position.unrealized(self._quotes.mark(position.symbol))

    def cross_unrealized(self) -> Decimal:
        """Return the profit of all cross positions at their marks."""
        cross = [row for row in self.held() if not self.is_isolated(row)]
        return sum((self.profit(row) for row in cross), ZERO)

    def notional(self, position: Position) -> Decimal:
        """Return the signed position value at the mark price."""
        amount = position.amount
        return amount * self._quotes.mark(position.symbol) if amount else ZERO

    def position_margin(self, position: Position) -> Decimal:
        """Return the initial margin of a position: |notional at mark| / leverage."""
        return abs(self.notional(position)) / self.settings[position.symbol].leverage

    def maintenance(self, position: Position) -> Decimal:
        """Return the maintenance margin of a position at its mark price."""
        notional = self.notional(position)
        if not notional:
            return ZERO
        return maintenance_margin(self._quotes.instruments[position.symbol], notional)

    def order_margin(
        self,
        position: Position,
        extra: tuple[int, Decimal] | None = None,
        without: Order | None = None,
    ) -> Decimal:
        """Return the initial margin that opening orders need above the position's.

        `extra` is a further order as (sign, notional), `without` an order that does not count.
        Buys and sells are not added up: the larger of the two exposures counts.
        """
        bids, asks = self.order_notionals(position.symbol, position.side, without)
        if extra is not None:
            sign, value = extra
            bids, asks = (bids + value, asks) if sign > 0 else (bids, asks + value)
        if not bids and not asks:
            return ZERO
        notional = self.notional(position)
        exposure = max(abs(notional), notional + bids, asks - notional)
        return (exposure - abs(notional)) / self.settings[position.symbol].leverage

    def order_notionals(
        self, symbol: str, side: str | None = None, without: Order | None = None
    ) -> tuple[Decimal, Decimal]:
        """Return the notionals of resting opening buys and sells, of one position side or all."""
        bids = asks = ZERO
        for order in self._ledger.open_orders(symbol):
            if order.reduces or order is without or side not in {None, order.position_side}:
                continue
            if order.sign > 0:
                bids += order.remaining * order.price
            else:
                asks += order.remaining * order.price
        return bids, asks

    def orders_margin(self) -> Decimal:
        """Return the initial margin of all open orders."""
        rows = [row for name in self._ledger.busy_symbols() for row in self.sides(name)]
        return sum((self.order_margin(row) for row in rows), ZERO)

    def available(self) -> Decimal:
        """Return what may back new positions; never negative."""
        used = self.orders_margin()
        for position in self.held():
            if not self.is_isolated(position):
                used += self.position_margin(position)
        return max(ZERO, self.cross_wallet + self.cross_unrealized() - used)

    def cross_backing(self, symbol: str) -> Decimal:
        """Return the margin balance of the cross pool, the profit of one symbol left out."""
        profits = [self.profit(row) for row in self.held(symbol)]
        return self.cross_wallet + self.cross_unrealized() - sum(profits, ZERO)

    def liquidation_price(self, position: Position) -> Decimal:
        """Return the mark price at which the position is taken over; 0 for none."""
        symbol = position.symbol
        rules = self._quotes.instruments[symbol]
        if self.is_isolated(position):
            held = [(position.amount, position.entry)]
            return joint_liquidation_price(rules, held, position.isolated_wallet)
        wallet = self.cross_backing(symbol)
        for other in self.held():
            if other.symbol != symbol and not self.is_isolated(other):
                wallet -= self.maintenance(other)
        held = [(row.amount, row.entry) for row in self.held(symbol)]
        return joint_liquidation_price(rules, held, wallet) if position.amount else ZERO

    # ------------------------------------------------------------------ gates
    def check_opening(
        self,
        position: Position,
        sign: int,
        quantity: Decimal,
        price: Decimal,
        without: Order | None = None,
    ) -> None:
        """Refuse an order whose opening part the account cannot back.

        Raises -2027 past the bracket of the leverage, -2019 without the margin.
        """
        symbol = position.symbol
        mark, last = self._quotes.mark(symbol), self._quotes.last(symbol)
        assumed = price if sign > 0 else max(last * SHORT_ASSUMPTION, mark, price)
        before = self.order_margin(position)
        after = self.order_margin(position, (sign, quantity * assumed), without)
        if after <= before:
            return
        leverage = self.settings[symbol].leverage
        exposure = abs(self.notional(position)) + after * leverage
        if exposure > self._quotes.instruments[symbol].notional_cap_at(leverage):
            raise Rejection(-2027)
        open_loss = quantity * max(ZERO, sign * (price - mark))
        if after - before + open_loss > self.available():
            raise Rejection(-2019)

    # ------------------------------------------------------------------ money
    def fill(
        self, order: Order, quantity: Decimal, price: Decimal, *, maker: bool, free: bool = False
    ) -> Trade:
        """Book one fill: position, realized profit, commission (unless `free`)."""
        instrument = self._quotes.instruments[order.symbol]
        rate = instrument.maker_fee if maker else instrument.taker_fee
        rate = ZERO if free else rate
        now_ms = self._quotes.now_ms
        position = self.position(order.symbol, order.position_side)
        signed = quantity * order.sign
        closed = ZERO
        if position.amount * signed < 0:
            closed = min(quantity, abs(position.amount))
        realized = cash(-order.sign * closed * (price - position.entry))
        position.shrink(closed * order.sign)
        self._open(position, (quantity - closed) * order.sign, price, rate)
        position.realized += realized
        position.update_ms = now_ms
        self._note_held(position)
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

    def _open(self, position: Position, signed: Decimal, price: Decimal, rate: Decimal) -> None:
        if not signed:
            return
        settings = self.settings[position.symbol]
        free = max(ZERO, self.cross_wallet)  # before the position counts as held
        position.grow(signed, price, rate)
        if settings.isolated:
            wanted = cash(abs(signed) * price / settings.leverage)
            position.isolated_wallet += min(wanted, free)

    def _note_held(self, position: Position) -> None:
        key = (self._quotes.rank[position.symbol], position.side)
        if position.amount:
            self._held[key] = position
        else:
            self._held.pop(key, None)

    def book(self, symbol: str, kind: str, amount: Decimal, trade_id: str = "") -> None:
        """Move the wallet and note why; zero amounts leave no row."""
        if not amount:
            return
        now_ms = self._quotes.now_ms
        self.wallet += amount
        self.update_ms = now_ms
        self._ledger.add_income(symbol, kind, amount, now_ms, trade_id)
        self._ledger.add_balance(now_ms, self.wallet)

    def settle_funding(self, position: Position, rate: Decimal) -> Decimal:
        """Pay or receive funding on a held position, −amount · mark · rate; return it."""
        payment = cash(-self.notional(position) * rate)
        if self.is_isolated(position):
            position.isolated_wallet += payment
        self.book(position.symbol, "FUNDING_FEE", payment)
        return payment
