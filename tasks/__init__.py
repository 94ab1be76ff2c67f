"""Built-in tasks, offered through the same door as any plugin's."""

from __future__ import annotations


def plugins() -> dict[str, dict[str, str]]:
    """Table ``kind -> name -> "module:attr"``; attributes load when used."""
    return {
        "tasks": {
            "shapes-mmbench": "janus_eval.tasks.shapes.tasks:shapes_mmbench",
            "shapes-geneval": "janus_eval.tasks.shapes.tasks:shapes_geneval",
            "shapes-dpg": "janus_eval.tasks.shapes.tasks:shapes_dpg",
            "shapes-ocr-read": "janus_eval.tasks.shapes.tasks:shapes_ocr_read",
            "shapes-ocr-write": "janus_eval.tasks.shapes.tasks:shapes_ocr_write",
            "geneval": "janus_eval.tasks.geneval_tasks:geneval",
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
            "clip-colours": "janus_eval.tasks.instruments.clip_colours:ClipColours [geneval] | GenEval's own, by CLIP",
        },
        "models": {
            "oracle": "janus_eval.tasks.shapes.reference_models:oracle | right about the shapes world: the ceiling",
            "blank": "janus_eval.tasks.shapes.reference_models:blank | answers A, draws nothing: the floor",
        },
        "suites": {"shapes": "janus_eval.tasks.shapes.tasks:suite"},
        "cases": {"Mask2Former": "janus_eval.tasks.instruments.mask2former.case:case"},
        "datasets": {
            "mmbench": "janus_eval.tasks.datasets:mmbench",
            "geneval": "janus_eval.tasks.datasets:geneval",
            "dpg": "janus_eval.tasks.datasets:dpg",
        },
    }
