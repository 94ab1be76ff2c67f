"""The colour classifier's self-test: its known case against transformers' CLIP, and what makes it fail."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from janus_eval.errors import UserError
from janus_eval.observe import Instruments
from janus_eval.tasks.instruments import clip_colours, clip_self_test
from janus_eval.tasks.instruments.clip_colours import COLOURS, TEMPLATES, ClipColours, Network
from janus_eval.tasks.instruments.clip_self_test import BALLS, KNOWN, NAME, known_case, made_weights, plain_colours
from janus_eval.tasks.instruments.known import drawn_scene

pytestmark = pytest.mark.filterwarnings("ignore")
CPU = torch.device("cpu")
RENAMED = {
    "transformer.resblocks": "encoder.layers", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2", "ln_1": "layer_norm1", "ln_2": "layer_norm2", "ln_pre": "pre_layrnorm",
    "ln_post": "post_layernorm", "ln_final": "final_layer_norm", "conv1": "embeddings.patch_embedding",
    "class_embedding": "embeddings.class_embedding", "token_embedding": "embeddings.token_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
}  # fmt: skip


def as_transformers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in {"visual.proj", "text_projection"}:
            found["visual_projection.weight" if name[0] == "v" else "text_projection.weight"] = tensor.T
            continue
        tower, rest = "vision_model" if name.startswith("visual.") else "text_model", name.removeprefix("visual.")
        for ours, theirs in RENAMED.items():
            rest = rest.replace(ours, theirs)
        if "in_proj_" in rest:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{tower}.{rest.replace('attn.in_proj_', f'self_attn.{part}_proj.')}"] = rows
        else:
            found["logit_scale" if name == "logit_scale" else f"{tower}.{rest}"] = tensor
    return found


def probabilities_by_transformers(activation: str) -> Tensor:
    import clip
    from transformers import CLIPConfig, CLIPModel

    common = {
        "hidden_size": clip_self_test.WIDTH, "intermediate_size": 4 * clip_self_test.WIDTH, "num_attention_heads": 1,
        "num_hidden_layers": clip_self_test.LAYERS, "hidden_act": activation,
    }  # fmt: skip
    text = {**common, "vocab_size": clip_self_test.VOCABULARY, "max_position_embeddings": 77, "eos_token_id": 49407}
    vision = {**common, "image_size": clip_self_test.SIDE, "patch_size": clip_self_test.PATCH}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=clip_self_test.DIM)
    model: Any = CLIPModel(config).eval()
    model.load_state_dict(as_transformers(made_weights()), strict=True)
    texts = [template.format(colour=colour, name=NAME) for colour in COLOURS for template in TEMPLATES]
    pixels = Network(made_weights(), CPU, "made").prepared(Image.fromarray(drawn_scene()))
    with torch.no_grad():
        seen = model.visual_projection(model.vision_model(pixel_values=pixels[None]).pooler_output)
        read = model.text_projection(model.text_model(input_ids=clip.tokenize(texts).long()).pooler_output)
    read = nn.functional.normalize(read, dim=-1).unflatten(0, (len(COLOURS), -1)).mean(1)
    logits = 100 * nn.functional.normalize(seen, dim=-1) @ nn.functional.normalize(read, dim=-1).T
    return logits.softmax(-1)[0]


def test_the_known_case_is_what_transformers_sees_and_what_we_see() -> None:
    torch.testing.assert_close(probabilities_by_transformers("quick_gelu"), torch.tensor(KNOWN), atol=5e-5, rtol=0)
    assert "as transformers saw them" in known_case(CPU)


def test_without_quick_gelu_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import clip.model

    monkeypatch.setattr(clip.model.QuickGELU, "forward", lambda self, x: nn.functional.gelu(x))
    with pytest.raises(UserError, match=r"yellow 0\.798, green 0\.176.* here it gives yellow 0\.840"):
        known_case(CPU)


def test_another_wording_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_colours, "TEMPLATES", ("a picture of a {colour} {name}",))
    with pytest.raises(UserError, match=r"apart where 0\.02 are allowed"):
        known_case(CPU)


class Eyes:
    """Stands for a trained network: a colour's direction for a text that names it, the nearest for a picture."""

    class visual:  # noqa: N801 - clip's own name
        input_resolution = 32

    def __init__(self, swapped: bool = False) -> None:
        self.shades = dict(zip(BALLS, reversed(BALLS.values()) if swapped else BALLS.values(), strict=True))

    def encode_text(self, tokens: Tensor) -> Tensor:
        from clip.clip import _tokenizer

        texts = [_tokenizer.decode([int(token) for token in row if token]) for row in tokens]
        return torch.stack([torch.tensor([float(colour in text.split()) for colour in COLOURS]) for text in texts])

    def encode_image(self, pixels: Tensor) -> Tensor:
        mean, std = torch.tensor([0.481, 0.458, 0.408]), torch.tensor([0.269, 0.261, 0.276])
        middle = (pixels[:, :, 16, 16] * std + mean) * 255
        rows = torch.zeros(len(pixels), len(COLOURS))
        for place, shade in enumerate(middle):
            near = min(self.shades, key=lambda name: float((torch.tensor(self.shades[name]) - shade).abs().sum()))
            rows[place, COLOURS.index(near)] = 1
        return rows


def network(model: Any) -> Network:
    made = Network(made_weights(), CPU, "made")
    made.model = model
    return made


def test_plain_colours_must_be_named() -> None:
    assert plain_colours(network(Eyes())) == "balls that are red, green, blue, yellow"
    with pytest.raises(UserError, match="red, green, blue, yellow were seen as yellow, blue, green, red"):
        plain_colours(network(Eyes(swapped=True)))


def test_untrained_weights_do_not_pass(tmp_path: Any) -> None:
    save_file(made_weights(), tmp_path / "made.safetensors")
    instruments = Instruments(made={"clip-colours": ClipColours(tmp_path / "made.safetensors", device="cpu")})
    with pytest.raises(UserError, match="instrument 'clip-colours' fails its self-test: drawn balls that are red"):
        instruments.ready("clip-colours")
