"""A detector with transformers' own checkpoint of Mask2Former (Swin-S) for COCO's instances.

It has the architecture of GenEval's detector and was trained elsewhere, so its boxes are other boxes: figures measured
with it are not GenEval's. transformers reads its weights and prepares pictures; from the network's logits on all is as
in ``mask2former``, since transformers' own way joins instances that overlap and gives no boxes.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import AbsentError, UserError
from janus_eval.fingerprint import digest
from janus_eval.tasks.instruments.files import VARIABLE, checked, folder
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.instrument import InstanceDetector, Seen
from janus_eval.tasks.instruments.mask2former.pipeline import Frame

if TYPE_CHECKING:
    from transformers import Mask2FormerForUniversalSegmentation

HUB = "facebook/mask2former-swin-small-coco-instance"
REVISION = "1b7ac41"
"""The first digits of the repository's last commit (September 2023); a commit names all of its files' contents."""
WEIGHTS = "model.safetensors"
VERSION = "1"


class CocoMask2Former(InstanceDetector):
    """Boxes and masks by COCO class, in the form of ``mask2former``'s.

    ``weights``: a folder as transformers saves one; by default the published one, from the folder of its name in that
    which JANUS_EVAL_WEIGHTS names, else from the hub's cache. ``device``: by default a GPU if there is one.
    """

    def __init__(self, weights: Path | None = None, *, device: str | None = None) -> None:
        self._given = weights
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        named = _hashed(Checkpoint(weights, (WEIGHTS,))) if weights else f"{HUB}@{REVISION}"
        self.version = f"{VERSION} weights {named} constants {digest([CLASSES, self.most])}"

    def prepare(self) -> None:
        """Raises AbsentError where the published weights are not to be had, UserError where they are others."""
        _ = self._checkpoint

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        if self._given:
            return Checkpoint(self._given, (WEIGHTS,))
        place = folder() / HUB.rpartition("/")[2]
        found, commit = (place, _downloaded_commit(place)) if place.is_dir() else _cached()
        how = f"hf download {HUB} --local-dir {place}"
        if found is None:
            raise AbsentError(
                f"the weights of {HUB}: {place} is not there, and the hub's cache lacks them; get them by {how}, or "
                f"name the folder that has them: {VARIABLE}=FOLDER"
            )
        if not commit.startswith(REVISION):
            raise UserError(f"{found} holds commit {commit or 'unknown'} of {HUB}, not {REVISION}; get it by {how}")
        return Checkpoint(found, (WEIGHTS,))

    def read(self) -> Mask2FormerForUniversalSegmentation:
        from transformers import Mask2FormerForUniversalSegmentation

        where = self._checkpoint.folder
        _ = self._checkpoint.weight_files, self._checkpoint.shapes()  # names what is missing or damaged
        loaded: Any = Mask2FormerForUniversalSegmentation.from_pretrained(
            where, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        model, told = loaded
        if wrong := [*told["missing_keys"], *told["mismatched_keys"]]:
            raise UserError(f"{where}: its weights do not fit: {len(wrong)} tensors, as {wrong[0]}")
        labels = model.config.id2label
        if len(labels) != len(CLASSES) or (labels[0], labels[len(CLASSES) - 1]) != (CLASSES[0], CLASSES[-1]):
            raise UserError(f"{where}: its {len(labels)} classes, from {labels[0]!r} on, are not COCO's {len(CLASSES)}")
        model.eval().requires_grad_(False)
        return model.to(self._device)  # type: ignore[no-any-return]

    def seen(self, image: Image.Image) -> Seen:
        pixels = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        # One picture at a time is only resized (to the checkpoint's size), not padded.
        size = (int(pixels.shape[1]), int(pixels.shape[2]))
        return Seen(Frame((image.height, image.width), size, size), pixels)

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoImageProcessor

        processors: Any = AutoImageProcessor
        return processors.from_pretrained(self._checkpoint.folder, local_files_only=True)


def _hashed(checkpoint: Checkpoint) -> str:
    """Of a folder's weights and of what prepares pictures for them."""
    files = [*checkpoint.weight_files, checkpoint.folder / "preprocessor_config.json"]
    return hashlib.sha256("".join(map(checked, files)).encode()).hexdigest()[:16]


def _cached() -> tuple[Path | None, str]:
    """Where the hub's client keeps the repository on this machine, and its commit. Nothing is fetched: this is called
    also by who only wants to know what is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = Path(snapshot_download(HUB, local_files_only=True))
    except LocalEntryNotFoundError:
        return None, ""
    return (found, found.name) if (found / WEIGHTS).is_file() else (None, "")


def _downloaded_commit(place: Path) -> str:
    """The commit that the hub's client noted beside the weights when it brought them; "" where it did not."""
    note = place / ".cache" / "huggingface" / "download" / f"{WEIGHTS}.metadata"
    return note.read_text(encoding="utf-8").partition("\n")[0].strip() if note.is_file() else ""
