"""Built-in tasks, offered through the same door as any plugin's."""

from __future__ import annotations

TABLE: dict[str, dict[str, str]] = {
    "tasks": {
        "lmms": "janus_eval.tasks.lmms.task:lmms [lmms]",
        "pope": "janus_eval.tasks.lmms.papers:pope [lmms]",
        "mme": "janus_eval.tasks.lmms.papers:mme [lmms]",
        "seedbench": "janus_eval.tasks.lmms.papers:seedbench [lmms]",
        "gqa": "janus_eval.tasks.lmms.papers:gqa [lmms]",
        "mmmu": "janus_eval.tasks.lmms.papers:mmmu [lmms]",
        "mm-vet": "janus_eval.tasks.lmms.papers:mm_vet [lmms]",
        "vqav2": "janus_eval.tasks.lmms.papers:vqav2 [lmms]",
        "chartqa": "janus_eval.tasks.lmms.papers:chartqa [lmms]",
        "textvqa": "janus_eval.tasks.lmms.papers:textvqa [lmms]",
        "shapes-mmbench": "janus_eval.tasks.shapes.tasks:shapes_mmbench",
        "shapes-geneval": "janus_eval.tasks.shapes.tasks:shapes_geneval",
        "shapes-dpg": "janus_eval.tasks.shapes.tasks:shapes_dpg",
        "shapes-ocr-read": "janus_eval.tasks.shapes.tasks:shapes_ocr_read",
        "shapes-ocr-write": "janus_eval.tasks.shapes.tasks:shapes_ocr_write",
        "geneval": "janus_eval.tasks.geneval_tasks:geneval",
        "dpg": "janus_eval.tasks.dpg_tasks:dpg",
        "ocr-read": "janus_eval.tasks.ocr_tasks:ocr_read",
        "ocr-write": "janus_eval.tasks.ocr_tasks:ocr_write",
        "mjhq-fid": "janus_eval.tasks.mjhq:mjhq_fid",
        "tokenizer-ceiling": "janus_eval.tasks.tokenizer_ceiling_tasks:tokenizer_ceiling",
        "shapes-tokenizer": "janus_eval.tasks.shapes.tokenizer:shapes_tokenizer",
        "ocrbench": "janus_eval.tasks.ocrbench:ocrbench",
        "mmbench": "janus_eval.tasks.mmbench_tasks:mmbench",
        "mmbench-cn": "janus_eval.tasks.mmbench_tasks:mmbench_cn",
        "mmbench-test": "janus_eval.tasks.mmbench_tasks:mmbench_test",
        "mmbench-test-cn": "janus_eval.tasks.mmbench_tasks:mmbench_test_cn",
        "mmbench-v11": "janus_eval.tasks.mmbench_tasks:mmbench_v11",
        "mmbench-v11-cn": "janus_eval.tasks.mmbench_tasks:mmbench_v11_cn",
        "mmbench-v11-test": "janus_eval.tasks.mmbench_tasks:mmbench_v11_test",
        "mmbench-v11-test-cn": "janus_eval.tasks.mmbench_tasks:mmbench_v11_test_cn",
    },
    "instruments": {
        "shapes-detector": "janus_eval.tasks.shapes.oracle:ShapesDetector | finds the world's shapes by template",
        "shapes-colours": "janus_eval.tasks.shapes.oracle:ShapesColours | names the colours of a detector's boxes",
        "shapes-vqa": "janus_eval.tasks.shapes.oracle:ShapesVQA | answers the world's questions from what it finds",
        "shapes-reader": "janus_eval.tasks.shapes.oracle:ShapesReader | reads the world's digits and words",
        "mask2former": "janus_eval.tasks.instruments.mask2former.instrument:Mask2Former | GenEval's own detector",
        "mask2former-coco": "janus_eval.tasks.instruments.coco_mask2former:CocoMask2Former | another's weights for it",
        "mmdet": "janus_eval.tasks.instruments.mmdet_detector:MMDet [mmdet] | GenEval's detector, through mmdet 3",
        "openai-judge": "janus_eval.tasks.instruments.openai_judge:OpenAIJudge | reads free answers; :MODEL[@URL]",
        "openai-chat": "janus_eval.tasks.instruments.openai_chat:OpenAIChat | grades as a benchmark asks; :MODEL[@URL]",
        "mplug": "janus_eval.tasks.instruments.mplug.instrument:MPlugVQA | DPG-Bench's own question answerer",
        "command": "janus_eval.tasks.instruments.command_vqa:CommandVQA | your own program; :PROGRAM ARGS",
        "clip-colours": "janus_eval.tasks.instruments.clip_colours:ClipColours [geneval] | GenEval's own, by CLIP",
        "rapidocr": "janus_eval.tasks.instruments.rapid_reader:RapidReader [ocr] | reads English and Chinese lines",
        "inception": "janus_eval.tasks.instruments.inception:Inception [fid] | FID's features, by clean-fid",
        "inception-256": "janus_eval.tasks.instruments.inception:Inception256 [fid] | the same at 256 px",
    },
    "models": {
        "oracle": "janus_eval.tasks.shapes.reference_models:oracle | right about the shapes world: the ceiling",
        "blank": "janus_eval.tasks.shapes.reference_models:blank | answers A, draws nothing: the floor",
        "unchanged": "janus_eval.tasks.unchanged:unchanged | gives back every picture: tokenizer-ceiling's ceiling",
    },
    "suites": {
        "shapes": "janus_eval.tasks.shapes.tasks:suite",
        "paper-janus-pro-1b": "janus_eval.tasks.suites:janus_pro_1b",
        "paper-janus-pro-7b": "janus_eval.tasks.suites:janus_pro_7b",
        "paper-janusflow": "janus_eval.tasks.suites:janusflow",
    },
    "commands": {
        "lmms-tasks": "janus_eval.tasks.lmms_tasks.command:lmms_tasks | The folder of our tasks for lmms-eval.",
    },
    "cases": {
        "Mask2Former": "janus_eval.tasks.instruments.mask2former.case:case",
        "mPLUG": "janus_eval.tasks.instruments.mplug.case:case",
    },
    "datasets": {
        "mmbench": "janus_eval.tasks.datasets:mmbench",
        "geneval": "janus_eval.tasks.datasets:geneval",
        "dpg": "janus_eval.tasks.datasets:dpg",
        "mjhq": "janus_eval.tasks.datasets:mjhq",
        "ocrbench": "janus_eval.tasks.datasets:ocrbench",
    },
}


def plugins() -> dict[str, dict[str, str]]:
    """Table ``kind -> name -> "module:attr"``; attributes load when used."""
    return TABLE
