"""From pixels to what an adapter gives back: pictures, or failures that say why there is none.

Shapes: P images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from janus_eval.models.parts.processor import center_crop, to_bytes
from janus_eval.pictures import Picture, PictureError
from janus_eval.types import Failure, Response


def drawn(
    pixels: Tensor, broken: Sequence[str], prompts: Sequence[Sequence[int]], count: int
) -> list[Response | Failure]:
    """Images ``[P, 3, H, W]`` about [-1, 1] as responses of ``count`` tokens; ``broken``: why one is none, or ""."""
    finite = pixels.isfinite().flatten(1).all(1).tolist()
    results: list[Response | Failure] = []
    for ids, image, reason, sound in zip(prompts, to_bytes(pixels), broken, finite, strict=True):
        if reason or not sound:
            results.append(Failure(reason or "the decoded pixels are not finite"))
        else:
            picture = Picture.from_pil(Image.fromarray(image))
            results.append(Response(image=picture, input_tokens=len(ids), output_tokens=count))
    return results


def reconstructed(images: Sequence[Picture], size: int, through: Callable[[Tensor], Tensor]) -> list[Picture | Failure]:
    """Each image at the size that is drawn (short side to it, the long one cropped) ``through`` a model and back.

    ``through`` takes and gives ``[1, 3, size, size]`` in [-1, 1].
    """
    results: list[Picture | Failure] = []
    for image in images:
        try:
            cropped = center_crop(image.load(), size)
        except PictureError as error:
            results.append(Failure(str(error)))
            continue
        values = torch.from_numpy(np.asarray(cropped).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
        results.append(Picture.from_pil(Image.fromarray(to_bytes(through(values[None]))[0])))
    return results
