"""``janus-eval verify``: the recorded case within its gates, any change beyond them, malformed cases refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from janus_eval.cli.verify import findings, verify
from janus_eval.errors import UserError


@pytest.fixture(scope="module")
def recorded_names(reference: Path) -> set[str]:
    files = [path for path in reference.glob("*.safetensors") if path.stem != "model"]
    return {f"{path.stem}/{name}" for path in files for name in load_file(path)}


def test_every_recorded_tensor_is_within_its_gate(reference: Path, recorded_names: set[str]) -> None:
    found, skipped = findings(reference)
    assert {row.tensor: row.difference for row in found if not row.within} == {}
    inputs = {name for name in recorded_names if "/in." in name or name.endswith("_rgb")}
    inputs |= {"generation/cfg_weight", "vq/image", "understanding/out.greedy_eos_token"}
    assert {row.tensor for row in found} == recorded_names - inputs
    assert skipped == []
    gates = {row.tensor: row.gate for row in found}
    assert gates["understanding/out.logits"] == gates["generation/greedy_logit_mixed"] == 5e-4
    assert gates["vq/recon"] == gates["preprocess/photo0_pixel_values"] == 1e-4
    assert gates["generation/greedy_tokens"] == gates["vq/indices"] == 0
    assert gates["generation/greedy_uint8"] == 1


def test_the_command_prints_one_line_a_tensor(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(reference) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + 38 + 1 and max(map(len, printed)) <= 80
    assert printed[-1] == "all 38 tensors are within their gates"


@pytest.fixture
def case(reference: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reference, tmp_path / "case"))


def change(path: Path, name: str, how: Callable[[Tensor], Tensor | None]) -> None:
    tensors = load_file(path)
    changed = how(tensors[name])
    if changed is None:
        del tensors[name]
    else:
        tensors[name] = changed.contiguous()
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("file", "name", "by"),
    [
        ("preprocess", "photo1_pixel_values", 2e-4),
        ("understanding", "out.logits", 6e-4),
        ("understanding", "out.greedy_ids", 1),
        ("generation", "forced_uint8", 3),
        ("vq", "quant", float("nan")),
    ],
)
def test_a_difference_beyond_the_gate_exits_1(
    case: Path, file: str, name: str, by: float, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in case.glob("*.safetensors"):
        if path.stem not in {"model", file}:
            path.unlink()

    def shift(tensor: Tensor) -> Tensor:
        moved = tensor.clone()
        moved.view(-1)[-1] += by if moved.is_floating_point() else int(by)
        return moved

    change(case / f"{file}.safetensors", name, shift)
    assert verify(case) == 1
    assert any(name in line and "BEYOND" in line for line in capsys.readouterr().out.splitlines())


def test_a_wrong_weight_shows(case: Path) -> None:
    change(case / "model.safetensors", "gen_embed.weight", lambda tensor: tensor * 1.01)
    found, _ = findings(case)
    beyond = {row.tensor for row in found if not row.within}
    assert "generation/gen_embeds_forced" in beyond and not any(name.startswith("vq/") for name in beyond)


@pytest.mark.parametrize(
    ("file", "name", "how", "message"),
    [
        ("understanding", "in.attention_mask", lambda t: None, "no tensor 'in.attention_mask'"),
        ("understanding", "in.input_ids", lambda t: t + 1000, "ids from 0 to 511"),
        ("understanding", "in.input_ids", lambda t: torch.where(t == 10, 20, t)[:2], "expected"),
        ("understanding", "in.images_emb_mask", torch.zeros_like, "image tokens and 0 images"),
        ("understanding", "in.pixel_values", lambda t: t[..., :32], "expected [3, *, 3, 64, 64]"),
        ("generation", "cfg_tokens", lambda t: t[:3], "pairs of rows"),
        ("generation", "forced_tokens", lambda t: t + 250, "ids from 0 to 255"),
        ("generation", "greedy_tokens", lambda t: t[:, :9], "9 codes for 64x64 pixels"),
        ("vq", "image", lambda t: t[0], "expected [*, 3, *, *]"),
        ("preprocess", "photo0_rgb", lambda t: t.float(), "expected uint8"),
        ("preprocess", "photo0_rgb", lambda t: t[:0], "expected uint8"),
        ("understanding", "in.pixel_values", lambda t: t.long(), "in.pixel_values holds torch.int64"),
        ("understanding", "in.input_ids", lambda t: t.bool(), "ids from 0 to 511"),
        ("understanding", "out.greedy_ids", lambda t: t[:, :0], "out.greedy_ids is [3, 0], expected [3, *]"),
        ("understanding", "out.greedy_eos_token", lambda t: t.repeat(2), "expected one number"),
        ("generation", "cfg_weight", lambda t: t[:0], "cfg_weight is [0], expected one number"),
        ("generation", "forced_pixels", torch.flatten, "expected [*, *, *, *]"),
        ("vq", "image", lambda t: t[..., :60], "multiples of 16"),
    ],
)
def test_a_malformed_case_is_refused(
    case: Path, file: str, name: str, how: Callable[[Tensor], Tensor | None], message: str
) -> None:
    change(case / f"{file}.safetensors", name, how)
    with pytest.raises(UserError, match="safetensors") as error:
        findings(case)
    assert message in str(error.value)


def test_a_tensor_of_another_shape_is_beyond(case: Path) -> None:
    change(case / "vq.safetensors", "recon", lambda tensor: tensor[:1])
    (row,) = [row for row in findings(case)[0] if row.tensor == "vq/recon"]
    assert not row.within and row.note == "shape [2, 3, 64, 64], expected [1, 3, 64, 64]"


def test_unknown_tensors_are_named(case: Path) -> None:
    tensors = load_file(case / "vq.safetensors")
    save_file({**tensors, "mystery": torch.zeros(1)}, case / "vq.safetensors")
    assert findings(case)[1] == ["vq/mystery: no known tensor of this file, not checked"]


def test_unknown_files_are_named_and_their_names_are_no_markup(
    case: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for path in case.glob("*.safetensors"):
        if path.stem not in {"model", "preprocess"}:
            path.unlink()
    save_file({"x": torch.zeros(1)}, case / "[red]\x1b.safetensors")
    assert verify(case) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "[red]\\x1b.safetensors: no known file of a case, not checked" in printed
    assert any(line.startswith("preprocess/photo0_pixel_values ") for line in printed), "names are whole at any width"


@pytest.mark.parametrize(
    ("file", "name", "how"),
    [
        ("vq", "recon", lambda t: t.round().to(torch.uint8)),
        ("vq", "indices", lambda t: t.float() + 0.4),
        ("generation", "forced_uint8", lambda t: t.float() + 1.2),
    ],
)
def test_another_type_brings_no_wider_gate(
    case: Path, file: str, name: str, how: Callable[[Tensor], Tensor | None]
) -> None:
    for path in case.glob("*.safetensors"):
        if path.stem not in {"model", file}:
            path.unlink()
    change(case / f"{file}.safetensors", name, how)
    assert [row.tensor for row in findings(case)[0] if not row.within] == [f"{file}/{name}"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_inputs_of_other_precision_are_read(case: Path, dtype: torch.dtype) -> None:
    for path in case.glob("*.safetensors"):
        if path.stem not in {"model", "vq"}:
            path.unlink()
    change(case / "vq.safetensors", "image", lambda t: t.to(dtype))
    found, _ = findings(case)
    assert all(row.within for row in found) == (dtype == torch.float64)


def test_a_case_with_nothing_of_its_own_is_inconclusive(
    reference: Path, case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in case.glob("*.safetensors"):
        if path.stem != "model":
            path.unlink()
    shutil.copyfile(reference.parent / "janusflow" / "flow.safetensors", case / "flow.safetensors")
    assert verify(case) == 3
    assert "flow.safetensors: not checked: the checkpoint is a Janus-Pro" in capsys.readouterr().out


def test_folders_that_are_no_case(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        findings(tmp_path / "nothing")
    with pytest.raises(UserError, match="nothing to check"):
        findings(tmp_path)
    (tmp_path / "vq.safetensors").write_bytes((reference / "vq.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"no config\.json"):
        findings(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match="no configuration of Janus-Pro, JanusFlow, Mask2Former, autoencoder"):
        findings(tmp_path)
    shutil.copyfile(reference / "config.json", tmp_path / "config.json")
    with pytest.raises(UserError, match="truncated or damaged"):
        findings(tmp_path)


def test_a_case_in_transformers_format(reference: Path, tmp_path: Path) -> None:
    """The same expectations hold for the same weights as transformers' converter would write them."""
    import json

    from janus_eval.checkpoint import Checkpoint
    from janus_eval.models.janus_pro.converted import TRANSFORMERS_FORMAT
    from janus_eval.models.janus_pro.loading import load_model
    from janus_eval.models.parts.weights import named_tensors

    model = load_model(Checkpoint(reference)).model
    tensors = {name: tensor.contiguous() for name, tensor in named_tensors(model, TRANSFORMERS_FORMAT)}
    case = Path(shutil.copytree(reference, tmp_path / "case"))
    save_file(tensors, case / "model.safetensors")
    # Sparse, as transformers writes it: what equals a default of its classes is left out.
    vision = {"hidden_size": 72, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 64}
    vq = {"num_embeddings": 256, "latent_channels": 32, "base_channels": 32, "channel_multiplier": [1, 1, 1, 1, 2]}
    text = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3}
    text |= {"num_attention_heads": 4, "vocab_size": 512, "max_position_embeddings": 512}
    config = {"model_type": "janus", "vision_config": {**vision, "projection_dim": 64}, "text_config": text}
    config["vq_config"] = {**vq, "projection_dim": 64, "image_token_embed_dim": 64}
    (case / "config.json").write_text(json.dumps(config))
    found, _ = findings(case)
    assert len(found) == 38 and all(row.within for row in found)
