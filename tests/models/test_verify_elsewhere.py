"""``verify`` on cases that transformers' Janus recorded, in both formats and with sizes that the recorded case lacks.

Nothing of ours takes part in the recording: transformers makes and saves the weights, and computes whole rows without a
cache. Latents are rounded here as DeepSeek's code does it, which transformers' class does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from janus_eval.checkpoint import Checkpoint
from janus_eval.cli.verify import findings
from janus_eval.models.janus_pro.loading import load_model
from janus_eval.models.janus_pro.weights import save_checkpoint

BOS, EOS, PAD, IMAGE, START, END = 0, 1, 2, 10, 11, 12
STEPS, WEIGHT = 5, 3.5

VISION = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 32, "patch_size": 8}
CODES = {"num_embeddings": 64, "latent_channels": 16, "base_channels": 32, "channel_multiplier": [1, 1, 2]}
TEXT = {"vocab_size": 200, "hidden_size": 40, "intermediate_size": 56, "num_hidden_layers": 2}
TEXT |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256}
CASES: dict[str, dict[str, Any]] = {
    "grouped heads, wide heads, no to two images a row": {"rows": [1, 0, 2]},
    "one key head, deep adaptors, other theta": {
        "rows": [3, 1],
        "seed": 4,
        "vision": {"image_size": 48, "patch_size": 12, "depth": 3},
        "codes": {"channel_multiplier": [1, 1, 1, 2], "num_res_blocks": 2, "num_hidden_layers": 3},
        "text": {"num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 10, "rms_norm_eps": 1e-5}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 777.0}},
    },
    "patches that leave a rim, padded on the right": {
        "rows": [1, 0],
        "right": True,
        "vision": {"image_size": 20, "patch_size": 6},
    },
    "text alone, tied embeddings": {"rows": [0, 0], "tied": True},
}


def build(case: dict[str, Any]) -> Any:
    from transformers import JanusConfig, JanusForConditionalGeneration

    width = {"projection_dim": TEXT["hidden_size"]}
    config = JanusConfig(
        vision_config={**VISION, **width, **case.get("vision", {})},
        vq_config={"num_res_blocks": 1, **CODES, **width, "image_token_embed_dim": 40, **case.get("codes", {})},
        text_config={"model_type": "llama", **TEXT, **case.get("text", {})},
        image_token_id=IMAGE,
        tie_word_embeddings=case.get("tied", False),
    )
    torch.manual_seed(case.get("seed", 3))
    model = JanusForConditionalGeneration(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5)
    return model


def read_rows(model: Any, rows: list[int], right: bool) -> dict[str, Tensor]:
    """Rows of so many images each, padded on one side."""
    draw = torch.Generator().manual_seed(7)
    vision = model.config.vision_config
    side, count = vision.image_size, (vision.image_size // vision.patch_size) ** 2
    texts = []
    for row, images in enumerate(rows):
        blocks = [token for k in range(images) for token in (START, *[IMAGE] * count, END, 30 + k)]
        texts.append([BOS, *range(50 + row, 53 + 2 * row), *blocks, 90, 91])
    longest = max(map(len, texts))
    pads = [[PAD] * (longest - len(text)) for text in texts]
    ids = torch.tensor([text + pad if right else pad + text for text, pad in zip(texts, pads, strict=True)])
    exist = torch.zeros(len(rows), max(1, *rows), count, dtype=torch.bool)
    pixels = torch.zeros(len(rows), max(1, *rows), 3, side, side)
    for row, images in enumerate(rows):
        exist[row, :images] = True
        pixels[row, :images] = torch.rand(images, 3, side, side, generator=draw) * 2 - 1
    features = model.model.vision_model(pixels.flatten(0, 1)).last_hidden_state
    aligned = model.model.aligner(features)
    embedded = model.get_input_embeddings()(ids)
    embedded[ids == IMAGE] = aligned.view(len(rows), -1, aligned.shape[-1])[exist.flatten(1)]
    real = ids != PAD
    found = {"in.input_ids": ids, "in.attention_mask": real.long(), "in.images_seq_mask": ids == IMAGE}
    found |= {"in.images_emb_mask": exist, "in.pixel_values": pixels, "out.vision_features": features}
    found |= {"out.aligner_out": aligned, "out.inputs_embeds": embedded}
    hidden = model.model.language_model(inputs_embeds=embedded, attention_mask=real.long()).last_hidden_state
    found["out.logits"] = model.lm_head(hidden)
    alone = [embedded[row][real[row]][None] for row in range(len(rows))]
    answers = [answer(model, row, -1) for row in alone]
    found["out.greedy_ids"] = torch.stack([ids for ids, _ in answers])
    found["out.greedy_step_logits"] = torch.stack([logits for _, logits in answers])
    eos = int(found["out.greedy_ids"][0, STEPS // 2])
    found["out.greedy_eos_token"] = torch.tensor([eos])
    found["out.greedy_eos_ids"] = torch.stack([answer(model, row, eos)[0] for row in alone])
    found["out.row1_nopad_logits"] = model.lm_head(model.model.language_model(inputs_embeds=alone[1]).last_hidden_state)
    found["out.row1_nopad_greedy_ids"] = found["out.greedy_ids"][1:2]
    assert EOS not in found["out.greedy_ids"], "else the recording would have ended there"
    return found


def answer(model: Any, embedded: Tensor, eos: int) -> tuple[Tensor, Tensor]:
    ids, steps = torch.full((STEPS,), EOS), []
    for step in range(STEPS):
        steps.append(model.lm_head(model.model.language_model(inputs_embeds=embedded).last_hidden_state[0, -1]))
        ids[step] = steps[-1].argmax()
        if ids[step] == eos:
            break
        embedded = torch.cat((embedded, model.get_input_embeddings()(ids[step : step + 1])[None]), dim=1)
    return ids, torch.stack(steps)


def book_of(model: Any) -> Tensor:
    return F.normalize(model.model.vqmodel.quantize.embedding.weight, dim=-1)


def decoded(model: Any, codes: Tensor, grid: int) -> Tensor:
    vq = model.model.vqmodel
    pixels: Tensor = vq.decoder(vq.post_quant_conv(book_of(model)[codes].unflatten(1, (grid, grid)).movedim(-1, 1)))
    return pixels


def drawn(model: Any) -> dict[str, Tensor]:
    grid = model.config.vision_config.image_size // 2 ** (len(model.config.vq_config.channel_multiplier) - 1)
    prompt = [BOS, 60, 61, 62, 63, START]
    tokens = torch.tensor([prompt, [BOS, *[PAD] * 4, START], [BOS, 70, 71, 72, 73, START], [BOS, *[PAD] * 4, START]])
    language, embedded = model.model.language_model, model.get_input_embeddings()(tokens)
    found = {"cfg_tokens": tokens.int(), "cfg_weight": torch.tensor([WEIGHT]), "prompt_ids": torch.tensor(prompt)}
    found["prefill_last_hidden_state"] = language(inputs_embeds=embedded).last_hidden_state
    forced = torch.randint(64, (2, grid**2), generator=torch.Generator().manual_seed(1))
    found["gen_embeds_forced"] = model.prepare_embeddings_for_image_generation(forced)
    for name in ("forced", "greedy"):
        x, codes, steps = embedded, torch.zeros_like(forced), []
        for step in range(grid**2):
            logits = model.model.generation_head(language(inputs_embeds=x).last_hidden_state[:, -1])
            cond, free = logits[0::2], logits[1::2]
            steps.append(torch.stack((cond, free, free + WEIGHT * (cond - free))))
            codes[:, step] = forced[:, step] if name == "forced" else steps[-1][2].argmax(-1)
            new = model.prepare_embeddings_for_image_generation(codes[:, step : step + 1])
            x = torch.cat((x, new.repeat_interleave(2, dim=0)), dim=1)
        logits = torch.stack(steps, dim=2)
        pixels = decoded(model, codes, grid)
        found |= {f"{name}_logit_{kind}": logits[k] for k, kind in enumerate(("cond", "uncond", "mixed"))}
        found |= {f"{name}_tokens": codes.int(), f"{name}_pixels": pixels}
        found[f"{name}_uint8"] = ((pixels + 1) / 2 * 255).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return found


def quantized(model: Any) -> dict[str, Tensor]:
    """An oblong image too: the tokenizer takes any size."""
    vq, scale = model.model.vqmodel, 2 ** (len(model.config.vq_config.channel_multiplier) - 1)
    image = torch.rand(2, 3, 6 * scale, 4 * scale, generator=torch.Generator().manual_seed(2)) * 2 - 1
    latents = vq.quant_conv(vq.encoder(image))
    units = F.normalize(latents.movedim(1, -1), dim=-1)
    distances = (units[..., None, :] - book_of(model)).square().sum(-1)
    codes = distances.argmin(-1)
    quant = book_of(model)[codes].movedim(-1, 1)
    return {
        "image": image, "prequant": latents, "indices": codes.flatten(), "quant": quant,
        "recon": vq.decoder(vq.post_quant_conv(quant)),
    }  # fmt: skip


@pytest.mark.parametrize("name", CASES, ids=[name.replace(" ", "-") for name in CASES])
@torch.inference_mode()
def test_what_transformers_recorded_is_within_the_gates(name: str, tmp_path: Path) -> None:
    case, model = CASES[name], build(CASES[name])
    folders = [tmp_path / "converted", tmp_path / "official"]
    model.save_pretrained(folders[0])
    save_checkpoint(load_model(Checkpoint(folders[0])).model, folders[1])
    recorded = {
        "understanding": read_rows(model, case["rows"], case.get("right", False)),
        "generation": drawn(model),
        "vq": quantized(model),
    }
    inputs = {"out.greedy_eos_token", "cfg_weight", "image"}
    expected = {
        f"{file}/{key}"
        for file, tensors in recorded.items()
        for key in tensors
        if key not in inputs and not key.startswith("in.")
    }
    for folder in folders:
        for file, tensors in recorded.items():
            save_file(
                {key: tensor.contiguous().clone() for key, tensor in tensors.items()}, folder / f"{file}.safetensors"
            )
        found, skipped = findings(folder)
        assert {row.tensor: row.difference for row in found if not row.within} == {}
        assert {row.tensor for row in found} == expected and skipped == []
