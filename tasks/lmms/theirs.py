"""lmms-eval's own code, called: its tasks loaded, its docs and requests read, answers judged one by one.

What is called is what ``lmms_eval/evaluator.py`` at 0.7.3 calls, in its order. Its multiple choice takes the likeliest
option by the smallest number, since its models give losses; it gets minus the log-likelihood (nats).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from janus_eval.datasets import folders
from janus_eval.errors import AbsentError, UserError
from janus_eval.plain import one_line
from janus_eval.tasks.lmms.definitions import Definition, installed
from janus_eval.tasks.lmms.guard import judge_settings, quiet
from janus_eval.types import JSON

BUILDERS = {"parquet", "json", "csv", "text", "arrow", "pandas", "imagefolder", "webdataset"}
"""What a definition may name in place of a data set on the hub: files beside it."""


@functools.cache
def _library() -> Any:
    """lmms-eval, imported. It lets Pillow take truncated images everywhere; here only its own docs may be such."""
    installed()
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import datasets
            from lmms_eval.api import task

            importlib.import_module("lmms_eval.api.metrics")  # registers metrics and aggregations by name
    except Exception as error:
        raise UserError(
            f"lmms-eval {installed()} fails to import: {type(error).__name__}: {one_line(error)}"
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    datasets.load_dataset = load_dataset
    return task


def load_dataset(path: Any, *args: Any, **options: Any) -> Any:
    """``datasets.load_dataset``, which lmms-eval and its tasks call, with copies of the hub's data sets looked for
    first. A function of a module: tasks hand what refers to it on to other processes."""
    from datasets.load import load_dataset as load

    here = copy_of(str(path))
    return load(str(path if here is None else here), *args, **options)


def copy_of(dataset: str) -> Path | None:
    """Where a data set of the hub lies as files: ``OWNER/NAME`` or ``NAME`` in --data, then in the data folder."""
    owner, slash, name = dataset.partition("/")
    if not slash or "/" in name or Path(dataset).exists():
        return None
    places = (place for folder in folders() for place in (folder / owner / name, folder / name))
    return next((place.resolve() for place in places if place.is_dir()), None)


def is_offline() -> bool:
    return any(
        os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )


def refuse_absent(one: Definition) -> None:
    """Raise AbsentError, before lmms-eval is imported, where the hub may not be asked for what is not here."""
    dataset = str(one.config.get("dataset_path", ""))
    if not is_offline() or "/" not in dataset or Path(dataset).exists() or copy_of(dataset):
        return
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    caches = [
        Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"datasets--{dataset.replace('/', '--')}",
        *(
            Path(os.environ.get(name) or home / "datasets") / dataset.replace("/", "___")
            for name in ("HF_DATASETS_CACHE", "LMMS_EVAL_DATASETS_CACHE")
        ),
    ]
    if not any(cache.is_dir() for cache in caches):
        raise AbsentError(f"lmms-eval task {one.name!r}: {_lacking(one)}")


def _lacking(one: Definition) -> str:
    dataset = str(one.config.get("dataset_path", ""))
    return (
        f"its data set {dataset} is not on this machine: hf download --repo-type dataset {dataset} (or --data DIR, "
        f"a folder that holds {dataset})"
    )


def loaded(one: Definition) -> Any:
    """The task with its data, as lmms-eval makes it. Raises UserError where that fails, in one line."""
    refuse_absent(one)
    library = _library()
    import datasets
    import tenacity

    datasets.config.HF_HUB_OFFLINE = is_offline()
    retrying = library.ConfigurableTask.download.retry
    before, retrying.stop = retrying.stop, tenacity.stop_after_attempt(1)  # what it calls tries again by itself
    try:
        return _made(one, library.ConfigurableTask)
    finally:
        retrying.stop = before


def twin(one: Definition, doc: Mapping[str, Any]) -> Any:
    """The task without its data, for judging: it knows of one doc what lmms-eval learns from the first."""
    library = _library()

    class Rows(list[Any]):
        @property
        def features(self) -> dict[str, Any]:
            return dict(doc)

    class Splits(dict[str, Any]):
        def __missing__(self, split: str) -> Rows:
            return Rows([dict(doc)])

    class Twin(library.ConfigurableTask):  # type: ignore[name-defined,misc]
        def download(self, dataset_kwargs: Any = None) -> None:
            self.dataset = self.dataset_no_image = Splits()

    return _made(one, Twin)


def _made(one: Definition, kind: Any) -> Any:
    from lmms_eval import utils

    try:
        with quiet(), judge_settings():
            config = {**utils.load_yaml_config(str(one.path), mode="full"), **one.overrides}
            own = config.pop("class", None)
            if own is not None:
                return own(config=config) if "config" in inspect.signature(own.__init__).parameters else own()
            task = kind(config=config, model_name=None)
            task.set_fewshot_seed(seed=1234)
            return task
    except UserError:
        raise
    except Exception as error:
        raise _in_one_line(one, error) from error


def _in_one_line(one: Definition, error: Exception) -> UserError:
    last = getattr(error, "last_attempt", None)
    cause: BaseException = (last.exception() if last is not None else None) or error
    names = {kind.__name__ for link in _chain(cause) for kind in type(link).__mro__}
    said = f"{type(cause).__name__}: {one_line(cause, 200)}"
    if isinstance(cause, ModuleNotFoundError):
        return UserError(f"lmms-eval task {one.name!r} needs {cause.name}: pip install {cause.name}")
    if names & {"LocalTokenNotFoundError", "GatedRepoError"} or "token" in str(cause).lower():
        return UserError(
            f"lmms-eval task {one.name!r}: {one.dataset} is for users who have logged in: hf auth login ({said})"
        )
    if names & {"ConnectionError", "OfflineModeIsEnabled", "HfHubHTTPError", "TimeoutError", "LocalEntryNotFoundError"}:
        return AbsentError(f"lmms-eval task {one.name!r}: {_lacking(one)}; asking the hub failed: {said}")
    if "/" in str(one.config.get("dataset_path", "")) and names & {"DatasetNotFoundError", "FileNotFoundError"}:
        return AbsentError(f"lmms-eval task {one.name!r}: {_lacking(one)} ({said})")
    return UserError(f"lmms-eval task {one.name!r} cannot be made from {one.path}: {said}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def lenient_images() -> Iterator[None]:
    """Truncated images in lmms-eval's data sets are read as it reads them."""
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def context(task: Any, doc: Any) -> Any:
    """What is asked about a doc: its text with the description and the examples before it."""
    with quiet():
        return task.fewshot_context(doc, task.config.num_fewshot or 0)


def visuals(task: Any, doc: Any) -> Any:
    with quiet():
        return task.doc_to_visual(doc)


def results(task: Any, doc: Mapping[str, Any], answer: str | Sequence[float]) -> dict[str, Any]:
    """What a task makes of one answer: metric -> item, with the filter's name where there are several.

    ``answer`` is a text, or a choice's log-likelihoods (nats). For multiple choice nothing is known of what would have
    been decoded, so that ``exact_match`` means nothing there.
    """
    from lmms_eval.api.instance import Instance
    from lmms_eval.api.reasoning import parse_reasoning_tags_config, strip_reasoning_tags
    from lmms_eval.filters.transformation import StripThinkingFilter

    metadata = {"task": task.config.task, "doc_id": 0, "repeats": 1}
    texts = isinstance(answer, str)
    responses: list[Any] = [answer] if isinstance(answer, str) else [(-one, False) for one in answer]
    kind = "generate_until" if texts else "loglikelihood"
    instances = [Instance(kind, (), place, metadata, [one]) for place, one in enumerate(responses)]
    tags = parse_reasoning_tags_config(task_value=task.config.reasoning_tags)
    found: dict[str, Any] = {}
    for ensemble in task._filters:
        strip = [StripThinkingFilter()] if task.config.auto_strip_thinking and tags is None else []
        chain = type(ensemble)(ensemble.name, [*strip, *ensemble.filters])
        chain.apply(instances, [doc] * len(instances))
        filtered = [instance.filtered_resps[chain.name] for instance in instances]
        if tags is not None:
            filtered = [
                [strip_reasoning_tags(part, tags) if isinstance(part, str) else part for part in one]
                if isinstance(one, list)
                else strip_reasoning_tags(one, tags)
                if isinstance(one, str)
                else one
                for one in filtered
            ]
        judged = inspect.unwrap(type(task).process_results)(task, doc, filtered)
        suffix = f",{chain.name}" if len(task._filters) > 1 else ""
        found.update({f"{name}{suffix}": item for name, item in judged.items()})
    return found


def target_of(task: Any, doc: Mapping[str, Any]) -> str:
    """The right answer as lmms-eval has it; the first one of several."""
    found = task.doc_to_target(doc)
    if isinstance(found, int) and task.config.doc_to_choice is not None:
        found = task.doc_to_choice(doc)[found]
    return str(found[0] if isinstance(found, list) and found else found)


def source_of(task: Any, one: Definition, split: str) -> str:
    """The data set, with its revision on the hub where it came from there."""
    info = getattr(task.dataset[split], "info", None)
    for address in getattr(info, "download_checksums", None) or ():
        _, at, rest = str(address).partition("@")
        if at:
            return f"{one.dataset} {split} at {rest.partition('/')[0]}"
    return f"{one.dataset} {split}"


def plain(value: Any) -> JSON:
    """A figure that an aggregation gave, if it is one."""
    number = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    return float(number) if isinstance(number, int | float) else None
