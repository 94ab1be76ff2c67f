"""``janus-eval verify`` on JanusFlow's and the autoencoder's recorded cases, and on spoilt ones."""

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

INPUTS = {"flow/cfg_weight", "flow/num_inference_steps", "flow/forced_z", "flow/z0", "vae/z"}
INPUTS |= {"understanding/out.greedy_eos_token"}


@pytest.fixture
def case(flow_reference: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flow_reference, tmp_path / "case"))


def change(path: Path, name: str, how: Callable[[Tensor], Tensor]) -> None:
    tensors = load_file(path)
    save_file({**tensors, name: how(tensors[name]).contiguous()}, path)


@pytest.mark.parametrize("name", ["janusflow", "vae"])
def test_every_recorded_tensor_is_within_its_gate(reference: Path, name: str) -> None:
    folder = reference.parent / name
    found, skipped = findings(folder)
    assert {row.tensor: row.difference for row in found if not row.within} == {} and skipped == []
    files = [path for path in folder.glob("*.safetensors") if path.stem != "model"]
    recorded = {f"{path.stem}/{tensor}" for path in files for tensor in load_file(path)}
    assert {row.tensor for row in found} == {tensor for tensor in recorded - INPUTS if "/in." not in tensor}


def test_the_autoencoder_may_lie_beside_the_model(case: Path, reference: Path) -> None:
    shutil.copyfile(reference.parent / "vae" / "vae.safetensors", case / "vae.safetensors")
    assert findings(case)[1] == ["vae.safetensors: not checked: the case has no folder vae with the autoencoder"]
    shutil.copytree(reference.parent / "vae", case / "vae")
    found, skipped = findings(case)
    assert {"vae/decoded", "flow/z_final"} <= {row.tensor for row in found if row.within} and skipped == []


@pytest.mark.parametrize(
    ("name", "by", "beyond"),
    [
        ("beg_of_und_embed", 1e-2, "understanding/out.logits"),
        ("vision_gen_enc_model.time_embed.linear_2.bias", 1e-2, "flow/step1_t_emb"),
        ("vision_gen_dec_model.mid_block.res_blocks.1.channelwise_norm.weight", 1e-2, "flow/v_uncond"),
        ("vision_gen_dec_model.input_norm.weight", 1e-2, "flow/forced_v_cond_uncond"),
    ],
)
def test_a_wrong_weight_shows(
    case: Path, name: str, by: float, beyond: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(case / "model.safetensors", name, lambda tensor: tensor + by)
    assert verify(case) == 1
    assert any(beyond in line and "BEYOND" in line for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("file", "name", "how", "message"),
    [
        ("flow", "cfg_tokens", lambda t: t[:3], "then as many unconditional ones"),
        ("flow", "cfg_tokens", lambda t: t + 1000, "ids from 0 to 511"),
        ("flow", "z0", lambda t: t[:1], "z0 is [1, 4, 8, 8], expected [2, 4, *, *]"),
        ("flow", "z0", lambda t: t[..., :7], "its sides must be multiples of 2"),
        ("flow", "z0", lambda t: t.long(), "z0 holds torch.int64"),
        ("flow", "num_inference_steps", lambda t: t * 0, "num_inference_steps is 0, expected"),
        ("flow", "num_inference_steps", lambda t: t.float() + 0.5, "num_inference_steps is 4.5, expected"),
        ("flow", "cfg_weight", lambda t: t.repeat(2), "expected one number"),
        ("flow", "forced_z", lambda t: t.repeat(2, 1, 1, 1, 1), "which no 4 steps"),
        ("understanding", "in.images_emb_mask", torch.zeros_like, "image tokens and 0 images"),
        ("understanding", "in.input_ids", lambda t: torch.where(t == 10, t + torch.arange(30), t), "a start and a"),
    ],
)
def test_a_malformed_case_is_refused(
    case: Path, file: str, name: str, how: Callable[[Tensor], Tensor], message: str
) -> None:
    change(case / f"{file}.safetensors", name, how)
    with pytest.raises(UserError, match="safetensors") as error:
        findings(case)
    assert message in str(error.value)


def test_recordings_of_other_models_are_named_not_tried(case: Path, reference: Path) -> None:
    for name in ("generation", "vq"):
        shutil.copyfile(reference / f"{name}.safetensors", case / f"{name}.safetensors")
    skipped = findings(case)[1]
    assert skipped == [
        f"{name}.safetensors: not checked: the checkpoint is a JanusFlow" for name in ("generation", "vq")
    ]
