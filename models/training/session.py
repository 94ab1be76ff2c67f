"""What stands around a training run: the model and processor it begins with, the checkpoint folder it ends with."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch

from janus_eval.errors import UserError
from janus_eval.models.janus_pro.config import read_config
from janus_eval.models.janus_pro.loading import load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.weights import save_checkpoint
from janus_eval.models.parts.checkpoint import open_checkpoint
from janus_eval.models.parts.processor import ImageProcessor, Processor
from janus_eval.models.training.recipe import Recipe
from janus_eval.models.training.sources import open_sources
from janus_eval.models.training.tokenizer import build_tokenizer, save_tokenizer
from janus_eval.models.training.trainer import Trainer, init_weights


def prepare(recipe: Recipe, data: list[Path], folder: Path, *, device: str = "cpu", micro_batch: int = 64) -> Trainer:
    """The trainer of a recipe: from random weights, or from ``recipe.start``.

    Raises UserError where a recipe without a tokenizer stage has nothing to start from: its stages expect pre-trained
    parts (a SigLIP, a language model, an image tokenizer), which no stage of it makes.
    """
    source = open_sources(data, recipe.seed)
    if recipe.start is not None:
        model, processor = _started(recipe.start, device)
    elif recipe.tokenizer_stage is None:
        raise UserError(
            f"recipe {recipe.name} starts from pre-trained parts: give --start FOLDER, a checkpoint in the published "
            "format that holds them"
        )
    else:
        model, processor = _from_scratch(recipe)
    model.to(torch.device(device))
    model.train()
    return Trainer(recipe, model, processor, source, folder, micro_batch)


def _started(start: str, device: str) -> tuple[JanusPro, Processor]:
    checkpoint = open_checkpoint(start)
    model = load_model(checkpoint, device=device).model
    model.requires_grad_(True)
    return model, Processor.load(checkpoint, model.config.vision, model.config.language.vocab_size)


def _from_scratch(recipe: Recipe) -> tuple[JanusPro, Processor]:
    from janus_eval.tasks.shapes.curriculum import vocabulary

    tokenizer = build_tokenizer(vocabulary())
    # The tokenizer decides the vocabulary's size, whatever the recipe left there.
    language = {**recipe.model["language_config"], "vocab_size": tokenizer.get_vocab_size()}
    model = JanusPro(read_config({**recipe.model, "language_config": language}))
    init_weights(model, recipe.seed)
    images = ImageProcessor(model.config.vision.image_size)
    return model, Processor(tokenizer, images, image_tokens=model.config.image_tokens)


def export(trainer: Trainer, folder: Path, *, command: str) -> Path:
    """Write the model as a checkpoint in the published format, with how it was made beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = trainer.model.config
    save_checkpoint(trainer.model, folder, dtype=getattr(torch, trainer.recipe.save_dtype))
    save_tokenizer(
        trainer.processor.tokenizer, folder, image_size=config.vision.image_size, image_tokens=config.image_tokens
    )
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
