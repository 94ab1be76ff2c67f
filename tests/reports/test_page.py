"""The one file: whole, well-formed, self-contained, and safe whatever a model answered."""

from __future__ import annotations

import hashlib
import io
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from janus_eval.errors import UserError
from janus_eval.reports import page, pictures, records, sidebyside

VOID = {"meta", "link", "br", "img", "hr", "input"}
ChangeLines = Callable[[Path, Callable[[Mapping[str, Any]], Any]], None]
MakeRun = Callable[..., Any]
NASTY = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&amp; \u202eoverride \x1b[31m \x00 \ud800 end'


class Strict(HTMLParser):
    """Refuses tags that do not nest, and keeps what a test asks about."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()} does not match"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text.append(data)


def parsed(html: str) -> Strict:
    found = Strict()
    found.feed(html)
    found.close()
    assert not found.open, f"never closed: {found.open}"
    return found


def text_of(html: str) -> str:
    return " ".join(" ".join(parsed(html).text).split())


def rendered(paths: list[Path]) -> str:
    return page.render([records.read(path) for path in paths])


def attributes(html: str) -> Iterator[tuple[str, str, str]]:
    for tag, attrs in parsed(html).tags:
        yield from ((tag, name, value or "") for name, value in attrs.items())


@pytest.fixture(scope="module")
def site(three_runs: list[Path]) -> str:
    return rendered(three_runs)


def test_first_screen_has_sentence_and_leaderboard(site: str) -> None:
    text = text_of(site)
    assert (
        "janus-eval: nano-janus-pro 3 models (nano-janus-pro, oracle and blank) on 5 tasks, 22 November 2026:" in text
    )
    assert "183 samples each, 864 requests in all, 3 failures." in text
    board = text[: text.index("The same prompts")]
    for value in ("0.75", "0.60–0.86", "71.8", "49.9–86.7", "ceiling", "floor", "measured"):
        assert value in board
    assert "3 failed, 117 scored: out of memory on a batch of one" in board


def test_nothing_is_loaded_from_outside_and_only_our_script_can_run(site: str) -> None:
    policies = [a["content"] for t, a in parsed(site).tags if a.get("http-equiv") == "Content-Security-Policy"]
    [[style], [script]] = [re.findall(rf"<{tag}>(.*?)</{tag}>", site, re.DOTALL) for tag in ("style", "script")]
    sums = [b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{sums[0]}'; script-src 'sha256-{sums[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    ]
    for tag, name, value in attributes(site):
        assert tag not in {"iframe", "object", "embed", "base"}
        assert not name.startswith("on") and name not in {"style", "action"}
        if name in {"src", "srcset", "data", "poster"} or (tag == "link" and name == "href"):
            assert value.startswith("data:"), f"<{tag} {name}={value[:60]}>"
        if tag == "a" and name == "href":
            assert value.startswith(("#", "https://")), value[:60]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"https?://|fetch\(|eval\(|XMLHttpRequest", script)


def test_every_inner_link_has_its_target(site: str) -> None:
    found = list(attributes(site))
    targets = [value for _, name, value in found if name == "id"]
    assert len(targets) == len(set(targets))
    assert {value[1:] for _, name, value in found if name == "href" and value.startswith("#")} <= set(targets)


def test_untrusted_text_is_text(own_runs: list[Path], change_lines: ChangeLines) -> None:
    run = own_runs[0]

    def spoil(row: Mapping[str, Any]) -> Mapping[str, Any]:
        spoiled = {name: NASTY for name in ("text", "prompt", "reason", "extracted", "failure") if name in row}
        return {**row, **spoiled} if row.get("task") != "shapes-geneval" or "failure" in row else row

    change_lines(run / "responses.jsonl", spoil)
    change_lines(run / "scores.jsonl", spoil)
    results = json.loads((run / "results.json").read_text())
    results["model"]["name"] = NASTY
    results["tasks"][NASTY] = results["tasks"].pop("shapes-dpg")
    results["tasks"]["shapes-mmbench"]["circular"]["metrics"][NASTY] = {"value": 1, "unit": "fraction", "n": 1}
    results["tasks"]["shapes-mmbench"]["circular"]["protocol"]["note"] = NASTY
    (run / "results.json").write_text(json.dumps(results))
    html = rendered(own_runs)
    html.encode("utf-8")
    assert [tag for tag, _ in parsed(html).tags].count("script") == 1
    assert all(name != "onerror" for _, name, _ in attributes(html))
    assert not set("\u202e\x1b\x00") & set(html)
    assert "<script>alert(1)</script>" in text_of(html)
    assert "⟨U+202E⟩override ␛[31m" in text_of(html)


def test_right_to_left_answers_stay_in_their_cell(own_runs: list[Path], change_lines: ChangeLines) -> None:
    change_lines(own_runs[0] / "responses.jsonl", lambda row: {**row, "text": "שלום"} if "text" in row else row)
    html = rendered(own_runs)
    assert re.search(r'<span class="said" dir="auto">שלום</span>', html)
    assert ".said { unicode-bidi: isolate;" in html


def test_long_answers_are_cut_with_their_length_told(own_runs: list[Path], change_lines: ChangeLines) -> None:
    change_lines(own_runs[0] / "responses.jsonl", lambda row: {**row, "text": "x" * 300} if "text" in row else row)
    assert "x" * 300 in rendered(own_runs)
    change_lines(own_runs[0] / "responses.jsonl", lambda row: {**row, "text": "x" * 5000} if "text" in row else row)
    html = rendered(own_runs)
    assert "x" * 301 not in html
    assert "(5,000 characters)" in html


def test_galleries_are_bounded_and_say_of_how_many(make_run: MakeRun) -> None:
    few = rendered([make_run("few", 0.5, prompts=6).geneval().write()])
    many = rendered([make_run("many", 0.5, prompts=40).geneval().write()])
    assert few.count('<section class="card"') == many.count('<section class="card"') == 6 * sidebyside.GROUPS
    assert "4 of 40 shown" in many
    assert len(many) < 1.1 * len(few)


def test_galleries_are_not_chosen_by_result() -> None:
    assert sidebyside.spaced(list(range(10)), 4) == [0, 2, 5, 7]
    assert sidebyside.spaced([1, 2], 4) == [1, 2]


def test_large_pictures_become_thumbnails(make_run: MakeRun) -> None:
    run = make_run("large", 1.0, prompts=1).geneval().write()
    noise = io.BytesIO()
    Image.effect_noise((640, 480), 90).save(noise, "PNG")
    for file in (run / "images").rglob("*.png"):
        file.write_bytes(noise.getvalue())
    html = rendered([run])
    assert "data:image/jpeg;base64," in html
    assert len(html) < 2_000_000


def test_embedded_bytes_have_a_ceiling(three_runs: list[Path]) -> None:
    run = records.read(three_runs[0])
    beside = sidebyside.SideBySide("shapes-geneval", "official")
    beside.add(0, run, pictures.Embedded(2_000))
    tiles = [tile for shelf in beside.shelves for card in shelf.cards for tile in card.drawn[0]]
    assert 0 < sum(len(tile.source) for tile in tiles) < 4_000
    assert tiles[-1].absent == "not embedded, to keep the page small"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "picture missing from the run folder"),
        (b"", "unreadable: the image is empty"),
        (b"\x89PNG\r\n\x1a\nrubbish", "unreadable:"),
    ],
)
def test_pictures_that_are_none(make_run: MakeRun, data: bytes | None, says: str) -> None:
    run = make_run("spoilt", 1.0, prompts=1).geneval().write()
    for file in (run / "images").rglob("*.png"):
        file.unlink() if data is None else file.write_bytes(data)
    assert says in text_of(rendered([run]))


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "images/../../secret.png", "a\x00b", "link.png"])
def test_pictures_outside_the_run_folder_are_never_read(
    make_run: MakeRun, change_lines: ChangeLines, path: str
) -> None:
    run = make_run("sly", 1.0, prompts=1).geneval().write()
    secret = run.parent / "secret.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(secret)
    (run / "link.png").symlink_to(secret)
    change_lines(run / "responses.jsonl", lambda row: {**row, "image": path})
    html = rendered([run])
    assert "data:image/" not in html
    assert "picture missing from the run folder" in html


def test_published_figures_are_marked_as_not_measured(site: str) -> None:
    text = text_of(site)
    published = text[text.index("Published figures Not measured here.") :]
    assert "The shapes tasks ask other prompts and questions of another world" in published
    assert "their numbers are not comparable with these" in published
    for printed in ("Janus-Pro-7B 7B 79.2", "TokenFlow XL 13B 68.9", "MetaMorph 8B 75.2", "SD3-Medium 0.74", "84.19"):
        assert printed in published
    assert "depth=38, 1024px, w/ DPO" in published


def test_boxes_are_drawn_with_class_and_score(site: str) -> None:
    assert '<rect x="7.0" y="7.0" width="18.0" height="18.0"/>' in site
    assert re.search(r'<text x="7.0" [^>]*>circle 0.98</text>', site)
    assert re.search(r'alt="drawn by oracle: right; boxes: \w+ 0.98"', site)


def test_no_runs() -> None:
    text = text_of(page.render([]))
    assert "No runs yet: `janus-eval run` makes the first" in text
    assert "Janus-Pro-7B published unified · 7B 79.2" in text


def test_half_written_run(make_run: MakeRun) -> None:
    run = make_run("nano-janus-pro").geneval().write(finished=False)
    with (run / "responses.jsonl").open("a") as file:
        file.write('{"task": "shapes-gen')
    text = text_of(rendered([run]))
    assert "nano-janus-pro is half-written (120 responses so far): the same `janus-eval run` command goes on" in text
    assert "running" in text
    assert "damaged" not in text


def test_failures_only(make_run: MakeRun, change_lines: ChangeLines) -> None:
    builder = make_run("broken", 0.5, prompts=2)
    run = builder.geneval(fail=99).write()
    change_lines(run / "responses.jsonl", lambda row: {**row, "failure": "out of memory on a batch of one"})
    text = text_of(rendered([run]))
    assert "broken has failures only: every one of its 48 requests failed, so there is nothing to score." in text
    assert "48 in all" in text


def test_write_saves_a_page_for_all_and_one_each(own_runs: list[Path], tmp_path: Path) -> None:
    out = page.write(own_runs, tmp_path / "site")
    assert out == tmp_path / "site" / "report.html"
    assert "3 models" in out.read_text("utf-8")
    assert all("3 models" not in (run / "report.html").read_text("utf-8") for run in own_runs)
    assert not list((tmp_path / "site").glob(".*"))


def test_write_says_where_it_cannot(three_runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        page.write(three_runs[:1], tmp_path / "taken", each=False)


def test_the_same_records_give_the_same_page(site: str, three_runs: list[Path]) -> None:
    assert rendered(three_runs) == site
