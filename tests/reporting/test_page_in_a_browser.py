"""The page of a real backtest in a real Chromium: nothing fails, nothing is fetched."""

import re

import pytest

from docs import make_report_image

pytestmark = pytest.mark.skipif(
    make_report_image.missing() is not None, reason=str(make_report_image.missing())
)

IMAGE_BYTES_MAX = 200_000
# By the time held, descending and then ascending; then the shortest trade.
CLICK = """<script>
for (const _ of [1, 2]) document.querySelectorAll("#list th")[5].click();
document.querySelector("#list tbody tr").click();
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = tmp_path_factory.mktemp("report") / "report.html"
    make_report_image.make_page(made, "--to", "2025-02-06")
    return made


def test_it_draws_itself_without_a_complaint_and_shows_a_trade_on_its_true_bars(page, tmp_path):
    clicked = tmp_path / "clicked.html"
    clicked.write_text(page.read_text("utf-8").replace("</body>", CLICK), "utf-8")
    printed = make_report_image.browse(clicked, "--dump-dom", scheme="dark")
    assert not [line for line in printed.splitlines() if "CONSOLE" in line]
    (root,) = re.findall(r"<html[^>]*>", printed)
    assert 'data-scheme="dark"' in root
    assert 'data-ready="yes"' in root
    # 8 figures and the candles, each with what plotly draws into it
    assert printed.count('class="plot-container') == 9
    assert re.search(r"\d+ trades, page 1 of", printed)
    assert re.search(r'id="detail">True bars of 1 min', printed)


def test_the_picture_of_the_docs_can_be_taken_again(page, tmp_path):
    picture = tmp_path / "picture.png"
    make_report_image.take(picture, page)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert 20_000 < picture.stat().st_size <= IMAGE_BYTES_MAX


def test_the_picture_of_the_docs_is_small():
    assert make_report_image.IMAGE.stat().st_size <= IMAGE_BYTES_MAX
