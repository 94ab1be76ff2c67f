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
        },
        "instruments": {
            "shapes-detector": "janus_eval.tasks.shapes.oracle:ShapesDetector | finds the world's shapes by template",
            "shapes-colours": "janus_eval.tasks.shapes.oracle:ShapesColours | names the colours of a detector's boxes",
            "shapes-vqa": "janus_eval.tasks.shapes.oracle:ShapesVQA | answers the world's questions from what it finds",
            "shapes-reader": "janus_eval.tasks.shapes.oracle:ShapesReader | reads the world's digits and words",
        },
        "models": {
            "oracle": "janus_eval.tasks.shapes.reference_models:oracle | right about the shapes world: the ceiling",
            "blank": "janus_eval.tasks.shapes.reference_models:blank | answers A, draws nothing: the floor",
        },
        "suites": {"shapes": "janus_eval.tasks.shapes.tasks:suite"},
    }
