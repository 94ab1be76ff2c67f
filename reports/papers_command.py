"""``janus-eval report --paper P``: a paper's tables, or the announcement's claims, with what was measured beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from janus_eval import plugins
from janus_eval.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from janus_eval.reports.papers_grid import Sheaf
    from janus_eval.reports.papers_view import Told
    from janus_eval.reports.records import Run

FORMATS = ("text", "html", "markdown", "latex", "csv", "json")
SUFFIXES = {".html": "html", ".htm": "html", ".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json"}
CLAIMS = "claims"


@dataclass(frozen=True)
class Asked:
    """What the command line says. ``told`` are the texts of ``--as``; ``out`` is a file, None for standard output."""

    paper: str
    runs: Sequence[Path]
    told: Sequence[str] = ()
    published: Path | None = None
    format: str | None = None
    out: Path | None = None


class Made(NamedTuple):
    """The tables in each way that they can be written. ``unread``: the runs that are not in them, and why."""

    sheaf: Callable[[], Sheaf]
    csv: Callable[[], str]
    json: Callable[[], str]
    unread: Sequence[str]


def write(asked: Asked) -> None:
    """Print the tables, or write them into a file and print its path. Raises UserError for bad usage."""
    import typer

    form = format_of(asked.format, asked.out)
    made = made_of(asked)
    if asked.out is not None:
        _save(asked.out, rendered(made, form))
        typer.echo(str(asked.out))
    elif form == "text":
        from rich.console import Console

        _print(made.sheaf(), Console())
    else:
        typer.echo(rendered(made, form), nl=False)
    for reason in made.unread:
        typer.echo(f"Not shown: {reason}", err=True)
    if made.unread:
        raise typer.Exit(3)


def format_of(named: str | None, out: Path | None) -> str:
    """The format that was named, else the file's own, else text."""
    if named is not None:
        if named not in FORMATS:
            raise UserError(f"--format {named!r}{plugins.near(named, list(FORMATS))} (one of {', '.join(FORMATS)})")
        return named
    if out is None or not out.suffix:
        return "text"
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out {out}: no format goes by {out.suffix} ({', '.join(SUFFIXES)}); name one with --format")
    return SUFFIXES[out.suffix.lower()]


def told_from(texts: Sequence[str]) -> list[Told]:
    """``NAME=RUN``: the row that a run belongs to. Raises UserError for anything else."""
    from janus_eval.reports.papers_view import Told

    found = []
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UserError(f"--as {text!r}: expected NAME=RUN, as in Janus-Pro-7B=runs/janus-pro-1f2e3d4c")
        found.append(Told(name.strip(), Path(path)))
    return found


def rendered(made: Made, form: str) -> str:
    """The whole output as text."""
    from janus_eval.reports import papers_html, papers_text

    if form == "csv":
        return made.csv()
    if form == "json":
        return made.json()
    writers = {"html": papers_html.page, "markdown": papers_text.markdown, "latex": papers_text.latex, "text": _plain}
    return writers[form](made.sheaf())


def _plain(sheaf: Sheaf) -> str:
    import io

    from rich.console import Console

    text = io.StringIO()
    _print(sheaf, Console(file=text, width=100))
    return text.getvalue()


def _print(sheaf: Sheaf, console: Console) -> None:
    from janus_eval.reports.papers_terminal import render

    console.print(render(sheaf, console.width), highlight=False)


def made_of(asked: Asked) -> Made:
    """Raises UserError for bad usage, and where no run can be read."""
    from janus_eval.reports import claims, papers, papers_data, papers_grid, papers_view
    from janus_eval.reports.ledger_files import load_with

    ledger, told = load_with(asked.published), told_from(asked.told)
    if asked.paper == CLAIMS:
        runs, unread = _runs(asked, told)
        found = claims.views(ledger, runs, told)
        return Made(
            lambda: claims.sheaf(found),
            lambda: claims.to_csv(found),
            lambda: papers_data.to_json(claims.record(found)),
            unread,
        )
    paper = papers.paper(asked.paper)  # a wrong name is said before any run is read
    runs, unread = _runs(asked, told)
    view = papers_view.view(paper, runs, ledger, told)
    return Made(
        lambda: papers_grid.sheaf(view),
        lambda: papers_data.to_csv(view),
        lambda: papers_data.to_json(papers_data.record(view, ledger)),
        unread,
    )


def _runs(asked: Asked, told: Sequence[Told]) -> tuple[list[Run], list[str]]:
    """The runs that were given, and those that ``--as`` names alone, their answers only counted; and in words those
    that cannot be read. Raises UserError where that is all of them."""
    from janus_eval.reports import records
    from janus_eval.reports.command import expanded

    runs: list[Run] = []
    unread: list[str] = []
    for path in expanded([*asked.runs, *(one.path for one in told)]):
        try:
            runs.append(records.read(path).counted())
        except UserError as error:
            unread.append(str(error))
    if unread and not runs:
        raise UserError(unread[0])
    return runs, unread


def _save(file: Path, text: str) -> None:
    """In one step, so that nobody reads half a table."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text, "utf-8", newline="")
        part.replace(file)
    except OSError as error:
        raise UserError(f"-o {file}: {error.strerror}") from error
