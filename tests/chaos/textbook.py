"""The bots that chaos is run on: ours, and the naive one it is compared with."""

from pathlib import Path

from tests.chaos.processes import Bot, Venue

OURS, TEXTBOOK = "ours", "textbook"


def textbook(state: Path, venue: Venue, env: dict[str, str]) -> Bot:
    """Start the naive bot on the same venue."""
    return Bot(state, venue, env, arguments=("-m", "tests.chaos.textbook_bot"))


SUBJECTS = {OURS: Bot, TEXTBOOK: textbook}
