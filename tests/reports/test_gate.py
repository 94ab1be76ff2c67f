"""A verdict where people read it: terminal, GitHub's summary, JUnit, JSON and the page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from janus_eval import plugins
from janus_eval.gating.records import Beside, Change, Course, Fallen, Flip, Part, Refusal, Row, Spent, Verdict
from janus_eval.reports import gate_page, gate_text

NASTY = "<script>alert('x')</script> | `a` \u202e\x1b[31m\n## b"
FELL = Change(-4.6, -9.12, -0.4, 0.012, 60, 21, 9, "sign flips")
HELD = Change(0.0, -2.8, 2.8, 1.0, 65, 0, 0, "McNemar")


def example(text: str = "counting") -> Verdict:
    parts = [Part(text, replace(FELL, by=-12.5), -4.0), Part("colors", replace(HELD, by=-1.0), -0.6)]
    return Verdict(
        candidate="runs/new",
        baseline="base.jsonl.gz",
        rows=[
            Row(
                "shapes-geneval", "official", "overall", "fraction", 0.604, 0.558, "regression", "worse", FELL, 0.024,
                5.2, None, None, parts, [Beside(text, "fraction", 0.5, None)],
            ),
            Row("shapes-mmbench", "circular", "overall", "fraction", 0.66, 0.66, "holds", "", HELD, 1.0, 10.8),
            Row("mjhq", "paper", "overall", "fid", 3.0, 4.0, "not comparable", text),
        ],
        refusals=[Refusal("shapes-dpg/fixed", "settings", f"guidance: 1 -> 2 {text}")],
        accepted=[Refusal("shapes-geneval/official", "ask", "seed: 0 -> 1")],
        fallen=[Fallen("shapes-mmbench", "circular", text, 1.0, None)],
        held=2,
        notes=[text],
        flips=[Flip("shapes-geneval", "official", text, "a", 0, 1.0, 0.0)],
        accept="janus-eval baseline runs/new -o base.jsonl.gz",
    )  # fmt: skip


def passed() -> Verdict:
    return replace(example(), rows=example().rows[1:2], refusals=[], accepted=[], fallen=[], held=0, notes=[], flips=[])


def test_the_terminal() -> None:
    assert gate_text.text(example(), 80) == (
        "Regression: 1 of 3 metrics fell and 1 must-hold sample fell.\n"
        "\n"
        "     metric                   before  after  change  90% interval      p  seen\n"
        "FELL shapes-geneval/official    0.60   0.56    -4.6     -9.1…-0.4  0.024   5.2\n"
        "ok   shapes-mmbench/circular    0.66   0.66     0.0     -2.8…+2.8  1.000  10.8\n"
        "-    mjhq/paper                 3.00   4.00       –             –      –     –\n"
        "\n"
        "shapes-geneval/official: worse; of 60 groups 21 fell and 9 rose; fell in\n"
        "  counting -12.5 (-9.1…-0.4), colors -1.0 (-2.8…+2.8)\n"
        "mjhq/paper: counting\n"
        "\n"
        "fell though it must hold: shapes-mmbench/circular counting: 1.00 to no score\n"
        "2 must-hold samples held\n"
        "not compared: shapes-dpg/fixed: settings: guidance: 1 -> 2 counting\n"
        "accepted by --allow: shapes-geneval/official: ask: seed: 0 -> 1\n"
        "counting\n"
        "90% intervals of the difference in points, both sides on the same samples. p is\n"
        "  Holm's, 5% over all metrics. Seen: the smallest fall found four times in five.\n"
        "To compare knowingly: --allow settings\n"
        "If this change is meant: janus-eval baseline runs/new -o base.jsonl.gz\n"
    )
    assert gate_text.text(passed(), 80).startswith("Passed: 1 metric held.\n")
    assert "If this change is meant" not in gate_text.text(passed(), 80)


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, gate_text.text(example(), width).splitlines())) <= width


def test_the_summary_escapes_what_comes_from_outside() -> None:
    text = gate_text.markdown(example(NASTY))
    assert text.startswith("## janus-eval gate: Regression")
    assert "```sh\njanus-eval baseline runs/new -o base.jsonl.gz\n```" in text
    assert not re.search(r"(?<!\\)<script", text) and "\x1b" not in text and "\u202e" not in text
    assert not re.search(r"^## b", text, re.MULTILINE)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 5 and {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {9}


def test_junit_has_a_case_a_metric() -> None:
    [suite] = ET.fromstring(gate_text.junit(example(NASTY)))
    cases = {case.get("name"): case for case in suite}
    assert list(cases) == [
        "shapes-geneval/official", "shapes-mmbench/circular", "mjhq/paper", "must-hold", "shapes-dpg/fixed",
    ]  # fmt: skip
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "2")
    assert [child.tag for child in cases["shapes-mmbench/circular"]] == ["system-out"]
    failure = cases["shapes-geneval/official"].find("failure")
    assert failure is not None and failure.get("message") == "worse" and "fell in" in str(failure.text)
    error = cases["shapes-dpg/fixed"].find("error")
    assert error is not None and "guidance: 1 -> 2" in str(error.get("message"))


def test_json_has_every_figure() -> None:
    table = json.loads(gate_text.as_json(example()))
    assert (table["schema"], table["state"], table["code"]) == (1, "regression", 1)
    assert table["rows"][0]["change"] == {
        "by": -4.6, "low": -9.12, "high": -0.4, "p": 0.012, "groups": 60, "fell": 21, "rose": 9, "method": "sign flips",
    }  # fmt: skip
    assert table["rows"][0]["parts"][0]["category"] == "counting" and len(table["flips"]) == 1


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def sides(three_runs: list[Path]) -> tuple[Path, Path]:
    return three_runs[0], three_runs[1]


def flipped(new: Path, old: Path, task: str, protocol: str) -> list[Flip]:
    def scores(run: Path) -> dict[tuple[str, int], dict[str, object]]:
        rows = map(json.loads, (run / "scores.jsonl").read_text().splitlines())
        return {
            (row["sample"], row["index"]): row for row in rows if (row["task"], row["protocol"]) == (task, protocol)
        }

    now, was = scores(new), scores(old)
    found = []
    for (sample, index), row in now.items():
        before, after = was[sample, index]["value"], row["value"]
        if isinstance(before, float) and isinstance(after, float) and before != after:
            found.append(Flip(task, protocol, str(row["category"]), sample, index, before, after))
    return found


def test_the_page_shows_both_sides(sides: tuple[Path, Path]) -> None:
    new, old = sides
    flips = [
        flip
        for key in (("shapes-geneval", "official"), ("shapes-mmbench", "circular"))
        for flip in flipped(new, old, *key)
    ]
    assert {flip.task for flip in flips} == {"shapes-geneval", "shapes-mmbench"}
    verdict = replace(example(NASTY), candidate=str(new), baseline=str(old), flips=flips)
    text = gate_page.page(verdict)
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags and "\x1b" not in text and "\u202e" not in text
    assert tags.count("article") == min(len(flips), 2 * gate_page.SHOWN) and tags.count("figure") == 2 * tags.count(
        "article"
    )
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert sources and all(str(source).startswith("data:image/") for source in sources)
    policy = next(str(a["content"]) for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "style-src 'sha256-" in policy
    assert not any("style" in attributes for _, attributes in page.tags), "the policy would not let it through"
    shown = " ".join(page.words)
    assert "guidance: 1 -> 2" in shown and "janus-eval baseline" in shown


def test_the_page_without_the_baselines_pictures(sides: tuple[Path, Path]) -> None:
    new, old = sides
    flips = flipped(new, old, "shapes-geneval", "official")
    text = gate_page.page(replace(example(), candidate=str(new), flips=flips))
    assert text.count("the baseline is a file, which keeps scores alone") == min(len(flips), gate_page.SHOWN)


def test_what_is_not_shown_is_listed(sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_page, "SHOWN", 5)
    new, old = sides
    flips = flipped(new, old, "shapes-geneval", "official")
    text = gate_page.page(replace(example(), candidate=str(new), baseline=str(old), flips=flips))
    categories = {flip.category for flip in flips}
    assert len(flips) > 5 and text.count("<article") == 5
    assert text.count("<h3>") == len(categories), "each has its place, be it only in the list"
    page = Page(text)
    rows = text.count("<tr>", text.index("Judged otherwise")) - sum(tag == "details" for tag, _ in page.tags)
    assert rows == len(flips) - 5
    assert gate_page.shared([9, 1, 3], 8) == [4, 1, 3] and gate_page.shared([1, 1], 60) == [1, 1]
    assert gate_page.shared([], 60) == []


def test_a_sequential_gate_says_what_it_spent() -> None:
    rows = [replace(row, spent=Spent(120, 553)) for row in example().rows[:2]]
    for replayed, words in (
        (True, "Replayed in random order 3: 480 of 2,212 requests would have been enough."),
        (False, "Asked in random order 3 until the answer was clear: 480 of 2,212 requests."),
    ):
        verdict = replace(example(), rows=rows, course=Course(3, 480, 2212, replayed))
        for text in (gate_text.text(verdict, 200), gate_text.markdown(verdict)):
            assert words in text and "120/553" in text and "groups" in text
        assert "groups 120/553" in gate_text.junit(verdict)
        assert json.loads(gate_text.as_json(verdict))["course"] == {
            "order": 3, "asked": 480, "of": 2212, "replayed": replayed,
        }  # fmt: skip


def test_reporters_come_through_the_door() -> None:
    for name in ("gate-text", "gate-markdown", "gate-junit", "gate-json", "gate-html"):
        assert callable(plugins.load("reporters", name))
