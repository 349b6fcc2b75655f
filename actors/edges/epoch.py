"""One start of the bot: its number, its limits against the last ones, its audit link."""

from collections.abc import Mapping

from loguru import logger

from actors.edges.database import DatabaseManager
from actors.edges.lease import Lease
from config import Config
from config.loosening import limits_of, loosened
from core.errors import ConfigurationError

_LIMITS = "limits"  # the key in bot_state

log = logger.bind(module="__main__")


def begin_epoch(
    database: DatabaseManager,
    config: Config,
    venue_id: str,
    lease: Lease,
    origin: Mapping[str, str],
    *,
    confirm_loosen: bool,
) -> int:
    """Return this start's number once its limits may be traded with.

    Raises what `DatabaseManager.begin_epoch` raises, and ConfigurationError as `hold_limits` does.
    """
    epoch = database.begin_epoch(venue_id, lease, origin)
    hold_limits(database, config, confirmed=confirm_loosen)
    links, head = database.audit_head()
    log.info(f"audit chain: {links} links, newest {head}")
    return epoch


def hold_limits(database: DatabaseManager, config: Config, *, confirmed: bool) -> None:
    """Compare the limits with those of the last start, and keep them for the next one.

    Raises ConfigurationError for looser ones that nobody `confirmed`: a person loosens limits, not
    a file that changed (reliability C25).  On the venue within the bot's own process, where the
    money is play money, it is only told.
    """
    looser = loosened(database.get_bot_state().get(_LIMITS, {}), config)
    if looser:
        what = f"{', '.join(looser)}: looser than at the last start"
        play_money = config.VENUE == "embedded" and not config.VENUE_URL
        if not (confirmed or play_money):
            raise ConfigurationError(
                f"{what}. Fix: take it back, or start once with --confirm-loosen."
            )
        log.warning(what)
    database.update_bot_state({_LIMITS: limits_of(config)})
