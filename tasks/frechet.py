"""The Fréchet distance between features of drawn pictures and of references, and how sure it is.

    d2 = |m - r|^2 + tr S + tr R - 2 tr (R^1/2 S R^1/2)^1/2        (Dowson and Landau 1982; FID: Heusel et al. 2017)

m, S: mean and covariance of the drawn, r, R: of the references. FID tools take scipy's matrix square root of the
product S R, which is not symmetric: where it is nearly singular, as with fewer pictures than features, the root gets
imaginary parts, or a constant must be added to the diagonal. Here all matrices are symmetric and have their eigenvalues
taken, in float64; the two agree where both work. Shapes: N pictures, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Features: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.float64]

ROWS = 4096
"""Features that are widened to float64 at once: 30,000 of 2,048 would take half a gigabyte."""
NOTHING = 1e-7
"""Of the largest, a root of an eigenvalue below which it is rounding."""


class Gaussian(NamedTuple):
    """What the distance knows of a set of pictures: how many, mean ``[D]``, covariance ``[D, D]`` (over N - 1)."""

    n: int
    mean: Floats
    covariance: Floats


class Distance(NamedTuple):
    """The squared distance, and how much each picture pulls it up or down, ``[N]``: its influence, which sums to 0."""

    value: float
    influence: Floats


def gaussian(features: Features) -> Gaussian:
    """Moments of features ``[N, D]``. Raises ValueError for fewer than two rows, which have no covariance."""
    count = len(features)
    if count < 2:
        raise ValueError(f"got features of {count} pictures, 2 or more expected")
    mean = features.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((features.shape[1],) * 2)
    for rows in _centred(features, mean):
        scatter += rows.T @ rows
    return Gaussian(count, mean, scatter / (count - 1))


def merged(a: Gaussian, b: Gaussian) -> Gaussian:
    """Moments of both sets' pictures together (Chan, Golub and LeVeque 1979)."""
    n, apart = a.n + b.n, b.mean - a.mean
    scatter = (a.n - 1) * a.covariance + (b.n - 1) * b.covariance
    scatter += np.outer(apart, apart) * (a.n * b.n / n)
    return Gaussian(n, a.mean + apart * (b.n / n), scatter / (n - 1))


def distance(features: Features, references: Gaussian) -> Distance:
    """The distance of pictures' features ``[N, D]`` from the references.

    The influence is the distance's derivative towards a picture (infinitesimal jackknife, Jaeckel 1972): for one that
    lies z from the mean, 2 (m - r) z + z z - z T z less its mean, with T = R^1/2 (R^1/2 S R^1/2)^-1/2 R^1/2.
    Raises ValueError for fewer than two pictures or another number of features.
    """
    count, size = features.shape
    if references.mean.shape != (size,):
        raise ValueError(f"got {size} features a picture, the references have {len(references.mean)}")
    if count < 2:
        raise ValueError(f"got features of {count} pictures, 2 or more expected")
    mean = features.mean(axis=0, dtype=np.float64)
    towards = mean - references.mean
    roots, transported = (_few if count <= size else _many)(features, mean, references.covariance)
    squares = np.concatenate([(rows**2).sum(axis=1) for rows in _centred(features, mean)])
    along = np.concatenate([rows @ towards for rows in _centred(features, mean)])
    trace = math.fsum(squares) / (count - 1)
    value = float(towards @ towards) + trace + float(np.trace(references.covariance)) - 2 * math.fsum(roots)
    influence = 2 * along + squares - transported
    return Distance(max(value, 0.0), influence - influence.mean())


def _few(features: Features, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues of (R^1/2 S R^1/2)^1/2 that are not 0, and z T z of each picture, for N <= D.

    With A the centred rows over the root of N - 1, S is A' A and A R A' has the same eigenvalues, in an N x N matrix.
    """
    rows = (features - mean) / math.sqrt(len(features) - 1)
    values, vectors = linalg.eigh(rows @ covariance @ rows.T)
    roots = _roots(values)
    return roots, (len(features) - 1) * (vectors**2 @ roots)


def _many(features: Features, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """The same for N > D, in D x D matrices."""
    values, vectors = linalg.eigh(covariance)
    root = vectors * _roots(values)
    product = np.zeros_like(covariance)
    for rows in _centred(features, mean):
        mapped = rows @ root
        product += mapped.T @ mapped
    values, vectors = linalg.eigh(product / (len(features) - 1))
    roots = _roots(values)
    there = roots > 0
    to_root = (root @ vectors[:, there]) / np.sqrt(roots[there])
    return roots, np.concatenate([((rows @ to_root) ** 2).sum(axis=1) for rows in _centred(features, mean)])


def _roots(values: Floats) -> Floats:
    """Square roots of eigenvalues that can't be negative but for rounding; what is rounding becomes 0."""
    roots = np.sqrt(np.clip(values, 0.0, None))
    return np.where(roots > NOTHING * roots.max(initial=0.0), roots, 0.0)


def _centred(features: Features, mean: Floats) -> Iterator[Floats]:
    for start in range(0, len(features), ROWS):
        yield features[start : start + ROWS] - mean
