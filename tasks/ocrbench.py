"""OCRBench (arXiv 2305.07895): a thousand questions about text in pictures, right where the answer contains the text.

The rules are those of VLMEvalKit at e8e78f0 (``vlmeval/dataset/image_vqa.py``, ``OCRBench``), which are the authors'
own (Yuliang-Liu/MultimodalOCR, ``OCRBench/example.py``), and of lmms-eval at 75571cf (``lmms_eval/tasks/ocrbench``).
The file is VLMEvalKit's.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from janus_eval.datasets import find
from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean, scaled
from janus_eval.tasks import datasets, tsv
from janus_eval.tasks.slices import Slice, Source, in_category, sliced
from janus_eval.types import (
    JSON,
    Capability,
    Estimate,
    Protocol,
    Question,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
    Scored,
)

FORMULAS = "Handwritten Mathematical Expression Recognition"
RECOGNITION = (
    *("Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition"),
    *("Handwriting Recognition", "Digit String Recognition", "Non-Semantic Text Recognition"),
)
CATEGORIES = (*RECOGNITION, "Scene Text-centric VQA", "Doc-oriented VQA", "Key Information Extraction", FORMULAS)
NEEDED = ("index", "image", "question", "answer", "category")

# Full-width forms of ASCII (ideographic space too) -> ASCII; nothing else of what NFKC would change.
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def plain(text: str) -> str:
    """How both tools compare: in lower case, a space for a line break, none at either end."""
    return text.lower().strip().replace("\n", " ")


def half_width(text: str) -> str:
    """The same after full-width forms have become ASCII, as lmms-eval compares."""
    return plain(text.translate(_HALF_WIDTH))


def formula(text: str) -> str:
    """How both tools compare formulas: without spaces and line breaks, letter case kept."""
    return text.strip().replace("\n", " ").replace(" ", "")


RULES: Mapping[str, Callable[[str], str]] = {"vlmevalkit": plain, "lmms-eval": half_width}
PROMPTS: Mapping[str, Callable[[str], str]] = {"vlmevalkit": lambda question: question, "lmms-eval": str.strip}


def judged(answer: str, wanted: Sequence[str], category: str, rule: str) -> Score:
    """100 if the answer contains one of the texts, else 0. An empty text is contained in every answer."""
    prepare = formula if category == FORMULAS else RULES[rule]
    got = prepare(answer)
    right = any(prepare(text) in got for text in wanted)
    reason = "" if right else f"none of {list(wanted)} in {got[:80]!r}"
    return Score(100.0 * right, extracted=got, reason=reason)


def final_score(scored: Sequence[Scored]) -> Estimate:
    """The official figure, questions right out of a thousand; with ``--limit``, out of as many as were asked."""
    return scaled(grouped_mean(scored, "percent"), 10.0, "points")


def _share(scored: Sequence[Scored]) -> Estimate:
    return grouped_mean(scored, "percent")


def read(path: Path) -> list[Sample]:
    """All rows in the file's order. A row that can't be scored has ``metadata["fault"]``, a reason.

    Raises UserError for what is no such file at all.
    """
    table = tsv.read(path, NEEDED, "OCRBench")
    return [_sample(row, table) for row in table.rows]


def _sample(row: tsv.Row, table: tsv.Table) -> Sample:
    cells = row.cells
    picture, answers = table.picture(row), _texts(cells.get("answer", ""))
    again = table.before(row)
    category = cells.get("category", "missing")
    index = cells.get("index", "")
    if row.number is None:
        fault = f"its index is {index[:20]!r}, no number"
    elif again:
        fault = f"index {index} stood in line {again.line} already"
    elif category not in CATEGORIES:
        fault = f"its category is {category[:40]!r}, none of OCRBench's"
    elif "question" not in cells:
        fault = "it has no question"
    elif not answers:
        fault = f"its answer is {cells.get('answer', '')[:40]!r}, no list of texts"
    else:
        fault = picture if isinstance(picture, str) else ""
    fault = row.fault or fault
    name = index if row.number is not None and not again else f"line-{row.line}"
    return Sample(
        name,
        inputs={"question": cells.get("question", "")},
        target={"answers": answers},
        group=name,
        category=category,
        images=() if isinstance(picture, str) else (picture,),
        metadata={"fault": f"line {row.line}: {fault}"} if fault else {},
    )


def _texts(cell: str) -> list[str]:
    """The file has a Python list of texts; one text stands for itself. Empty where it is neither."""
    try:
        found = ast.literal_eval(cell)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return []
    texts = [found] if isinstance(found, str) else found
    return texts if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else []


@dataclass(eq=False)
class OCRBench:
    """A sample has ``inputs`` question, ``target`` answers, and its ``category`` is one of the ten."""

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    needs = frozenset[Capability]({"answer"})

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        text = PROMPTS[str(ask["prompt"])](str(sample.inputs["question"]))
        most = cast(int, ask["max_new_tokens"])
        return [Question(RequestKey(self.name, sample.id), text, sample.images, most, seeds(sample.id, 0))]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return None

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        if fault := sample.metadata.get("fault"):
            return Score(None, reason=str(fault))
        assert response.text is not None, "a question was answered with a picture"
        wanted = cast(Sequence[str], sample.target["answers"])
        return judged(response.text, wanted, sample.category, str(judge["rule"]))

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return {"overall": _share, "final_score": final_score, **sliced(_share, _slices())}


def _slices() -> dict[str, Slice]:
    """The official five parts, the six kinds of recognition below theirs."""
    kinds = {name: in_category(name) for name in CATEGORIES}
    return {"Text Recognition": lambda sample: sample.category in RECOGNITION, **kinds}


def _protocols() -> dict[str, Protocol]:
    ask: dict[str, JSON] = {"file": "OCRBench.tsv", "prompt": "vlmevalkit", "max_new_tokens": 2048}
    short: dict[str, JSON] = {**ask, "prompt": "lmms-eval", "max_new_tokens": 128}
    found = (
        Protocol("official", ask=ask, judge={"rule": "vlmevalkit"}, note="as its authors and VLMEvalKit score it"),
        Protocol("official-lmms-eval", ask=ask, judge={"rule": "lmms-eval"}, note="the same by lmms-eval's rule"),
        Protocol("lmms-eval", ask=short, judge={"rule": "lmms-eval"}, note="lmms-eval: its rule, at most 128 tokens"),
    )
    return {protocol.name: protocol for protocol in found}


def _rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return read(find(datasets.ocrbench, str(ask["file"])))


ocrbench = OCRBench("ocrbench", "OCRBench: a thousand questions about text in pictures", _rows, _protocols())
