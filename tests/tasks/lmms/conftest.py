"""Small lmms-eval tasks made on the spot, and made-up docs of the published benchmarks; nothing asks the network."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from janus_eval import datasets
from janus_eval.types import Failure, Question, Response

HERE = Path(__file__).parent

UTILS = '''
import json
import sys


def visual(doc):
    return [doc["image"].convert("RGB")]


def clip(doc):
    return ["clip.mp4"] if doc["id"] == 1 else [doc["image"]]


def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"] + "\\nAnswer with one word."


def judge(doc, results):
    right = results[0].lower() == doc["answer"]
    item = {"colour": doc["answer"], "id": doc["pair"], "score": float(right)}
    return {"macro": item, "share": float(right), "letters": len(results[0]), "submission": {"id": doc["id"]}}


def macro(items):
    """The mean over colours of the share that is right: no mean over samples."""
    by_colour = {}
    for item in items:
        by_colour.setdefault(item["colour"], []).append(item["score"])
    print("a table on the screen")
    return sum(sum(own) / len(own) for own in by_colour.values()) / len(by_colour)


def pairs(items):
    """As MME: both questions of a pair, or none."""
    by_id = {}
    for item in items:
        by_id.setdefault(item["id"], []).append(item["score"])
    assert all(len(own) == 2 for own in by_id.values()), "pairs alone"
    return 100 * sum(sum(own) == 2 for own in by_id.values()) / len(by_id)


def upload(items, args):
    """Writes where it is told to, and where it stands."""
    for name in (f"{args.output_path}/submission.json", "litter.json"):
        with open(name, "w") as file:
            json.dump(items, file)


def download(items):
    import urllib.request

    return float(len(urllib.request.urlopen("http://127.0.0.1:9/").read()))


def graded(doc, results):
    from lmms_eval.llm_judge import Request, ServerConfig, get_server

    server = get_server(server_name="openai", config=ServerConfig(model_name="judge"))
    prompt = f"Grade: {doc['answer']} | {results[0]} |"
    try:
        said = server.evaluate(Request(messages=[{"role": "user", "content": prompt}])).content
    except Exception:
        said = "0"
    return {"grade": {"score": float(said)}}


def grades(items):
    return 100 * sum(item["score"] for item in items) / len(items)


def gold(doc):
    return ["red", "green", "blue", "yellow"].index(doc["answer"])
'''

BASE = """
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: tiny.parquet
test_split: test
output_type: generate_until
doc_to_visual: !function utils.visual
doc_to_text: !function utils.text
doc_to_target: answer
process_results: !function utils.judge
generation_kwargs:
  max_new_tokens: 8
  until: ["."]
metric_list:
  - metric: macro
    aggregation: !function utils.macro
    higher_is_better: true
  - metric: share
    aggregation: mean
    higher_is_better: true
  - metric: letters
    aggregation: mean
    higher_is_better: false
"""


def metric(name: str, function: str) -> str:
    return (
        f"metric_list:\n  - metric: {name}\n    aggregation: !function utils.{function}\n    higher_is_better: true\n"
    )


TASKS = {
    "tiny": "task: tiny\ninclude: base\n",
    "tiny_more": "task: tiny_more\ninclude: base\ndataset_kwargs:\n  data_files:\n    test: more.parquet\n",
    "tiny_both": "group: tiny_both\ntask: [tiny, tiny_more]\n"
    "aggregate_metric_list:\n  - metric: share\n    aggregation: mean\n    weight_by_size: true\n",
    "tiny_loose": "group: tiny_loose\ntask: [tiny, tiny_more]\n",
    "tiny_nested": "group: tiny_nested\ntask:\n  - group: inner\n    task: [tiny]\n"
    "  - task: tiny_more\n    metric_list: [{metric: share, aggregation: mean, higher_is_better: true}]\n  - easy\n",
    "tiny_pairs": "task: tiny_pairs\ninclude: base\n" + metric("macro", "pairs"),
    "tiny_upload": "task: tiny_upload\ninclude: base\ntag: [easy, hard]\n" + metric("submission", "upload"),
    "tiny_server": "task: tiny_server\ninclude: base\n" + metric("macro", "download"),
    "tiny_graded": "task: tiny_graded\ninclude: base\nprocess_results: !function utils.graded\n"
    + metric("grade", "grades"),
    "tiny_clip": "task: tiny_clip\ninclude: base\ndoc_to_visual: !function utils.clip\n",
    "tiny_remote": "task: tiny_remote\ninclude: base\ndataset_path: nobody/nowhere\ndataset_kwargs: {}\n",
    "tiny_eight": "task: tiny_eight\ninclude: base\nrepeats: 8\n",
    "tiny_choice": "task: tiny_choice\ninclude: base\noutput_type: multiple_choice\nprocess_results: null\n"
    "generation_kwargs: null\ndoc_to_choice: ['red', 'green', 'a very deep blue', 'yellow']\n"
    "doc_to_target: !function utils.gold\nmetric_list:\n  - metric: acc\n  - metric: acc_norm\n",
}


@pytest.fixture(scope="session")
def hub_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("janus_eval_test_hub", HERE / "hub.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hub(hub_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What --data is given: made-up docs in the published data sets' columns."""
    folder = tmp_path_factory.mktemp("hub")
    for make in hub_module.EVERY:
        make(folder)
    return folder


@pytest.fixture(scope="session")
def definitions_folder(hub_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight docs in pairs that show one picture, and four more, with all of ``TASKS``."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "utils.py").write_text(UTILS)
    (folder / "base").write_text(BASE)
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(text)
    rows = [
        {"id": place, "pair": place // 2, "question": f"What colour is it ({place})?", "answer": colour}
        | {"image": hub_module.stored(hub_module.jpeg(hub_module.circle(colour)))}
        for place, colour in enumerate(c for c in hub_module.COLOURS for _ in range(2))
    ]
    hub_module.write(folder / "tiny.parquet", rows, images=["image"])
    hub_module.write(folder / "more.parquet", rows[:4], images=["image"])
    return folder


@pytest.fixture
def here(definitions_folder: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, with the small tasks and the made-up docs in reach and the hub out of it."""
    monkeypatch.setenv("JANUS_EVAL_LMMS_TASKS", str(definitions_folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    datasets.look_first_in(hub)
    yield tmp_path / "here"
    datasets.look_first_in(None)


class Scripted:
    """Answers by the question's text; ``likelihoods`` for rankings. Counts what it is asked."""

    weights = "scripted"
    name = "scripted"

    def __init__(
        self,
        say: Callable[[Question], str | None],
        likelihoods: Callable[[str, Sequence[str]], list[float]] = lambda text, options: [0.0] * len(options),
    ) -> None:
        self._say, self._likelihoods = say, likelihoods
        self.asked: list[Question] = []

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        self.asked += questions
        said = [self._say(question) for question in questions]
        return [Failure("no answer") if text is None else Response(text=text) for text in said]

    def score(self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]) -> list[list[float]]:
        self.asked += questions
        return [self._likelihoods(q.text, options) for q, options in zip(questions, continuations, strict=True)]


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def numbers() -> Callable[[Mapping[str, Mapping[str, float]]], dict[str, float]]:
    """The values of a result's metrics."""
    return lambda metrics: {name: table["value"] for name, table in metrics.items()}
