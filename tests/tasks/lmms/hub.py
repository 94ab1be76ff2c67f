"""A few made-up docs of each benchmark in the columns of its data set on the hub, as files under OWNER/NAME."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COLOURS = {"red": (220, 25, 25), "green": (25, 180, 50), "blue": (30, 80, 220), "yellow": (230, 200, 20)}
Rows = Sequence[Mapping[str, Any]]


def circle(colour: str, size: int = 48) -> Image.Image:
    image = Image.new("RGB", (size, size), (235, 235, 235))
    ImageDraw.Draw(image).ellipse((8, 8, size - 9, size - 9), fill=COLOURS[colour])
    return image


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def stored(data: bytes) -> dict[str, Any]:
    """An image cell as the hub's files have it: the bytes as they were uploaded."""
    return {"bytes": data, "path": None}


def write(folder: Path, rows: Rows, *, images: Sequence[str] = (), lists: Sequence[str] = ()) -> None:
    """One Parquet file. ``images`` are columns of images, ``lists`` of lists of images."""
    import datasets

    table = datasets.Dataset.from_list(list(rows))
    features = table.features.copy()
    for name in images:
        features[name] = datasets.Image()
    for name in lists:
        features[name] = datasets.List(datasets.Image())
    folder.parent.mkdir(parents=True, exist_ok=True)
    table.cast(features).to_parquet(str(folder))


def card(folder: Path, configs: Mapping[str, Mapping[str, str]]) -> None:
    """The README that tells which files are which split of which configuration."""
    lines = ["---", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [line for split, path in splits.items() for line in (f"  - split: {split}", f"    path: {path}")]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def pope(data: Path) -> None:
    """Three pictures with two questions each, in every split."""
    home = data / "lmms-lab-encoder" / "POPE"
    rows = [
        {
            "id": str(place),
            "question_id": str(place),
            "question": f"Is there a {asked} circle in the image?",
            "answer": "yes" if asked == colour else "no",
            "image_source": f"{colour}.jpg",
            "image": stored(jpeg(circle(colour))),
            "category": "random",
        }
        for place, (colour, asked) in enumerate((c, a) for c in ("red", "green", "blue") for a in (c, "yellow"))
    ]
    names = ("random", "popular", "adversarial")
    for name in names:
        write(home / "Full" / f"{name}.parquet", [{**row, "category": name} for row in rows], images=["image"])
    write(home / "data" / "test.parquet", [{**r, "category": n} for n in names for r in rows], images=["image"])
    card(home, {"default": {"test": "data/test.parquet"}, "Full": {name: f"Full/{name}.parquet" for name in names}})


def mme(data: Path) -> None:
    """Two pairs of perception (existence, color) and one of cognition."""
    home = data / "lmms-lab-encoder" / "MME"
    rows = []
    for category, colour in (("existence", "red"), ("color", "green"), ("color", "blue"), ("code_reasoning", "yellow")):
        for asked, answer in ((colour, "Yes"), ("purple", "No")):
            question = f"Is the circle {asked}? Please answer yes or no."
            name = f"{category}/{colour}.png"
            rows.append(
                {"question_id": name, "image": stored(jpeg(circle(colour))), "question": question}
                | {"answer": answer, "category": category}
            )
    write(home / "data" / "test.parquet", rows, images=["image"])
    card(home, {"default": {"test": "data/test.parquet"}})


def seedbench(data: Path) -> None:
    """Three questions about pictures of two kinds, one about a video's frames."""
    home = data / "lmms-lab-encoder" / "SEED-Bench"
    rows = [
        {
            "answer": "ABCD"[list(COLOURS).index(colour)],
            **{f"choice_{letter}": name for letter, name in zip("abcd", COLOURS, strict=True)},
            "data_id": f"{place}.jpg",
            "data_type": kind,
            "question": "What color is the circle?",
            "question_id": str(place),
            "question_type_id": place % 2 + 1,
            "image": [stored(jpeg(circle(colour)))] * (1 if kind == "image" else 2),
            "segment": None,
        }
        for place, (colour, kind) in enumerate(
            [("red", "image"), ("blue", "image"), ("green", "image"), ("red", "video")]
        )
    ]
    write(home / "data" / "test.parquet", rows, lists=["image"])
    card(home, {"default": {"test": "data/test.parquet"}})


def mmmu(data: Path) -> None:
    """Two subjects; one open question; two pictures in one."""
    home = data / "lmms-lab-encoder" / "MMMU"
    red, blue = stored(jpeg(circle("red"))), stored(jpeg(circle("blue")))
    nothing = {f"image_{number}": None for number in range(3, 8)}
    base = {"explanation": "", "topic_difficulty": "Easy", "subfield": "x"}
    rows = [
        {**base, "id": "validation_Art_1", "question": "What color is <image 1>?", "options": "['red', 'blue']"}
        | {"answer": "A", "question_type": "multiple-choice", "image_1": red, "image_2": None, **nothing},
        {**base, "id": "validation_Art_Theory_2", "question": "Which is blue, <image 1> or <image 2>?"}
        | {"options": "['the first', 'the second']", "answer": "B", "question_type": "multiple-choice"}
        | {"image_1": red, "image_2": blue, **nothing},
        {**base, "id": "validation_Art_Theory_3", "question": "How many circles are in <image 1>?", "options": "[]"}
        | {"answer": "1", "question_type": "open", "image_1": blue, "image_2": None, **nothing},
    ]
    import datasets

    images = [f"image_{number}" for number in range(1, 8)]
    keys = ["id", "question", "options", "answer", "question_type", "explanation", "topic_difficulty", "subfield"]
    features = datasets.Features(
        {key: datasets.Value("string") for key in keys} | {name: datasets.Image() for name in images}
    )
    (home / "data").mkdir(parents=True)
    for split in ("validation", "test", "dev"):
        datasets.Dataset.from_list(rows, features=features).to_parquet(str(home / "data" / f"{split}.parquet"))
    card(home, {"default": {split: f"data/{split}.parquet" for split in ("validation", "test", "dev")}})


def gqa(data: Path) -> None:
    """Instructions, and the pictures that the task's own code joins to them."""
    home = data / "lmms-lab-encoder" / "GQA"
    rows = [
        {"id": str(place), "imageId": colour, "question": "What color is the circle?", "answer": colour}
        for place, colour in enumerate(["red", "green"])
    ]
    write(home / "instructions.parquet", rows)
    write(
        home / "images.parquet",
        [{"id": c, "image": stored(jpeg(circle(c)))} for c in ("red", "green")],
        images=["image"],
    )
    card(
        home,
        {
            "testdev_balanced_instructions": {"testdev": "instructions.parquet"},
            "testdev_balanced_images": {"testdev": "images.parquet"},
        },
    )


def vqav2(data: Path) -> None:
    home = data / "lmms-lab-encoder" / "VQAv2"
    people = [{"answer": "red", "answer_confidence": "yes", "answer_id": place} for place in range(1, 11)]
    people[0] = {**people[0], "answer": "dark red"}
    row = {"question_type": "what color", "multiple_choice_answer": "red", "answers": people, "image_id": 1}
    row |= {
        "answer_type": "other",
        "question_id": 1,
        "question": "What color is the circle?",
        "image": stored(jpeg(circle("red"))),
    }
    for split in ("validation", "test"):
        write(home / "data" / f"{split}.parquet", [{**row, "answer": "red"}], images=["image"])
    card(home, {"default": {split: f"data/{split}.parquet" for split in ("validation", "test")}})


def chartqa(data: Path) -> None:
    home = data / "lmms-lab-encoder" / "ChartQA"
    rows = [
        {"type": kind, "question": "How high is it?", "answer": "100", "image": stored(jpeg(circle("red")))}
        for kind in ("human_test", "augmented_test")
    ]
    write(home / "data" / "test.parquet", rows, images=["image"])
    card(home, {"default": {"test": "data/test.parquet"}})


def textvqa(data: Path) -> None:
    home = data / "lmms-lab-encoder" / "textvqa"
    row = {"image_id": "a", "question_id": 1, "question": "what does it say?", "image": stored(jpeg(circle("red")))}
    row |= {"answers": ["stop"] * 9 + ["step"], "ocr_tokens": ["STOP"], "set_name": "val", "answer": "stop"}
    for split in ("validation", "test"):
        write(home / "data" / f"{split}.parquet", [row], images=["image"])
    card(home, {"default": {split: f"data/{split}.parquet" for split in ("validation", "test")}})


def mmvet(data: Path) -> None:
    home = data / "lmms-lab-encoder" / "MMVet"
    rows = [
        {"question_id": f"v1_{place}", "question": "What color is the circle?", "answer": colour, "capability": "rec"}
        | {"image": stored(jpeg(circle(colour)))}
        for place, colour in enumerate(["red", "green"])
    ]
    write(home / "data" / "test.parquet", rows, images=["image"])
    card(home, {"default": {"test": "data/test.parquet"}})


EVERY = (pope, mme, seedbench, mmmu, gqa, vqav2, chartqa, textvqa, mmvet)
