"""Fingerprints: hashes of all that can move a number, in six parts, so that a disagreement can be named.

``data`` the samples; ``ask`` the protocol's asking, the run's seed and every request as worded; ``observe`` the
instruments and their versions; ``judge`` the protocol's judging; ``settings`` the model's settings and dtype;
``weights`` the model's weights. The device is no part of it: run.json names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from janus_eval.types import JSON, Protocol, Request, Sample

PARTS = ("data", "ask", "observe", "judge", "settings", "weights")
Fingerprint: TypeAlias = dict[str, str]


def digest(value: Any, *, sort_keys: bool = True) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a JSON value. Raises TypeError for anything that is not JSON."""
    text = json.dumps(value, sort_keys=sort_keys, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sample_row(sample: Sample) -> dict[str, JSON]:
    """All of a sample but the pixels, which stand in it by their digest."""
    return {
        "id": sample.id,
        "group": sample.group,
        "category": sample.category,
        "inputs": sample.inputs,
        "target": sample.target,
        "metadata": sample.metadata,
        "images": [image.digest for image in sample.images],
    }


def data_part(samples: Iterable[Sample]) -> str:
    """Samples count in sorted order: another order is the same data. Keys don't: an option's place is part of it."""
    return digest(sorted(digest(sample_row(sample), sort_keys=False) for sample in samples))


def ask_part(protocol: Protocol, seed: int, requests: Iterable[Request]) -> str:
    return digest([protocol.ask, seed, sorted([*request.key, request.id] for request in requests)])


def observe_part(observers: Sequence[tuple[str, str, str]]) -> str:
    """``observers``: (role, instrument, version) in the order they are asked."""
    return digest([list(observer) for observer in observers])


def settings_part(settings: Mapping[str, Any], dtype: str) -> str:
    return digest([settings, dtype])


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Names of the parts that differ, in the order of PARTS."""
    return [part for part in PARTS if ours.get(part) != theirs.get(part)]
