"""The detector through mmdet: the adapter over a tiny stand-in for it, and mmdet itself where it is installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from janus_eval.cli.doctor import plugin_health
from janus_eval.errors import AbsentError, UserError
from janus_eval.pictures import Picture
from janus_eval.specs import offered
from janus_eval.tasks.instruments.known import drawn_scene
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.instrument import URL, Mask2Former
from janus_eval.tasks.instruments.mask2former.pipeline import Pipeline
from janus_eval.tasks.instruments.mask2former.self_test import PIPELINE, SIZES, made_weights
from janus_eval.tasks.instruments.mmdet_detector import CONFIG, MMDet, configuration
from janus_eval.types import Failure, Look, Observation

INSTALLED = importlib.util.find_spec("mmdet") is not None

APIS = """
from types import SimpleNamespace
import torch
from mmcv.ops import attention

seen = {}

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.panoptic_head = torch.nn.ModuleDict({"pixel_decoder": torch.nn.ModuleDict({"encoder": torch.nn.ModuleDict({
            "layers": torch.nn.ModuleList([torch.nn.ModuleDict({"self_attn": torch.nn.Linear(2, 2)})])})})})

def init_detector(config, checkpoint, device):
    seen.update(config=config, checkpoint=checkpoint, device=device)
    return Network()

def inference_detector(network, image):
    seen.update(image=image)
    height, width = image.shape[:2]
    masks = torch.zeros(4, height, width, dtype=torch.bool)
    masks[:3, 1:3, 1:4] = True
    return SimpleNamespace(pred_instances=SimpleNamespace(
        bboxes=torch.tensor([[1., 1, 4, 3], [1, 1, 4, 3], [1, 1, 4, 3], [0, 0, 0, 0]]),
        scores=torch.tensor([0.25, 0.75, 0.5, 0.0]), labels=torch.tensor([16, 16, 15, 16]), masks=masks))
"""
CONFIG_TEXT: Mapping[str, Any] = {
    "model": {
        "backbone": {"embed_dims": 96},
        "panoptic_head": {
            "positional_encoding": {"num_feats": 128},
            "pixel_decoder": {
                "positional_encoding": {"num_feats": 128},
                "encoder": {"layer_cfg": {"self_attn_cfg": {"num_levels": 3}, "ffn_cfg": {}}},
            },
            "transformer_decoder": {"layer_cfg": {"self_attn_cfg": {}, "cross_attn_cfg": {}, "ffn_cfg": {}}},
        },
    },
    "test_dataloader": {"dataset": {"pipeline": [{"type": "LoadImageFromFile"}, {"type": "Resize", "scale": [1, 1]}]}},
}
ENGINE = """
import json

class Config(dict):
    __setattr__ = dict.__setitem__

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name)

    @staticmethod
    def fromfile(path):
        return json.loads(path.read_text(), object_hook=Config)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Packages of mmdet's names with what the adapter calls; mmcv without its compiled operations."""
    files = {
        "mmdet/__init__.py": '__version__ = "3.3.0"\n',
        "mmdet/apis.py": APIS,
        f"mmdet/.mim/configs/mask2former/{CONFIG}": json.dumps(CONFIG_TEXT),
        "mmcv/__init__.py": "",
        "mmcv/ops.py": "from mmcv import _ext\nattention = _ext.ms_deform_attn_forward\n",
        "mmengine/__init__.py": "",
        "mmengine/config.py": ENGINE,
    }
    folder = tmp_path / "site"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in {"mmdet", "mmcv", "mmengine"}]:
            monkeypatch.delitem(sys.modules, name)

    forget()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] in {"mmdet", "mmcv", "mmengine"}]:
        del sys.modules[name]


LAYER = "panoptic_head.pixel_decoder.encoder.layers.0"


def weights(path: Path, name: str = f"{LAYER}.attentions.0", **more: torch.Tensor) -> Path:
    """As mmdet 2 names them."""
    save_file({f"{name}.weight": torch.eye(2), f"{name}.bias": torch.ones(2), **more}, path)
    return path


def look(*classes: str, size: tuple[int, int] = (6, 5)) -> Look:
    return Look({"classes": list(classes)}, image=Picture.from_pil(Image.new("RGB", size, (200, 100, 0))))


def test_what_mmdet_says_is_told_in_our_form(stand_in: Path, tmp_path: Path) -> None:
    detector = MMDet(weights(tmp_path / "net.safetensors"), sizes=SIZES, scale=(160, 96))
    detector.prepare()
    (found,) = detector.observe([look("dog", "cat", "car")])
    import mmdet.apis

    assert isinstance(found, Observation)
    box = [1.0, 1.0, 4.0, 3.0]
    assert found.data == {
        "size": [5, 6],
        "boxes": {"car": [], "cat": [[*box, 0.5]], "dog": [[*box, 0.75], [*box, 0.25]]},
        "masks": {"car": [], "cat": [[7, 3, 3, 3, 14]], "dog": [[7, 3, 3, 3, 14]] * 2},
    }
    assert json.loads(json.dumps(found.data)) == found.data
    assert mmdet.apis.seen["image"][0, 0].tolist() == [0, 100, 200], "blue first"
    assert mmdet.apis.seen["checkpoint"] is None, "mmdet would unpickle it"
    assert torch.equal(detector._network.state_dict()[f"{LAYER}.self_attn.weight"], torch.eye(2))


def test_looks_that_cannot_be_taken_fail_alone(stand_in: Path, tmp_path: Path) -> None:
    detector = MMDet(weights(tmp_path / "net.safetensors"))
    unread = Look({"classes": ["dog"]}, image=Picture(b"no picture"))
    found = detector.observe([look("ufo"), Look({"classes": ["dog"]}), unread, look("dog")])
    assert [isinstance(one, Failure) for one in found] == [True, True, True, False]


def test_compiled_operations_stay_unused(stand_in: Path, tmp_path: Path) -> None:
    MMDet(weights(tmp_path / "net.safetensors")).prepare()
    import mmcv.ops
    import mmdet.apis

    _ = MMDet(weights(tmp_path / "net.safetensors"))._network
    assert mmdet.apis.seen["device"] == "cpu", "whatever GPU there is: they would be needed there"
    with pytest.raises(NotImplementedError, match="without compiled operations, and ms_deform_attn_forward is one"):
        mmcv.ops.attention(1)


def test_sizes_and_scale_reach_mmdets_configuration(stand_in: Path) -> None:
    config = configuration(SIZES, (160, 96))
    head = config.model.panoptic_head
    assert config.model.backbone["depths"] == [1, 2, 1, 1] and head["in_channels"] == [8, 16, 32, 64]
    assert head.pixel_decoder.encoder.layer_cfg.self_attn_cfg == {
        "num_levels": 3, "embed_dims": 32, "num_heads": 4, "num_points": 4,
    }  # fmt: skip
    assert head.transformer_decoder.layer_cfg.cross_attn_cfg == {"embed_dims": 32, "num_heads": 4}
    assert head.transformer_decoder.layer_cfg.ffn_cfg == {"embed_dims": 32, "feedforward_channels": 32}
    assert head.transformer_decoder.num_layers == 3 and head.pixel_decoder.positional_encoding.num_feats == 16
    assert config.test_dataloader.dataset.pipeline[1].scale == (160, 96)


def test_weights_that_do_not_fit_are_named(stand_in: Path, tmp_path: Path) -> None:
    other = MMDet(weights(tmp_path / "other.safetensors", "backbone.norm"))
    with pytest.raises(UserError, match=r"missing: \['panoptic_head.*unknown: \['backbone\.norm\."):
        other.self_test()
    save_file(
        {f"{LAYER}.self_attn.{leaf}": torch.ones(3) for leaf in ("weight", "bias")}, tmp_path / "small.safetensors"
    )
    with pytest.raises(UserError, match="its weights do not fit"):
        _ = MMDet(tmp_path / "small.safetensors")._network


def test_another_release_and_no_mmdet_are_told(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stand_in / "mmdet" / "__init__.py").write_text('__version__ = "3.9.0"\n')
    with pytest.raises(UserError, match=r"mmdet is 3\.9\.0, 3\.3\.0 is expected"):
        MMDet(weights(tmp_path / "net.safetensors")).prepare()


@pytest.mark.skipif(INSTALLED, reason="mmdet is installed")
def test_without_mmdet_the_extra_is_named() -> None:
    with pytest.raises(AbsentError, match=r"needs mmdet, which is not installed: pip install 'janus-eval\[mmdet\]'"):
        offered("instruments", "mmdet").prepare()
    [sound] = [sound for line, sound in plugin_health() if "the detector of mmdet" in line]
    assert sound, "an extra that is not installed is no fault"


def test_the_version_is_its_own() -> None:
    assert "mmdet 3.3.0 weights 743b7d99 " in MMDet().version
    assert MMDet(scale=(400, 240)).version != MMDet().version != Mask2Former().version
    assert URL.endswith("743b7d99.pth")


@pytest.mark.skipif(not INSTALLED, reason="mmdet is not installed: pip install 'janus-eval[mmdet]'")
@pytest.mark.filterwarnings("ignore")
def test_mmdet_itself_sees_what_mask2former_sees(tmp_path: Path) -> None:
    path = tmp_path / "made.safetensors"
    save_file(made_weights(), path)
    theirs = MMDet(path, sizes=SIZES, scale=PIPELINE.scale, device="cpu")
    assert "as mmdet saw them" in theirs.self_test()
    ours = Mask2Former(path, sizes=SIZES, pipeline=Pipeline(scale=PIPELINE.scale), device="cpu")
    scene = Look({"classes": list(CLASSES)}, image=Picture.from_pil(Image.fromarray(drawn_scene())))
    (one,), (other,) = theirs.observe([scene]), ours.observe([scene])
    assert isinstance(one, Observation) and isinstance(other, Observation)
    a: Any = one.data["boxes"]
    b: Any = other.data["boxes"]
    for name in CLASSES:
        assert [box[:4] for box in a[name]] == [box[:4] for box in b[name]]
        np.testing.assert_allclose([box[4] for box in a[name]], [box[4] for box in b[name]], atol=1e-5)
