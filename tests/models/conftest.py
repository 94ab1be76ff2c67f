"""Tiny Janus-Pro models with random weights, the recorded reference case, and a tokenizer in the published format."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from janus_eval.models.janus_pro.adapter import JanusProModel
from janus_eval.models.janus_pro.config import JanusProConfig, ProjectorConfig
from janus_eval.models.janus_pro.family import janus_pro
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.vq import VQConfig
from janus_eval.models.parts.llama import LlamaConfig
from janus_eval.models.parts.processor import Tags
from janus_eval.models.parts.siglip import SiglipConfig
from janus_eval.pictures import Picture

ConfigMaker = Callable[..., JanusProConfig]
ModelMaker = Callable[..., JanusPro]


@pytest.fixture(scope="session")
def reference() -> Path:
    """The recorded case of DeepSeek's own code on tiny random weights."""
    return Path(__file__).resolve().parents[1] / "data" / "reference" / "set_a" / "janus_pro"


@pytest.fixture(scope="session")
def make_config() -> ConfigMaker:
    """A tiny configuration; keywords change SigLIP's, VQ's and Llama's sizes by their own names."""

    def make(*, depth: int = 2, head_width: int | None = None, **sizes: object) -> JanusProConfig:
        def changed(default: object) -> dict[str, object]:
            names = {field.name for field in dataclasses.fields(default)}  # type: ignore[arg-type]
            return {name: value for name, value in sizes.items() if name in names}

        vision = SiglipConfig(image_size=32, patch_size=8, width=24, layers=2, heads=3)
        vq = VQConfig(
            codebook_size=64, channels=32, encoder_multipliers=(1, 1, 2), decoder_multipliers=(1, 1, 2),
            latent_channels=16, res_blocks=1,
        )  # fmt: skip
        language = LlamaConfig(
            vocab_size=400, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=4, head_dim=8, max_position_embeddings=256,
        )  # fmt: skip
        vision = dataclasses.replace(vision, **changed(vision))  # type: ignore[arg-type]
        vq = dataclasses.replace(vq, **changed(vq))  # type: ignore[arg-type]
        language = dataclasses.replace(language, **changed(language))  # type: ignore[arg-type]
        hidden = language.hidden_size
        return JanusProConfig(
            vision=vision,
            aligner=ProjectorConfig(vision.width, hidden, depth),
            vq=vq,
            gen_aligner=ProjectorConfig(vq.codebook_dim, hidden, depth),
            gen_head_width=head_width or hidden,
            language=language,
        )

    return make


@pytest.fixture(scope="session")
def make_model(make_config: ConfigMaker) -> ModelMaker:
    """A model with weights large enough that a wrong one shows in every output."""

    def make(seed: int = 0, **sizes: object) -> JanusPro:
        torch.manual_seed(seed)
        model = JanusPro(make_config(**sizes))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5)
        return model.eval().requires_grad_(False)

    return make


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Byte-level BPE with the special tokens of the published one; it knows all bytes and a few words."""
    found = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r" ?\w+|\s+| ?[^\s\w]+"), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    found.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])  # type: ignore[assignment]
    found.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*Tags(), "<|User|>", "<|Assistant|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    found.train_from_iterator(["a red circle and a blue square", "what colour is the star"] * 10, trainer)
    return found


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, reference: Path, tokenizer: Tokenizer) -> Path:
    """The reference weights with a tokenizer: a whole checkpoint. Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("checkpoint")
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(reference / name, folder / name)
    tokenizer.save(str(folder / "tokenizer.json"))
    tags = Tags()
    for name, content in {
        "tokenizer_config.json": {"bos_token": {"content": tags.bos}, "eos_token": tags.eos},
        "processor_config.json": {"num_image_tokens": 16, "image_tag": tags.image, "sft_format": "deepseek"},
        "preprocessor_config.json": {"image_size": 64, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "min_size": 14},
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def copied(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint that a test may spoil."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


@pytest.fixture(scope="session")
def loaded(checkpoint: Path) -> JanusProModel:
    return janus_pro.load(str(checkpoint), janus_pro.Settings())


@pytest.fixture(scope="session")
def photos() -> list[Picture]:
    rng = np.random.default_rng(0)
    sizes = [(40, 60), (64, 64), (90, 33)]
    return [Picture.from_pil(Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))) for size in sizes]
