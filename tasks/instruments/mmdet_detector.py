"""GenEval's detector through mmdet itself, where it is installed: the same weights and sizes as ``mask2former``.

mmdet 3.3 prepares pictures otherwise than mmdet 2, on which GenEval's published script runs (``mask2former`` does what
mmdet 2 does), so this is another instrument. mmcv's compiled operations don't build on current versions of torch; they
are not needed, since the one that the detector would use has a plain version for the CPU.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from janus_eval.checkpoint import read_tensors
from janus_eval.errors import AbsentError, UserError
from janus_eval.fingerprint import digest
from janus_eval.tasks.instruments.files import DIGITS, WeightFile, expect_module, named_digits
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.instrument import URL, asked_picture
from janus_eval.types import JSON, Failure, Look, Observation

if TYPE_CHECKING:
    from janus_eval.tasks.instruments.mask2former.config import Sizes

RELEASE = "3.3.0"
"""Of mmdet; another one may see otherwise."""
CONFIG = "mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco.py"
VERSION = "1"


class _Found(NamedTuple):
    """mmdet's instances of one picture: boxes [n, 4], scores [n], labels [n], masks [n, H, W]; in no order."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


class MMDet:
    """Boxes and masks by COCO class, in the form of ``mask2former``'s.

    ``weights``: a file with mmdet's names, of mmdet 2 or 3; by default the published one, as for ``mask2former``.
    ``scale``: longest and shortest side that pictures are made to fit. ``device``: by default a GPU if there is one and
    mmcv has its compiled operations. Raises UserError where a file that is given is not what its name says.
    """

    kind = "detector"

    def __init__(
        self,
        weights: Path | None = None,
        *,
        sizes: Sizes | None = None,
        scale: tuple[int, int] = (1333, 800),
        device: str | None = None,
    ) -> None:
        self._weights = WeightFile(URL, "the detector's weights", named_digits(URL), weights)
        self._sizes = sizes
        self._scale = scale
        self._wanted_device = device
        constants: JSON = {"classes": CLASSES, "scale": scale, "sizes": asdict(sizes) if sizes else None}
        self.version = (
            f"{VERSION} mmdet {RELEASE} weights {self._weights.sha256[:DIGITS]} constants {digest(constants)}"
        )

    def prepare(self) -> None:
        """Raises AbsentError where mmdet or the published weights are absent, UserError where either is another one."""
        for module in ("mmdet", "mmcv", "mmengine"):
            expect_module(module, "mmdet", "the detector of mmdet")
        _ = self._weights.path
        release = imported().__version__
        if release != RELEASE:
            raise UserError(f"mmdet is {release}, {RELEASE} is expected: pip install 'janus-eval[mmdet]'")

    @cached_property
    def _network(self) -> Any:  # mmdet has no types
        """mmdet's model with the weights. Raises UserError where they don't fit."""
        from janus_eval.tasks.instruments.mask2former.config import OFFICIAL
        from janus_eval.tasks.instruments.mask2former.weights import COMPUTED, mmdet2_name

        imported()
        from mmdet.apis import init_detector

        network = init_detector(configuration(self._sizes or OFFICIAL, self._scale), None, device=self._device)
        names = {mmdet2_name(name): name for name in network.state_dict()}
        tensors = {names.get(name, name): tensor for name, tensor in read_tensors(self._weights.path).items()}
        try:
            missing, unknown = network.load_state_dict(tensors, strict=False)
        except RuntimeError as error:
            raise UserError(f"{self._weights.path}: its weights do not fit. {error}") from error
        missing = [name for name in missing if not COMPUTED.fullmatch(name)]
        if missing or unknown:
            problem = f"missing: {missing[:3]}, unknown: {list(unknown)[:3]}"
            raise UserError(f"{self._weights.path}: its weights do not fit mmdet's detector ({problem})")
        return network

    @property
    def _device(self) -> str:
        compiled = not isinstance(sys.modules.get("mmcv._ext"), _NoKernels)
        return self._wanted_device or ("cuda" if compiled and torch.cuda.is_available() else "cpu")

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Look at a batch, in order, one picture at a time: so mmdet's own function does."""
        return [self._observe(look) for look in looks]

    def self_test(self) -> str:
        """A made network must see on this device what it was recorded to see, and the weights must fit."""
        from janus_eval.tasks.instruments.mask2former.self_test import PIPELINE, SIZES, known_case

        _ = self._network
        return known_case(lambda path: MMDet(path, sizes=SIZES, scale=PIPELINE.scale, device=self._device))

    def _observe(self, look: Look) -> Observation | Failure:
        from janus_eval.tasks.instruments.mask2former.detect import run_lengths

        image = asked_picture(look)
        if isinstance(image, Failure):
            return image
        names, rgb = cast(Sequence[str], look.query["classes"]), np.asarray(image)
        found = self._found(rgb)
        boxes: dict[str, list[JSON]] = {name: [] for name in sorted(names, key=CLASSES.index)}
        masks: dict[str, list[JSON]] = {name: [] for name in boxes}
        for place in np.argsort(-found.scores, kind="stable"):
            name, score = CLASSES[found.labels[place]], float(found.scores[place])
            if name in boxes and score > 0:
                boxes[name].append([*map(float, found.boxes[place]), score])
                masks[name].append(run_lengths(found.masks[place]))
        return Observation({"size": list(rgb.shape[:2]), "boxes": boxes, "masks": masks})

    def _found(self, rgb: NDArray[np.uint8]) -> _Found:
        network = self._network
        from mmdet.apis import inference_detector

        # mmdet takes the channels as OpenCV reads them: blue first.
        said = inference_detector(network, np.ascontiguousarray(rgb[..., ::-1])).pred_instances
        return _Found(*(part.cpu().numpy() for part in (said.bboxes, said.scores, said.labels, said.masks)))


class _NoKernels(ModuleType):
    """Stands for mmcv's compiled operations where they are absent: to be imported, not to be used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # mmengine asks for it

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*arguments: object, **named: object) -> None:
            raise NotImplementedError(f"mmcv was installed without compiled operations, and {name} is one")

        return absent


def imported() -> Any:
    """mmdet, imported with or without mmcv's compiled operations. Raises AbsentError where something of it lacks."""
    try:
        if importlib.util.find_spec("mmcv._ext") is None:
            sys.modules["mmcv._ext"] = _NoKernels("mmcv._ext")
        import mmdet
    except ImportError as error:
        raise AbsentError(f"mmdet cannot be imported ({error}): pip install 'janus-eval[mmdet]'") from error
    return mmdet


def configuration(sizes: Sizes, scale: tuple[int, int]) -> Any:
    """mmdet's own configuration of the detector, in these sizes and for pictures of this scale."""
    from mmengine.config import Config

    config = Config.fromfile(Path(imported().__file__).parent / ".mim" / "configs" / "mask2former" / CONFIG)
    swin, head = config.model.backbone, config.model.panoptic_head
    swin.embed_dims, swin.depths = sizes.backbone.embed_dims, list(sizes.backbone.depths)
    swin.num_heads, swin.window_size = list(sizes.backbone.num_heads), sizes.backbone.window_size
    swin.mlp_ratio = int(sizes.backbone.mlp_ratio)  # mmdet multiplies by it and expects a whole number
    head.in_channels = [sizes.backbone.embed_dims << stage for stage in range(len(sizes.backbone.depths))]
    head.feat_channels, head.out_channels = sizes.feat_channels, sizes.out_channels
    head.num_queries = sizes.num_queries
    encoder, decoder = head.pixel_decoder.encoder, head.transformer_decoder
    encoder.num_layers, decoder.num_layers = sizes.pixel_decoder.num_layers, sizes.transformer_decoder.num_layers
    for layer, ours in (
        (encoder.layer_cfg, sizes.pixel_decoder),
        (decoder.layer_cfg, sizes.transformer_decoder),
    ):
        layer.ffn_cfg.update(embed_dims=sizes.feat_channels, feedforward_channels=ours.feedforward_channels)
        for attention in ("self_attn_cfg", "cross_attn_cfg"):
            if attention in layer:
                layer[attention].update(embed_dims=sizes.feat_channels, num_heads=ours.num_heads)
    encoder.layer_cfg.self_attn_cfg.num_points = sizes.num_points
    for part in (head, head.pixel_decoder):
        part.positional_encoding.num_feats = sizes.feat_channels // 2
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == "Resize":
            step.scale = scale
    return config
