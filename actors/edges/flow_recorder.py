"""Records closed bars with their order flow, as kline files that training reads as they are.

One file a symbol and month, `SYMBOL-INTERVAL-YYYY-MM.csv`: Binance's columns that are known, and
the two of `core/feed/order_flow.py`.  Written once a second, beside the loop; trading never waits
for it and never fails with it.  A bar that was not heard whole is left out: a hole, not a guess.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from actors.edges.log import get_logger
from actors.edges.streams import chunks
from config import Config
from core.clock import NS_PER_MS, NS_PER_S, interval_ns
from core.feed.frames import parse_flow, rejected
from core.feed.order_flow import FlowBar, OrderFlow
from core.messages import FrameRejected, KlineFrame, StreamDown

HEADER: Final = (
    "open_time,open,high,low,close,volume,taker_buy_volume,trade_imbalance,book_imbalance"
)
_EVERY_S: Final = 1.0
_WAITING_MAX: Final = 20_000  # bars, while the disk takes none; the oldest go first
_TAIL: Final = 4_096  # bytes, more than a row


def flow_streams(config: Config) -> list[list[str]]:
    """Return the streams to listen to, by socket: trades and quotes go over different routes."""
    names = [symbol.lower() for symbol in config.SYMBOLS]
    trades = [f"{name}@aggTrade" for name in names]
    quotes = [f"{name}@bookTicker" for name in names]
    return [*chunks(trades), *chunks(quotes)]


class FlowRecorder:
    """Listens beside the market stream and writes to `folder`; `news` gets unusable frames."""

    def __init__(self, config: Config, folder: Path, news: Callable[[Any], None]) -> None:
        self._interval = config.KLINE_INTERVAL
        self._flow = OrderFlow(tuple(config.SYMBOLS), interval_ns(config.KLINE_INTERVAL))
        self._folder = folder
        self._news = news
        self._waiting: deque[FlowBar] = deque(maxlen=_WAITING_MAX)
        self._newest_ms: dict[Path, int] = {}  # last open time in each file that was looked at
        self._failing = False
        self._writing = threading.Lock()  # the last write may come while one is under way

    def frame(self, frame: Any) -> None:
        """Take a frame of the trade and quote streams."""
        if not isinstance(frame, dict) or "data" not in frame:
            self._news(rejected("flow", "not a combined frame", frame))
            return
        heard = parse_flow(frame["data"], str(frame.get("stream")))
        if isinstance(heard, FrameRejected):
            self._news(heard)
        elif heard is not None:
            self._flow.take(heard)

    def kline(self, frame: KlineFrame) -> None:
        """Take a candle of the market stream; a closed one ends the bar."""
        bar = self._flow.close(frame)
        if bar is not None and bar.candle.taker_buy_volume <= bar.candle.volume:  # not NaN
            self._waiting.append(bar)

    def told(self, news: Any) -> None:
        """Take news of these streams; the bot hears nothing of them, for nothing depends on it."""
        if isinstance(news, StreamDown):
            self._flow.interrupted()

    async def keep(self) -> None:
        """Write what waits, once a second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if self._waiting:
                await asyncio.to_thread(self.write)

    def close(self) -> None:
        """Write what is left."""
        self.write()

    def write(self) -> None:
        """Append what waits to its files; on an error it goes on waiting, and that is said once."""
        try:
            with self._writing:
                while self._waiting:
                    bar = self._waiting.popleft()
                    try:
                        self._append(bar)
                    except OSError:
                        self._waiting.appendleft(bar)
                        raise
        except OSError as error:
            if not self._failing:
                get_logger("order_flow").warning(f"Order flow is not recorded just now: {error}")
            self._failing = True
        else:
            self._failing = False

    def _append(self, bar: FlowBar) -> None:
        at_ns = bar.candle.open_time_ns
        month = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).strftime("%Y-%m")
        path = self._folder / f"{bar.symbol}-{self._interval}-{month}.csv"
        if path not in self._newest_ms:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._newest_ms[path] = _mended(path)
        if at_ns // NS_PER_MS <= self._newest_ms[path]:
            return  # recorded before
        with path.open("a", encoding="ascii") as stream:
            stream.write(f"{row_of(bar)}\n")
        self._newest_ms[path] = at_ns // NS_PER_MS


def row_of(bar: FlowBar) -> str:
    """Return a bar as its line in the file."""
    candle = bar.candle
    prices = (candle.open, candle.high, candle.low, candle.close)
    numbers = (*prices, candle.volume, candle.taker_buy_volume)
    cells = [str(candle.open_time_ns // NS_PER_MS), *map(repr, numbers)]
    return ",".join((*cells, f"{bar.trade_imbalance:.6f}", f"{bar.book_imbalance:.6f}"))


def _mended(path: Path) -> int:
    """Make the file if it is not there, cut off a half line; return its last open time, 0 if none.

    A half line is what a killed process leaves; the next row must not continue it.
    """
    if not path.exists() or path.stat().st_size <= len(HEADER):
        path.write_text(f"{HEADER}\n", encoding="ascii")
        return 0
    with path.open("r+b") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TAIL))
        tail = stream.read()
        whole = tail[: tail.rfind(b"\n") + 1]
        stream.truncate(size - len(tail) + len(whole))
    first = whole.rstrip(b"\n").rsplit(b"\n", 1)[-1].split(b",", 1)[0]
    return int(first) if first.isdigit() else 0
