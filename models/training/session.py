"""What stands around a training run: the model and processor it begins with, the checkpoint folder it ends with."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch

from janus_eval.checkpoint import Checkpoint, open_checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_flow.adapter import vae_source
from janus_eval.models.janus_flow.config import read_config as read_flow_config
from janus_eval.models.janus_flow.loading import load_model as load_flow
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.janus_flow.vae import VAE, load_vae
from janus_eval.models.janus_pro.config import read_config
from janus_eval.models.janus_pro.loading import load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.parts.processor import ImageProcessor, Processor
from janus_eval.models.training.code_drawing import CodeDrawing
from janus_eval.models.training.drawing import Drawing, init_weights
from janus_eval.models.training.flow_drawing import AlignedFlow, FlowDrawing
from janus_eval.models.training.recipe import Recipe
from janus_eval.models.training.sources import Source, open_sources
from janus_eval.models.training.tokenizer import build_tokenizer, save_tokenizer
from janus_eval.models.training.trainer import Trainer
from janus_eval.models.training.vae_stage import fresh_autoencoder

EMBEDDED = {"nano-janus-pro": Path(__file__).parents[1] / "nano" / "janus_pro"}
"""Names that ``parts`` may have for checkpoints that ship with the package."""


def prepare(recipe: Recipe, data: list[Path], folder: Path, *, device: str = "cpu", micro_batch: int = 64) -> Trainer:
    """The trainer of a recipe: from random weights, or from ``recipe.start``.

    Raises UserError where a recipe without stages for its own parts has nothing to start from: its stages expect
    pre-trained ones (a SigLIP, a language model, an image tokenizer), which no stage of it makes.
    """
    source = open_sources(data, recipe.seed)
    needs = "vae_stage" if recipe.draws_by_flow else "tokenizer_stage"
    if recipe.start is None and getattr(recipe, needs) is None:
        raise UserError(
            f"recipe {recipe.name} starts from pre-trained parts: give --start FOLDER, a checkpoint in the published "
            "format that holds them"
        )
    place = torch.device(device)
    drawing, processor = (_flow if recipe.draws_by_flow else _codes)(recipe, source, place)
    drawing.model.to(place)
    drawing.model.train()
    return Trainer(recipe, drawing, processor, source, folder, micro_batch)


def _codes(recipe: Recipe, source: Source, device: torch.device) -> tuple[Drawing, Processor]:
    if recipe.start is None:
        model, processor = _fresh_pro(recipe)
    else:
        checkpoint = open_checkpoint(recipe.start)
        model = load_model(checkpoint, device=str(device)).model
        model.requires_grad_(True)
        processor = Processor.load(checkpoint, model.config.vision, model.config.language.vocab_size)
    return CodeDrawing(recipe, model, processor, source), processor


def _fresh_pro(recipe: Recipe) -> tuple[JanusPro, Processor]:
    from janus_eval.tasks.shapes.curriculum import vocabulary

    tokenizer = build_tokenizer(vocabulary())
    # The tokenizer decides the vocabulary's size, whatever the recipe left there.
    language = {**recipe.model["language_config"], "vocab_size": tokenizer.get_vocab_size()}
    model = JanusPro(read_config({**recipe.model, "language_config": language}))
    init_weights(model, recipe.seed)
    images = ImageProcessor(model.config.vision.image_size)
    return model, Processor(tokenizer, images, image_tokens=model.config.image_tokens)


def _flow(recipe: Recipe, source: Source, device: torch.device) -> tuple[Drawing, Processor]:
    """A JanusFlow from a checkpoint; or a fresh one, its pre-trained parts from ``recipe.parts``."""
    if recipe.start is not None:
        checkpoint = open_checkpoint(recipe.start)
        plain: JanusFlow = load_flow(checkpoint, device=str(device)).model
        processor = Processor.load(checkpoint, plain.config.vision, plain.config.language.vocab_size)
        model = AlignedFlow(plain.config)
        init_weights(model, recipe.seed)
        model.load_state_dict(plain.state_dict(), strict=False)
        vae = load_vae(recipe.vae or vae_source(None, checkpoint), device=device, dtype=torch.float32)
        return FlowDrawing(recipe, model, vae, processor, source), processor
    assert recipe.vae_stage is not None
    model, processor = _fresh_flow(recipe)
    vae = VAE(fresh_autoencoder(recipe.vae_stage, recipe.seed).to(device), weights="in training")
    return FlowDrawing(recipe, model, vae, processor, source), processor


def _fresh_flow(recipe: Recipe) -> tuple[AlignedFlow, Processor]:
    from janus_eval.tasks.shapes.curriculum import vocabulary

    parts, processor = None, None
    if recipe.parts is not None:
        checkpoint = Checkpoint(EMBEDDED[recipe.parts]) if recipe.parts in EMBEDDED else open_checkpoint(recipe.parts)
        parts = load_model(checkpoint).model
        processor = Processor.load(checkpoint, parts.config.vision, parts.config.language.vocab_size)
        tokenizer = processor.tokenizer
    else:
        tokenizer = build_tokenizer(vocabulary())
    language = {**recipe.model["language_config"], "vocab_size": tokenizer.get_vocab_size()}
    config = read_flow_config({**recipe.model, "language_config": language})
    model = AlignedFlow(config)
    init_weights(model, recipe.seed)
    if parts is not None:
        if (parts.config.language, parts.config.vision) != (config.language, config.vision):
            raise UserError(
                f"recipe {recipe.name}: language_config and vision_und_enc_config must have the sizes of parts "
                f"{recipe.parts}, whose weights they take"
            )
        model.language.load_state_dict(parts.language.state_dict())
        model.lm_head.load_state_dict(parts.lm_head.state_dict())
        model.vision.load_state_dict(parts.vision.state_dict())
    images = ImageProcessor(config.vision.image_size)
    return model, processor or Processor(tokenizer, images, image_tokens=config.vision.num_patches)


def export(trainer: Trainer, folder: Path, *, command: str) -> Path:
    """Write the model as a checkpoint in the published format, with how it was made beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    vision = trainer.model.vision.config
    trainer.drawing.save(folder, getattr(torch, trainer.recipe.save_dtype))
    save_tokenizer(trainer.processor.tokenizer, folder, image_size=vision.image_size, image_tokens=vision.num_patches)
    made = {
        "command": command,
        "seed": trainer.recipe.seed,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "recipe": trainer.recipe.model_dump(mode="json"),
    }
    (folder / "training.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    log = (trainer.folder / "log.jsonl").read_bytes()
    # mtime 0: the same log gives the same bytes.
    (folder / "training_log.jsonl.gz").write_bytes(gzip.compress(log, mtime=0))
    return folder
