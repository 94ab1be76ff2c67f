"""The benchmarks run, at a tiny size, and their contenders do the same work: equal codes and equal answers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from benchmarks import asking, children, cuda, drawing, flowing, instruments, measure, midsize, run
from benchmarks.asking import Pair
from benchmarks.drawing import Setting
from benchmarks.peers import TOKEN, script_draw, transformers_answer, transformers_draw, transformers_janus
from janus_eval.models.janus_pro.config import JanusProConfig, ProjectorConfig
from janus_eval.models.janus_pro.sampling import draw_codes
from janus_eval.models.janus_pro.vq import VQConfig
from janus_eval.models.parts.picking import greedy
from janus_eval.models.parts.siglip import SiglipConfig
from janus_eval.tasks.instruments.mask2former.instrument import Mask2Former
from janus_eval.tasks.instruments.mask2former.self_test import SIZES
from janus_eval.types import Failure

pytestmark = pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")
CODES = 16


@pytest.fixture(scope="module")
def config() -> JanusProConfig:
    """The mid-size model with everything small but the vocabulary, which has to hold the tokenizer's words."""
    whole = midsize.mid_config()
    language = dataclasses.replace(
        whole.language, vocab_size=1100, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, head_dim=8,
    )  # fmt: skip
    vq = VQConfig(codebook_size=64, channels=32, latent_channels=16, res_blocks=1)
    return dataclasses.replace(
        whole,
        vision=SiglipConfig(image_size=64, patch_size=16, width=24, layers=2, heads=3),
        aligner=ProjectorConfig(24, 32, 2),
        vq=vq,
        gen_aligner=ProjectorConfig(vq.codebook_dim, 32, 2),
        gen_head_width=32,
        language=language,
    )


@pytest.fixture(scope="module")
def setting(config: JanusProConfig) -> Setting:
    model = midsize.random_model(config)
    return Setting(model, transformers_janus(model), CODES, 2)


@pytest.fixture(scope="module")
def pair(config: JanusProConfig) -> Pair:
    return asking.load_pair(midsize.random_model(config))


@torch.inference_mode()
def test_contenders_draw_the_same_codes(setting: Setting) -> None:
    prompts = midsize.prompt_ids(3)
    ours = draw_codes(
        setting.model, prompts, pad_id=TOKEN["pad"], count=CODES, guidance=drawing.GUIDANCE, pick=greedy
    ).codes
    assert torch.equal(ours, transformers_draw(setting.theirs, prompts, CODES, greedy=True))
    script = [script_draw(setting.theirs, prompt, CODES, images=2, greedy=True) for prompt in prompts]
    assert torch.equal(ours.repeat_interleave(2, dim=0), torch.cat(script))
    assert len(set(map(tuple, ours.tolist()))) == 3, "equal whatever the prompt: the comparison says nothing"


def test_contenders_give_the_same_answers(pair: Pair) -> None:
    asked = [*asking.questions(3, 8), *asking.questions(1, 5)]
    whole = asking.whole_prompts(pair, asked)
    theirs = transformers_answer(pair.theirs, whole.prompts, whole.pixels, midsize.NEW_TOKENS)
    assert asking.texts(pair, asked) == [pair.ours.processor.decode(ids) for ids in theirs.tolist()]


def test_scenes_make_a_report(setting: Setting, pair: Pair) -> None:
    scenes = (drawing.four_images, drawing.sixteen_images, drawing.sixteen_prompts)
    comparisons = [scene(setting) for scene in scenes]
    comparisons += [asking.shared_image(pair, 2, 5, 2), drawing.products(setting, 2)]
    report = measure.Report(comparisons, [drawing.pixels_of_one(setting)])
    rows = {row["contender"]: row for row in report.comparisons[2].rows()}
    assert set(rows) == {drawing.OURS, drawing.THEIRS, drawing.SCRIPT}
    assert "cpu_ratio" not in rows[drawing.OURS] and "cpu_ratio" in rows[drawing.SCRIPT]
    assert len(json.loads(json.dumps(report.as_json()))["comparisons"]) == len(comparisons)
    assert all(comparison.title in report.table() for comparison in comparisons)


def test_costs_of_a_share_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(measure.time, "process_time", lambda: 0.0)
    order: list[str] = []
    contenders = [measure.Contender(name, lambda name=name: order.append(name), 1 / 4) for name in "ab"]
    assert measure.interleaved(contenders, 2) == {name: [measure.Cost(4.0, 0.0)] * 2 for name in "ab"}
    assert order == ["a", "b", "b", "a"]


def test_a_run_writes_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "quiet_threads", lambda _: None)
    monkeypatch.setattr(run, "quiet_threads", lambda _: None)
    monkeypatch.setattr(children, "figures_of_starting", lambda _: [measure.Figure("help", "s", [0.1, 0.3, 0.2])])
    run.main(["--quick", "--only", "startup", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["figures"][0]["median"] == 0.2 and found["machine"]["quick"] is True
    assert measure.own_peak_mib() > 50


def test_the_demos_way_flows_to_the_same_latents(config: JanusProConfig) -> None:
    whole = flowing.flow_config()
    encoder = dataclasses.replace(whole.gen_encoder, width=16)
    decoder = dataclasses.replace(whole.gen_decoder, width=16, skip_width=16)
    model = flowing.random_flow(
        dataclasses.replace(
            whole, vision=config.vision, gen_encoder=encoder, gen_decoder=decoder, language=config.language
        )
    )
    setting = flowing.FlowSetting(model, flowing.transformers_decoder(model), 8, 3, 2)
    prompts = [*midsize.prompt_ids(1, 5), *midsize.prompt_ids(2, 5)[1:]]
    ours = flowing.our_flow(setting, prompts)
    torch.testing.assert_close(ours, flowing.demo_flow(setting, prompts), atol=1e-4, rtol=1e-4)
    assert (ours[0] - ours[1]).abs().max() > 1e-2, "equal whatever the prompt: the comparison says nothing"
    rows = {row["contender"]: row for row in flowing.flow_scene(setting, 7, 2).rows()}
    assert "cpu_ratio" in rows[flowing.DEMO]


def tiny_detector() -> Mask2Former:
    detector = instruments.random_detector(SIZES)
    detector._pipeline = dataclasses.replace(detector._pipeline, scale=(96, 64))
    return detector


@pytest.mark.filterwarnings("ignore:pkg_resources is deprecated")
def test_instruments_are_paced_by_what_they_see() -> None:
    found = instruments.detector_pace(tiny_detector(), (1, 2), 1)
    colours = instruments.random_colours(instruments.ClipSizes(8, 32, 1, 64, 16, 77, 49408, 64, 1, 1))
    found += instruments.colours_pace(colours, 2, 2)
    assert [figure.unit for figure in found] == ["pictures a second", "pictures a CPU second"] * 2 + [
        "crops a second", "crops a CPU second",
    ]  # fmt: skip
    assert all(value > 0 for figure in found for value in figure.values) and len(found[-1].values) == 2
    assert "2 of 384 x 384 pixels at a time" in found[2].name and "4 crops at a time" in found[-1].name


def test_a_look_that_fails_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = tiny_detector()
    monkeypatch.setattr(detector, "observe", lambda looks: [Failure("too dark")])
    with pytest.raises(RuntimeError, match="too dark"):
        instruments.detector_pace(detector, (1,), 1)


def test_the_reader_is_paced_or_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = instruments.reading_pace(1, 1)
    assert found or "left out" in capsys.readouterr().err


def test_judging_again_asks_nobody_and_changes_nothing() -> None:
    scale = instruments.Scale((2,) * 6, 3, 2, 10)
    figures = instruments.judging(scale, 1)
    assert [figure.name.partition(",")[0] for figure in figures[::2]] == [
        "judging 48 responses of geneval/official", "judging 12 responses of mmbench/circular",
    ]  # fmt: skip


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_measured(monkeypatch: pytest.MonkeyPatch, config: JanusProConfig) -> None:
    monkeypatch.setattr(cuda, "SIZES", {"1b": lambda: config})
    comparison, *peaks = cuda.draw("1b", 2, CODES, 1)
    assert isinstance(comparison, measure.Comparison)
    assert set(comparison.costs) == {drawing.OURS, cuda.PLAIN, drawing.THEIRS, drawing.SCRIPT}
    assert len(peaks) == 4


def test_a_gpus_table_goes_by_the_clock() -> None:
    costs = {"janus-eval": [measure.Cost(2.0, 1.0)], "transformers": [measure.Cost(6.0, 1.0)]}
    shown = cuda.table([measure.Comparison("Eight", "images", 8, "janus-eval", costs)])
    assert "| janus-eval | 2 | 4 | 1 |" in shown
    assert "| transformers | 6 | 1.33 | 3.00 (3.00 to 3.00) |" in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cuda.main(["--only", "1b-4"])
    assert "needs a CUDA device" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cuda.main(["--only", "1b-3"])
    assert "no scene 1b-3" in capsys.readouterr().err
