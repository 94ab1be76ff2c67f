"""``janus-eval verify CASE``: hold a model against outputs that another implementation recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from janus_eval.errors import UserError
from janus_eval.plain import one_line

if TYPE_CHECKING:
    from janus_eval.models.parts.checkpoint import Checkpoint
    from janus_eval.models.parts.recorded import Finding, Recorded

RECORDINGS = ("preprocess", "understanding", "generation", "vq", "flow", "vae", "detections")
"""Files that a case may have; each family can be held against some of them."""


def findings(folder: Path) -> tuple[list[Finding], list[str]]:
    """All findings of a case, and what of it was not looked at and why. Raises UserError for a malformed case."""
    import torch

    from janus_eval.models.parts.checkpoint import Checkpoint, read_tensors
    from janus_eval.models.parts.recorded import Recorded

    if not folder.is_dir():
        raise UserError(f"no folder {folder}; a case is a folder with config.json, model.safetensors and recordings")
    if not any(_has(folder, name) for name in RECORDINGS):
        names = ", ".join(f"{name}.safetensors" for name in RECORDINGS)
        raise UserError(f"{folder} holds nothing to check: none of {names}")
    kind, checks = _checks(Checkpoint(folder))
    present = [name for name in RECORDINGS if _has(folder, name)]
    skipped = [f"{name}.safetensors: {_reason(name, kind)}" for name in present if name not in checks]
    skipped += _strangers(folder, set(RECORDINGS))
    found: list[Finding] = []
    with torch.inference_mode():
        for name in present:
            if name not in checks:
                continue
            recorded = Recorded(folder / f"{name}.safetensors", read_tensors(folder / f"{name}.safetensors"))
            checks[name](recorded)
            found += recorded.findings
            unknown = sorted(set(recorded.tensors) - recorded.used)
            skipped += [f"{name}/{tensor}: no known tensor of this file, not checked" for tensor in unknown]
    return found, skipped


def _checks(checkpoint: Checkpoint) -> tuple[str, Mapping[str, Callable[[Recorded], None]]]:
    """What the configuration says that the model is, and what of it can be checked."""
    raw = checkpoint.json("config.json")
    if "vision_gen_enc_config" in raw:
        from janus_eval.models.janus_flow import parity as janus_flow

        return "JanusFlow", janus_flow.checks(checkpoint)
    if "model_type" not in raw and "latent_channels" in raw:
        from janus_eval.models.janus_flow import parity as janus_flow

        return "autoencoder", janus_flow.vae_checks(checkpoint)
    from janus_eval.models.janus_pro import parity as janus_pro

    return "Janus-Pro", janus_pro.checks(checkpoint)


def _reason(name: str, kind: str) -> str:
    if name == "detections":
        return "not supported by this version"
    if name == "vae" and kind == "JanusFlow":
        return "not checked: the case has no folder vae with the autoencoder"
    return f"not checked: the checkpoint is {'an' if kind[0] in 'aeiou' else 'a'} {kind}"


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
    """Hold a model against outputs that another implementation recorded.

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
