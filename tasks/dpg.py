"""DPG-Bench: long prompts, each with a tree of yes-or-no questions about the picture drawn from it.

The published script (TencentQQGYLab/ELLA at 3c228f1, ``dpg_bench/compute_dpg_bench.py``) has defects that move its
numbers. Protocol ``official`` has them too, to the digit; ``fixed`` has not. They are three:

1. It skips the first row of data, taking it for the header that pandas has already removed. The first prompt loses a
   question, and fails if another one depends on that.
2. A prompt that fails, for this or any other reason, leaves the mean without trace. (Here it is counted as failed.)
3. Category scores come from the last of a prompt's pictures alone, before dependent questions are set to zero, so
   that they lie well above the overall score.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, cast

from janus_eval.errors import UserError
from janus_eval.explaining.knobs import ABSENT, Knob
from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean, scaled
from janus_eval.tasks.layouts import DPGLayout
from janus_eval.tasks.slices import Slice, Source, folded, groups, sliced
from janus_eval.types import (
    JSON,
    Capability,
    Drawing,
    Estimate,
    Protocol,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
    Scored,
)

L1 = ("entity", "attribute", "relation", "global", "other")
YES = "yes"
COLUMNS = {
    "item_id",
    "text",
    "proposition_id",
    "dependency",
    "category_broad",
    "category_detailed",
    "tuple",
    "question_natural_language",
}


KNOBS = (
    Knob(
        "judge.first_row",
        note="also leaves the first prompt without a score where another question depends on that row",
    ),
    Knob("judge.categories", note="moves the categories, never the overall score", beside="entity"),
    Knob("judge.dependency", (ABSENT, "ignored"), "ignored: a no does not run down the tree", "heeded"),
    Knob("ask.images_per_prompt", (1,), "the script's own default; its launcher passes 4"),
)
"""What stored answers can be judged by in other ways, beside the protocols."""


class Asked(NamedTuple):
    """One question about a picture. ``dependency`` holds the ids of questions that must be answered yes; 0 is none."""

    id: int
    dependency: tuple[int, ...]
    tuple: str
    """``attribute - color (cup, red)``: the category stands before the bracket, its broad part before the dash."""
    question: str
    row: int
    """Its place in the whole benchmark's table, from 0."""

    @property
    def detailed(self) -> str:
        return self.tuple.split("(")[0].strip()

    @property
    def broad(self) -> str:
        return self.detailed.split("-")[0].strip()


def asked_of(sample: Sample) -> list[Asked]:
    """The questions of a sample, in the order of the table."""
    rows = cast(Sequence[Mapping[str, JSON]], sample.target["questions"])
    return [
        Asked(
            cast(int, row["id"]),
            tuple(cast(Sequence[int], row["dependency"])),
            str(row["tuple"]),
            str(row["question"]),
            cast(int, row["row"]),
        )
        for row in rows
    ]


def left_by_script(questions: Sequence[Asked]) -> list[Asked]:
    """The questions that the published script keeps of a prompt.

    Without the table's first row; and where a prompt's rows do not stand together, only their last stretch, since the
    script starts a prompt anew whenever its name differs from the row before.
    """
    kept: list[Asked] = []
    for question in questions:
        if question.row == 0:
            continue
        if kept and question.row != kept[-1].row + 1:
            kept = []
        kept.append(question)
    return kept


def judge_answers(questions: Iterable[Asked], answers: Mapping[str, str]) -> Score:
    """One picture's score: the share of yes, where a question counts as no if one that it depends on does.

    Questions are gone through in the order of the table, so a no cascades from parents to children below them.
    ``answers`` {question id: text}; nothing but the exact text "yes" is a yes. ``parts``: the 0 or 1 of each question
    as ``answered`` and as ``judged``.
    """
    # A repeated id keeps its first place and its last wording, there as here.
    by_id = {question.id: question for question in questions}
    if silent := [str(key) for key in by_id if str(key) not in answers]:
        return Score(None, reason=f"the instrument gave no answer to question {', '.join(silent)}")
    answered = {key: float(answers[str(key)] == YES) for key in by_id}
    judged = dict(answered)
    for key, question in by_id.items():
        for parent in question.dependency:
            if parent == 0:
                continue
            if parent not in judged:
                return Score(None, reason=f"question {key} depends on question {parent}, which is missing")
            if judged[parent] == 0:
                judged[key] = 0.0
                break  # a missing parent further on goes unnoticed, there as here
    if not judged:
        return Score(None, reason="no question is left")
    no = [key for key, value in judged.items() if value == 0]
    parts = {"answered": {str(k): v for k, v in answered.items()}, "judged": {str(k): v for k, v in judged.items()}}
    return Score(sum(judged.values()) / len(judged), extracted={"no": no}, parts=parts)


def judged_too_early(questions: Sequence[Asked]) -> list[int]:
    """Ids of the questions that depend on one which stands further down."""
    places = {key: place for place, key in enumerate(dict.fromkeys(question.id for question in questions))}
    by_id = {question.id: question for question in questions}
    return [
        key
        for key, question in by_id.items()
        if any(places.get(parent, -1) > places[key] for parent in question.dependency)
    ]


def protocols(ask: Mapping[str, JSON], visual_qa: str) -> dict[str, Protocol]:
    """DPG-Bench mended and as published, over a data source (``ask``) and the visual question answerer of this name."""
    asked = {"images_per_prompt": 4, **ask}
    return {
        protocol.name: protocol
        for protocol in (
            Protocol(
                "fixed",
                ask=asked,
                observe={"visual_qa": visual_qa},
                judge={"first_row": "kept", "categories": "judged answers of all pictures"},
                note="the published rules without the published script's defects",
            ),
            Protocol(
                "official",
                ask=asked,
                observe={"visual_qa": visual_qa},
                judge={"first_row": "dropped", "categories": "plain answers of the last picture"},
                note="the published script to the digit: first row lost, categories from the last picture",
            ),
        )
    }


@dataclass(eq=False)
class DPG:
    """Prompts drawn several times. A sample has ``inputs`` prompt and ``target`` questions, each with id, dependency,
    tuple, question and row. ``categories`` are those to report, broad (attribute) or detailed (attribute - color)."""

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    categories: Sequence[str] = L1
    slices: Mapping[str, Slice] = field(default_factory=dict)
    together: Sequence[str] = ()
    """Protocols that are printed side by side where none is named; all judge the same answers."""
    needs = frozenset[Capability]({"draw"})
    knobs = KNOBS
    layout = DPGLayout()

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        # The script reads a 2 x 2 grid of pictures and cuts it; pictures are kept apart here, which is the same as
        # long as its --resolution is the side of one of them.
        prompt, images = str(sample.inputs["prompt"]), cast(int, ask["images_per_prompt"])
        return [
            Drawing(RequestKey(self.name, sample.id, index), prompt, seeds(sample.id, index)) for index in range(images)
        ]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return {"questions": {str(question.id): question.question for question in asked_of(sample)}}

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        questions = asked_of(sample)
        if judge["first_row"] == "dropped":
            questions = left_by_script(questions)
        score = judge_answers(questions, cast(Mapping[str, str], observations["visual_qa"]["answers"]))
        if judge.get("dependency") == "ignored" and score.value is not None:
            answered = cast(Mapping[str, float], score.parts["answered"])
            return replace(
                score, value=sum(answered.values()) / len(answered), parts={**score.parts, "judged": answered}
            )
        return score

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        last_only = judge["categories"] == "plain answers of the last picture"
        categories = {name: category_metric(name, last_only) for name in self.categories}
        return {"overall": mean_over_prompts, **categories, **sliced(mean_over_prompts, self.slices)}

    def remarks(self, scored: Sequence[Scored], judge: Mapping[str, JSON]) -> Sequence[str]:
        """Questions that are judged before one that they depend on: the table's order decides, there as here."""
        samples = {item.sample.id: item.sample for item in scored}
        early = [f"{name} {key}" for name, sample in samples.items() for key in judged_too_early(asked_of(sample))]
        if not early:
            return []
        some = ", ".join(early[:5]) + (f" and {len(early) - 5} more" if len(early) > 5 else "")
        return [
            f"{len(early)} questions depend on one of a later row, so on its plain answer (prompt, question): {some}"
        ]


def mean_by_prompt(scored: Sequence[Scored]) -> list[Scored]:
    """One score a prompt: the mean of its pictures' shares of yes."""
    return folded(scored, lambda images: Score(sum(cast(float, i.score.value) for i in images) / len(images)))


def mean_over_prompts(scored: Sequence[Scored]) -> Estimate:
    """Mean over questions, then a prompt's pictures, then prompts: a long prompt weighs no more than a short one."""
    return scaled(grouped_mean(mean_by_prompt(scored)), 100, "percent")


def category_metric(name: str, last_only: bool) -> Metric:
    """Mean over all questions of a category, whichever prompt they belong to; pictures that failed are counted."""

    def metric(scored: Sequence[Scored]) -> Estimate:
        return scaled(grouped_mean(list(_answers(scored, name, last_only))), 100, "percent")

    return metric


def _answers(scored: Sequence[Scored], name: str, last_only: bool) -> Iterator[Scored]:
    """One score for each question of a category: as judged on every picture, or as answered on the last one."""
    for images in groups(scored):
        whole = all(item.score.value is not None for item in images)
        # A failing picture costs the script the whole prompt.
        for item in images[-1:] if last_only else images:
            parts = cast(Mapping[str, Mapping[str, float]], item.score.parts)
            usable = whole if last_only else item.score.value is not None
            for question in {question.id: question for question in asked_of(item.sample)}.values():
                if name not in {question.broad, question.detailed}:
                    continue
                if not usable:
                    yield Scored(item.sample, item.index, Score(None, reason=item.score.reason), item.failed)
                elif str(question.id) in parts["judged"]:
                    value = parts["answered" if last_only else "judged"][str(question.id)]
                    yield Scored(item.sample, item.index, Score(value))


def read_table(path: Path) -> dict[str, dict[str, JSON]]:
    """The benchmark's own CSV: {item: {"prompt": text, "questions": [...]}}, rows in order, each with its ``row``.

    Raises UserError for a file that is no such table, a missing column, a row of another length, or a number that is
    none. A dependency may name a question of a later row, or one that is not there: judging says what comes of it.
    """
    items: dict[str, dict[str, JSON]] = {}
    row = -1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            missing = COLUMNS - set(columns)
            if missing:
                raise UserError(
                    f"{path}: no column {', '.join(sorted(missing))}; DPG-Bench's dpg_bench.csv is expected"
                )
            for row, line in enumerate(reader):
                if None in line or None in line.values():
                    raise UserError(
                        f"{path}, row {row + 1}: too many or too few fields; {len(columns)} columns expected"
                    )
                item = items.setdefault(line["item_id"], {"prompt": line["text"], "questions": []})
                cast(list[JSON], item["questions"]).append(_question(line, row, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}, after row {row + 1}: {error}; DPG-Bench's dpg_bench.csv is expected") from error
    return items


def _question(line: Mapping[str, str], row: int, path: Path) -> dict[str, JSON]:
    try:
        # As pandas, with which the script reads the table, takes a column of numbers: 2.0 is 2.
        place = int(line["proposition_id"].strip().removesuffix(".0"))
        parents = [int(part) for part in line["dependency"].split(",")]
    except ValueError:
        raise UserError(
            f"{path}, row {row + 1}: proposition_id {line['proposition_id']!r} and dependency {line['dependency']!r};"
            " whole numbers expected, several parted by commas"
        ) from None
    return {
        "id": place,
        "dependency": parents,
        "category_broad": line["category_broad"],
        "category_detailed": line["category_detailed"],
        "tuple": line["tuple"],
        "question": line["question_natural_language"],
        "row": row,
    }
