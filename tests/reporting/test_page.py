"""The page as one file: whole, loading nothing, hiding what is secret."""

import json
import re
from decimal import Decimal

import pytest
from plotly.graph_objects import Figure

from actors.edges.report_files import assets, write_page
from actors.reporting.content import Slippage, Source
from actors.reporting.page import Assets, page_of
from core.backtest.result import ExitReason
from core.errors import UsageError
from core.words import Side
from tests.reporting.made import BTC, ETH, a_config, a_content, a_halt, a_result, a_trade

BARE = Assets(style="", script="", plotly="")
SECTIONS = (
    *("equity", "months", "symbols", "trades", "distribution", "luck", "exposure", "costs"),
    *("honesty", "settings"),
)


def busy():
    """A result with everything in it."""
    trades = [
        a_trade(str(k % 7 - 3), entry_bar=5 * k, side=Side.SELL if k % 2 else Side.BUY)
        for k in range(40)
    ]
    equity = [10_000.0 + (k * 37) % 91 for k in range(220)]
    halts = (a_halt(5, "REDUCING"), a_halt(9, "ACTIVE"), a_halt(50, "REDUCING", BTC))
    return a_result(trades, equity, halts=halts)


def data_of(page):
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text.group(1))


def visible(page):
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)


def painted(part):
    """Put one colour in the place of each token, as the page's script does."""
    if isinstance(part, str):
        return "#123456" if part.startswith("@") else part
    if isinstance(part, list):
        return [painted(one) for one in part]
    if isinstance(part, dict):
        return {key: painted(value) for key, value in part.items()}
    return part


def test_every_section_is_there_and_linked():
    page = page_of(a_content(busy()), BARE)
    for name in SECTIONS:
        assert f'<section id="{name}">' in page
        assert f'<a href="#{name}">' in page


def test_every_chart_is_one_that_plotly_takes():
    figures = data_of(page_of(a_content(busy()), BARE))["figures"]
    assert len(figures) == 8
    for figure in figures.values():
        Figure(painted(figure))  # raises for a property that does not exist


def test_every_place_of_a_chart_has_its_chart():
    page = page_of(a_content(busy()), BARE)
    assert set(re.findall(r'data-figure="(\w+)"', page)) == set(data_of(page)["figures"])


def test_the_whole_page_refers_to_nothing_outside_of_itself():
    page = page_of(a_content(busy()), assets())
    assert not re.findall(r"(?:src|href|action|data)\s*=\s*[\"']?(?:https?:)?//", visible(page))
    assert not re.findall(r"<(?:link|iframe|img|object|embed|base)\b", visible(page))
    assert not re.findall(r"@import|url\(", assets().style)
    assert not re.findall(r"https?:|fetch\(|XMLHttpRequest|import\(", assets().script)
    assert "default-src 'none'" in page


def test_the_chart_library_is_there_once():
    page = page_of(a_content(), assets())
    assert page.count(assets().plotly) == 1


def test_text_from_outside_cannot_become_part_of_the_page():
    evil = "</script><script>alert(1)</script><b>"
    halts = (a_halt(5, "HALTED", reason=evil),)
    page = page_of(a_content(a_result([a_trade()], halts=halts), models=(evil,)), BARE)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_secrets_never_reach_the_page():
    config = a_config(
        API_KEY="key-of-mine",
        API_SECRET="secret-of-mine",
        DB_FILE="postgresql://bot:hunter2@host/db",
    )
    page = page_of(a_content(config=config), BARE)
    assert not re.findall("of-mine|hunter2", page)
    assert "postgresql://…@host/db" in page


def test_changed_settings_stand_before_those_that_are_not():
    page = page_of(a_content(config=a_config(LEVERAGE=3)), BARE)
    assert page.index(">LEVERAGE<") < page.index("All other settings") < page.index(">STRATEGY<")


def test_costs_add_up_from_price_moves_to_the_net_result():
    page = page_of(a_content(busy(), slippage=Slippage(amount=Decimal(80), how="")), BARE)
    (bars,) = data_of(page)["figures"]["costs"]["data"]
    steps = dict(zip(bars["x"], bars["y"], strict=True))
    assert steps["slippage"] == -80
    assert sum(steps[name] for name in bars["x"][:-1]) == pytest.approx(steps["net"])


def test_slippage_that_is_not_known_is_not_zero():
    page = page_of(a_content(slippage=Slippage(amount=None, how="not known")), BARE)
    assert "slippage" not in data_of(page)["figures"]["costs"]["data"][0]["x"]
    assert '<td class="name">slippage</td><td class="">–</td>' in page


def test_each_symbol_and_all_of_them_have_a_row():
    page = page_of(a_content(a_result([a_trade()], symbols=(BTC, ETH))), BARE)
    for name in (BTC, ETH, "all"):
        assert re.search(rf'<td class="name[^"]*">{name}</td>', page)
    assert set(data_of(page)["candles"]) == {BTC, ETH}


def test_a_result_without_any_trade_makes_a_page_too():
    page = page_of(a_content(a_result()), BARE)
    assert "Nothing was traded" in page
    assert '<section id="luck">' not in page


def test_one_trade_and_one_bar_make_a_page_too():
    only = a_trade("0", entry_bar=0, bars=0, exit_reason=ExitReason.END)
    page = page_of(a_content(a_result([only], equity=[10_000.0])), BARE)
    assert '<section id="costs">' in page


def test_an_account_that_was_lost_whole_makes_a_page_too():
    trades = [a_trade("-9999.99")]
    page = page_of(a_content(a_result(trades, equity=[10_000.0, 10.0, 0.01, 0.01])), BARE)
    assert "−100.00 %" in page


def test_a_report_of_the_database_shows_its_notes_and_no_odds_of_tries():
    content = a_content(source=Source.DATABASE, notes=(("Still open", "BTCUSDT"),))
    page = page_of(content, BARE)
    assert "Trading report" in page
    assert "<b>Still open</b><p>BTCUSDT</p>" in page
    assert "settings tried" not in page


def test_the_same_result_makes_the_same_page():
    assert page_of(a_content(busy()), BARE) == page_of(a_content(busy()), BARE)


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    old = tmp_path / "page.html"
    write_page("--report", old, "old")
    with pytest.raises(UsageError, match=r"--report .*cannot be written.*Fix"):
        write_page("--report", tmp_path / "none" / "page.html", "new")
    write_page("--report", old, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert old.read_text() == "new"
