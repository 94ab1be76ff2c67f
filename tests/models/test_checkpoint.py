"""Checkpoint folders as users have them: whole, sharded, pickled, and broken in the ways that downloads break."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from janus_eval.checkpoint import Checkpoint, open_checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_pro.family import janus_pro
from janus_eval.models.janus_pro.loading import load_model

Table = dict[str, Tensor]


def split(table: Table, parts: int) -> list[Table]:
    names = sorted(table)
    return [{name: table[name] for name in names[part::parts]} for part in range(parts)]


def write(folder: Path, kind: str) -> None:
    """Rewrite a folder's weights as one of the layouts that are published."""
    table = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = split(table, 3)
    index = {name: part for part, shard in enumerate(shards) for name in shard}
    if kind == "one pickle":
        torch.save(table, folder / "pytorch_model.bin")
    elif kind == "legacy pickle":
        torch.save(table, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    elif kind == "sharded safetensors":
        names = {name: f"model-{part + 1:05}-of-00003.safetensors" for name, part in index.items()}
        for shard in shards:
            save_file(shard, folder / names[next(iter(shard))])
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    else:
        names = {name: f"pytorch_model-{part + 1:05}-of-00003.bin" for name, part in index.items()}
        for shard in shards:
            torch.save(shard, folder / names[next(iter(shard))])
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))


@pytest.mark.parametrize("kind", ["one pickle", "legacy pickle", "sharded safetensors", "sharded pickles"])
def test_every_layout_gives_the_same_model(copied: Path, checkpoint: Path, kind: str) -> None:
    write(copied, kind)
    ours, original = load_model(Checkpoint(copied)), load_model(Checkpoint(checkpoint))
    assert ours.weights == original.weights, "the hash is of what the files say, not of how they are cut"
    for name, parameter in original.model.named_parameters():
        assert torch.equal(ours.model.get_parameter(name), parameter), name


def test_the_hash_sees_one_changed_bit(copied: Path, checkpoint: Path) -> None:
    table = load_file(copied / "model.safetensors")
    table["gen_embed.weight"][3, 2] = torch.nextafter(table["gen_embed.weight"][3, 2], torch.tensor(9.0))
    save_file(table, copied / "model.safetensors")
    assert load_model(Checkpoint(copied)).weights != load_model(Checkpoint(checkpoint)).weights


def test_configuration_and_tokenizer_are_part_of_the_hash(copied: Path, checkpoint: Path) -> None:
    settings = janus_pro.Settings()
    hashes = {janus_pro.load(str(checkpoint), settings).weights}
    config = json.loads((copied / "config.json").read_text())
    config["language_config"]["rope_theta"] = 500.0
    (copied / "config.json").write_text(json.dumps(config))
    hashes.add(janus_pro.load(str(copied), settings).weights)
    raw = json.loads((copied / "preprocessor_config.json").read_text())
    (copied / "preprocessor_config.json").write_text(json.dumps({**raw, "min_size": 20}))
    hashes.add(janus_pro.load(str(copied), settings).weights)
    assert len(hashes) == 3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_tensors_are_converted(checkpoint: Path, dtype: str) -> None:
    model = load_model(Checkpoint(checkpoint), dtype=dtype).model
    full = load_model(Checkpoint(checkpoint)).model
    for name, parameter in model.named_parameters():
        assert str(parameter.dtype) == f"torch.{dtype}"
        assert torch.equal(parameter, full.get_parameter(name).to(parameter.dtype)), name


def test_what_nothing_reads_may_be_there(copied: Path, checkpoint: Path) -> None:
    table = load_file(copied / "model.safetensors")
    assert "gen_vision_model.quantize.codebook_used" in table and "vision_model.vision_tower.attn_pool.latent" in table
    table["language_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(8)
    table["vision_model.vision_tower.position_ids"] = torch.zeros(1, 16, dtype=torch.long)
    save_file(table, copied / "model.safetensors")
    assert load_model(Checkpoint(copied)).weights == load_model(Checkpoint(checkpoint)).weights


def test_tied_embeddings(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["language_config"]["tie_word_embeddings"] = True
    (copied / "config.json").write_text(json.dumps(config))
    model = load_model(Checkpoint(copied)).model
    assert model.lm_head.weight is model.language.embed_tokens.weight
    table = load_file(copied / "model.safetensors")
    del table["language_model.lm_head.weight"]
    save_file(table, copied / "model.safetensors")
    again = load_model(Checkpoint(copied)).model
    assert torch.equal(again.lm_head.weight, table["language_model.model.embed_tokens.weight"])


def spoil_table(change: Callable[[Table], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        table = load_file(folder / "model.safetensors")
        change(table)
        save_file(table, folder / "model.safetensors")

    return spoil


def narrow(table: Table) -> None:
    name = "language_model.model.layers.0.self_attn.q_proj.weight"
    table[name] = table[name][:32].clone()


def without_aligner(table: Table) -> None:
    for name in [name for name in table if name.startswith("aligner")]:
        del table[name]


def quantised(table: Table) -> None:
    table["gen_embed.weight"] = table["gen_embed.weight"].to(torch.int8)


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


def replace(name: str, content: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return spoil


def edit(name: str, **changes: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        raw = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**raw, **changes}))

    return spoil


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def shard_missing(folder: Path) -> None:
    write(folder, "sharded safetensors")
    (folder / "model-00002-of-00003.safetensors").unlink()


def index_outside(folder: Path) -> None:
    write(folder, "sharded safetensors")
    edit("model.safetensors.index.json", weight_map={"a": "../../etc/passwd"})(folder)


def renamed(old: str, new: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / old).rename(folder / new)

    return spoil


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("exploded"),))


def pickled_code(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.zeros(1), "b": Bomb()}, folder / "pytorch_model.bin")


def pickled_list(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save([torch.zeros(1)], folder / "pytorch_model.bin")


def truncated_pickle(folder: Path) -> None:
    write(folder, "one pickle")
    os.truncate(folder / "pytorch_model.bin", 100_000)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4178\n"
SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (remove("config.json"), r"has no config\.json"),
    "config cut": (cut("config.json", 100), r"config\.json is no valid JSON"),
    "config empty": (cut("config.json", 0), r"config\.json is empty"),
    "config a list": (replace("config.json", b"[1]"), "holds a JSON list, expected an object"),
    "config a web page": (replace("config.json", b"<!DOCTYPE html><html>"), "is a web page"),
    "other model type": (edit("config.json", model_type="llava"), "model_type is 'llava'; .* 'multi_modality'"),
    "no section": (edit("config.json", aligner_config=None), "aligner_config is missing"),
    "JanusFlow": (edit("config.json", vision_gen_enc_config={}), "is a JanusFlow checkpoint"),
    "other sizes": (edit("config.json", language_config={"hidden_size": 64, "vocab_size": 512}), "have another shape"),
    "no weights": (remove("model.safetensors"), "has no weights: expected one of"),
    "weights cut": (cut("model.safetensors", 300_000), "is truncated or damaged .*300,000 bytes"),
    "weights cut in the header": (cut("model.safetensors", 1000), "is truncated or damaged"),
    "weights cut to nothing": (cut("model.safetensors", 0), "is empty"),
    "weights an LFS pointer": (replace("model.safetensors", LFS), "git lfs pull"),
    "weights a web page": (replace("model.safetensors", b"  <html>no such file"), "is a web page"),
    "weights mislabelled": (renamed("model.safetensors", "pytorch_model.bin"), "rename it to model.safetensors"),
    "a pickle mislabelled": (
        lambda folder: torch.save({}, folder / "model.safetensors"),
        r"rename it to pytorch_model\.bin",
    ),
    "a text for a pickle": (
        lambda folder: (remove("model.safetensors")(folder), replace("pytorch_model.bin", b"hello")(folder))[0],
        "is no PyTorch file",
    ),
    "wrong shape": (spoil_table(narrow), r"q_proj\.weight is \[32, 64\], expected \[64, 64\]"),
    "missing tensors": (
        spoil_table(without_aligner),
        r"4 of \d+ tensors are missing: aligner\.layers\.0\.weight",
    ),
    "unknown tensor": (spoil_table(lambda t: t.update(lora=torch.zeros(1))), "1 are unknown: lora"),
    "integers": (spoil_table(quantised), "gen_embed.weight holds torch.int8"),
    "shard missing": (shard_missing, "lacks 1 of the 3 weight files .*model-00002-of-00003"),
    "index outside": (index_outside, "points outside its folder"),
    "pickled code": (pickled_code, "pickled objects other than tensors, which could run code: not loaded"),
    "pickled list": (pickled_list, "no table of tensor names"),
    "pickle cut": (truncated_pickle, "is truncated or damaged"),
    "no tokenizer": (remove("tokenizer.json"), r"has no tokenizer\.json"),
    "tokenizer of nothing": (replace("tokenizer.json", b"{}"), "is no tokenizer that the tokenizers library can read"),
    "tags of another model": (edit("processor_config.json", image_tag="<image>"), "has no token '<image>'"),
    "other image tokens": (edit("processor_config.json", num_image_tokens=576), "576 tokens, but .* makes 16"),
    "other image size": (edit("preprocessor_config.json", image_size=384), "384 pixels, but .* has 64"),
}


@pytest.mark.parametrize("name", SPOILT, ids=[name.replace(" ", "-") for name in SPOILT])
def test_a_spoilt_checkpoint_is_refused_in_one_clear_line(
    copied: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied)
    spoil, message = SPOILT[name]
    spoil(copied)
    with pytest.raises(UserError, match=message):
        janus_pro.load(str(copied), janus_pro.Settings())
    assert not (copied / "exploded").exists(), "code in a pickle must not run"


def test_no_such_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no folder .*, and it is no Hugging Face id"):
        open_checkpoint(str(tmp_path / "nothing"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file; a checkpoint is a folder"):
        open_checkpoint(str(tmp_path / "file"))
    import huggingface_hub

    def offline(*args: object, **kwargs: object) -> str:
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"hub did not deliver it \(no route to host\); check the name and the network"):
        open_checkpoint("deepseek-ai/Janus-Pro-1B")


def test_the_hub_is_asked_for_safetensors_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None, list[str]]] = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        if len(asked) == 2:
            (tmp_path / "pytorch_model.bin").touch()
        return str(tmp_path)

    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert open_checkpoint("org/name@main").folder == tmp_path
    assert [(name, revision, patterns[-1]) for name, revision, patterns in asked] == [
        ("org/name", "main", "*.safetensors"),
        ("org/name", "main", "pytorch_model*.bin"),
    ]


def test_unknown_devices_and_dtypes(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="device 'toaster' cannot be used"):
        load_model(Checkpoint(checkpoint), device="toaster")
    with pytest.raises(UserError, match="unknown dtype 'int8'"):
        load_model(Checkpoint(checkpoint), dtype="int8")


MEASURE = """
import resource, sys, threading, time
from pathlib import Path
import psutil
from janus_eval.models.janus_pro.loading import load_model
from janus_eval.checkpoint import Checkpoint
load_model(Checkpoint(Path(sys.argv[2])))  # libraries are loaded and warm
process, peak, going = psutil.Process(), 0, True
before = process.memory_info().rss - process.memory_info().shared
def watch():
    global peak
    while going:
        info = process.memory_info()
        peak = max(peak, info.rss - info.shared)  # files that are only mapped count as shared
        time.sleep(0.002)
thread = threading.Thread(target=watch)
thread.start()
model = load_model(Checkpoint(Path(sys.argv[1]))).model
going = False
thread.join()
print((peak - before) / sum(p.numel() * p.element_size() for p in model.parameters()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts private memory as Linux does")
@pytest.mark.parametrize("kind", ["safetensors", "sharded pickles"])
def test_loading_never_holds_two_copies(
    tmp_path: Path, checkpoint: Path, make_model: Callable[..., object], kind: str
) -> None:
    from janus_eval.models.janus_pro.model import JanusPro
    from janus_eval.models.janus_pro.weights import save_checkpoint

    model = make_model(vocab_size=20000, hidden_size=512, head_dim=128, intermediate_size=1500, num_hidden_layers=6)
    assert isinstance(model, JanusPro)
    save_checkpoint(model, tmp_path)
    if kind != "safetensors":
        write(tmp_path, kind)
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(checkpoint)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    copies = float(done.stdout)
    # One copy, and room for one tensor in passing (the largest is a sixth of this model) and for noise.
    assert 0.9 < copies < 1.35, f"{copies:.2f} times the model's own size"
