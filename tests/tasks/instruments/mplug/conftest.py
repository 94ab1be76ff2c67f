"""The recorded case of ModelScope's mPLUG, and the instrument that its folder makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from janus_eval.tasks.instruments.mplug.config import Config, read_config
from janus_eval.tasks.instruments.mplug.instrument import MPlugVQA


@pytest.fixture(scope="session")
def recorded(repository: Path) -> Path:
    return repository / "tests" / "data" / "reference" / "mplug"


@pytest.fixture(scope="session")
def config(recorded: Path) -> Config:
    return read_config(recorded)


@pytest.fixture(scope="session")
def weights(recorded: Path) -> dict[str, Tensor]:
    return load_file(recorded / "model.safetensors")


@pytest.fixture(scope="session")
def generation(recorded: Path) -> dict[str, Tensor]:
    return load_file(recorded / "generation.safetensors")


@pytest.fixture(scope="session")
def answerer(recorded: Path) -> MPlugVQA:
    return MPlugVQA(recorded, device="cpu")
