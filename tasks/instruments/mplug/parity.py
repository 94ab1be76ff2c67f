"""mPLUG against recorded outputs of ModelScope's own classes, stage by stage, in float32 on the CPU.

A case is a folder as ModelScope lays it out, with a ``config.json`` that says ``{"model_type": "mplug"}``, and any
of three recordings. Texts are bytes of UTF-8.

``preprocess``: ``photoN_rgb`` and what became of it, ``photoN_pixel_values``; ``questionN_text`` and its ids and mask.
``understanding``: pictures and questions, one a picture, what every stage made of them, and the logits of all tokens
of some answers. ``generation``: every question about every picture, under several settings of the beam search: the best
answers' scores, ids (filled with -1) and texts (a line each). It may also hold the search alone, over ``chains.logits``
[Q, V, V], where a token's logits depend on the question and on the token before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.recorded import LOGITS, Recorded
from janus_eval.tasks.instruments.mplug.beams import END, Found, search
from janus_eval.tasks.instruments.mplug.config import Beams, Config, read_config
from janus_eval.tasks.instruments.mplug.instrument import answers, pixel_values
from janus_eval.tasks.instruments.mplug.model import MPlug
from janus_eval.tasks.instruments.mplug.tokens import Vocabulary
from janus_eval.tasks.instruments.mplug.weights import load_weights

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    checkpoint: Checkpoint

    @cached_property
    def config(self) -> Config:
        return read_config(self.checkpoint.folder)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.checkpoint.folder / "vocab.txt")

    @cached_property
    def model(self) -> MPlug:
        return load_weights(self.config, dict(self.checkpoint.tensors()), str(self.checkpoint.folder))


def checks(checkpoint: Checkpoint) -> Mapping[str, Callable[[Recorded], None]]:
    """What can be held against a recorded file, by its name."""
    case = Case(checkpoint)
    return {
        "preprocess": lambda recorded: check_preprocess(case, recorded),
        "understanding": lambda recorded: check_understanding(case, recorded),
        "generation": lambda recorded: check_generation(case, recorded),
    }


def check_preprocess(case: Case, recorded: Recorded) -> None:
    for name in recorded.numbered(r"photo\d+_rgb"):
        photo = recorded[name]
        recorded.expect_shape(name, photo, (None, None, 3))
        if photo.dtype != torch.uint8:
            raise UserError(f"{recorded.path}: {name} holds {photo.dtype}, expected levels in bytes (torch.uint8)")
        pixels = pixel_values(Image.fromarray(photo.numpy()), case.config.vision.resolution)
        recorded.compare(name.replace("_rgb", "_pixel_values"), pixels)
    for name in recorded.numbered(r"question\d+_text"):
        ids, real = case.vocabulary.encode([_text(recorded, name)])
        recorded.compare(name.replace("_text", "_ids"), ids[0])
        recorded.compare(name.replace("_text", "_mask"), real[0].long())


def check_understanding(case: Case, recorded: Recorded) -> None:
    model, (pixels, ids, real) = case.model, _inputs(case, recorded)
    image = model.see(pixels)
    recorded.compare("out.vision", model.vision(pixels))
    recorded.compare("out.image", image)
    # What padding makes of itself is masked wherever it could be looked at, so it doesn't count.
    recorded.compare("out.text", model.read(ids, real), where=real)
    fused = [model.fuse(image[row, None], ids[row, None], real[row, None]) for row in range(len(ids))]
    recorded.compare("out.fused_image", torch.cat([one.image for one in fused]))
    recorded.compare("out.fused_text", torch.cat([one.text for one in fused]), where=real)
    if "in.answer_ids" not in recorded:
        return
    said = recorded.ids("in.answer_ids", case.config.text.vocabulary)
    if len(said) != len(ids):
        raise UserError(f"{recorded.path}: in.answer_ids has {len(said)} rows, expected one a question, {len(ids)}")
    logits = []
    for row, one in enumerate(fused):
        memories = model.remember(one)
        so_far = [said[row, None, None, :length] for length in range(1, said.shape[1] + 1)]
        logits.append(torch.cat([model.next_logits(prefix, memories)[0] for prefix in so_far]))
    recorded.compare("out.logits", torch.stack(logits))


def check_generation(case: Case, recorded: Recorded) -> None:
    model, (pixels, ids, real) = case.model, _inputs(case, recorded)
    image = model.see(pixels)
    for name in recorded.numbered(r"search\d+\.size"):
        prefix = name.removesuffix(".size")
        # All questions are put to every picture, together: pictures are shared, and searches end at different steps.
        for row in range(len(image)):
            found = answers(model, image[row, None], ids, real, _beams(recorded, prefix))
            _compare_found(recorded, f"{prefix}.picture{row}", found)
            texts = "\n".join(case.vocabulary.decode(one.ids) for one in found)
            recorded.compare(f"{prefix}.picture{row}.texts", torch.tensor(list(texts.encode()), dtype=torch.int64))
    if chained := recorded.numbered(r"chains\d+\.size"):
        logits = recorded.floats("chains.logits")
        recorded.expect_shape("chains.logits", logits, (None, logits.shape[-1], logits.shape[-1]))
        if logits.shape[-1] <= END:
            raise UserError(f"{recorded.path}: chains.logits has {logits.shape[-1]} tokens, expected more than {END}")
        for name in chained:
            prefix = name.removesuffix(".size")
            beams = _beams(recorded, prefix)
            chains = search(lambda so_far, asked: logits[asked[:, None], so_far[..., -1]], len(logits), beams, CPU)
            _compare_found(recorded, prefix, chains)


def _beams(recorded: Recorded, prefix: str) -> Beams:
    return Beams(*(int(recorded.number(f"{prefix}.{key}")) for key in ("size", "shortest", "longest")))


def _compare_found(recorded: Recorded, prefix: str, found: Sequence[Found]) -> None:
    recorded.compare(f"{prefix}.scores", torch.tensor([one.score for one in found]), gate=LOGITS)
    ids = [torch.tensor(one.ids) for one in found]
    recorded.compare(f"{prefix}.ids", pad_sequence(ids, batch_first=True, padding_value=-1))


def _inputs(case: Case, recorded: Recorded) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures [P, 3, R, R], questions [Q, T] and which of their tokens are not padding; P = Q in ``understanding``."""
    pixels = recorded.floats("in.pixel_values")
    side = case.config.vision.resolution
    recorded.expect_shape("in.pixel_values", pixels, (None, 3, side, side))
    ids = recorded.ids("in.question_ids", case.config.text.vocabulary)
    mask = recorded.ids("in.question_mask", 2)
    if mask.shape != ids.shape:
        raise UserError(f"{recorded.path}: in.question_mask is {list(mask.shape)}, expected {list(ids.shape)}")
    return pixels, ids, mask.bool()


def _text(recorded: Recorded, name: str) -> str:
    tensor = recorded[name]
    try:
        return bytes(tensor.tolist()).decode()
    except (TypeError, ValueError) as error:
        raise UserError(f"{recorded.path}: {name} is no UTF-8 text in bytes ({error})") from error
