"""The colour classifier on a tiny random CLIP: crops, templates, rows; and what it is spared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from janus_eval.errors import AbsentError, UserError
from janus_eval.pictures import Picture
from janus_eval.specs import offered
from janus_eval.tasks.geneval import Knobs, UnseenColourError, judge_picture, likeliest_colours
from janus_eval.tasks.instruments import clip_colours
from janus_eval.tasks.instruments.clip_colours import COLOURS, ClipColours, unpacked
from janus_eval.types import Failure, Look, Observation

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE = (40, 30)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import clip.model

    torch.manual_seed(0)
    model = clip.model.CLIP(32, 32, 1, 64, 16, 77, 49408, 64, 1, 1)
    path = tmp_path_factory.mktemp("clip") / "tiny.safetensors"
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def classifier(weights: Path) -> ClipColours:
    return ClipColours(weights, device="cpu")


def runs(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[0], mask.flatten().astype(int), [2]])
    edges = np.flatnonzero(np.diff(flat))
    if mask.flat[0]:
        edges = np.concatenate([[0], edges[1:]])
    lengths = np.diff(np.concatenate([[0], edges[:-1], [mask.size]])).tolist()
    return [int(length) for length in lengths]


def look(*boxes: list[float], name: str = "apple", shade: str = "red") -> Look:
    image = Image.new("RGB", SIZE, shade)
    image.paste("white", (0, 0, 10, 30))
    masks = []
    for left, top, right, bottom, _ in boxes:
        mask = np.zeros(SIZE[::-1], bool)
        mask[int(top) : int(bottom), int(left) : int(right)] = True
        masks.append(runs(mask))
    detector = {"size": [30, 40], "boxes": {name: list(boxes)}, "masks": {name: masks}}
    return Look({"classes": [name]}, image=Picture.from_pil(image), earlier={"detector": detector})  # type: ignore[dict-item]


def rows(found: Observation | Failure, name: str = "apple") -> list[Any]:
    assert isinstance(found, Observation), found
    assert found.data["colours"] == list(COLOURS)
    table: Any = found.data["probabilities"]
    return list(table[name])


def test_run_lengths_and_masks() -> None:
    for seed in range(5):
        mask = np.random.default_rng(seed).random((30, 40)) < 0.5
        assert np.array_equal(np.asarray(unpacked(runs(mask), SIZE)) > 0, mask)


def test_a_row_a_box_and_none_where_no_threshold_lets_it_through(classifier: ClipColours) -> None:
    seen = look([12, 2, 30, 20, 0.9], [0, 0, 40, 30, 0.05], [5, 5, 20, 20, 0.4])
    (found,) = classifier.observe([seen])
    first, second, third = rows(found)
    assert second is None and first != third
    assert all(len(row) == 10 and abs(sum(row) - 1) < 1e-4 for row in (first, third))
    many = look(*[[1.0, 1.0, 20.0, 20.0, 0.2 + k / 100] for k in range(20)])
    (found,) = classifier.observe([many])
    assert [k for k, row in enumerate(rows(found)) if row is None] == [0, 1, 2, 3], "sixteen of a class, the best ones"


def test_what_lies_outside_the_mask_is_grey(classifier: ClipColours) -> None:
    """The same box over two grounds: only what the mask shows counts."""
    box = [12.0, 2.0, 30.0, 20.0, 0.9]
    plain, other = look(box), look(box)
    inside = Image.new("RGB", SIZE, "black")
    inside.paste("red", (12, 2, 30, 20))
    changed = Look(other.query, image=Picture.from_pil(inside), earlier=other.earlier)
    (a,), (b,) = classifier.observe([plain]), classifier.observe([changed])
    assert rows(a) == rows(b)
    wide = Look(
        plain.query,
        image=plain.image,
        earlier={"detector": {**plain.earlier["detector"], "masks": {"apple": [[0, 1200]]}}},
    )
    assert rows(classifier.observe([wide])[0]) == rows(a), "the box is filled here: its mask makes no difference"


def test_as_the_published_rules_say_it_by_hand(classifier: ClipColours) -> None:
    import clip
    import clip.clip

    seen = look([12, 2, 30, 20, 0.9], name="teddy bear")
    assert seen.image is not None
    model = classifier._network.model
    crop = seen.image.load().crop((12, 2, 30, 20))
    with torch.no_grad():
        image = model.encode_image(clip.clip._transform(32)(crop)[None])
        image = image / image.norm(dim=-1, keepdim=True)
        columns = []
        for colour in COLOURS:
            texts = [f"a photo of a {colour} teddy bear", f"a photo of a {colour}-colored teddy bear",
                     f"a photo of a {colour} object"]  # fmt: skip
            embedded = model.encode_text(clip.tokenize(texts))
            mean = (embedded / embedded.norm(dim=-1, keepdim=True)).mean(0)
            columns.append(mean / mean.norm())
        expected = (100 * image @ torch.stack(columns, dim=1)).softmax(-1)[0]
    found = torch.tensor(rows(classifier.observe([seen])[0], "teddy bear")[0])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_batches_change_nothing(classifier: ClipColours, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [look([2, 2, 30, 20, 0.9], shade=shade) for shade in ("red", "blue", "green")]
    seen += [look([1, 1, 9, 9, 0.5], name="car")]
    together = classifier.observe(seen)
    monkeypatch.setattr(clip_colours, "CROPS_AT_ONCE", 1)
    for one, all_at_once in zip(seen, together, strict=True):
        (alone,) = classifier.observe([one])
        name = str(one.query["classes"][0])  # type: ignore[index]
        np.testing.assert_allclose(rows(alone, name)[0], rows(all_at_once, name)[0], atol=1e-5)


def test_looks_that_fail_fail_alone(classifier: ClipColours) -> None:
    fine = look([2, 2, 30, 20, 0.9])
    outcomes = classifier.observe(
        [Look(fine.query), Look(fine.query, image=fine.image), fine,
         Look(fine.query, image=Picture(b"no"), earlier=fine.earlier)]
    )  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [Failure, Failure, Observation, Failure]
    assert "no detector" in str(outcomes[1])


def test_a_colour_that_decides_and_was_not_looked_at_is_neither_right_nor_wrong() -> None:
    metadata: dict[str, Any] = {"tag": "colors", "include": [{"class": "apple", "count": 1, "color": "red"}]}
    boxes = {"apple": [[0, 0, 9, 9, 0.08]]}
    colours = likeliest_colours({"colours": list(COLOURS), "probabilities": {"apple": [None]}})
    assert not judge_picture(metadata, boxes, colours).correct, "no box passes: nothing to look at"
    with pytest.raises(UnseenColourError, match="apple"):
        judge_picture(metadata, boxes, colours, Knobs(threshold=0.05))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("JANUS_EVAL_WEIGHTS", str(tmp_path))
    yield tmp_path


def test_absent_or_other_weights_are_told(empty: Path, weights: Path) -> None:
    with pytest.raises(AbsentError, match=r"ViT-L-14\.pt is not there; download https://openaipublic"):
        offered("instruments", "clip-colours").prepare()
    (empty / "ViT-L-14.pt").write_bytes(b"another")
    with pytest.raises(UserError, match="is not the published file"):
        offered("instruments", "clip-colours").prepare()
    save_file({"x": torch.zeros(1)}, empty / "odd.safetensors")
    with pytest.raises(UserError, match="holds no CLIP with OpenAI's names"):
        ClipColours(empty / "odd.safetensors").observe([look([2, 2, 30, 20, 0.9])])


def test_other_weights_are_another_version(weights: Path, tmp_path: Path, classifier: ClipColours) -> None:
    (tmp_path / "other.safetensors").write_bytes(weights.read_bytes() + b" ")
    assert ClipColours(tmp_path / "other.safetensors").version != classifier.version
