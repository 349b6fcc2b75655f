"""What the gateway asks of the venue for each message, and the message it answers with.

Every method takes a command of `core/messages.py` and returns its answer; none raises for trouble
with the venue.  Entries and exits are sent once: whether to send again is execution's to decide,
after it knows the outcome.  Amounts go out as plain decimal strings, booleans as `true`.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from actors.edges.binance_client import BinanceRequestException, VenueClient, problem
from actors.edges.governor import QuietError
from actors.edges.retrying import Retrying
from actors.edges.system_clock import SystemClock
from config import Config
from core import messages as m
from core.clock import NS_PER_MS
from core.execution.classify import Action
from core.execution.client_id import purpose_of
from core.feed.frames import check_candle
from core.messages import Failure, Purpose

_KLINES_PAGE = 499  # of weight 2: no other size costs less a candle
_DUPLICATE = Action.ADOPT
_ALGO_TYPES = {Purpose.STOP: "STOP_MARKET", Purpose.TARGET: "TAKE_PROFIT_MARKET"}
_COOLING = -1003


class Requests:
    """The requests of one account.  `entries` is the client with the short recvWindow."""

    def __init__(
        self,
        *,
        config: Config,
        clock: SystemClock,
        client: VenueClient,
        entries: VenueClient,
        retrying: Retrying,
    ) -> None:
        self._config = config
        self._clock = clock
        self._client = client
        self._entries = entries
        self._retrying = retrying

    # ---------------------------------------- orders
    async def place(self, order: m.PlaceOrder) -> m.OrderAnswered | m.OrderFailed:
        """Send a MARKET order, once."""
        entry = not order.reduce_only
        parameters = {
            "symbol": order.symbol,
            "side": order.side.value,
            "type": "MARKET",
            "quantity": f"{order.quantity:f}",
            "newClientOrderId": order.client_id,
            "newOrderRespType": "RESULT",
        }
        if order.reduce_only:
            parameters["reduceOnly"] = "true"
        client = self._entries if entry else self._client
        try:
            answer = await self._retrying.once(lambda: client.futures_create_order(**parameters))
            return m.OrderAnswered(
                client_id=order.client_id,
                symbol=order.symbol,
                purpose=order.purpose,
                venue_id=f"{order.symbol}:{_whole(answer, 'orderId')}",
                status=_word(answer, "status"),
                executed=_amount(answer, "executedQty"),
            )
        except Exception as error:  # noqa: BLE001 - whatever it was, it is judged and answered
            return self._failure(order, order.purpose, error)

    async def place_algo(self, order: m.PlaceAlgoOrder) -> m.OrderAnswered | m.OrderFailed:
        """Send a stop or a target; one that exists already is adopted."""
        parameters = {
            "symbol": order.symbol,
            "side": order.side.value,
            "type": _ALGO_TYPES[order.purpose],
            "triggerPrice": f"{order.trigger_price:f}",
            "closePosition": "true",
            "workingType": self._config.for_symbol(order.symbol).WORKING_TYPE,
            "clientAlgoId": order.client_id,
        }
        try:
            # The library adds to the parameters it is given: each attempt gets its own copy.
            answer = await self._retrying.protect(
                lambda: self._client.futures_create_algo_order(**parameters)
            )
            return self._algo_answered(order, answer)
        except Exception as error:  # noqa: BLE001 - judged and answered
            failed = self._failure(order, order.purpose, error)
            if problem(error).verdict.action is not _DUPLICATE:
                return failed
        try:
            existing = await self._algo_order(order)
        except Exception as error:  # noqa: BLE001 - judged and answered
            return self._failure(order, order.purpose, error)
        return failed if existing is None else self._algo_answered(order, existing)

    async def _algo_order(self, order: m.PlaceAlgoOrder) -> dict[str, Any] | None:
        """Find an open conditional order by its client id; None if another one is in the way."""
        rows = await self._retrying.read(
            lambda: self._client.futures_get_open_algo_orders(symbol=order.symbol)
        )
        return next((row for row in rows if row.get("clientAlgoId") == order.client_id), None)

    async def cancel_algo(self, order: m.CancelAlgoOrder) -> m.AlgoGone | m.OrderFailed:
        """Cancel a conditional order; one that is not open any more is as good."""
        try:
            await self._retrying.cancel(
                lambda: self._client.futures_cancel_algo_order(clientAlgoId=order.client_id)
            )
        except Exception as error:  # noqa: BLE001 - judged and answered
            if problem(error).verdict.action is not Action.GONE:
                return self._failure(order, self._purpose(order.client_id), error)
            return m.AlgoGone(
                client_id=order.client_id,
                symbol=order.symbol,
                detail="was not open any more",
                cancelled=False,
            )
        return m.AlgoGone(client_id=order.client_id, symbol=order.symbol, detail="cancelled")

    async def query(self, order: m.QueryOrder) -> m.OrderFound | m.OrderFailed:
        """Look for an order by its client id or venue id, once: execution asks again on its own."""
        conditional = self._purpose(order.client_id) in _ALGO_TYPES
        if order.venue_id:
            conditional = ":algo:" in order.venue_id
        look = self._found_algo if conditional else self.found
        try:
            return await look(order.symbol, order.client_id, order.venue_id)
        except Exception as error:  # noqa: BLE001 - judged and answered
            failed = self._failure(order, self._purpose(order.client_id), error)
            return replace(failed, of_query=True)

    async def found(self, symbol: str, client_id: str, venue_id: str = "") -> m.OrderFound:
        """Return what the venue says of an ordinary order; raises for all but -2013."""
        order = {"orderId": _number(venue_id)} if venue_id else {"origClientOrderId": client_id}
        try:
            row = await self._retrying.once(
                lambda: self._client.futures_get_order(symbol=symbol, **order)
            )
        except Exception as error:
            if problem(error).verdict.action is not Action.GONE:
                raise
            return m.OrderFound(client_id=client_id, symbol=symbol, found=False, venue_id=venue_id)
        return m.OrderFound(
            client_id=client_id,
            symbol=symbol,
            found=True,
            venue_id=f"{symbol}:{_whole(row, 'orderId')}",
            status=_word(row, "status"),
            executed=_amount(row, "executedQty"),
            average_price=_amount(row, "avgPrice"),
            seen=(_seen(row, f"{symbol}:{_whole(row, 'orderId')}"),),
        )

    async def _found_algo(self, symbol: str, client_id: str, venue_id: str) -> m.OrderFound:
        """Return what the venue says of a conditional order, and of the order it became.

        By the list of all: the query for a single one was seen to deny an order that existed.
        """
        first = {"algoId": _number(venue_id)} if venue_id else {}
        rows = await self._retrying.once(
            lambda: self._client.futures_get_all_algo_orders(symbol=symbol, **first)
        )
        key, value = ("algoId", first["algoId"]) if first else ("clientAlgoId", client_id)
        row = next((row for row in rows if row.get(key) == value), None)
        became = m.OrderFound(client_id=client_id, symbol=symbol, found=False, venue_id=venue_id)
        if row is None:
            return became
        venue_id = f"{symbol}:algo:{_whole(row, 'algoId')}"
        if row.get("actualOrderId"):  # by name: it carries the same client id
            became = await self.found(symbol, _word(row, "clientAlgoId"))
        return m.OrderFound(
            client_id=client_id,
            symbol=symbol,
            found=True,
            venue_id=venue_id,
            status=_word(row, "algoStatus"),
            executed=became.executed,
            average_price=became.average_price,
            seen=(_algo_seen(row, venue_id), *became.seen),
        )

    # ---------------------------------------- history
    async def history(self, wanted: m.FetchHistory) -> m.KlineHistory:
        """Fetch the latest closed candles, in pages of 499, newest page first."""
        try:
            candles = await self._candles(wanted.symbol, wanted.bars)
        except Exception as error:  # noqa: BLE001 - judged and answered
            return m.KlineHistory(symbol=wanted.symbol, candles=(), reason=_described(error))
        reason = "" if candles else "the venue has no closed candle yet"
        return m.KlineHistory(symbol=wanted.symbol, candles=candles, reason=reason)

    async def klines(self, symbol: str, bars: int, end_ms: int | None) -> list[list[Any]]:
        """Return one page of klines as the venue sends them; raises what the request raises."""
        parameters: dict[str, Any] = {"symbol": symbol, "interval": self._config.KLINE_INTERVAL}
        parameters |= {} if end_ms is None else {"endTime": end_ms}
        page: list[list[Any]] = await self._retrying.read(
            lambda: self._client.futures_klines(**parameters, limit=bars)
        )
        return page

    async def _candles(self, symbol: str, bars: int) -> tuple[m.Candle, ...]:
        now_ms = self._clock.now().venue_ns // NS_PER_MS  # before the request: an open bar stays so
        parameters: dict[str, Any] = {"symbol": symbol, "interval": self._config.KLINE_INTERVAL}
        rows: list[Any] = []
        while len(rows) < bars + 1:
            limit = min(_KLINES_PAGE, bars + 1 - len(rows))
            page = await self._retrying.read(
                lambda limit=limit: self._client.futures_klines(**parameters, limit=limit)
            )
            rows = [*page, *rows]
            if len(page) < limit:
                break
            parameters["endTime"] = int(page[0][0]) - 1
        closed = [row for row in rows if int(row[6]) < now_ms]
        return tuple(map(_candle, closed[-bars:]))

    # ---------------------------------------- failures
    def _failure(self, command: Any, purpose: Purpose, error: Exception) -> m.OrderFailed:
        if isinstance(error, QuietError):
            failure, action = Failure.NOT_SENT, Action.COOL_DOWN
            code, detail = _COOLING, str(error)
        else:
            found = problem(error)
            failure, action = found.verdict.failure, found.verdict.action
            code, detail = found.code, found.detail
        return m.OrderFailed(
            client_id=command.client_id,
            symbol=command.symbol,
            purpose=purpose,
            failure=failure,
            code=code,
            detail=detail,
            action=action.value,
        )

    def _purpose(self, client_id: str) -> Purpose:
        return purpose_of(self._config.CLIENT_ID_TAG, client_id) or Purpose.STOP

    def _algo_answered(self, order: m.PlaceAlgoOrder, row: dict[str, Any]) -> m.OrderAnswered:
        return m.OrderAnswered(
            client_id=order.client_id,
            symbol=order.symbol,
            purpose=order.purpose,
            venue_id=f"{order.symbol}:algo:{_whole(row, 'algoId')}",
            status=_word(row, "algoStatus"),
            executed=Decimal(0),
        )


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, QuietError) else problem(error).detail


def _candle(row: list[Any]) -> m.Candle:
    candle = m.Candle(
        open_time_ns=int(row[0]) * NS_PER_MS,
        open=float(row[1]),
        high=float(row[2]),
        low=float(row[3]),
        close=float(row[4]),
        volume=float(row[5]),
        taker_buy_volume=float(row[9]),
    )
    check_candle(candle, BinanceRequestException)
    return candle


# An answer without what it must have is as good as none: the request may have been executed.
def _whole(row: Any, key: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, int):
        raise BinanceRequestException(f"the answer has no {key}: {row!s:.80}")
    return value


def _number(venue_id: str) -> int:
    return int(venue_id.rpartition(":")[2])


def _seen(row: dict[str, Any], venue_id: str) -> m.OrderSeen:
    price = _amount(row, "avgPrice")
    return m.OrderSeen(
        venue_id=venue_id,
        symbol=_word(row, "symbol"),
        side=m.Side(_word(row, "side")),
        order_type=_word(row, "type"),
        quantity=_amount(row, "origQty"),
        price=price or None,
        status=_word(row, "status"),
        at_ns=_whole(row, "updateTime") * NS_PER_MS,
    )


def _algo_seen(row: dict[str, Any], venue_id: str) -> m.OrderSeen:
    return m.OrderSeen(
        venue_id=venue_id,
        symbol=_word(row, "symbol"),
        side=m.Side(_word(row, "side")),
        order_type=_word(row, "orderType"),
        quantity=Decimal(0),
        price=_amount(row, "triggerPrice"),
        status=_word(row, "algoStatus"),
        at_ns=_whole(row, "updateTime") * NS_PER_MS,
    )


def _word(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise BinanceRequestException(f"the answer has no {key}: {row!s:.80}")
    return value


def _amount(row: dict[str, Any], key: str) -> Decimal:
    try:
        value = Decimal(row[key])
    except (KeyError, TypeError, ArithmeticError) as error:
        raise BinanceRequestException(f"the answer has no {key}: {row!s:.80}") from error
    if not value.is_finite():
        raise BinanceRequestException(f"{key} is {value}")
    return value
