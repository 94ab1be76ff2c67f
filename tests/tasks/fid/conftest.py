"""A benchmark like MJHQ-30K in small: thirty pictures in a zip, their prompts, and a network of random weights in the
published one's form."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from janus_eval.tasks import datasets, mjhq
from janus_eval.tasks.instruments import inception

PER_CATEGORY = 3


class _Layers(nn.Module):
    """Two steps to 2,048 features that are not negative, as the published network's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 24, 12)
        self.second = nn.Conv2d(8, 2048, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3))


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = _Layers()

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(x))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / inception.FILE
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(_Network().eval()).save(str(path))
    return path


@dataclass(frozen=True)
class Small:
    """Where the small benchmark lies, and the pictures' names by category."""

    data: Path
    references: Path
    names: dict[str, list[str]]

    def extracted(self) -> Path:
        folder = self.data / "extracted"
        with zipfile.ZipFile(self.data / mjhq.IMAGES) as archive:
            archive.extractall(folder)
        return folder


@pytest.fixture
def small(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """In the place of the published benchmark and of the published network, for one test."""
    return _published(tmp_path, weights, monkeypatch)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Small]:
    """The same for all tests of a module, which leave it as it is."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield _published(tmp_path_factory.mktemp("shared"), weights, monkeypatch)


def _published(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    random = np.random.RandomState(0)
    names: dict[str, list[str]] = {}
    table = {}
    with zipfile.ZipFile(tmp_path / mjhq.IMAGES, "w") as archive:
        for category in mjhq.CATEGORIES:
            for number in range(PER_CATEGORY):
                name = hashlib.sha1(f"{category} {number}".encode()).hexdigest()
                names.setdefault(category, []).append(name)
                table[name] = {"category": category, "prompt": f"a photo of {number + 2} circles"}
                pixels = random.randint(0, 256, (20, 25, 3)).astype(np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(pixels).resize((100, 80), Image.Resampling.BICUBIC).save(buffer, "JPEG")
                archive.writestr(f"root/{category}/{name}.jpg", buffer.getvalue())
        archive.writestr(f"__MACOSX/root/animals/._{names['animals'][0]}.jpg", b"no picture")
    (tmp_path / mjhq.PROMPTS).write_text(json.dumps(table))

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    files = tuple(replace(file, checksum=f"sha256:{digest(tmp_path / file.name)}") for file in datasets.mjhq.files)
    monkeypatch.setattr(datasets, "mjhq", replace(datasets.mjhq, files=files))
    monkeypatch.setattr(inception, "SHA256", digest(weights))
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    monkeypatch.setenv("JANUS_EVAL_WEIGHTS", str(weights.parent))
    monkeypatch.setenv("JANUS_EVAL_REFERENCES", str(tmp_path / "references"))
    return Small(tmp_path, tmp_path / "references", names)
