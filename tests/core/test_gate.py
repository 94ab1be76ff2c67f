"""The gate on toys: what it answers, what it refuses, and baselines through every damage."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import janus_eval
from janus_eval.cli import app
from janus_eval.errors import UserError
from janus_eval.gating import baseline, comparable, holding
from janus_eval.gating.gate import Terms, gate, read_side
from janus_eval.gating.holding import Held
from janus_eval.gating.records import Verdict
from janus_eval.gating.sides import read_run
from janus_eval.types import Drawing, Failure, Question, Response

Make = Callable[..., Path]
TASKS = ("toy-big", "toy-ask")


class Checkpoint:
    """Right by chance, but always the same, with a share of ``skill``; checkpoints differ in nothing but weights."""

    name = "checkpoint"

    def __init__(self, toys: ModuleType, skill: float, breaks: str = "") -> None:
        self._toy = toys.Toy(toys.ToySettings(skill=skill))
        self._breaks = breaks
        self.weights = f"skill {skill}"

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        replies: list[Response | Failure] = self._toy.answer(questions)
        broken = [bool(self._breaks) and self._breaks in question.text for question in questions]
        return [Failure("broken") if bad else reply for reply, bad in zip(replies, broken, strict=True)]

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        drawn: list[Response | Failure] = self._toy.draw(drawings)
        return drawn


@pytest.fixture
def make(toys: ModuleType, tmp_path: Path) -> Make:
    """Run a checkpoint of a skill into a folder of its own."""

    def run(name: str, skill: float, tasks: Sequence[str] = TASKS, breaks: str = "", **options: Any) -> Path:
        model: Any = Checkpoint(toys, skill, breaks)
        return janus_eval.evaluate(model, tasks, out=tmp_path / name, **options).folder

    return run


def judged(candidate: Path, base: Path, **terms: Any) -> Verdict:
    return gate(read_run(candidate), read_side(base), Terms(**terms))


def kept(run: Path) -> Path:
    """A baseline file beside a run."""
    file = run.parent / "baseline.jsonl.gz"
    file.write_bytes(baseline.packed(read_run(run)))
    return file


def rewritten(file: Path, change: Callable[[list[Any]], object]) -> Path:
    """A baseline with other records and a checksum that fits."""
    records = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()][:-1]
    change(records)
    body = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    end = {"lines": len(records), "sha256": hashlib.sha256(body).hexdigest()}
    file.write_bytes(gzip.compress(body + json.dumps(end).encode() + b"\n"))
    return file


def spoiled(run: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """A copy of a run with other scores."""
    copy = Path(shutil.copytree(run, run.parent / f"spoiled {len(list(run.parent.iterdir()))}"))
    rows = [json.loads(line) for line in (copy / "scores.jsonl").read_bytes().splitlines()]
    change(rows)
    (copy / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


# What it answers


def test_a_worse_checkpoint_is_caught_and_the_same_or_a_better_one_passes(make: Make) -> None:
    base, worse, better = make("a", 0.7), make("b", 0.5), make("c", 0.9)
    for side in (base, kept(base)):
        verdict = judged(worse, side)
        assert (verdict.state, verdict.code) == ("regression", 1)
        big = next(row for row in verdict.rows if row.task == "toy-big")
        assert big.change is not None and big.p is not None and big.p < 0.001
        assert big.before == pytest.approx(0.7, abs=0.1) and big.after == pytest.approx(0.5, abs=0.1)
        assert big.change.by == pytest.approx(100 * (big.after - big.before))
        assert big.change.low is not None and big.change.high is not None and big.change.low < big.change.by < -5
        assert sum(part.share for part in big.parts) == pytest.approx(big.change.by)
        assert {part.category for part in big.parts} == {"odd", "even"}
        assert verdict.flips and all(flip.before != flip.after for flip in verdict.flips)
        assert judged(better, side).code == 0
        assert judged(base, side).code == 0
    assert "both sides have the same weights" in judged(base, kept(base)).notes


def test_all_ties_leave_a_doubt_and_name_what_would_have_been_seen(make: Make) -> None:
    base = make("a", 0.7)
    row = judged(base, kept(base)).rows[0]
    assert row.change is not None and (row.change.by, row.change.p, row.change.fell, row.change.rose) == (0, 1, 0, 0)
    assert row.change.low is not None and row.change.high is not None and row.change.low < 0 < row.change.high
    assert row.seen is not None and row.seen > row.change.high


def test_margins_must_be_shown(make: Make) -> None:
    base, worse = make("a", 0.7), make("b", 0.62)
    assert judged(base, base, margins={"all": 15}).code == 3, "twelve pictures cannot show it"
    wide = judged(base, base, metrics=["toy-big"], margins={"toy-big": 15})
    assert (wide.code, wide.rows[0].state) == (0, "holds")
    within = judged(worse, base, metrics=["toy-big"], margins={"toy-big": 30})
    assert within.code == 0, "worse, but shown to be so by less than the margin"
    beyond = judged(worse, base, metrics=["toy-big"], margins={"toy-big": 0.5}).rows[0]
    assert beyond.state == "regression" or (beyond.state == "inconclusive" and beyond.more is None)
    unsure = judged(base, base, metrics=["toy-big"], margins={"toy-big": 1}).rows[0]
    assert unsure.state == "inconclusive" and unsure.more is not None and f"{unsure.more:,} more" in unsure.reason
    with pytest.raises(UserError, match="no --margin for toy-ask/plain"):
        judged(base, base, margins={"toy-big": 1})
    with pytest.raises(UserError, match="did you mean 'toy-big/plain'"):
        judged(base, base, margins={"toy-bog": 1})


def test_one_sample_shows_no_fall(make: Make) -> None:
    base, other = make("a", 1, ["toy-ask"], limit=1), make("b", 0, ["toy-ask"], limit=1)
    verdict = judged(other, base)
    assert (verdict.state, verdict.code, verdict.rows[0].seen) == ("inconclusive", 3, None)


def test_a_sample_that_must_hold_fails_the_gate_alone(make: Make, tmp_path: Path) -> None:
    base = make("a", 0.7)
    rows = [json.loads(line) for line in (base / "scores.jsonl").read_bytes().splitlines()]
    right = next(row for row in rows if row["task"] == "toy-big" and row["value"])

    def fail(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["task"] == "toy-big" and row["sample"] == right["sample"])["value"] = 0.0

    fallen = _consistent(spoiled(base, fail))
    held = [Held("toy-big", right["sample"])]
    for side in (base, kept(base)):
        assert judged(base, side, held=held).held == 1 and judged(base, side, held=held).code == 0
        assert judged(fallen, side).code == 0
        verdict = judged(fallen, side, held=held)
        assert (verdict.code, verdict.fallen[0].before, verdict.fallen[0].after) == (1, 1, 0)
        with pytest.raises(UserError, match=r"no score of toy-big '0\.9'; did you mean"):
            judged(base, side, held=[Held("toy-big", "0.9")])
        with pytest.raises(UserError, match="the baseline has no toy-bug; did you mean 'toy-big"):
            judged(base, side, held=[Held("toy-bug", "0.1")])
    file = tmp_path / "held"
    file.write_text("# the ones we promised\n\ntoy-big 3.1\ntoy-ask/plain a name with spaces \n")
    assert holding.read_held(file) == [Held("toy-big", "3.1"), Held("toy-ask/plain", "a name with spaces")]
    file.write_text("toy-big\n")
    with pytest.raises(UserError, match=r"line 1: 'toy-big'; expected TASK"):
        holding.read_held(file)


def _consistent(run: Path) -> Path:
    """Bring results.json to what the scores say."""
    results = json.loads((run / "results.json").read_text())
    for evaluation in read_run(run).evaluations.values():
        scored = evaluation.scored(evaluation.items, list(evaluation.lines))
        for name, measure in evaluation.measures().items():
            results["tasks"][evaluation.task][evaluation.protocol]["metrics"][name]["value"] = measure(scored).value
    (run / "results.json").write_text(json.dumps(results))
    return run


# What it refuses


def test_what_differs_is_named_and_can_be_allowed(toys: ModuleType, tmp_path: Path) -> None:
    def run(name: str, **options: Any) -> Path:
        return janus_eval.evaluate("toy", ["toy-big"], out=tmp_path / name, **options).folder

    base = run("a")
    cases: list[tuple[Path, str, str]] = [
        (run("b", settings={"skill": 0.5}), "settings", "skill: 0.7 -> 0.5"),
        (run("c", dtype="bfloat16"), "settings", 'dtype: "float32" -> "bfloat16"'),
        (run("d", seed=1), "ask", "seed: 0 -> 1"),
    ]
    for candidate, part, what in cases:
        for side in (base, kept(base)):
            verdict = judged(candidate, side)
            assert verdict.code == 3 and [(one.part, one.text) for one in verdict.refusals] == [(part, what)]
            assert verdict.rows[0].change is None, "nothing is measured that cannot be compared"
            taken = judged(candidate, side, allow=comparable.checked([part]))
            assert taken.code in {0, 1} and [one.text for one in taken.accepted] == [what]
    assert judged(cases[0][0], base, allow=frozenset({"settings"})).code == 1
    with pytest.raises(UserError, match=r"--allow setting: .*did you mean 'settings'"):
        comparable.checked(["setting"])
    with pytest.raises(UserError, match="--allow weights"):
        comparable.checked(["weights"])


def test_samples_that_vanished_never_pass(make: Make) -> None:
    base, less = make("a", 0.7), make("b", 0.7, limit=20)
    for allow in ([], ["data", "ask"]):
        verdict = judged(less, kept(base), allow=frozenset(allow))
        assert verdict.code == 3
        lost = [one.text for one in verdict.refusals if one.part == "missing"]
        assert lost == ["80 of the baseline's 240 scores have vanished"]
    assert any("limit: null -> 20" in one.text for one in judged(less, base).refusals)
    more = judged(base, less, allow=frozenset({"data", "ask"}))
    assert more.code == 0 and more.rows[0].change is not None and more.rows[0].change.groups == 40


def test_tasks_and_metrics_that_vanished_never_pass(make: Make) -> None:
    both, one = make("a", 0.7), make("b", 0.7, ["toy-big"])
    verdict = judged(one, kept(both))
    assert (verdict.code, verdict.refusals[0].where) == (3, "toy-ask/plain")
    assert "was not asked" in verdict.refusals[0].text
    assert judged(both, kept(one)).code == 0
    assert judged(both, kept(one)).notes[0] == "toy-ask/plain: not in the baseline, so not compared"

    results = json.loads((both / "results.json").read_text())
    del results["tasks"]["toy-big"]["plain"]["metrics"]["alone"]
    (both / "results.json").write_text(json.dumps(results))
    lost = judged(both, kept(one), metrics=["toy-big:alone"])
    assert lost.code == 3 and "vanished" in lost.rows[0].reason
    with pytest.raises(UserError, match=r"--metric toy-big:along: .*did you mean 'toy-big/plain:alone'"):
        judged(both, kept(one), metrics=["toy-big:along"])


def test_failures_never_pass(make: Make) -> None:
    base, broken = make("a", 0.7, ["toy-big"]), make("b", 0.7, ["toy-big"], breaks="picture 7 ")
    verdict = judged(broken, kept(base), allow=frozenset({"failed"}))
    assert verdict.code == 3 and "4 of 240 have no score in the candidate" in verdict.refusals[0].text
    assert judged(base, kept(broken)).code == 3
    accepted = judged(base, kept(broken), allow=frozenset({"failed"}))
    assert accepted.code == 0 and accepted.rows[0].change is not None and accepted.rows[0].change.groups == 59
    nothing = make("c", 0.7, ["toy-big"], breaks="picture")
    assert judged(nothing, kept(base)).code == 3
    assert judged(nothing, nothing, allow=frozenset({"failed"})).code == 3


def test_scores_that_are_no_numbers_never_pass(make: Make) -> None:
    base = make("a", 0.7, ["toy-big"])

    def spoil(rows: list[dict[str, Any]]) -> None:
        rows[5]["value"] = float("nan")
        rows[6]["value"] = float("inf")

    spoilt = spoiled(base, spoil)
    verdict = judged(spoilt, kept(base))
    assert verdict.code == 3 and any("2 of 240 have no score in the candidate" in one.text for one in verdict.refusals)
    with pytest.raises(UserError, match="don't give the metrics") as refused:
        baseline.packed(read_run(spoilt))
    assert refused.value.code == 3


def test_scores_that_dont_give_the_metrics_are_refused(make: Make) -> None:
    base = make("a", 0.7, ["toy-big"])
    improved = spoiled(base, lambda rows: [row.update(value=1.0) for row in rows])
    verdict = judged(improved, base)
    assert verdict.code == 3 and "the candidate: its scores give overall = 1, it says 0.7" in verdict.refusals[0].text


def test_a_run_that_is_not_whole(make: Make, tmp_path: Path) -> None:
    base = make("a", 0.7, ["toy-big"])
    with pytest.raises(UserError, match="is cut short: 239 scores where"):
        read_run(spoiled(base, lambda rows: rows.pop()))
    copy = Path(shutil.copytree(base, tmp_path / "unfinished"))
    (copy / "results.json").unlink()
    with pytest.raises(UserError, match="is not finished") as unfinished:
        read_run(copy)
    assert unfinished.value.code == 3
    make("a", 0.7, ["toy-ask"])
    with pytest.raises(UserError, match=r"not a run folder.*holds checkpoint, spoiled 1: name one"):
        read_run(base.parent)


# Baselines


def test_equal_runs_give_equal_baselines_and_a_change_is_a_line(make: Make) -> None:
    base, same = make("a", 0.7), make("b", 0.7, batch_size=5)
    one, two = kept(base), kept(same)
    assert one.read_bytes() == two.read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(one.read_bytes()).splitlines()]
    scores = [row for row in rows if isinstance(row, list)]
    assert len(scores) == 288 and all(len(row) == 2 for row in scores), "no more than key and value is needed here"
    other = gzip.decompress(kept(make("c", 0.69)).read_bytes()).splitlines()
    changed = [(a, b) for a, b in zip(gzip.decompress(one.read_bytes()).splitlines(), other, strict=True) if a != b]
    assert 0 < len(changed) < 30


def test_damaged_baselines_say_so(make: Make, tmp_path: Path) -> None:
    base = make("a", 0.7)
    whole = kept(base).read_bytes()
    file = tmp_path / "b.jsonl.gz"
    for data in (whole[: len(whole) // 2], whole[:-4], b"", b"\x1f\x8b", b"no gzip", gzip.compress(b"{}\n")):
        file.write_bytes(data)
        with pytest.raises(UserError, match=r"cut short|damaged|no baseline") as damaged:
            read_side(file)
        assert damaged.value.code == 2
    text = gzip.decompress(whole)
    lines = text.splitlines(keepends=True)
    for edited in (text.replace(b",0.0]", b",1.0]", 1), b"".join(lines[:-2] + lines[-1:]), b"".join(lines[1:])):
        file.write_bytes(gzip.compress(edited))
        with pytest.raises(UserError, match="changed by hand"):
            read_side(file)
    file.write_bytes(gzip.compress(b"".join(lines[:-1])))
    with pytest.raises(UserError, match="its last line is no checksum"):
        read_side(file)
    with pytest.raises(UserError, match="there is no such run folder or baseline file"):
        read_side(tmp_path / "nowhere")


def test_baselines_of_another_version_say_why_not(make: Make) -> None:
    base = make("a", 0.7)
    with pytest.raises(UserError, match=r"schema 0, this version reads 1: make it anew") as old:
        read_side(rewritten(kept(base), lambda records: records[0].update(schema=0)))
    assert old.value.code == 3
    with pytest.raises(UserError, match="is no baseline; janus-eval baseline"):
        read_side(rewritten(kept(base), lambda records: records[0].pop("kind")))
    with pytest.raises(UserError, match=r"no whole baseline .KeyError: 'knobs'"):
        read_side(rewritten(kept(base), lambda records: records[1].pop("knobs")))

    def computed_otherwise(records: list[Any]) -> None:
        records[2]["value"] += 0.01

    verdict = judged(base, rewritten(kept(base), computed_otherwise))
    assert verdict.code == 3 and "the baseline: its scores give overall" in verdict.refusals[0].text

    def renamed(records: list[Any]) -> None:
        records[3]["metric"] = "of old"

    verdict = judged(base, rewritten(kept(base), renamed))
    assert verdict.code == 3 and "no metric 'of old' any more" in verdict.refusals[0].text


def test_a_baseline_of_another_task(make: Make) -> None:
    verdict = judged(make("a", 0.7, ["toy-ask"]), kept(make("b", 0.7, ["toy-big"])))
    assert verdict.code == 3 and verdict.rows[0].state == "not comparable"


# The commands


def test_the_commands(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, worse = make("a", 0.7), make("b", 0.4)
    file = tmp_path / "base.gz"

    def said(*arguments: object) -> tuple[int, str]:
        code = app.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    assert said("baseline", base, "-o", file)[0] == 0
    assert said("gate", base, "--baseline", file)[0] == 0
    code, text = said("gate", worse, "--baseline", file)
    assert code == 1 and f"janus-eval baseline {worse} -o" in " ".join(text.split()).replace(" -o ", " -o ")
    assert said("baseline", worse, "-o", file)[0] == 0, "accepting a change is one command"
    assert said("gate", worse, "--baseline", file)[0] == 0
    for bad, message in [
        (("gate", base, worse, "--baseline", file), "unexpected extra argument"),
        (("gate", file, "--baseline", file), "is a baseline, which has no samples"),
        (("gate", base), "Missing option"),
        (("gate", base, "--baseline", file, "--margin", "all=nan"), "expected NAME=POINTS"),
        (("gate", base, "--baseline", file, "--margin", "all=-1"), "more than 0 points"),
        (("gate", base, "--baseline", file, "--json", tmp_path), "the path of a file"),
        (("baseline", base, "-o", base / "run.json"), "is there and no baseline"),
    ]:
        code, text = said(*bad)
        assert code == 2 and message in text, text
