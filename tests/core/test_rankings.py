"""Requests for likelihoods and reconstructions, from the model to the run folder and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from janus_eval import plan
from janus_eval.errors import UserError
from janus_eval.evaluation import checked_options, subject_of
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.plan import Choice
from janus_eval.progress import Silent
from janus_eval.runner import rescore, run
from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import proportion
from janus_eval.types import (
    JSON,
    Capability,
    Failure,
    Protocol,
    Question,
    Ranking,
    Reconstruction,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
)

RED, BLUE = (Picture.from_pil(Image.new("RGB", (8, 8), colour)) for colour in ("red", "blue"))


class Choosing:
    """Which of two words is likelier; and is a picture the same after the model's image tokenizer."""

    name = "choosing"
    title = "Choosing"
    needs = frozenset[Capability]({"score"})
    protocols: Mapping[str, Protocol] = {
        "words": Protocol("words", ask={"way": "words"}, judge={"right": 1}),
        "first": Protocol("first", ask={"way": "words"}, judge={"right": 0}),
        "pictures": Protocol("pictures", ask={"way": "pictures"}),
    }

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return [Sample(name, {}, {}, name, "all", (picture,)) for name, picture in (("red", RED), ("blue", BLUE))]

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        key = RequestKey(self.name, sample.id)
        if ask["way"] == "pictures":
            return [Reconstruction(key, sample.images[0])]
        return [Ranking(key, "Which?", ("one", "three"), sample.images)]

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
        if response.image is not None:
            return Score(float(response.image.data == sample.images[0].data))
        assert response.likelihoods is not None
        likeliest = max(range(2), key=response.likelihoods.__getitem__)
        return Score(float(likeliest == judge["right"]), parts={"likelihoods": list(response.likelihoods)})

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return {"overall": proportion}


class Chooser:
    """Likes long words; what its ``gives`` says comes back from ``score`` in place of that."""

    name, weights = "chooser", "chooser"
    gives: Any = None

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [Response(text="")] * len(questions)

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        assert all(question.images and question.text == "Which?" for question in questions)
        return [self.gives or [len(word) - 9.5 for word in row] for row in continuations]

    def reconstruct(self, images: Sequence[Picture]) -> list[Picture | Failure]:
        return [image if image.data == RED.data else Failure("too blue") for image in images]


def made(out: Path, model: Any, *protocols: str) -> dict[str, Any]:
    task = Choosing()
    entries = plan.entries([Choice(task, task.protocols[name]) for name in protocols], seed=0, limit=None)
    options = checked_options(seed=0, limit=None, batch_size=4, retry_failed=False)
    run(
        subject_of(model, device="cpu", dtype="float32"),
        entries,
        out,
        options,
        instruments=Instruments(),
        display=Silent(),
    )
    results: dict[str, Any] = json.loads((out / "results.json").read_text())["tasks"]["choosing"]
    return results


def test_likelihoods_and_pictures_come_back_as_they_were_given(tmp_path: Path) -> None:
    results = made(tmp_path, Chooser(), "words", "pictures")
    assert results["words"]["metrics"]["overall"]["value"] == 1
    overall = results["pictures"]["metrics"]["overall"]
    assert (overall["value"], overall["n"], overall["failed"]) == (1, 1, 1)
    assert results["pictures"]["troubles"] == {"request failed: too blue": 1}
    lines = [json.loads(line) for line in (tmp_path / "responses.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["ranking"] * 2 + ["reconstruction"] * 2
    assert lines[0]["likelihoods"] == [-6.5, -4.5] and lines[0]["continuations"] == ["one", "three"]
    assert (tmp_path / lines[2]["image"]).read_bytes() == RED.data


def test_a_run_goes_on_and_is_judged_again_without_its_model(tmp_path: Path) -> None:
    made(tmp_path, Chooser(), "words")
    before = (tmp_path / "responses.jsonl").read_bytes()
    silent = Chooser()
    silent.gives = Failure("asked again")
    made(tmp_path, silent, "words")
    assert (tmp_path / "responses.jsonl").read_bytes() == before
    task = Choosing()
    options = checked_options(seed=0, limit=None, batch_size=4, retry_failed=False)
    chosen = [Choice(task, task.protocols["first"])]
    rescore(tmp_path, chosen, instruments=Instruments(), options=options, display=Silent())
    results = json.loads((tmp_path / "results.json").read_text())["tasks"]["choosing"]
    assert results["first"]["metrics"]["overall"]["value"] == 0


@pytest.mark.parametrize("gives", [[1.0], [1.0, 2.0, 3.0]])
def test_one_likelihood_a_continuation(tmp_path: Path, gives: list[float]) -> None:
    model = Chooser()
    model.gives = gives
    with pytest.raises(UserError, match=f"the model gave {len(gives)} likelihoods for 2 continuations"):
        made(tmp_path, model, "words")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_likelihood_that_is_no_number_is_a_failure(tmp_path: Path, bad: float) -> None:
    model = Chooser()
    model.gives = [bad, -1.0]
    results = made(tmp_path, model, "words")
    assert results["words"]["failed"] == 2
    assert "are no finite numbers" in next(iter(results["words"]["troubles"]))


class Rebuilder:
    """Reconstructs and nothing else."""

    name, weights = "rebuilder", "rebuilder"
    reconstruct = Chooser.reconstruct


def test_what_a_protocol_asks_decides_what_a_model_must_be_able_to_do(tmp_path: Path) -> None:
    assert list(made(tmp_path, Rebuilder(), "words", "pictures")) == ["pictures"]
    header = json.loads((tmp_path / "run.json").read_text())
    assert header["skipped"] == {"choosing/words": ["score"]}
    with pytest.raises(UserError, match="can do none of these tasks"):
        made(tmp_path / "none", Rebuilder(), "words")


def test_identity_is_by_content() -> None:
    key, other = RequestKey("t", "a"), RequestKey("t", "b")
    ranking = Ranking(key, "Which?", ("one", "two"), (RED,))
    assert ranking.id == Ranking(other, "Which?", ("one", "two"), (RED,)).id
    differing = [
        Ranking(key, "What?", ("one", "two"), (RED,)),
        Ranking(key, "Which?", ("two", "one"), (RED,)),
        Ranking(key, "Which?", ("one", "two"), (BLUE,)),
        Question(key, "Which?", (RED,)),
        Reconstruction(key, RED),
        Reconstruction(key, BLUE),
    ]
    assert len({request.id for request in [ranking, *differing]}) == 7
