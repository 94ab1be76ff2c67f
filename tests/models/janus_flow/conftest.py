"""A whole tiny JanusFlow checkpoint: the recorded weights, a tokenizer, and the recorded autoencoder beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from janus_eval.models.janus_flow.adapter import JanusFlowModel
from janus_eval.models.janus_flow.family import janus_flow


@pytest.fixture(scope="session")
def flow_reference(reference: Path) -> Path:
    return reference.parent / "janusflow"


@pytest.fixture(scope="session")
def flow_checkpoint(tmp_path_factory: pytest.TempPathFactory, flow_reference: Path, checkpoint: Path) -> Path:
    """Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("flow")
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(flow_reference / name, folder / name)
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        shutil.copyfile(checkpoint / name, folder / name)
    vae = folder / "vae"
    vae.mkdir()
    for source, name in (("config.json", "config.json"), ("model.safetensors", "diffusion_pytorch_model.safetensors")):
        shutil.copyfile(flow_reference.parent / "vae" / source, vae / name)
    assert "_class_name" not in json.loads((vae / "config.json").read_text())
    return folder


@pytest.fixture
def flow_copy(flow_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(flow_checkpoint, tmp_path / "flow"))


@pytest.fixture(scope="session")
def flow(flow_checkpoint: Path) -> JanusFlowModel:
    return janus_flow.load(str(flow_checkpoint), janus_flow.Settings(steps=5))
