"""The plots of a task's page: curves over a size, bars of the headline, and its categories."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from janus_eval.reports import plots
from janus_eval.reports.board import Column as BoardColumn
from janus_eval.reports.drawing import Series
from janus_eval.reports.figure_one import Panel, bar_panel, reach
from janus_eval.reports.pages import Report
from janus_eval.reports.plots import Curve
from janus_eval.reports.records import MetricRecord, ResultRecord
from janus_eval.reports.standings import Row, Standings, scale
from janus_eval.reports.wording import listed

# Words for metrics whose names are short; any other name speaks for itself.
GLOSSES = {
    "cer": "character error rate",
    "prompts_any": "prompts with at least one right picture",
}
SPLITS = ("seen", "unseen")
PLOTTED = 8  # systems of a plot of categories
PRINTED = 3  # published ones among them
RADAR = (3, 9)  # categories that a radar can show
PROFILES = 6  # systems of a radar
# Metrics whose names differ only in a number ("size_8", "digits_height_12") are one curve over it.
SIZED = re.compile(r"(?P<head>\D*?)(?P<size>\d+(?:\.\d+)?)(?P<tail>\D*)")
AXES = {
    "size": "size of the letters in pixels",
    "height": "height of the letters in pixels",
    "faces size": "size of the faces in pixels",
    "period": "period in pixels",
}
# What a metric measures, by the head of its name, with how its curve is read; any other is a share of right answers.
MEASURES = {
    "cer": ("character error rate", "Characters to be mended in each that was asked for, lower is better"),
    "ssim": ("SSIM", "Structural similarity, 1 where nothing is lost"),
    "psnr": ("PSNR", "Peak signal to noise in dB, more is better"),
}


def families_of(names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Metrics that differ in a number alone, three or more: their common words -> {name: number}."""
    families: dict[str, dict[str, float]] = {}
    for name in names:
        found = SIZED.fullmatch(name)
        if found:
            words = f"{found['head']} {found['tail']}".replace("_", " ").strip(" /:-")
            families.setdefault(words, {})[name] = float(found["size"])
    return {words: sizes for words, sizes in families.items() if len(sizes) >= 3}


def curve_panels(
    report: Report, results: Sequence[ResultRecord | None], families: Mapping[str, Mapping[str, float]], index: int
) -> Iterator[Panel]:
    """A curve for each family of metrics, a line a system."""
    column = report.board.columns[index]
    # A plot has no room for long names; of one sweep the values suffice.
    [sweep] = report.board.sweeps if len(report.board.sweeps) == 1 else [None]
    short = {n: sweep.short(place) for place, numbers in sweep.runs.items() for n in numbers} if sweep else {}
    for words, sizes in families.items():
        lines = []
        for n, (row, result) in enumerate(zip(report.board.rows, results, strict=True)):
            known = [(size, result.metrics[name]) for name, size in sizes.items() if result and name in result.metrics]
            if known:
                ordered = sorted(known, key=lambda point: point[0])
                lines.append(Curve(Series(short.get(n, row.name), report.classes[n]), ordered))
        if not lines:
            continue
        title, axis, reading = curve_words(words, column)
        caption = (
            f"{reading}, with 95% intervals, from {min(sizes.values()):g} to "
            f"{max(sizes.values()):g}. Models stand a little apart where they share a size."
        )
        if sweep and any(n in short for n, result in enumerate(results) if result and sizes.keys() & result.metrics):
            caption += f" {sweep.model} is named by its values of {listed([axis.name for axis in sweep.axes])}."
        known_ones = [metric for one in lines for _, metric in one.points]
        whole = (column.low, column.high)
        if words.partition(" ")[0] in MEASURES:  # on a scale of its own
            whole = scale(known_ones[0].unit, reach(known_ones))
        yield Panel(title, plots.curves(lines, whole, axis, title.removesuffix(f" by {axis}")), caption)


def curve_words(words: str, column: BoardColumn) -> tuple[str, str, str]:
    """The title of a family's curve, the name of its axis, and what its values are: ``ssim faces size`` is the
    similarity of faces by their size."""
    first, _, rest = words.partition(" ")
    measure, reading = MEASURES.get(first, ("", f"{column.unit.capitalize()} right"))
    name = (rest if measure else words) or "size"
    what, _, kind = name.rpartition(" ")
    axis = AXES.get(name) or AXES.get(kind) or name
    what = what if kind in AXES else ""
    subject = f"{measure} of {what}" if measure and what else measure or what or column.task
    return f"{subject} by {axis}", axis, reading


def category_panels(table: Standings, task: str) -> Iterator[Panel]:
    """Bars of the headline and two plots of the categories, where there is more than one system to compare."""
    ranked = [row for block in table.blocks(0) for row in block.rows] if table.columns else []
    rows = [row for row in ranked if row.shown and row.cells[0].value is not None and row.cells[0].group == 0]
    if len(rows) < 2:
        return
    bars = bar_panel(rows, [row.cells[0] for row in rows], table.columns[0])
    if bars:
        yield bars._replace(title=f"{task}, {table.columns[0].name}")
    # One scale for all: a metric in another unit, or one of which less is better, is no category.
    like, first = (*SPLITS, *GLOSSES), table.columns[0]
    inner = [
        n
        for n, column in enumerate(table.columns)
        if n
        and column.name not in like
        and column.name.partition("_")[0] not in MEASURES
        and (column.unit, column.upward) == (first.unit, first.upward)
    ]
    if len(inner) < RADAR[0]:
        return
    systems = _plotted(rows)
    made = [(Series(row.name, row.series), row.place is None, _metrics(row, table, inner)) for row in systems]
    shown = [one for one in made if one[2]]
    if not shown:
        return
    names = [table.columns[n].name for n in inner]
    whole = min(table.columns[n].low for n in inner), max(table.columns[n].high for n in inner)
    printed = any(hollow for _, hollow, _ in shown)
    caption = "A panel for each category, all on one scale: dots with 95% intervals, a system a line."
    multiples = plots.multiples(names, shown, whole, f"{task} by category")
    yield Panel("Category by category", multiples, caption + (" Hollow: published." if printed else ""))
    if len(inner) <= RADAR[1] and first.upward:  # outwards is better
        caption = "A category each way, better outwards: a dent is a category that one system fails and others do not."
        whole_ones = [one for one in shown if len(one[2]) == len(names)]  # a gap is no zero
        own, others = ([one for one in whole_ones if one[1] is hollow] for hollow in (False, True))
        profiles = [*own[: PROFILES - 2], *others[: PROFILES - min(len(own), PROFILES - 2)]]
        if profiles:
            radar = plots.radar(names, profiles, whole, f"{task}: profile over {len(names)} categories")
            yield Panel("The profile of each system", radar, caption + (" Dotted: published." if printed else ""))


def _plotted(rows: Sequence[Row]) -> list[Row]:
    """The measured systems, and of the published ones the Janus family first."""
    measured = [row for row in rows if row.place is not None]
    printed = sorted((row for row in rows if row.place is None), key=lambda row: row.series == "sr")
    return [*measured[:PLOTTED], *printed[: max(0, min(PRINTED, PLOTTED - len(measured)))]]


def _metrics(row: Row, table: Standings, numbers: Sequence[int]) -> dict[str, MetricRecord]:
    found = {}
    for n in numbers:
        cell, column = row.cells[n], table.columns[n]
        if cell.value is not None:
            table_of = {"value": cell.value, "low": cell.low, "high": cell.high, "unit": column.unit, "n": 0}
            found[column.name] = MetricRecord.model_validate(table_of)
    return found
