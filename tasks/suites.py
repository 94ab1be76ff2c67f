"""Suites of the papers' tables: what of them has a task here, with the models and settings that they are about.

Columns of the understanding tables other than MMBench run through lmms-eval's tasks (``janus_eval.tasks.lmms``).
"""

from __future__ import annotations

from janus_eval.suites import Suite

UNDERSTANDING = (
    *("pope/random", "mme/perception", "mmbench/paper", "mmbench/circular"),
    *("seedbench/image", "gqa/testdev", "mmmu/val", "mm-vet/graded"),
)
"""MMBench the paper's way, and the benchmark's own beside it: both from the same answers."""
READING_MORE = ("vqav2/val", "chartqa/test", "textvqa/val")
"""Columns that only JanusFlow's table has. Of VQAv2's test split, which it prints, nobody can score answers here."""
DRAWING = ("geneval/official", "dpg/official", "dpg/fixed")
"""DPG-Bench as its script scores, and without the script's defects: both from the same pictures."""

# Every setting that can move a number is spelled out, so that a suite stays what it was when a family's defaults
# change. Guidance, temperature and steps are the published code's; that the figures were drawn with them is stated for
# JanusFlow's FID alone.
_READING = "system_prompt=&answer_temperature=0&max_answer_tokens=2048"
_PRO = f"user_role=<|User|>&assistant_role=<|Assistant|>&{_READING}&guidance=5&temperature=1"
_FLOW = f"user_role=User&assistant_role=Assistant&{_READING}&guidance=2&steps=30"

janus_pro_1b = Suite(
    "paper-janus-pro-1b",
    (*UNDERSTANDING, *DRAWING),
    (f"janus-pro:deepseek-ai/Janus-Pro-1B?{_PRO}",),
    "Tables 3 to 5 of the Janus-Pro report, row Janus-Pro-1B",
)
janus_pro_7b = Suite(
    "paper-janus-pro-7b",
    (*UNDERSTANDING, *DRAWING),
    (f"janus-pro:deepseek-ai/Janus-Pro-7B?{_PRO}",),
    "Tables 3 to 5 of the Janus-Pro report, row Janus-Pro-7B",
)
janusflow = Suite(
    "paper-janusflow",
    (*UNDERSTANDING, *READING_MORE, *DRAWING, "mjhq-fid/paper"),
    (f"janus-flow:deepseek-ai/JanusFlow-1.3B?{_FLOW}",),
    "Tables 2 to 5 of the JanusFlow paper, row JanusFlow",
)
