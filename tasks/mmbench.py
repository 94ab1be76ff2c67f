"""MMBench: multiple-choice questions about a picture, each asked under every rotation of its options."""

from __future__ import annotations

from collections.abc import Mapping

from janus_eval.types import JSON


def format_question(inputs: Mapping[str, JSON]) -> str:
    """The prompt of one row, as VLMEvalKit's Janus adapter words it (``vlmeval/vlm/janus.py``, ``build_prompt``).

    ``inputs``: ``question``, ``options`` {letter: text} in order, ``hint`` (None or "" for no hint). The newline
    between the picture and the text belongs to the model's chat template, so the text starts without one. Spacing moves
    the number: a space after the letter's full stop, one empty line before the instruction, nothing after it.
    """
    options = inputs["options"]
    assert isinstance(options, Mapping)
    hint = [f"Hint: {inputs['hint']}"] if inputs.get("hint") else []
    lines = [f"{letter}. {text}" for letter, text in options.items()]
    instruction = "Answer with the option's letter from the given choices directly."
    return "\n".join([*hint, str(inputs["question"]), *lines, "", instruction])
