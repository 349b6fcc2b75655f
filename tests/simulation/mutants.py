"""Seeded bugs: each replaces one method of the real code while a simulation runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from actors.mailbox import Mailbox
from actors.persistence import PersistenceActor
from actors.supervisor import SupervisorActor
from core.execution.adoption import Adoption
from core.execution.entry import Entries
from core.execution.gate import Gate
from core.execution.holdings import Holdings
from core.execution.orders_out import OrdersOut
from core.execution.protection import Protection
from core.execution.recovery import Recovery
from core.execution.watch import Watch
from core.risk import machine as risk_machine
from core.risk.book import Book
from core.risk.latches import Latches
from core.risk.machine import RiskMachine
from core.risk.risk_manager import RiskManager
from tests.simulation import changes, forgetting

Change = Callable[[Callable[..., Any]], Any]


@dataclass(frozen=True)
class Mutant:
    """`changes` maps (class or module, name of a method) to what makes the wrong one of it."""

    name: str
    breaks: tuple[str, ...]  # the invariants that may tell
    changes: dict[tuple[Any, str], Change]

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Put the bug into the code, and take it out again."""
        originals = {place: getattr(*place) for place in self.changes}
        raw = {(owner, name): vars(owner)[name] for owner, name in self.changes}
        for (owner, name), change in self.changes.items():
            setattr(owner, name, change(originals[owner, name]))
        try:
            yield
        finally:
            for (owner, name), value in raw.items():
                setattr(owner, name, value)


MUTANTS = (
    Mutant(
        "drop fencing",
        ("I13",),
        {
            (Entries, "_refusal"): changes.execution_believes,
            (Entries, "recorded"): changes.journal_believes,
            (RiskMachine, "_review"): changes.risk_believes,
        },
    ),
    Mutant(
        "resend an entry of unknown outcome",
        ("I1",),
        {(Entries, "failed"): changes.resends, (OrdersOut, "passed"): changes.lets_out},
    ),
    Mutant(
        "send before the journal",
        ("I8",),
        {(Entries, "approve"): changes.sends_at_once},
    ),
    Mutant(
        "acknowledge unwritten rows",
        ("I8",),
        {(PersistenceActor, "_commit"): changes.acknowledges_unwritten},
    ),
    Mutant(
        "reserve nothing",
        ("I4",),
        {(RiskMachine, "_review"): changes.reserves_nothing},
    ),
    Mutant(
        "send again at start",
        ("I1",),
        {
            (Recovery, "begin"): changes.sends_again_at_start,
            (OrdersOut, "passed"): changes.lets_out,
        },
    ),
    Mutant(
        "forget open entries at start",
        ("L3", "L6", "I3"),
        {(Recovery, "begin"): changes.forgets_open_entries},
    ),
    Mutant(
        "skip the stop",
        ("I2",),
        {(Protection, "protect"): changes.skips_the_stop},
    ),
    Mutant(
        "stop on the wrong side",
        ("I2",),
        {(Protection, "_trigger"): changes.mirrors_the_stop},
    ),
    Mutant(
        "stop ten times too far",
        ("I2",),
        {(Protection, "_trigger"): changes.widens_the_stop},
    ),
    Mutant(
        "exit without reduce-only",
        ("I6",),
        {(Protection, "exit"): changes.opens_by_exit, (OrdersOut, "passed"): changes.lets_out},
    ),
    Mutant(
        "lose a fill",
        ("I3", "L5"),
        {(Recovery, "book_trade"): changes.loses_a_fill},
    ),
    Mutant(
        "count a fill twice",
        ("I2", "I3", "L5", "L6"),
        {(Holdings, "count"): changes.counts_twice},
    ),
    Mutant(
        "forget writes that failed",
        ("I3", "L6"),
        {(PersistenceActor, "_lost"): changes.forgets_failed_writes},
    ),
    Mutant(
        "ignore the halt",
        ("I4",),
        {
            (RiskMachine, "trading_state"): changes.stays_active,
            (RiskManager, "check_daily_loss_limit"): changes.always,
            (Book, "lost_today"): changes.lost_nothing,
            (Gate, "closed"): changes.never_closed,
        },
    ),
    Mutant(
        "ignore the slots",
        ("I4",),
        {(RiskManager, "check_open_positions_limit"): changes.always},
    ),
    Mutant(
        "lose money mail",
        ("I3", "L2", "L3", "L6", "I2"),
        {(Mailbox, "_queue"): changes.loses_money_mail},
    ),
    Mutant(
        "leave the dead unburied",
        ("L1", "L2", "L3", "I3"),
        {(SupervisorActor, "_crashed"): changes.ignores_crashes},
    ),
    Mutant(
        "restart one room alone",
        ("L2", "I2", "L1"),
        {(SupervisorActor, "_stop_after"): changes.restarts_one_only},
    ),
    Mutant(
        "release the reservation of an unknown entry",
        ("I5", "I4"),
        {(Entries, "failed"): changes.releases_on_unknown},
    ),
    Mutant(
        "take silence for a refusal",
        ("I5", "I3"),
        {(Entries, "failed"): changes.takes_silence_for_a_refusal},
    ),
    Mutant(
        "send an entry however old",
        ("I4", "L3", "L6"),
        {
            (Entries, "_refusal"): changes.never_too_old,
            (Entries, "recorded"): changes.waits_for_its_row,
            (Entries, "watch"): changes.waits_for_ever,
        },
    ),
    Mutant(
        "stop after the full fill only",
        ("I2", "I7"),
        {
            (Protection, "protect"): changes.waits_for_the_whole_fill,
            (Watch, "_look_open"): changes.looks_at_no_open_bracket,
        },
    ),
    Mutant(
        "trust what is adopted",
        ("I2", "I7"),
        {(Adoption, "adopt"): changes.trusts_what_it_adopts},
    ),
    Mutant(
        "cancel the stop before the exit",
        ("I2",),
        {(Protection, "flatten"): changes.cancels_before_the_exit},
    ),
    Mutant(
        "leave orphans",
        ("I7",),
        {
            (Protection, "clear"): changes.leaves_what_is_left,
            (Recovery, "_carry_out"): changes.leaves_what_it_finds,
        },
    ),
    Mutant(
        "turn the sign of the day",
        ("I4",),
        {(Book, "day_pnl"): changes.turns_the_sign, (Book, "lost_today"): changes.lost_nothing},
    ),
    Mutant(
        "go by the wall for the day",
        ("L7",),
        {(Book, "roll_day"): changes.goes_by_the_wall},
    ),
    Mutant(
        "size without caps",
        ("I4", "I11"),
        {
            (risk_machine, "caps"): changes.without_caps,
            (risk_machine, "AFTER_SIZING"): changes.no_rules,
            (Gate, "too_large"): changes.never_too_large,
        },
    ),
    Mutant(
        "never look at the wallet again",
        ("I15",),
        {
            (Book, "book_account"): changes.keeps_no_wallet,
            (Book, "check_account"): changes.keeps_no_wallet,
        },
    ),
    Mutant(
        "start nobody again",
        ("L1", "L2", "I2"),
        {(SupervisorActor, "_restart"): changes.starts_nobody_again},
    ),
    Mutant(
        "clear the halt by a restart",
        ("I4",),
        {
            (Latches, "restore"): forgetting.restores_no_latch,
            (Gate, "closed"): changes.never_closed,
        },
    ),
    Mutant(
        "begin the day budget anew by a restart",
        ("I4",),
        {
            (RiskMachine, "_recover"): forgetting.begins_the_day_anew,
            (Latches, "restore"): forgetting.restores_no_latch,
            (Book, "_take_income"): forgetting.hears_no_income,
            (Gate, "closed"): changes.never_closed,
        },
    ),
    Mutant(
        "believe the first denial",
        ("I5",),
        {(Entries, "found"): forgetting.believes_the_first_denial},
    ),
)
