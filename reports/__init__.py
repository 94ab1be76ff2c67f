"""Built-in reports, offered through the same door as any plugin's."""

from __future__ import annotations


def plugins() -> dict[str, dict[str, str]]:
    """Table ``kind -> name -> "module:attr"``; attributes load when used."""
    return {
        "reporters": {
            "default": "janus_eval.reports.page:write",
            "terminal": "janus_eval.reports.terminal:render",
        },
        "commands": {"report": "janus_eval.reports.command:report | Page and table of finished runs."},
        "lists": {"published": "janus_eval.reports.ledger:listing | what others printed, with sources"},
    }
