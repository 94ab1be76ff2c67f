"""Reading the published folder's settings, its vocabulary, and the beam search by itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.tasks.instruments.mplug.beams import END, START, search
from janus_eval.tasks.instruments.mplug.config import Beams, Config, TextSizes, read_config
from janus_eval.tasks.instruments.mplug.tokens import LENGTH, Vocabulary

CPU = torch.device("cpu")
BERT = {"encoder_width": 768, "text_encoder_layers": 6, "fusion_layers": 6, "text_decode_layers": 12, "stride_layer": 6}


def written(folder: Path, yaml: str = "{}", **bert: Any) -> Path:
    (folder / "config.yaml").write_text(yaml)
    (folder / "config_bert.json").write_text(json.dumps({**BERT, **bert}))
    return folder


def test_what_files_leave_out_is_what_modelscope_puts_there(tmp_path: Path) -> None:
    assert read_config(written(tmp_path)) == Config()
    config = Config()
    assert (config.vision.resolution, config.vision.tokens, config.vision.heads) == (504, 1297, 16)
    assert config.beams == Beams(5, 1, 10)
    assert not any(config.text.joint(layer) for layer in range(config.text.fusing))


def test_which_layers_fuse(tmp_path: Path) -> None:
    text = read_config(written(tmp_path, num_hidden_layers=12, fusion_layers=5, stride_layer=2)).text
    assert (text.first_fusing, text.fusing, [text.joint(k) for k in range(5)]) == (
        7,
        5,
        [False, False, True, False, True],
    )
    assert read_config(written(tmp_path, num_hidden_layers=3, fusion_layers=5)).text.fusing == 3


def test_published_settings_hold(tmp_path: Path) -> None:
    found = read_config(written(tmp_path, "beam_size: 2\nmax_length: 4\nmin_length: 0\nimage_res: 336\nlr: 3e-5\n"))
    assert (found.beams, found.vision.resolution) == (Beams(2, 0, 4), 336)


@pytest.mark.parametrize(
    ("yaml", "bert", "message"),
    [
        ("image_res: 500", {}, "image_res is 500, expected a multiple of 14"),
        ("image_res: -14", {}, "image_res is -14, expected a whole number from 1"),
        ("clip_vision_width: 100", {}, "clip_vision_width is 100, expected a multiple of 64"),
        ("vision_width: 768", {}, "vision_width is 768, only 1024"),
        ("beam_size: five", {}, "beam_size is 'five'"),
        ("beam_size: true", {}, "beam_size is True"),
        ("bert_config: ../secret.json", {}, "bert_config is '../secret.json'"),
        ("bert_config: other.json", {}, "has no other.json"),
        ("- a\n- b", {}, "holds a YAML list"),
        ("a: [", {}, "is no valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", {}, "is no valid YAML"),
        ("{}", {"fusion_layers": None}, "fusion_layers is None"),
        ("{}", {"hidden_size": 770}, "hidden_size is 770, expected a multiple of 12"),
        ("{}", {"encoder_width": 512}, "encoder_width is 512, only 768"),
        ("{}", {"hidden_act": "relu"}, "hidden_act is 'relu', only 'gelu'"),
        ("{}", {"layer_norm_eps": 2}, "layer_norm_eps is 2, expected a number between 0 and 1"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, yaml: str, bert: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        read_config(written(tmp_path, yaml, **bert))
    assert message in str(error.value)


def test_questions_as_ids(recorded: Path) -> None:
    vocabulary = Vocabulary(recorded / "vocab.txt")
    ids, real = vocabulary.encode(["Is there a CUP?", "", " ".join(["dog"] * 40)])
    assert ids.shape == real.shape == (3, LENGTH) and ids.dtype == torch.int64 and real.dtype == torch.bool
    assert ids[0].tolist()[:7] == [START, *(vocabulary.ids[word] for word in ("is", "there", "a", "cup", "?")), END]
    assert real.sum(1).tolist() == [7, 2, 25] and ids[0, 7:].tolist() == [0] * 18
    assert ids[2].tolist() == [START, *[vocabulary.ids["dog"]] * 23, END], "cut, but not its end"
    assert vocabulary.encode([])[0].shape == (0, LENGTH)


def test_ids_as_text(recorded: Path) -> None:
    vocabulary = Vocabulary(recorded / "vocab.txt")

    def text(*words: str) -> str:
        return vocabulary.decode([vocabulary.ids[word] for word in words])

    assert text("[CLS]", "yes", "[SEP]") == text("[CLS]", "yes", "[SEP]", "[UNK]", "[PAD]") == "yes"
    assert text("stand", "##ing", "dog", ",", "it", "'", "s", "red", "!") == "standing dog, it's red!"
    assert text("[SEP]") == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words: ["x", *words], r"\[CLS\] is in line 103, expected in line 102"),
        (lambda words: [word for word in words if word != "[SEP]"], r"\[SEP\] is in line 0"),
        (lambda words: [word.replace("[MASK]", "m") for word in words], r"has no \[MASK\]"),
    ],
)
def test_another_vocabulary_is_refused(
    recorded: Path, tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    words = (recorded / "vocab.txt").read_text(encoding="utf-8").split("\n")
    (tmp_path / "vocab.txt").write_text("\n".join(change(words)), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        Vocabulary(tmp_path / "vocab.txt")


def chain(likely: dict[int, dict[int, float]]) -> Callable[[Tensor, Tensor], Tensor]:
    """The next token's chance by the last one; all others have next to none."""
    table = torch.full((110, 110), 1e-9)
    for last, row in likely.items():
        for following, chance in row.items():
            table[last, following] = chance
    return lambda ids, asked: table.log()[ids[..., -1]]


def test_one_beam_takes_the_likeliest_token_each_time() -> None:
    step = chain({START: {5: 0.6, 6: 0.4}, 5: {7: 0.5, 8: 0.4}, 6: {9: 1.0}, 7: {END: 1.0}, 9: {END: 1.0}})
    assert search(step, 1, Beams(1, 1, 10), CPU)[0].ids == [START, 5, 7, END]
    # Two see that the other way is likelier as a whole: 0.4 against 0.3.
    assert search(step, 1, Beams(2, 1, 10), CPU)[0].ids == [START, 6, 9, END]


def test_answers_are_neither_too_short_nor_too_long() -> None:
    eager = chain({START: {END: 0.9, 5: 0.1}, 5: {END: 0.8, 5: 0.2}})
    assert search(eager, 1, Beams(1, 0, 10), CPU)[0].ids == [START, END]
    assert search(eager, 1, Beams(1, 1, 10), CPU)[0].ids == [START, 5, END]
    assert search(eager, 1, Beams(1, 3, 10), CPU)[0].ids == [START, 5, 5, 5, END]
    assert search(chain({START: {5: 1.0}, 5: {5: 1.0}}), 1, Beams(2, 1, 4), CPU)[0].ids == [START, 5, 5, 5, 5]


def test_the_score_is_the_sum_over_a_power_of_the_length() -> None:
    step = chain({START: {5: 0.6, 6: 0.4}, 5: {END: 0.6, 6: 0.4}})
    (found,) = search(step, 1, Beams(1, 1, 10), CPU)
    assert found.ids == [START, 5, END]
    assert found.score == pytest.approx(2 * math.log(0.6) / (7 / 6) ** 0.6, abs=1e-5)


def test_a_beam_that_ended_is_searched_on_and_may_win_again() -> None:
    """A quirk that is kept: after its end, an answer gets longer at no cost, and its score rises by the length."""
    step = chain({START: {5: 0.6, END: 0.4}, 5: {6: 0.9, 7: 0.1}, END: {END: 1.0}, 6: {7: 0.5, 8: 0.5}})
    (found,) = search(step, 1, Beams(2, 0, 3), CPU)
    assert found.ids == [START, END, END, END]


def test_searches_end_each_in_their_own_time(generation: dict[str, Tensor]) -> None:
    logits = generation["chains.logits"].float()
    together = search(lambda ids, asked: logits[asked[:, None], ids[..., -1]], len(logits), Beams(3, 1, 9), CPU)
    assert len({len(found.ids) for found in together}) > 2
    for place, expected in enumerate(together):
        (alone,) = search(lambda ids, asked, place=place: logits[place][ids[..., -1]], 1, Beams(3, 1, 9), CPU)  # type: ignore[misc]
        assert alone == expected


def test_text_sizes_of_the_case(config: Config) -> None:
    text: TextSizes = config.text
    assert (text.first_fusing, text.fusing, [text.joint(k) for k in range(4)]) == (1, 4, [False, False, True, False])
