"""Small checkpoints that ship with the package, in the published file formats, trained on the shapes world."""

from __future__ import annotations

from pathlib import Path

from janus_eval.models.janus_pro.family import JanusProFamily

nano_janus_pro = JanusProFamily(str(Path(__file__).parent / "janus_pro"))
