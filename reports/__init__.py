"""Built-in reports, offered through the same door as any plugin's."""

from __future__ import annotations


def plugins() -> dict[str, dict[str, str]]:
    """Table ``kind -> name -> "module:attr"``; attributes load when used."""
    return {
        "reporters": {
            "default": "janus_eval.reports.page:write",
            "terminal": "janus_eval.reports.terminal:render",
            "gate-text": "janus_eval.reports.gate_text:text",
            "gate-markdown": "janus_eval.reports.gate_text:markdown",
            "gate-junit": "janus_eval.reports.gate_text:junit",
            "gate-json": "janus_eval.reports.gate_text:as_json",
            "gate-html": "janus_eval.reports.gate_page:page",
        },
        "report_sections": {
            "leaderboard": "janus_eval.reports.front:pages",
            "sweeps": "janus_eval.reports.sweep_views:pages",
            "benchmarks": "janus_eval.reports.benchmarks:pages",
            "runs": "janus_eval.reports.run_pages:pages",
            "published": "janus_eval.reports.published_page:pages",
            "papers": "janus_eval.reports.papers_section:pages",
        },
        "commands": {
            "report": "janus_eval.reports.command:report | A site, or one page, about finished runs.",
            "history": "janus_eval.reports.history_command:history [history] | Metrics over checkpoints, and shifts.",
            "explain": "janus_eval.reports.explain_command:explain | Why a run's number and a printed one differ.",
        },
        "exports": {
            "parquet": "janus_eval.reports.exports_parquet:write | one row a request, with sample and scores",
            "lmms-eval": "janus_eval.reports.exports_lmms:write | its results file and its samples, for its own tools",
            "model-index": "janus_eval.reports.exports_card:write | the metadata of a model card on the hub",
        },
        "lists": {"published": "janus_eval.reports.ledger_listing:listing | what others printed, with sources"},
    }
