"""Built-in models, offered through the same door as any plugin's."""

from __future__ import annotations


def plugins() -> dict[str, dict[str, str]]:
    """Table ``kind -> name -> "module:attr"``; attributes load when used."""
    return {
        "models": {
            "janus-pro": "janus_eval.models.janus_pro.family:janus_pro | Janus-Pro (DeepSeek), by default the 1B",
            "janus": "janus_eval.models.janus_pro.family:janus | Janus-1.3B (DeepSeek), Janus-Pro's predecessor",
            "janus-flow": "janus_eval.models.janus_flow.family:janus_flow | JanusFlow-1.3B (DeepSeek)",
            "nano-janus-pro": "janus_eval.models.nano:nano_janus_pro | a small Janus-Pro that ships with the package",
            "nano-janus-flow": "janus_eval.models.nano:nano_janus_flow | a small JanusFlow that ships with the package",
            "diffusers": "janus_eval.models.adapters.diffusers_family:diffusers | drawing pipelines: diffusers:REPO",
            "openai": "janus_eval.models.adapters.openai_family:openai | OpenAI-compatible servers: openai:MODEL[@URL]",
            "folder": "janus_eval.models.adapters.folder_family:folder | pictures drawn elsewhere: folder:DIR",
            "answers": "janus_eval.models.adapters.answers_family:answers | answers given elsewhere: answers:FILE",
            "hf": "janus_eval.models.adapters.hf_family:hf | image-text-to-text models of transformers: hf:REPO",
            "hf-janus": "janus_eval.models.adapters.hf_family:hf_janus | transformers' Janus: hf-janus:REPO",
        },
        "commands": {
            "train": "janus_eval.models.training.command:train | Train a model by a recipe, in the paper's stages.",
        },
        "cases": {
            "Janus-Pro": "janus_eval.models.janus_pro.parity:case",
            "JanusFlow": "janus_eval.models.janus_flow.parity:case",
            "autoencoder": "janus_eval.models.janus_flow.parity:vae_case",
        },
    }
