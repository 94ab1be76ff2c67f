"""From Python: ``janus_eval.evaluate(model=..., tasks=[...])`` returns the run, ``janus_eval.sweep`` several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from janus_eval import plan, suites
from janus_eval.disk import safe_name
from janus_eval.errors import UserError
from janus_eval.observe import Instruments
from janus_eval.progress import Display, Silent, display
from janus_eval.runner import Options, Subject, refuse_unable, run
from janus_eval.seams import Illustrator, Model, Reconstructor, Understander
from janus_eval.specs import Contender, ModelSpec, contenders
from janus_eval.store import read_json
from janus_eval.sweeps import cells
from janus_eval.tables import plain_table, terminal_table
from janus_eval.types import Capability

DEFAULT_OUT = Path("janus-eval-runs")


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, which ``score`` and the reports take."""

    folder: Path

    @property
    def results(self) -> dict[str, Any]:
        """What results.json holds; docs/run-folder.md describes it."""
        return read_json(self.folder / "results.json")

    def table(self, width: int = 80) -> str:
        """The headline of every task with its interval, as ``janus-eval run`` prints it."""
        return terminal_table([self.folder], width) or plain_table([self.folder])


def evaluate(
    model: str | Model,
    tasks: Sequence[str] = (),
    *,
    suite: str | None = None,
    out: Path | str | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: str = "cpu",
    dtype: str = "float32",
    settings: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    progress: bool = False,
) -> Run:
    """Evaluate a model and return its run; the same call again goes on where a former one stopped.

    ``model``: a spec as the command line takes it (``"janus-pro:deepseek-ai/Janus-Pro-1B"``), or any object with
    ``weights`` and some of the methods ``answer``, ``draw``, ``score``, ``reconstruct`` of ``janus_eval.seams``.
    ``tasks``: ``TASK`` or ``TASK/PROTOCOL``, else those of ``suite``. ``settings`` override the model's own; a model
    object has its own already. Raises UserError for anything that is the caller's to mend.
    """
    if isinstance(model, str):
        [one] = sweep(
            model, {}, tasks, suite=suite, out=out, limit=limit, seed=seed, batch_size=batch_size, device=device,
            dtype=dtype, settings=settings, retry_failed=retry_failed, progress=progress,
        )  # fmt: skip
        return one
    options = checked_options(seed=seed, limit=limit, batch_size=batch_size, retry_failed=retry_failed)
    specs = task_specs(tasks, suite)
    out = DEFAULT_OUT if out is None else Path(out)
    show = display() if progress else Silent()
    if settings:
        raise UserError("settings belong to a model given by name; a model object has its own")
    entries = plan.entries(plan.choices(specs), seed=seed, limit=limit)
    subject = subject_of(model, device=device, dtype=dtype)
    path = out / safe_name(subject.name)
    return Run(run(subject, entries, path, options, instruments=Instruments(), display=show))


def sweep(
    model: str,
    over: Mapping[str, Sequence[Any]],
    tasks: Sequence[str] = (),
    *,
    suite: str | None = None,
    out: Path | str | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: str = "cpu",
    dtype: str = "float32",
    settings: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    progress: bool = False,
) -> list[Run]:
    """Evaluate a model under every combination of some settings' values: ``over={"guidance": [1, 5]}``.

    One run a combination, the last key varying fastest; ``janus-eval report`` shows them as one table. All else is as
    in ``evaluate``. Raises UserError for a setting that the model hasn't or that is fixed, and for a value given twice.
    """
    options = checked_options(seed=seed, limit=limit, batch_size=batch_size, retry_failed=retry_failed)
    specs = task_specs(tasks, suite)
    out = DEFAULT_OUT if out is None else Path(out)
    show = display() if progress else Silent()
    spec = ModelSpec.parse(model)
    spec = replace(spec, options={**(settings or {}), **spec.options})
    ready = contenders(cells([spec], over, {}, "over"), {}, device=device, dtype=dtype)
    entries = plan.entries(plan.choices(specs), seed=seed, limit=limit)
    check_able(ready, entries)
    instruments = Instruments()
    return [run_contender(cell, entries, out, options, instruments=instruments, show=show) for cell in ready]


def check_able(ready: Sequence[Contender], entries: Sequence[plan.Entry]) -> None:
    """Raise UserError for a model that can do none of the tasks, before any is loaded."""
    for contender in ready:
        refuse_unable(contender.name, contender.capabilities, entries)


def run_contender(
    contender: Contender,
    entries: Sequence[plan.Entry],
    out: Path,
    options: Options,
    *,
    instruments: Instruments,
    show: Display,
) -> Run:
    """Load a model and run it into its folder under ``out``."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; it takes a folder")
    path = out / contender.folder
    return Run(run(loaded(contender), entries, path, options, instruments=instruments, display=show))


def loaded(contender: Contender) -> Subject:
    return Subject(
        contender.name,
        contender.load(),
        contender.capabilities,
        contender.settings.model_dump(mode="json"),
        checkpoint=contender.spec.checkpoint,
        device=contender.device,
        dtype=contender.dtype,
    )


def subject_of(model: Model, *, device: str, dtype: str) -> Subject:
    """A model object as a subject: named by its ``name``, else by its class; able to do what it has methods for."""
    offered: tuple[tuple[Capability, type], ...] = (
        ("draw", Illustrator),
        ("reconstruct", Reconstructor),
    )
    capabilities = {name for name, seam in offered if isinstance(model, seam)}
    if isinstance(model, Understander):
        capabilities |= {"answer", "score"}
    elif callable(getattr(model, "answer", None)):
        capabilities.add("answer")
    if not isinstance(getattr(model, "weights", None), str):
        raise UserError(f"{type(model).__name__} has no attribute `weights`: a text that changes when its weights do")
    own = getattr(model, "settings", None)
    settings = own.model_dump(mode="json") if isinstance(own, BaseModel) else {}
    name = str(getattr(model, "name", type(model).__name__.lower()))
    return Subject(name, model, frozenset(capabilities), settings, device=device, dtype=dtype)


def checked_options(*, seed: int, limit: int | None, batch_size: int, retry_failed: bool) -> Options:
    if batch_size < 1:
        raise UserError(f"batch size {batch_size}; at least 1 expected")
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit}; at least 1 expected")
    if not 0 <= seed < 2**63:
        raise UserError(f"seed {seed}; 0 to 2**63 - 1 expected")
    return Options(seed=seed, limit=limit, batch_size=batch_size, retry_failed=retry_failed)


def task_specs(tasks: Sequence[str], suite: str | None, without: Sequence[str] = ()) -> Sequence[str]:
    """The tasks asked for, else the suite's, else the default suite's; of these, all but those of ``without``.

    ``without``: ``TASK`` for all of its protocols, or ``TASK/PROTOCOL``. Raises UserError for one that is not there.
    """
    if tasks and suite:
        raise UserError("give tasks or a suite, not both")
    whole = plan.spelt_out(tasks or plan.load_suite(suite or suites.DEFAULT).tasks)
    for name in without:
        if not any(name in (spec, spec.partition("/")[0]) for spec in whole):
            raise UserError(f"--without {name}: it is none of {', '.join(whole)}")
    kept = [spec for spec in whole if spec not in without and spec.partition("/")[0] not in without]
    if not kept:
        raise UserError("--without leaves no task")
    return kept
