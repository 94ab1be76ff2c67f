from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval.batching import Batcher, out_of_memory
from janus_eval.errors import UserError
from janus_eval.types import Failure

Item = tuple[int, int]


class Model:
    """Doubles its items' numbers; breaks at those in ``broken``, and runs out of memory above ``room`` at once."""

    def __init__(self, room: int = 1000, broken: frozenset[int] = frozenset()) -> None:
        self.room, self.broken = room, broken
        self.batches: list[list[Item]] = []
        self.notes: list[str] = []

    def __call__(self, batch: Sequence[Item]) -> list[int | Failure]:
        self.batches.append(list(batch))
        if len(batch) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        for _, number in batch:
            if number in self.broken:
                raise ValueError(f"no {number}")
        return [2 * number for _, number in batch]

    def run(self, items: list[Item], size: int) -> dict[Item, int | Failure]:
        self.batcher: Batcher[Item, int] = Batcher("model 'm'", self, size, self.notes.append)
        return {item: outcome for batch in self.batcher.run(items, lambda item: item[0]) for item, outcome in batch}


ITEMS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 99)), unique=True, max_size=40)


@given(items=ITEMS, size=st.integers(1, 20), broken=st.frozensets(st.integers(0, 99)), room=st.integers(1, 20))
def test_layout_never_changes_the_outcome(items: list[Item], size: int, broken: frozenset[int], room: int) -> None:
    outcome = Model(room, broken).run(items, size)
    assert outcome == {
        item: Failure(f"ValueError: no {item[1]}") if item[1] in broken else 2 * item[1] for item in items
    }


@given(items=ITEMS, size=st.integers(1, 20))
def test_what_fits_stays_together(items: list[Item], size: int) -> None:
    model = Model()
    model.run(items, size)
    assert all(len(batch) <= size for batch in model.batches)
    for group in {item[0] for item in items}:
        spread = [batch for batch in model.batches if any(item[0] == group for item in batch)]
        assert len(spread) == 1 or sum(item[0] == group for item in items) > size


def test_out_of_memory_halves_for_good_and_says_so() -> None:
    model = Model(room=5)
    items = [(k, k) for k in range(40)]
    assert model.run(items, 16) == {item: 2 * item[1] for item in items}
    assert model.batcher.size == 4
    assert [len(batch) for batch in model.batches] == [16, 8, 4, 4, 8, 4, 4] + [4] * 6
    assert model.notes == [
        "model 'm': out of memory with 16 at once; going on with 8",
        "model 'm': out of memory with 8 at once; going on with 4",
    ]


def test_a_batch_of_one_that_runs_out_of_memory_fails_alone() -> None:
    model = Model(room=0)
    assert set(model.run([(0, 0), (1, 1)], 2).values()) == {
        Failure("RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB")
    }


def test_one_bad_request_takes_no_other_with_it() -> None:
    model = Model(broken=frozenset({2}))
    outcome = model.run([(0, k) for k in range(4)], 4)
    assert list(outcome.values()) == [0, 2, Failure("ValueError: no 2"), 6]


def test_wrong_number_of_responses_is_the_models_fault() -> None:
    batcher: Batcher[int, int] = Batcher("model 'm'", lambda batch: [1], 4, lambda text: None)
    with pytest.raises(UserError, match="model 'm' gave 1 responses to a batch of 3"):
        list(batcher.run([1, 2, 3], lambda item: item))


@pytest.mark.parametrize("given", [None, (k for k in range(3))])
def test_what_is_no_list_is_the_models_fault(given: Any) -> None:
    batcher: Batcher[int, int] = Batcher("model 'm'", lambda batch: given, 4, lambda text: None)
    with pytest.raises(UserError, match=rf"model 'm' gave {type(given).__name__} to a batch; a list of responses"):
        list(batcher.run([1, 2, 3], lambda item: item))


def test_interruption_passes() -> None:
    def interrupted(batch: Sequence[int]) -> list[int | Failure]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Batcher("m", interrupted, 4, lambda text: None).run([1], lambda item: item))


def test_out_of_memory_by_name() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch has one."""

    assert out_of_memory(OutOfMemoryError("x")) and out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"))
    assert not out_of_memory(RuntimeError("shape mismatch")) and not out_of_memory(ValueError("out of memory"))
