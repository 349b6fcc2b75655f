"""What can go wrong, and when: a random subset of kinds for each seed, drawn by its own dice."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random

# Chances a request has of meeting each fate; together well below one.
REQUEST_KINDS = (
    "request_unsent",  # no byte left
    "answer_lost_unexecuted",
    "answer_lost_executed",
    "request_late",  # arrives after seconds: refused by its stamp, or executed when nobody waits
    "request_refused",  # the venue is busy: certainly not executed
    "rate_limited",
)
WRITE_KINDS = ("write_failed",)  # one commit alone
FRAME_KINDS = ("frame_lost", "frame_doubled", "frame_late", "frame_garbled")
# What happens at a moment of its own, some times in a run.
TIMED_KINDS = (
    "market_cut",
    "market_stalled",
    "user_cut",
    "user_stalled",
    "symbol_crash",
    "room_crash",
    "killed",
    "storage_down",
    "clock_jump",
    "burst",  # a symbol crashes until it is quarantined
    "filled_in_part",  # the next order of a symbol fills in two parts, or ends after the first
    "trigger_refused",  # a stop or target fires, and the venue refuses its order
)
ACTS = ("operator_halt", "day_lost", "queries_lag")  # `acts.py`, by dice of their own
_DRAWN = (*REQUEST_KINDS, *WRITE_KINDS, *FRAME_KINDS, *TIMED_KINDS)
KINDS = (*_DRAWN, *ACTS)
_ENABLED = 0.3
_ACTED = 0.15
_TIMED_MAX = 4


@dataclass
class Faults:
    """One seed's faults; `counts` says what really happened, `hurt_ns` when protection suffered."""

    dice: Random
    kinds: frozenset[str]
    rates: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    active: bool = True
    hurt_ns: int = 0

    @classmethod
    def drawn(cls, seed: int, without: Collection[str] = ()) -> "Faults":
        dice = Random(f"faults {seed}")
        kinds = [kind for kind in _DRAWN if dice.random() < _ENABLED]
        rates = {kind: dice.choice((0.02, 0.05, 0.15)) for kind in _DRAWN}
        acting = Random(f"acting {seed}")
        kinds += [kind for kind in ACTS if acting.random() < _ACTED]
        return cls(dice=dice, kinds=frozenset(kinds) - set(without), rates=rates)

    def moments(self, kind: str, from_ns: int, to_ns: int) -> list[int]:
        """Draw when a timed fault strikes; nothing if this seed does not have it."""
        moments = [
            self.dice.randint(from_ns, to_ns) for _ in range(self.dice.randint(1, _TIMED_MAX))
        ]
        return sorted(moments) if kind in self.kinds else []

    def strikes(self, kind: str) -> bool:
        """Draw whether a fault strikes this request or frame."""
        drawn = self.dice.random() < self.rates[kind]
        struck = drawn and self.active and kind in self.kinds
        if struck:
            self.counts[kind] += 1
        return struck

    def fate(self, kinds: tuple[str, ...]) -> str:
        """Draw which of several fates strikes, if any."""
        return next((kind for kind in kinds if self.strikes(kind)), "")

    def note(self, kind: str, now_ns: int) -> None:
        """Count a fault that struck, and remember that protection may be late for it."""
        self.counts[kind] += 1
        self.hurt_ns = now_ns
