"""The recorded case of mmdet's Mask2Former, and the detector that its weights make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from janus_eval.tasks.instruments.mask2former.config import Raw, Sizes, read_sizes
from janus_eval.tasks.instruments.mask2former.instrument import Mask2Former
from janus_eval.tasks.instruments.mask2former.parity import read_pipeline
from janus_eval.tasks.instruments.mask2former.pipeline import Pipeline


@pytest.fixture(scope="session")
def recorded(repository: Path) -> Path:
    return repository / "tests" / "data" / "reference" / "mask2former"


@pytest.fixture(scope="session")
def raw(recorded: Path) -> Raw:
    return Raw(json.loads((recorded / "config.json").read_text()), "config.json")


@pytest.fixture(scope="session")
def sizes(raw: Raw) -> Sizes:
    return read_sizes(raw)


@pytest.fixture(scope="session")
def pipeline(raw: Raw) -> Pipeline:
    return read_pipeline(raw.part("test"))


@pytest.fixture(scope="session")
def weights(recorded: Path) -> dict[str, Tensor]:
    return load_file(recorded / "model.safetensors")


@pytest.fixture(scope="session")
def detector(recorded: Path, sizes: Sizes, pipeline: Pipeline) -> Mask2Former:
    return Mask2Former(recorded / "model.safetensors", sizes=sizes, pipeline=pipeline, device="cpu")
