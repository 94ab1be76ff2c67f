"""Published figures, ready to be shown: systems with a value for each benchmark, and each benchmark's values with all
their sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from janus_eval.reports.ledger import Figure, Ledger, Source
from janus_eval.reports.papers_known import Known, headline_of
from janus_eval.reports.systems import System, of_figures
from janus_eval.reports.wording import DECIMALS, number


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark with its headline metric as the ledger names it."""

    name: str
    metric: str

    @property
    def known(self) -> Known | None:
        """The task here that runs it, on the data that was published on; None where there is none. The first of its
        protocols that was measured stands beside the published figures."""
        return headline_of(self.name, self.metric)

    @property
    def task(self) -> str:
        return self.known.task if self.known else ""


BENCHMARKS = (
    Benchmark("MMBench", "accuracy"),
    Benchmark("GenEval", "overall"),
    Benchmark("DPG-Bench", "overall"),
    Benchmark("POPE", "score"),
    Benchmark("MME", "perception"),
    Benchmark("SEEDBench", "accuracy"),
    Benchmark("GQA", "accuracy"),
    Benchmark("MMMU", "accuracy"),
    Benchmark("MM-Vet", "score"),
    Benchmark("VQAv2", "accuracy"),
    Benchmark("TextVQA", "accuracy"),
    Benchmark("ChartQA", "accuracy"),
    Benchmark("RealWorldQA", "accuracy"),
    Benchmark("OCRBench", "final_score_norm"),
    Benchmark("COCO-30K", "fid"),
    Benchmark("MJHQ-30K", "fid"),
)
MAIN = BENCHMARKS[:3]
"""Those that stand on the front page where nothing was measured."""


@dataclass(frozen=True)
class Quoted:
    """A system with the figures that were printed of it. ``tag``: who measured it, where that is not its own paper."""

    name: str
    tag: str
    system: System
    figures: Mapping[Benchmark, Sequence[Figure]]

    @property
    def aside(self) -> bool:
        """A re-run or an ablation, rather than a system as it was presented."""
        return bool(self.tag)

    def figure(self, benchmark: Benchmark) -> Figure | None:
        """What most sources print; of equals, the ledger's first."""
        found = self.figures.get(benchmark, ())
        times = Counter(f.value for f in found)
        return max(found, key=lambda f: times[f.value], default=None)


def systems(ledger: Ledger, benchmarks: Sequence[Benchmark] = BENCHMARKS) -> list[Quoted]:
    """Every system that has a figure of one of the benchmarks, in the ledger's order.

    Sizes that share a name, as MobileVLM's do, are rows of their own where their figures differ.
    """
    headlines = {(b.name, b.metric): b for b in benchmarks}
    found: dict[tuple[str, str], list[Figure]] = {}
    for figure in ledger.figures:
        if (figure.benchmark, figure.metric) in headlines:
            found.setdefault((figure.name, figure.rerun), []).append(figure)
    rows = []
    for (name, _), figures in found.items():
        tag = _tag(figures[0])
        for size, members in _by_size(figures):
            by_benchmark: dict[Benchmark, list[Figure]] = {}
            for figure in members:
                by_benchmark.setdefault(headlines[figure.benchmark, figure.metric], []).append(figure)
            rows.append(Quoted(f"{name} {size}".strip(), tag, of_figures(members), by_benchmark))
    return rows


def _tag(figure: Figure) -> str:
    if "ablation" in figure.name:
        return "ablation"
    return figure.rerun or ("evaluated by others" if "third-party" in figure.name else "")


def _by_size(figures: Sequence[Figure]) -> Iterable[tuple[str, Sequence[Figure]]]:
    values: dict[tuple[str, str], dict[str | None, float]] = {}
    for f in figures:
        values.setdefault((f.benchmark, f.metric), {}).setdefault(f.params, f.value)
    sizes = {params for by_size in values.values() if len(set(by_size.values())) > 1 for params in by_size if params}
    if len(sizes) < 2:
        return [("", figures)]
    parted = {size: [f for f in figures if f.params == size] for size in sorted(sizes)}
    rest = [f for f in figures if f.params not in sizes]
    return [*parted.items(), *([("", rest)] if rest else [])]


def caveats(figure: Figure, ledger: Ledger) -> list[str]:
    """What is known of a figure. The ledger notes for Janus alone that its authors left CircularEval out; what became
    known of its successors stands with the claims."""
    found = list(ledger.notes_on(figure))
    if figure.benchmark == "MMBench" and figure.system in {"Janus-Pro", "JanusFlow"} and not _tag(figure):
        found += ledger.caveats("mmbench")
    return found


def printed(figure: Figure) -> str:
    """As printed: MMBench has one decimal, DPG-Bench two, and re-runs sometimes four."""
    return max(number(figure.value, figure.unit), f"{figure.value:g}", key=len) if figure.unit in DECIMALS else ""


class QuotedRow(NamedTuple):
    """A value somebody printed. ``notes`` are numbers into the table's list."""

    name: str
    tag: str
    params: str
    figure: Figure
    sources: Sequence[Source]
    notes: Sequence[int]


@dataclass(frozen=True)
class QuotedTable:
    """A benchmark's published headline values, best first."""

    benchmark: Benchmark
    unit: str
    rows: Sequence[QuotedRow]
    notes: Sequence[str]
    caveats: Sequence[str]


def tables(ledger: Ledger, benchmarks: Sequence[Benchmark] = BENCHMARKS) -> list[QuotedTable]:
    """One a benchmark that has any figure."""
    found = []
    for benchmark in benchmarks:
        figures = ledger.published(benchmark=benchmark.name, metric=benchmark.metric)
        if figures:
            found.append(_table(benchmark, figures, ledger))
    return found


def _table(benchmark: Benchmark, figures: Sequence[Figure], ledger: Ledger) -> QuotedTable:
    merged: dict[tuple[str, float, str], list[Figure]] = {}
    for figure in figures:
        merged.setdefault((figure.name, figure.value, figure.rerun), []).append(figure)
    sign = -1 if figures[0].higher_is_better else 1
    notes: list[str] = []
    rows: list[QuotedRow] = []
    for same in sorted(merged.values(), key=lambda same: (sign * same[0].value, same[0].name)):
        first = same[0]
        numbers = []
        for text in dict.fromkeys(note for figure in same for note in caveats(figure, ledger)):
            if text not in notes:
                notes.append(text)
            numbers.append(notes.index(text) + 1)
        params = ", ".join(dict.fromkeys(f.params for f in same if f.params))
        rows.append(QuotedRow(first.name, _tag(first), params, first, [f.source for f in same], numbers))
    general = [text for text in (ledger.caveats(benchmark.task) if benchmark.task else ()) if text not in notes]
    return QuotedTable(benchmark, figures[0].unit, rows, notes, general)
