"""Image-text-to-text models of transformers: answers and likelihoods alone and in batches, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import janus_eval
from janus_eval import plan
from janus_eval.errors import UserError
from janus_eval.evaluation import checked_options, run_contender
from janus_eval.judges import ModelVQA
from janus_eval.models.adapters.hf_adapter import HFModel
from janus_eval.models.adapters.hf_family import hf
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.progress import Silent
from janus_eval.specs import contenders
from janus_eval.types import Failure, Look, Observation, Question, RequestKey, Response

KINDS = ("llava", "qwen", "janus")


@pytest.fixture(scope="module")
def folders(tiny_chats: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint of each kind. Copy before changing anything."""
    return {kind: tiny_chats.MAKERS[kind](tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["llava"], tmp_path / "copy"))


def loaded(folder: Path, **settings: Any) -> HFModel:
    return hf.load(str(folder), hf.Settings(**settings))


def picture(height: int, width: int) -> Picture:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture.from_pil(Image.fromarray(pixels))


PICTURES = [picture(32, 32), picture(40, 60), picture(20, 31)]


def question(text: str, images: Sequence[Picture] = (), tokens: int = 12, seed: int = 0) -> Question:
    return Question(RequestKey("t", text), text, tuple(images), tokens, seed)


QUESTIONS = [
    question("What is it?", PICTURES[:1]),
    question("And what is that long thing over there, please?", PICTURES[1:2], 5),
    question("Hm", seed=3),
    question("Both?", PICTURES[:2], seed=4),
    question("Why?", PICTURES[2:], seed=5),
]


def texts(outcomes: Sequence[Response | Failure]) -> list[str]:
    assert all(isinstance(outcome, Response) for outcome in outcomes), outcomes
    return [str(outcome.text) for outcome in outcomes if isinstance(outcome, Response)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_in_a_batch_is_the_answer_alone(folders: dict[str, Path], kind: str, temperature: float) -> None:
    model = loaded(folders[kind], answer_temperature=temperature)
    together = model.answer(QUESTIONS)
    alone = [model.answer([one])[0] for one in QUESTIONS]
    assert texts(together) == texts(alone)
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Response) and isinstance(other, Response)
        counted = (one.input_tokens, one.output_tokens, one.finish)
        assert counted == (other.input_tokens, other.output_tokens, other.finish)
    assert len(set(texts(together))) == len(QUESTIONS), "each image and question shows"
    assert isinstance(together[1], Response) and together[1].output_tokens <= 5


def test_an_answer_is_what_transformers_generates(folders: dict[str, Path]) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folders["llava"], dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(folders["llava"])
    chat = "USER: <image>\nWhat is it? ASSISTANT:"
    inputs = processor(images=PICTURES[0].load(), text=chat, return_tensors="pt")
    new = model.generate(**inputs, max_new_tokens=12, do_sample=False, repetition_penalty=1.0, temperature=None)
    wanted = processor.decode(new[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    (found,) = loaded(folders["llava"]).answer(QUESTIONS[:1])
    assert isinstance(found, Response) and found.text == wanted
    assert found.input_tokens == inputs["input_ids"].shape[1]


def test_another_seed_is_another_sample(folders: dict[str, Path]) -> None:
    model = loaded(folders["qwen"], answer_temperature=2.0)
    asked = [question("Why?", PICTURES[:1], seed=seed) for seed in range(4)]
    assert len(set(texts(model.answer(asked)))) == 4
    greedy = loaded(folders["qwen"])
    assert len(set(texts(greedy.answer(asked)))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_likelihoods_are_those_of_the_rows_alone(folders: dict[str, Path], kind: str) -> None:
    model = loaded(folders[kind])
    answers = [["yes", "no", "x"], [*"ABCDEFGHIJ"], ["no"], [], ["yesterday", "y"]]
    found = model.score(QUESTIONS, answers)
    for asked, row, continuations in zip(QUESTIONS, found, answers, strict=True):
        assert not isinstance(row, Failure)
        prompt = model.chat(asked.text, len(asked.images))
        for value, text in zip(row, continuations, strict=True):
            # What the template puts before an answer: LLaVA's and Janus's a space, which " yes" is one token with.
            whole = prompt + ("" if kind == "qwen" else " ") + text
            images = [image.load() for image in asked.images]
            both = [model.encode([(chat, images)], "left") for chat in (prompt, whole)]
            ids = both[1]["input_ids"][0]
            start = both[0]["input_ids"].shape[1]
            with torch.inference_mode():
                logits = model.model(**both[1]).logits[0].double().log_softmax(-1)
            wanted = sum(float(logits[place - 1, ids[place]]) for place in range(start, len(ids)))
            assert value == pytest.approx(wanted, abs=1e-3), (text, kind)


def test_the_greedy_answer_is_the_likeliest(folders: dict[str, Path], tiny_chats: ModuleType) -> None:
    model = loaded(folders["qwen"])  # whose template puts nothing before an answer
    first = texts(model.answer([question("Why?", PICTURES[:1], tokens=1)]))[0]
    letters = [letter for letter in tiny_chats.CHARACTERS if letter.strip()]
    (row,) = model.score([question("Why?", PICTURES[:1])], [letters])
    assert not isinstance(row, Failure) and letters[int(np.argmax(row))] == first


def test_a_token_that_merges_with_the_prompts_end_counts_from_there() -> None:
    from janus_eval.models.adapters.hf_adapter import shared

    prompt = torch.tensor([5, 6, 7])
    assert shared(torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]]), prompt) == 3
    assert shared(torch.tensor([[5, 6, 7, 8], [5, 6, 9, 1]]), prompt) == 2


def test_system_prompt_stops_and_limits(folders: dict[str, Path]) -> None:
    plain, asked = loaded(folders["qwen"]), question("Why?", PICTURES[:1])
    assert plain.chat("Why?", 0).startswith("<|im_start|>system\nBe kind.")
    told = loaded(folders["qwen"], system_prompt="Be short.")
    assert told.chat("Why?", 0).startswith("<|im_start|>system\nBe short.<|im_end|>")
    whole = texts(plain.answer([asked]))[0]
    assert texts(told.answer([asked]))[0] != whole
    stop = whole[4:6]
    (cut,) = loaded(folders["qwen"], stop=(stop, "never")).answer([asked])
    assert isinstance(cut, Response) and cut.finish == "stop" and cut.output_tokens <= whole.find(stop) + 2
    assert cut.text == whole[: whole.find(stop)].strip()
    (short,) = loaded(folders["qwen"], max_answer_tokens=3).answer([asked])
    assert isinstance(short, Response) and (short.output_tokens, short.finish) == (3, "length")


def test_images_that_are_too_many_too_large_or_none(folders: dict[str, Path]) -> None:
    model = loaded(folders["llava"], max_images=1)
    many, sound, broken = model.answer(
        [question("Both?", PICTURES[:2]), question("Why?", PICTURES[:1]), question("Why?", [Picture(b"nothing")])]
    )
    assert many == Failure("the question has 2 images; max_images is 1")
    assert isinstance(sound, Response) and isinstance(broken, Failure) and "not an image" in broken.reason
    assert model.score([question("Both?", PICTURES[:2])], [["a"]]) == [many]
    large, small = loaded(folders["qwen"]), loaded(folders["qwen"], max_pixels=256)
    counts = [model.answer([question("Why?", PICTURES[1:2])])[0] for model in (large, small)]
    assert isinstance(counts[0], Response) and isinstance(counts[1], Response)
    assert counts[1].input_tokens < counts[0].input_tokens


def test_what_does_not_fit_the_context_fails_alone(folders: dict[str, Path]) -> None:
    model = loaded(folders["llava"])
    long, short = model.answer([question("a" * 500, PICTURES[:1]), QUESTIONS[0]])
    assert isinstance(long, Failure) and "the model's context holds 400 with the answer" in long.reason
    assert texts([short]) == texts(model.answer(QUESTIONS[:1]))
    assert isinstance(model.score([question("a" * 500)], [["b"]])[0], Failure)


def test_logits_that_are_no_numbers_are_a_failure(folders: dict[str, Path]) -> None:
    model = loaded(folders["janus"])
    torch.nn.init.constant_(model.model.lm_head.weight, float("nan"))
    assert model.answer(QUESTIONS[:1]) == [Failure("the model's logits are not finite at answer token 0")]
    assert model.score(QUESTIONS[:1], [["a"]]) == [Failure("the model's logits are not finite")]


def test_the_fingerprint_is_the_content(copied: Path, folders: dict[str, Path]) -> None:
    original = loaded(folders["llava"])
    assert loaded(copied).weights == original.weights == loaded(copied, stop=("a",)).weights
    found = {original.weights}
    for name in ("chat_template.jinja", "tokenizer.json", "processor_config.json"):
        text = (copied / name).read_text()
        (copied / name).write_text(text.replace("USER: ", "User: ") + "\n")
        found.add(loaded(copied).weights)
    tensors = load_file(copied / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] += 1
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    found.add(loaded(copied).weights)
    assert len(found) == 5


def changed(folder: Path, name: str, **change: Any) -> None:
    table = json.loads((folder / name).read_text())
    (folder / name).write_text(
        json.dumps({key: value for key, value in {**table, **change}.items() if value != "gone"})
    )


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("q_proj.weight"))
    save_file(
        {key: value for key, value in tensors.items() if key != name}, folder / "model.safetensors", {"format": "pt"}
    )


def with_a_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (without_a_tensor, "1 tensors are missing or of another shape, as .*q_proj.weight"),
        (with_a_pickle, "has no weights: expected one of model.safetensors"),
        (lambda f: changed(f, "config.json", model_type="llama"), "is a llama, no image-text-to-text model"),
        (lambda f: changed(f, "config.json", model_type="cogvlm", auto_map={"AutoConfig": "configuration.Config"}),
         "brings code of its own .trust_remote_code., which is not run; serve it behind"),
        (lambda f: changed(f, "config.json", model_type="unheard"), "transformers cannot read .*config.json"),
        (lambda f: (f / "chat_template.jinja").unlink(), "has no chat template"),
        (lambda f: (f / "chat_template.jinja").write_text("{{ raise_exception('no system here') }}"),
         "its chat template or processor cannot be used: no system here"),
        (lambda f: (f / "chat_template.jinja").write_text("{{ messages[0]['content'][1]['text'] }}"),
         "its chat template or processor cannot be used"),
        (lambda f: (f / "processor_config.json").unlink(), "processor"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "model.safetensors").write_bytes(b"<!doctype html>"), "is a web page"),
    ],
)  # fmt: skip
def test_what_is_never_loaded(copied: Path, harm: Any, message: str) -> None:
    harm(copied)
    with pytest.raises(UserError, match=message):
        loaded(copied)


def test_it_serves_as_visual_question_answerer(folders: dict[str, Path], tmp_path: Path) -> None:
    judge = ModelVQA(f"model:hf:{folders['llava']}?max_answer_tokens=4")
    assert judge.self_test() == "an answer about a drawn picture"
    looks = [Look({"questions": {"1": "Is it red?", "2": "Is it round, or not at all?"}}, image=PICTURES[0])]
    (found,) = judge.observe(looks)
    assert isinstance(found, Observation) and set(found.data["answers"]) == {"1", "2"}  # type: ignore[arg-type]
    assert judge.version.startswith(f"1 weights {judge.weights[:16]}")
    chosen = plan.choices(["shapes-dpg"], {"visual_qa": f"model:hf:{folders['llava']}?max_answer_tokens=2"})
    [oracle] = contenders(["oracle"], {})
    run = run_contender(
        oracle, plan.entries(chosen, seed=0, limit=1), tmp_path, checked_options(seed=0, limit=1, batch_size=4,
        retry_failed=False), instruments=Instruments(), show=Silent(),
    )  # fmt: skip
    lines = (run.folder / "observations.jsonl").read_text().splitlines()
    assert lines and all(json.loads(line)["data"]["answers"] for line in lines)


def test_a_run_answers_and_says_what_is_left_out(folders: dict[str, Path], tmp_path: Path) -> None:
    run = janus_eval.evaluate(
        f"hf:{folders['qwen']}?max_answer_tokens=2", ["shapes-mmbench", "shapes-geneval"], limit=1, out=tmp_path
    )
    assert list(run.results["tasks"]) == ["shapes-mmbench"]
    assert run.results["model"]["name"] == folders["qwen"].name
    assert json.loads((run.folder / "run.json").read_text())["skipped"] == {"shapes-geneval": ["draw"]}
    with pytest.raises(UserError, match=r"can do none of these tasks \(it can answer, score\)"):
        janus_eval.evaluate("hf:/nowhere", ["shapes-geneval"], out=tmp_path)
