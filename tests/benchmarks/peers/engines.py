"""The engines compared: where each lives, and how far it can say the rule."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine: a peer of its own environment, or ours."""

    name: str
    says: str  # what of the rule, and what beyond

    def command(self, python: Path, environments: Path) -> list[str] | None:
        """Return what runs it on a tape, less the tape; None if it is not installed."""
        if self.name == OURS:
            return [str(python), "-m", "tests.benchmarks.peers.ours"]
        own = environments / self.name
        if not (own / ".ready").exists():
            return None
        return [str(own / "bin" / "python"), str(HERE / f"peer_{self.name}.py")]


OURS = "ours"
ENGINES = (
    Engine(
        name=OURS,
        says="whole rule; every trade through the live risk machine (day's loss limit, exposure,"
        " margin and correlation limits, the venue's filters), exact decimals, one wallet; the"
        " strategy's look-ahead check is in the time",
    ),
    Engine(
        name="vectorbt",
        says="whole rule, one wallet; size is part of the cash; no limits, filters or ticks",
    ),
    Engine(
        name="backtesting",
        says="levels from the decision's close; one symbol and one account at a time, so five"
        " symbols are five accounts of a fifth",
    ),
    Engine(
        name="backtrader",
        says="levels from the decision's close, live from the bar after the entry; one wallet;"
        " no funding, filters or liquidation",
    ),
    Engine(
        name="bt",
        says="no stop or target inside a bar: both are looked for at closes; fills at the close"
        " that decides; one wallet",
    ),
    Engine(
        name="nautilus_trader",
        says="bracket orders with contingent children, levels from the decision's close; one"
        " wallet; full order and account life cycle, risk engine off",
    ),
)
