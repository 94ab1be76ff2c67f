"""Whether two evaluations can be held against each other: whatever could have moved a number but the weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from janus_eval.errors import UserError
from janus_eval.fingerprint import PARTS, differences
from janus_eval.gating.records import Refusal
from janus_eval.gating.sides import Evaluation, Side
from janus_eval.plugins import near

FAILED = "failed"
ALLOWED = (*(part for part in PARTS if part != "weights"), FAILED)
"""What ``--allow`` takes."""
SOME = 6


def checked(allow: Sequence[str]) -> frozenset[str]:
    """Raises UserError for a part that does not exist."""
    for part in allow:
        if part not in ALLOWED:
            raise UserError(f"--allow {part}: one of {', '.join(ALLOWED)}{near(part, list(ALLOWED))}")
    return frozenset(allow)


def refusals(candidate: Side, base: Side, ours: Evaluation, theirs: Evaluation) -> Iterator[Refusal]:
    """Everything that stands between two evaluations of the same name, whether allowed or not."""
    for words, side in (("the candidate", ours), ("the baseline", theirs)):
        if side.part:
            yield Refusal(ours.name, "missing", f"{words} is {portion(side.part)}", False)
    if ours.part or theirs.part:
        return
    for part in differences(ours.fingerprint, theirs.fingerprint):
        if part != "weights":
            yield Refusal(ours.name, part, _what(part, candidate, base, ours, theirs))
    lost = [key for key in theirs.lines if key not in ours.lines]
    if lost:
        yield Refusal(
            ours.name, "missing", f"{len(lost)} of the baseline's {len(theirs.lines)} scores have vanished", False
        )
    common = [key for key in theirs.lines if key in ours.lines]
    if not common:
        yield Refusal(ours.name, "missing", "there is no sample that both sides have", False)
    only_ours = sum(ours.lines[key].value is None and theirs.lines[key].value is not None for key in common)
    if only_ours:
        text = (
            f"{only_ours} of {len(common)} have no score in the candidate and one in the baseline: failed, or no number"
        )
        yield Refusal(ours.name, FAILED, text, False)
    others = sum(theirs.lines[key].value is None for key in common)
    if others:
        yield Refusal(ours.name, FAILED, f"{others} of {len(common)} have no score in the baseline")


def portion(part: Mapping[str, int]) -> str:
    return (
        f"a random part, {part['groups']:,} of {part['of']:,} groups: gate --sequential goes on with it, "
        "janus-eval run completes it"
    )


def drift(side: Evaluation, items: Mapping[str, Any]) -> str:
    """A metric that the side's own scores no longer give, in words; "" where they give all of them."""
    if not set(side.lines) <= set(items):
        return ""
    scored, measures = side.scored(items, list(side.lines)), side.measures()
    for name, kept in side.metrics.items():
        if kept["unit"] == "fid":
            continue
        if name not in measures:
            return f"this version has no metric {name!r} any more"
        found = measures[name](scored).value
        if found is not None and kept["value"] is not None and abs(found - kept["value"]) > 1e-9 * max(1.0, abs(found)):
            return f"its scores give {name} = {found:.6g}, it says {kept['value']:.6g}: it is computed otherwise by now"
        if (found is None) != (kept["value"] is None):
            return f"its scores give {name} = {found}, it says {kept['value']}"
    return ""


def _what(part: str, candidate: Side, base: Side, ours: Evaluation, theirs: Evaluation) -> str:
    """Which settings, knobs or samples differ, baseline first."""
    if part == "settings":
        return _list(_settings(base), _settings(candidate)) or "settings differ"
    if part == "data":
        extra, lost = set(ours.lines) - set(theirs.lines), set(theirs.lines) - set(ours.lines)
        limits = _list({"limit": base.limit}, {"limit": candidate.limit})
        counts = f"{len(lost)} scores only in the baseline, {len(extra)} only in the candidate"
        return "; ".join(
            filter(None, [limits, counts if extra or lost else "samples of the same names have other contents"])
        )
    tables = [dict(side.knobs.get(part, {})) for side in (theirs, ours)]
    if part == "ask":
        tables = [{**table, "seed": side.seed} for table, side in zip(tables, (base, candidate), strict=True)]
    fallback = {"observe": "an instrument of another version", "ask": "requests are worded otherwise"}
    return _list(*tables) or fallback.get(part, f"{part} differs")


def _settings(side: Side) -> dict[str, Any]:
    return {**side.model.get("settings", {}), "dtype": side.model.get("dtype")}


def _list(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    found = [
        f"{name}: {_value(before, name)} -> {_value(after, name)}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name) or (name in before) != (name in after)
    ]
    rest = f" and {len(found) - SOME} more" if len(found) > SOME else ""
    return ", ".join(found[:SOME]) + rest


def _value(table: Mapping[str, Any], name: str) -> str:
    return json.dumps(table[name], ensure_ascii=False) if name in table else "not there"
