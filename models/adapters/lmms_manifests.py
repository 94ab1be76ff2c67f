"""What lmms-eval's registry finds at our entry point: the names of our models and where their classes are."""

from __future__ import annotations

from typing import Any

MODULE = "janus_eval.models.adapters.lmms_model"
MODELS = {"janus_pro": "JanusPro", "janus_flow": "JanusFlow", "janus": "Janus"}


def manifests() -> list[Any]:
    """One ``ModelManifest`` a family. It is called whenever lmms-eval starts, whatever model is meant, and imports none
    of them; an exception here would cost every plugin its models, so an lmms-eval without such manifests gets none."""
    try:
        from lmms_eval.models.registry_v2 import ModelManifest
    except ImportError:
        return []
    return [
        ModelManifest(model_id=name, simple_class_path=f"{MODULE}.{kind}", aliases=(name.replace("_", "-"),))
        for name, kind in MODELS.items()
    ]
