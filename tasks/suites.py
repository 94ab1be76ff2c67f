"""Suites of the papers' tables: what of them has a task here, with the models and settings that they are about.

Rows of the tables that have no task (POPE, MME, SEED-Bench, GQA, MMMU, MM-Vet, VQAv2, ChartQA, TextVQA) are left out;
``janus-eval report --paper`` says so in their columns.
"""

from __future__ import annotations

from janus_eval.suites import Suite

UNDERSTANDING = ("mmbench/paper", "mmbench/circular")
"""The paper's way, and the benchmark's own beside it: both from the same answers."""
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
    (*UNDERSTANDING, *DRAWING, "mjhq-fid/paper"),
    (f"janus-flow:deepseek-ai/JanusFlow-1.3B?{_FLOW}",),
    "Tables 2 to 5 of the JanusFlow paper, row JanusFlow",
)
