"""The real control API on a loop of a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from actors.control_api import ControlApi
from actors.edges.state_directory import StateDirectory
from config import Config

_PATIENCE_S = 5


class Served:
    """Serves `snapshot` and `commands` from the start of its life until `stop`."""

    def __init__(
        self,
        config: Config,
        snapshot: Callable[[], dict[str, Any]],
        commands: Mapping[str, Callable[[dict[str, Any]], Any]],
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._api = ControlApi(config, StateDirectory.of(config), snapshot, dict(commands))
        self._run(self._api.start())

    def stop(self) -> None:
        """Close the API and end the thread."""
        self._run(self._api.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)
