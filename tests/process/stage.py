"""A bot that trades while its storage fails, and what is to be seen of it from outside."""

import hashlib
import hmac
import http.client
import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

from actors.edges.database import DatabaseManager
from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from core.messages import Purpose
from tests.process.conftest import Process, World, eventually
from tests.process.test_first_light import holds_protected_position, own


class Stage:
    """A venue, a bot on it that holds a protected position, and the storage that will fail."""

    def __init__(self, world: World, db_file: str, wrapper: tuple[str, ...] = ()) -> None:
        self.world = world
        world.start_venue("--seed", "3", "--speed", "60")
        # A slot for each symbol: there is always one left to enter once the storage is back.
        slots = {"MAX_OPEN_POSITIONS": "5", "RECONCILE_S": "5"}
        self.bot: Process = world.start_bot(wrapper, DB_FILE=db_file, **slots)
        self._read_to = 0  # what the log said of an earlier fault
        eventually("a protected position", lambda: holds_protected_position(world), 60)

    # ------------------------------------------------------------ seen from outside
    def entries(self) -> int:
        return len(own(self.world.ledger()["orders"], Purpose.ENTRY))

    def said(self, *words: str) -> str:
        """Return the last line of the log with all these words, since the last fault healed."""
        lines = self.bot.text()[self._read_to :].splitlines()
        return next((x for x in reversed(lines) if all(word in x for word in words)), "")

    def refused(self, *words: str) -> bool:
        """Tell whether a wish was refused for the storage, as `status` shows it."""
        address = json.loads((self.world.state / "control.json").read_text(encoding="utf-8"))
        with closing(http.client.HTTPConnection(address["host"], address["port"], 20)) as api:
            headers = {"Authorization": f"Bearer {address['token']}"}
            api.request("GET", "/snapshot", headers=headers)
            status = json.load(api.getresponse())
        refusals = [row.get("last_refusal") for row in status["symbols"].values()]
        return any(
            row["reason_code"] == "storage" and all(word in row["reason"] for word in words)
            for row in refusals
            if row is not None
        )

    # ------------------------------------------------------------ protection
    def take_a_stop_away(self) -> str:
        """Cancel a live stop, as its owner might by hand; return its symbol."""

        def a_live_stop() -> dict[str, Any] | None:
            ledger = self.world.ledger()
            held = {p["symbol"] for p in ledger["positions"] if Decimal(p["positionAmt"])}
            stops = [a for a in own(ledger["algo_orders"], Purpose.STOP) if a["symbol"] in held]
            return next((a for a in stops if a["algoStatus"] == "NEW"), None)

        stop = eventually("a live stop", a_live_stop, 60)
        query = urllib.parse.urlencode(
            {
                "symbol": stop["symbol"],
                "algoId": stop["algoId"],
                "timestamp": time.time_ns() // 1_000_000,
            }
        )
        signature = hmac.new(LOCAL_API_SECRET.encode(), query.encode(), hashlib.sha256)
        request = urllib.request.Request(  # noqa: S310 - the venue of this test
            f"{self.world.url}/fapi/v1/algoOrder?{query}&signature={signature.hexdigest()}",
            method="DELETE",
            headers={"X-MBX-APIKEY": LOCAL_API_KEY},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            assert json.load(answer)
        return str(stop["symbol"])

    def is_protected_again(self, symbol: str) -> bool:
        ledger = self.world.ledger()
        held = any(Decimal(p["positionAmt"]) for p in ledger["positions"] if p["symbol"] == symbol)
        stops = [a for a in own(ledger["algo_orders"], Purpose.STOP) if a["symbol"] == symbol]
        return not held or any(a["algoStatus"] == "NEW" for a in stops)

    # ------------------------------------------------------------ the two halves of each test
    def goes_on_protecting(self, *words: str) -> None:
        """Show what happens while the storage fails; `words` stand in the operator's line."""
        line = eventually("the bot says what is wrong", lambda: self.said("ERROR", *words), 90)
        assert "Fix: " in line
        threading.Event().wait(1)  # an entry whose row was in time may still be on its way
        before = self.entries()
        for _ in range(2):
            symbol = self.take_a_stop_away()
            eventually("the stop is back", lambda s=symbol: self.is_protected_again(s), 20)
        eventually("a wish is refused for it", lambda: self.refused(*words), 60)
        assert self.entries() == before, "an entry left without its journal row"
        assert self.bot.alive()

    def catches_up(self, opened: Callable[[], DatabaseManager]) -> None:
        """Show that all that was held is written, and that trading goes on."""
        eventually("it says that storage is back", lambda: self.said("storage", "again"), 90)
        known = self.entries()
        eventually("a new entry", lambda: self.entries() > known, 120)

        def agree() -> bool:
            with closing(opened()) as database:
                known = database.recover().known_trades
                assert database.verify_audit().faults == ()
                with database._connection.session() as opened_now:
                    rows = opened_now.execute_sql("SELECT client_id FROM order_intent").fetchall()
            stored = {f"{symbol}:{number}" for symbol, numbers in known for number in numbers}
            ledger = self.world.ledger()
            entered = {order["clientOrderId"] for order in own(ledger["orders"], Purpose.ENTRY)}
            assert entered <= {row[0] for row in rows}, "an entry lost its journal row"
            return stored == {f"{t['symbol']}:{t['id']}" for t in ledger["trades"]}

        eventually("database and venue agree on every trade", agree, 90)
        assert "Traceback" not in self.bot.text()
        self._read_to = len(self.bot.text())
