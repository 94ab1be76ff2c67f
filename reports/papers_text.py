"""Tables as Markdown and as LaTeX, to be pasted into a paper or an issue."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from janus_eval.reports.papers_grid import Grid, GridCell, GridRow, Sheaf
from janus_eval.reports.wording import clean

MEASURED = "measured: "
_NUMBERED = re.compile(r"(?:Appendix )?Table \w+")


def markdown(sheaf: Sheaf) -> str:
    """GitHub's Markdown; a measured row stands under its printed one, in italics."""
    parts = [f"# {escaped(sheaf.title)}", *map(escaped, sheaf.lead)]
    for grid in sheaf.grids:
        parts += [f"## {escaped(grid.title)}", *map(escaped, grid.lead), _markdown_table(grid)]
        parts += [*map(escaped, grid.after), *_markdown_notes(grid.notes)]
    if sheaf.rest:
        parts += [f"## {escaped(sheaf.rest_title)}", "\n".join(f"- {escaped(text)}" for text in sheaf.rest)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_notes(notes: Sequence[str]) -> list[str]:
    return ["\n".join(f"{n}. {escaped(text)}" for n, text in enumerate(notes, 1))] if notes else []


def _markdown_table(grid: Grid) -> str:
    sized = [grid.size_head] if grid.size_head else []
    heads = [grid.row_head, *sized, *grid.heads]
    grouped = any(name for name, _ in grid.sections)
    lines = [_row(map(escaped, ["Type", *heads] if grouped else heads))]
    lines.append(_row([*(["---"] if grouped else []), "---", *["---:"] * (len(heads) - 1)]))
    for name, rows in grid.sections:
        for place, row in enumerate(rows):
            measured = row.kind == "measured"
            first = f"{MEASURED}{row.name}" if measured else row.name
            cells = [first, *([row.size] if sized else []), *(_markdown_cell(cell) for cell in row.cells)]
            texts = [f"*{text}*" if measured and text else text for text in map(escaped, cells)]
            lines.append(_row([escaped(name) if place == 0 else "", *texts] if grouped else texts))
    return "\n".join(lines)


def _markdown_cell(cell: GridCell) -> str:
    ends = f" ({cell.interval})" if cell.interval else ""
    told = ", ".join(filter(None, [f"{cell.text}{ends}", cell.shift, cell.word]))
    return f"{told} [{cell.note}]" if cell.note else told


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text that Markdown takes as it is: no emphasis, link, tag, cell border or line break of its own."""
    flat = " ".join(clean(text).split())
    return re.sub(r"([\\`*_\[\]<>|~#$^])", r"\\\1", flat).replace("&", "&amp;")


LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row or an item, these would be read as its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "†": r"$^\dagger$",
    "α": r"$\alpha$",
    "Σ": r"$\Sigma$",
    "…": r"\ldots{}",
    "’": "'",
    "‘": "`",
    "\u200c": "{}",
}


def latex_escaped(text: str) -> str:
    """Text that pdfLaTeX prints as it is. A letter that it has no glyph for loses its accents, or becomes a question
    mark: an undefined character would stop the whole document."""
    # Two hyphens, as before an option, would become a dash.
    flat = " ".join(clean(text).split()).replace("--", "-\u200c-")
    return "".join(LATEX.get(c) or (c if c.isascii() else _plain(c)) for c in flat)


def _plain(character: str) -> str:
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(LATEX.get(c, c) for c in base) or "?"


def latex(sheaf: Sheaf) -> str:
    r"""Tables for a document with ``\usepackage[T1]{fontenc}``, booktabs and graphicx; one wider than the text is made
    smaller."""
    parts = [
        f"% {_comment(sheaf.title)}",
        *(f"% {_comment(text)}" for text in sheaf.lead),
        r"% \usepackage[T1]{fontenc} \usepackage{booktabs} \usepackage{graphicx}",
    ]
    for grid in sheaf.grids:
        parts += [_latex_table(grid), ""]
    if sheaf.rest:
        items = [rf"\item {latex_escaped(text)}" for text in sheaf.rest]
        title = rf"\paragraph{{{latex_escaped(sheaf.rest_title)}}}"
        parts += [title, r"\begin{itemize}", *items, r"\end{itemize}"]
    return "\n".join(parts).rstrip() + "\n"


def _comment(text: str) -> str:
    """A comment ends with its line; nothing else in it can do anything."""
    return " ".join(clean(text).split())


def _latex_table(grid: Grid) -> str:
    sized = bool(grid.size_head)
    columns = 1 + sized + len(grid.heads)
    heads = [grid.row_head, *([grid.size_head] if sized else []), *grid.heads]
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{latex_escaped(_sentence(grid))}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
        r"\toprule",
        " & ".join(map(latex_escaped, heads)) + r" \\",
    ]
    for name, rows in grid.sections:
        lines.append(r"\midrule")
        if name:
            lines += [rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{latex_escaped(name)}}}}} \\"]
        for row in rows:
            lines += [r"\addlinespace"] if row.rule else []
            lines.append(" & ".join(_latex_cells(row, sized)) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}}"]
    if grid.after or grid.notes:
        notes = [rf"\textsuperscript{{{n}}}~{latex_escaped(text)}" for n, text in enumerate(grid.notes, 1)]
        told = " ".join([*map(latex_escaped, grid.after), *notes])
        lines.append(rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {told}}}")
    return "\n".join([*lines, r"\end{table}"])


def _sentence(grid: Grid) -> str:
    """The caption: LaTeX numbers tables itself, so the paper's own number goes to the end."""
    number, colon, rest = grid.title.partition(": ")
    title = f"{rest} (the paper's {number})" if colon and _NUMBERED.fullmatch(number) else grid.title
    return " ".join([f"{title}.", *grid.lead])


def _latex_cells(row: GridRow, sized: bool) -> list[str]:
    size = [latex_escaped(row.size)] if sized else []
    if row.kind != "measured":
        return [latex_escaped(row.name), *size, *map(_latex_cell, row.cells)]
    name = rf"\quad\textit{{{latex_escaped(MEASURED + row.name)}}}"
    return [name, *size, *map(_latex_cell, row.cells)]


def _latex_cell(cell: GridCell) -> str:
    """The interval under the value, then the difference and the verdict: a column is no wider than its numbers."""
    shown = [latex_escaped(part) for part in (cell.text, cell.interval, cell.shift, cell.word) if part]
    if not shown:
        return ""
    shown[-1] += rf"\textsuperscript{{{cell.note}}}" if cell.note else ""
    if len(shown) == 1:
        return shown[0]
    # No line break beyond the last cell: \\ inside a tabular of its own ends a line of that one.
    return r"\begin{tabular}[t]{@{}r@{}}" + r" \\ ".join(shown) + r"\end{tabular}"
