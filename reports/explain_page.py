"""A part of a run's page: the explanations that lie in its folder, which `janus-eval explain` wrote there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from janus_eval.errors import UserError
from janus_eval.reports.explain_render import STORED, loaded, section

if TYPE_CHECKING:
    from janus_eval.reports.pages import Links, Report
    from janus_eval.reports.run_pages import Part


def part(report: Report, place: int, links: Links) -> Part | None:
    """For ``run_pages.PARTS``; None where the run has no ``explain.json``."""
    from janus_eval.reports.run_pages import Part

    file = report.board.rows[place].run.path / STORED
    if not file.is_file():
        return None
    try:
        body = section(loaded(file))
    except UserError as error:
        body = Markup("<p>{}</p>").format(escape(str(error)))
    return Part("explain", "Why this number", body)
