"""What speaks against a result, said where the result is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from actors.reporting.content import Content, Source
from actors.reporting.text import count, lasting, moment, number, percent
from core.backtest.luck import deflated_sharpe
from core.backtest.metrics import Figures, returns_of, sharpe_ratio
from core.backtest.result import BacktestResult, ExitReason, Halt
from core.symbol.strategy import EnhancedStrategy
from core.words import TradingState

GOOD, CAUTION, BAD, OPEN, NOTE = "good", "caution", "bad", "open", "note"
TRIALS: Final = (1, 10, 100, 1_000)
SURE: Final = 0.95
_EVEN: Final = 0.5
_TRADES_FEW: Final = 100
_TRADES_TOO_FEW: Final = 30
_SPREAD: Final = 1.96  # standard errors on either side: 95 %


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mark` is GOOD, CAUTION, BAD, OPEN (not known) or NOTE."""

    mark: str
    title: str
    text: str


def deflated(result: BacktestResult, trials: int) -> float | None:
    """Return the deflated Sharpe ratio (0..1) had so many settings been tried.

    How much the ratios of the tries differ is not known of a single run.  The standard error of its
    own ratio stands in: so much tries without skill differ on as many bars.
    """
    returns = _returns(result)
    ratio = sharpe_ratio(returns)
    if ratio is None:
        return None
    return deflated_sharpe(returns, tries=trials, deviation=ratio.error)


def in_plain_words(content: Content, metrics: Figures) -> tuple[str, str]:
    """Return a mark, and what came out in two or three sentences."""
    result = content.result
    if not result.trades:
        return CAUTION, "Nothing was traded, so there is nothing to judge."
    total, trades = metrics["total_return"] or 0.0, len(result.trades)
    came = "gained" if total >= 0 else "lost"
    costs = float(sum(t.fees - t.funding for t in result.trades) + (content.slippage.amount or 0))
    before = float(metrics["net_profit"] or 0.0) + costs
    days = round(content.days)
    span = f"{days} days" if days > 1 else lasting(content.end_ms - content.start_ms)
    first = (
        f"It {came} {percent(abs(total))} in {span} over"
        f" {count(trades)} trades, and fell {percent(metrics['max_drawdown'])} below its high on"
        " the way."
    )
    words = [first]
    if costs > 0 and before > 0 > (metrics["net_profit"] or 0.0):
        words.append(f"Before costs it gained {number(before, 0)} USDT; costs took all of that.")
    elif costs > 0:
        words.append(f"Costs took {number(costs, 0)} USDT.")
    low, high = _sharpe_range(metrics)
    if low is None or high is None:
        return CAUTION, " ".join(words)
    if low > 0:
        words.append("By its own bars alone this is more than chance; see the tries below.")
        return GOOD, " ".join(words)
    if high < 0:
        words.append("The loss is more than bad luck: as it stands, not trading is better.")
        return BAD, " ".join(words)
    words.append("That cannot be told from chance: zero lies within the error of its Sharpe ratio.")
    return CAUTION, " ".join(words)


def findings(content: Content, metrics: Figures) -> tuple[Finding, ...]:
    """Return what was looked at, in the order of the page."""
    if content.source is Source.DATABASE:
        return (_chance(metrics), _how_many(content.result), *_stops(content), *_told(content))
    return (
        _looking_ahead(content),
        *_models(content),
        _chance(metrics),
        _tries(content),
        _how_many(content.result),
        _holes(content.result),
        *_stops(content),
        *_market(content),
        *_told(content),
    )


def _looking_ahead(content: Content) -> Finding:
    title = "Looking ahead"
    rule = "Decisions are made on closed bars and filled at the next bar's open."
    if content.strategy is EnhancedStrategy:
        return Finding(
            GOOD,
            title,
            f"{rule} EnhancedStrategy decides on all bars at once here; that this equals asking it"
            " bar by bar is proven by the project's tests, not again in this run.",
        )
    if not content.decided_at_once:
        return Finding(
            GOOD, title, f"{rule} The strategy was asked bar by bar and saw earlier bars only."
        )
    if content.result.predicted_by:
        return Finding(
            CAUTION,
            title,
            f"{rule} The strategy decided on all bars at once with predictions told to it; that it"
            " used nothing later was not checked.",
        )
    return Finding(
        GOOD,
        title,
        f"{rule} The strategy decided on all bars at once; sampled bars were decided again from"
        " earlier bars only, and agreed.",
    )


def _models(content: Content) -> Iterator[Finding]:
    title = "Models and leaks"
    told = content.result.predicted_by
    if not told:
        yield Finding(
            OPEN,
            title,
            f"No model took part: every decision is technical. {_of_models(content)}",
        )
        return
    who = "; ".join(
        f"{symbol}: " + ", ".join(f"{count(bars)} bars by {kind}" for kind, bars in kinds.items())
        for symbol, kinds in told.items()
    )
    yield Finding(
        CAUTION,
        title,
        f"Who predicted: {who}. Bars that a model was trained on are predicted by a refit that had"
        " not seen them. That the model counts as skilled was found on those bars all the same."
        f" {_of_models(content)}",
    )


def _of_models(content: Content) -> str:
    """Say once what was told of several symbols in the same words."""
    who: dict[str, list[str]] = {}
    for line in content.models:
        symbol = next((one for one in content.result.symbols if one in line), "")
        words = line.replace(f"[{symbol}] ", "").replace(symbol, "SYMBOL") if symbol else line
        who.setdefault(words, []).append(symbol)
    return " ".join(
        f"{', '.join(symbols)}: {words}." if symbols[0] else f"{words}."
        for words, symbols in who.items()
    )


def _chance(metrics: Figures) -> Finding:
    title = "Skill or chance"
    low, high = _sharpe_range(metrics)
    if low is None or high is None:
        return Finding(OPEN, title, "Equity never moved, or there are too few bars to tell.")
    text = (
        f"Sharpe ratio of a year {number(metrics['sharpe'])}, standard error"
        f" {number(metrics['sharpe_error'])}: between {number(low)} and {number(high)} in 95 of 100"
        " such samples."
    )
    if low > 0:
        return Finding(GOOD, title, f"{text} Zero lies outside.")
    if high < 0:
        return Finding(BAD, title, f"{text} It lies below zero.")
    return Finding(CAUTION, title, f"{text} Zero lies inside: this may be nothing but chance.")


def _tries(content: Content) -> Finding:
    title = "Number of tries"
    trials = content.trials
    known = trials or 1
    probability = deflated(content.result, known)
    if probability is None:
        return Finding(OPEN, title, "There is no Sharpe ratio to deflate.")
    said = (
        f"{count(trials)} settings were tried on these bars"
        if trials is not None
        else "How many settings were tried on these bars was not told (--trials N), so this counts"
        " as one"
    )
    mark = GOOD if probability >= SURE and trials is not None else CAUTION
    return Finding(
        mark if probability >= _EVEN else BAD,
        title,
        f"{said}. Deflated Sharpe ratio {number(probability)}: the probability that the true ratio"
        f" is above what the best of so many tries without skill shows; {SURE} is wanted.",
    )


def _how_many(result: BacktestResult) -> Finding:
    trades = len(result.trades)
    mark = GOOD
    text = f"{count(trades)} trades."
    if trades < _TRADES_TOO_FEW:
        mark, text = BAD, f"{text} Too few to tell anything."
    elif trades < _TRADES_FEW:
        mark, text = CAUTION, f"{text} Few: one more win or loss changes the picture."
    unended = sum(trade.exit_reason is ExitReason.END for trade in result.trades)
    if unended:
        text += f" {count(unended)} were still open at the end and closed at the last price."
    return Finding(mark, "Number of trades", text)


def _holes(result: BacktestResult) -> Finding:
    title = "Holes in the data"
    filled = {symbol: bars for symbol, bars in result.filled_bars.items() if bars}
    if not filled:
        return Finding(GOOD, title, "No bar was missing.")
    share = sum(filled.values()) / (len(result.open_ms) * len(result.symbols))
    by = ", ".join(f"{symbol} {count(bars)}" for symbol, bars in filled.items())
    return Finding(
        CAUTION if share < 0.01 else BAD,  # noqa: PLR2004 -- one bar in a hundred
        title,
        f"{percent(share, 3)} of the bars were missing and filled flat: {by}. Stops and targets in"
        " them were not seen.",
    )


def _stops(content: Content) -> Iterator[Finding]:
    """Tell whether risk let it trade to the end: what lies after is a flat line, not a result."""
    result = content.result
    account = [halt for halt in result.halts if not halt.symbol]
    last = _last_stop(account)
    if last is not None:
        share = (content.end_ms - last.at_ms) / (content.end_ms - content.start_ms)
        yield Finding(
            BAD,
            "Stopped by risk",
            f"From {moment(last.at_ms)} on nothing new was opened: {account[-1].reason}."
            f" The last {percent(max(0.0, share), 0)} of the time says nothing about the strategy.",
        )
    symbols = {halt.symbol: halt for halt in result.halts if halt.symbol}
    latched = [halt for halt in symbols.values() if halt.state != TradingState.ACTIVE]
    if latched:
        yield Finding(
            CAUTION,
            "Symbols latched",
            "; ".join(
                f"{halt.symbol} since {moment(halt.at_ms)}: {halt.reason}" for halt in latched
            )
            + ". Nobody resumed them.",
        )
    if last is None:
        days = sum(halt.state != TradingState.ACTIVE for halt in account)
        often = "once" if days == 1 else f"{count(days)} times"
        text = f"Risk reduced or halted the account {often}, and it went on."
        none = "Risk never reduced or halted the account."
        yield Finding(CAUTION if days else GOOD, "Limits", text if days else none)


def _last_stop(account: Sequence[Halt]) -> Halt | None:
    """Return where the stop that was never lifted began, None if the account still trades."""
    began = None
    for halt in account:
        if halt.state not in {TradingState.HALTED, TradingState.FLATTEN}:
            began = None
        elif began is None:
            began = halt
    return began


def _market(content: Content) -> Iterator[Finding]:
    config, result = content.config, content.result
    yield Finding(
        CAUTION,
        "What the market is taken to be",
        f"Every order fills whole, {config.SLIPPAGE_BPS:g} basis points (SLIPPAGE_BPS) worse than"
        " the price; there is no book, no queue and no effect of one's own size. Stops trigger by"
        " the last price."
        " If a bar reached both stop and target, the stop counts.",
    )
    if config.FUNDING == "zero":
        yield Finding(BAD, "Funding", "FUNDING=zero: no funding was charged. Live it is.")
    liquidated = sum(trade.exit_reason is ExitReason.LIQUIDATION for trade in result.trades)
    if liquidated:
        yield Finding(BAD, "Liquidations", f"{count(liquidated)} positions were liquidated.")


def _told(content: Content) -> Iterator[Finding]:
    for title, note in content.notes:
        yield Finding(NOTE, title, note)


def _sharpe_range(metrics: Figures) -> tuple[float | None, float | None]:
    sharpe, error = metrics["sharpe"], metrics["sharpe_error"]
    if sharpe is None or error is None:
        return None, None
    return sharpe - _SPREAD * error, sharpe + _SPREAD * error


def _returns(result: BacktestResult) -> Any:
    return returns_of(np.concatenate([[float(result.start_equity)], result.equity]))
