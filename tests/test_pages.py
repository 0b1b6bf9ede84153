"""The pages as a person meets them: in a real browser, from file://; and what they are made of, without one.

Tests marked `browser` drive Debian's chromium (`make test-pages`); they fail where it is missing.
"""

import io
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from noise_search.algorithms.first_order import FirstOrder
from noise_search.algorithms.paths import Paths
from noise_search.algorithms.random import Random
from noise_search.algorithms.zero_order import ZeroOrder
from noise_search.errors import Refused
from noise_search.measures.frechet import Gaussian
from noise_search.measures.metric import Metric
from noise_search.report.bank import bank_of
from noise_search.report.html import number
from noise_search.report.index import write_index
from noise_search.report.page import asset
from noise_search.report.pictures import LIMIT, Pictures
from noise_search.report.run_summary import verdict
from noise_search.report.shelves import COUNT, Seen, from_data, shares, shelves
from noise_search.report.svg import FLOOR, INKS, Curve, Dot, Scale, chart, nice_ticks
from noise_search.run.search_units import make_units
from noise_search.run.sheets import Sheets
from noise_search.run.shown import told_address
from noise_search.storage.units import read_units
from tests.made_page import made_curve, made_gallery, made_page
from tests.test_commands import ask
from tests.test_run import TOY, call, curve
from tests.test_workers import toy_parts


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "png")
    return out.getvalue()


def test_a_picture_is_in_a_page_once_and_all_fit() -> None:
    """Of 1,000 noises of 256 pixels, the worst to compress, at ten budgets; smooth ones stay as large as they may."""
    rng, pictures = np.random.default_rng(0), Pictures()
    one = png(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    assert [pictures.add(one), pictures.add(one)] == [0, 0] and len(pictures.uris()) == 1
    assert pictures.uris()[0].startswith("data:image/png;base64,")
    small, tile = Pictures(), rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    numbers = [small.add(png(np.roll(tile, (i, 7 * i), (0, 1)))) for i in range(60)]
    assert numbers == list(range(60)) and small.width == 256
    limit = LIMIT // 17  # as 1,000 are to LIMIT
    assert sum(map(len, small.uris(limit))) <= limit * 1.01 < sum(map(len, small.uris(LIMIT)))


def test_ticks_are_round_and_inside() -> None:
    assert nice_ticks(0.13, 0.92) == [0.2, 0.4, 0.6, 0.8] and nice_ticks(3, 3) == [3]
    for low, high in ((0, 1e-5), (-5, 900), (1e6, 1.1e6)):
        ticks = nice_ticks(low, high)
        assert 2 <= len(ticks) <= 8 and all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert Scale(0, 10, 100, 0)(2.5) == 75 and Scale(3, 3, 0, 10)(3) == 5


def test_a_chart_tells_its_values_and_escapes_names() -> None:
    dots = [Dot(10, 0.5, 0.4, 0.6, 0, "10 NFE: 0.5 <b>"), Dot(1000, 0.7, None, None, 1, "1,000 NFE: 0.7")]
    shown = chart([Curve("a", dots)], [("real", 0.9)], "NFE", 'with "quotes"')
    assert shown.count('class="dot"') == 2 and "0.5 &lt;b&gt;" in shown and "&quot;quotes&quot;" in shown
    assert 'data-value="0.7"' in shown and "stroke-dasharray" in shown and ">real</text>" in shown
    assert shown.count("polygon") == 0  # one dot with an interval makes no band


def test_a_bank_is_told_best_to_worst_under_every_verifier() -> None:
    scores = np.random.default_rng(1).normal(size=(200, 2))
    told = bank_of({"bank": scores.flatten().tolist(), "sheet": b"RIFF"}, 2)
    assert told["n"] == 200 and told["pictured"] == 64 and set(range(64)) <= set(told["c"])
    for column in (0, 1):
        places = dict(zip(told["c"], told["r"][column], strict=True))
        best = np.argsort(-scores[:, column])[:64]
        assert [places[int(i)] for i in best] == list(range(1, 65))
    none = bank_of({"bank": [1.0, 3.0, 3.0, 2.0], "sheet": None}, 1)
    assert (none["c"], none["r"], none["pictured"]) == ([0, 1, 2, 3], [[4, 1, 2, 3]], 0) and "sheet" not in none


def test_the_shelves_find_what_was_planted() -> None:
    rng, n = np.random.default_rng(2), 60
    scores = rng.uniform(0.2, 0.5, (n, 2))
    scores[:, 1] = scores[:, 0]
    distance = np.ones(n)
    scores[7], distance[7] = 0.9, 3.0  # loved, and far away
    scores[3] = 0.8  # loved, and near
    distance[5] = 4.0
    scores[5] = 0.0  # far, and not loved
    scores[11] = 0.85, 0.01  # one loves it, the other does not
    hacking, disagreement = shelves(Seen([f"name {i}" for i in range(n)], scores, ["a", "b"], 1, distance))
    assert hacking.items[0].image == 7 and "distance 3.00" in hacking.items[0].why and len(hacking.items) == COUNT
    assert disagreement.items[0].image == 11 and disagreement.items[0].why.startswith("a above")
    assert [s.title for s in shelves(Seen(["x"] * n, scores[:, :1], ["a"], 1, None))] == []
    scores[0, 0] = np.nan
    assert shelves(Seen(["x"] * n, scores, ["a", "b"], 1, distance)) == []
    assert shares(np.array([[3.0], [1.0], [1.0], [2.0]]))[:, 0].tolist() == [1, 1 / 6, 1 / 6, 2 / 3]


def test_better_is_said_of_what_the_intervals_tell_apart() -> None:
    def row(value: float, half: float | None = 0.1) -> dict[str, float | None]:
        return {"value": value, "ci_high": None if half is None else value + half}

    higher, lower, neither = (Metric("m", "m", "m", better) for better in ("higher", "lower", ""))
    assert (verdict(higher, row(1), row(2)), verdict(lower, row(1), row(2))) == ("better", "worse")
    assert verdict(higher, row(2), row(1)) == "worse" and verdict(higher, row(1), row(1.15)) == "better"
    doubtful = (
        verdict(neither, row(1), row(2)),
        verdict(higher, row(1), row(1.14)),
        verdict(higher, row(1), row(2, None)),
    )
    assert doubtful == ("", "", "")


def test_distances_are_mahalanobis() -> None:
    reference = Gaussian(np.array([1.0, 0.0]), np.diag([4.0, 1.0]))
    found = from_data(np.array([[1, 0], [5, 0], [1, 2]], np.float32), reference)
    assert found == pytest.approx([0, 2 / 2**0.5, 2 / 2**0.5], rel=2e-3)
    singular = Gaussian(np.zeros(2), np.diag([1.0, 0.0]))
    assert math.isfinite(from_data(np.ones((1, 2), np.float32), singular)[0])


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    call(folder, *TOY, "images=40", "logger=none", "observers=[brightness]", "hydra.run.dir=runs/first")
    return folder / "runs/first"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium under Playwright."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    assert found, "chromium is missing: apt-get install chromium"
    with sync_playwright() as driver:
        root = ["--no-sandbox"] if os.getuid() == 0 else []
        opened = driver.chromium.launch(executable_path=found, args=root, timeout=180_000)
        yield opened
        opened.close()


def look(browser: Any, path: Path, width: int = 1200, script: bool = True) -> Any:
    """A page at a window's width; what the console says of it goes to `page.said`."""
    page = browser.new_page(viewport={"width": width, "height": 900}, java_script_enabled=script)
    page.set_default_timeout(120_000)
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.said.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    return page


def all_decode(page: Any) -> int:
    """How many pictures are there; each must have pixels."""
    broken = """async () => {
        const images = [...document.images].filter((image) => !image.hidden);
        await Promise.all(images.map((image) => image.decode()));
        return [images.length, images.filter((image) => !image.naturalWidth || !image.alt).length];
    }"""
    count, wrong = page.evaluate(broken)
    assert not wrong
    return count


def reached(page: Any, metric: str) -> float:
    """The value that is marked on a curve, which the line beneath tells too."""
    chosen = f'.chart[data-metric="{metric}"]'
    (dot,) = page.query_selector_all(f"{chosen} .dot.on")
    value = float(dot.get_attribute("data-value"))
    assert f": {number(value)}" in page.inner_text(f"{chosen} .now")
    return value


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 400])
def test_the_slider_goes_along_the_curve(toy: Path, browser: Any, width: int) -> None:
    """From its last position, the last rows of curve.csv, by keys to the first; images and curves go with it."""
    page, rows = look(browser, toy / "report.html", width), curve(toy)
    points = sorted({int(row["point"]) for row in rows})
    for at, keys in ((len(points) - 1, ()), (0, ("Home",)), (1, ("ArrowRight",)), (len(points) - 1, ("End",))):
        page.focus("#budget")
        for key in keys:
            page.keyboard.press(key)
        own = {r["metric"]: r for r in rows if int(r["point"]) == points[at] and r["value"]}
        for metric in page.eval_on_selector_all(".chart", "all => all.map((one) => one.dataset.metric)"):
            assert reached(page, metric) == float(own[metric]["value"])
        spent = f"{int(rows[0]['nfe']) if at == 0 else int(own['score_final']['nfe']):,} NFE an image"
        assert page.inner_text("#told") == spent == page.get_attribute("#budget", "aria-valuetext")
        assert spent in page.get_attribute("#images img", "alt")
    assert all_decode(page) >= 40 and page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.query_selector("#images").is_visible()
    page.close()


@pytest.mark.browser
def test_the_page_is_useful_without_a_script(toy: Path, browser: Any) -> None:
    page = look(browser, toy / "report.html", 400, script=False)
    assert page.is_hidden(".budget") and page.is_visible(".growing")
    assert len(page.query_selector_all(".growing tr")) == 11 and len(page.query_selector_all(".chart svg.plot")) >= 8
    details = page.query_selector(".chart details")
    details.query_selector("summary").click()
    assert details.query_selector("table").is_visible()
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 400])
def test_a_bank_opens_best_to_worst(tmp_path: Path, browser: Any, width: int) -> None:
    """Of a made-up run with two verifiers; by mouse, and by keys alone."""
    made_page(tmp_path / "report.html")
    page = look(browser, tmp_path / "report.html", width)
    assert len(page.query_selector_all("#images .opens")) == 32 and len(page.query_selector_all("#images > *")) == 100
    page.click("#images .opens >> nth=2")
    assert page.is_visible("#bank") and page.inner_text("#bank-title").startswith("Image 2: cat")
    for column in ("0", "1"):
        page.select_option("#column", column)
        cells = page.query_selector_all("#bank .cells li")
        told = [re.search(r"^(\d+)\. (\S+)", cell.inner_text(), re.M) for cell in cells]
        places, scores = zip(*((int(one[1]), float(one[2])) for one in told if one), strict=True)
        assert len(cells) == len(scores) >= 64 and places == tuple(sorted(set(places)))
        assert scores == tuple(sorted(scores, reverse=True))
    assert page.query_selector("#bank .cells .won") and page.query_selector_all("#bank .way img")
    tile = page.query_selector("#bank .tile:not(.bare)")
    assert "candidate" in tile.get_attribute("aria-label")
    background = tile.evaluate("""async (tile) => {
        const image = new Image();
        image.src = getComputedStyle(tile).backgroundImage.slice(5, -2);
        await image.decode();
        return image.naturalWidth;
    }""")
    assert background == 8 * 32
    page.keyboard.press("Escape")
    assert page.is_hidden("#bank")
    page.focus("#images .opens >> nth=0")
    page.keyboard.press("Enter")
    assert page.inner_text("#bank-title") == "Image 0: airplane"
    assert page.evaluate("document.documentElement.scrollWidth") <= width and page.said == []
    page.close()


def test_a_made_up_page_of_large_pictures_is_small(tmp_path: Path) -> None:
    """1,000 images of 256 pixels: the first 100 at every budget, the banks of 32, all within 15 MB."""
    rows = made_page(tmp_path / "report.html", images=100, side=256)
    text = (tmp_path / "report.html").read_text()
    assert rows[0]["n_images"] == 1000 and len(text) < 15e6
    assert "data:image/webp" in text and "http://" not in text and "https://" not in text
    assert "<b>ship" not in text and 'class="large"' in text


def test_small_pictures_are_of_the_candidates(tmp_path: Path) -> None:
    """Where a candidate is the image, the winner's small picture is it; nothing that is counted changes."""
    same = ("budget.search_nfe=6", "budget.final_nfe=6", "budget.points=[1,9]", "observers=[brightness]")
    tables = []
    for keep in (3, 0):
        make_units(toy_parts(*same, f"keep_bank={keep}", images=5), tmp_path / str(keep))
        tables.append(read_units(tmp_path / str(keep)))
    rows = [row for row in tables[0].to_pylist() if row["point"] == 9]
    assert [row["sheet"] is not None for row in rows] == [True] * 3 + [False] * 2
    assert all(row["sheet"] is None for row in tables[0].to_pylist() if row["point"] == 1)
    for row in rows[:3]:
        sheet, image = (np.asarray(Image.open(io.BytesIO(row[name]))) for name in ("sheet", "png"))
        side, at = len(image), row["candidate"]
        assert sheet.shape == (2 * side, 8 * side, 3) and len(row["bank"]) == 18
        cell = sheet[at // 8 * side :][:side, at % 8 * side :][:, :side]
        assert np.abs(cell.astype(int) - image).mean() < (1 if side <= 16 else 8)
    counted = [name for name in tables[0].column_names if "seconds" not in name and name != "sheet"]
    assert tables[0].select(counted).equals(tables[1].select(counted))


def test_sheets_go_on_from_a_checkpoint_and_shrink_large_images() -> None:
    images = torch.rand(70, 3, 96, 192) * 2 - 1
    whole, first = Sheets([5, 40, 6], 32), Sheets([5, 40, 6], 32)
    who = torch.arange(70) % 3
    for sheets in (whole, first):
        sheets(images[:30], who[:30])
    second = Sheets([5, 40, 6], 32)
    second.restore(first.saved(), torch.device("cpu"))
    for sheets in (whole, second):
        sheets(images[30:], who[30:])
    assert whole.sheet(0) == second.sheet(0) is not None and whole.sheet(1) is None
    picture = np.asarray(Image.open(io.BytesIO(whole.sheet(2) or b"")))
    assert picture.shape == (3 * 64, 8 * 64, 3) and (picture[:14] > 240).all()  # white above what is not square
    for _ in range(5):
        whole(images, torch.zeros(70, dtype=torch.int64))
    assert len(whole.kept[0]) == 64


def test_the_index_finds_every_run_and_names_what_is_missing(toy: Path, tmp_path: Path) -> None:
    assert ask(toy.parents[1], "view", ".").stdout == "index.html\n"
    text = (toy.parents[1] / "index.html").read_text()
    assert 'href="runs/first/report.html"' in text and 'src="runs/first/images/side_by_side.png"' in text
    with pytest.raises(Refused, match="no finished run"):
        write_index(tmp_path)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 400])
def test_the_gallery_shows_each_run_at_its_dearest_point(tmp_path: Path, browser: Any, width: int) -> None:
    made_gallery(tmp_path / "gallery.html")
    page = look(browser, tmp_path / "gallery.html", width)
    page.focus("#budget")
    values = []
    for key in ("Home", "End"):
        page.keyboard.press(key)
        values.append([dot.get_attribute("data-value") for dot in page.query_selector_all(".chart .dot.on")])
        cells = page.inner_text(".side tr:nth-child(2)")
        assert ("nothing so cheap" in cells) == (key == "Home")  # 40 NFE do not buy the cheapest point of the others
    assert len(values[0]) == 8 and len(values[1]) == 3 * 8
    seeds = [float(value) for value in values[1][::3]]
    first = made_curve()[3::4]
    assert seeds == pytest.approx([row["value"] + 0.005 for row in first])
    assert all_decode(page) == 36 and page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 400])
def test_the_index_sorts_and_links(toy: Path, browser: Any, width: int) -> None:
    home = toy.parents[1]
    if not (second := home / "runs/second").exists():
        shutil.copytree(toy, second)
        text = (second / "curve.csv").read_text().replace(",0,", ",7,", 1)
        (second / "curve.csv").write_text(text)
    page = look(browser, write_index(home), width)
    names = lambda: [row.inner_text() for row in page.query_selector_all(".index td:first-child")]  # noqa: E731
    assert names() == ["first", "second"] and len(page.query_selector_all(".index img")) == 2
    page.click("th button >> nth=0")
    page.click("th button >> nth=0")
    assert names() == ["second", "first"] and page.get_attribute("th >> nth=0", "aria-sort") == "descending"
    assert page.evaluate("document.documentElement.scrollWidth") <= width and page.said == []
    page.click(".index a >> nth=0")
    page.wait_for_selector("#budget")
    assert page.url.endswith("report.html")
    page.close()


def test_searches_tell_where_they_found_a_candidate() -> None:
    zero, paths = ZeroOrder(neighbours=4), Paths(paths=2)
    assert [zero.tell(k, 8) for k in (-1, 0, 1, 4, 6)] == [
        *("the first noise", "the first noise", "round 1, neighbour 1 of 4", "round 1, neighbour 4 of 4"),
        "round 2, neighbour 2 of 4",
    ]
    assert paths.tell(0, 3) == "the first noise"
    assert paths.tell(1, 3) == "round 1, re-noising 1 of 3 of path 1"
    assert paths.tell(6 + 5, 3) == "round 2, re-noising 2 of 3 of path 2"
    assert told_address(Random())(17, 64) == "candidate 17" and told_address(FirstOrder())(3, 8) == "address 3"


def test_words_and_curves_can_be_read() -> None:
    """Contrast on white, and on the grey of tiles and code, of 4.5 to 1 at least (AA)."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    style = asset("page.css")
    written = re.findall(r"(?<!-)color: (#[0-9a-f]{6})", style) + re.findall(
        r"--(?:ink|soft|accent): (#[0-9a-f]{6})", style
    )
    assert len(written) >= 5
    for colour in (*written, *INKS, FLOOR):
        assert light("#eef1f4") / light(colour) >= 4.5, colour
