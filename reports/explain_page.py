"""A part of a run's page: the explanations that lie in its folder, which `janus-eval explain` wrote there."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from janus_eval.errors import UserError
from janus_eval.reports.explain_render import STORED, loaded, section
from janus_eval.reports.wording import clean

if TYPE_CHECKING:
    from janus_eval.reports.pages import Links, Report
    from janus_eval.reports.run_pages import Part

HOW = Markup(
    "<p>What every knob does to these numbers, and why printed ones differ, is told by "
    '<code class="said">{}</code>; the next report shows it here.</p>'
)


def part(report: Report, place: int, links: Links) -> Part | None:
    """For ``run_pages.PARTS``: what the run's ``explain.json`` says, or in a site how to have it there."""
    from janus_eval.reports.run_pages import Part

    run = report.board.rows[place].run
    file = run.path / STORED
    if not file.is_file():
        if report.single or not run.finished:
            return None
        command = shlex.join(["janus-eval", "explain", str(run.path), "--format", "json", "-o", str(file)])
        return Part("explain", "Why this number", HOW.format(escape(clean(command))))
    try:
        body = section(loaded(file))
    except UserError as error:
        body = Markup("<p>{}</p>").format(escape(str(error)))
    return Part("explain", "Why this number", body)
