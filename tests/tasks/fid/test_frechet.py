"""The distance against clean-fid's, its influences against differences, and what they say of chance against chance."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from scipy import linalg

from janus_eval.tasks.frechet import Features, distance, gaussian, merged

RECORDED = 0.1651166098949175
CASES = [(5, 7, 16), (16, 40, 16), (17, 40, 16), (50, 200, 64), (300, 200, 64)]


def features(count: int, size: int, seed: int, shift: float = 0.0) -> Features:
    """Positive and of falling spread, as a network's are."""
    random = np.random.RandomState(seed)
    spread = np.arange(1, size + 1) ** -0.5
    return (np.abs(random.standard_normal((count, size)) + shift) * spread).astype(np.float32)


callable_library = pytest.mark.skipif(
    "disp" not in inspect.signature(linalg.sqrtm).parameters,
    reason="clean-fid 0.1.35 calls scipy's sqrtm in a way that this scipy has no more",
)


@callable_library
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("count", "references", "size"), CASES)
def test_as_clean_fid(count: int, references: int, size: int) -> None:
    from cleanfid.fid import fid_from_feats

    drawn, other = features(count, size, 1), features(references, size, 2, shift=0.3)
    found = distance(drawn, gaussian(other))
    # It takes means in float32; and its root of a singular product is off by about the root of float64's precision.
    assert found.value == pytest.approx(fid_from_feats(drawn, other), abs=1e-6 if count <= size else 1e-7)


@callable_library
@pytest.mark.filterwarnings("ignore")
def test_as_its_formula_in_double_precision() -> None:
    from cleanfid.fid import frechet_distance

    drawn, other = gaussian(features(300, 64, 1)), gaussian(features(200, 64, 2, shift=0.3))
    library = frechet_distance(drawn.mean, drawn.covariance, other.mean, other.covariance)
    assert distance(features(300, 64, 1), other).value == pytest.approx(library, abs=1e-12)


def test_as_clean_fid_gave_it() -> None:
    """The value that clean-fid 0.1.35 gives with scipy 1.17, whatever is installed."""
    found = distance(features(300, 64, 1), gaussian(features(200, 64, 2, shift=0.3)))
    assert found.value == pytest.approx(RECORDED, abs=1e-7)


def test_both_ways_to_the_eigenvalues_agree() -> None:
    from janus_eval.tasks import frechet

    drawn, other = features(40, 40, 1), gaussian(features(90, 40, 2))
    mean = drawn.mean(axis=0, dtype=np.float64)
    (few, pulls), (many, same) = (way(drawn, mean, other.covariance) for way in (frechet._few, frechet._many))
    assert few.sum() == pytest.approx(many.sum(), abs=1e-9)
    assert pulls == pytest.approx(same, abs=1e-6)


def test_a_set_is_no_distance_from_itself() -> None:
    drawn = features(30, 50, 1)
    assert distance(drawn, gaussian(drawn)).value == pytest.approx(0, abs=1e-9)
    one = np.zeros((4, 8), np.float32)
    assert distance(one, gaussian(one)).value == 0 and not distance(one, gaussian(one)).influence.any()


@pytest.mark.parametrize(("count", "size"), [(60, 12), (12, 30)])
def test_the_influence_is_the_derivative_towards_a_picture(count: int, size: int) -> None:
    drawn, other = features(count, size, 1), gaussian(features(80, size, 2, shift=0.2))
    found = distance(drawn, other)
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)

    def weighted(place: int, share: float) -> float:
        """The distance where one picture has a little more weight, by the formula, not by our code."""
        weights = np.full(count, (1 - share) / count)
        weights[place] += share
        mean = weights @ drawn
        rows = (drawn - mean) * np.sqrt(weights)[:, None]
        covariance = rows.T @ rows * count / (count - 1)
        values = linalg.eigvals(covariance @ other.covariance).real
        towards = mean - other.mean
        return float(
            towards @ towards + np.trace(covariance + other.covariance) - 2 * np.sqrt(np.clip(values, 0, None)).sum()
        )

    for place in (0, 3, count - 1):
        slope = (weighted(place, 1e-5) - weighted(place, -1e-5)) / 2e-5
        # The covariance is over N - 1, which the derivative of one over N misses by a part in N.
        assert found.influence[place] == pytest.approx(slope, rel=3 / count, abs=3 * abs(found.influence).max() / count)


def test_the_influences_know_the_spread_between_samples() -> None:
    """Drawn a hundred times anew, the distance spreads as one sample's influences say."""
    other = gaussian(features(2000, 20, 0, shift=0.3))
    found = [distance(features(100, 20, seed), other) for seed in range(1, 101)]
    spread = np.std([sample.value for sample in found], ddof=1)
    said = np.mean([np.std(sample.influence, ddof=1) / 10 for sample in found])
    assert said == pytest.approx(spread, rel=0.25)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    rows = features(100, 9, 3, shift=1.0)
    whole, parts = gaussian(rows), merged(merged(gaussian(rows[:2]), gaussian(rows[2:41])), gaussian(rows[41:]))
    assert parts.n == whole.n == 100
    assert parts.mean == pytest.approx(whole.mean, abs=1e-12)
    assert parts.covariance == pytest.approx(whole.covariance, abs=1e-12)
    assert whole.covariance == pytest.approx(np.cov(rows.astype(np.float64), rowvar=False), abs=1e-12)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, other = features(50, 9, 3), gaussian(features(60, 9, 4))
    whole = distance(rows, other)
    monkeypatch.setattr("janus_eval.tasks.frechet.ROWS", 7)
    assert distance(rows, other).value == pytest.approx(whole.value, abs=1e-12)
    assert distance(rows, other).influence == pytest.approx(whole.influence, abs=1e-10)


@pytest.mark.parametrize(
    ("rows", "message"),
    [(features(1, 9, 0), "features of 1 pictures, 2 or more"), (features(5, 8, 0), "got 8 features")],
)
def test_what_has_no_distance_is_refused(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distance(rows, gaussian(features(60, 9, 4)))
    with pytest.raises(ValueError, match="2 or more expected"):
        gaussian(rows[:1])
