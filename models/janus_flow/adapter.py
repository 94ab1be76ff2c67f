"""A loaded JanusFlow as the harness sees it: questions and drawings in, responses and failures out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import torch

from janus_eval.checkpoint import Checkpoint, open_checkpoint
from janus_eval.models.janus_flow.family import JanusFlowSettings
from janus_eval.models.janus_flow.flow import draw_latents, noise_of
from janus_eval.models.janus_flow.loading import describe, fits, latent_side, load_model
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.janus_flow.vae import VAE, load_vae, vae_dtype
from janus_eval.models.parts.answering import Answerer, timed
from janus_eval.models.parts.loading import known_dtype, usable
from janus_eval.models.parts.outcomes import drawn, reconstructed
from janus_eval.models.parts.processor import Processor
from janus_eval.models.parts.understanding import Tokens
from janus_eval.pictures import Picture
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
        vae, size = self.vae, self.side * self.vae.downsampling
        return reconstructed(images, size, lambda pixels: vae.decode(vae.encode(pixels)))

    def _draw(self, prompts: list[list[int]], seeds: list[int], sides: tuple[int, int]) -> list[Response | Failure]:
        encoder = self.model.config.gen_encoder
        steps = self.settings.steps
        found = draw_latents(
            self.model, prompts, noise_of(seeds, (encoder.latent_channels, *sides)),
            pad_id=self.processor.pad_id, guidance=self.settings.guidance, steps=steps,
        )  # fmt: skip
        broken = [
            f"the model's velocity is not finite at step {step + 1} of {steps}" if step >= 0 else ""
            for step in found.broken.tolist()
        ]
        count = encoder.grid(sides[0]) * encoder.grid(sides[1])
        return drawn(self.vae.decode(found.latents), broken, prompts, count)


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
