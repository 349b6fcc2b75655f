"""A result as one page: plotly.js, style, script and data inside, nothing from anywhere else."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np

from actors.reporting import charts, tables
from actors.reporting.candles import chart_of
from actors.reporting.content import Content, Source
from actors.reporting.honesty import (
    BAD,
    CAUTION,
    GOOD,
    NOTE,
    OPEN,
    TRIALS,
    deflated,
    findings,
    in_plain_words,
)
from actors.reporting.series import Exposure, exposure_of
from actors.reporting.text import (
    NOTHING,
    count,
    lasting,
    moment,
    number,
    percent,
    signed,
    table,
    tone,
)
from core.backtest.luck import RUNS, drawdowns, reordered, resampled
from core.backtest.metrics import Figures, metrics_of

_SEED: Final = 42  # of the Monte Carlo: the same result gives the same page
_MARKS: Final = {GOOD: "✓", CAUTION: "!", BAD: "✕", OPEN: "?", NOTE: "i"}
# What the page may load: nothing.  Inline parts are its own.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """What the page is built with, as text."""

    style: str
    script: str
    plotly: str


@dataclass(frozen=True, slots=True)
class _Section:
    name: str  # its anchor
    title: str
    body: str


def page_of(content: Content, assets: Assets) -> str:
    """Return the HTML of a result; it loads nothing from anywhere."""
    metrics = metrics_of(content.result)
    figures: dict[str, charts.Figure] = {}
    sections = [
        *_course(content, figures),
        *_trades(content),
        *_luck(content, metrics, figures),
        *_exposure(content, figures),
        *_costs(content, metrics, figures),
        _honesty(content, metrics),
        _settings(content, metrics),
    ]
    data = {
        "figures": figures,
        "candles": {
            symbol: chart_of(content.prices.get(symbol), content.trades_of(symbol))
            for symbol in content.result.symbols
        },
    }
    return _document(content, metrics, sections, data, assets)


def _document(
    content: Content,
    metrics: Figures,
    sections: Sequence[_Section],
    data: Any,
    assets: Assets,
) -> str:
    title = f"{content.source.value}: {', '.join(content.result.symbols)}"
    links = "".join(f'<a href="#{one.name}">{escape(one.title)}</a>' for one in sections)
    bodies = "".join(
        f'<section id="{one.name}"><h2>{escape(one.title)}</h2>{one.body}</section>'
        for one in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{assets.style}</style>"
        f"<script>{assets.plotly}</script></head><body>"
        f"{_head(content, metrics)}<nav>{links}</nav><main>{bodies}</main>"
        f'<script type="application/json" id="data">{_json(data)}</script>'
        f"<script>{assets.script}</script></body></html>\n"
    )


def _head(content: Content, metrics: Figures) -> str:
    result = content.result
    mark, words = in_plain_words(content, metrics)
    span = f"{moment(content.start_ms)} to {moment(content.end_ms)} UTC"
    strategy = content.config.STRATEGY.rpartition(":")[2]
    about = (
        f"{span} · {escape(', '.join(result.symbols))} · bars of"
        f" {lasting(result.interval_ms)} · {escape(strategy)}"
    )
    tiles = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b class="{kind}">{escape(value)}</b>'
        f"<small>{escape(below)}</small></div>"
        for name, value, kind, below in _tiles(content, metrics)
    )
    return (
        f'<header><div class="top"><h1>{content.source.value}</h1>'
        '<button id="scheme" type="button" aria-label="Light or dark">◐</button></div>'
        f'<p class="about">{about}</p><p class="verdict {mark}">{escape(words)}</p>'
        f'<div class="tiles">{tiles}</div></header>'
    )


def _tiles(content: Content, metrics: Figures) -> Iterable[tuple[str, str, str, str]]:
    """Yield name, figure, CSS class, and what stands below it."""
    result, net = content.result, metrics["net_profit"]
    total = metrics["total_return"]
    below_high = (metrics["max_drawdown_bars"] or 0) * result.interval_ms
    paid = (metrics["fees"] or 0.0) - (metrics["funding"] or 0.0)
    error = metrics["sharpe_error"]
    closed = "" if content.source is Source.BACKTEST else ", closed trades"
    yield "Return", percent(total), tone(total), f"{signed(net, 0)} USDT net{closed}"
    yield (
        "Deepest drawdown",
        percent(metrics["max_drawdown"]),
        "",
        f"{lasting(below_high)} below a high",
    )
    yield (
        "Sharpe ratio",
        number(metrics["sharpe"]),
        tone(metrics["sharpe"]),
        "of a year" if error is None else f"± {number(error)}, of a year",
    )
    yield (
        "Sortino ratio",
        number(metrics["sortino"]),
        "",
        f"Calmar {number(metrics['calmar'])}",
    )
    yield "Trades", count(metrics["trades"]), "", f"{percent(metrics['win_rate'], 1)} won"
    yield (
        "Profit factor",
        number(metrics["profit_factor"]),
        "",
        f"{signed(metrics['expectancy'])} USDT a trade",
    )
    yield "Fees and funding", number(paid, 0), "", "USDT"
    yield "Time in the market", percent(metrics["exposure"], 1), "", "of all bars and symbols"


def _course(content: Content, figures: dict[str, charts.Figure]) -> Iterable[_Section]:
    figures["equity"] = charts.equity_figure(content)
    figures["profit"] = charts.profit_figure(content)
    yield _Section("equity", "Equity", _chart("equity") + _chart("profit"))
    yield _Section("months", "Months", tables.months_table(content))


def _trades(content: Content) -> Iterable[_Section]:
    if not content.result.symbols:
        return
    yield _Section("symbols", "Symbols", tables.symbols_table(content) + tables.ways_table(content))
    tabs = "".join(
        f'<button type="button" data-symbol="{escape(symbol)}">{escape(symbol)}</button>'
        for symbol in content.result.symbols
    )
    yield _Section(
        "trades",
        "Trades on candles",
        f'<div class="tabs">{tabs}</div><div id="candles" class="chart tall"></div>'
        '<p class="hint" id="detail"></p><div id="list"></div>',
    )


def _luck(
    content: Content, metrics: Figures, figures: dict[str, charts.Figure]
) -> Iterable[_Section]:
    trades = content.result.trades
    if not trades:
        return
    figures["spread"] = charts.trades_figure(content)
    figures["days"] = charts.days_figure(content)
    yield _Section("distribution", "Distribution", _pair("spread", "days"))
    pnl = [float(trade.pnl) for trade in trades]
    start = float(content.result.start_equity)
    redrawn = resampled(pnl, start, seed=_SEED)
    shuffled = reordered(pnl, start, seed=_SEED)
    worst = float(drawdowns(np.concatenate([[start], start + np.cumsum(pnl)])).max())
    figures |= charts.luck_figures(redrawn, shuffled, metrics, worst)
    above = float((redrawn.final_equity > start).mean())
    deeper = float((shuffled.max_drawdown > worst).mean())
    yield _Section(
        "luck",
        "Monte Carlo",
        f"<p>Left: {count(RUNS)} times as many trades drawn from these with replacement;"
        f" {percent(above, 1)} of the runs end above the start. Right: the same trades in"
        f" {count(RUNS)} other orders; {percent(deeper, 1)} fall deeper than these did"
        f" ({percent(worst)}, counted from exit to exit). Both take trades to be independent;"
        " those open together are not, so the true spread is wider.</p>"
        + _pair("luck_ends", "luck_falls")
        + tables.luck_table(redrawn, shuffled),
    )


def _exposure(content: Content, figures: dict[str, charts.Figure]) -> Iterable[_Section]:
    if not content.result.trades:
        return
    held = exposure_of(content.result)
    figures["exposure"] = charts.exposure_figure(content, held)
    yield _Section("exposure", "Exposure", _chart("exposure") + _exposure_facts(held))


def _exposure_facts(held: Exposure) -> str:
    gross, open_bars = np.nan_to_num(held.gross), held.positions > 0
    while_held = float(gross[open_bars].mean()) if open_bars.any() else 0.0
    rows = [
        ("bars with something held", percent(float(open_bars.mean()), 1)),
        ("most positions at once", count(int(held.positions.max()))),
        ("notional while something is held", f"{number(while_held)} × equity on average"),
        ("largest notional", f"{number(float(gross.max()))} × equity"),
        ("long, short: average over all bars", _sides(held)),
    ]
    return tables.pairs(rows)


def _sides(held: Exposure) -> str:
    long, short = (float(np.nan_to_num(side).mean()) for side in (held.long, held.short))
    return f"{number(long, 3)} × and {number(short, 3)} × equity"


def _costs(
    content: Content, metrics: Figures, figures: dict[str, charts.Figure]
) -> Iterable[_Section]:
    trades = content.result.trades
    if not trades:
        return
    net, fees = metrics["net_profit"] or 0.0, metrics["fees"] or 0.0
    funding, slipped = metrics["funding"] or 0.0, content.slippage.amount
    slippage = float(slipped or 0)
    turnover = float(sum(t.quantity * (t.entry_price + t.exit_price) for t in trades))
    figures["costs"] = charts.costs_figure(
        [
            ("price moves", net + fees - funding + slippage, False),
            *([("slippage", -slippage, False)] if slipped is not None else []),
            ("fees", -fees, False),
            ("funding", funding, False),
            ("net", net, True),
        ]
    )

    def row(name: str, amount: float | None) -> list[tuple[str, str]]:
        if amount is None:
            return [(name, "name"), *[(NOTHING, "")] * 4]
        start = float(content.result.start_equity)
        return [
            (name, "name"),
            (number(amount), ""),
            (number(amount / len(trades)), ""),
            (number(amount / turnover * 10_000) if turnover else NOTHING, ""),
            (percent(amount / start), ""),
        ]

    every = table(
        ("cost", "USDT", "a trade", "basis points of turnover", "of the start"),
        [
            row("fees", fees),
            row("slippage", None if slipped is None else slippage),
            row("funding paid", -funding),
            row("together", fees + slippage - funding),
        ],
    )
    said = f"Turnover {number(turnover, 0)} USDT, entries and exits. {content.slippage.how}"
    yield _Section("costs", "Costs", f'{_chart("costs")}{every}<p class="hint">{escape(said)}</p>')


def _honesty(content: Content, metrics: Figures) -> _Section:
    cards = "".join(
        f'<li class="{one.mark}"><i>{_MARKS[one.mark]}</i><div><b>{escape(one.title)}</b>'
        f"<p>{escape(one.text)}</p></div></li>"
        for one in findings(content, metrics)
    )
    probabilities = [deflated(content.result, trials) for trials in TRIALS]
    odds = ""
    if content.source is Source.BACKTEST and None not in probabilities:
        odds = table(
            ("settings tried on these bars", *(count(trials) for trials in TRIALS)),
            [[("deflated Sharpe ratio", "name"), *(number(value, 3) for value in probabilities)]],
        )
        odds += (
            '<p class="hint">Bailey and López de Prado (2014). How much the tries differ is not'
            " known of one run: the standard error of its own ratio stands in.</p>"
        )
    return _Section("honesty", "Honesty card", f'<ul class="findings">{cards}</ul>{odds}')


def _settings(content: Content, metrics: Figures) -> _Section:
    changed, rest = tables.settings_tables(content)
    return _Section(
        "settings",
        "Settings",
        f"<p>Changed from what they are by default; a hash of all settings but secrets is"
        f" <code>{content.config.config_hash[:16]}</code>.</p>{changed}"
        f"<details><summary>All other settings</summary>{rest}</details>"
        f"<details><summary>All figures</summary>{tables.facts(metrics)}</details>",
    )


def _chart(name: str) -> str:
    return f'<div class="chart" data-figure="{name}"></div>'


def _pair(left: str, right: str) -> str:
    return f'<div class="pair">{_chart(left)}{_chart(right)}</div>'


def _json(data: Any) -> str:
    """Write JSON that can stand in a script element: no "<" ends it early."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
