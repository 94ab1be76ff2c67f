"""Folders of pictures as the benchmarks' own scripts lay them out: read with every fault named, and written.

GenEval (djghosh13/geneval at af4902f): ``NUMBER/metadata.jsonl`` and ``NUMBER/samples/NUMBER.png``. DPG-Bench
(TencentQQGYLab/ELLA at 3c228f1): one file a prompt, named by it, its pictures as tiles of one grid.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from janus_eval.pictures import Picture, PictureError, PictureFile
from janus_eval.seams import Contents
from janus_eval.types import Sample

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".jp2", ".avif")


class GenEvalLayout:
    """A folder a prompt. Prompts are recognised by their metadata, whatever the folder's number."""

    name = "geneval"

    def read(self, folder: Path, samples: Sequence[Sample], images: int) -> Contents:
        contents = Contents({}, [])
        waiting = list(samples)
        numbered = sorted((p for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()), key=lambda p: int(p.name))
        if not numbered:
            contents.faults.append("no folder named by a number, as 00000: one a prompt is expected")
        for place in numbered:
            sample = self._sample(place, waiting, contents.faults)
            if sample is not None:
                waiting.remove(sample)
                self._pictures(place / "samples", sample, images, contents)
        contents.faults.extend(f"no folder for prompt {sample.id}: {sample.inputs['prompt']}" for sample in waiting)
        return contents

    def write(self, folder: Path, samples: Sequence[Sample], pictures: Mapping[tuple[str, int], Picture]) -> None:
        own = _by_sample(pictures)
        for number, sample in enumerate(samples):
            place = folder / f"{number:05d}"
            (place / "samples").mkdir(parents=True, exist_ok=True)
            (place / "metadata.jsonl").write_text(json.dumps(metadata_of(sample)) + "\n", encoding="utf-8")
            for index, picture in own.get(sample.id, {}).items():
                (place / "samples" / f"{index:05d}.png").write_bytes(picture.data)

    @staticmethod
    def _sample(place: Path, waiting: Sequence[Sample], faults: list[str]) -> Sample | None:
        try:
            metadata = json.loads((place / "metadata.jsonl").read_text(encoding="utf-8"))
        except FileNotFoundError:
            faults.append(f"{place.name}: no metadata.jsonl, so nobody can know its prompt")
        except (OSError, ValueError, RecursionError) as error:
            faults.append(f"{place.name}/metadata.jsonl: {error}")
        else:
            found = next((sample for sample in waiting if metadata_of(sample) == metadata), None)
            if found is None:
                faults.append(
                    f"{place.name}/metadata.jsonl is that of no prompt of the benchmark, or of one met before"
                )
            return found
        return None

    @staticmethod
    def _pictures(place: Path, sample: Sample, images: int, contents: Contents) -> None:
        where = f"{place.parent.name}/samples"
        files = sorted(place.iterdir()) if place.is_dir() else []
        for file in files:
            if not re.fullmatch(r"\d+\.png", file.name):
                if file.suffix.lower() in PICTURES:
                    contents.faults.append(
                        f"{where}/{file.name}: the official script reads NUMBER.png alone "
                        "and passes this over in silence"
                    )
                continue
            index = int(file.stem)
            if index >= images or (sample.id, index) in contents.pictures:
                contents.faults.append(
                    f"{where}/{file.name}: one more than 0 to {images - 1}, the pictures of a prompt"
                )
                continue
            picture = _opened(file, f"{where}/{file.name}", contents.faults)
            if picture is not None:
                contents.pictures[sample.id, index] = picture
        missing = [index for index in range(images) if (sample.id, index) not in contents.pictures]
        if missing:
            contents.faults.append(f"{where}: no usable picture {', '.join(map(str, missing))}, {images} are expected")


class DPGLayout:
    """A file a prompt: a grid of its pictures (2 x 2 for four), or the picture itself."""

    name = "dpg"

    def read(self, folder: Path, samples: Sequence[Sample], images: int) -> Contents:
        contents = Contents({}, [])
        side = math.isqrt(images)
        if side * side != images:
            contents.faults.append(f"{images} pictures a prompt make no square grid")
            return contents
        known = {sample.id: sample for sample in samples}
        files: dict[str, Path] = {}
        for file in sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES):
            # The official script takes a file's name up to its first dot for the prompt's.
            item = file.name.split(".")[0]
            if item not in known:
                contents.faults.append(f"{file.name}: the benchmark has no prompt {item}")
            elif item in files:
                contents.faults.append(f"{file.name}: {files[item].name} is of the same prompt")
            else:
                files[item] = file
        # Sizes first, from the files' heads: of a thousand grids no more than one is in memory at once.
        sizes = Counter(size for file in files.values() if (size := _size(file))).most_common(1)
        usual = sizes[0][0] if sizes else (0, 0)
        for item, file in files.items():
            grid = _opened(file, file.name, contents.faults)
            if grid is not None:
                self._cut(item, file.name, grid, side, usual, contents)
        contents.faults.extend(f"no picture of prompt {item}" for item in known if item not in files)
        return contents

    def write(self, folder: Path, samples: Sequence[Sample], pictures: Mapping[tuple[str, int], Picture]) -> None:
        """Prompts of which a picture is missing, or is of another size, are left out: a grid with a hole or an overlap
        would be scored as if it had none."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, own in _by_sample(pictures).items():
            side = math.isqrt(len(own))
            if side * side != len(own) or sorted(own) != list(range(len(own))):
                continue
            tiles = [own[index].load() for index in range(len(own))]
            width, height = tiles[0].size
            if any(tile.size != (width, height) for tile in tiles):
                continue
            grid = Image.new("RGB", (side * width, side * height))
            for index, tile in enumerate(tiles):
                grid.paste(tile, (index % side * width, index // side * height))
            grid.save(folder / f"{name}.png")

    @staticmethod
    def _cut(item: str, name: str, grid: PictureFile, side: int, usual: tuple[int, int], contents: Contents) -> None:
        image = grid.load()
        width, height = image.size
        if width % side or height % side:
            contents.faults.append(f"{name}: {width} x {height} pixels can't be cut into {side} x {side} pictures")
            return
        if side > 1 and width != height:
            # Four pictures in a row would be cut through the middle of each, and nobody would notice.
            contents.faults.append(
                f"{name}: {width} x {height} pixels are no {side} x {side} grid of squares, which is what the official "
                "script cuts"
            )
            return
        if image.size != usual:
            contents.faults.append(
                f"{name}: {width} x {height} pixels where most have {usual[0]} x {usual[1]}; the official script cuts "
                "all files alike"
            )
            return
        if side == 1:
            contents.pictures[item, 0] = grid
            return
        tile = width // side, height // side
        for index in range(side * side):
            left, top = index % side * tile[0], index // side * tile[1]
            contents.pictures[item, index] = grid.part((left, top, left + tile[0], top + tile[1]))


def _by_sample(pictures: Mapping[tuple[str, int], Picture]) -> dict[str, dict[int, Picture]]:
    found: dict[str, dict[int, Picture]] = {}
    for (name, index), picture in pictures.items():
        found.setdefault(name, {})[index] = picture
    return found


def metadata_of(sample: Sample) -> dict[str, object]:
    """A prompt's line of GenEval's ``evaluation_metadata.jsonl``."""
    return {**sample.target, "prompt": sample.inputs["prompt"]}


def _size(file: Path) -> tuple[int, int] | None:
    """Width and height, without reading the pixels; None for what is no picture."""
    if not file.is_file():
        return None
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(file) as image,
        ):
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # whatever Pillow finds wrong with a head
        return None


def _opened(file: Path, name: str, faults: list[str]) -> PictureFile | None:
    try:
        picture = PictureFile(file)
        picture.load()
    except (OSError, PictureError) as error:
        faults.append(f"{name}: {error}")
        return None
    return picture
