"""Which task here runs which benchmark of the ledger, and how the papers' figures were measured, as far as anybody
says: which knobs must agree before a number of ours and a printed one may be held against each other. The leaderboard,
the papers' tables and ``explain`` all ask here.

Values are those of the tasks' protocols, whole, and of the models' settings, by dotted name as ``run.json`` has them; a
test holds them against the tasks. A setting that nobody stated and that the published code does not fix is left out: it
can't forbid a comparison, for nobody knows its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

BRIDGE = "no task here runs it"


class Knob(NamedTuple):
    """``whose``: who states the value; ``word``: what it means, where it doesn't say so itself."""

    name: str
    value: Any
    whose: str
    word: str = ""


@dataclass(frozen=True)
class Known:
    """A benchmark of the ledger and the task here that runs it.

    Results of ``task`` and of tasks named ``TASK-...`` (its other files) are numbers of the benchmark. ``protocol`` is
    the one that a user runs for a number to compare. ``metrics``: the ledger's name -> ours, where they differ.
    ``systems``: those whose figures are known to be measured so; None for all.

    ``beside``: further protocols whose numbers may stand in a column with the printed ones where ``protocol`` was not
    run. ``files``: tasks with other files of it, to whose headline a figure may be explained.
    """

    task: str
    protocol: str
    knobs: Sequence[Knob]
    metrics: Mapping[str, str]
    systems: frozenset[str] | None = None
    beside: Sequence[str] = ()
    files: Sequence[str] = ()

    @property
    def protocols(self) -> Sequence[str]:
        return (self.protocol, *self.beside)

    @property
    def tasks(self) -> Sequence[str]:
        return (self.task, *self.files)


_PR = "stated by the authors, VLMEvalKit pull request 541"
_GENEVAL = "GenEval's own"
_DPG = "the published script's"
_CODE = "the published code's"
_VLM = "VLMEvalKit's"
_FID = "stated by the paper"
_GIGAGAN = "GigaGAN's script, which the paper names"

_JANUS = frozenset({"Janus", "Janus-Pro", "JanusFlow"})


def _bridged(
    task: str,
    protocol: str,
    theirs: str,
    overall: str,
    metric: str,
    *more: Knob,
    told: bool = True,
    metrics: Mapping[str, str] | None = None,
) -> Known:
    """A benchmark that runs here through lmms-eval's task ``theirs``; ``metric`` is the headline's name in the ledger.

    ``told``: the authors of Janus say that theirs was asked by VLMEvalKit, whose prompts are others. So no number of
    such a task is held against a printed one; the reason says which knobs do agree.
    """
    knobs = (
        Knob("ask.lmms_eval", "none", _PR, "asked with VLMEvalKit's prompts"),
        Knob("ask.task", theirs, _PR),
        *more,
        Knob("judge.task", theirs, _PR),
        Knob("judge.overall", overall, _PR),
    )
    return Known(task, protocol, knobs, {metric: "overall", **(metrics or {})}, _JANUS if told else frozenset())


KNOWN: Mapping[str, Known] = {
    "MMBench": Known(
        "mmbench",
        "paper",
        (
            Knob("ask.file", "MMBench_DEV_EN.tsv", _PR, "version 1.0, dev, English"),
            Knob("ask.prompt", "janus", _PR),
            Knob("ask.max_new_tokens", 2048, "VLMEvalKit's adapter"),
            Knob("judge.letters", "vlmevalkit", _PR),
            Knob("judge.aggregate", "rows", _PR, "vanilla-all: every rotation counts by itself"),
            Knob("settings.system_prompt", "", _PR, "none"),
        ),
        {"accuracy": "overall"},
        # Stated by the authors for Janus; for its two successors it is inference, which the ledger's notes say. What
        # the other systems' figures were measured with is not known.
        frozenset({"Janus", "Janus-Pro", "JanusFlow"}),
        beside=("vanilla-all", "circular"),
        files=("mmbench-v11", "mmbench-test", "mmbench-v11-test"),
    ),
    "GenEval": Known(
        "geneval",
        "official",
        (
            Knob("ask.file", "evaluation_metadata.jsonl", _GENEVAL, "553 prompts"),
            Knob("ask.images_per_prompt", 4, _GENEVAL),
            Knob("observe.detector", "mask2former", _GENEVAL),
            Knob("observe.colour_classifier", "clip-colours", _GENEVAL),
            Knob("judge.threshold", 0.3, _GENEVAL),
            Knob("judge.counting_threshold", 0.9, _GENEVAL),
            Knob("judge.max_objects", 16, _GENEVAL),
            Knob("judge.nms_threshold", 1.0, _GENEVAL, "off"),
            Knob("judge.position_threshold", 0.1, _GENEVAL),
        ),
        {},
    ),
    "DPG-Bench": Known(
        "dpg",
        "official",
        (
            Knob("ask.prompts", "prompts", _DPG),
            Knob("ask.questions", "dpg_bench.csv", _DPG),
            Knob("ask.images_per_prompt", 4, _DPG),
            Knob("observe.visual_qa", "mplug", _DPG),
            Knob("judge.first_row", "dropped", _DPG),
            Knob("judge.categories", "plain answers of the last picture", _DPG),
        ),
        {},
        beside=("fixed",),
    ),
    "MJHQ-30K": Known(
        "mjhq-fid",
        "paper",
        (
            Knob("ask.file", "meta_data.json", _FID, "30,000 prompts"),
            Knob("ask.images_per_prompt", 1, _FID),
            Knob("observe.features", "inception-256", _GIGAGAN),
            Knob("judge.references", "inception-256", _GIGAGAN),
            Knob("judge.pictures", 30_000, _FID),
        ),
        {"fid": "overall"},
    ),
    "POPE": _bridged("pope", "random", "pope_random", "pope_f1_score", "score"),
    "MME": _bridged(
        "mme",
        "perception",
        "mme",
        "mme_perception_score",
        "perception",
        metrics={"cognition": "mme_cognition_score"},
    ),
    "SEEDBench": _bridged(
        "seedbench", "image", "seedbench", "seed_image", "accuracy", Knob("ask.only", "data_type=image", _PR)
    ),
    "GQA": _bridged("gqa", "testdev", "gqa", "exact_match", "accuracy", told=False),
    "MMMU": _bridged("mmmu", "val", "mmmu_val", "mmmu_acc", "accuracy"),
    "MM-Vet": _bridged(
        "mm-vet",
        "graded",
        "mmvet",
        "gpt_eval_score",
        "score",
        Knob("observe.text_judge", "openai-chat", _PR, "MM-Vet's own GPT-4 evaluator"),
    ),
    "VQAv2": _bridged("vqav2", "val", "vqav2_val", "exact_match", "accuracy", told=False),
    "ChartQA": _bridged("chartqa", "test", "chartqa", "relaxed_overall", "accuracy", told=False),
    "TextVQA": _bridged("textvqa", "val", "textvqa_val", "exact_match", "accuracy", told=False),
    "OCRBench": Known(
        "ocrbench",
        "official",
        (
            Knob("ask.file", "OCRBench.tsv", _VLM, "a thousand questions"),
            Knob("ask.prompt", "vlmevalkit", _VLM),
            Knob("ask.max_new_tokens", 2048, _VLM),
            Knob("judge.rule", "vlmevalkit", _VLM),
        ),
        {"final_score_norm": "overall"},
        systems=frozenset(),  # nobody who printed a figure says what it was measured with
        beside=("official-lmms-eval", "lmms-eval"),
    ),
}

# Settings of the model under test. The role strings are the checkpoint's own (janus_pro_recipe.json); guidance and
# temperature are the published code's, for the reports state neither; guidance and steps of JanusFlow's FID are stated.
_DRAWING = frozenset({"GenEval", "DPG-Bench"})
SETTINGS: Mapping[str, Sequence[tuple[frozenset[str] | None, Knob]]] = {
    "Janus-Pro": (
        (None, Knob("settings.user_role", "<|User|>", _CODE)),
        (None, Knob("settings.assistant_role", "<|Assistant|>", _CODE)),
        (_DRAWING, Knob("settings.guidance", 5.0, _CODE)),
        (_DRAWING, Knob("settings.temperature", 1.0, _CODE)),
    ),
    "Janus": (
        (None, Knob("settings.user_role", "User", _CODE)),
        (None, Knob("settings.assistant_role", "Assistant", _CODE)),
        (_DRAWING, Knob("settings.guidance", 5.0, _CODE)),
        (_DRAWING, Knob("settings.temperature", 1.0, _CODE)),
    ),
    "JanusFlow": (
        (None, Knob("settings.user_role", "User", _CODE)),
        (None, Knob("settings.assistant_role", "Assistant", _CODE)),
        (frozenset({"MJHQ-30K"}), Knob("settings.guidance", 2.0, _FID)),
        (frozenset({"MJHQ-30K"}), Knob("settings.steps", 30, _FID)),
    ),
}

# Published checkpoints of systems that the tables have: (system, variant) -> (model, checkpoint), and what a model
# loads where a run names no checkpoint.
CHECKPOINTS: Mapping[tuple[str, str | None], tuple[str, str]] = {
    ("Janus-Pro", "1B"): ("janus-pro", "deepseek-ai/Janus-Pro-1B"),
    ("Janus-Pro", "7B"): ("janus-pro", "deepseek-ai/Janus-Pro-7B"),
    ("Janus", None): ("janus", "deepseek-ai/Janus-1.3B"),
    ("JanusFlow", "384"): ("janus-flow", "deepseek-ai/JanusFlow-1.3B"),
}
DEFAULTS: Mapping[str, str] = {
    "janus-pro": "deepseek-ai/Janus-Pro-1B",
    "janus": "deepseek-ai/Janus-1.3B",
    "janus-flow": "deepseek-ai/JanusFlow-1.3B",
}


def headline_of(benchmark: str, metric: str) -> Known | None:
    """The task whose headline a metric of the ledger is; None where no task runs it."""
    known = KNOWN.get(benchmark)
    return known if known and known.metrics.get(metric, metric) == "overall" else None


def knobs_of(system: str, benchmark: str) -> list[Knob] | None:
    """What must agree with a printed figure of this system; None where it is not known how it was measured."""
    known = KNOWN[benchmark]
    if known.systems is not None and system not in known.systems:
        return None
    own = [knob for where, knob in SETTINGS.get(system, ()) if where is None or benchmark in where]
    return [*known.knobs, *own]
