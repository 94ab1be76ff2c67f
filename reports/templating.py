"""How every template of the reports is read: strictly, and with all text made visible and escaped."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from janus_eval.reports.wording import clean

TEMPLATES = Path(__file__).parent / "templates"


def environment() -> jinja2.Environment:
    """A new one, to which a page adds what its templates call. A name that is not there is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _visible(value: object) -> object:
    """Every text that a template prints passes here: nothing invisible reaches a page, from whatever field."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
