"""``janus-eval verify CASE``: hold a model or an instrument against outputs that another implementation recorded.

What can be checked comes through the plugins' kind ``cases``, see ``janus_eval.recorded.CaseKind``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from janus_eval.errors import UserError
from janus_eval.plain import one_line

if TYPE_CHECKING:
    from janus_eval.checkpoint import Checkpoint
    from janus_eval.recorded import CaseKind, Finding

RECORDINGS = ("preprocess", "understanding", "generation", "vq", "flow", "vae", "detections")
"""Files that a case may have; each kind of case can be held against some of them."""


def findings(folder: Path) -> tuple[list[Finding], list[str]]:
    """All findings of a case, and what of it was not looked at and why. Raises UserError for a malformed case."""
    import torch

    from janus_eval.checkpoint import Checkpoint, read_tensors
    from janus_eval.recorded import Recorded

    if not folder.is_dir():
        raise UserError(f"no folder {folder}; a case is a folder with config.json, model.safetensors and recordings")
    if not any(_has(folder, name) for name in RECORDINGS):
        names = ", ".join(f"{name}.safetensors" for name in RECORDINGS)
        raise UserError(f"{folder} holds nothing to check: none of {names}")
    name, kind = _kind(Checkpoint(folder))
    checks = kind.checks(Checkpoint(folder))
    present = [recording for recording in RECORDINGS if _has(folder, recording)]
    skipped = [f"{p}.safetensors: not checked: {kind.lacks(p) or _other(name)}" for p in present if p not in checks]
    skipped += _strangers(folder, set(RECORDINGS))
    found: list[Finding] = []
    with torch.inference_mode():
        for recording in present:
            if recording not in checks:
                continue
            recorded = Recorded(folder / f"{recording}.safetensors", read_tensors(folder / f"{recording}.safetensors"))
            checks[recording](recorded)
            found += recorded.findings
            unknown = sorted(set(recorded.tensors) - recorded.used)
            skipped += [f"{recording}/{tensor}: no known tensor of this file, not checked" for tensor in unknown]
    return found, skipped


def _kind(checkpoint: Checkpoint) -> tuple[str, CaseKind]:
    """Whose case it is, by its configuration. Raises UserError where nobody's."""
    from janus_eval import plugins

    raw = checkpoint.json("config.json")
    kinds: dict[str, CaseKind] = {name: plugins.load("cases", name) for name in plugins.names("cases")}
    owners = [(name, kind) for name, kind in kinds.items() if kind.owns(raw)]
    if not owners:
        raise UserError(f"{checkpoint.folder / 'config.json'} is no configuration of {', '.join(kinds)}")
    return owners[0]


def _other(name: str) -> str:
    return f"the checkpoint is {'an' if name[0] in 'aeiou' else 'a'} {name}"


def _strangers(folder: Path, known: set[str]) -> Iterator[str]:
    """Files of tensors that are neither the checkpoint's nor a known recording."""
    for path in sorted(folder.glob("*.safetensors")):
        if path.stem not in known and not path.name.startswith("model"):
            yield f"{path.name}: no known file of a case, not checked"


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.safetensors").is_file()


def verify(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="A folder with a checkpoint and recorded outputs.")],
) -> int:
    """Hold a model or an instrument against outputs that another implementation recorded.

    Exit 0: all within the gates. 1: something beyond. 3: nothing could be checked.
    """
    from rich.console import Console

    found, skipped = findings(case)
    console = Console(highlight=False)
    for line in _lines(found, skipped):
        console.print(line, soft_wrap=True, markup=False)
    if not found:
        return 3
    return 0 if all(finding.within for finding in found) else 1


def _lines(found: list[Finding], skipped: list[str]) -> Iterator[object]:
    from rich.text import Text

    if found:
        # No table: on a narrow terminal it would cut the names, which other programs may be reading.
        width = max(len(row.tensor) for row in found)
        yield f"{'tensor':<{width}}  largest difference    gate"
        for row in found:
            verdict = "ok" if row.within else f"BEYOND {row.note}".rstrip()
            numbers = f"{row.difference:>18.2e} {row.gate:>7g}"
            yield Text.assemble(f"{row.tensor:<{width}}  {numbers}  ", (verdict, "" if row.within else "red"))
    yield from map(one_line, skipped)
    beyond = sum(not finding.within for finding in found)
    if not found:
        yield "nothing was checked"
    elif beyond:
        yield f"{beyond} of {len(found)} tensors are beyond their gates"
    else:
        yield f"all {len(found)} tensors are within their gates"
