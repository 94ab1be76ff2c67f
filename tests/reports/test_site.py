"""The site: which files it has, that they fit each other, and that it touches nothing but its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from benchmarks import sites
from janus_eval.errors import UserError
from janus_eval.reports import folder, page
from janus_eval.reports.pages import anchor, slug, slugs

MakeRun = Callable[..., Any]
ChangeLines = Callable[[Path, Callable[[Mapping[str, Any]], Any]], None]
NASTY = (
    '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&amp; ../../up '
    "\u202eover \x1b[31m \ud800 \U0001f600 שלום"
)
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


@pytest.fixture(scope="module")
def site(three_runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    page.write_site(three_runs, out)
    return out


def html_of(out: Path) -> Iterator[tuple[Path, str]]:
    yield from ((path, path.read_text("utf-8")) for path in sorted(out.rglob("*.html")))


def cards(out: Path, gallery: str) -> str:
    """The HTML of all cards of a gallery."""
    files = sorted((out / gallery).glob("*.js"), key=lambda path: int(path.stem))
    return "".join(
        json.loads(path.read_text("utf-8").removeprefix("janusCards(").removesuffix(");\n")) for path in files
    )


def listing(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def test_a_page_for_the_leaderboard_each_task_each_run_and_its_galleries(site: Path) -> None:
    found = {str(path.relative_to(site)) for path, _ in html_of(site)}
    tasks = ("shapes-mmbench", "shapes-geneval", "shapes-dpg", "shapes-ocr-read", "shapes-ocr-write")
    runs = ("nano-janus-pro", "oracle", "blank")
    assert {"index.html", "published.html", *(f"benchmarks/{t}.html" for t in tasks)} <= found
    assert {f"runs/{run}.html" for run in runs} <= found
    assert len([name for name in found if name.startswith("runs/")]) == 3 + 3 * 5


def test_every_link_and_file_of_every_page_is_there(site: Path) -> None:
    places = {path: set(re.findall(r' id="([^"]+)"', html)) for path, html in html_of(site)}
    for path, html in html_of(site):
        for target in map(unescape, re.findall(r' (?:href|src)="([^"]*)"', html)):
            if target.startswith(("data:", "https://")):
                continue
            file, _, fragment = target.partition("#")
            there = (path.parent / unquote(file)).resolve() if file else path
            assert there.is_file(), f"{path.name}: {target}"
            assert not fragment or fragment in places[there] or "=" in fragment, f"{path.name}: {target}"
        ids = re.findall(r' id="([^"]+)"', html)
        assert len(ids) == len(set(ids)), f"{path.name}: an id twice"


def test_no_page_has_a_script_or_style_of_its_own(site: Path) -> None:
    for path, html in html_of(site):
        assert f'content="{POLICY}"' in unescape(html), path.name
        assert re.findall(r"<script[^>]*>", html)[0].startswith("<script src="), path.name
        assert not re.findall(r'<style|<script>| style="| on\w+="', html), path.name


def test_galleries_hold_every_card_and_an_index_of_them(site: Path) -> None:
    html = (site / "runs/nano-janus-pro/shapes-geneval.official.html").read_text("utf-8")
    index = json.loads(re.search(r'class="index">(.*?)</script>', html)[1])  # type: ignore[index]
    whole = cards(site, "runs/nano-janus-pro/shapes-geneval.official")
    assert whole.count('<section class="card') == len(index["verdicts"]) == len(index["categories"]) == 30
    kinds = {"right": "r", "part": "p", "wrong": "w", "failed": "f", "none": "u"}
    shown = "".join(kinds[kind] for kind in re.findall(r'<section class="card (\w+)"', whole))
    assert shown == index["verdicts"]
    assert index["verdicts"].count("f") == 1, "three failed pictures of one prompt"
    assert html.count('<section class="card') == 12
    assert whole.count("<figure") == 120 and "out of memory on a batch of one" in whole


def test_a_questions_rotations_stand_together_with_what_was_read(site: Path) -> None:
    whole = cards(site, "runs/nano-janus-pro/shapes-mmbench.circular")
    first = re.findall(r"<section class=\"card.*?</section>", whole, re.DOTALL)[0]
    assert first.count("<tr class=") == 4 and first.count("<img") == 1
    assert "What colour is the shape?" in first
    assert first.count('class="option meant"') == 4
    assert re.search(r'<span class="said">C</span></td>\s*<td><span class="said" dir="auto">C. blue</span>', first)


def test_run_pages_tell_knobs_failures_and_timings(site: Path) -> None:
    html = (site / "runs/nano-janus-pro.html").read_text("utf-8")
    for text in ("model.dtype", "judge.threshold", "torch", "2.14.1", "out of memory on a batch of one", "7.5", "410"):
        assert text in html, text
    assert "3 in all" in html and "None: every request came back" in (site / "runs/oracle.html").read_text("utf-8")


def test_pictures_are_linked_and_only_pictures(make_run: MakeRun, change_lines: ChangeLines, tmp_path: Path) -> None:
    run = make_run("sly", 1.0, prompts=2).geneval().write()
    secret = run.parent / "secret.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(secret)
    (run / "images" / "page.png").write_text("<script>alert(1)</script>")
    Image.new("RGB", (300, 200)).save(run / "images" / "wide é.jpg")
    (run / "link.png").symlink_to(secret)
    odd = [
        "../secret.png",
        "/etc/hostname",
        "images/page.png",
        "images/wide é.jpg",
        "link.png",
        "images/none.png",
        "a\x00",
    ]
    names = iter(odd)
    change_lines(run / "responses.jsonl", lambda row: {**row, "image": next(names, row["image"])})
    page.write_site([run], tmp_path / "site")
    whole = cards(tmp_path / "site", "runs/sly/shapes-geneval.official")
    assert whole.count("picture missing from the run folder") == 5
    assert whole.count("unreadable: not a picture of a known kind") == 1
    linked = [path for path in (tmp_path / "site").rglob("*") if path.suffix in {".png", ".jpg"}]
    assert len(linked) == 48 - len(odd) + 1
    assert next(path.name for path in linked if path.suffix == ".jpg").isascii()
    assert 'width="300" height="200"' in whole
    assert secret.read_bytes() not in [path.read_bytes() for path in linked]
    assert linked[0].stat().st_nlink == 2, "pictures are not copied where they can be linked"


def test_any_name_makes_a_plain_file_and_stays_text(
    make_run: MakeRun, tmp_path: Path, change_lines: ChangeLines
) -> None:
    names = [NASTY, "x" * 300, "\U0001f600", "שלום", 'a"b', "a'b", "<b>"]
    runs = []
    for n, name in enumerate(names):
        run = make_run(f"run {n} <{n}>", 0.5, prompts=1).geneval().mmbench().write()
        for file in ("run.json", "results.json"):
            whole = json.loads((run / file).read_text())
            whole["model"]["name"] = name
            whole["tasks"][NASTY] = whole["tasks"].pop("shapes-geneval")
            (run / file).write_text(json.dumps(whole))
        for file in ("responses.jsonl", "scores.jsonl"):
            change_lines(run / file, lambda row: {**row, "task": NASTY if "geneval" in row["task"] else row["task"]})
            change_lines(run / file, lambda row: {**row, "text": NASTY, "prompt": NASTY, "reason": NASTY})
        (run / "samples" / "shapes-geneval.jsonl").unlink()
        runs.append(run)
    page.write_site(runs, tmp_path / "site")
    for path in (tmp_path / "site").rglob("*"):
        assert re.fullmatch(r"[a-z0-9.~_-]+", path.name), path.name
    for path, html in html_of(tmp_path / "site"):
        assert not re.search(r"<script>|<img src=x|[\u202e\x1b]", html), path.name
    front = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in front and "x" * 300 in front and "⟨U+202E⟩" in front
    assert "<" not in "".join(path.read_text() for path in (tmp_path / "site").rglob("[0-9].js")).replace("\\u003c", "")
    assert "&lt;script&gt;alert(1)" in cards(tmp_path / "site", "runs/run-0-0/shapes-mmbench.circular")


def test_a_strangers_folder_is_refused(three_runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and holds no report of janus-eval's"):
        page.write_site(three_runs[:1], tmp_path)
    assert listing(tmp_path) == {"notes.txt"}
    with pytest.raises(UserError, match="is a file; --out takes a folder"):
        page.write_site(three_runs[:1], tmp_path / "notes.txt")


def test_a_former_site_is_replaced_and_strangers_files_in_it_stay(three_runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "site"
    page.write_site(three_runs[:2], out)
    first = listing(out)
    (out / "notes.txt").write_text("mine")
    (out / "runs" / "oracle" / "notes.txt").write_text("mine")
    page.write_site(three_runs[:1], out)
    left = listing(out)
    assert {"notes.txt", "runs/oracle/notes.txt"} <= left
    assert not any(name.startswith("runs/oracle") for name in left - {"runs/oracle/notes.txt"})
    assert left - {"notes.txt", "runs/oracle/notes.txt"} < first
    page.write_site(three_runs[:2], out)
    assert listing(out) == first | {"notes.txt", "runs/oracle/notes.txt"}


def test_a_strangers_file_is_never_overwritten(three_runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "site"
    page.write_site([], out)
    (out / "runs").mkdir()
    (out / "runs" / "oracle.html").write_text("mine")
    with pytest.raises(UserError, match=r"oracle\.html is not janus-eval's; it is in the way"):
        page.write_site(three_runs[1:2], out)
    assert (out / "runs" / "oracle.html").read_text() == "mine"
    (out / "runs" / "oracle.html").unlink()
    page.write_site(three_runs[1:2], out)  # what the stopped one wrote is its own
    page.write_site([], out)
    assert not (out / "runs").exists()
    (tmp_path / "report.html").write_text("<p>mine</p>")
    with pytest.raises(UserError, match="is not janus-eval's"):
        page.write([], tmp_path)


def test_a_marker_from_elsewhere_deletes_nothing_outside(tmp_path: Path) -> None:
    out = tmp_path / "site"
    page.write_site([], out)
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    (out / "linked").symlink_to(tmp_path / "elsewhere")
    with (out / folder.MARKER).open("a") as marker:
        marker.write(f"../precious\n{tmp_path / 'precious'}\nlinked/precious\n.\n\n")
    page.write_site([], out)
    assert (tmp_path / "precious").exists() and (tmp_path / "elsewhere" / "precious").exists()


def test_no_runs_half_a_run_and_damaged_ones(make_run: MakeRun, tmp_path: Path) -> None:
    half = make_run("half", 0.5, prompts=1).geneval().write(finished=False)
    (half / "scores.jsonl").unlink()
    broken = make_run("broken", 0.5, prompts=1).mmbench().write()
    with (broken / "responses.jsonl").open("a") as file:
        file.write('{"task": 1}\nrubbish\n')
    bare = make_run("bare").write()
    written, report = page.write_site([half, broken, bare], tmp_path / "site")
    text = unescape(written.read_text("utf-8"))
    assert "half is half-written (24 responses so far)" in text
    assert "broken is damaged: 1 unreadable line in responses.jsonl" in text
    assert "running" in text and len(report.digests) == 3
    whole = cards(tmp_path / "site", "runs/half/shapes-geneval.official")
    assert whole.count('<span class="verdict">unscored</span>') == 24
    assert (tmp_path / "site" / "runs" / "bare.html").is_file()


def test_two_hundred_runs(tmp_path: Path) -> None:
    runs = []
    for n in range(200):
        run = tmp_path / f"run{n}"
        run.mkdir()
        overall = {"value": n / 200, "low": n / 250, "high": min(1.0, n / 180), "unit": "fraction", "n": 9}
        tasks = {task: {"official": {"metrics": {"overall": overall}}} for task in ("a", "b", "c", "d", "geneval")}
        model = {"name": f"model {n}", "settings": {}, "weights": str(n)}
        (run / "run.json").write_text(json.dumps({"schema": 1, "model": model, "tasks": tasks}))
        (run / "results.json").write_text(json.dumps({"schema": 1, "model": model, "tasks": tasks}))
        runs.append(run)
    written, report = page.write_site(runs, tmp_path / "site")
    assert written.stat().st_size < 1_000_000
    assert len(report.standings.rows) > 300
    assert (tmp_path / "site" / "runs" / "run199.html").is_file()


def test_two_runs_of_one_folders_name_have_pages_of_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run("same", 0.5, prompts=1).geneval().write()
    second = shutil.copytree(first, tmp_path / "elsewhere" / "same")
    page.write_site([first, second], tmp_path / "site")
    assert {"runs/same.html", "runs/same-2.html"} <= listing(tmp_path / "site")


def test_the_benchmark_makes_runs_that_a_site_is_built_of(tmp_path: Path) -> None:
    runs = list(sites.make_runs(tmp_path, 2, 200))
    _, report = page.write_site(runs, tmp_path / "site")
    assert [c.name for c in report.standings.columns if c.shown] == ["MMBench", "GenEval", "DPG-Bench", "mmbench"]
    assert report.board.sentence.startswith("2 models (Janus-Pro-7B and Janus-Pro-1B) on 3 tasks")
    counts = [gallery.cards for gallery in report.digests[0].galleries.values()]
    assert counts == [22, 22, 11, 16] and not report.digests[0].run.tally.troubles
    assert "picture missing" not in cards(tmp_path / "site", "runs/janus-pro-7b-0/geneval.official")


def test_names_of_files_and_places() -> None:
    assert slugs(["a/b", "a b", "a/b", "Ä", "..", "x" * 90]) == {
        "a/b": "a-b",
        "a b": "a-b-2",
        "Ä": "unnamed",
        "..": "unnamed-2",
        "x" * 90: "x" * 60,
    }
    assert slug("a", ["a", "a-2"]) == "a-3"
    assert anchor("runs/a.b.html", "failures") == "runs-a.b_failures"


def test_what_a_server_rewrote_and_counted_is_shown(
    make_run: MakeRun, change_lines: ChangeLines, tmp_path: Path
) -> None:
    run = make_run("paid", 1.0, prompts=1).geneval().write()
    anew = {"revised_prompt": "A cat & <b>two</b> dogs"}
    change_lines(run / "responses.jsonl", lambda row: {**row, "details": anew})
    (run / "usage.json").write_text(json.dumps({"requests": 4, "images": 4, "cost": 0.16, "served": {"dall-e-3": 4}}))
    page.write_site([run], tmp_path / "site")
    drawn = cards(tmp_path / "site", "runs/paid/shapes-geneval.official")
    assert drawn.count("drawn from: ") and "A cat &amp; &lt;b&gt;two&lt;/b&gt; dogs</span>" in drawn
    shown = (tmp_path / "site" / "runs" / "paid.html").read_text()
    assert "As the server counted" in shown and "0.16" in shown and "dall-e-3" in shown
    (run / "usage.json").write_text("{")
    page.write_site([run], tmp_path / "site")
    assert "As the server counted" not in (tmp_path / "site" / "runs" / "paid.html").read_text()
