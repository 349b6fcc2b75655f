"""`run.py run`: one bot until Ctrl-C, the end of `--duration`, or the supervisor's last word."""

import asyncio
import os
import signal

from loguru import logger

from actors import kill_points
from actors.bot import MultiSymbolBot
from actors.edges.log import setup_log
from actors.edges.state_directory import StateDirectory
from actors.shutdown import LastResort
from config import Config
from config.settings import secret_names
from core.errors import SupervisorGaveUpError

_INTERRUPTED = 130


def run_bot(config: Config, duration_s: float | None, *, confirm_loosen: bool = False) -> int:
    """Run the bot and return the process's exit code; raises TradingError in one line."""
    config.require_keys_and_consent()  # before anything is made: nothing to clear up
    state = StateDirectory.of(config)
    state.create()
    setup_log(
        config.LOG_LEVEL,
        state.logs,
        retention_days=config.LOG_RETENTION_DAYS,
        secrets=config.secrets(),
    )
    for name in secret_names():
        os.environ.pop(name, None)  # read once: no child and no crash dump needs to see them
    for name in config.pending_given():
        logger.bind(module="config").warning(
            f"{name} is set, but nothing enforces it in this version (docs/settings.md)"
        )
    kill_points.arm(os.environ, config.VENUE)
    return asyncio.run(_live(MultiSymbolBot(config, confirm_loosen=confirm_loosen), duration_s))


async def _live(bot: MultiSymbolBot, duration_s: float | None) -> int:
    loop = asyncio.get_running_loop()
    asked = False

    def stop() -> None:
        """Stop in good order; asked a second time, leave at once."""
        nonlocal asked
        if asked:
            os._exit(_INTERRUPTED)
        asked = True
        bot.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGUSR1, bot.kill_switch.signal)
    last_resort = LastResort()
    bot.leave_by(last_resort)
    try:
        if await bot.initialize():
            if duration_s is not None:
                loop.call_later(duration_s, bot.stop)
            await bot.run()
    finally:
        last_resort.arm(SupervisorGaveUpError.exit_code)
        await bot.cleanup()
    return 0
