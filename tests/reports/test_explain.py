"""Explanations in words: what is said, how it is escaped, and what the command takes and refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.explaining.records import (
    Compared,
    Counted,
    Difference,
    Effect,
    Explanation,
    Figure,
    Gap,
    Part,
    Rest,
    Step,
)
from janus_eval.reports import explain_command, explain_page, explain_render, explain_words
from janus_eval.reports.pages import Links
from janus_eval.types import Estimate

NASTY = "<script>alert('x')</script> | `a` \u202e\x1b[31m\n## b"
ESTIMATE = Estimate(0.6615, 0.54, 0.76, "fraction", 65)


def example(text: str = "a name") -> Explanation:
    differences = [Difference("settings.user_role", "User", "<|User|>", "a note", "stated")]
    gap = Gap(
        name=text,
        here=0.6615,
        there=0.79,
        by=12.85,
        parts=[Part("judge.aggregate", "circular", "rows", 6.97), Part("judge.letters", text, "lmms-eval", 0.0, 0.25)],
        rest=Rest("unexplained", 5.88, 5.88, -3.4, 15.2, differences=differences),
        agreeing=["settings.guidance", text],
        metrics=[Compared("two_object", 0.7, 0.82, 12.0)],
        notes=[text],
        orders=32,
    )
    return Explanation(
        run=f"runs/{text}",
        model=text,
        task="shapes-mmbench",
        title="Shapes",
        protocol="circular",
        unit="fraction",
        recorded=ESTIMATE,
        rejudged=None,
        effects=[
            Effect("judge.aggregate", "circular", "rows", replace(ESTIMATE, value=0.7312), 6.97, 0, text),
            Effect("judge.letters", "vlmevalkit", "lmms-eval", ESTIMATE, 0.0, 0),
            Effect("judge.categories", "all", "last", ESTIMATE, 0.0, 0, beside="entity 62 to 74"),
        ],
        protocols=[
            Counted("circular", text, ESTIMATE, 0.0),
            Counted("likelihood", text, None, None, "the model", "janus-eval run --task 'a b'"),
        ],
        gap=gap,
        steps=[
            Step(differences, f"janus-eval run --model '{'long' * 40}'", 96, 4000.0),
            Step(differences, "", note=text),
            Step(differences, "janus-eval run", 96, 8000.0, together=True),
        ],
        figures=[Figure(text, 79.2, 13.0, "", differences, ()), Figure("TorchUMM", 0.7, 4.0, "", (), ("dtype",))],
    )


# Words


def test_the_answer_comes_first() -> None:
    heading, who, whose, answer, *_ = explain_words.blocks(example())
    assert heading == explain_words.Heading("shapes-mmbench/circular: 0.66 (0.54–0.76)")
    assert getattr(whose, "text", "") == "a name has 0.7900: +12.85 points."
    assert getattr(answer, "text", "") == (
        "Explained: judge.aggregate +6.97. Unexplained: +5.88 (−3.40 to +15.20); the interval holds zero, "
        "so chance alone may have made it. Known to have been otherwise: settings.user_role."
    )
    assert getattr(who, "text", "") == "a name, runs/a name"


@pytest.mark.parametrize(
    ("low", "high", "kind", "said"),
    [
        (1.0, 2.0, "unexplained", "chance in this run alone has not made it"),
        (-2.0, -1.0, "answers", "so chance alone has not made it"),
        (-1.0, 1.0, "answers", "chance alone may have made it"),
        (None, None, "answers", "can't be said"),
    ],
)
def test_how_sure_the_rest_is(low: float | None, high: float | None, kind: str, said: str) -> None:
    gap = example().gap
    assert gap is not None
    rest = Rest(kind, 1.5, 1.5, low, high)  # type: ignore[arg-type]
    assert said in explain_words.verdict(replace(gap, rest=rest))


def test_what_is_inferred_is_said_to_be() -> None:
    gap = example().gap
    assert gap is not None
    parts = [replace(gap.parts[0], basis="inferred", source="as their other model"), *gap.parts[1:]]
    inferred = replace(example(), gap=replace(gap, parts=parts))
    assert inferred.gap is not None
    assert explain_words.verdict(inferred.gap).startswith("Explained, if the figure was made as is inferred: judge.")
    table = next(b for b in explain_words.blocks(inferred) if isinstance(b, explain_words.Table))
    assert table.rows[0].note == "inferred: as their other model"


def test_equal_answers_are_said_to_be() -> None:
    gap = example().gap
    assert gap is not None
    told = explain_words.verdict(replace(gap, by=6.97, rest=Rest("answers", 0.0, 0.0, 0.0, 0.0)))
    assert told.endswith(" The answers themselves make no difference.")


def test_nothing_that_can_be_turned() -> None:
    gap = example().gap
    assert gap is not None
    told = explain_words.verdict(replace(gap, by=5.88, parts=[]))
    assert told.startswith("Unexplained: +5.88 (−3.40 to +15.20); ")


def test_shown_digits_add_up() -> None:
    assert explain_words.adding([6.974, -0.028], 6.946) == [6.97, -0.02]
    assert explain_words.adding([1 / 3, 2 / 3, 0.0], 1.0) == [0.33, 0.67, 0.0]
    assert explain_words.adding([0.005, 0.004, 0.004], 0.013) == [0.01, 0.0, 0.0]
    assert explain_words.adding([1.004, 1.004, 0.002], 2.01) == [1.01, 1.0, 0.0]
    assert explain_words.adding([2.0, 0.0], 2.0) == [2.0, 0.0] and explain_words.adding([], 0.0) == []


def test_the_parts_of_the_table_add_up() -> None:
    table = next(b for b in explain_words.blocks(example()) if isinstance(b, explain_words.Table))
    assert [row.name for row in table.rows[-2:]] == ["unexplained", "the whole gap"] and table.totals == 1
    values = [float(re.split(" ±", row.cells[0].replace("−", "-"))[0]) for row in table.rows]
    assert sum(values[:-1]) == pytest.approx(values[-1])
    assert table.rows[1].cells == ["0.00 ± 0.25"]


def test_knobs_without_effect_share_a_sentence() -> None:
    sentences = [b.text for b in explain_words.blocks(example()) if isinstance(b, explain_words.Sentence)]
    assert "Of no effect on these answers: judge.letters: vlmevalkit → lmms-eval." in sentences
    alone = replace(example(), gap=None, effects=[], steps=[], figures=[])
    said = [b.text for b in explain_words.blocks(alone) if isinstance(b, explain_words.Sentence)]
    assert "No knob of this task can be turned without the model." in said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (40, "40 seconds"), (125, "2 minutes"), (5399, "90 minutes"), (11160, "3.1 hours")],
)
def test_durations(seconds: float, words: str) -> None:
    assert explain_words.duration(seconds) == words


def test_how_others_made_theirs() -> None:
    one, other = example().figures
    assert explain_words.made_like(one) == "made otherwise: settings.user_role: User → <|User|>"
    assert explain_words.made_like(other) == "made as this run, as far as is known (dtype)"
    assert explain_words.made_like(replace(other, agreeing=())) == "nobody says how it was made"


# Renderings


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_section_is_sound_and_escaped() -> None:
    parser = Tags()
    parser.feed(explain_render.section([example(NASTY)]))
    assert not parser.open and "script" not in parser.tags
    assert {"section", "table", "caption", "th", "pre", "code", "strong"} <= set(parser.tags)
    assert "\x1b" not in explain_render.section([example(NASTY)])


def test_markdown_keeps_its_tables_whole() -> None:
    text = explain_render.markdown([example(NASTY)])
    assert "<script" not in text.replace("\\<script", "") and "\x1b" not in text and "\u202e" not in text
    for block in text.split("\n\n"):
        if block.startswith("| "):
            cells = {len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}
            assert len(cells) == 1, block
    assert "```sh\njanus-eval run --task 'a b'\n```" in text
    assert not re.search(r"^## b", text, re.MULTILINE)


@pytest.mark.parametrize("width", [80, 60])
def test_a_terminal_gets_its_width_and_whole_commands(width: int) -> None:
    text = explain_render.text([example()], width)
    long = [line for line in text.splitlines() if len(line) > width]
    assert long == [f"  janus-eval run --model '{'long' * 40}'"]
    assert "\x1b" not in text and "\x1b" in explain_render.text([example()], width, colour=True)
    assert "\x1b[31m" not in explain_render.text([example(NASTY)], width)


def test_json_comes_back_whole(tmp_path: Path) -> None:
    written = tmp_path / "explain.json"
    written.write_text(explain_render.as_json([example(NASTY), replace(example(), gap=None)]))
    [first, second] = explain_render.loaded(written)
    assert explain_render.as_json([first, second]) == written.read_text() and second.gap is None
    assert list(explain_words.blocks(first)) == list(explain_words.blocks(example(NASTY)))


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 2}', '{"schema": 1, "explanations": [{}]}', "\xff"])
def test_other_files_are_no_explanations(tmp_path: Path, content: str) -> None:
    file = tmp_path / "explain.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"explain\.json"):
        explain_render.loaded(file)
    with pytest.raises(UserError, match="No such file"):
        explain_render.loaded(tmp_path / "absent.json")


# The command


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[Explanation], None]:
    def tell(explanation: Explanation) -> None:
        monkeypatch.setattr(
            "janus_eval.reports.explain_targets.explanations", lambda run, against, specs: [explanation]
        )

    return tell


def test_formats_and_files(
    told: Callable[[Explanation], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told(example())
    explain_command.explain(run=tmp_path)
    assert capsys.readouterr().out == explain_render.text([example()], 80)
    explain_command.explain(run=tmp_path, format_="json", output=tmp_path / "e.json")
    assert capsys.readouterr().out.strip() == str(tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text())["schema"] == 1
    for name in ("md", "markdown"):
        explain_command.explain(run=tmp_path, format_=name)
        assert capsys.readouterr().out == explain_render.markdown([example()])


def test_bad_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--format mdd: one of text, markdown, md, json; did you mean 'md'"):
        explain_command.explain(run=tmp_path, format_="mdd")
    for output in (tmp_path, tmp_path / "absent" / "file"):
        with pytest.raises(UserError, match="-o "):
            explain_command.explain(run=tmp_path, output=output)


def test_the_command_comes_through_the_door() -> None:
    assert plugins.load("commands", "explain") is explain_command.explain


# A run's page


def test_the_part_of_a_runs_page(tmp_path: Path) -> None:
    run = SimpleNamespace(path=tmp_path / "a <b>", finished=True)
    run.path.mkdir()
    report: Any = SimpleNamespace(board=SimpleNamespace(rows=[SimpleNamespace(run=run)]), single=True)
    assert explain_page.part(report, 0, Links("run.html")) is None
    report.single, run.finished = False, False
    assert explain_page.part(report, 0, Links("run.html")) is None, "there are no numbers yet"
    run.finished = True
    found = explain_page.part(report, 0, Links("run.html"))
    assert found is not None and "/a &lt;b&gt;&#39; --format json -o" in found.body
    (run.path / explain_render.STORED).write_text(explain_render.as_json([example(NASTY)]))
    found = explain_page.part(report, 0, Links("run.html"))
    assert found is not None and "<section" in found.body and "<script" not in found.body
    (run.path / explain_render.STORED).write_text("<script>")
    found = explain_page.part(report, 0, Links("run.html"))
    assert found is not None and "is damaged" in found.body and "<script" not in found.body
