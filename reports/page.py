"""One self-contained HTML page for some runs: no script, no request, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jinja2
from markupsafe import Markup

from janus_eval.errors import UserError
from janus_eval.reports import ledger, quoted, records, sections
from janus_eval.reports.board import BEST, INTERVALS, Board, build, states
from janus_eval.reports.figures import whisker
from janus_eval.reports.galleries import Budget
from janus_eval.reports.readings import TOP
from janus_eval.reports.records import Run
from janus_eval.reports.sweep_views import sweep_views
from janus_eval.reports.wording import clean, count, interval, line, listed, number

NAME = "report.html"
SCALE = "Dot: the value; bar: the interval, on the column's scale."
# The real benchmarks of the published tables; anything else, the shapes world above all, is other data.
PUBLISHED_TASKS = ("mmbench", "geneval", "dpg")


def write(runs: Sequence[Path], out: Path, *, each: bool = True) -> Path:
    """Write ``out/report.html`` for all runs and, with ``each``, ``RUN/report.html`` for every one of them.

    Returns the path of the common page. Raises UserError for a folder that is no run or cannot be written to.
    """
    read = [records.read(path) for path in runs]
    page = out / NAME
    _save(page, render(read))
    for run in read if each else ():
        if (run.path / NAME).resolve() != page.resolve():
            _save(run.path / NAME, render([run]))
    return page


def render(runs: Sequence[Run]) -> str:
    """The page of some runs as text; the same records give the same text."""
    board = build(runs)
    budget = Budget()
    views = [sections.task_view(board, index, budget) for index in range(len(board.columns))]
    failures, failure_count = sections.failures(board)
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title(board),
            board=board,
            states=states(runs),
            sweeps=sweep_views(board),
            top=TOP,
            views=views,
            opening=sections.first_pictures(views),
            classes=sections.series(board),
            names=[row.name for row in board.rows],
            reading=f"{INTERVALS} {SCALE}{BEST if board.has_best else ''}",
            failures=failures,
            failure_count=failure_count,
            # The protocols in "tasks" stand in their own sections.
            knobs=sections.compare([{k: v for k, v in row.run.asked.items() if k != "tasks"} for row in board.rows]),
            published=quoted.tables(ledger.load()),
            comparable=comparable(board),
            version=version("janus-eval"),
            folders=line(listed([str(run.path) for run in runs]), 300)
            if 0 < len(runs) <= 3
            else count(len(runs), "run"),
        )
    )


def title(board: Board) -> str:
    """The models that compete, by name where they are few."""
    swept = {number: sweep.model for sweep in board.sweeps for number in sweep.members}
    rows = [(swept.get(n, row.name), row.role) for n, row in enumerate(board.rows)]
    names = list(dict.fromkeys(line(name, 40) for name, role in rows if not role or all(role for _, role in rows)))
    if not names:
        return "janus-eval: no runs yet"
    return f"janus-eval: {listed(names) if len(names) <= 3 else count(len(names), 'model')}"


def comparable(board: Board) -> str:
    """Whether the published figures may be held against the measured ones, in plain words."""
    real = [c.name for c in board.columns if c.task in PUBLISHED_TASKS]
    other = [c.task for c in board.columns if c.task not in PUBLISHED_TASKS]
    text = "These values were printed elsewhere, on the benchmarks' own data, by the sources named in each row."
    if other:
        text += (
            " The shapes tasks ask other prompts and questions of another world: "
            "their numbers are not comparable with these, however alike the scale looks."
            if all(t.startswith("shapes-") for t in other)
            else f" They are not comparable with the numbers of {listed(other)}, which run on other data."
        )
    if real:
        text += f" {listed(real)} runs on a benchmark of this list; read the caveats before comparing."
    return text


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(number=number, interval=interval, whisker=whisker, line=line)
    return environment


def _visible(value: object) -> object:
    """Every text that a template prints passes here: nothing invisible reaches the page, from whatever field."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _save(page: Path, text: str) -> None:
    """In one step, so that nobody opens half a page."""
    part = page.with_name(f".{page.name}.part")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.replace(page)
    except OSError as error:
        raise UserError(f"{page}: cannot be written ({error.strerror}); give another folder with --out") from error
