"""Candidates of a sequential gate: a finished run, one that a gate has begun, or a model that is still to be asked."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from janus_eval import plan, plugins, portions, runner
from janus_eval.errors import UserError
from janus_eval.evaluation import loaded
from janus_eval.gating.sequential import Place, Replay, Source
from janus_eval.gating.sides import Evaluation, Item, Side, key_of, read_run
from janus_eval.observe import Instruments
from janus_eval.plan import Entry
from janus_eval.portions import Portion
from janus_eval.progress import Advance, Display, Silent
from janus_eval.respond import needs
from janus_eval.runner import Options, Subject
from janus_eval.specs import Contender, ModelSpec, contenders
from janus_eval.store import read_json

ORDER = 0


@dataclass(frozen=True)
class Means:
    """How a model is asked, where one is. ``order`` is the random order's number; None for that of the folder."""

    out: Path = Path("janus-eval-runs")
    order: int | None = None
    batch_size: int = 16
    device: str | None = None
    dtype: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    instruments: Mapping[str, str] = field(default_factory=dict)
    show: Display = field(default_factory=Silent)


def source_of(candidate: str, base: Side, keys: Sequence[tuple[str, str]], means: Means) -> Source:
    """``candidate``: a run folder, or a model as ``janus-eval run --model`` takes it; ``keys``: what is gated.

    Raises UserError for what is neither, and for a folder that is gone on with in another order.
    """
    path = Path(candidate)
    if path.is_dir():
        header = read_json(path / "run.json") if (path / "run.json").is_file() else {}
        order = header.get(portions.KEY, {}).get("order", ORDER)
        if portions.KEY not in header or _is_whole(path):
            return Replay(read_run(path), order if means.order is None else means.order)
        return _asking(_as_before(header, means), path, base, keys, means, order)
    name = ModelSpec.parse(candidate).name
    if name not in plugins.names("models"):
        near = plugins.near(name, list(plugins.names("models")))
        raise UserError(f"{candidate} is neither a run folder nor a model{near}")
    [contender] = contenders([candidate], means.overrides, device=means.device or "cpu", dtype=means.dtype or "float32")
    return _asking(contender, means.out / contender.folder, base, keys, means, ORDER)


def _is_whole(path: Path) -> bool:
    if not (path / "results.json").is_file():
        return False
    tasks = read_json(path / "results.json")["tasks"]
    return not any("part" in table for protocols in tasks.values() for table in protocols.values())


def _as_before(header: Mapping[str, Any], means: Means) -> Contender:
    """The model that a folder was begun with."""
    asked, model = header[portions.KEY]["model"], header["model"]
    spec = ModelSpec(asked["name"], asked["checkpoint"], model["settings"])
    [found] = contenders([spec], {}, device=means.device or header["device"], dtype=means.dtype or model["dtype"])
    return found


def changed_settings(contender: Contender) -> dict[str, Any]:
    """What differs from the family's defaults."""
    usual = contender.family.Settings().model_dump(mode="json")
    return {k: v for k, v in contender.settings.model_dump(mode="json").items() if v != usual[k]}


def _text(value: Any) -> str:
    """An option's value as ``M?k=v&...`` takes it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("%", "%25").replace("&", "%26")


def _asking(
    contender: Contender, path: Path, base: Side, keys: Sequence[tuple[str, str]], means: Means, order: int
) -> Asking:
    chosen = plan.choices(["/".join(key) for key in keys], means.instruments)
    entries = plan.entries(chosen, seed=base.seed, limit=base.limit)
    able = [entry for entry in entries if needs(entry) <= contender.capabilities]
    options = Options(seed=base.seed, limit=base.limit, batch_size=means.batch_size)
    order = order if means.order is None else means.order
    instruments = Instruments(contender.device, contender.dtype)
    return Asking(contender, able, path, base, options, order, instruments, means.instruments, means.show)


@dataclass
class Asking:
    """A model that is asked as it goes, into a run folder; it is loaded when the first samples are asked."""

    contender: Contender
    entries: Sequence[Entry]
    path: Path
    base: Side
    options: Options
    order: int
    instruments: Instruments
    chosen: Mapping[str, str]
    """Instruments in place of the protocols' own, by role."""
    show: Display
    replayed: bool = False

    @cached_property
    def planned(self) -> Side:
        model = self._identity("")
        evaluations = {}
        for entry in self.entries:
            key = entry.task.name, entry.protocol.name
            theirs = self.base.evaluations[key]
            items = {
                key_of(*key, sample.id, index): Item(sample, index)
                for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True)
                for index in range(len(requests))
            }
            lines = {name: line for name, line in theirs.lines.items() if name in items}
            prints = runner.part_of(entry, self.instruments, model, self.options.seed).fingerprint
            protocol = entry.protocol
            knobs = {"ask": protocol.ask, "observe": protocol.observe, "judge": protocol.judge}
            evaluations[key] = Evaluation(*key, prints, knobs, theirs.metrics, lines, items)
        return Side(self.path, model, self.options.seed, self.options.limit, evaluations)

    @property
    def completing(self) -> str:
        """Empty where no command makes this very folder, since it was moved."""
        contender, limit = self.contender, self.options.limit
        if self.path.name != contender.folder:
            return ""
        changed = changed_settings(contender)
        spec = ModelSpec(contender.spec.name, contender.spec.checkpoint, {k: _text(v) for k, v in changed.items()})
        tasks = [text for entry in self.entries for text in ("--task", str(entry))]
        options = ["--seed", str(self.options.seed), *(["--limit", str(limit)] if limit is not None else [])]
        device = [] if contender.device == "cpu" else ["--device", contender.device]
        dtype = [] if contender.dtype == "float32" else ["--dtype", contender.dtype]
        instruments = [text for role, name in self.chosen.items() for text in ("--instrument", f"{role}={name}")]
        words = ["run", "--model", str(spec), *tasks, *options, *device, *dtype, *instruments]
        return shlex.join(["janus-eval", *words, "--out", str(self.path.parent)])

    def ask(self, groups: Mapping[Place, int], first: Mapping[str, frozenset[str]]) -> Side:
        spec = self.contender.spec
        portion = Portion(self.order, groups, first, {"name": spec.name, "checkpoint": spec.checkpoint})
        quiet = _Once(self.show, self._said)
        runner.run(
            self._subject, self.entries, self.path, self.options, instruments=self.instruments, display=quiet,
            portion=portion,
        )  # fmt: skip
        return read_run(self.path)

    @cached_property
    def _said(self) -> set[str]:
        return set()

    @cached_property
    def _subject(self) -> Subject:
        return loaded(self.contender)

    def _identity(self, weights: str) -> dict[str, Any]:
        contender = self.contender
        settings = contender.settings.model_dump(mode="json")
        return {"name": contender.name, "settings": settings, "dtype": contender.dtype, "weights": weights}


@dataclass
class _Once:
    """A display that tells nothing twice, and no remark on a part that is about to grow."""

    show: Display
    said: set[str]

    def bar(self, label: str, total: int) -> contextlib.AbstractContextManager[Advance]:
        return self.show.bar(label, total)

    def note(self, text: str) -> None:
        if text not in self.said and portions.PART not in text:
            self.said.add(text)
            self.show.note(text)
