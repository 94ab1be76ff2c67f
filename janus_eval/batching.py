"""Batches: what belongs together stays together, and one bad request takes no other with it.

The layout of batches must never change a result: it follows memory and chance. Models and instruments promise it
(janus_eval.seams); here nothing depends on it.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from janus_eval.errors import HaltError, Interrupted, UserError
from janus_eval.plain import one_line
from janus_eval.types import Failure

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Calls ``call`` on batches of at most ``size`` items; halves them, for good, where memory runs out."""

    def __init__(
        self, name: str, call: Callable[[Sequence[T]], Sequence[R | Failure]], size: int, note: Callable[[str], None]
    ) -> None:
        self._name = name
        self._call = call
        self.size = size
        self._note = note
        self._explained = False

    def run(self, items: Iterable[T], together: Callable[[T], Hashable]) -> Iterator[list[tuple[T, R | Failure]]]:
        """Outcomes batch by batch. Items with one ``together`` come in one batch, as far as they fit."""
        groups: dict[Hashable, list[T]] = {}
        for item in items:
            groups.setdefault(together(item), []).append(item)
        waiting = deque(groups.values())
        while waiting:
            yield from self._attempt(self._take(waiting))

    def _take(self, waiting: deque[list[T]]) -> list[T]:
        """The next batch: whole groups while they fit, or as much of the first as does."""
        batch = waiting.popleft()
        if len(batch) > self.size:
            waiting.appendleft(batch[self.size :])
            return batch[: self.size]
        while waiting and len(batch) + len(waiting[0]) <= self.size:
            batch = batch + waiting.popleft()
        return batch

    def _attempt(self, batch: list[T]) -> Iterator[list[tuple[T, R | Failure]]]:
        outcomes: Sequence[R | Failure] = ()
        trouble: str | None = None
        exhausted = False
        try:
            outcomes = self._call(batch)
        except (HaltError, Interrupted) as stop:
            done = [pair for pair in zip(batch, stop.outcomes, strict=bool(stop.outcomes)) if pair[1] is not None]
            if done:
                yield done
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a model is anyone's code; only KeyboardInterrupt passes
            trouble, exhausted = reason(error), out_of_memory(error)
        if trouble is None:
            if not isinstance(outcomes, Sequence):
                raise UserError(f"{self._name} gave {type(outcomes).__name__} to a batch; a list of responses expected")
            if len(outcomes) != len(batch):
                raise UserError(
                    f"{self._name} gave {len(outcomes)} responses to a batch of {len(batch)}; one each expected"
                )
            yield list(zip(batch, outcomes, strict=True))
            return
        if exhausted:
            release_memory()
        if len(batch) == 1:
            yield [(batch[0], Failure(trouble))]
            return
        step = max(1, len(batch) // 2) if exhausted else 1
        if exhausted and step < self.size:
            self.size = step
            self._note(f"{self._name}: out of memory with {len(batch)} at once; going on with {step}")
        elif not exhausted and not self._explained:
            self._explained = True  # once: the results name every failure
            self._note(f"{self._name}: a batch of {len(batch)} failed ({trouble}); trying them one by one")
        for start in range(0, len(batch), step):
            yield from self._attempt(batch[start : start + step])


def reason(error: BaseException) -> str:
    """An exception in one line."""
    message = one_line(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, the device's or the machine's; told by name, since the core does not import torch."""
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in message or "can't allocate memory" in message)


def release_memory() -> None:
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
