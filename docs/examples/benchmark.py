"""A benchmark in sixty lines: which colour has the circle? Asked in two ways, judged by two rules."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from PIL import Image, ImageDraw

from janus_eval.pictures import Picture
from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean
from janus_eval.types import JSON, Capability, Protocol, Question, Request, RequestKey, Response, Sample, Score

COLOURS = {"red": (220, 30, 30), "green": (40, 160, 40), "blue": (40, 60, 220), "yellow": (240, 210, 30)}
GROUNDS = {"light": "white", "dark": "black"}
ASKED = "What color is the circle?"


def plugins() -> dict[str, dict[str, str]]:
    return {"tasks": {"colour-names": ":ColourNames"}}


class ColourNames:
    name = "colour-names"
    title = "Colour names: which colour has the circle?"
    needs = frozenset[Capability]({"answer"})
    protocols = MappingProxyType(
        {
            "word": Protocol("word", ask={"question": f"{ASKED} One word."}, judge={"rule": "the word alone"}),
            "free": Protocol("free", ask={"question": ASKED}, judge={"rule": "named, and no other"}),
        }
    )

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return [
            Sample(
                id=f"{ground}-{name}",
                inputs={},
                target={"color": name},
                group=name,  # the two pictures of a colour stand or fall together
                category=ground,  # --limit counts groups in each of these
                images=(circle(name, ground),),
            )
            for ground in GROUNDS
            for name in COLOURS
        ]

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        key = RequestKey(self.name, sample.id, 0)
        return [Question(key, str(ask["question"]), sample.images, max_new_tokens=16, seed=seeds(sample.id, 0))]

    def query(self, role: str, sample: Sample, index: int) -> None:
        return None  # no instrument looks at the answers

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        words = (response.text or "").lower().replace(".", " ").split()
        named = [word for word in words if word in COLOURS]
        right = named == [sample.target["color"]] and (judge["rule"] != "the word alone" or words == named)
        return Score(float(right), extracted=named)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return {"overall": grouped_mean, **{ground: on(ground) for ground in GROUNDS}}


def on(ground: str) -> Metric:
    return lambda scored: grouped_mean([item for item in scored if item.sample.category == ground])


def circle(colour: str, ground: str) -> Picture:
    image = Image.new("RGB", (64, 64), GROUNDS[ground])
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill=COLOURS[colour])
    return Picture.from_pil(image)
