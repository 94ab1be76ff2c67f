"""Whole runs of the toys, in this process."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import janus_eval
from janus_eval import store
from janus_eval.errors import UserError
from janus_eval.types import Failure, Question, Response

TASKS = ["toy-ask/plain", "toy-ask/shouted", "toy-draw/two-eyes"]


def lines(run: janus_eval.Run, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / name).read_text().splitlines()]


def results(run: janus_eval.Run) -> bytes:
    return (run.folder / "results.json").read_bytes()


def overall(run: janus_eval.Run, task: str, protocol: str) -> dict[str, Any]:
    metrics: dict[str, Any] = run.results["tasks"][task][protocol]["metrics"]
    return dict(metrics["overall"])


def test_batch_size_and_order_of_samples_change_nothing(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = results(janus_eval.evaluate("toy", TASKS, out=tmp_path / "16"))
    assert results(janus_eval.evaluate("toy", TASKS, out=tmp_path / "1", batch_size=1)) == base
    in_order = toys.ToyAsk.samples
    monkeypatch.setattr(toys.ToyAsk, "samples", lambda self, ask: in_order(self, ask)[::-1])
    assert results(janus_eval.evaluate("toy", TASKS, out=tmp_path / "reversed")) == base


def test_memory_and_broken_neighbours_change_nothing_else(toys: ModuleType, tmp_path: Path) -> None:
    small = janus_eval.evaluate("toy?memory=3", TASKS, out=tmp_path)
    broken = janus_eval.evaluate("toy?broken=picture 3 ", TASKS, out=tmp_path)
    whole = janus_eval.evaluate("toy", TASKS, out=tmp_path)
    assert overall(small, "toy-ask", "plain") == overall(whole, "toy-ask", "plain")
    assert overall(broken, "toy-ask", "plain") | {"failed": 4, "n": 44} == overall(broken, "toy-ask", "plain")
    texts = {(row["sample"], row["id"]): row.get("text") for row in lines(whole, "responses.jsonl")}
    for row in lines(broken, "responses.jsonl"):
        if "failure" in row:
            assert row["failure"].startswith("KeyError: 'cannot do picture 3 turned")
        else:
            assert row.get("text") == texts[row["sample"], row["id"]]


def test_a_failure_is_named_wherever_it_counts(toys: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate("toy?broken=picture 3 turned 1?", TASKS, out=tmp_path)
    result = run.results["tasks"]["toy-ask"]["plain"]
    assert (result["failed"], result["unscored"]) == (1, 0)
    assert result["troubles"] == {"request failed: KeyError: 'cannot do picture 3 turned 1?'": 1}
    assert result["metrics"]["overall"]["failed"] == 1 and result["metrics"]["overall"]["n"] == 47
    [row] = [row for row in lines(run, "scores.jsonl") if row["failed"]]
    assert row["value"] is None and row["sample"] == "3.1" and row["protocol"] == "plain"
    assert "1 failed" in run.table()


def test_an_instruments_failure_leaves_the_response_unscored(toys: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate("toy", ["toy-draw/two-eyes"], out=tmp_path)
    result = run.results["tasks"]["toy-draw"]["two-eyes"]
    black = sum(row["data"]["colour"] is None for row in lines(run, "observations.jsonl") if row["role"] == "detector")
    assert black > 0 and result["unscored"] == black and result["failed"] == 0
    assert result["troubles"] == {"colour_classifier failed: too dark": black}


def test_same_call_again_asks_nothing(toys: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate("toy", TASKS, out=tmp_path)
    before, asked = results(run), len(lines(run, "responses.jsonl"))
    looks = toys.Eye.looks
    again = janus_eval.evaluate("toy", TASKS, out=tmp_path)
    assert results(again) == before and len(lines(again, "responses.jsonl")) == asked and toys.Eye.looks == looks


def test_equal_asking_and_equal_looks_are_shared(toys: ModuleType, tmp_path: Path) -> None:
    both = janus_eval.evaluate(
        "toy", ["toy-ask/plain", "toy-ask/contrary", "toy-draw/one-eye", "toy-draw/two-eyes"], out=tmp_path
    )
    assert len(lines(both, "responses.jsonl")) == 48 + 12
    detections = [row for row in lines(both, "observations.jsonl") if row["role"] == "detector"]
    assert len(detections) == 12
    plain, contrary = (overall(both, "toy-ask", name)["value"] for name in ("plain", "contrary"))
    assert plain + contrary == pytest.approx(1)


def test_a_run_can_be_extended_in_any_order(toys: ModuleType, tmp_path: Path) -> None:
    janus_eval.evaluate("toy", TASKS[2:], out=tmp_path / "a")
    extended = janus_eval.evaluate("toy", TASKS[:2], out=tmp_path / "a")
    at_once = janus_eval.evaluate("toy", TASKS, out=tmp_path / "b")
    assert extended.results["tasks"] == at_once.results["tasks"]
    header = json.loads((extended.folder / "run.json").read_text())
    assert list(header["tasks"]) == ["toy-draw"], "run.json is never changed"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"seed": 1}, "seed"),
        ({"limit": 2}, "limit"),
    ],
)
def test_other_ground_is_refused(toys: ModuleType, tmp_path: Path, change: dict[str, Any], part: str) -> None:
    run = janus_eval.evaluate("toy", TASKS, out=tmp_path)
    before = results(run)
    with pytest.raises(UserError, match=f"was run with other {part}"):
        janus_eval.evaluate("toy", TASKS, out=tmp_path, **change)
    assert results(run) == before


def test_other_weights_data_words_instruments_or_judging_are_refused(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    janus_eval.evaluate("toy", TASKS, out=tmp_path)

    def refused(part: str) -> None:
        with pytest.raises(UserError, match=rf"{part}.*choose another --out"):
            janus_eval.evaluate("toy", TASKS, out=tmp_path)
        monkeypatch.undo()

    monkeypatch.setattr(
        toys.ToyFamily, "load", lambda self, checkpoint, settings, device, dtype: toys.Toy(settings, "toy-2")
    )
    refused("weights")
    samples = toys.ToyAsk.samples
    monkeypatch.setattr(toys.ToyAsk, "samples", lambda self, ask: samples(self, ask)[:-1])
    refused("toy-ask/plain: data, ask differ")
    monkeypatch.setattr(toys.SecondEye, "version", "2")
    refused("toy-draw/two-eyes: observe differ")
    changed = toys.Protocol("plain", ask={"template": "{}?"}, judge={"right": "no"})
    monkeypatch.setattr(toys.ToyAsk, "protocols", {**toys.ToyAsk.protocols, "plain": changed})
    refused("toy-ask/plain: judge differ")
    janus_eval.evaluate("toy", TASKS, out=tmp_path)


def test_retry_failed_asks_only_what_failed(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = toys.Toy.answer

    def moody(self: Any, questions: Any) -> list[Response | Failure]:
        return [
            Failure("not now") if "turned 2?" in q.text else r
            for q, r in zip(questions, answer(self, questions), strict=True)
        ]

    monkeypatch.setattr(toys.Toy, "answer", moody)
    run = janus_eval.evaluate("toy", TASKS[:1], out=tmp_path)
    assert overall(run, "toy-ask", "plain")["failed"] == 12
    monkeypatch.undo()
    assert overall(janus_eval.evaluate("toy", TASKS[:1], out=tmp_path), "toy-ask", "plain")["failed"] == 12
    mended = janus_eval.evaluate("toy", TASKS[:1], out=tmp_path, retry_failed=True)
    assert overall(mended, "toy-ask", "plain")["failed"] == 0
    assert len(lines(mended, "responses.jsonl")) == 48 + 12
    assert results(mended) == results(janus_eval.evaluate("toy", TASKS[:1], out=tmp_path / "fresh"))


def test_limit(toys: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate("toy", TASKS, out=tmp_path, limit=2)
    assert run.results["limit"] == 2
    assert overall(run, "toy-ask", "plain")["n"] == 2 * 2 * 4


def test_pictures_of_two_askings_keep_apart(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two protocols that draw different prompts under one key must not write over each other's pictures."""
    requests = toys.ToyDraw.requests

    def other_prompts(self: Any, sample: Any, ask: Any, seeds: Any) -> Any:
        return [
            request if ask["images"] == 3 else toys.Drawing(request.key, "black", request.seed)
            for request in requests(self, sample, ask, seeds)
        ]

    monkeypatch.setattr(toys.ToyDraw, "requests", other_prompts)
    dark = toys.Protocol("dark", ask={"images": 2}, observe={"detector": "eye"})
    monkeypatch.setattr(toys.ToyDraw, "protocols", {**toys.ToyDraw.protocols, "dark": dark})
    both = janus_eval.evaluate("toy", ["toy-draw/one-eye", "toy-draw/dark"], out=tmp_path)
    alone = janus_eval.evaluate("toy", ["toy-draw/one-eye"], out=tmp_path / "alone")
    assert overall(both, "toy-draw", "dark")["value"] == 0
    assert overall(both, "toy-draw", "one-eye") == overall(alone, "toy-draw", "one-eye")
    places = [row["image"] for row in lines(both, "responses.jsonl")]
    assert len(set(places)) == len(places) == 12 + 8
    assert all(Path(place).parts[0] == "images" and ".." not in place for place in places)


def test_a_lost_picture_is_drawn_again(toys: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate("toy", TASKS[2:], out=tmp_path)
    before = results(run)
    place = run.folder / lines(run, "responses.jsonl")[0]["image"]
    picture = place.read_bytes()
    place.unlink()
    janus_eval.evaluate("toy", TASKS[2:], out=tmp_path)
    assert place.read_bytes() == picture and results(run) == before


def test_a_picture_that_is_none_is_a_failure(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        toys.Toy, "draw", lambda self, drawings: [Response(image=toys.Picture(b"GIF?"))] * len(drawings)
    )
    run = janus_eval.evaluate("toy", TASKS[2:], out=tmp_path)
    assert overall(run, "toy-draw", "two-eyes") | {"value": None, "n": 0, "failed": 12} == overall(
        run, "toy-draw", "two-eyes"
    )


@pytest.mark.parametrize("outcome", [None, "yes", Response(), Response(image=None, text=None)])
def test_a_response_without_text_breaks_the_seam(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Any
) -> None:
    monkeypatch.setattr(toys.Toy, "answer", lambda self, questions: [outcome] * len(questions))
    with pytest.raises(UserError, match="without text"):
        janus_eval.evaluate("toy", TASKS[:1], out=tmp_path)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response(text=b"A"), "gave bytes as text; str expected"),  # type: ignore[arg-type]
        (Response(text="A", input_tokens=math.nan), "float as input_tokens; int expected"),  # type: ignore[arg-type]
        (Response(text="A", details={"seen": object()}), "details that JSON cannot hold"),  # type: ignore[dict-item]
    ],
)
def test_a_response_that_no_record_can_hold_breaks_the_seam(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, response: Response, said: str
) -> None:
    monkeypatch.setattr(toys.Toy, "answer", lambda self, questions: [response for _ in questions])
    with pytest.raises(UserError, match=said):
        janus_eval.evaluate("toy", ["toy-ask"], out=tmp_path)


def test_a_model_that_would_end_the_program_loses_its_request(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own exit code, which might say that all went well."""

    def leave(self: Any, questions: Any) -> Any:
        raise SystemExit(0)

    monkeypatch.setattr(toys.Toy, "answer", leave)
    run = janus_eval.evaluate("toy", ["toy-ask"], out=tmp_path)
    [protocol] = run.results["tasks"]["toy-ask"].values()
    assert all(reason.startswith("request failed: SystemExit") for reason in protocol["troubles"])
    assert protocol["metrics"]["overall"]["value"] is None


def test_responses_that_say_whose_they_are_come_in_order(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(questions: Sequence[Question], order: int = 1) -> list[Response]:
        return [Response(text=question.text, key=question.key) for question in questions][::order]

    monkeypatch.setattr(toys.Toy, "answer", lambda self, questions: answer(questions))
    assert overall(janus_eval.evaluate("toy", TASKS[:1], out=tmp_path / "a"), "toy-ask", "plain")["failed"] == 0
    monkeypatch.setattr(toys.Toy, "answer", lambda self, questions: answer(questions, -1))
    with pytest.raises(UserError, match=r"request toy-ask/\S+: the model gave the response to toy-ask/\S+; responses"):
        janus_eval.evaluate("toy", TASKS[:1], out=tmp_path / "b")


@pytest.mark.parametrize("count", [-1, 1])
def test_too_few_and_too_many_responses(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(toys.Toy, "answer", lambda self, questions: [Response(text="yes")] * (len(questions) + count))
    with pytest.raises(UserError, match=r"model 'toy' gave 1[57] responses to a batch of 16; one each expected"):
        janus_eval.evaluate("toy", TASKS[:1], out=tmp_path)


def test_a_picture_of_another_size_than_was_asked_is_a_failure(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = toys.ToyDraw.requests
    sizes = iter([(8, 8), (8, 16), None] * 4)
    monkeypatch.setattr(
        toys.ToyDraw,
        "requests",
        lambda *arguments: [replace(drawing, size=next(sizes)) for drawing in plain(*arguments)],
    )
    run = janus_eval.evaluate("toy", TASKS[2:], out=tmp_path)
    assert {line.get("failure") for line in lines(run, "responses.jsonl")} == {
        None, "the model drew 8 x 8 pixels where 16 x 8 were asked for",
    }  # fmt: skip


def test_model_objects(toys: ModuleType, tmp_path: Path) -> None:
    model = toys.Toy(toys.ToySettings())
    run = janus_eval.evaluate(model, TASKS, out=tmp_path)
    assert run.folder == tmp_path / "toy"
    assert run.results["tasks"] == janus_eval.evaluate("toy", TASKS, out=tmp_path / "by-name").results["tasks"]
    with pytest.raises(UserError, match="has no attribute `weights`"):
        janus_eval.evaluate(object(), TASKS, out=tmp_path)  # type: ignore[arg-type]


def test_what_a_model_cannot_do_is_left_out(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="model 'mute' can do none of these tasks"):
        janus_eval.evaluate("mute", TASKS, out=tmp_path)
    monkeypatch.setattr(toys.MuteFamily, "capabilities", frozenset({"draw"}))
    run = janus_eval.evaluate("mute", TASKS, out=tmp_path)
    assert list(run.results["tasks"]) == ["toy-draw"]
    assert json.loads((run.folder / "run.json").read_text())["skipped"] == {"toy-ask": ["answer"]}


def test_missing_extra_of_an_instrument(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    janus_eval.evaluate("toy", ["toy-draw/needy"], out=tmp_path / "there")
    monkeypatch.delattr(toys, "Eye")
    with pytest.raises(UserError, match="instruments 'needs-extra' cannot be imported"):
        janus_eval.evaluate("toy", ["toy-draw/needy"], out=tmp_path / "missing")
    assert not (tmp_path / "missing").exists(), "found out before anything was drawn"


def test_run_folders_that_are_none(toys: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate("toy", TASKS, out=tmp_path)
    header = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(header | {"schema": 2}))
    with pytest.raises(UserError, match="has schema 2, this version writes 1"):
        janus_eval.evaluate("toy", TASKS, out=tmp_path)
    (run.folder / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json is damaged .*: restore it or choose another --out"):
        janus_eval.evaluate("toy", TASKS, out=tmp_path)
    (run.folder / "run.json").unlink()
    with pytest.raises(UserError, match=r"but no run\.json"):
        janus_eval.evaluate("toy", TASKS, out=tmp_path)
    shutil.rmtree(run.folder)
    run.folder.write_text("")
    with pytest.raises(UserError, match="is a file"):
        janus_eval.evaluate("toy", TASKS, out=tmp_path)
    with pytest.raises(UserError, match="is not a run folder"), store.opened(tmp_path / "nowhere"):
        pass


def test_samples_come_back_as_they_were(toys: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate("toy", TASKS, out=tmp_path)
    asking = json.loads((run.folder / "run.json").read_text())["tasks"]["toy-ask"]["plain"]["asking"]
    with store.opened(run.folder) as folder:
        samples = folder.read_samples("toy-ask", asking)
        assert not folder.read_samples("toy-ask", "other")
    fresh = toys.ToyAsk().samples({"template": "{}?"})
    assert [sample.id for sample in samples] == [sample.id for sample in fresh]
    assert [sample.images for sample in samples] == [sample.images for sample in fresh]
    assert samples[0].inputs["pair"] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch size 0"),
        ({"limit": 0}, "limit 0"),
        ({"suite": "toys"}, "not both"),
        ({"tasks": ["x"]}, "unknown task"),
    ],
)
def test_bad_arguments(toys: ModuleType, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        janus_eval.evaluate("toy", **({"tasks": TASKS} | arguments), out=tmp_path)
    with pytest.raises(UserError, match="no option 'skil'"):
        janus_eval.evaluate("toy", TASKS, settings={"skil": 1}, out=tmp_path)
