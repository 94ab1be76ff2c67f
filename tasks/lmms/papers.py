"""The understanding benchmarks of the Janus-Pro and JanusFlow papers' tables, through lmms-eval's tasks.

The choices are those that are known of the papers' figures (docs/lmms-eval.md has their sources): POPE's random split,
MME's perception sum, SEED-Bench's image part, MMMU's validation split. Prompts are lmms-eval's own, so that these are
numbers of the same benchmarks made in another way than the papers', where that is known at all.
"""

from __future__ import annotations

from janus_eval.tasks.lmms.rows import Only
from janus_eval.tasks.lmms.task import JUDGE, LmmsTask, Variant

pope = LmmsTask(
    "pope",
    "POPE: is an object in the picture? F1 of yes",
    {
        "random": Variant("pope_random", "3,000 questions about objects at random: the papers' split"),
        "popular": Variant("pope_pop", "3,000 questions about frequent objects"),
        "adversarial": Variant("pope_adv", "3,000 questions about objects that often come with those there"),
        "all": Variant("pope", "all 9,000 questions as one"),
    },
)
mme = LmmsTask(
    "mme",
    "MME: pairs of yes-or-no questions in fourteen categories",
    {"perception": Variant("mme", "the sum over ten categories of perception, up to 2000: the papers' MME-P")},
)
seedbench = LmmsTask(
    "seedbench",
    "SEED-Bench: multiple choice about pictures and videos",
    {
        "image": Variant("seedbench", "the nine kinds of questions about pictures", Only("data_type", "image")),
        "all": Variant("seedbench", "with those about videos, as frames", headline="seed_all"),
    },
)
gqa = LmmsTask(
    "gqa",
    "GQA: compositional questions about scenes",
    {"testdev": Variant("gqa", "12,578 balanced questions of test-dev, exact match")},
)
mmmu = LmmsTask(
    "mmmu",
    "MMMU: college questions of thirty subjects",
    {"val": Variant("mmmu_val", "900 questions of the validation split: the papers'")},
)
mm_vet = LmmsTask(
    "mm-vet",
    "MM-Vet: open questions, graded by a language model",
    {"graded": Variant("mmvet", "218 questions, lmms-eval's prompts for answers and grades", judge=JUDGE)},
)
vqav2 = LmmsTask(
    "vqav2",
    "VQAv2: questions about photographs with ten people's answers",
    {"val": Variant("vqav2_val", "214,354 questions of the validation split; the test split's answers are not public")},
)
chartqa = LmmsTask(
    "chartqa",
    "ChartQA: questions about charts, numbers right within 5%",
    {"test": Variant("chartqa", "2,500 questions of the test split, human and augmented")},
)
textvqa = LmmsTask(
    "textvqa",
    "TextVQA: questions about text in photographs with ten people's answers",
    {"val": Variant("textvqa_val", "5,000 questions of the validation split, no OCR tokens given")},
)
