"""Features of pictures for FID, by the library clean-fid: its network, and its resizing in the mode ``clean``.

The network is Inception v3 as Heusel et al. (2017) took it from TensorFlow's model zoo (2015-12-05): 2,048 numbers a
picture, from its last pooling. Resizing to the network's 299 pixels is Pillow's bicubic in floating point (Parmar,
Zhang and Zhu 2022). The library fetches its weights into /tmp and does not check them; here they are a file with a
checksum, as any instrument's. What it makes of the features is not used: see ``janus_eval.tasks.frechet``.
"""

from __future__ import annotations

import base64
import importlib.metadata
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import Picture, PictureError
from janus_eval.tasks.instruments.files import WeightFile, expect_module
from janus_eval.types import JSON, Failure, Look, Observation

SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
FILE = "inception-2015-12-05.pt"
URL = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{FILE}"
"""Where clean-fid fetches it; NVIDIA publishes no checksum, this is that of the file as many projects have it."""

AT_ONCE = 32
VERSION = "1"

Features: TypeAlias = NDArray[np.float32]


class Inception:
    """2,048 features a picture. ``data``: them as base64 of little-endian float32, and ``network``: what made them.

    ``weights``: a TorchScript file under its published name; by default the published one, from the folder that
    JANUS_EVAL_WEIGHTS names. ``device``: by default a GPU if there is one.
    """

    kind = "features"
    side: int | None = None
    """Of the square that a picture becomes before all else: its middle, resized in whole levels. None: as it is."""

    def __init__(self, weights: Path | None = None, *, device: str | None = None) -> None:
        self._weights = WeightFile(URL, "the network of FID", SHA256, weights)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        first = f"middle at {self.side} px, bicubic (references: Lanczos)" if self.side else "whole"
        library = _installed("clean-fid")
        self.version = f"{VERSION} clean-fid {library} weights {self._weights.sha256[:16]} pictures {first}"

    @property
    def network(self) -> str:
        """What made the features, by a digest: those of one network can't be held against another's."""
        return digest(self.version)

    def prepare(self) -> None:
        """Raises AbsentError where the library or the weights are absent, UserError where these are others."""
        expect_module("cleanfid", "fid", "the network of FID")
        _ = self._weights.path

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Look at a batch, in order."""
        images: list[Image.Image] = []
        results: list[Observation | Failure | None] = []
        for look in looks:
            try:
                if look.image is None:
                    results.append(Failure("there is no picture to look at"))
                else:
                    images.append(self._first(look.image, Image.Resampling.BICUBIC))
                    results.append(None)
            except PictureError as error:
                results.append(Failure(f"the picture cannot be looked at: {error}"))
        found = (self._observation(row) for batch in self._features(images) for row in batch)
        return [next(found) if result is None else result for result in results]

    def reference(self, pictures: Iterable[Picture]) -> Iterator[Features]:
        """Features of pictures to hold drawn ones against, in batches ``[B, 2048]``.

        Raises PictureError for what can't be opened, UserError where features are not finite.
        """
        for batch in self._features(self._first(picture, Image.Resampling.LANCZOS) for picture in pictures):
            if not np.isfinite(batch).all():
                raise UserError("the network of FID gave features that are not finite")
            yield batch

    def self_test(self) -> str:
        """The more noise lies over a picture, the further its features must be from those without."""
        rows, columns = np.mgrid[:128, :128]
        plain = np.stack([2 * rows, 255 - 2 * columns, rows + columns], axis=2) % 256
        noise = np.random.RandomState(0).standard_normal(plain.shape)
        levels = (0, 10, 40, 120)
        images = [np.clip(plain + level * noise, 0, 255).astype(np.uint8) for level in levels]
        found = next(self._features([Image.fromarray(image) for image in images]))
        distances = np.linalg.norm(found - found[0], axis=1)
        if not np.isfinite(found).all() or not (np.diff(distances) > 0).all():
            raise AssertionError(f"distances {distances.round(3).tolist()} from a picture without noise should rise")
        return "features move with noise"

    def _first(self, picture: Picture, resampling: Image.Resampling) -> Image.Image:
        """What happens to a picture before the library has it. Raises PictureError."""
        image = picture.load()
        if self.side is None:
            return image
        short = min(image.size)
        # torchvision's center_crop, which rounds halves to even
        left, top = round((image.width - short) / 2), round((image.height - short) / 2)
        return image.crop((left, top, left + short, top + short)).resize((self.side, self.side), resampling)

    def _observation(self, row: Features) -> Observation | Failure:
        if not np.isfinite(row).all():
            return Failure("the picture's features are not finite")
        return Observation({"features": encoded(row), "network": self.network})

    def _features(self, images: Iterable[Image.Image]) -> Iterator[Features]:
        """Batches ``[B, 2048]``, of at most ``AT_ONCE`` images."""
        from cleanfid.resize import build_resizer

        resize, source = build_resizer("clean"), iter(images)
        while batch := list(itertools.islice(source, AT_ONCE)):
            pixels = np.stack([resize(np.asarray(image)) for image in batch]).transpose(0, 3, 1, 2)
            yield self._through(torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)))

    @torch.inference_mode()
    def _through(self, pixels: torch.Tensor) -> Features:
        # TensorFloat-32, a GPU's default here, keeps 10 bits; FID is a small difference of large sums.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found: Features = self._network(pixels.to(self._device)).float().cpu().numpy()
        return found

    @cached_property
    def _network(self) -> Any:  # clean-fid has no types
        from cleanfid.inception_torchscript import InceptionV3W

        path = self._weights.path
        if path.name != FILE:
            raise UserError(f"{path}: the network of FID is read under the name {FILE} alone")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch announces another format than TorchScript
                network = InceptionV3W(str(path.parent), download=False)
        except (RuntimeError, AttributeError) as error:
            raise UserError(f"{path} holds no network of FID in TorchScript ({error})") from error
        return network.eval().to(self._device)


class Inception256(Inception):
    """The same of the pictures' middles at 256 pixels, as GigaGAN's evaluation has it, which Janus' authors used.

    That script resizes with Lanczos; of drawn pictures Janus' authors say that they were brought from 384 to 256 pixels
    with bicubic, after which the script has nothing left to do (deepseek-ai/Janus #22).
    """

    side = 256


def encoded(row: Features) -> JSON:
    """Features as base64 of little-endian float32."""
    return base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")


def _installed(package: str) -> str:
    """Its version, known without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
