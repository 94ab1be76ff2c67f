"""The hub: what is fetched of a repository, and what a user reads when it delivers nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from janus_eval.errors import AbsentError, UserError
from janus_eval.models.adapters.diffusers_family import diffusers
from janus_eval.models.adapters.hf_family import hf
from janus_eval.models.adapters.hf_files import fetched, named
from janus_eval.specs import contenders
from janus_eval.types import Question, RequestKey, Response


def test_only_what_is_read_is_fetched(hub: Any, tiny_pipelines: ModuleType, tmp_path: Path) -> None:
    folder = tiny_pipelines.saved(tiny_pipelines.sd, tmp_path / "a")
    tiny_pipelines.saved(tiny_pipelines.sd, tmp_path / "a", variant="fp16")
    special = folder / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(special).items()}, special, {"format": "pt"})
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    for name in ("pipeline.py", "unet/diffusion_pytorch_model.bin", "model.ckpt", "vae/old.safetensors"):
        (folder / name).write_text("nobody wants this")
    hub.folders["org/name"] = folder
    found = diffusers.load("org/name", diffusers.Settings(steps=1))
    assert found.source["repository"] == "org/name" and found.source["revision"].startswith("0123456789abcdef")
    assert found.weights == diffusers.load(str(folder), diffusers.Settings()).weights
    assert "unet/diffusion_pytorch_model.safetensors" in hub.served and "tokenizer/tokenizer.json" in hub.served
    unwanted = [
        name for name in hub.served if name.endswith((".py", ".bin", ".ckpt")) or "fp16" in name or "old" in name
    ]
    assert not unwanted
    served = len(hub.served)
    diffusers.load("org/name@main", diffusers.Settings())
    assert len(hub.served) == served, "what is in the cache is not fetched again"
    halved = diffusers.load("org/name", diffusers.Settings(variant="fp16"))
    assert hub.served[served:] == ["vae/diffusion_pytorch_model.fp16.safetensors"], "the others are the same bytes"
    assert halved.weights != found.weights


def test_shards_are_fetched_and_all_of_them_count(
    hub: Any, tiny_chats: ModuleType, tiny_pipelines: ModuleType, tmp_path: Path
) -> None:
    from transformers import LlavaForConditionalGeneration

    folder = tiny_chats.llava(tmp_path / "chat")
    whole = hf.load(str(folder), hf.Settings())
    LlavaForConditionalGeneration.from_pretrained(folder).save_pretrained(folder, max_shard_size="50KB")
    (folder / "model.safetensors").unlink()
    for name in ("modeling.py", "pytorch_model.bin", "consolidated.safetensors"):
        (folder / name).write_text("nobody wants this")
    hub.folders["org/chat"] = folder
    found = hf.load("org/chat", hf.Settings())
    shards = {path.name for path in folder.glob("model-*.safetensors")}
    assert len(shards) > 1 and shards <= set(hub.served)
    assert not {"modeling.py", "pytorch_model.bin", "consolidated.safetensors"} & set(hub.served)
    question = Question(RequestKey("t", "a"), "Why?", (), 8)
    texts = [[one.text for one in model.answer([question]) if isinstance(one, Response)] for model in (found, whole)]
    assert texts[0] == texts[1] != []
    (folder / sorted(shards)[-1]).unlink()
    with pytest.raises(UserError, match=r"lacks 1 of the \d+ weight files"):
        hf.load(str(folder), hf.Settings())

    drawn = tiny_pipelines.saved(tiny_pipelines.sd, tmp_path / "drawn", max_shard_size="50KB")
    assert len(list((drawn / "unet").glob("*.safetensors"))) > 1
    hub.folders["org/drawn"] = drawn
    weights = [diffusers.load(source, diffusers.Settings()).weights for source in ("org/drawn", str(drawn))]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("org/closed", "huggingface.co/org/closed is gated: accept its terms there, then log in"),
        ("org/nothing", "the Hugging Face hub has no org/nothing, or it is private"),
        ("org/open@v9", "huggingface.co/org/open has no revision 'v9'"),
    ],
)
def test_what_the_hub_refuses(hub: Any, tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    hub.folders |= {"org/closed": tmp_path, "org/open": tmp_path}
    hub.gated.add("org/closed")
    with pytest.raises(AbsentError, match=message) as told:
        fetched(source, ("model_index.json",), "org/name")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("model", "environment"),
    [("diffusers:org/name", {"HF_ENDPOINT": "http://127.0.0.1:9"}), ("hf:org/name", {"HF_HUB_OFFLINE": "1"})],
)
def test_no_network_is_one_line(tmp_path: Path, model: str, environment: dict[str, str]) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    shown = subprocess.run(
        [sys.executable, "-m", "janus_eval", "run", "--model", model, "--out", str(tmp_path / "out")],
        check=False, capture_output=True, text=True, env={**os.environ, "HF_HOME": str(tmp_path), **environment},
    )  # fmt: skip
    assert shown.returncode == 2
    lines = [line for line in shown.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, shown.stderr
    assert "no folder org/name, and the Hugging Face hub did not deliver it" in lines[0]
    assert lines[0].endswith("check the network, or give the folder of a copy")


def test_what_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; expected a folder"):
        fetched(str(tmp_path / "file"), (), "org/name")
    with pytest.raises(UserError, match=r"it is no Hugging Face id \(org/name\), such as org/name"):
        fetched("./missing/folder", (), "org/name")
    with pytest.raises(UserError, match="needs a folder or a Hugging Face id"):
        diffusers.load(None, diffusers.Settings())


def test_a_model_is_called_as_its_repository() -> None:
    assert named("stabilityai/stable-diffusion-xl-base-1.0@main", "x") == "stable-diffusion-xl-base-1.0"
    assert named("/models/mine/", "x") == "mine" and named(None, "x") == "x"
    [one] = contenders(["diffusers:org/name?name=SDXL"], {})
    [other] = contenders(["hf:org/name"], {})
    assert (one.name, other.name) == ("SDXL", "name")
    assert "name" not in one.settings.model_dump(), "it moves no number"
