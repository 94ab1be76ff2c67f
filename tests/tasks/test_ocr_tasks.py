"""Reading and writing of rendered text: through the runner with toy models, and a drawing read by the real reader."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import janus_eval
from janus_eval.specs import offered
from janus_eval.tasks.ocr_tasks import READER, ocr_read, ocr_write
from janus_eval.tasks.textimages.render import render
from janus_eval.tasks.textimages.samples import SIZES
from janus_eval.types import Drawing, Failure, Look, Observation, Question, Response


class Reader:
    """Knows what the pictures say, reads nothing below 16 px, and answers Latin letters in a sentence of capitals."""

    weights = "reader"

    def __init__(self) -> None:
        rows = ocr_read.samples(ocr_read.protocols["exact"].ask)
        self.known = {row.images[0].digest: row for row in rows}

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [Response(text=self._say(asked)) for asked in questions]

    def _say(self, asked: Question) -> str:
        assert asked.text == "What text is written in the image? Answer with the text only."
        row = self.known[asked.images[0].digest]
        text, small = str(row.target["text"]), row.metadata["size"] in (8, 10, 12)
        if small:
            return "I see nothing."
        return f"It says {text.upper()}." if row.metadata["script"] == "latin" else f"{text[:2]} {text[2:]}"


def test_reading_by_size_and_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    protocols = [f"ocr-read/{name}" for name in ("exact", "any-case", "contained")]
    run = janus_eval.evaluate(Reader(), protocols, out="runs", limit=1)
    found = {
        name: {metric: estimate["value"] for metric, estimate in result["metrics"].items()}
        for name, result in run.results["tasks"]["ocr-read"].items()
    }
    for name, latin in (("exact", 0.0), ("any-case", 0.0), ("contained", 1.0)):
        for size in SIZES:
            legible = size >= 16
            assert found[name][f"chinese_size_{size}"] == float(legible)
            assert found[name][f"latin_size_{size}"] == latin * legible
            assert found[name][f"size_{size}"] == (1 + latin) / 2 * legible
            assert (found[name][f"cer_chinese_size_{size}"] == 0) == legible
    assert found["contained"]["angle_180"] == found["contained"]["serif"] == found["contained"]["light_on_dark"] == 1.0
    assert found["exact"]["words_8"] == found["exact"]["contrast_10"] == 0.5
    assert 0 < found["contained"]["cer"] < found["any-case"]["cer"] < found["exact"]["cer"]


def drawing(prompt: str, request: Drawing) -> Response:
    found = re.search('["“](.*)["”]', prompt)
    assert found is not None
    return Response(image=render(found[1], size=40, rng=random.Random(request.seed)))


@pytest.mark.parametrize("name", ["latin-4-sign-00", "chinese-2-cake-01"])
def test_what_is_drawn_to_order_is_read_back(name: str) -> None:
    protocol = ocr_write.protocols["exact"]
    assert protocol.observe == {"text_reader": "rapidocr"} and protocol.judge["min_score"] == 0.5
    (sample,) = (row for row in ocr_write.samples(protocol.ask) if row.id == name)
    requests = ocr_write.requests(sample, protocol.ask, lambda sample, index: index)
    assert len(requests) == 4 and isinstance(requests[0], Drawing)
    response = drawing(str(sample.inputs["prompt"]), requests[0])
    (seen,) = offered("instruments", READER).observe([Look({}, image=response.image)])
    assert isinstance(seen, Observation)
    score = functools.partial(ocr_write.score, sample, 0, response, {"text_reader": seen.data})
    assert score(protocol.judge).value == 1.0
    assert score({**protocol.judge, "min_score": 1.01}).value == 0.0


def test_every_slice_has_samples() -> None:
    for task in (ocr_read, ocr_write):
        rows = task.samples(task.protocols["exact"].ask)
        for name, chosen in {**task.slices, **task.rates}.items():
            assert any(chosen(row) for row in rows), name
    assert len(ocr_read.samples(ocr_read.protocols["exact"].ask)) == 320
    assert len(ocr_write.samples(ocr_write.protocols["exact"].ask)) == 108
