"""The gate on the checkpoint that ships: what is the same passes, what is broken is caught and said where.

Every change is one that has happened to somebody: another batch size, a run that was killed, weights saved in bfloat16,
a block or a codebook damaged on the way, chat roles or guidance that are not the model's.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import janus_eval
from janus_eval.gating import baseline
from janus_eval.gating.candidates import Means, source_of
from janus_eval.gating.gate import Terms, gate, read_side
from janus_eval.gating.records import Row, Verdict
from janus_eval.gating.sequential import gate_in_turn, named
from janus_eval.gating.sides import read_run
from janus_eval.models import nano
from janus_eval.tasks.shapes import curriculum
from janus_eval.tasks.shapes.scenes import render, to_picture

FOLDER = Path(nano.__file__).parent / "janus_pro"
DRAWING, READING = "shapes-geneval", "shapes-mmbench"
LIMIT = 10
"""Groups a category: 60 prompts of four pictures, and some 50 questions with their rotations."""
CODEBOOK = "gen_vision_model.quantize.embedding.weight"
BLOCK = "language_model.model.layers.2."

Weights = dict[str, torch.Tensor]


def run(
    out: Path,
    checkpoint: Path | None = None,
    batch_size: int = 32,
    tasks: Sequence[str] = (DRAWING, READING),
    **settings: object,
) -> Path:
    model = f"nano-janus-pro:{checkpoint}" if checkpoint else "nano-janus-pro"
    return janus_eval.evaluate(model, tasks, out=out, limit=LIMIT, batch_size=batch_size, settings=settings).folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def kept(base: Path) -> Path:
    """What would be committed."""
    file = base.parent / "baseline.jsonl.gz"
    file.write_bytes(baseline.packed(read_run(base)))
    return file


def changed(out: Path, change: Callable[[Weights], Mapping[str, torch.Tensor]]) -> Path:
    """A run of a copy of the checkpoint with some tensors replaced."""
    return run(out, copied(out, change))


def copied(out: Path, change: Callable[[Weights], Mapping[str, torch.Tensor]]) -> Path:
    checkpoint = Path(shutil.copytree(FOLDER, out / "checkpoint"))
    weights = load_file(checkpoint / "model.safetensors")
    save_file({**weights, **change(weights)}, checkpoint / "model.safetensors", {"format": "pt"})
    return checkpoint


def judged(candidate: Path, base: Path, *allow: str, metrics: Sequence[str] = ()) -> Verdict:
    return gate(read_run(candidate), read_side(base), Terms(metrics, allow=frozenset(allow)))


def rows(verdict: Verdict) -> dict[str, Row]:
    return {row.task: row for row in verdict.rows}


def test_another_batch_size_passes(base: Path, kept: Path, tmp_path: Path) -> None:
    candidate = run(tmp_path, batch_size=5)
    for side in (base, kept):
        verdict = judged(candidate, side)
        assert (verdict.code, verdict.flips) == (0, []), "a picture depends on its own seed, not on its batch"


def test_a_run_that_was_killed_and_went_on_passes(kept: Path, base: Path, tmp_path: Path) -> None:
    killed = Path(shutil.copytree(base, tmp_path / base.name))
    lines = (killed / "responses.jsonl").read_bytes().splitlines(keepends=True)
    (killed / "responses.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]) + lines[-1][:20])
    for name in ("results.json", "scores.jsonl"):
        (killed / name).unlink()
    verdict = judged(run(tmp_path, batch_size=11), kept)
    assert (verdict.code, verdict.flips) == (0, [])


def test_weights_rounded_to_bfloat16_pass(kept: Path, tmp_path: Path) -> None:
    def rounded(weights: Weights) -> Weights:
        return {name: tensor.bfloat16().to(tensor.dtype) for name, tensor in weights.items()}

    verdict = judged(changed(tmp_path, rounded), kept)
    assert verdict.code == 0 and not verdict.refusals
    assert "both sides have the same weights" not in verdict.notes


def noisy(weights: Weights) -> Weights:
    generator = torch.Generator().manual_seed(0)
    return {
        name: tensor + (torch.randn(tensor.shape, generator=generator) * tensor.float().std()).to(tensor.dtype)
        for name, tensor in weights.items()
        if name.startswith(BLOCK) and tensor.ndim == 2
    }


@pytest.mark.parametrize(("broken", "code", "share"), [(True, 1, 0.6), (False, 0, 0.8)], ids=["broken", "unchanged"])
def test_asked_one_after_another_it_costs_a_part(
    broken: bool, code: int, share: float, kept: Path, tmp_path: Path
) -> None:
    base = read_side(kept)
    candidate = f"nano-janus-pro:{copied(tmp_path, noisy) if broken else FOLDER}"
    source = source_of(candidate, base, named(base, Terms()), Means(tmp_path / "out", batch_size=32))
    verdict = gate_in_turn(source, base, Terms())
    assert verdict.code == code and verdict.course is not None
    [out] = (tmp_path / "out").iterdir()
    asked = len((out / "responses.jsonl").read_bytes().splitlines())
    assert asked == verdict.course.asked < share * verdict.course.of
    assert (rows(verdict)[DRAWING].state == "regression") == broken


def test_noise_in_one_block_is_caught(kept: Path, tmp_path: Path) -> None:
    verdict = judged(changed(tmp_path, noisy), kept)
    assert verdict.code == 1
    row = rows(verdict)[DRAWING]
    assert row.state == "regression" and row.change is not None
    worst = row.parts[0]
    assert worst.share < 0 and worst.change.by <= -25, f"{worst.category} fell most"


def test_swapped_codebook_rows_are_caught_in_drawing_alone(base: Path, kept: Path, tmp_path: Path) -> None:
    def swapped(weights: Weights) -> Weights:
        book = weights[CODEBOOK].clone()
        used = _codes_in_use()[:64]
        book[used] = book[used.roll(1)]
        return {CODEBOOK: book}

    verdict = judged(changed(tmp_path, swapped), kept)
    assert verdict.code == 1
    assert rows(verdict)[DRAWING].state == "regression" and rows(verdict)[DRAWING].parts[0].share < 0
    assert rows(verdict)[READING].state == "holds", "answering does not use the codebook"
    assert {flip.task for flip in verdict.flips} == {DRAWING}


def _codes_in_use() -> torch.Tensor:
    """Codes by how often pictures of the world have them, the most frequent first."""
    rng = random.Random(0)
    model = nano.nano_janus_pro.load(None, nano.nano_janus_pro.Settings())
    pictures = [render(curriculum.random_scene(rng)) for _ in range(40)]
    pixels = torch.stack([torch.from_numpy(np.array(to_picture(one).load().convert("RGB"))) for one in pictures])
    with torch.inference_mode():
        codes = model.model.vq.encode(pixels.movedim(-1, 1) / 127.5 - 1)
    return codes.flatten().bincount(minlength=512).argsort(descending=True)


@pytest.mark.parametrize(
    ("tasks", "settings", "named"),
    [
        ((DRAWING, READING), {"user_role": "User", "assistant_role": "Assistant"}, 'user_role: "<|User|>" -> "User"'),
        ((DRAWING,), {"guidance": 1.0}, "guidance: 1.75 -> 1.0"),
    ],
    ids=["roles", "guidance off"],
)
def test_other_settings_are_refused_and_caught_when_allowed(
    tasks: Sequence[str], settings: dict[str, object], named: str, kept: Path, tmp_path: Path
) -> None:
    candidate = run(tmp_path, tasks=tasks, **settings)
    refused = judged(candidate, kept, metrics=tasks)
    assert refused.code == 3 and {one.part for one in refused.refusals} == {"settings"}
    assert all(named in one.text for one in refused.refusals)
    allowed = judged(candidate, kept, "settings", metrics=tasks)
    assert allowed.code == 1 and {one.part for one in allowed.accepted} == {"settings"}
    fell = [row for row in allowed.rows if row.state == "regression"]
    assert fell and all(row.parts[0].share < 0 for row in fell)
