"""FID on a small benchmark in MJHQ-30K's form, from the published files to the number."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import janus_eval
from janus_eval.errors import UserError
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.plan import choices
from janus_eval.progress import Silent
from janus_eval.runner import Options, rescore
from janus_eval.tasks import mjhq
from janus_eval.tasks.fid import deviation, estimate
from janus_eval.tasks.fid_references import References
from janus_eval.tasks.frechet import Gaussian, distance, gaussian
from janus_eval.tasks.mjhq import CATEGORIES, MJHQLayout, mjhq_fid
from janus_eval.types import Drawing, Failure, Response, Sample, Score, Scored

pytestmark = pytest.mark.filterwarnings("ignore")


class Painter:
    """Draws noise of its prompt's own seed; fails on what it is told to."""

    weights = "painter"

    def __init__(self, failing: str = "no prompt") -> None:
        self.failing = failing

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [self._draw(drawing) for drawing in drawings]

    def _draw(self, drawing: Drawing) -> Response | Failure:
        if self.failing in drawing.prompt:
            return Failure("out of paint")
        pixels = np.random.RandomState(drawing.seed % 2**32).randint(0, 256, (12, 12, 3)).astype(np.uint8)
        return Response(image=Picture.from_pil(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)))


def evaluated(out: Path, model: Any = None, tasks: Sequence[str] = ("mjhq-fid",), **options: Any) -> Any:
    return janus_eval.evaluate(model or Painter(), list(tasks), out=out, **options)


def judged_again(run: Path, instruments: Mapping[str, str] | None = None) -> None:
    chosen = choices(["mjhq-fid/paper"], instruments)
    rescore(run, chosen, instruments=Instruments(), options=Options(), display=Silent())


def features_of(run: Any, protocol: str) -> np.ndarray[Any, Any]:
    """In the order of the samples' names, as the journal has them."""
    look = {"paper": "inception-256", "clean": "inception"}[protocol]
    lines = [json.loads(line) for line in (run.folder / "observations.jsonl").read_text().splitlines()]
    rows = {line["sample"]: line["data"]["features"] for line in lines if line["instrument"] == look}
    return np.stack([np.frombuffer(base64.b64decode(rows[name]), "<f4") for name in sorted(rows)])


@pytest.fixture(scope="module")
def run(shared: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return evaluated(tmp_path_factory.mktemp("run"), tasks=["mjhq-fid/paper", "mjhq-fid/clean"])


def test_both_protocols_from_files_to_numbers(shared: Any, run: Any) -> None:
    from cleanfid.fid import get_folder_features
    from cleanfid.inception_torchscript import InceptionV3W

    found = run.results["tasks"]["mjhq-fid"]
    network = InceptionV3W(os.environ["JANUS_EVAL_WEIGHTS"], download=False)
    library = get_folder_features(str(shared.extracted() / "root"), network, num_workers=0, device="cpu", verbose=False)
    clean = distance(features_of(run, "clean"), gaussian(library))
    overall = found["clean"]["metrics"]["overall"]
    assert overall["value"] == pytest.approx(clean.value, rel=1e-5)
    assert overall["low"] < overall["value"] < overall["high"] and overall["unit"] == "fid"
    assert overall["n"] == 30 and overall["failed"] == 0
    assert list(found["clean"]["metrics"]) == ["overall", *CATEGORIES]
    assert found["clean"]["metrics"]["food"]["n"] == 3
    assert found["paper"]["metrics"]["overall"]["value"] != pytest.approx(overall["value"], rel=1e-3)
    assert found["clean"]["remarks"] == [
        "FID of 30 pictures, published figures are of 30,000: it falls as pictures are added"
    ]


def test_the_scores_do_not_repeat_the_features(run: Any) -> None:
    assert (run.folder / "observations.jsonl").stat().st_size > 30 * 2048 * 4
    assert (run.folder / "scores.jsonl").stat().st_size < 60 * 500


def test_references_are_computed_once_and_serve_without_their_pictures(small: Any, tmp_path: Path) -> None:
    first = evaluated(tmp_path / "first")
    (folder,) = small.references.iterdir()
    files = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
    assert files == {"made.json", *(f"{category}.npy" for category in CATEGORIES)}
    made = json.loads((folder / "made.json").read_text())
    assert made["groups"] == dict.fromkeys(CATEGORIES, 3) and made["instrument"] == "inception-256"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    (small.data / mjhq.IMAGES).unlink()
    second = evaluated(tmp_path / "second")
    assert second.results["tasks"] == first.results["tasks"]
    assert {
        file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.name in files
    }.items() <= before.items()


def test_a_killed_computation_goes_on_with_the_next_group(small: Any, tmp_path: Path) -> None:
    whole = evaluated(tmp_path / "first").results["tasks"]
    (folder,) = small.references.iterdir()
    marked = folder / "animals.npy"
    for name in ("made.json", "food.npy", "art.npy"):
        (folder / name).unlink()
    stamp = marked.stat().st_mtime_ns
    assert evaluated(tmp_path / "second").results["tasks"] == whole
    assert marked.stat().st_mtime_ns == stamp and (folder / "food.npy").is_file()


def test_without_the_pictures_nothing_is_drawn(small: Any, tmp_path: Path) -> None:
    (small.data / mjhq.IMAGES).unlink()
    with pytest.raises(UserError, match=r"mjhq30k_imgs\.zip is not on this machine: janus-eval fetch mjhq/"):
        evaluated(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_damaged_references_are_named(small: Any, tmp_path: Path) -> None:
    evaluated(tmp_path / "first")
    (folder,) = small.references.iterdir()
    for damage in (b"{}", b"\x93NUMPY cut", b""):
        (folder / "food.npy").write_bytes(damage)
        with pytest.raises(UserError, match=r"is damaged .*: delete it and run the same command again"):
            evaluated(tmp_path / "second")
    (responses,) = (tmp_path / "second").glob("*/responses.jsonl")
    assert len(responses.read_text().splitlines()) == 30, "what was drawn is kept"


def test_a_failed_drawing_is_counted_and_the_rest_is_measured(small: Any, tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run", Painter("3 circles"))
    found = run.results["tasks"]["mjhq-fid"]["paper"]
    assert found["metrics"]["overall"]["n"] == 20 and found["metrics"]["overall"]["failed"] == 10
    assert "FID of 20 pictures" in found["remarks"][0]
    assert found["metrics"]["food"]["n"] == 2


def test_one_picture_has_no_distance(small: Any, tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run", limit=1)
    found = run.results["tasks"]["mjhq-fid"]["paper"]["metrics"]
    assert found["food"]["value"] is None and found["overall"]["n"] == 10 and found["overall"]["value"] > 0


def test_features_of_another_network_are_no_measure(run: Any) -> None:
    with pytest.raises(UserError, match=r"not those of 'inception-256'.*leave --instrument features=\.\.\. out"):
        judged_again(run.folder, {"features": "inception"})


def test_a_run_is_judged_again_without_model_and_network(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = run.results
    monkeypatch.setenv("JANUS_EVAL_WEIGHTS", str(tmp_path / "nowhere"))
    (run.folder / "results.json").unlink()
    judged_again(run.folder)
    assert run.results["tasks"]["mjhq-fid"]["paper"] == results["tasks"]["mjhq-fid"]["paper"]


class Known(References):
    """References whose moments are given."""

    def __init__(self, moments: Gaussian) -> None:
        self.moments = moments

    @property
    def network(self) -> str:
        return "toy"

    def gaussian(self, group: str | None) -> Gaussian:
        return self.moments


def scored(rows: Any, category: str = "food", images: int = 1) -> Iterator[Scored]:
    for place, row in enumerate(rows):
        name = f"{category}-{place // images}"
        sample = Sample(name, {}, {}, name, category)
        score = Score(1.0, parts={"network": "toy"}, vector=np.asarray(row, "<f4").tobytes())
        yield Scored(sample, place % images, score)


def noise(count: int, seed: int, shift: float = 0.0, size: int = 12) -> Any:
    return (np.random.RandomState(seed).standard_normal((count, size)) + shift).astype(np.float32)


def test_the_interval_holds_the_mean_of_many_runs() -> None:
    """Nominally 95 of 100, give or take 2."""
    known = Known(gaussian(noise(3000, 0)))
    found = [estimate(list(scored(noise(60, seed, 0.2))), known, None) for seed in range(1, 101)]
    mean = np.mean([one.value for one in found if one.value is not None])
    held = sum(one.low is not None and one.high is not None and one.low <= mean <= one.high for one in found)
    assert 89 <= held <= 99


def test_categories_that_differ_widen_no_interval() -> None:
    """The benchmark fixes how many pictures each category has: a difference between them is no chance."""
    known = Known(gaussian(noise(3000, 0)))
    apart = [*scored(noise(40, 1), "food"), *scored(noise(40, 2, 3.0), "logo")]
    mixed = [replace(item, sample=replace(item.sample, category="one")) for item in apart]
    separate, together = (estimate(rows, known, None) for rows in (apart, mixed))
    assert separate.value is not None and separate.value == pytest.approx(together.value)
    assert separate.high is not None and together.high is not None
    assert 2 * (separate.high - separate.value) < together.high - separate.value


def test_pictures_of_one_prompt_count_together() -> None:
    pulls = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    pairs, singles = list(scored(noise(8, 0), images=2)), list(scored(noise(8, 0)))
    assert deviation(pulls, pairs) > 1.4 * deviation(pulls, singles)
    assert deviation(np.array([1.0, -1.0]), pairs[:2]) > 0, "of one prompt alone each picture stands for itself"


def test_order_changes_no_bit() -> None:
    known, rows = Known(gaussian(noise(300, 0))), list(scored(noise(50, 1, 0.2)))
    assert estimate(rows, known, None) == estimate(rows[::-1], known, None)


def test_prompts_are_read_as_published(small: Any) -> None:
    rows = mjhq.read(small.data / mjhq.PROMPTS)
    assert len(rows) == 30 and {row.category for row in rows} == set(CATEGORIES)
    assert rows[0].inputs["prompt"] == "a photo of 2 circles" and rows[0].id == rows[0].group
    paper = mjhq_fid.protocols["paper"]
    (drawing,) = mjhq_fid.requests(rows[0], paper.ask, lambda sample, index: 7)
    assert isinstance(drawing, Drawing) and drawing.size is None and drawing.seed == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "an object is expected"),
        ("{}", "an object is expected"),
        ("{", "Expecting property name"),
        ('{"a": {"category": "food"}}', "entry 'a': no prompt"),
        ('{"a": {"category": "food", "prompt": " "}}', "entry 'a': no prompt"),
        ('{"a": {"category": "cars", "prompt": "x"}}', "category 'cars' is none of animals, art"),
        ('{"a": 3}', "entry 'a': no prompt"),
    ],
)
def test_other_prompts_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "meta_data.json").write_text(content)
    with pytest.raises(UserError, match=message):
        mjhq.read(tmp_path / "meta_data.json")


def test_a_zip_without_a_category_is_refused(small: Any) -> None:
    with zipfile.ZipFile(small.data / "other.zip", "w") as archive:
        archive.writestr("root/food/a.jpg", b"x")
    with (
        zipfile.ZipFile(small.data / "other.zip") as archive,
        pytest.raises(UserError, match="two pictures of animals"),
    ):
        mjhq.ZipAlbum(archive, small.data / "other.zip")


def test_a_broken_reference_is_named(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Album:
        groups: Mapping[str, Sequence[str]] = {"food": ["good", "bad"]}

        def read(self, name: str) -> Picture:
            return Picture(b"no picture") if name == "bad" else Picture.from_pil(Image.new("RGB", (9, 9)))

    references = References("toy", "1", "inception", lambda: contextlib.nullcontext(Album()))
    with pytest.raises(UserError, match="reference picture bad: not an image"):
        references.gaussian(None)
    assert not references.kept
    monkeypatch.setattr(Album, "read", lambda self, name: Picture.from_pil(Image.new("RGB", (9, 9))))
    assert references.gaussian("food").n == 2
    with pytest.raises(UserError, match="have no group 'art'"):
        references.gaussian("art")


def test_a_damaged_zip_is_named(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "damaged.zip"
    squeezed = zlib.compress(b"a" * 99, wbits=-15)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for category in mjhq.CATEGORIES:
            archive.writestr(f"{category}/1.jpg", b"a" * 99)
            archive.writestr(f"{category}/2.jpg", b"")
    path.write_bytes(path.read_bytes().replace(squeezed, b"\x06" + squeezed[1:]))
    with zipfile.ZipFile(path) as archive, pytest.raises(UserError, match=r"damaged\.zip, food/1\.jpg: .*block type"):
        mjhq.ZipAlbum(archive, path).read("food/1.jpg")


def test_folders_in_the_published_layout(small: Any, tmp_path: Path) -> None:
    samples, layout = mjhq.read(small.data / mjhq.PROMPTS), MJHQLayout()
    pictures = {(row.id, 0): Picture.from_pil(Image.new("RGB", (9, 9), (k, 0, 0))) for k, row in enumerate(samples)}
    layout.write(tmp_path / "out", samples, pictures)
    read = layout.read(tmp_path / "out", samples, 1)
    assert read.pictures == pictures and not read.faults
    food = tmp_path / "out" / "food"
    first, second = small.names["food"][:2]
    (food / f"{first}.png").unlink()
    (food / f"{second}.png").write_bytes(b"\x89PNG")
    (food / "stranger.jpg").write_bytes(b"x")
    faults = "\n".join(layout.read(tmp_path / "out", samples, 1).faults)
    assert f"no usable picture of prompt {first} (food)" in faults and f"food/{second}.png: " in faults
    assert "food/stranger.jpg: the benchmark has no prompt stranger" in faults and faults.count("\n") == 3
    assert "4 pictures a prompt" in layout.read(tmp_path / "out", samples, 4).faults[0]
