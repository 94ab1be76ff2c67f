"""The leaderboard: rows, columns, footnotes and the sentence above, the same for the terminal and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from janus_eval.reports import comparing, sweeps
from janus_eval.reports.records import MetricRecord, ResultRecord, Run
from janus_eval.reports.sweeps import Sweep
from janus_eval.reports.wording import count, line, listed, upward

# Reference models are no contestants: they show how far the instruments and the rules can be trusted.
REFERENCES: Mapping[str, str] = {
    "oracle": "ceiling: draws by parsing the prompt, answers by reading the picture",
    "blank": "floor: draws an empty picture, answers A to everything",
    "unchanged": "ceiling: gives every picture back as it is",
}
REFERENCE_ORDER = tuple(REFERENCES)
DEPTH = 4  # parts of a path that a name may have
INTERVALS = "Value and 95% interval."
BEST = " Bold: the best of its column, its interval clear of all others'."
SCALES: Mapping[str, tuple[float, float]] = {"fraction": (0.0, 1.0), "percent": (0.0, 100.0)}


class Column(NamedTuple):
    """A task under a protocol, with the scale that all its cells are drawn on."""

    task: str
    protocol: str
    unit: str
    low: float
    high: float

    @property
    def name(self) -> str:
        return f"{self.task}/{self.protocol}"

    @property
    def upward(self) -> bool:
        """Whether more is better."""
        return upward(self.unit)


@dataclass(frozen=True)
class Cell:
    """A measured number, or the word that stands in its place. ``notes`` are footnote numbers.

    ``best``: its interval is clear of those of all that it competes with. ``top``: the best of a sweep, if only just.
    """

    metric: MetricRecord | None = None
    word: str = ""
    notes: tuple[int, ...] = ()
    best: bool = False
    top: bool = False


@dataclass(frozen=True)
class Row:
    """A run with its cells, one a column. ``role`` tells what a reference model is for."""

    run: Run
    name: str
    role: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Board:
    """What the terminal prints and the page opens with. The runs of ``sweeps`` are numbered as the rows.

    ``states`` has a sentence for each run that is not whole.
    """

    sentence: str
    states: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    sweeps: tuple[Sweep, ...] = ()

    @property
    def has_best(self) -> bool:
        return any(cell.best for row in self.rows for cell in row.cells)


def build(runs: Sequence[Run]) -> Board:
    """The leaderboard of some runs: models in the order given, reference models below them."""
    runs = sorted(runs, key=lambda run: REFERENCE_ORDER.index(run.name) if run.name in REFERENCES else -1)
    columns = _columns(runs)
    footnotes: list[str] = []
    rows = []
    for run, name in zip(runs, distinct_names(runs), strict=True):
        cells = tuple(_cell(run, name, column, runs[0], footnotes) for column in columns)
        rows.append(Row(run, name, REFERENCES.get(run.name, ""), cells))
    return Board(
        sentence(runs), tuple(states(runs)), columns, _with_best(rows, columns), tuple(footnotes), sweeps.find(runs)
    )


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Model names; where two share one, with the settings that differ, else with what tells their folders apart."""
    swept = sweeps.names(runs)
    names = [swept.get(i, run.name) for i, run in enumerate(runs)]
    shared: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        shared.setdefault(name, []).append(i)
    for name, places in shared.items():
        if len(places) > 1:
            for i, where in zip(places, _told_apart([runs[i] for i in places]), strict=True):
                names[i] = f"{name} ({where})"
    again = Counter(names)
    return [n if again[n] == 1 else f"{n} #{i}" for i, n in enumerate(names, 1)]


def _told_apart(runs: Sequence[Run]) -> list[str]:
    """The fewest last parts of the run folders' paths that differ, without the model's own name at their end."""
    parts = [run.path.resolve().parts for run in runs]
    last = {one[-1:] for one in parts}
    if last == {(runs[0].name,)} and all(len(one) > 1 for one in parts):
        parts = [one[:-1] for one in parts]
    depth = next((n for n in range(1, DEPTH) if len({one[-n:] for one in parts}) == len(parts)), 1)
    return ["/".join(one[-depth:]) for one in parts]


def results(runs: Iterable[Run], task: str, protocol: str) -> list[ResultRecord | None]:
    """Each run's result of a task under a protocol."""
    return [run.results.get(task, {}).get(protocol) for run in runs]


def _columns(runs: Sequence[Run]) -> tuple[Column, ...]:
    found: dict[tuple[str, str], MetricRecord] = {}
    tops: dict[tuple[str, str], float] = {}
    for run in runs:
        for task, protocols in run.results.items():
            for protocol, result in protocols.items():
                metric = result.headline
                if metric is not None:
                    found.setdefault((task, protocol), metric)
                    reach = max(v for v in (metric.high, metric.value, 0.0) if v is not None)
                    tops[task, protocol] = max(tops.get((task, protocol), 0.0), reach)
    measured = [
        Column(task, protocol, metric.unit, *SCALES.get(metric.unit, (0.0, scale_top(tops[task, protocol]))))
        for (task, protocol), metric in found.items()
    ]
    awaited = dict.fromkeys(pair for run in runs for pair in asked_for(run) if pair not in found)
    return (*measured, *(Column(task, protocol, "fraction", 0.0, 1.0) for task, protocol in awaited))


def asked_for(run: Run) -> list[tuple[str, str]]:
    """The tasks and protocols that run.json names: what a half-written run is going to have."""
    tasks = run.asked.get("tasks")
    if not isinstance(tasks, Mapping):
        return []
    tables = {str(task): names for task, names in tasks.items() if isinstance(names, Mapping | list)}
    return [(task, str(name)) for task, names in tables.items() for name in names]


def scale_top(reach: float) -> float:
    """The end of a scale for points: 100, or the next round number beyond what was reached."""
    top = 100.0
    while reach > top:
        top *= 2 if str(top)[0] in "15" else 2.5
    return top


def _cell(run: Run, name: str, column: Column, first: Run, footnotes: list[str]) -> Cell:
    result = run.results.get(column.task, {}).get(column.protocol)
    metric = result.headline if result else None
    if result is None or metric is None:
        return Cell(word=_absent(run, column))
    notes = []
    if metric.failed or metric.value is None:
        notes.append(_note(footnotes, f"{name}, {column.name}: {_failures(run, column, metric)}"))
    top = comparing.ground(first, column.task, column.protocol)
    if top and comparing.knobs_that_differ(result, top.result):
        differ = comparing.sentence(comparing.Ground(run, result), top)
        notes.append(_note(footnotes, f"{column.name}: not comparable with the row on top, {differ}"))
    notes += [_note(footnotes, f"{column.name}: {line(remark, 300)}") for remark in result.remarks]
    return Cell(metric, "" if metric.value is not None else "no score", tuple(notes))


def _absent(run: Run, column: Column) -> str:
    skipped = run.asked.get("skipped")
    lacking = (skipped.get(column.task) or skipped.get(column.name)) if isinstance(skipped, Mapping) else None
    if isinstance(lacking, list) and lacking:
        return f"cannot {line(' or '.join(map(str, lacking)), 30)}"
    return "not run" if run.finished else "running"


def _note(footnotes: list[str], text: str) -> int:
    """The number of a footnote; what is said of several numbers stands there once."""
    if text not in footnotes:
        footnotes.append(text)
    return footnotes.index(text) + 1


def _failures(run: Run, column: Column, metric: MetricRecord) -> str:
    result = _result(run, column)
    reasons = (
        Counter(result.troubles)
        if result and result.troubles
        else run.tally.unscored.get((column.task, column.protocol), Counter())
    ).most_common(3)
    why = "; ".join(f"{line(reason)} ({n})" if len(reasons) > 1 else line(reason) for reason, n in reasons)
    whole = f"all {metric.failed:,} failed, none scored"
    head = f"{metric.failed:,} failed, {metric.n:,} scored" if metric.n else whole
    return f"{head}: {why}" if why else head


def _with_best(rows: Sequence[Row], columns: Sequence[Column]) -> tuple[Row, ...]:
    """Mark a column's best where its interval clears that of every other comparable model."""
    best: set[tuple[int, int]] = set()
    for c, column in enumerate(columns):
        rivals = [
            (r, (m.low, m.high) if column.upward else (-m.high, -m.low))
            for r, row in enumerate(rows)
            if not row.role and (m := row.cells[c].metric) and m.low is not None and m.high is not None
        ]
        # A number that a footnote calls not comparable is no rival.
        results = {r: _result(rows[r].run, column) for r, _ in rivals}
        ground = next(iter(results.values()), None)
        rivals = [(r, ends) for r, ends in rivals if (of := results[r]) and not comparing.knobs_that_differ(of, ground)]
        if len(rivals) > 1:
            top, (near, _) = max(rivals, key=lambda rival: rival[1])
            if all(near > far for r, (_, far) in rivals if r != top):
                best.add((top, c))
    return tuple(
        Row(
            row.run,
            row.name,
            row.role,
            tuple(Cell(cell.metric, cell.word, cell.notes, (r, c) in best) for c, cell in enumerate(row.cells)),
        )
        for r, row in enumerate(rows)
    )


def _result(run: Run, column: Column) -> ResultRecord | None:
    return run.results.get(column.task, {}).get(column.protocol)


def when(runs: Sequence[Run]) -> str:
    """The day or days the runs were started, from run.json; empty where it says nothing."""
    days = sorted({d for run in runs if (d := _day(run.asked))})
    if not days:
        return ""
    first, last = (f"{d.day} {d:%B %Y}" for d in (days[0], days[-1]))
    return first if first == last else f"{first} to {last}"


def _day(asked: Mapping[str, object]) -> datetime | None:
    for name in ("started", "created", "date", "time"):
        value = asked.get(name)
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                continue
    return None


def sentence(runs: Sequence[Run]) -> str:
    """One sentence of what was run: models, tasks, when, how many samples and requests, failures."""
    if not runs:
        return "No runs yet: `janus-eval run` makes the first, `janus-eval report RUN...` shows it."
    tasks = list(dict.fromkeys(t for run in runs for t in (*run.results, *run.tally.samples, *dict(asked_for(run)))))
    samples = max((sum(run.tally.samples.values()) for run in runs), default=0)
    requests = sum(run.tally.responses for run in runs)
    failed = sum(run.tally.troubles for run in runs)
    day = when(runs)
    several = len(runs) > 1
    return (
        f"{_named(subjects(runs))} on {count(len(tasks), 'task')}{', ' + day if day else ''}: "
        f"{count(samples, 'sample')}{' each' if several else ''}, "
        f"{count(requests, 'request')}{' in all' if several else ''}, "
        f"{count(failed, 'failure') if failed else 'no failures'}."
    )


def subjects(runs: Sequence[Run]) -> list[str]:
    """The models by name, one that was swept once: ``nano-janus-pro under 6 settings``."""
    names = dict(enumerate(distinct_names(runs)))
    for sweep in sweeps.find(runs):
        names |= dict.fromkeys(sweep.members, f"{sweep.model} under {len(sweep.runs)} settings")
    return list(dict.fromkeys(names.values()))


def _named(names: Sequence[str]) -> str:
    if len(names) == 1:
        return line(names[0], 60)
    models = count(len(names), "model")
    return f"{models} ({listed([line(n, 40) for n in names])})" if len(names) <= 5 else models


def states(runs: Sequence[Run]) -> list[str]:
    """A sentence for each run that is not whole, saying what to do next."""
    said = []
    for run, name in zip(runs, distinct_names(runs), strict=True):
        recorded = run.tally.responses
        if not run.finished:
            so_far = count(recorded, "response")
            said.append(
                f"{name} is half-written ({so_far} so far): the same `janus-eval run` command goes on where it stopped."
            )
        elif recorded and run.tally.failed == recorded:
            said.append(
                f"{name} has failures only: every one of its {count(recorded, 'request')} failed, "
                "so there is nothing to score."
            )
        if run.unreadable:
            said.append(f"{name} is damaged: {listed(run.unreadable)}; what could be read is shown.")
    return said
