"""Small checkpoints that ship with the package, in the published file formats, trained on the shapes world."""

from __future__ import annotations

from pathlib import Path

from janus_eval.models.janus_pro.family import Guidance, JanusProFamily, JanusProSettings, Temperature
from janus_eval.models.parts.settings import AnswerTokens


class NanoJanusProSettings(JanusProSettings):
    """What the nano checkpoint draws best with, chosen on other samples than the tasks' own (docs/nano.md)."""

    guidance: Guidance = 1.75
    temperature: Temperature = 0.5
    max_answer_tokens: AnswerTokens = 64


nano_janus_pro = JanusProFamily(str(Path(__file__).parent / "janus_pro"), NanoJanusProSettings)
