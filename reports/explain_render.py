"""Explanations as a terminal, a Markdown page, JSON and a run's page show them: pure functions from records to text."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from janus_eval.errors import UserError
from janus_eval.explaining.records import SCHEMA, Explanation
from janus_eval.reports import templating
from janus_eval.reports.explain_words import Block, Command, Heading, Sentence, Table, blocks
from janus_eval.reports.wording import clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STORED = "explain.json"
"""The file in a run folder whose explanations the run's page shows."""
_SPECIAL = re.compile(r"([\\`*\[\]<|~])")


def section(explanations: Sequence[Explanation]) -> Markup:
    """A fragment of HTML for a run's page; all text from outside is escaped."""
    return Markup(_template().render(explanations=[list(blocks(explanation)) for explanation in explanations]))


@cache
def _template() -> jinja2.Template:
    environment = templating.environment()
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("explain.html")


def markdown(explanations: Sequence[Explanation]) -> str:
    """GitHub's Markdown, a section a task."""
    paragraphs = (text for explanation in explanations for block in blocks(explanation) if (text := _marked(block)))
    return "\n\n".join(paragraphs) + "\n"


def _marked(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_escaped(block.text)}"
    if isinstance(block, Sentence):
        return f"**{_escaped(block.text)}**" if block.strong else _escaped(block.text)
    if isinstance(block, Command):
        return f"```sh\n{clean(block.text)}\n```"
    noted = any(row.note for row in block.rows)
    columns = [*block.columns, *([""] if noted else [])]
    ruled = ["---", *("---:" for _ in block.columns[1:]), *(["---"] if noted else [])]
    rows = [[row.name, *row.cells, *([row.note] if noted else [])] for row in block.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ruled, *(map(_escaped, row) for row in rows)))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(clean(text).split()))


def as_json(explanations: Sequence[Explanation]) -> str:
    """The records themselves; ``loaded`` reads them back."""
    table = {"schema": SCHEMA, "explanations": [asdict(explanation) for explanation in explanations]}
    return json.dumps(table, indent=1, allow_nan=False) + "\n"


def loaded(path: Path) -> list[Explanation]:
    """What ``as_json`` wrote. Raises UserError for anything else."""
    try:
        table: Any = json.loads(path.read_bytes())
        if not isinstance(table, dict) or table.get("schema") != SCHEMA:
            raise UserError(
                f"{path}: an explanation of schema {SCHEMA} expected; write it anew with janus-eval explain"
            )
        return TypeAdapter(list[Explanation]).validate_python(table.get("explanations"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, ValidationError) as error:
        raise UserError(f"{path} is damaged; write it anew with janus-eval explain") from error


def text(explanations: Sequence[Explanation], width: int = 80, *, colour: bool = False) -> str:
    """For a terminal of this width; commands stay on one line, so that they can be copied."""
    from rich.console import Console

    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=colour, highlight=False, markup=False)
    for block in (block for explanation in explanations for block in blocks(explanation)):
        _print(block, console)
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


def _print(block: Block, console: Console) -> None:
    from rich.text import Text

    if isinstance(block, Heading):
        console.print(Text(f"\n{clean(block.text)}", "bold underline" if block.level < 3 else "bold"))
    elif isinstance(block, Sentence):
        console.print(Text(clean(block.text), "bold" if block.strong else ""))
    elif isinstance(block, Command):
        console.print(Text(f"  {clean(block.text)}", "cyan"), soft_wrap=True)
    else:
        console.print(_table(block))


def _table(block: Table) -> RenderableType:
    from rich import box
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as Drawn
    from rich.text import Text

    table = Drawn(box=box.HORIZONTALS, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(Text(block.columns[0]), overflow="fold", ratio=1)
    for column in block.columns[1:]:
        table.add_column(Text(column), justify="right", no_wrap=True)
    for n, row in enumerate(block.rows):
        if block.totals and n == len(block.rows) - block.totals:
            table.add_section()
        name = Text(clean(row.name))
        note = Padding(Text(clean(row.note), "dim"), (0, 0, 0, 2))
        table.add_row(Group(name, note) if row.note else name, *(Text(clean(cell)) for cell in row.cells))
    return table
