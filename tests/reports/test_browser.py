"""The site as a reader has it: opened in Chromium from the disk, every control used, every page checked.

JANUS_EVAL_SCREENSHOTS=DIR takes pictures on the way, and keeps them there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'janus-eval[test]' brings Playwright")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="brought by 'janus-eval[test]' too")

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CLIPBOARD = "if (navigator.clipboard) navigator.clipboard.writeText = async (text) => { window.copied = text; };"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")


class Reader:
    """A tab, and everything in it that went wrong: messages of the console, errors, requests to elsewhere."""

    def __init__(self, browser: Any, root: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        self.context.add_init_script(CLIPBOARD)
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(60_000)
        self.root = root
        self.wrong: list[str] = []
        self.tab.on("console", lambda said: self.wrong.append(f"{said.type}: {said.text}"))
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        self.tab.on("request", lambda request: self._asked(request.url))

    def _asked(self, address: str) -> None:
        if not address.startswith(("file:", "data:")):
            self.wrong.append(f"asked for {address}")

    def open(self, name: str) -> Any:
        self.tab.goto("about:blank")
        self.tab.goto(f"{self.root.as_uri()}/{name}")
        return self.tab

    def names(self) -> list[str]:
        """The systems shown, in their order."""
        return [name.inner_text() for name in self.tab.query_selector_all("table.board tbody tr:not([hidden]) .name")]

    def heads(self) -> list[str]:
        """The columns shown."""
        return [head.inner_text() for head in self.tab.query_selector_all("table.board thead th:not([hidden]) .head")]

    def hash(self) -> str:
        return str(self.tab.evaluate("location.hash"))


Open = Callable[..., Reader]


@pytest.fixture
def reader(chromium: Any) -> Iterator[Open]:
    """``reader(site)`` -> a tab on it, which must end without anything gone wrong."""
    opened: list[Reader] = []

    def make(root: Path, **options: Any) -> Reader:
        opened.append(Reader(chromium, root, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.context.close()
    assert not [wrong for one in opened for wrong in one.wrong]


SHOTS = os.environ.get("JANUS_EVAL_SCREENSHOTS")


def until(tab: Any, holds: str) -> None:
    """Wait until an expression holds. (Playwright's own way evaluates text in the page, which its policy forbids.)"""
    end = time.monotonic() + 60
    while not tab.evaluate(holds):
        assert time.monotonic() < end, f"{holds} never holds"
        tab.wait_for_timeout(50)


def shoot(tab: Any, name: str, whole: bool = False) -> None:
    """A picture to look at, if anybody wants to."""
    if SHOTS:
        tab.screenshot(path=Path(SHOTS) / f"{name.replace('/', '-')}.png", full_page=whole)


def paths(prefix: str, run: str) -> list[str]:
    """One page of every kind."""
    geneval, mmbench = f"{prefix}geneval", f"{prefix}mmbench.{'circular' if prefix else 'paper'}"
    folder = f"runs/{run}"
    return [
        "index.html", "published.html", f"benchmarks/{geneval}.html", f"{folder}.html",
        f"{folder}/{geneval}.official.html", f"{folder}/{mmbench}.html",
    ]  # fmt: skip


def test_the_first_screen_has_title_sentence_and_leaderboard(shapes: Path, reader: Open) -> None:
    for scheme in ("light", "dark"):
        one = reader(shapes, color_scheme=scheme)
        tab = one.open("index.html")
        assert tab.locator("h1").inner_text() == "janus-eval: nano-janus-pro"
        assert one.names() == ["nano-janus-pro", "oracle", "blank"]
        last = tab.locator("table.board tbody tr:not([hidden])").last.bounding_box()
        assert last["y"] + last["height"] < 720
        shoot(tab, f"front-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_and_the_console_stays_empty(
    shapes: Path, real: Path, reader: Open, scheme: str
) -> None:
    axe, found = axe_module.Axe(), []
    for root, names in ((shapes, paths("shapes-", "nano-janus-pro")), (real, paths("", "7"))):
        one = reader(root, color_scheme=scheme)
        for name in names:
            tab = one.open(name)
            shoot(tab, f"{root.name}-{name}-{scheme}", whole=True)
            for fault in axe.run(tab, options={"preload": False}).response["violations"]:
                if fault["impact"] in {"serious", "critical"}:
                    found.append(f"{name}: {fault['id']}: {fault['nodes'][0]['html'][:200]}")
    assert not found, "\n".join(found)


def test_sorting_by_every_column_says_so_and_parts_what_cannot_be_compared(real: Path, reader: Open) -> None:
    one = reader(real)
    tab = one.open("index.html")
    rule = "tr.apart:not([hidden])"
    first = one.names()
    assert "data (limit 2, not none)" in tab.locator(rule).first.inner_text()
    for n, name in enumerate(one.heads()):
        button = tab.locator("thead th:not([hidden]) .sort").nth(n)
        button.click()
        order = tab.locator("thead th:not([hidden])").nth(n).get_attribute("aria-sort")
        assert order in {"ascending", "descending"}, name
        assert tab.locator("thead [aria-sort]").count() == 1
        once = one.names()
        button.focus()
        tab.keyboard.press("Enter")
        assert tab.locator("thead th:not([hidden])").nth(n).get_attribute("aria-sort") != order
        assert one.names() != once
    tab.locator("thead th .sort").first.click()
    assert one.hash() == "#sort=name"
    assert one.names() == sorted(one.names(), key=str.casefold) and not tab.locator(rule).count()
    tab.locator("button[type=reset]").click()
    until(tab, "location.hash === ''")
    assert one.names() == first


def test_measured_and_published_are_told_apart_in_every_row(real: Path, reader: Open) -> None:
    tab = reader(real).open("index.html")
    for row in tab.locator("table.board tbody tr:not(.apart):not([hidden])").all():
        badge, value = row.locator(".badge").inner_text(), row.locator("td:not([hidden])[data-v]").first
        assert badge == {"measured": "measured", "published": "published"}[row.get_attribute("data-source")]
        assert value.locator("svg.o").count() == (badge == "published")
        assert value.locator("svg path").count() == value.locator("i").count() == (badge == "measured")
        assert (badge == "published") == ("†" in value.inner_text())


def test_filters_and_columns_go_into_the_address_and_come_back(real: Path, reader: Open) -> None:
    one = reader(real)
    tab = one.open("index.html")
    tab.select_option("[name=family]", "Janus-Pro")
    assert set(one.names()) == {"Janus-Pro-1B", "Janus-Pro-7B"} and len(one.names()) == 4
    tab.uncheck("[name=source][value=published]")
    assert len(one.names()) == 2
    tab.check("[name=source][value=aside]")
    assert any("user re-run" in name for name in one.names())
    tab.select_option("[name=kind]", "unified")
    tab.select_option("[name=size]", "6B to 10B")
    tab.fill("[name=q]", "janus-pro-7")
    tab.locator(".controls .menu > summary").click()
    tab.check("[name=column][value=pope]")
    tab.uncheck("[name=column][value=dpg-bench]")
    tab.keyboard.press("Escape")
    assert one.heads() == ["System", "MMBench", "GenEval", "POPE"]
    tab.select_option("[name=benchmark]", "geneval")
    before, address = one.names(), one.hash()
    assert before and all("7B" in name for name in before)
    for part in (
        "family=Janus-Pro",
        "size=6B+to+10B",
        "source=measured,aside",
        "columns=mmbench,geneval,pope",
        "sort=-geneval",
    ):
        assert part in address, part
    other = reader(real)
    other.open(f"index.html{address}")
    assert (other.names(), other.heads(), other.hash()) == (before, one.heads(), address)
    assert other.tab.input_value("[name=q]") == "janus-pro-7"
    other.tab.locator("button[type=reset]").click()
    until(other.tab, "location.hash === ''")
    assert len(other.names()) > 40
    other.open("index.html#family=nobody&columns=none&sort=x&kind=%00")
    assert other.tab.locator("output").first.inner_text().startswith("0 of ")


def test_published_benchmarks_are_one_click_away_from_the_shapes(shapes: Path, reader: Open) -> None:
    one = reader(shapes)
    tab = one.open("index.html")
    assert re.search(r"^3 of \d+ systems; [1-9]\d more have no number", tab.locator(".count").inner_text())
    tab.get_by_role("button", name="Show the published benchmarks").click()
    assert one.heads()[-3:] == ["MMBench", "GenEval", "DPG-Bench"] and "Janus-Pro-7B" in one.names()
    assert not tab.get_by_role("button", name="Show the published benchmarks").is_visible()


def test_a_marks_footnote_shows_on_hover_and_focus_and_leaves_on_escape(real: Path, reader: Open) -> None:
    tab = reader(real).open("index.html")
    row = tab.locator("tr.published", has=tab.get_by_text("SD3-Medium", exact=True))
    tip = tab.locator("#tip")
    assert not tip.is_visible()
    row.locator("a.known").first.hover()
    assert "depth=38, 1024px, w/ DPO" in tip.inner_text()
    row.locator("a.mark").first.focus()
    assert tip.inner_text().startswith("Janus-Pro, Table 4")
    tab.keyboard.press("Escape")
    assert not tip.is_visible()
    row.locator("a.mark").first.click()
    assert re.fullmatch(r"#source-\d+", tab.evaluate("location.hash"))
    assert tab.locator("tr.published:not([hidden])").count() > 40, "a footnote is no view"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (
            "Markdown",
            ["| System | kind | MMBench (mmbench/paper, %) |", "| Janus-Pro-7B | published | 79.2 |", "| measured |"],
        ),
        ("LaTeX", ["\\toprule", "Janus-Pro-7B & published & 79.2", "{\\scriptsize ["]),
        ("CSV", ["\"MMBench (mmbench/paper, %)\",\"MMBench (mmbench/paper, %) low\"", "Janus-Pro-7B,published,79.2,,"]),
    ],
)  # fmt: skip
def test_tables_are_copied_as_they_are_shown(real: Path, reader: Open, form: str, says: list[str]) -> None:
    tab = reader(real).open("index.html")
    tab.fill("[name=q]", "janus-pro")
    tab.get_by_role("button", name=f"Copy Leaderboard as {form}").click()
    tab.get_by_text("copied").wait_for()
    text = tab.evaluate("window.copied")
    for words in says:
        assert words in text, text
    assert "SDXL" not in text and "Published figures" not in text


def test_every_table_can_be_copied(shapes: Path, reader: Open) -> None:
    one = reader(shapes)
    for name in paths("shapes-", "nano-janus-pro")[:4]:
        tab = one.open(name)
        assert tab.locator("table[data-copy]").count() > 0
        for button in tab.locator(".copy button").all():
            button.evaluate("node => node.click()")
            until(tab, "window.copied")
            assert len(tab.evaluate("window.copied").splitlines()) > 1
            tab.evaluate("window.copied = ''")


def test_the_gallery_filters_and_loads_as_it_is_read(real: Path, reader: Open) -> None:
    one = reader(real)
    tab = one.open("runs/many/geneval.official.html")
    until(tab, "document.querySelectorAll('.card').length >= 48")
    assert tab.locator(".card").count() < 360
    assert len(tab.evaluate("[...document.scripts].map(s => s.src).filter(s => /\\d.js/.test(s))")) < 4
    while tab.locator(".more").is_visible():
        count = tab.locator(".card").count()
        tab.locator(".more").scroll_into_view_if_needed()
        until(tab, f"document.querySelectorAll('.card').length > {count}")
    assert tab.locator(".card").count() == 360
    shoot(tab, "gallery")
    chip = tab.locator("label.chip", has=tab.locator("[name=verdict][value=w]"))
    chip.click()
    number = int(chip.locator("small").inner_text())
    until(tab, "document.querySelectorAll('.card.wrong').length > 0")
    assert tab.locator(".card").count() == tab.locator(".card.wrong").count() == number
    assert one.hash() == "#verdict=w"
    tab.locator("label.chip", has_text="counting").click()
    until(tab, f"document.querySelectorAll('.card').length < {number}")
    assert int(chip.locator("small").inner_text()) == tab.locator(".card").count() < number
    assert "counting" in tab.locator(".card").first.inner_text()
    other = reader(real)
    other.open(f"runs/many/geneval.official.html{one.hash()}")
    until(other.tab, "document.querySelectorAll('.card').length > 0")
    assert other.tab.locator(".card").count() == tab.locator(".card").count()


def test_boxes_show_on_hover_and_focus(shapes: Path, reader: Open) -> None:
    tab = reader(shapes).open("runs/oracle/shapes-geneval.official.html")
    frame = tab.locator(".frame").first
    shown = "node => getComputedStyle(node).opacity"
    assert frame.locator("svg").evaluate(shown) == "0"
    frame.hover()
    assert frame.locator("svg").evaluate(shown) == "1"
    tab.mouse.move(0, 0)
    frame.focus()
    assert frame.locator("svg").evaluate(shown) == "1"
    assert re.search(r"picture 1: right; boxes: \w+ 0.98", frame.locator("img").get_attribute("alt"))
    assert frame.locator("img").evaluate("node => node.naturalWidth") == 64


def test_the_switch_of_themes_lasts(shapes: Path, reader: Open) -> None:
    one = reader(shapes, color_scheme="light")
    paper = "() => getComputedStyle(document.body).backgroundColor"
    light = one.open("index.html").evaluate(paper)
    one.tab.get_by_role("button", name="Dark").click()
    dark = one.tab.evaluate(paper)
    assert dark != light
    assert one.open("published.html").evaluate(paper) == dark
    assert one.tab.locator(".theme").get_attribute("aria-pressed") == "true"
    ink = one.tab.locator("svg.plot text").first.evaluate("node => getComputedStyle(node).fill")
    one.tab.get_by_role("button", name="Dark").click()
    assert one.tab.locator("svg.plot text").first.evaluate("node => getComputedStyle(node).fill") != ink


def test_scripts_off(real: Path, reader: Open) -> None:
    one = reader(real, java_script_enabled=False)
    tab = one.open("index.html")
    assert not tab.locator(".controls").is_visible() and len(one.names()) > 40
    values = [
        float(v.get_attribute("data-v") or 0) for v in tab.locator("tbody").first.locator("td:nth-child(2)").all()
    ]
    assert values == sorted(values, reverse=True)
    tab = one.open("runs/7/geneval.official.html")
    assert tab.locator(".card").count() == 12 and "Scripts are off" in tab.locator("main").inner_text()


@pytest.mark.parametrize("width", [390, 768])
def test_narrow_screens_scroll_inside_their_tables(shapes: Path, real: Path, reader: Open, width: int) -> None:
    for root, names in ((shapes, paths("shapes-", "nano-janus-pro")), (real, paths("", "evil"))):
        one = reader(root, viewport={"width": width, "height": 800})
        for name in names:
            tab = one.open(name)
            over = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{name} is {over} pixels too wide"
            shoot(tab, f"{root.name}-{name}-{width}")


def test_print_puts_the_leaderboard_on_one_landscape_page(shapes: Path, reader: Open) -> None:
    one = reader(shapes, viewport={"width": 1047, "height": 718})
    tab = one.open("index.html")
    tab.emulate_media(media="print")
    assert not tab.locator(".controls").is_visible() and not tab.locator(".bar").is_visible()
    table = tab.locator("table.board").bounding_box()
    assert table["x"] + table["width"] <= 1047 and table["y"] + table["height"] <= 718
    shoot(tab, "print")
    sheet = tab.pdf(prefer_css_page_size=True)
    [box] = {tuple(map(float, found)) for found in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", sheet)}
    assert box[0] > box[1]


def test_every_control_of_every_kind_of_page_works(shapes: Path, real: Path, reader: Open) -> None:
    for root, names in ((shapes, paths("shapes-", "blank")), (real, paths("", "evil")[3:])):
        one = reader(root)
        for name in names:
            tab = one.open(name)
            for control in tab.locator("summary, main button, .bar button, input, select").all():
                if not control.is_visible():
                    continue
                if control.evaluate("node => node.tagName") == "SELECT":
                    options = control.locator("option").all()
                    control.select_option(options[-1].get_attribute("value"))
                    control.select_option(options[0].get_attribute("value"))
                else:
                    control.evaluate("node => node.click()")
    assert tab.evaluate("typeof pwned") == "undefined"


def test_what_models_and_data_say_stays_text(real: Path, reader: Open) -> None:
    one = reader(real)
    for name in ("index.html", *paths("", "evil")[2:]):
        tab = one.open(name)
        tab.wait_for_timeout(300)
        assert tab.evaluate("typeof pwned") == "undefined", name
        assert not tab.locator("main script:not([type]), main img[src=x]").count(), name
    assert "<script>pwned = 1</script>" in tab.locator(".card").first.inner_text()


def test_one_file_has_all_of_it(shapes: Path, reader: Open) -> None:
    one = reader(shapes)
    tab = one.open("one.html")
    tab.locator("table.board thead .sort").nth(2).click()
    assert one.names()[:3] == ["nano-janus-pro", "oracle", "blank"]
    tab.locator(".bar summary").click()
    tab.get_by_role("link", name="shapes-geneval", exact=True).first.click()
    assert tab.evaluate("document.querySelector(':target') !== null")
    assert tab.locator("img").first.evaluate("node => node.src.startsWith('data:')")
    assert json.loads(tab.evaluate("JSON.stringify(performance.getEntriesByType('resource').map(r => r.name))")) == []
