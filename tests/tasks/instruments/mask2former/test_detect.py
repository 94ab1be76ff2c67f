"""From logits to instances, against the rules followed one pair at a time."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from janus_eval.tasks.instruments.mask2former import detect
from janus_eval.tasks.instruments.mask2former.detect import boxes_of, candidates, instances, run_lengths
from janus_eval.tasks.instruments.mask2former.pipeline import Frame

FRAME = Frame((50, 37), (54, 40), (64, 64))


def random_logits(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    classes = 3 * torch.randn(9, 6, generator=generator)
    masks = F.interpolate(torch.randn(9, 1, 4, 4, generator=generator), size=(16, 16), mode="bilinear")[:, 0]
    masks[3] = -1  # found nowhere
    return classes, 4 * masks


def one_by_one(classes: Tensor, masks: Tensor, most: int) -> list[tuple[float, int, list[float], NDArray[np.bool_]]]:
    """score, label, box, mask of the ``most`` likeliest pairs, best first."""
    pairs = [
        (float(query.softmax(0)[label]), place, label)
        for place, query in enumerate(classes)
        for label in range(classes.shape[1] - 1)
    ]
    found = []
    for probability, place, label in sorted(pairs, reverse=True)[:most]:
        enlarged = F.interpolate(masks[place][None, None], size=(64, 64), mode="bilinear", align_corners=False)
        seen = F.interpolate(enlarged[:, :, :54, :40], size=(50, 37), mode="bilinear", align_corners=False)[0, 0]
        inside = (seen > 0).numpy()
        rows, columns = np.nonzero(inside)
        if len(rows):
            score = probability * float(seen.sigmoid()[seen > 0].mean())
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        else:
            score, box = 0.0, [0, 0, 0, 0]
        found.append((score, label, [float(edge) for edge in box], inside))
    return sorted(found, key=lambda item: -item[0])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_instances_are_those_of_the_rules(seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "AT_ONCE", at_once)
    classes, masks = random_logits(seed)
    expected = one_by_one(classes, masks, 20)
    found = instances(classes, masks, FRAME, 20, lambda mask: mask.copy())
    assert len(found.scores) == 20 and found.scores.dtype == torch.float32
    assert sorted(found.labels.tolist()) == sorted(label for _, label, _, _ in expected)
    for place, (score, label, box, mask) in enumerate(expected):
        assert found.scores[place].item() == pytest.approx(score, abs=1e-6)
        if score > 0:
            assert (found.labels[place], found.boxes[place].tolist()) == (label, box)
            assert np.array_equal(found.masks[int(found.which[place])], mask)


def test_wanted_labels_are_chosen_after_the_likeliest_pairs() -> None:
    classes, masks = random_logits(7)
    every = instances(classes, masks, FRAME, 20, run_lengths)
    some = instances(classes, masks, FRAME, 20, run_lengths, frozenset({1, 4}))
    kept = torch.isin(every.labels, torch.tensor([1, 4]))
    assert 0 < len(some.scores) < 20
    assert torch.equal(some.scores, every.scores[kept]) and torch.equal(some.boxes, every.boxes[kept])
    assert [some.masks[i] for i in some.which] == [every.masks[i] for i in every.which[kept]]
    assert len(some.masks) == len(set(some.which.tolist()))
    none = instances(classes, masks, FRAME, 1, run_lengths, frozenset({int(candidates(classes, 1).labels) ^ 1}))
    assert none.scores.shape == (0,) and none.boxes.shape == (0, 4) and none.masks == []


def test_fewer_pairs_than_wanted() -> None:
    classes, masks = random_logits(1)
    assert len(instances(classes, masks, FRAME, 100, run_lengths).scores) == 9 * 5


def test_no_object_is_no_class() -> None:
    classes = torch.zeros(1, 3)
    classes[0, 2] = 20
    found = candidates(classes, 10)
    assert found.labels.tolist() in ([0, 1], [1, 0]) and (found.probabilities < 1e-6).all()


def test_boxes() -> None:
    masks = torch.zeros(3, 4, 6, dtype=torch.bool)
    masks[0, 1:3, 2:5] = masks[1] = True
    assert boxes_of(masks).tolist() == [[2, 1, 5, 3], [0, 0, 6, 4], [0, 0, 0, 0]]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_run_lengths_give_the_mask_back(share: float) -> None:
    mask = np.random.default_rng(1).random((5, 7)) < share
    runs = run_lengths(mask)
    assert sum(runs) == 35 and all(length > 0 for length in runs[1:]) and all(type(n) is int for n in runs)
    edges = [0, *accumulate(runs)]
    again = np.zeros(35, dtype=bool)
    for start, stop in zip(edges[1::2], edges[2::2], strict=False):
        again[start:stop] = True
    assert np.array_equal(again.reshape(5, 7), mask)
    assert runs[0] > 0 or mask[0, 0]
