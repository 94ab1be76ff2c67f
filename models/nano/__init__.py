"""Small checkpoints that ship with the package, in the published file formats, trained on the shapes world."""

from __future__ import annotations

from pathlib import Path

from janus_eval.models.janus_flow.family import FlowGuidance, JanusFlowFamily, JanusFlowSettings, Steps
from janus_eval.models.janus_pro.family import Guidance, JanusProFamily, JanusProSettings, Temperature
from janus_eval.models.parts.settings import AnswerTokens


class NanoJanusProSettings(JanusProSettings):
    """What the nano checkpoint draws best with, chosen on other samples than the tasks' own (docs/nano.md)."""

    guidance: Guidance = 1.75
    temperature: Temperature = 0.5
    max_answer_tokens: AnswerTokens = 64


class NanoJanusFlowSettings(JanusFlowSettings):
    """Chosen likewise. Its language model comes from the nano Janus-Pro, and the role strings with it."""

    user_role: str = "<|User|>"
    assistant_role: str = "<|Assistant|>"
    guidance: FlowGuidance = 3.0
    steps: Steps = 15
    max_answer_tokens: AnswerTokens = 64


nano_janus_pro = JanusProFamily(str(Path(__file__).parent / "janus_pro"), NanoJanusProSettings)
nano_janus_flow = JanusFlowFamily(str(Path(__file__).parent / "janus_flow"), NanoJanusFlowSettings)
