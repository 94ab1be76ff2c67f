"""``janus-eval run --estimate``: the counts and times of a run that is not made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from janus_eval.estimate import Estimate, Row
    from janus_eval.plan import Choice
    from janus_eval.specs import Contender

DAY = 86_400


def show(ready: Sequence[Contender], chosen: Sequence[Choice], *, seed: int, limit: int | None, batch_size: int) -> int:
    """Print the estimate of a run; 3 where some task could not even be counted."""
    from rich.console import Console

    from janus_eval.estimate import entries_of, estimate
    from janus_eval.observe import Instruments
    from janus_eval.progress import display

    entries, lacking = entries_of(chosen, seed=seed, limit=limit)
    found: list[Estimate] = []
    console, shown = Console(), display()
    for contender in ready if entries else []:
        instruments = Instruments(contender.device, contender.dtype, spending=False)
        found.append(estimate(contender, entries, instruments, batch_size=batch_size, display=shown))
        for part in _parts(found[-1]):
            console.print(part, highlight=False, soft_wrap=isinstance(part, str), markup=False)
    for line in lacking:
        console.print(line, highlight=False, markup=False)
    for line in _ending(found, ready[0].device if ready else ""):
        console.print(line, highlight=False, markup=False)
    return 3 if lacking else 0


def _parts(one: Estimate) -> Iterator[RenderableType]:
    """A model's table, and below it what is to be said of it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.HORIZONTALS, show_edge=False, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column(Text("task"), overflow="fold")
    table.add_column(Text(""), overflow="fold")
    for head in ("number", "tokens in", "out", "time"):
        table.add_column(Text(head), justify="right", no_wrap=True)
    for place, row in enumerate(one.rows):
        task = row.task if not place or one.rows[place - 1].task != row.task else ""
        table.add_row(*map(Text, (task, row.what, f"{row.count:,}", *_tokens(row), duration(row.seconds))))
    table.add_section()
    table.add_row(*map(Text, _total(one)))
    yield Text(one.model, "bold")
    yield table
    yield Text(_pictures(one))
    yield from map(Text, one.notes)
    yield Text()


def _tokens(row: Row) -> tuple[str, str]:
    return tokens(row.input_tokens), tokens(row.output_tokens)


def _total(one: Estimate) -> tuple[str, ...]:
    asked = [row for row in one.rows if row.output_tokens is not None]
    sums = [sum(part) for part in zip(*((row.input_tokens or 0, row.output_tokens or 0) for row in asked), strict=True)]
    told = [tokens(part) for part in sums] or ["", ""]
    loading = "" if one.loading is None else f"with {duration(one.loading)} of loading"
    return "in all", loading, "", *told, f"{'' if one.whole else 'over '}{duration(one.seconds)}" if one.seconds else ""


def _pictures(one: Estimate) -> str:
    return f"{one.images_in:,} different pictures to look at, {one.images_out:,} to draw or to reconstruct."


def _ending(found: Sequence[Estimate], device: str) -> Iterator[str]:
    from janus_eval.usage import money

    if not found:
        yield "Nothing could be counted."
        return
    costs = [(price, currency) for price, currency in (one.cost for one in found) if price is not None]
    if len(costs) > 1:
        sums = {currency: sum(price for price, own in costs if own == currency) for _, currency in costs}
        yield f"About {' and '.join(money(total, currency) for currency, total in sums.items())} in all."
    timed = [one.seconds for one in found if one.seconds is not None]
    if timed:
        unsure = "" if all(one.whole for one in found) else "over "
        spent = duration(sum(one.calibration for one in found))
        yield (
            f"{unsure or 'about '}{duration(sum(timed))} on this machine ({device}), from {spent} of calibration. "
            "Nothing was written."
        )
    else:
        yield "Counts alone: nothing was timed, nothing was written."


def tokens(count: float | None) -> str:
    """Three digits of what is known from a few requests: ``12,400``."""
    if not count:
        return ""
    digits = max(0, len(str(int(count))) - 3)
    return f"{int(round(count, -digits)):,}"


def duration(seconds: float | None) -> str:
    """Two digits of what is known from a few requests: ``26 s``, ``4.5 min``, ``3.2 h``, ``12 days``."""
    if seconds is None:
        return ""
    for size, name in ((DAY, "days"), (3600, "h"), (60, "min")):
        if seconds >= size * (1.5 if name == "min" else 2 if name == "days" else 1):
            value = seconds / size
            return f"{value:.0f} {name}" if value >= 10 else f"{value:.1f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
