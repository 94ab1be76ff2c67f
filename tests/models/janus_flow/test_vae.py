"""The autoencoder's files: read strictly, old names understood, misfits with the model told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from janus_eval.errors import UserError
from janus_eval.models.janus_flow.adapter import JanusFlowModel
from janus_eval.models.janus_flow.family import janus_flow
from janus_eval.models.janus_flow.vae import VAE, load_vae, vae_dtype

WEIGHTS = "diffusion_pytorch_model.safetensors"


def load(folder: Path) -> VAE:
    return load_vae(str(folder), device=torch.device("cpu"), dtype=torch.float32)


def edit(folder: Path, **changes: object) -> None:
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | changes))


@torch.inference_mode()
def test_there_and_back(flow: JanusFlowModel) -> None:
    vae = flow.vae
    assert (vae.channels, vae.downsampling) == (4, 8)
    latents = vae.encode(torch.rand(2, 3, 64, 32) * 2 - 1)
    assert latents.shape == (2, 4, 8, 4)
    torch.testing.assert_close(vae.decode(latents)[1:], vae.decode(latents[1:]), atol=0, rtol=0)


@torch.inference_mode()
def test_names_of_old_files_mean_the_same(flow_copy: Path) -> None:
    folder = flow_copy / "vae"
    before = load(folder)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in load_file(folder / WEIGHTS).items():
        for new, former in old.items():
            if f"attentions.0.{new}." in name:
                name = name.replace(new, former)  # noqa: PLW2901
                tensor = tensor[..., None, None] if tensor.ndim == 2 else tensor  # noqa: PLW2901
        tensors[name] = tensor.contiguous()
    (folder / WEIGHTS).unlink()
    torch.save(tensors, folder / "diffusion_pytorch_model.bin")
    after = load(folder)
    for name, value in before.module.state_dict().items():
        assert torch.equal(value, after.module.state_dict()[name]), name


def test_misfits_between_weights_and_configuration_are_named(flow_copy: Path) -> None:
    folder = flow_copy / "vae"
    tensors = load_file(folder / WEIGHTS)
    del tensors["post_quant_conv.bias"]
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(UserError, match=r"1 tensors are missing.* as post_quant_conv\.bias \(missing, expected \(4,\)"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scaling_factor": 0}, "scaling_factor is 0; a positive number"),
        ({"scaling_factor": "x"}, "scaling_factor is 'x'"),
        ({"_class_name": "AutoencoderTiny"}, "it is a AutoencoderTiny"),
        ({"shift_factor": 0.1}, "shift_factor is 0.1"),
        ({"down_block_types": ["NoSuchBlock"]}, "no autoencoder can be built"),
        ({"latent_channels": 16}, "its weights do not fit config.json"),
    ],
)
def test_odd_configurations_are_refused(flow_copy: Path, changes: dict[str, object], message: str) -> None:
    edit(flow_copy / "vae", **changes)
    with pytest.raises(UserError, match="vae") as error:
        load(flow_copy / "vae")
    assert message in str(error.value)


def test_an_autoencoder_of_another_model_is_refused(flow_copy: Path, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    shared = {"in_channels": 3, "out_channels": 3, "norm_num_groups": 8}
    sixteen = AutoencoderKL(block_out_channels=(8,) * 4, latent_channels=16, **_blocks(4), **shared)
    sixteen.save_pretrained(tmp_path / "sixteen")
    coarse = AutoencoderKL(block_out_channels=(8,) * 7, latent_channels=4, **_blocks(7), **shared)
    coarse.save_pretrained(tmp_path / "coarse")
    for name, message in (("sixteen", "16 latent channels, the model draws 4"), ("coarse", "64x64 pixels one latent")):
        settings = janus_flow.Settings(vae=str(tmp_path / name))
        with pytest.raises(UserError, match="setting vae") as error:
            janus_flow.load(str(flow_copy), settings)
        assert message in str(error.value)


def _blocks(count: int) -> dict[str, tuple[str, ...]]:
    return {
        "down_block_types": ("DownEncoderBlock2D",) * count, "up_block_types": ("UpDecoderBlock2D",) * count,
    }  # fmt: skip


def test_its_type_beside_each_type_of_model() -> None:
    """The published demo warns of float16, in which SDXL's autoencoder overflows."""
    found = [vae_dtype(dtype) for dtype in (torch.float32, torch.bfloat16, torch.float16)]
    assert found == [torch.float32, torch.bfloat16, torch.float32]


def test_another_autoencoder_is_another_fingerprint(flow_copy: Path, flow: JanusFlowModel) -> None:
    settings = janus_flow.Settings(steps=5)
    same = janus_flow.load(str(flow_copy), settings)
    assert same.weights == flow.weights, "wherever the folder lies"
    tensors = load_file(flow_copy / "vae" / WEIGHTS)
    tensors["post_quant_conv.bias"] += 1e-3
    save_file(tensors, flow_copy / "vae" / WEIGHTS)
    assert janus_flow.load(str(flow_copy), settings).weights != flow.weights
