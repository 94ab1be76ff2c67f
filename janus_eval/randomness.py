"""Where a sample's randomness comes from: its name, never its place in a batch, its worker or what ran before."""

from __future__ import annotations

import hashlib
import json


def seed_of(run_seed: int, task: str, sample: str, index: int) -> int:
    """The seed (0 <= seed < 2**63) of image or question ``index`` of a sample: the first 63 bits of a SHA-256."""
    name = json.dumps([run_seed, task, sample, index], ensure_ascii=False, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1
