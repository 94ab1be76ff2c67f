"""The network's features against those that clean-fid computes from the same files, by both protocols' rules."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import center_crop

from janus_eval.errors import AbsentError, UserError
from janus_eval.pictures import Picture
from janus_eval.specs import offered
from janus_eval.tasks.instruments import inception
from janus_eval.tasks.instruments.inception import Inception, Inception256
from janus_eval.types import Failure, Look, Observation

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.RandomState(0)
    sizes = [(384, 384), (70, 51), (51, 70), (300, 299), (20, 20)]
    for number, size in enumerate(sizes):
        small = random.randint(0, 256, (12, 12, 3)).astype(np.uint8)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def seen(instrument: Inception, files: list[Path]) -> Any:
    found = instrument.observe([Look({}, image=Picture.from_file(file)) for file in files])
    assert all(isinstance(one, Observation) and one.data["network"] == instrument.network for one in found)
    rows = [base64.b64decode(one.data["features"]) for one in found]  # type: ignore[union-attr, arg-type]
    return np.stack([np.frombuffer(row, "<f4") for row in rows])


def by_the_library(weights: Path, files: list[Path], change: Any = None) -> Any:
    from cleanfid.fid import get_files_features
    from cleanfid.inception_torchscript import InceptionV3W

    network = InceptionV3W(str(weights.parent), download=False)
    return get_files_features(
        [str(file) for file in files],
        network,
        num_workers=0,
        device=torch.device("cpu"),
        mode="clean",
        custom_image_tranform=change,
        verbose=False,
    )


def middle(pixels: Any, resampling: Image.Resampling) -> Any:
    image = Image.fromarray(pixels)
    return np.array(center_crop(image, min(image.size)).resize((256, 256), resampling))


def test_whole_pictures_as_clean_fid(weights: Path, files: list[Path]) -> None:
    instrument, library = Inception(weights, device="cpu"), by_the_library(weights, files)
    assert seen(instrument, files) == pytest.approx(library, rel=1e-6)
    references = np.concatenate(list(instrument.reference(map(Picture.from_file, files))))
    assert references == pytest.approx(library, rel=1e-6)
    assert library.shape == (5, 2048) and np.ptp(library, axis=0).max() > 0.01


def test_middles_as_gigagans_script(weights: Path, files: list[Path]) -> None:
    """References by the script's own rule; drawn pictures as if brought to 256 with bicubic beforehand."""
    instrument = Inception256(weights, device="cpu")
    lanczos = by_the_library(weights, files, lambda pixels: middle(pixels, Image.Resampling.LANCZOS))
    bicubic = by_the_library(weights, files, lambda pixels: middle(pixels, Image.Resampling.BICUBIC))
    assert np.concatenate(list(instrument.reference(map(Picture.from_file, files)))) == pytest.approx(lanczos, rel=1e-6)
    assert seen(instrument, files) == pytest.approx(bicubic, rel=1e-6)
    assert np.abs(lanczos - bicubic).max() > 1e-4, "the two differ, so that a mix-up would show"
    assert np.abs(seen(Inception(weights, device="cpu"), files) - bicubic).max() > 1e-4


def test_neighbours_and_batches_change_nothing(
    weights: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    instrument = Inception(weights, device="cpu")
    together = seen(instrument, files)
    alone = np.concatenate([seen(instrument, [file]) for file in files])
    monkeypatch.setattr(inception, "AT_ONCE", 2)
    assert alone == pytest.approx(together, abs=1e-6)
    assert seen(instrument, files[::-1])[::-1] == pytest.approx(together, abs=1e-6)


def test_a_picture_that_cannot_be_opened_fails_alone(weights: Path, files: list[Path]) -> None:
    looks = [Look({}, image=Picture.from_file(files[0])), Look({}, image=Picture(b"\x89PNG no")), Look({})]
    first, second, third = Inception(weights, device="cpu").observe(looks)
    assert isinstance(first, Observation)
    assert isinstance(second, Failure) and "cannot be looked at" in second.reason
    assert third == Failure("there is no picture to look at")


def test_what_it_was_made_with_is_part_of_its_version(weights: Path) -> None:
    whole, middles = Inception(weights), Inception256(weights)
    assert whole.version != middles.version and whole.network != middles.network
    assert Inception().version != whole.version and "clean-fid 0.1.35" in whole.version
    assert offered("instruments", "inception-256").side == 256


def test_it_tests_itself(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = Inception(weights, device="cpu")
    assert instrument.self_test() == "features move with noise"
    monkeypatch.setattr(Inception, "_through", lambda self, pixels: np.ones((len(pixels), 2048), np.float32))
    with pytest.raises(AssertionError, match="should rise"):
        instrument.self_test()


def test_without_the_weights_their_address_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_WEIGHTS", str(tmp_path))
    with pytest.raises(AbsentError, match=r"inception-2015-12-05\.pt is not there; download https://nvlabs"):
        Inception().prepare()
    (tmp_path / inception.FILE).write_bytes(b"another file")
    with pytest.raises(UserError, match="is not the published file"):
        Inception().prepare()


def test_a_file_that_is_no_network_is_named(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / inception.FILE).write_bytes(b"no network")
    with pytest.raises(UserError, match="holds no network of FID"):
        Inception(tmp_path / inception.FILE, device="cpu").observe([Look({}, image=Picture.from_file(files[0]))])
    (tmp_path / "other.pt").write_bytes(b"no network")
    with pytest.raises(UserError, match="is read under the name inception"):
        Inception(tmp_path / "other.pt", device="cpu").observe([Look({}, image=Picture.from_file(files[0]))])
