"""The stage that stands in for SigLIP's own training, for encoders small enough to have no published weights.

The paper's three stages begin with an encoder that sees; from random weights, the answers of conversations say too
little about a picture to teach it (docs/decisions/nano-vision.md). Here every patch has to name what covers it, through
linear heads that are thrown away afterwards. The labels come from the scenes of the embedded world, so this stage needs
that world and takes no other data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from janus_eval.models.parts.siglip import Siglip
from janus_eval.tasks.shapes import patches


class Seeing(nn.Module):
    """An encoder with one linear head a label."""

    def __init__(self, vision: Siglip) -> None:
        super().__init__()
        self.vision = vision
        self.heads = nn.ModuleDict({name: nn.Linear(vision.config.width, n) for name, n in patches.CLASSES.items()})
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def losses(self, pixels: Tensor, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Normalised pixels ``[B, 3, S, S]``, labels ``[B, N]`` -> mean cross-entropies by label."""
        features = self.vision(pixels)
        found = {}
        for name, wanted in labels.items():
            logits = self.heads[name](features)
            # Patches of flat ground outnumber all others by far; they are the easiest, too.
            weights = torch.ones(logits.shape[-1], device=logits.device)
            if name in patches.NOTHING:
                weights[0] = 0.1
            loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), weights, ignore_index=patches.IGNORED)
            found[name] = loss if bool((wanted != patches.IGNORED).any()) else logits.sum() * 0.0
        return found


def stacked(examples: Sequence[patches.PatchExample]) -> dict[str, Tensor]:
    """Labels of a batch ``[B, N]`` by name."""
    return {
        name: torch.from_numpy(np.stack([example.labels[name] for example in examples])).flatten(1)
        for name in patches.CLASSES
    }
