"""Every message of the bot, in flow order: venue, feed, symbol, risk, execution, persistence.

Messages are facts: frozen, slotted, keyword-only, tuples instead of lists.  Commands are
imperative, events are past, wishes are nouns.  Who receives which is data: `core/routes.py`.
Money is `Decimal`; features and candles are float; `_ns` is UTC nanoseconds on the venue's clock
unless the name says `wall`.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from core.venue.instrument import Instrument
from core.words import Failure, Purpose, Side, TradingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One kline.  `taker_buy_volume` is NaN where the source has none."""

    open_time_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    taker_buy_volume: float


# ---------------------------------------- venue -> feed
@dataclass(frozen=True, slots=True, kw_only=True)
class KlineFrame:
    """A kline update as it came off the socket; `closed` marks the final one of its interval."""

    symbol: str
    candle: Candle
    closed: bool
    event_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPrice:
    """The venue's mark price; told to the feed by the gateway and on to risk and execution."""

    symbol: str
    price: Decimal
    event_ns: int
    last_price: Decimal | None = None  # the feed's newest trade price; None while it knows none


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdate:
    """ORDER_TRADE_UPDATE of the user stream.  Quantities in base units, prices in quote."""

    symbol: str
    client_id: str
    order_id: int
    side: Side
    order_type: str
    status: str  # NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED, ...
    execution: str  # NEW, TRADE, CANCELED, EXPIRED, CALCULATED, AMENDMENT
    quantity: Decimal
    executed: Decimal
    average_price: Decimal  # 0 until something filled
    trade_id: int  # 0 unless execution is TRADE
    last_quantity: Decimal
    last_price: Decimal
    commission: Decimal
    realized_pnl: Decimal  # before commission
    reduce_only: bool
    event_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgoUpdate:
    """ALGO_UPDATE of the user stream: the life of a conditional order."""

    symbol: str
    client_id: str
    algo_id: int
    status: str  # NEW, TRIGGERING, TRIGGERED, FINISHED, CANCELED, EXPIRED, REJECTED
    side: Side
    order_type: str
    trigger_price: Decimal
    reason: str
    event_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUpdate:
    """ACCOUNT_UPDATE of the user stream: the quote asset's new wallet balance, and why."""

    reason: str  # ORDER, FUNDING_FEE, DEPOSIT, ...
    wallet_balance: Decimal
    balance_change: Decimal  # excludes P&L and commission
    event_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRejected:
    """A frame nobody can use: counted, logged, dropped."""

    stream: str
    reason: str
    sample: str  # the first characters, scrubbed


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUp:
    """A stream is connected (again).  `market` or `private`; what was missed must be fetched."""

    stream: str
    connection: int  # 1 for the first, rising with every reconnect


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDown:
    """A stream ended or fell silent; it is being rebuilt."""

    stream: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueHealth:
    """How the way to the venue stands, once a second.  Gateway -> risk.  Times are wall time."""

    clock_error_ms: int  # how far our reckoning of the venue's clock may be off
    market_silent_s: float  # since the last frame of the quietest market socket
    weight_used: float  # part of the venue's request weight of this minute, 0..1
    orders_used: float  # part of the venue's order counts, the tighter one, 0..1
    quiet_s: float  # how long the venue still wants silence after 429 or 418
    at_wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentChanged:
    """The venue lists a symbol with other rules than before, or no longer.  Gateway -> rooms."""

    symbol: str
    instrument: Instrument | None  # None: it is not listed any more


# ---------------------------------------- feed -> symbol
@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedKline:
    """One closed candle of one symbol, sane and newer than the one before.  Feed -> SymbolActor."""

    symbol: str
    candle: Candle
    event_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """Something upstream restarted or had a gap: derive your state again."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchHistory:
    """Ask the venue for the latest closed candles.  SymbolActor -> gateway."""

    symbol: str
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KlineHistory:
    """The latest closed candles, oldest first; empty with a reason when they could not be had."""

    symbol: str
    candles: tuple[Candle, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReady:
    """A newer model of a symbol is verified and on the shelf.  Training -> SymbolActor."""

    symbol: str
    sha256: str  # of the model's file, hex


# ---------------------------------------- symbol -> risk
@dataclass(frozen=True, slots=True, kw_only=True)
class SignalComputed:
    """What the strategy made of one closed kline, and why nothing, if nothing."""

    symbol: str
    kline_close_ns: int
    price: float
    signal: str  # BUY, SELL, CLOSE or HOLD
    strength: float
    prediction: float
    confidence: float | None  # None when technical-only
    technical: tuple[tuple[str, float], ...]
    reason: str  # empty when the signal became a proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A symbol asks to open a position.  SymbolActor -> RiskActor."""

    proposal_id: str  # content hash: symbol, strategy, kline close, side (core/symbol/machine.py)
    symbol: str
    side: Side
    strength: float  # 0..1, combined signal
    confidence: float | None  # 0..1, calibrated; None when technical-only
    price: Decimal  # quote per base at the decision
    kline_close_ns: int
    decided_at_ns: int
    generation: int  # of the SymbolActor that decided


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitProposal:
    """A symbol asks to close its position at market.  SymbolActor -> RiskActor."""

    proposal_id: str
    symbol: str
    price: Decimal
    kline_close_ns: int
    decided_at_ns: int
    generation: int


# ---------------------------------------- risk -> execution
@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCheck:
    """One rule of one decision: the number that was compared and the limit it met."""

    rule: str
    value: str
    limit: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What an approved entry holds until its outcome is known, in quote units."""

    notional: Decimal
    margin: Decimal
    risk: Decimal  # loss if the stop is hit, with fees and gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Risk's answer to a proposal, yes or no, with every rule and every cap.  Always stored."""

    proposal_id: str
    symbol: str
    side: str
    approved: bool
    reason_code: str  # APPROVED or a stable refusal code
    reason: str  # the failed number against its limit, in words
    checks: tuple[RuleCheck, ...]
    caps: tuple[tuple[str, Decimal], ...]  # name -> largest quantity it allows
    quantity: Decimal
    strength: float
    confidence: float | None
    price: Decimal
    kline_close_ns: int
    decided_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Leave to open a position.  Only `core/risk` builds one; execution accepts nothing else."""

    proposal: Proposal
    decision: Decision
    quantity: Decimal
    stop_pct: Decimal
    target_pct: Decimal
    reservation: Reservation
    approved_at_wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitApproval:
    """Leave to close a position at market, reduce-only."""

    symbol: str
    proposal_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """Risk's trading state changed; stored, because latches survive restarts."""

    state: TradingState
    reason_code: str
    reason: str
    latched_until_day: int | None  # venue day that clears it; None: a person clears it
    at_ns: int
    symbol: str = ""  # empty: the whole account


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRecorded:
    """A trading state is on disk: from now on it may be announced.  PersistenceActor -> risk."""

    state: StateChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class LossStreak:
    """How many round trips of a symbol ended in a loss, one after the other; stored."""

    symbol: str
    losses: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRest:
    """Until when nothing opens on a symbol, and when its stops could not be had; stored."""

    symbol: str
    until_wall_ns: int  # 0: it does not rest
    reason: str
    failures: tuple[int, ...]  # venue times, of the last day before the newest, ascending
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLedger:
    """The trading day by venue time: equity at its start and what happened since.

    `realized`, `fees` and `funding` hold what was told while the bot ran; limits follow the wallet,
    which also knows of what happened while it was dead.
    """

    day: int  # days since 1970, UTC, venue time
    equity_start: Decimal
    realized: Decimal
    fees: Decimal
    funding: Decimal
    entries: int
    halted: bool
    transfers: Decimal = Decimal(0)  # in minus out since 00:00: no gain, no loss
    wallet_start: Decimal = Decimal(0)
    equity_min: Decimal = Decimal(0)  # lowest of the day
    # Mark at 00:00 of what was carried over; two more names are in `core/risk/day.py`.
    bases: tuple[tuple[str, Decimal], ...] = ()


# ---------------------------------------- execution <-> persistence
@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One row of the order journal: what is about to be asked of the venue, and why."""

    client_id: str  # deterministic; primary key
    proposal_id: str
    symbol: str
    purpose: Purpose
    attempt: int
    side: Side
    quantity: Decimal  # 0 for close-position orders
    reference_price: Decimal
    stop_price: Decimal  # entry: planned stop; conditional order: its trigger
    target_price: Decimal
    reservation: Reservation | None  # entries: the intent is the reservation
    decision: Decision | None
    generation: int
    created_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordIntent:
    """Commit this journal row durably.  `awaited`: an entry waits for `IntentRecorded`."""

    intent: Intent
    awaited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecorded:
    """The journal row is on disk; the entry may be sent.  PersistenceActor -> ExecutionActor."""

    client_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentMoved:
    """An order of the journal changed state (`core/execution/order_life.py`)."""

    client_id: str
    state: str
    venue_id: str  # SYMBOL:orderId or SYMBOL:algo:algoId, empty while unknown
    executed: Decimal
    average_price: Decimal
    reason: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFailed:
    """The database cannot be written: no entry may be approved until it can."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageHealed:
    """The database takes writes again."""


# ---------------------------------------- execution -> gateway
@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Send a MARKET order.  Execution -> gateway; answered by OrderAnswered or OrderFailed."""

    client_id: str
    symbol: str
    purpose: Purpose
    side: Side
    quantity: Decimal
    reduce_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAlgoOrder:
    """Send a close-position STOP_MARKET or TAKE_PROFIT_MARKET to the algo service."""

    client_id: str
    symbol: str
    purpose: Purpose
    side: Side
    trigger_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAlgoOrder:
    """Cancel a conditional order; harmless if it is gone."""

    client_id: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOrder:
    """Ask for an order of ours, conditional or not, by its client id; answered by OrderFound.

    Or by its venue id, where the client id is empty: a name may have had more orders than one.
    """

    client_id: str
    symbol: str
    venue_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSnapshot:
    """Ask the venue for all that reconciliation compares.  Answered by VenueSnapshot."""

    reason: str
    asked_wall_ns: int = 0  # marks the question; the answer repeats it
    symbols: tuple[str, ...]
    trades_after: tuple[tuple[str, int], ...]  # symbol -> last known trade id, 0 for none
    unresolved: tuple[tuple[str, str], ...]  # (symbol, client id) of entries without an outcome
    income_after_ns: int = 0  # venue time; income later than this is wanted, 0: today's


# ---------------------------------------- gateway -> execution
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswered:
    """The venue took an order.  Filled quantity is here, its price is not (venue reference 4.1)."""

    client_id: str
    symbol: str
    purpose: Purpose
    venue_id: str
    status: str
    executed: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFailed:
    """An order or cancel did not succeed; `failure` says whether it may have happened."""

    client_id: str
    symbol: str
    purpose: Purpose
    failure: Failure
    code: int  # the venue's code, 0 without one
    detail: str
    action: str = ""  # what it asks for (`core/execution/classify.py`), empty where nothing
    of_query: bool = False  # only a question failed: it says nothing of the order


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgoGone:
    """A cancel was answered: the conditional order is no longer open, whoever ended it."""

    client_id: str
    symbol: str
    detail: str
    cancelled: bool = True  # by this cancel; False: it had ended before, who knows how


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFound:
    """Answer to QueryOrder; `found` is False on -2013, which alone proves nothing."""

    client_id: str
    symbol: str
    found: bool
    venue_id: str = ""
    status: str = ""
    executed: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    seen: tuple["OrderSeen", ...] = ()  # it, and the order that a conditional one became


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """One row of positionRisk: signed quantity, entry price, isolated or initial margin."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized_pnl: Decimal
    margin: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """One open ordinary or conditional order as the venue lists it."""

    symbol: str
    client_id: str
    venue_id: str
    side: Side
    order_type: str
    status: str
    quantity: Decimal
    trigger_price: Decimal  # 0 for ordinary orders
    close_position: bool
    algo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One row of userTrades, with the client id of its order (looked up by the gateway)."""

    symbol: str
    trade_id: int
    order_id: int
    client_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    realized_pnl: Decimal
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueIncome:
    """One row of the venue's list of income, in units of `asset`; a transaction is one of its kind.

    `symbol` is empty where none is concerned.
    """

    kind: str  # incomeType, never REALIZED_PNL or COMMISSION: those belong to fills
    transaction_id: int  # tranId: unique within one kind only
    symbol: str
    asset: str
    amount: Decimal
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """The account's totals in the quote asset."""

    wallet_balance: Decimal
    available_balance: Decimal
    unrealized_pnl: Decimal
    margin: Decimal
    at_ns: int
    earned_today: Decimal | None = None  # income since 00:00 venue time without transfers
    transfers_today: Decimal | None = None  # None: not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSnapshot:
    """What the venue says now: the truth reconciliation compares with.  Gateway -> execution."""

    reason: str
    account: AccountSnapshot
    positions: tuple[VenuePosition, ...]  # only non-zero ones, of every symbol
    orders: tuple[VenueOrder, ...]  # open ordinary and conditional orders, of every symbol
    trades: tuple[VenueTrade, ...]  # own symbols, after the ids asked for, oldest first
    found: tuple[OrderFound, ...]  # one for each unresolved client id
    taken_at_wall_ns: int  # wall clock before the first request
    asked_wall_ns: int | None = None  # of the FetchSnapshot that it answers
    income: tuple[VenueIncome, ...] = ()  # later than asked for and read so far, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFailed:
    """The snapshot could not be had after all retries."""

    reason: str


# ---------------------------------------- execution -> risk, persistence
@dataclass(frozen=True, slots=True, kw_only=True)
class FillBooked:
    """One fill of ours or of another on the account, counted exactly once by trade id."""

    symbol: str
    trade_id: int
    order_id: int
    client_id: str
    purpose: Purpose | None  # None: not our order
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    realized_pnl: Decimal  # before commission
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomeBooked:
    """Funding, a transfer or the like, as the venue lists it; may be told again, is booked once."""

    income: VenueIncome


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeen:
    """The latest state of an order on the venue, for the `orders` table."""

    venue_id: str
    symbol: str
    side: Side
    order_type: str
    quantity: Decimal
    price: Decimal | None
    status: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChanged:
    """The position of one symbol and what protects it; quantity is signed, 0 when flat."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    stop_price: Decimal | None  # None: not confirmed on the venue
    target_price: Decimal | None
    foreign: bool  # not opened by this bot: counted, not touched
    busy: bool  # flat, yet its orders are not all gone: no new entry
    proposal_id: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryEnded:
    """An approved entry will not fill (further): risk releases its reservation."""

    proposal_id: str
    symbol: str
    outcome: str  # filled, refused, expired, not_sent, absent
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionFailed:
    """A position had to be closed because its stop could not be had.  Execution -> risk."""

    symbol: str
    reason: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """Our book equals the venue's; entries may start.  One line per difference found."""

    reason: str
    report: tuple[str, ...]
    foreign_positions: int
    foreign_orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilePending:
    """Reconciliation started or is not finished: no entries until `Reconciled`."""

    reason: str


# ---------------------------------------- recovery
@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBook:
    """A room starts and asks for what the database knows.  Risk, execution -> PersistenceActor."""

    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredBook:
    """What the database knows at start.  PersistenceActor -> risk and execution.

    `intents` are all journal rows that are not ended, the latest bracket of every symbol with a
    position, and entries that executed without a booked fill; `positions` maps symbol to our own
    net quantity from all booked fills.
    """

    epoch: int
    intents: tuple[tuple[Intent, str], ...]  # with its journal state
    positions: tuple[tuple[str, Decimal], ...]
    entry_prices: tuple[tuple[str, Decimal], ...]
    foreign: tuple[tuple[str, Decimal], ...] = ()  # what others hold by their fills, signed
    last_trade_ids: tuple[tuple[str, int], ...]
    known_trades: tuple[tuple[str, tuple[int, ...]], ...] = ()  # the latest ids, ascending
    day: DayLedger | None
    day_before: DayLedger | None = None  # the newest before `day`: late fills may belong to it
    state: StateChanged | None
    peak_equity: Decimal
    symbol_states: tuple[StateChanged, ...] = ()  # what is latched for single symbols
    loss_streaks: tuple[tuple[str, int], ...] = ()
    rests: tuple[SymbolRest, ...] = ()  # the newest of each symbol
    entries: tuple[tuple[str, int], ...] = ()  # (symbol, venue ns) of the last day's, ascending
    booked: tuple[str, ...] = ()  # client ids of entries still open that have booked fills
    absent: tuple[Intent, ...] = ()  # entries believed absent within the last 24 wall hours
    unlisted: tuple[tuple[str, str], ...] = ()  # (symbol, client id) of orders whose end is untold
    open_rows: tuple[tuple[str, str], ...] = ()  # (symbol, venue id) of orders that had no end yet
    income_up_to_ns: int = 0  # venue time up to which no income is missing, 0: nothing known
    # Wishes since a person last resumed a symbol, at most 30 venue days back: (symbol, close of the
    # first one's kline, how many, closes of the latest, ascending).
    wishes: tuple[tuple[str, int, int, tuple[int, ...]], ...] = ()


# ---------------------------------------- a person, or whoever acts for one -> risk
@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Open nothing more until a person resumes; positions keep their stops."""

    source: str  # cli, signal, file, execution, ...
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """Halt, and close every position of ours at market; its stops go once it is flat."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Open nothing more on one symbol until a person resumes it."""

    symbol: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Release what waits for a person: of one symbol, or of the account and all symbols."""

    symbol: str  # empty: everything
    source: str


# ---------------------------------------- supervision, operation
@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed; deadlines are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStarted:
    """A SymbolActor generation is current from now on; older ones are fenced."""

    name: str
    symbol: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A room finished its start-up.  Any actor -> supervisor."""

    name: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """An actor died.  Its last guard -> supervisor, exactly once a death."""

    name: str
    generation: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hung:
    """An actor makes no progress.  Watchdog -> supervisor."""

    name: str
    generation: int
    stack: str  # where its thread stands, innermost call first


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start the successor now, unless the state changed meanwhile.  Supervisor -> itself, later."""

    name: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolQuarantined:
    """A symbol crashed too often: close-only until revived; its position keeps its stop."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revive:
    """Start a quarantined symbol again.  A person -> supervisor."""

    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelatedFailure:
    """Many symbols failed at once: whatever the cause, nothing opens until a person says so."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelatedFailureCleared:
    """A person has revived every quarantined symbol.  Supervisor -> risk."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    """Another process owns the account's database now: this one has to stop."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashNow:
    """Embedded venue only: raise in the handler (or never return), to show and test isolation."""

    symbol: str
    hang: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorEvent:
    """Something the supervisor did, for the `actor_events` table."""

    name: str
    generation: int
    event: str  # started, crashed, hung, quarantined, revived, ...
    detail: str
    at_ns: int = field(default=0)
