"""The detector with transformers' own checkpoint, on a tiny one that transformers saves here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from janus_eval.errors import AbsentError, UserError
from janus_eval.pictures import Picture
from janus_eval.specs import offered
from janus_eval.tasks.instruments import coco_mask2former
from janus_eval.tasks.instruments.coco_mask2former import CocoMask2Former
from janus_eval.tasks.instruments.known import drawn_scene
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.self_test import SIZES
from janus_eval.types import Failure, Look, Observation

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
        SwinConfig,
    )

    swin = SwinConfig(
        embed_dim=8, depths=SIZES.backbone.depths, num_heads=SIZES.backbone.num_heads, window_size=7, mlp_ratio=2.0,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=swin, feature_size=32, hidden_dim=32, mask_feature_size=32, encoder_layers=1,
        encoder_feedforward_dim=32, decoder_layers=4, num_attention_heads=4, dim_feedforward=32, num_queries=8,
        id2label=dict(enumerate(CLASSES)), label2id={name: place for place, name in enumerate(CLASSES)},
    )  # fmt: skip
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("coco") / "net"
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    Mask2FormerImageProcessor(size={"height": 96, "width": 96}, size_divisor=32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def detector(saved: Path) -> CocoMask2Former:
    return CocoMask2Former(saved, device="cpu")


def look(*classes: str) -> Look:
    return Look({"classes": list(classes or CLASSES)}, image=Picture.from_pil(Image.fromarray(drawn_scene())))


def test_it_sees_what_transformers_says(detector: CocoMask2Former, saved: Path) -> None:
    """Masks and boxes of its logits, by hand for the best query."""
    from transformers import AutoImageProcessor, Mask2FormerForUniversalSegmentation

    (found,) = detector.observe([look()])
    assert isinstance(found, Observation)
    data: Any = found.data
    model: Any = Mask2FormerForUniversalSegmentation.from_pretrained(saved).eval()
    pixels = AutoImageProcessor.from_pretrained(saved)(images=Image.fromarray(drawn_scene()), return_tensors="pt")
    assert pixels["pixel_values"].shape == (1, 3, 96, 96)
    with torch.no_grad():
        said = model(pixel_values=pixels["pixel_values"])
    chances = said.class_queries_logits[0].softmax(-1)[:, :-1]
    query, label = divmod(int(chances.argmax()), len(CLASSES))
    logits = said.masks_queries_logits[0, query][None, None]
    for size in ((96, 96), (90, 120)):
        logits = torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    mask = logits[0, 0] > 0
    score = float(chances.max() * logits[0, 0][mask].sigmoid().mean())
    rows, columns = np.nonzero(mask.numpy())
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert data["size"] == [90, 120]
    assert any(
        row[:4] == [float(edge) for edge in box] and row[4] == pytest.approx(score, abs=1e-5)
        for row in data["boxes"][CLASSES[label]]
    )
    assert all(sum(runs) == 90 * 120 for runs in data["masks"][CLASSES[label]])


def test_it_is_another_instrument_with_its_own_self_test(detector: CocoMask2Former) -> None:
    assert "as mmdet saw them; the weights tell a scene from grey" in detector.self_test()
    assert isinstance(detector.observe([look("ufo")])[0], Failure)
    published = offered("instruments", "mask2former-coco")
    assert "mask2former-swin-small-coco-instance@1b7ac41" in published.version
    assert published.version != detector.version != offered("instruments", "mask2former").version


def changed(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "net"))


def test_what_moves_a_score_is_in_the_version(saved: Path, tmp_path: Path, detector: CocoMask2Former) -> None:
    folder = changed(saved, tmp_path)
    assert CocoMask2Former(folder).version == detector.version
    (folder / "preprocessor_config.json").write_text((folder / "preprocessor_config.json").read_text() + " ")
    assert CocoMask2Former(folder).version != detector.version


def test_a_checkpoint_that_does_not_fit_is_named(saved: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = changed(saved, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["class_predictor.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"weights do not fit: 1 tensors, as class_predictor\.weight"):
        CocoMask2Former(folder, device="cpu").self_test()
    config = json.loads((saved / "config.json").read_text())
    config["id2label"] = {str(place): f"LABEL_{place}" for place in range(80)}
    (changed(saved, tmp_path / "other") / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="its 80 classes, from 'LABEL_0' on, are not COCO's"):
        CocoMask2Former(tmp_path / "other" / "net", device="cpu").read()
    with pytest.raises(UserError, match="has no weights"):
        CocoMask2Former(tmp_path / "nowhere")


def test_published_weights_are_absent_or_of_the_stated_commit(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANUS_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(coco_mask2former, "_cached", lambda: (None, ""))
    with pytest.raises(AbsentError, match=r"is not there.*hf download facebook/mask2former-swin-small-coco-instance"):
        offered("instruments", "mask2former-coco").prepare()
    place = tmp_path / "mask2former-swin-small-coco-instance"
    shutil.copytree(saved, place)
    with pytest.raises(UserError, match="holds commit unknown of facebook"):
        offered("instruments", "mask2former-coco").prepare()
    note = place / ".cache" / "huggingface" / "download" / "model.safetensors.metadata"
    note.parent.mkdir(parents=True)
    note.write_text("dd3578c0000\netag\n1700000000.0\n")
    with pytest.raises(UserError, match="commit dd3578c0000"):
        offered("instruments", "mask2former-coco").prepare()
    note.write_text("1b7ac41000\netag\n1700000000.0\n")
    offered("instruments", "mask2former-coco").prepare()


def test_the_hubs_cache_is_read_and_never_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def nothing(name: str, *, local_files_only: bool) -> str:
        assert local_files_only
        raise LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing)
    assert coco_mask2former._cached() == (None, "")
    place = tmp_path / "snapshots" / "1b7ac41fff"
    place.mkdir(parents=True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, local_files_only: str(place))
    assert coco_mask2former._cached() == (None, "")
    (place / "model.safetensors").write_bytes(b"x")
    assert coco_mask2former._cached() == (place, "1b7ac41fff")
