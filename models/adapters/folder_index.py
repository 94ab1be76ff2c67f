"""A folder of pictures with an index: a table that says which file was drawn for what.

Columns: ``file`` (a path in the folder), and ``sample`` (its id) or ``prompt`` (its words); ``index`` where a prompt
has several pictures, else they count from 0 as they come; ``task`` where the folder holds pictures of several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from janus_eval.errors import UserError
from janus_eval.models.adapters.answers_tables import Row, text_of
from janus_eval.models.adapters.answers_tables import read as read_table
from janus_eval.pictures import Picture, PictureFile
from janus_eval.plain import one_line
from janus_eval.plan import Choice, asking
from janus_eval.seams import Contents
from janus_eval.types import Drawing, Sample

NAMES = ("index.csv", "index.tsv", "index.jsonl")


def index_of(folder: Path, name: str | None) -> Path | None:
    """The folder's index; None where it has none. Raises UserError for one that is named and not there."""
    if name is not None:
        if not (folder / name).is_file():
            raise UserError(f"no index {folder / name}")
        return folder / name
    found = [folder / known for known in NAMES if (folder / known).is_file()]
    if len(found) > 1:
        raise UserError(f"{folder} has {' and '.join(file.name for file in found)}: name one with index=FILE")
    return found[0] if found else None


def read(index: Path, choice: Choice, samples: Sequence[Sample]) -> Contents:
    """The pictures of a task's samples, and every fault. Raises UserError for a table without the columns."""
    rows = [row for row in read_table(index) if text_of(row.cells.get("task")) in {"", choice.task.name}]
    for row in rows[:1]:
        if "file" not in row.cells or not {"sample", "prompt"} & row.cells.keys():
            raise UserError(f"{index}: expected the columns file, and sample or prompt; it has {', '.join(row.cells)}")
    prompts = _prompts(choice, samples)
    contents = Contents({}, [])
    by_prompt: dict[str, list[str]] = {}
    for sample, wanted in prompts.items():
        for prompt in {one.strip() for one in wanted}:
            by_prompt.setdefault(prompt, []).append(sample)
    counted = Counter[str]()
    for row in rows:
        where = f"{index.name}, line {row.line}"
        name, fault = _sample(row, prompts, by_prompt)
        if fault:
            contents.faults.append(f"{where}: {fault}")
        else:
            _take(row, name, len(prompts[name]), counted, index.parent, where, contents)
    for sample, wanted in prompts.items():
        missing = [str(number) for number in range(len(wanted)) if (sample, number) not in contents.pictures]
        if missing:
            contents.faults.append(f"no usable picture {', '.join(missing)} of {sample}: {wanted[0]}")
    return contents


def _prompts(choice: Choice, samples: Sequence[Sample]) -> Mapping[str, Sequence[str]]:
    """The prompts of a sample's drawings, by its id."""
    rows = asking(choice.task, choice.protocol, samples, seed=0).requests
    drawings = [[request for request in row if isinstance(request, Drawing)] for row in rows]
    return {sample.id: [one.prompt for one in row] for sample, row in zip(samples, drawings, strict=True) if row}


def _take(
    row: Row, sample: str, most: int, counted: Counter[str], folder: Path, where: str, contents: Contents
) -> None:
    """The picture of a row, of which the sample has ``most``."""
    said = text_of(row.cells.get("index")).strip()
    numbered = said.isdecimal() and len(said) <= 9
    number = int(said) if numbered else counted[sample]
    counted[sample] += 1
    if (said and not numbered) or number >= most:
        told = one_line(said, 40) or number
        contents.faults.append(f"{where}: picture {told} of {sample}, which has 0 to {most - 1}")
    elif (sample, number) in contents.pictures:
        contents.faults.append(f"{where}: picture {number} of {sample} was listed before")
    else:
        for picture in _opened(folder, text_of(row.cells.get("file")), where, contents.faults):
            contents.pictures[sample, number] = picture


def _sample(row: Row, prompts: Mapping[str, Sequence[str]], by_prompt: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """The id of a row's sample, or what is wrong with its naming."""
    name = text_of(row.cells.get("sample")).strip()
    if name:
        return name, "" if name in prompts else f"the task has no sample {name}"
    prompt = text_of(row.cells.get("prompt")).strip()
    found = by_prompt.get(prompt, ())
    if len(found) > 1:
        return "", f"{len(found)} samples have this prompt: name one in a column sample ({', '.join(found[:3])})"
    return (found[0], "") if found else ("", f"the task has no prompt {prompt!r}")


def _opened(folder: Path, name: str, where: str, faults: list[str]) -> Iterator[Picture]:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        faults.append(f"{where}: {name!r} is no path inside the folder")
        return
    try:
        picture = PictureFile(folder / path)
        picture.load()
    except (OSError, ValueError) as error:  # a PictureError, or a name that no file can have
        faults.append(f"{where}: {name}: {error.strerror if isinstance(error, OSError) else error}")
        return
    yield picture
