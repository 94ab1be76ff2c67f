"""What the report keeps of each run: read one at a time, shown in full where it is a folder, then let go."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from janus_eval.errors import UserError
from janus_eval.reports import board as boards
from janus_eval.reports import gallery, records, standings
from janus_eval.reports.folder import Folder
from janus_eval.reports.gallery import Gallery
from janus_eval.reports.ledger import Ledger, load
from janus_eval.reports.pages import Report, slug
from janus_eval.reports.pictures import Beside, Embedded, Pictures
from janus_eval.reports.records import Run, TimingRecord, WholeRun
from janus_eval.reports.sidebyside import SideBySide
from janus_eval.reports.wording import count, line, listed


class Pace(NamedTuple):
    """The batches of one stage of a task, added up."""

    stage: str
    task: str
    items: int
    seconds: float
    tokens: int

    @property
    def each(self) -> float:
        return self.seconds / self.items if self.items else 0.0


@dataclass(frozen=True)
class Digest:
    """A run without its answers, and where they are shown. ``slug`` is its name in paths."""

    run: Run
    slug: str
    paces: Sequence[Pace]
    galleries: Mapping[tuple[str, str], Gallery]


@dataclass
class Collector:
    """Takes whole runs one by one; what it keeps of each is small. With a ``folder`` it writes their galleries."""

    folder: Folder | None = None
    digests: list[Digest] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    published: Ledger = field(default_factory=load)
    _beside: dict[tuple[str, str], SideBySide] = field(default_factory=dict)
    _embedded: Embedded = field(default_factory=Embedded)

    def add(self, run: WholeRun) -> None:
        name = slug(run.path.resolve().name, [digest.slug for digest in self.digests])
        pictures: Pictures = Beside(self.folder, f"runs/{name}") if self.folder else self._embedded
        pairs = [(task, protocol) for task, protocols in run.results.items() for protocol in protocols]
        pairs += [pair for pair in boards.asked_for(run) if pair not in pairs]
        galleries: dict[tuple[str, str], Gallery] = {}
        taken: list[str] = []
        for task, protocol in pairs:
            beside = self._beside.setdefault((task, protocol), SideBySide(task, protocol))
            beside.add(len(self.digests), run, pictures)
            if self.folder:
                taken.append(slug(f"{task}.{protocol}", taken))
                written = gallery.write(run, task, protocol, f"runs/{name}/{taken[-1]}.html", self.folder, pictures)
                galleries |= {(task, protocol): written} if written else {}
        self.digests.append(Digest(run.counted(), name, paces(records.timings(run.path)), galleries))

    def add_all(self, paths: Iterable[Path]) -> Iterator[WholeRun]:
        """Read and add runs, handing out each; what cannot be read is noted. Raises UserError where nothing could."""
        paths = list(paths)
        for path in paths:
            try:
                run = _read(path)
            except UserError as error:
                self.unread.append(str(error))
                continue
            self.add(run)
            yield run
        if paths and not self.digests:
            many = f"none of {len(paths)} runs can be read; " if len(paths) > 1 else ""
            raise UserError(f"{many}{self.unread[0]}")

    def report(self) -> Report:
        """All that the sections read."""
        board = boards.build([digest.run for digest in self.digests])
        by_run = {id(digest.run): number for number, digest in enumerate(self.digests)}
        order = [by_run[id(row.run)] for row in board.rows]
        for one in self._beside.values():
            one.renumber({number: place for place, number in enumerate(order)})
        paths = [str(digest.run.path) for digest in self.digests]
        return Report(
            board=board,
            standings=standings.build(board, self.published),
            ledger=self.published,
            digests=[self.digests[number] for number in order],
            beside=[self._beside.get((column.task, column.protocol)) for column in board.columns],
            unread=self.unread,
            single=self.folder is None,
            given=line(listed(paths), 300) if 0 < len(paths) <= 3 else count(len(paths), "run"),
        )


def _read(path: Path) -> WholeRun:
    """Read a run with the collector of cycles at rest: it would look again and again at a hundred thousand records,
    which hold none, and take twice as long as reading them."""
    working = gc.isenabled()
    gc.disable()
    try:
        return records.read(path)
    finally:
        if working:
            gc.enable()


def paces(batches: Iterable[TimingRecord]) -> list[Pace]:
    """The time that each stage of each task took, in the order of the run."""
    found: dict[tuple[str, str], list[TimingRecord]] = {}
    for batch in batches:
        stage = f"{batch.stage} ({batch.role})" if batch.role else batch.stage
        found.setdefault((batch.task, stage), []).append(batch)
    return [
        Pace(
            line(stage, 60),
            line(task, 60),
            sum(batch.n for batch in members),
            sum(batch.seconds for batch in members),
            sum(batch.output_tokens for batch in members),
        )
        for (task, stage), members in found.items()
    ]
