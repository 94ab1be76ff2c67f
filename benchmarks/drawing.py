"""Drawing with guidance, up to the codes: what turns these into pixels is the same for all, and stands apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.measure import Comparison, Contender, Figure, interleaved
from benchmarks.midsize import prompt_ids
from benchmarks.peers import TOKEN, script_draw, transformers_draw
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import decode_pixels, draw_codes
from janus_eval.models.parts.linear import Linear, packed_weights
from janus_eval.models.parts.picking import picker

GUIDANCE = 5.0
PROMPTS, EACH = 16, 4
OURS, THEIRS, SCRIPT = "janus-eval", "transformers", "published script's loop"


class Setting(NamedTuple):
    """One model as we hold it and as transformers does, how many codes an image gets, and how often all is done."""

    model: JanusPro
    theirs: Any
    codes: int
    rounds: int


@torch.inference_mode()
def our_draw(model: JanusPro, prompts: Sequence[Sequence[int]], codes: int) -> Tensor:
    """Guided and sampled, each image with a seed of its own: code ids ``[P, C]``."""
    pick = picker(range(len(prompts)), codes, 1.0, model.lm_head.weight.device)
    return draw_codes(model, prompts, pad_id=TOKEN["pad"], count=codes, guidance=GUIDANCE, pick=pick).codes


def repeated(prompts: Sequence[list[int]], times: int) -> list[list[int]]:
    """Each prompt several times, one after the other."""
    return [prompt for prompt in prompts for _ in range(times)]


def four_images(setting: Setting) -> Comparison:
    model, theirs, codes, rounds = setting
    prompts = prompt_ids(4)
    contenders = (
        Contender(OURS, lambda: our_draw(model, prompts, codes)),
        Contender(THEIRS, lambda: transformers_draw(theirs, prompts, codes)),
        Contender(SCRIPT, lambda: script_draw(theirs, prompts[0], codes)),
    )
    notes = "Four prompts, an image each; the script draws four images of one prompt."
    return Comparison("Four images at once", "images", 4, OURS, interleaved(contenders, rounds), notes)


def sixteen_images(setting: Setting) -> Comparison:
    model, theirs, codes, rounds = setting
    prompts = prompt_ids(PROMPTS)
    contenders = (
        Contender(OURS, lambda: our_draw(model, prompts, codes)),
        Contender(THEIRS, lambda: transformers_draw(theirs, prompts, codes)),
    )
    notes = "Sixteen prompts, an image each."
    return Comparison("Sixteen images at once", "images", PROMPTS, OURS, interleaved(contenders, rounds), notes)


def sixteen_prompts(setting: Setting) -> Comparison:
    """GenEval's layout. A pass is sixteen images for janus-eval and transformers, and one prompt for the script."""
    model, theirs, codes, rounds = setting
    prompts = repeated(prompt_ids(PROMPTS // EACH), EACH)
    share = len(prompts) / (PROMPTS * EACH)
    contenders = (
        Contender(OURS, lambda: our_draw(model, prompts, codes), share),
        Contender(THEIRS, lambda: transformers_draw(theirs, prompts, codes), share),
        Contender(SCRIPT, lambda: script_draw(theirs, prompts[0], codes, images=EACH), 1 / PROMPTS),
    )
    notes = (
        "janus-eval and transformers draw sixteen images at a time, the script four. One such pass is measured, and "
        "its cost multiplied by the number of equal passes."
    )
    title = "Sixteen prompts, four images each"
    return Comparison(title, "images", PROMPTS * EACH, OURS, interleaved(contenders, rounds), notes)


def pixels_of_one(setting: Setting) -> Figure:
    """CPU seconds from 576 codes to an image of 384 x 384 pixels."""
    side = setting.model.config.drawn_grid
    codes = torch.zeros(1, side**2, dtype=torch.long)

    @torch.inference_mode()
    def go() -> None:
        decode_pixels(setting.model, codes, (side, side))

    costs = interleaved([Contender("pixels of one image", go)], setting.rounds)["pixels of one image"]
    return Figure("codes of one image to its pixels, CPU", "s", [cost.cpu for cost in costs])


def products(setting: Setting, rows: int) -> Comparison:
    """The products of one drawing step and nothing else, over weights in the two orders."""
    model = setting.model
    layers = [m for part in (model.language, model.gen_head) for m in part.modules() if isinstance(m, Linear)]
    inputs = {layer: torch.randn(rows, layer.in_features) for layer in layers}
    repeats = 20

    @torch.inference_mode()
    def run() -> None:
        for _ in range(repeats):
            for layer in layers:
                layer(inputs[layer])

    @torch.inference_mode()
    def transposed() -> None:
        for _ in range(repeats):
            for layer in layers:
                (layer.weight @ inputs[layer].T).T  # noqa: B018 - the product is what is measured

    def read() -> None:
        for _ in range(repeats):
            for layer in layers:
                layer.weight.sum()

    blocks = "in blocks (janus-eval)"
    contenders = (
        Contender("as stored, F.linear", run, repeats),
        Contender("as stored, (W x^T)^T", transposed, repeats),
        Contender("the weights only read", read, repeats),
    )
    costs = interleaved(contenders, setting.rounds)
    with packed_weights(model.language, model.gen_head):
        # Apart from the others, since weights are in one order or the other.
        costs = interleaved([Contender(blocks, run, repeats)], setting.rounds) | costs
    return Comparison(f"Products of one drawing step, {rows} rows", "steps", 1, blocks, costs)
