"""A loaded JanusFlow as the harness sees it: questions and drawings in, responses and failures out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from janus_eval.checkpoint import Checkpoint, open_checkpoint
from janus_eval.models.janus_flow.family import JanusFlowSettings
from janus_eval.models.janus_flow.flow import draw_latents, noise_of
from janus_eval.models.janus_flow.loading import describe, fits, latent_side, load_model
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.janus_flow.vae import VAE, load_vae, vae_dtype
from janus_eval.models.parts.answering import Answerer, timed
from janus_eval.models.parts.loading import known_dtype, usable
from janus_eval.models.parts.processor import Processor, center_crop, to_bytes
from janus_eval.models.parts.understanding import Tokens
from janus_eval.pictures import Picture, PictureError
from janus_eval.types import Drawing, Failure, Question, Response

SDXL_VAE = "stabilityai/sdxl-vae"


class JanusFlowModel:
    """Offers all four capabilities. ``weights`` covers tensors, configurations, tokenizer and preprocessing."""

    def __init__(
        self, model: JanusFlow, vae: VAE, processor: Processor, settings: JanusFlowSettings, weights: str
    ) -> None:
        self.model, self.vae, self.processor, self.settings, self.weights = model, vae, processor, settings, weights
        tokens = Tokens(processor.image_id, processor.pad_id, processor.eos_id, image_start=processor.image_start_id)
        self.answerer = Answerer(model, processor, settings, tokens)
        self.side = latent_side(model.config, vae)

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        """Greedy by default; sampled with each question's own seed at ``answer_temperature``."""
        return self.answerer.answer(questions)

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        """Log-likelihood (nats) of each continuation as the answer's beginning, without the end token."""
        return self.answerer.score(questions, continuations)

    @torch.inference_mode()
    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        """Each picture depends on its prompt and seed alone; drawings of one size are drawn together."""
        start = time.perf_counter()
        outcomes: dict[int, Response | Failure] = {}
        batches: dict[tuple[int, int], list[tuple[int, list[int], int]]] = {}
        encoder, scale = self.model.config.gen_encoder, self.vae.downsampling
        for place, drawing in enumerate(drawings):
            height, width = drawing.size or (self.side * scale, self.side * scale)
            sides = height // scale, width // scale
            if height % scale or width % scale or not all(fits(self.model.config, side) for side in sides):
                unit = scale * encoder.stride
                outcomes[place] = Failure(f"size {height}x{width}: sides must be multiples of {unit} pixels")
                continue
            ids = self.processor.drawing_ids(drawing.prompt, roles=self.answerer.roles)
            count = encoder.grid(sides[0]) * encoder.grid(sides[1])
            if len(ids) + count > self.answerer.context:
                outcomes[place] = Failure(
                    f"the prompt has {len(ids)} tokens and the picture {count}; "
                    f"the model's context holds {self.answerer.context}"
                )
                continue
            batches.setdefault(sides, []).append((place, ids, drawing.seed))
        for sides, rows in batches.items():
            found = self._draw([ids for _, ids, _ in rows], [seed for _, _, seed in rows], sides)
            outcomes |= {place: outcome for (place, _, _), outcome in zip(rows, found, strict=True)}
        return timed(outcomes, len(drawings), start)

    @torch.inference_mode()
    def reconstruct(self, images: Sequence[Picture]) -> list[Picture | Failure]:
        """Through the autoencoder and back, at the size that is drawn: short side to it, the long one cropped."""
        size = self.side * self.vae.downsampling
        results: list[Picture | Failure] = []
        for image in images:
            try:
                cropped = center_crop(image.load(), size)
            except PictureError as error:
                results.append(Failure(str(error)))
                continue
            values = torch.from_numpy(np.asarray(cropped).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
            drawn = to_bytes(self.vae.decode(self.vae.encode(values[None])))[0]
            results.append(Picture.from_pil(Image.fromarray(drawn)))
        return results

    def _draw(self, prompts: list[list[int]], seeds: list[int], sides: tuple[int, int]) -> list[Response | Failure]:
        encoder = self.model.config.gen_encoder
        drawn = draw_latents(
            self.model, prompts, noise_of(seeds, (encoder.latent_channels, *sides)),
            pad_id=self.processor.pad_id, guidance=self.settings.guidance, steps=self.settings.steps,
        )  # fmt: skip
        pixels = self.vae.decode(drawn.latents)
        finite = pixels.isfinite().flatten(1).all(1).tolist()
        count = encoder.grid(sides[0]) * encoder.grid(sides[1])
        results: list[Response | Failure] = []
        for ids, image, broken, sound in zip(prompts, to_bytes(pixels), drawn.broken.tolist(), finite, strict=True):
            if broken >= 0:
                steps = self.settings.steps
                results.append(Failure(f"the model's velocity is not finite at step {broken + 1} of {steps}"))
            elif not sound:
                results.append(Failure("the decoded pixels are not finite"))
            else:
                picture = Picture.from_pil(Image.fromarray(image))
                results.append(Response(image=picture, input_tokens=len(ids), output_tokens=count))
        return results


def load(source: str, settings: JanusFlowSettings, *, device: str = "cpu", dtype: str = "float32") -> JanusFlowModel:
    """Open, check and load a checkpoint with its processor and autoencoder."""
    checkpoint = open_checkpoint(source)
    config = describe(checkpoint)
    # Before the weights, so that what is missing is found at once.
    processor = Processor.load(checkpoint, config.vision, config.language.vocab_size)
    place = vae_source(settings.vae, checkpoint)
    vae = load_vae(place, device=usable(device), dtype=vae_dtype(known_dtype(dtype)))
    latent_side(config, vae)
    model, weights = load_model(checkpoint, device=device, dtype=dtype)
    digest = hashlib.sha256(f"{weights}{processor.digest}{vae.weights}".encode()).hexdigest()
    return JanusFlowModel(model, vae, processor, settings, digest)


def vae_source(named: str | None, checkpoint: Checkpoint) -> str:
    """The autoencoder that was named; else the one that came with the checkpoint; else SDXL's, as published."""
    own = checkpoint.folder / "vae"
    return named or (str(own) if own.is_dir() else SDXL_VAE)
