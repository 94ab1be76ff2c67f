"""ModelScope's beam search, which differs from the usual one where it can move an answer.

Rules of modelscope at 2905da1, ``models/multi_modal/mplug/predictor.py``: an answer's score is the sum of its tokens'
log-probabilities divided by ((5 + length) / 6) ** 0.6. A search ends when the best beam ends, or after ``longest``
tokens; then all its beams are taken for answers, ended or not. A beam that ends while another one leads is an answer
too, and is searched on beyond its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from janus_eval.tasks.instruments.mplug.config import Beams

START, END = 101, 102
"""[CLS] and [SEP] of BERT's vocabulary: fixed in ModelScope's code, whatever the vocabulary."""
ALPHA = 0.6
NEVER = -1e20


class Found(NamedTuple):
    """An answer: its tokens from the first, START, on, and its score."""

    ids: list[int]
    score: float


Step = Callable[[Tensor, Tensor], Tensor]
"""(answers so far [Q', K, L], which questions they are of [Q']) -> logits of the next tokens [Q', K, V]"""


def search(step: Step, questions: int, beams: Beams, device: torch.device) -> list[Found]:
    """The best answer to each question."""
    asked = torch.arange(questions, device=device)
    ids = torch.full((questions, beams.size, 1), START, device=device)
    # The first step goes on from one beam alone: all are alike.
    totals = torch.tensor([0.0] + [-torch.inf] * (beams.size - 1), device=device).repeat(questions, 1)
    found: list[list[Found]] = [[] for _ in range(questions)]
    for length in range(1, beams.longest + 1):
        logits = step(ids, asked).float()
        said = logits.softmax(-1).log()
        if length <= beams.shortest:
            said[..., END] = NEVER
        penalty = ((5.0 + length) / 6.0) ** ALPHA
        scores, places = ((said + totals[..., None]) / penalty).flatten(1).topk(beams.size)
        totals = scores * penalty
        parents, tokens = places // logits.shape[-1], places % logits.shape[-1]
        ids = torch.cat([ids.take_along_dim(parents[..., None], 1), tokens[..., None]], -1)
        ended = tokens == END
        over = ended[:, 0] | (length == beams.longest)
        for row, beam in (ended | over[:, None]).nonzero().tolist():
            found[int(asked[row])].append(Found(ids[row, beam].tolist(), float(scores[row, beam])))
        if bool(over.all()):
            break
        asked, ids, totals = asked[~over], ids[~over], totals[~over]
    return [max(answers, key=lambda answer: answer.score) for answers in found]
