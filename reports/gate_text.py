"""A gate's verdict as a terminal, GitHub's summary, a test report and a program read it: pure functions to text."""

from __future__ import annotations

import json
import re
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import asdict

from janus_eval.gating.records import Row, Verdict
from janus_eval.reports import gate_words as words
from janus_eval.reports.wording import clean, line

GAP = "  "
NARROWEST = 24
_SPECIAL = re.compile(r"([\\`*_\[\]<|~])")
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(verdict: Verdict, width: int = 80) -> str:
    """At most ``width`` columns where that is 24 or more: a table where it fits, else a block a metric."""
    width = max(width, NARROWEST)
    paragraphs = [words.headline(verdict)]
    table = list(_table(verdict))
    if table:
        paragraphs.append("\n".join(table if max(map(len, table)) <= width else _blocks(verdict)))
    sections = [_explained(verdict), _others(verdict)]
    paragraphs += ["\n".join(lines) for lines in sections if lines]
    return "\n\n".join(_wrapped(paragraph, width) for paragraph in paragraphs) + "\n"


def _table(verdict: Verdict) -> Iterator[str]:
    rows = [[words.MARKS[row.state], line(row.name, 40), *words.cells(row)] for row in verdict.rows]
    if not rows:
        return
    rows.insert(0, ["", "metric", *words.columns(verdict)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield f"{left[0]} {GAP.join([left[1], *right])}".rstrip()


def _blocks(verdict: Verdict) -> Iterator[str]:
    names = words.columns(verdict)
    for row in verdict.rows:
        yield f"{line(row.name, 60)}: {words.WORDS[row.state]}"
        for name, cell in zip(names, words.cells(row), strict=True):
            yield f"  {name:<12}  {cell}"


def _explained(verdict: Verdict) -> list[str]:
    found = []
    refused = {one.where for one in verdict.refusals}
    for row in verdict.rows:
        if f"{row.task}/{row.protocol}" in refused:
            continue  # the refusal itself is told
        said = [row.reason, words.counted(row), words.explained(row)] if row.state != "holds" else []
        if any(said):
            found.append(f"{line(row.name, 60)}: {'; '.join(filter(None, said))}")
    return found


def _others(verdict: Verdict) -> list[str]:
    found = [f"fell though it must hold: {words.fall(one)}" for one in verdict.fallen]
    if verdict.held:
        found.append(f"{verdict.held} must-hold samples held")
    found += [f"not compared: {said}" for said in words.merged(verdict.refusals)]
    found += [f"accepted by --allow: {said}" for said in words.merged(verdict.accepted)]
    found += [line(note, 400) for note in verdict.notes]
    found += [words.method(verdict)] if any(row.change for row in verdict.rows) else []
    return [*found, *filter(None, [words.cure(verdict.refusals), words.acceptance(verdict)])]


def _wrapped(paragraph: str, width: int) -> str:
    def fold(one: str) -> str:
        return one if len(one) <= width else textwrap.fill(one, width, subsequent_indent="  ", break_on_hyphens=False)

    return "\n".join(map(fold, paragraph.split("\n")))


def markdown(verdict: Verdict) -> str:
    """For ``$GITHUB_STEP_SUMMARY``."""
    found = [
        f"## janus-eval gate: {_marked(words.headline(verdict))}",
        _marked(f"{verdict.candidate} against {verdict.baseline}"),
    ]
    if verdict.rows:
        head = ["", "metric", *words.columns(verdict)]
        rule = ["---", "---", *("---:" for _ in head[2:])]
        rows = [[words.WORDS[row.state], row.name, *words.cells(row)] for row in verdict.rows]
        found.append(
            "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *(map(_marked, row) for row in rows)))
        )
    said = [*_explained(verdict), *_others(verdict)]
    accept = words.acceptance(verdict)
    found.append("\n".join(f"- {_marked(one)}" for one in said if one != accept))
    if accept:
        found.append(f"If this change is meant, accept it:\n\n```sh\n{line(verdict.accept, 1000)}\n```")
    return "\n\n".join(filter(None, found)) + "\n"


def _marked(plain: str) -> str:
    return _SPECIAL.sub(r"\\\1", line(plain, 1000))


def junit(verdict: Verdict) -> str:
    """One case a metric, one for the samples that must hold, one a task that was not compared."""
    suite = ET.Element("testsuite", name="janus-eval gate")
    for row in verdict.rows:
        case = ET.SubElement(suite, "testcase", classname=f"gate.{_xml(row.task)}", name=_xml(row.name))
        if row.state == "regression":
            ET.SubElement(case, "failure", message=_xml(row.reason)).text = _xml(_detail(row))
        elif row.state != "holds":
            said = _refused(verdict, f"{row.task}/{row.protocol}") or f"{row.state}: {row.reason}"
            ET.SubElement(case, "error", message=_xml(said)).text = _xml(_detail(row))
        ET.SubElement(case, "system-out").text = _xml(_detail(row))
    if verdict.fallen or verdict.held:
        case = ET.SubElement(suite, "testcase", classname="gate", name="must-hold")
        if verdict.fallen:
            ET.SubElement(case, "failure", message=_xml("; ".join(map(words.fall, verdict.fallen))))
    told = {f"{row.task}/{row.protocol}" for row in verdict.rows}
    for where in dict.fromkeys(one.where for one in verdict.refusals if one.where not in told):
        case = ET.SubElement(suite, "testcase", classname="gate.comparable", name=_xml(where))
        ET.SubElement(case, "error", message=_xml(_refused(verdict, where)))
    for name in ("failure", "error"):
        suite.set(f"{name}s", str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _refused(verdict: Verdict, where: str) -> str:
    return "; ".join(words.merged([one for one in verdict.refusals if one.where == where]))


def _detail(row: Row) -> str:
    names = ("before", "after", "change", "interval", "p or margin", "seen", "groups")
    pairs = zip(names, words.cells(row), strict=False)
    figures = ", ".join(f"{name} {cell}" for name, cell in pairs)
    return "; ".join(filter(None, [figures, words.counted(row), words.explained(row)]))


def _xml(plain: str) -> str:
    return _UNWRITABLE.sub("\ufffd", clean(plain))


def as_json(verdict: Verdict) -> str:
    """Every figure, with the verdict's ``state`` and exit ``code``."""
    table = {**asdict(verdict), "state": verdict.state, "code": verdict.code}
    return json.dumps(table, indent=1, allow_nan=False) + "\n"
