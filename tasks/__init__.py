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
        "suites": {"shapes": "janus_eval.tasks.shapes.tasks:suite"},
    }
