"""Our models in lmms-eval: ``lmms_eval --model janus_pro --model_args pretrained=... --tasks ...``.

One class a family, all of them a ``Bridge``: it turns lmms-eval's requests into questions, rankings and drawings, has
the model do them in batches, and gives back what lmms-eval expects. Roles, preprocessing and decoding are the model's
own, so an answer is the one that ``janus-eval ask`` gives.
"""

from __future__ import annotations

import copy
import importlib.metadata
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms
from loguru import logger
from tqdm import tqdm

from janus_eval.batching import Batcher
from janus_eval.disk import safe_name, write_whole
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.models.adapters.lmms_loading import own_device, size_of, spec_of, tell_version
from janus_eval.models.adapters.lmms_requests import Asked, Decoding, asked, decoding, pictures
from janus_eval.models.parts.understanding import Continued
from janus_eval.pictures import Picture, PictureError
from janus_eval.plain import one_line
from janus_eval.respond import checked, together
from janus_eval.specs import contenders
from janus_eval.store import as_png
from janus_eval.types import Drawing, Failure, Question, Ranking, RequestKey, Response

WINDOW = 256
"""Requests whose pictures are in memory at once."""
MODES = (None, "understanding", "generate")


class Loss(NamedTuple):
    """What lmms-eval calls a log-likelihood: its own models give the loss, a mean over tokens, and the least one wins.

    As a tuple alone it would come out of ``unwrap_generation_output`` as a text, which the metrics then cannot read.
    """

    loss: float
    greedy: bool

    def strip(self) -> str:
        """The response cache asks this of every result, and keeps none that is empty: it would give it back as text."""
        return ""


class Bridge(lmms):  # type: ignore[misc]  # lmms-eval has no types
    """``pretrained``: the name of a model of the family (``nano-janus-pro``), a folder, or a hub id; without it, the
    family's default. ``mode=generate`` draws whatever a task asks, ``mode=understanding`` never draws; without it, the
    task decides. Everything else in ``--model_args`` is a setting of the model, as in ``--set``."""

    is_simple = True
    family: ClassVar[str]

    def __init__(
        self,
        pretrained: str | None = None,
        batch_size: int | str = 1,
        device: str | None = None,
        max_batch_size: int | None = None,
        dtype: str = "float32",
        seed: int = 0,
        mode: str | None = None,
        output_dir: str = "janus-eval-images",
        **settings: Any,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise UserError(f"mode={mode}: one of {', '.join(map(str, MODES[1:]))} expected")
        tell_version(importlib.metadata.version("lmms-eval"))
        self.mode, self.seed = mode, seed
        self.batch_size = size_of(batch_size, max_batch_size)
        self._device = own_device(device)
        spec = spec_of(self.family, pretrained, settings)
        [contender] = contenders([spec], {}, device=self._device, dtype=dtype)
        self.loaded: Any = contender.load()
        self._settings: Any = contender.settings
        self._own_temperature = "answer_temperature" in settings
        identity = digest([self.loaded.weights, self._settings.model_dump(mode="json"), dtype, seed])
        self.pictures = Path(output_dir).absolute() / f"{safe_name(spec.name)}-{identity[:8]}"
        self._batchers: dict[Hashable, Batcher[Any, Any]] = {}
        self._told: set[str] = set()
        self._failures: Counter[str] = Counter()

    @property
    def device(self) -> torch.device:
        return torch.device(self._device)

    @property
    def chat_template(self) -> str:
        raise UserError("the model puts its family's roles around a question itself: leave out --apply_chat_template")

    apply_chat_template = chat_template

    def clean(self) -> None:
        """Called between asking and scoring: instruments of drawing tasks need the memory."""
        self.loaded = None
        self._batchers.clear()
        super().clean()

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """An answer each, with its token counts; or, for drawings, JSON that names the picture's file."""
        found: list[Any] = []
        for window in self._windows(requests):
            drawn = iter(self._drawn([one for one in window if self._draws(one)]))
            said = iter(self._answered([one for one in window if not self._draws(one)]))
            found += [next(drawn) if self._draws(one) else next(said) for one in window]
        self._tell_failures()
        return found

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        """The loss of each continuation, and whether greedy decoding would say it."""
        found: list[Any] = []
        for window in self._windows(requests):
            made = self._made(window, lambda one, shown: Ranking(one.key, one.text(len(shown)), (one.target,), shown))
            outcomes = self._outcomes("rank", self._continued, made, together)
            found += [self._loss(outcomes[one.key]) for one in window]
        self._tell_failures()
        return found

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[list[str]]:
        """Rounds of single questions: the task words each from the answers before, and says when it has enough."""
        seen: Counter[tuple[str, int]] = Counter()
        turns = [asked(instance, self.task_dict, seen) for instance in requests]
        said: list[list[str]] = [[] for _ in turns]
        infos: list[Any] = [None] * len(turns)
        going = list(range(len(turns)))
        while going:
            answers = self._answered([turns[place] for place in going])
            for place, answer in zip(list(going), answers, strict=True):
                said[place].append(answer.text)
                shown, text, ended, before, infos[place] = turns[place].next_round(
                    turns[place].doc,
                    previous_output=list(said[place]),
                    round_idx=len(said[place]),
                    previous_round_info=infos[place],
                )
                if ended:
                    said[place] = list(before)
                    going.remove(place)
                else:
                    turns[place] = turns[place]._replace(context=text, visual=shown)
        self._tell_failures()
        return said

    def _windows(self, requests: Sequence[Any]) -> Iterator[list[Asked]]:
        size = max(WINDOW, self.batch_size)
        seen: Counter[tuple[str, int]] = Counter()
        with tqdm(total=len(requests), disable=self.rank != 0, desc="Model Responding") as bar:
            for start in range(0, len(requests), size):
                window = [asked(instance, self.task_dict, seen) for instance in requests[start : start + size]]
                yield window
                bar.update(len(window))

    def _draws(self, one: Asked) -> bool:
        return self.mode == "generate" or (self.mode is None and bool(one.kwargs.get("draw")))

    def _answered(self, window: Sequence[Asked]) -> list[GenerationResult]:
        """Questions, those that are decoded at one temperature together."""
        ways = {one.key: decoding(one.kwargs, one.where) for one in window}
        for wish in (wish for way in ways.values() for wish in way.unheeded):
            self._tell(f"{wish} is not heeded: this model decodes greedily or samples at a temperature")

        def question(one: Asked, shown: tuple[Picture, ...]) -> Question:
            return Question(one.key, one.text(len(shown)), shown, ways[one.key].limit, one.seed(self.seed))

        made = self._made(window, question)
        outcomes: dict[RequestKey, Any] = {}
        for temperature in dict.fromkeys(way.temperature for way in ways.values()):
            part = {key: one for key, one in made.items() if ways[key].temperature == temperature}
            outcomes |= self._outcomes(("answer", temperature), self._at(temperature).answer, part, together)
        return [self._result(outcomes[one.key], ways[one.key]) for one in window]

    def _at(self, temperature: float | None) -> Any:
        """The model that answers at this temperature. What ``--model_args`` say comes first."""
        own = self._settings
        if temperature is None or self._own_temperature or temperature == own.answer_temperature:
            return self.loaded
        answerer = copy.copy(self.loaded.answerer)
        answerer.settings = own.model_copy(update={"answer_temperature": temperature})
        return answerer

    def _drawn(self, window: Sequence[Asked]) -> list[str]:
        """JSON as lmms-eval's drawing models give it, ``images``; and beside them the seeds that make them again."""
        made = {one.key: Drawing(one.key, one.context, one.seed(self.seed)) for one in window}
        outcomes = self._outcomes("draw", self.loaded.draw, made, lambda request: request.key)
        found = []
        for key, drawing in made.items():
            outcome = outcomes[key]
            if isinstance(outcome, Failure):
                self._failures[outcome.reason] += 1
                found.append(json.dumps({"text": "", "images": [], "failed": outcome.reason}))
                continue
            # The layout of lmms-eval's own models that write a folder of pictures.
            file = self.pictures / safe_name(key.task) / f"{int(key.sample):04d}_s{key.index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, as_png(outcome.image).data)
            found.append(json.dumps({"text": "", "images": [str(file)], "seeds": [drawing.seed]}))
        return found

    def _made(
        self, window: Sequence[Asked], make: Callable[[Asked, tuple[Picture, ...]], Any]
    ) -> dict[RequestKey, Any]:
        """Requests by key, or failures where a picture cannot be read."""
        made: dict[RequestKey, Any] = {}
        for one in window:
            try:
                made[one.key] = make(one, pictures(one.visual, one.where))
            except PictureError as error:
                made[one.key] = Failure(str(error))
        return made

    def _outcomes(
        self,
        kind: Hashable,
        call: Callable[[Sequence[Any]], Sequence[Any]],
        made: Mapping[RequestKey, Any],
        group: Callable[[Any], Hashable],
    ) -> dict[RequestKey, Any]:
        batcher = self._batchers.setdefault(kind, Batcher(f"model {self.family!r}", call, self.batch_size, self._tell))
        found: dict[RequestKey, Any] = {key: one for key, one in made.items() if isinstance(one, Failure)}
        for batch in batcher.run([one for key, one in made.items() if key not in found], group):
            for request, outcome in batch:
                found[request.key] = outcome if kind == "rank" else checked(request, outcome)
        return found

    def _continued(self, rankings: Sequence[Ranking]) -> Sequence[Any]:
        questions = [Question(one.key, one.text, one.images) for one in rankings]
        found: Sequence[Any] = self.loaded.answerer.continued(questions, [one.continuations for one in rankings])
        return found

    def _result(self, outcome: Response | Failure, way: Decoding) -> GenerationResult:
        if isinstance(outcome, Failure):
            self._failures[outcome.reason] += 1
            return GenerationResult("")
        counts = TokenCounts(input_tokens=outcome.input_tokens, output_tokens=outcome.output_tokens)
        return GenerationResult(way.cut(outcome.text or ""), counts)

    def _loss(self, outcome: list[Continued] | Failure) -> GenerationResult:
        if isinstance(outcome, Failure):
            self._failures[outcome.reason] += 1
            return GenerationResult(Loss(float("inf"), False))
        [one] = outcome
        return GenerationResult(Loss(-one.likelihood / max(one.tokens, 1), one.greedy))

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            logger.warning(line)

    def _tell_failures(self) -> None:
        """lmms-eval has no word for a failure: an empty answer counts as a wrong one, so it is said."""
        for reason, count in self._failures.items():
            logger.error(f"failed requests, answered with nothing: {count} x {one_line(reason)}")
        self._failures.clear()


class JanusPro(Bridge):
    family = "janus-pro"


class JanusFlow(Bridge):
    family = "janus-flow"


class Janus(Bridge):
    family = "janus"
