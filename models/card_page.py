"""A model card as one self-contained page: tables, three charts, and the chart library inside."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_SHOWN = 20  # importances in the chart
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #1c2530;
       padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } th, td { padding: .25rem .9rem .25rem 0; text-align: left;
       border-bottom: 1px solid #dde3ea; vertical-align: top }
.words { padding: .8rem 1rem; border-left: 5px solid #b3541e; background: #fbf3ee;
       font-size: 1.1rem }
.words.good { border-color: #2f7d4f; background: #eef8f2 }
code { overflow-wrap: anywhere } .failed { color: #b3261e; font-weight: 600 }
"""


def page_of(card: Mapping[str, Any]) -> str:
    """Return the page of a card (`models.model_card.card_of`); it loads nothing from anywhere."""
    # Late: it takes half a second, and only a training draws.
    from plotly.offline import get_plotlyjs

    symbol = escape(card["symbol"])
    good = " good" if card["skilled"] else ""
    parts = [
        f"<h1>Model card: {symbol}</h1>",
        f'<p class="words{good}">{escape(card["in_plain_words"])}</p>',
        f"<p>{escape(card['verdict'])}</p>",
        "<h2>Data</h2>",
        _pairs(
            {
                "range": f"{card['data']['from']} to {card['data']['to']} (open times, UTC)",
                "rows": f"{card['data']['rows']:,} of {card['data']['interval_ms'] // 1000} s",
                "sha256": card["data"]["sha256"],
                "model": f"{card['model']['model_type']}, horizon {card['model']['horizon']}, "
                f"seed {card['model']['seed']}, {len(card['model']['features'])} features",
                "scored on": card["scored_on"],
            }
        ),
        "<h2>Scores</h2>",
        _scores(card["scores"]),
        "<h2>Against doing without a model</h2>",
        _baselines(card["scores"]),
        "<h2>Calibration</h2>",
        "<p>Is it right as often as it says? On the line it is.</p>",
        _chart(_calibration(card["scores"]["calibration"])),
        "<h2>By confidence</h2>",
        _chart(_thresholds(card["scores"]["thresholds"])),
        "<h2>What it rests on</h2>",
        "<p>Share of right directions lost when one feature is shuffled, out of fold.</p>",
        _chart(_importances(card["importances"][:_SHOWN])),
        "<h2>Leak tests</h2>",
        _leaks(card["leak_tests"]),
        "<h2>Drift</h2>",
        f"<p>The bot warns on: {escape(card['drift']['rule'])}. See its <code>status</code>.</p>",
        "<p>Largest PSI of such a window within the training data:</p>",
        _pairs({k: f"{v:.3f}" for k, v in list(card["drift"]["within_training"].items())[:8]}),
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{symbol}</title>'
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>"
        + "\n".join(parts)
        + "</body></html>"
    )


def _chart(figure: Any) -> str:
    text: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displaylogo": False}
    )
    return text


def _figure(traces: Sequence[Any], x_title: str, y_title: str, height: int = 380) -> Any:
    from plotly.graph_objects import Figure

    figure = Figure(data=list(traces))
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        xaxis_title=x_title,
        yaxis_title=y_title,
    )
    return figure


def _calibration(rows: Sequence[Mapping[str, float]]) -> Any:
    from plotly.graph_objects import Scatter

    said = [row["confidence"] for row in rows]
    return _figure(
        [
            Scatter(x=said, y=said, mode="lines", name="perfect", line={"dash": "dot"}),
            Scatter(
                x=said,
                y=[row["right"] for row in rows],
                mode="lines+markers",
                name="out of fold",
                text=[f"{row['rows']:.0f} bars" for row in rows],
            ),
        ],
        "confidence",
        "share right",
    )


def _thresholds(rows: Sequence[Mapping[str, float | None]]) -> Any:
    from plotly.graph_objects import Scatter

    told = [row for row in rows if row["accuracy"] is not None]
    limits = [row["confidence"] for row in told]

    def line(key: str, name: str, dash: str) -> Any:
        values = [row[key] for row in told]
        return Scatter(x=limits, y=values, mode="lines+markers", name=name, line={"dash": dash})

    return _figure(
        [
            line("accuracy", "share right", "solid"),
            line("low", "95 % low", "dot"),
            line("high", "95 % high", "dot"),
            line("coverage", "share of bars acted on", "dash"),
        ],
        "confidence above",
        "share",
    )


def _importances(rows: Sequence[Mapping[str, Any]]) -> Any:
    from plotly.graph_objects import Bar

    shown = list(reversed(rows))
    bars = Bar(
        x=[row["accuracy_lost"] for row in shown],
        y=[row["feature"] for row in shown],
        error_x={"type": "data", "array": [row["spread"] for row in shown]},
        orientation="h",
    )
    return _figure([bars], "share right lost", "", height=40 + 26 * max(len(shown), 4))


def _scores(scores: Mapping[str, Any]) -> str:
    together = scores["tested_together"]
    return _pairs(
        {
            "bars scored": f"{scores['rows']:,}, {scores['moved_rows']:,} with a direction",
            "direction right": f"{_percent(scores['direction_accuracy'])} "
            f"({_percent(scores['ci_low'])} to {_percent(scores['ci_high'])} at 95 %)",
            "acts on": f"{_percent(scores['coverage'])} of bars (confidence above 0.5)",
            "right then": f"{_percent(scores['accuracy_at_confidence'])} "
            f"({_percent(scores['accuracy_at_confidence_low'])} to "
            f"{_percent(scores['accuracy_at_confidence_high'])} at 95 %)",
            "bound for skill": f"{_percent(scores['skill_low'])} "
            f"(95 % together for {together} symbol{'s' if together > 1 else ''})",
            "RMSE": f"{scores['rmse']:.6f}",
            "Brier score": f"{scores['brier']:.4f} (0.25 is a coin)",
        }
    )


def _baselines(scores: Mapping[str, Any]) -> str:
    named = {"this model": scores, **scores["baselines"]}
    head = ("", "direction right", "right on the bars the model acts on", "RMSE")
    return _table(
        head,
        (
            (
                name.replace("_", " "),
                _percent(row["direction_accuracy"]),
                _percent(row["accuracy_at_confidence"]),
                f"{row['rmse']:.6f}",
            )
            for name, row in named.items()
        ),
    )


def _leaks(tests: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(test['name'])}</td>"
        + ("<td>passed</td>" if test["passed"] else '<td class="failed">failed</td>')
        + f"<td>{escape(test['detail'])}</td></tr>"
        for test in tests
    )
    return f"<table>{rows}</table>"


def _pairs(rows: Mapping[str, str]) -> str:
    lines = "".join(
        f"<tr><th>{escape(name)}</th><td><code>{escape(value)}</code></td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{lines}</table>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{titles}</tr>{lines}</table>"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
