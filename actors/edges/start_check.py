"""The self-check as part of a start on real money: anything red, and nothing is traded."""

from actors.edges.local_check import (
    check_disk,
    check_models,
    check_settings,
    presumed_balance,
)
from actors.edges.state_directory import StateDirectory
from actors.edges.venue_check import check_venue
from actors.edges.venue_choice import ChosenVenue
from actors.self_check import Finding, require_green
from config import Config
from core.risk.worst_case import worst_case


async def require_green_start(
    config: Config, state: StateDirectory, venue: ChosenVenue
) -> list[Finding]:
    """Return the findings of a start; raises SelfCheckError if one is red.

    The database and its owner are the start's own business: it has just taken both.
    """
    found: list[Finding] = []
    balance = await check_venue(config, venue, found) or presumed_balance(config)
    worst = worst_case(config, config.SYMBOLS, balance)
    found += [check_disk(state), *check_models(config, state), *check_settings(config, worst)]
    require_green(found)
    return found
