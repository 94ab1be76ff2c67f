"""``janus-eval report RUN... [--out SITE] [--single-file]``: what there is to see of runs that were made before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from janus_eval.errors import UserError
from janus_eval.reports.folder import MARKER, SIGN

MARKERS = ("run.json", "results.json")
SITE = "site"


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Run folders, or a folder that holds some; none: published figures alone.", metavar="RUN..."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the site, new or of a former site. [default: site, beside the runs]"
        ),
    ] = None,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="One page with its pictures in it, report.html, in place of a site.")
    ] = False,
    paper: Annotated[
        str | None, typer.Option(metavar="P", help="A paper's own tables: janus-pro or janusflow; or claims.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="F", help="Of --paper: text, html, markdown, latex, csv or json.")
    ] = None,
    told: Annotated[
        list[str] | None, typer.Option("--as", metavar="NAME=RUN", help="Of --paper: the row of a run; may repeat.")
    ] = None,
    published: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own published figures beside the ledger's.")
    ] = None,
) -> None:
    """Write a site about some runs, or one page, and print their table.

    The site opens from a file or a server. With --single-file, --out is the folder of report.html (by default the one
    that holds the runs) or a file that ends in .html. With --paper there is no site: its tables are printed, or written
    to the file --out, with what was measured beside what was printed.
    """
    if paper is not None:
        from janus_eval.reports import papers_command

        papers_command.write(papers_command.Asked(paper, runs or [], told or [], published, format_, out))
        return
    for name, given in (("--format", format_), ("--as", told)):
        if given:
            raise UserError(f"{name} goes with --paper")
    _write(expanded(runs or []), out, published, single_file=single_file)


def _write(folders: Sequence[Path], out: Path | None, published: Path | None, *, single_file: bool) -> None:
    from rich.console import Console

    from janus_eval.reports import page, terminal
    from janus_eval.reports.digests import Collector
    from janus_eval.reports.ledger_files import load_with

    if out is None and not folders:
        raise UserError("no runs are given, so there is no place for the report: name one with --out")
    beside = out or (common(folders) if single_file else common(folders) / SITE)
    console = Console()
    figures = load_with(published)
    if single_file:
        collector = Collector(published=figures)
        for _ in collector.add_all(folders):
            pass
        found = collector.report()
        written = page.write_single(found, beside)
    else:
        written, found = page.write_site(folders, beside, figures)
    console.print(terminal.table([row.run for row in found.board.rows], console.width))
    for reason in found.unread:
        console.print(f"Not shown: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print()
    console.print(
        f"{'Page' if single_file else 'Site'}: {written}", style="bold", markup=False, highlight=False, soft_wrap=True
    )
    if found.unread:
        raise typer.Exit(3)


def expanded(paths: Sequence[Path]) -> list[Path]:
    """Run folders as they are, any other folder by the run folders in it; each once.

    Former reports among them are passed over: they lie beside the runs, so ``RUNS/*`` names them too. Raises UserError
    for any other path without a run.
    """
    found: list[Path] = []
    for path in paths:
        if _is_run(path):
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if _is_run(p)) if path.is_dir() else []
        if not inside and len(paths) > 1 and _is_report(path):
            continue
        if not inside:
            what = "no run in this folder" if path.is_dir() else "a file, not a folder" if path.exists() else ""
            raise UserError(f"{path}: {what or 'no such folder'}; give folders that `janus-eval run` wrote")
        found += inside
    return list({path.resolve(): path for path in found}.values())


def common(folders: Sequence[Path]) -> Path:
    """Where a page about these runs belongs: in the run itself, or in the folder that holds them all."""
    if len(folders) == 1:
        return folders[0]
    return Path(os.path.commonpath([folder.resolve().parent for folder in folders]))


def _is_report(path: Path) -> bool:
    """Whether a report was written here: a site, or one page."""
    if path.is_dir():
        return (path / MARKER).is_file()
    return path.suffix == ".html" and path.is_file() and SIGN in path.read_bytes()[:4096]


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in MARKERS)
