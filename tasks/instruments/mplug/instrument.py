"""DPG-Bench's visual question answerer as an instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from janus_eval.errors import AbsentError, UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import Picture, PictureError
from janus_eval.tasks.instruments import files
from janus_eval.tasks.instruments.mplug.beams import ALPHA, Found, search
from janus_eval.tasks.instruments.mplug.config import Beams, Config, read_config
from janus_eval.tasks.instruments.mplug.tokens import LENGTH, Vocabulary
from janus_eval.types import Failure, Look, Observation

if TYPE_CHECKING:
    from janus_eval.tasks.instruments.mplug.model import MPlug

MODEL = "damo/mplug_visual-question-answering_coco_large_en"
"""On ModelScope, as DPG-Bench's script names it (TencentQQGYLab/ELLA at 3c228f1); ``iic/...`` is the same."""
FOLDER = MODEL.rpartition("/")[2]
WEIGHTS = ("pytorch_model.bin", "model.safetensors")
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
VERSION = "1"
"""To be raised with any change of the code that can move an answer."""
PICTURES_AT_ONCE, QUESTIONS_AT_ONCE = 8, 16
"""Pictures that are encoded together, and questions about one picture that are answered together, at most."""


class Parts(NamedTuple):
    """What the published folder holds."""

    config: Config
    vocabulary: Vocabulary
    weights: Path


class MPlugVQA:
    """Answers in the model's words, of which DPG-Bench takes the exact ``yes`` alone.

    Every question is put as it stands, in small letters, and cut after 25 tokens; every picture is squeezed to a
    square. A picture is encoded once for all of its questions.

    ``folder``: as ModelScope lays it out (config.yaml, the BERT file that it names, vocab.txt, pytorch_model.bin or
    model.safetensors with the same names); by default the published one's name in the folder that JANUS_EVAL_WEIGHTS
    names. No checksum of the weights was published: the SHA-256 of what is there goes into the version. ``device``: by
    default a GPU if there is one.
    """

    kind = "visual_qa"

    def __init__(
        self, folder: Path | None = None, *, device: str | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        self._folder = folder
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._dtype = dtype

    def prepare(self) -> None:
        """Raises AbsentError where the published folder is not there, UserError where it is incomplete or broken."""
        _ = self.version

    @cached_property
    def version(self) -> str:
        parts = self._parts
        constants = [asdict(parts.config), digest(parts.vocabulary.words), LENGTH, ALPHA, MEAN, STD, str(self._dtype)]
        return f"{VERSION} weights {files.checked(parts.weights)[:16]} constants {digest(constants)}"

    @cached_property
    def _parts(self) -> Parts:
        folder = self._folder or files.folder() / FOLDER
        if not folder.is_dir():
            raise AbsentError(
                f"the visual question answerer: {folder} is not there; where ModelScope can be reached: "
                f"pip install modelscope && modelscope download --model {MODEL} --local_dir {folder}"
            )
        weights = next((path for name in WEIGHTS if (path := folder / name).is_file()), None)
        if weights is None:
            raise UserError(f"{folder} has no weights: expected {' or '.join(WEIGHTS)}")
        config, vocabulary = read_config(folder), Vocabulary(folder / "vocab.txt")
        if len(vocabulary) != config.text.vocabulary:
            raise UserError(
                f"{folder / 'vocab.txt'} has {len(vocabulary)} lines, the model {config.text.vocabulary} words"
            )
        return Parts(config, vocabulary, weights)

    @cached_property
    def _model(self) -> MPlug | Failure:
        """The network, read when it is first used, and once: also what cannot be read is not read again."""
        from janus_eval.tasks.instruments.mplug.weights import load_weights, read_file

        config, _, path = self._parts
        try:
            return load_weights(config, read_file(path), str(path), device=self._device, dtype=self._dtype)
        except UserError as error:
            return Failure(str(error))

    @torch.inference_mode()
    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Look at a batch, in order. Pictures go through the encoder together, equal ones once."""
        model = self._model
        if isinstance(model, Failure):
            return [model] * len(looks)
        pictures = {look.image.digest: look.image for look in looks if look.image is not None}
        read = {key: self._pixels(picture) for key, picture in pictures.items()}
        whole = [(key, pixels) for key, pixels in read.items() if isinstance(pixels, Tensor)]
        seen: dict[str, Tensor] = {}
        for start in range(0, len(whole), PICTURES_AT_ONCE):
            keys, pixels = zip(*whole[start : start + PICTURES_AT_ONCE], strict=True)
            features = model.see(torch.stack(pixels).to(self._device, self._dtype))
            seen |= zip(keys, features.split(1), strict=True)
        results: list[Observation | Failure] = []
        for look in looks:
            found = Failure("there is no picture to look at") if look.image is None else read[look.image.digest]
            if look.image is not None and look.image.digest in seen:
                asked = cast(Mapping[str, str], look.query["questions"])
                said = self._said(model, seen[look.image.digest], list(asked.values()))
                results.append(Observation({"answers": dict(zip(asked, said, strict=True))}))
            else:
                assert isinstance(found, Failure), found
                results.append(found)
        return results

    def self_test(self) -> str:
        """A made network must answer on this machine as ModelScope's did, and the real one name plain colours.

        Raises UserError where either does not.
        """
        from janus_eval.tasks.instruments.mplug.self_test import known_case, squares

        case = known_case(self._device)
        drawn = squares()
        asked = {"questions": {"1": "What color is the square?"}}
        seen = self.observe([Look(asked, image=Picture.from_pil(image)) for image in drawn.values()])
        for shade, found in zip(drawn, seen, strict=True):
            if isinstance(found, Failure):
                raise UserError(found.reason)
            answer = str(cast(Mapping[str, str], found.data["answers"])["1"])
            if shade not in answer.split():
                raise UserError(f"asked for the color of a square that is {shade}, it says {answer!r}")
        return f"{case}; squares that are {', '.join(drawn)}"

    def _pixels(self, picture: Picture) -> Tensor | Failure:
        try:
            return pixel_values(picture.load(), self._parts.config.vision.resolution)
        except PictureError as error:
            return Failure(f"the picture cannot be looked at: {error}")

    def _said(self, model: MPlug, image: Tensor, questions: Sequence[str]) -> list[str]:
        """Answers to questions about one picture, whose features are [1, N, H]."""
        config, vocabulary, _ = self._parts
        said: list[str] = []
        for start in range(0, len(questions), QUESTIONS_AT_ONCE):
            ids, real = vocabulary.encode(questions[start : start + QUESTIONS_AT_ONCE])
            found = answers(model, image, ids.to(self._device), real.to(self._device), config.beams)
            said += [vocabulary.decode(answer.ids) for answer in found]
        return said


def pixel_values(image: Image.Image, side: int) -> Tensor:
    """[3, side, side] float32: squeezed to a square by Pillow's bicubic filter, then normalised as for CLIP."""
    squeezed = image.resize((side, side), Image.Resampling.BICUBIC)
    levels = torch.from_numpy(np.array(squeezed)).permute(2, 0, 1).contiguous().float() / 255
    return (levels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def answers(model: MPlug, image: Tensor, ids: Tensor, real: Tensor, beams: Beams) -> list[Found]:
    """The best answer to each question [Q, T] about one picture's features [1, N, H]."""
    memories = model.remember(model.fuse(image, ids, real))
    return search(
        lambda so_far, asked: model.next_logits(so_far, [memory.of(asked) for memory in memories]),
        len(ids),
        beams,
        ids.device,
    )
