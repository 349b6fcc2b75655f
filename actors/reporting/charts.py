"""The charts of a page, as plotly figures in plain dicts.

A colour is a token: "@gain", or "@gain/0.2" for a part of it.  The page's script puts the colour of
the reader's scheme in its place.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from actors.reporting.content import Content
from actors.reporting.series import (
    Exposure,
    held_equally,
    periods,
    thinned,
    trade_returns,
)
from core.backtest.luck import Spread, drawdowns
from core.symbol.indicators import FloatArray

Figure = dict[str, Any]

_DAYS_MAX: Final = 400  # bars of days; longer results show weeks
_HOURS_BELOW: Final = 4  # days
_BINS: Final = 40
_PERCENT: Final = ".2%"
_BARE: Final = "<extra></extra>"  # no second box beside it


def equity_figure(content: Content) -> Figure:
    """Equity at each close, what risk latched, holding the symbols, and below it the drawdown."""
    result = content.result
    closes = result.open_ms + result.interval_ms
    falls = drawdowns(np.concatenate([[float(result.start_equity)], result.equity]))[1:]
    places = thinned(result.equity)
    below = thinned(falls)
    traces: list[Figure] = [
        {
            "type": "scatter",
            "name": "equity",
            "x": closes[places].tolist(),
            "y": _rounded(result.equity[places], 2),
            "line": {"color": "@accent", "width": 1.8},
            "hovertemplate": "%{y:,.2f}",
        },
        {
            "type": "scatter",
            "name": "drawdown",
            "x": closes[below].tolist(),
            "y": _rounded(-falls[below], 6),
            "yaxis": "y2",
            "fill": "tozeroy",
            "fillcolor": "@loss/0.18",
            "line": {"color": "@loss", "width": 1.2},
            "hovertemplate": "%{y:.2%}",
        },
    ]
    held = held_equally(result, content.prices)
    if held is not None:
        among = thinned(held)
        traces.insert(
            0,
            {
                "type": "scatter",
                "name": "symbols held in equal parts, no costs",
                "x": closes[among].tolist(),
                "y": _rounded(held[among], 2),
                "line": {"color": "@muted/0.7", "width": 1.2, "dash": "dot"},
                "hovertemplate": "%{y:,.2f}",
            },
        )
    traces += _latched(content)
    return {
        "data": traces,
        "layout": {
            "height": 460,
            "hovermode": "x unified",
            "showlegend": True,
            "xaxis": {
                "type": "date",
                "anchor": "y2",
                "range": [content.start_ms, content.end_ms],
            },
            "yaxis": {"domain": [0.34, 1.0], "title": {"text": "equity, USDT"}},
            "yaxis2": {
                "domain": [0.0, 0.27],
                "title": {"text": "drawdown"},
                "tickformat": ".0%" if float(falls.max(initial=0.0)) > 0.04 else ".1%",  # noqa: PLR2004
            },
        },
    }


def _latched(content: Content) -> list[Figure]:
    """Mark on the curve where risk stopped or reduced the whole account."""
    result = content.result
    halts = [h for h in result.halts if not h.symbol and h.state in {"REDUCING", "HALTED"}]
    if not halts:
        return []
    bars = result.open_ms.searchsorted([halt.at_ms for halt in halts], side="right") - 1
    bars = np.clip(bars, 0, len(result.equity) - 1)
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "risk reduced or halted",
            "x": [halt.at_ms for halt in halts],
            "y": _rounded(result.equity[bars], 2),
            "marker": {"color": "@caution", "symbol": "diamond", "size": 8},
            "text": [f"{halt.state}: {halt.reason}" for halt in halts],
            "hovertemplate": "%{text}",
        }
    ]


def profit_figure(content: Content) -> Figure:
    """Profit of each day, of each week of a long result, or of each hour of a short one."""
    unit, word, width = "D", "day", 86_400_000
    if content.days > _DAYS_MAX:
        unit, word, width = "W", "week", 7 * 86_400_000
    elif content.days <= _HOURS_BELOW:
        unit, word, width = "h", "hour", 3_600_000
    cut = periods(content.result, unit)
    form = "%Y-%m-%d %H:%M" if unit == "h" else "%Y-%m-%d"
    return {
        "data": [
            {
                "type": "bar",
                "x": cut.start_ms.tolist(),
                "y": _rounded(cut.profit, 2),
                "width": round(width * 0.8),
                "offset": round(width * 0.1),
                "customdata": _rounded(cut.returns, 6),
                "marker": {"color": _signed(cut.profit)},
                "hovertemplate": f"%{{x|{form}}}<br>%{{y:,.2f}} USDT, %{{customdata:.2%}}{_BARE}",
            }
        ],
        "layout": {
            "height": 260,
            "xaxis": {
                "type": "date",
                "range": [int(cut.start_ms[0]), int(cut.start_ms[-1]) + width],
            },
            "yaxis": {"title": {"text": f"USDT by {word}"}},
        },
    }


def trades_figure(content: Content) -> Figure:
    """How many trades ended with which share of their notional."""
    values = trade_returns(content.result.trades)
    return _histogram(values, "net result of a trade, share of its notional", "trades")


def days_figure(content: Content) -> Figure:
    """How many days ended with which return; days that changed nothing would dwarf the others."""
    returns = periods(content.result, "D").returns
    moved = returns[returns != 0.0]
    flat = len(returns) - len(moved)
    left_out = f" ({flat} without any change left out)" if flat else ""
    return _histogram(moved, f"return of a day{left_out}", "days")


def _histogram(values: FloatArray, x_title: str, y_title: str) -> Figure:
    """Draw bins with an edge at zero, so that gains and losses never share one."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    width = max(max(high, 0.0) - min(low, 0.0), 1e-9) / _BINS
    edges = np.arange(np.floor(min(low, 0.0) / width), np.floor(max(high, 0.0) / width) + 2) * width
    counts, edges = np.histogram(values, bins=edges)
    middles = (edges[:-1] + edges[1:]) / 2
    return {
        "data": [
            {
                "type": "bar",
                "x": _rounded(middles, 8),
                "y": counts.tolist(),
                "width": width * 0.92,
                "marker": {"color": _signed(middles)},
                "customdata": np.stack([edges[:-1], edges[1:]], axis=1).tolist(),
                "hovertemplate": "%{customdata[0]:.3%} to %{customdata[1]:.3%}: %{y}" + _BARE,
            }
        ],
        "layout": {
            "height": 280,
            "xaxis": {"tickformat": _PERCENT, "title": {"text": x_title}, "nticks": 7},
            "yaxis": {"title": {"text": y_title}},
            "shapes": [_upright(0.0, "@muted/0.6")],
        },
    }


def luck_figure(values: FloatArray, came: float, x_title: str, *, share: bool) -> Figure:
    """Where runs of a Monte Carlo ended, and where the result itself did."""
    counts, edges = np.histogram(values, bins=_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    form = ".2%" if share else ",.0f"
    return {
        "data": [
            {
                "type": "bar",
                "x": middles.tolist(),
                "y": counts.tolist(),
                "marker": {"color": "@accent/0.55"},
                "hovertemplate": f"about %{{x:{form}}}: %{{y}} runs{_BARE}",
            }
        ],
        "layout": {
            "height": 280,
            "bargap": 0.06,
            "xaxis": {
                "tickformat": ".1%" if share else ",.0f",
                "title": {"text": x_title},
                "nticks": 7,
            },
            "yaxis": {"title": {"text": "runs"}},
            "shapes": [_upright(came, "@ink", 2)],
            "annotations": [
                {
                    "x": came,
                    "y": 1.0,
                    "yref": "paper",
                    "yanchor": "bottom",
                    "showarrow": False,
                    "text": "this result",
                    "font": {"color": "@ink", "size": 12},
                }
            ],
        },
    }


def exposure_figure(content: Content, exposure: Exposure) -> Figure:
    """Notional held over equity: long upwards, short downwards."""
    opens = content.result.open_ms
    traces = []
    for name, values, colour in (
        ("long", exposure.long, "gain"),
        ("short", -exposure.short, "loss"),
    ):
        places = thinned(values)
        traces.append(
            {
                "type": "scatter",
                "name": name,
                "x": opens[places].tolist(),
                "y": _rounded(values[places], 4),
                "line": {"color": f"@{colour}", "width": 1, "shape": "hv"},
                "fill": "tozeroy",
                "fillcolor": f"@{colour}/0.25",
                "hovertemplate": "%{y:.2f} × equity",
            }
        )
    return {
        "data": traces,
        "layout": {
            "height": 260,
            "hovermode": "x unified",
            "showlegend": True,
            "xaxis": {"type": "date", "range": [content.start_ms, content.end_ms]},
            "yaxis": {"title": {"text": "notional, × equity"}},
        },
    }


def costs_figure(steps: Sequence[tuple[str, float, bool]]) -> Figure:
    """From what prices gave to what was left; each step is (name, USDT, whether it is a sum)."""
    return {
        "data": [
            {
                "type": "waterfall",
                "x": [name for name, _, _ in steps],
                "y": [round(value, 2) for _, value, _ in steps],
                "measure": ["total" if total else "relative" for _, _, total in steps],
                "text": [f"{value:+,.0f}" for _, value, _ in steps],
                "textposition": "outside",
                "cliponaxis": False,
                "increasing": {"marker": {"color": "@gain"}},
                "decreasing": {"marker": {"color": "@loss"}},
                "totals": {"marker": {"color": "@accent"}},
                "connector": {"line": {"color": "@muted/0.5", "width": 1}},
                "hovertemplate": "%{x}: %{y:,.2f} USDT" + _BARE,
            }
        ],
        "layout": {"height": 320, "yaxis": {"title": {"text": "USDT"}}, "xaxis": {}},
    }


def luck_figures(
    redrawn: Spread, reordered: Spread, metrics: Mapping[str, Any], worst: float
) -> dict[str, Figure]:
    """Return the two charts of a Monte Carlo; `worst`: the drawdown of the trades as they came."""
    ends = luck_figure(redrawn.final_equity, metrics["end_equity"], "end equity, USDT", share=False)
    falls = luck_figure(reordered.max_drawdown, worst, "deepest drawdown", share=True)
    return {"luck_ends": ends, "luck_falls": falls}


def _upright(x: float, colour: str, width: int = 1) -> Figure:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": colour, "width": width, "dash": "dot"},
    }


def _signed(values: FloatArray) -> list[str]:
    return ["@gain" if value >= 0 else "@loss" for value in values.tolist()]


def _rounded(values: FloatArray, digits: int) -> list[float]:
    rounded: list[float] = np.round(values, digits).tolist()
    return rounded
