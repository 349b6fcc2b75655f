"""Looks at deadlines: what is unprotected, unseen, unexplained, still closing, or to be closed."""

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.execution.alerts import alert
from core.execution.bracket import ZERO, Bracket, LegState, Phase
from core.execution.entry import Entries
from core.execution.gate import Gate
from core.execution.holdings import Holdings
from core.execution.late import IN_FLIGHT, LateEntries
from core.execution.orphans import Orphans
from core.execution.protection import Protection
from core.execution.recovery import Recovery
from core.execution.settings import ExecutionSettings
from core.messages import Purpose

Out = tuple[object, ...]

_PRICE_ASK_NS = 250 * NS_PER_MS  # a fill without a price: ask for it
_PRICE_WAIT_NS = NS_PER_S  # still none: protect by the price decided on
_SIBLING_WAIT_NS = NS_PER_S  # the venue expires a sibling by itself; then it is cancelled
_FILL_WAIT_NS = 2 * NS_PER_S  # fills that must exist and were not heard of: take a snapshot
_NAKED_ALERT_NS = 10 * NS_PER_S  # exits that fail for so long need a person
_ASK_AGAIN_NS = 2 * NS_PER_S


class Watch:
    """What a tick asks for; shares brackets and holdings with the machine."""

    def __init__(
        self,
        settings: ExecutionSettings,
        parts: tuple[Protection, Recovery, Entries, LateEntries, Orphans, Gate],
        brackets: dict[str, Bracket],
        holdings: Holdings,
    ) -> None:
        self._settings = settings
        self._protection, self._recovery, self._entries, self._late = parts[:4]
        self._orphans, self._gate = parts[4:]
        self._brackets = brackets
        self._holdings = holdings
        self._asked_wall_ns = 0
        self._flat_since_wall_ns = 0  # all is closed by our book, and FLATTEN holds
        self._flat_told = False

    def tick(self, now: Moment) -> Out:
        """Look at every bracket, then at what has none."""
        out: list[object] = []
        for bracket in list(self._brackets.values()):
            out += self._look(bracket, now)
        self._late.expire(now)
        out += self._unguarded(now)
        out += self._flatten_all(now)
        if self._recovery.reconciled and self._orphans.due(now):
            out += self._recovery.ask("orders that protect nothing", now)
        return tuple(out)

    def _look(self, bracket: Bracket, now: Moment) -> Out:
        """Look at one bracket's deadlines."""
        match bracket.phase:
            case Phase.OPEN | Phase.PROTECTED:
                return self._look_held(bracket, now)
            case Phase.CLOSING:
                return self._look_closing(bracket, now)
            case _:
                stray = self._late.close_stray(bracket, now) if bracket.phase in IN_FLIGHT else ()
                return (*stray, *self._entries.watch(bracket, now))

    # ------------------------------------------------------------------ held
    def _look_held(self, bracket: Bracket, now: Moment) -> Out:
        why = self._gate.must_flatten(bracket.symbol)
        if why and bracket.in_market():
            return self._protection.flatten(bracket, why, now)
        out: Out = self._protection.place_due(bracket, now)
        stop = bracket.live_price(Purpose.STOP)
        if bracket.phase is Phase.PROTECTED and bracket.quantity != ZERO and stop is None:
            # Its stop ended while our book said flat, and then a fill came that was late.
            bracket.enter(Phase.OPEN, now.wall_ns)
            bracket.naked_since_wall_ns = now.wall_ns
            return (*out, *self._protection.protect(bracket, bracket.entry_price, now))
        if bracket.phase is Phase.OPEN:
            out += self._look_open(bracket, now)
        return (*out, *self._look_unseen(bracket, now), *self._look_for_fills(bracket, now))

    def _look_open(self, bracket: Bracket, now: Moment) -> Out:
        naked_ns = now.wall_ns - (bracket.naked_since_wall_ns or now.wall_ns)
        if naked_ns > self._settings.naked_max_ns:
            return self._protection.give_up(bracket, "no confirmed stop in time", now)
        if bracket.legs or bracket.entry is None:
            return ()
        if naked_ns > _PRICE_WAIT_NS:
            # The price decided on is near the one paid; the mark may have left both by now.
            return self._protection.protect(bracket, bracket.entry.reference_price, now)
        if naked_ns > _PRICE_ASK_NS and not bracket.price_asked:
            bracket.price_asked = True
            return (m.QueryOrder(client_id=bracket.entry.client_id, symbol=bracket.symbol),)
        return ()

    def _look_unseen(self, bracket: Bracket, now: Moment) -> Out:
        """Ask for a list when nothing but its acknowledgement speaks for a stop."""
        leg = bracket.legs.get(Purpose.STOP)
        if leg is None or leg.state is not LegState.LIVE or leg.seen or leg.doubted_wall_ns:
            return ()
        if now.wall_ns - leg.acked_wall_ns <= self._settings.stop_seen_ns:
            return ()
        leg.doubted_wall_ns = now.wall_ns
        return self._recovery.ask(f"{bracket.symbol}: a stop that only its answer shows", now)

    def _look_for_fills(self, bracket: Bracket, now: Moment) -> Out:
        """Ask the venue for fills that must exist and that the stream did not tell."""
        since_ns = max(bracket.since_wall_ns, bracket.asked_wall_ns)
        if not bracket.unexplained() or now.wall_ns - since_ns <= _FILL_WAIT_NS:
            return ()
        bracket.asked_wall_ns = now.wall_ns
        out = self._recovery.ask(f"{bracket.symbol}: fills are missing", now)
        if bracket.entry is None or bracket.entry_known():
            return out
        return (m.QueryOrder(client_id=bracket.entry.client_id, symbol=bracket.symbol), *out)

    # ------------------------------------------------------------------ closing
    def _look_closing(self, bracket: Bracket, now: Moment) -> Out:
        """Exit until flat, then cancel what is left until it is gone."""
        age_ns = now.wall_ns - bracket.since_wall_ns
        if bracket.flat():
            late = age_ns > _SIBLING_WAIT_NS
            cancels = self._protection.clear(bracket, now) if late else ()
            asked = self._look_for_fills(bracket, now)
            return (*cancels, *asked, *self._recovery.settle(bracket, now))
        out = self._tell_naked(bracket, now)
        if bracket.exit_due_wall_ns and now.wall_ns >= bracket.exit_due_wall_ns:
            return (*out, *self._protection.flatten(bracket, "exit again", now))
        if age_ns > _FILL_WAIT_NS:
            bracket.enter(Phase.CLOSING, now.wall_ns)
            bracket.exit_due_wall_ns = now.wall_ns
            out += self._recovery.ask(f"{bracket.symbol}: an exit without its fill", now)
        return out

    @staticmethod
    def _tell_naked(bracket: Bracket, now: Moment) -> Out:
        """Say once that a position cannot be closed; trying goes on."""
        since_ns = bracket.exiting_since_wall_ns
        if not since_ns or bracket.naked_told or now.wall_ns - since_ns <= _NAKED_ALERT_NS:
            return ()
        bracket.naked_told = True
        tried = f"{bracket.exit_attempt} exits failed"
        why = f"{bracket.symbol}: {bracket.quantity:f} cannot be closed, {tried}"
        failed = m.ProtectionFailed(symbol=bracket.symbol, reason=why, at_ns=now.venue_ns)
        return (failed, alert("naked", why, now))

    # ------------------------------------------------------------------ without a bracket
    def _unguarded(self, now: Moment) -> Out:
        """Ask for a snapshot when we hold something that no bracket looks after."""
        held = [s for s, h in self._holdings.by_symbol.items() if h.quantity != ZERO]
        lost = [symbol for symbol in held if symbol not in self._brackets]
        if not lost or not self._recovery.reconciled:
            return ()
        return self._ask(f"{', '.join(lost)}: held, and nothing guards it", now)

    def _flatten_all(self, now: Moment) -> Out:
        """While FLATTEN holds, believe in flat only when the venue shows it after our book."""
        if not self._gate.must_flatten():
            self._flat_since_wall_ns, self._flat_told = 0, False
            return ()
        if self._brackets:
            self._flat_since_wall_ns = 0
            return ()
        self._flat_since_wall_ns = self._flat_since_wall_ns or now.wall_ns
        if self._recovery.compared_wall_ns <= self._flat_since_wall_ns:
            return self._ask("FLATTEN: is everything closed?", now)
        if self._flat_told:
            return ()
        self._flat_told = True
        return (alert("flat", "FLATTEN: all own positions are closed, by book and venue", now),)

    def _ask(self, why: str, now: Moment) -> Out:
        if now.wall_ns - self._asked_wall_ns < _ASK_AGAIN_NS:
            return ()
        self._asked_wall_ns = now.wall_ns
        return self._recovery.ask(why, now)
