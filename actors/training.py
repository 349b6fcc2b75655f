"""Training beside trading: at the first start, and again as `RETRAIN_HOURS` asks for.

Nothing here may touch trading.  It begins after the first entry has filled, or a minute after the
start.  Candles come from the venue at the pace of histories, page by page; learning happens in a
niced process (`actors/edges/training_process.py`); what it leaves is verified and loaded in a
thread, and only then is the SymbolActor told, which takes it from the shelf.  Whatever goes wrong
is a line in the log, and the next turn comes as if nothing had been.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger

from actors.directory import Clock
from actors.edges.state_directory import StateDirectory
from actors.edges.training_child import write_candles
from actors.edges.training_process import TrainingFailedError, TrainingProcess
from actors.model_shelf import ModelShelf
from config import Config
from core.clock import NS_PER_MS, NS_PER_S, interval_ns
from core.errors import ModelRefusedError, TradingError
from core.messages import ModelReady
from core.symbol.indicators import FloatArray

PAGE_BARS = 1_000
_FIRST_TRADE_WITHIN_S = 60.0
_LOOK_EVERY_S = 1.0
_PATIENCE_S = 3_600.0  # of one whole training, wall
_HOUR_NS = 3_600 * NS_PER_S
_TAKER_PLACE = 9  # in the venue's rows

Fetch = Callable[[str, int, int | None], list[list[Any]]]

log = logger.bind(module="training")


class Training:
    """Keeps the models young, on the event loop that it is started on.

    `fetch` gives a page of the venue's klines and blocks; `post` tells the SymbolActor; `traded`
    tells whether an entry has filled.
    """

    def __init__(
        self,
        *,
        config: Config,
        shelf: ModelShelf,
        clock: Clock,
        fetch: Fetch,
        post: Callable[[ModelReady], None],
        traded: Callable[[], bool],
        process: TrainingProcess | None = None,
    ) -> None:
        self._config = config
        self._state = StateDirectory.of(config)
        self._shelf = shelf
        self._clock = clock
        self._fetch = fetch
        self._post = post
        self._traded = traded
        self._folder = self._state.root / "training"
        self._process = process or TrainingProcess(
            self._state.logs / "training.log", patience_s=_PATIENCE_S
        )
        self._tried_ns: dict[str, int] = {}  # venue
        self._task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether the settings ask for it; never on a venue that others share (VENUE_URL)."""
        return self._config.RETRAIN_HOURS > 0 and not self._config.VENUE_URL

    def start(self) -> None:
        """Begin, if the settings ask for it; returns at once."""
        if self.wanted:
            self._task = asyncio.get_running_loop().create_task(self._keep_young())

    async def stop(self) -> None:
        """End the process and all that waits for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._process.end()

    def due(self) -> tuple[str, ...]:
        """Return the symbols whose model is missing or older than RETRAIN_HOURS, venue time."""
        now_ns, age_ns = self._clock.now().venue_ns, int(self._config.RETRAIN_HOURS * _HOUR_NS)
        return tuple(
            symbol
            for symbol in self._config.SYMBOLS
            if now_ns - max(self._made_ns(symbol), self._tried_ns.get(symbol, 0)) >= age_ns
        )

    def _made_ns(self, symbol: str) -> int:
        model = self._shelf.current(symbol)
        seen = None if model is None else model.train_range_ms
        return 0 if seen is None else seen[1] * NS_PER_MS

    async def _keep_young(self) -> None:
        without = [s for s in self._config.SYMBOLS if self._shelf.current(s) is None]
        if without:
            log.info(
                f"no model yet for {', '.join(without)}: training begins after the first trade"
            )
        await self._after_the_first_trade()
        while True:
            symbols = self.due()
            if symbols:
                await self._turn(symbols)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _after_the_first_trade(self) -> None:
        for _ in range(int(_FIRST_TRADE_WITHIN_S / _LOOK_EVERY_S)):
            if self._traded():
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _turn(self, symbols: tuple[str, ...]) -> None:
        """Train some symbols; never raises but for a cancellation."""
        self._tried_ns |= dict.fromkeys(symbols, self._clock.now().venue_ns)
        try:
            await self._train(symbols)
        except TrainingFailedError as error:
            log.warning(f"{error}; models stay as they are")
        except (TradingError, OSError) as error:
            log.warning(f"no training this time: {error}")
        except Exception as error:  # noqa: BLE001 - trading must not notice, whatever it is
            log.warning(f"no training this time: {type(error).__name__}: {error}")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _train(self, symbols: tuple[str, ...]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for symbol in symbols:
            files[symbol] = str(await asyncio.to_thread(self._collect, symbol))
        job = {
            "candles": files,
            "model_dir": str(self._state.models),
            "model_type": self._config.MODEL_TYPE,
        }
        log.info(f"training {', '.join(symbols)} in a process of its own")
        async for answer in self._process.run(job):
            await self._answered(answer)
        log.info("training is done")

    async def _answered(self, answer: dict[str, Any]) -> None:
        symbol = answer["symbol"]
        if "error" in answer:
            log.warning(f"[{symbol}] not trained: {answer['error']}")
            return
        log.info(f"[{symbol}] trained on {answer['rows']} bars: {answer['verdict']}")
        if not answer["accepted"]:
            log.info(f"[{symbol}] the old model stays: {answer['reason']}")
            return
        try:
            model = await asyncio.to_thread(self._shelf.load, symbol)
        except ModelRefusedError as error:
            log.warning(f"{error}")
            return
        log.info(f"[{symbol}] the new model is in place: {answer['reason']}")
        self._post(ModelReady(symbol=symbol, sha256=model.manifest["sha256"]))

    def _collect(self, symbol: str) -> Path:
        """Fetch the newest closed candles, newest page first, and write them for the child."""
        closed_ms = self._clock.now().venue_ns // NS_PER_MS
        step_ms = interval_ns(self._config.KLINE_INTERVAL) // NS_PER_MS
        pages: list[FloatArray] = []
        end_ms: int | None = None
        while sum(map(len, pages)) <= self._config.TRAIN_BARS:
            page = self._fetch(symbol, PAGE_BARS, end_ms)
            if page:
                pages.insert(0, _numbers(page))
                end_ms = int(page[0][0]) - 1
            if len(page) < PAGE_BARS:
                break
        rows = np.concatenate(pages) if pages else np.empty((0, 7))
        rows = rows[rows[:, 0] + step_ms <= closed_ms][-self._config.TRAIN_BARS :]
        path = self._folder / f"{symbol}.npz"
        write_candles(path, rows[:, 0].astype(np.int64), rows[:, 1:])
        return path


def _numbers(page: list[list[Any]]) -> FloatArray:
    """Return open time (ms) and the candle columns of the venue's rows, which are text."""
    return np.array([[*map(float, row[:6]), float(row[_TAKER_PLACE])] for row in page])
