"""The gate while samples come in: when it stops, what it then says, and the runs that it leaves behind."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import janus_eval
from benchmarks import gate as simulated_gate
from benchmarks import gate_sequential
from janus_eval.cli import app
from janus_eval.errors import UserError
from janus_eval.gating import baseline, paired
from janus_eval.gating.candidates import Means, source_of
from janus_eval.gating.gate import Asked, Terms, read_side
from janus_eval.gating.holding import Held
from janus_eval.gating.paired import Pairs
from janus_eval.gating.records import LEVEL, Spent, Verdict
from janus_eval.gating.sequential import gate_in_turn, named, next_look
from janus_eval.gating.sides import read_run
from janus_eval.gating.tracks import END, Track, rulings

ASKED = Asked("task", "plain", "overall")


def track(before: Sequence[float], after: Sequence[float], margin: float | None = None, of: int = 0) -> Track:
    """Fractions of a plain metric, of which ``after`` is known so far; ``of`` groups in all."""
    whole = np.array([*before, *[0.5] * (of - len(before))]) * 100
    names = [str(place) for place in range(len(whole))]
    base = Pairs(whole, whole, np.full(len(whole), 1 / len(whole)), ["a"] * len(whole), 100.0, names)
    return Track(ASKED, base, margin, 100.0, [value * 100 for value in after])


# What can be said so far


def test_ties_pass_before_the_end_and_a_clear_fall_is_called_at_once() -> None:
    ties = [rulings([track([0.5] * count, [0.5] * count, of=300)])[0].state for count in (20, 60, 200)]
    assert ties == [None, None, "holds"]
    fall = rulings([track([1.0] * 16, [0.0] * 12 + [1.0] * 4, of=300)])[0]
    assert fall.state == "regression" and fall.p <= LEVEL and fall.high < 0
    assert rulings([track([0.0] * 60, [1.0] * 40 + [0.0] * 20, of=300)])[0].state == "holds", "a clear rise passes"


def test_all_metrics_together_share_the_level() -> None:
    falling = track([1.0] * 16, [0.0] * 11 + [1.0] * 5, of=300)
    still = track([1.0] * 16, [1.0] * 16, of=300)
    [alone] = rulings([falling])
    assert alone.state == "regression"
    assert rulings([falling, *[still] * 4])[0].p == pytest.approx(5 * alone.p)
    assert rulings([falling, *[still] * 4])[0].state is None


def test_at_the_end_the_ordinary_test_has_only_what_is_left_of_the_level() -> None:
    for fell, rose, ordinary, state in ((13, 5, 0.0481, "holds"), (14, 5, 0.0318, "regression")):
        still = [1.0] * 200
        found = track(
            [1.0, 0.0] * rose + [1.0] * (fell - rose) + still, [0.0, 1.0] * rose + [0.0] * (fell - rose) + still
        )
        assert found.whole and found.ended(END).p == pytest.approx(ordinary, abs=1e-4)
        ruling = rulings([found])[0]
        assert (ruling.p, ruling.state) == (pytest.approx(found.ended(END).p * LEVEL / END), state)
        assert ruling.low <= found.ended(LEVEL).low <= found.ended(LEVEL).high <= ruling.high, "and it is less sure"


def test_margins() -> None:
    wide = track([1.0, 0.0] * 60, [1.0, 0.0] * 60, margin=10, of=400)
    assert rulings([wide])[0].state == "holds" and rulings([replace(wide, margin=3.0)])[0].state is None
    fallen = track([1.0] * 40, [0.0] * 30 + [1.0] * 10, margin=10, of=400)
    assert rulings([fallen])[0].state == "regression"
    whole = track([1.0, 0.0] * 30, [1.0, 0.0] * 30, margin=2)
    unsure = rulings([whole])[0]
    assert unsure.state == "inconclusive" and unsure.more is not None and unsure.more > 0
    beyond = rulings([track([1.0] * 60, [0.0] * 60, margin=5)])[0]
    assert beyond.state == "regression" and beyond.high < -90


def test_little_and_nothing() -> None:
    assert rulings([track([], [], of=9)])[0].state is None and rulings([]) == []
    one = rulings([track([1.0], [0.0])])[0]
    assert (one.state, one.seen) == ("inconclusive", None)
    assert rulings([track([1.0], [0.0], margin=5)])[0].state == "inconclusive"


def test_a_group_of_two_categories_is_one_group() -> None:
    base = Pairs(np.ones(4) * 100, np.ones(4) * 100, np.full(4, 0.25), ["a", "b", "a", "a"], 100.0, list("xxyz"))
    found = Track(ASKED, base, None, 100.0, [0.0, 100.0, 50.0])
    assert found.turns == ["x", "y", "z"] and found.spent == Spent(2, 3) and not found.whole
    assert found.values.tolist() == pytest.approx([-0.75, -0.375]) and found.bound == pytest.approx(1.5)


def test_looks_grow_to_the_whole() -> None:
    looks = list(itertools.accumulate(range(99), lambda groups, _: next_look(groups, 553), initial=0))
    assert looks[:4] == [0, 16, 24, 32] and looks[-1] == 553
    assert (next_look(0, 5), next_look(5, 5)) == (5, 5)
    assert 20 < len(set(looks)) < 40


def test_the_simulated_gate_decides_as_this_one() -> None:
    """The benchmark decides for many runs at once; here the same runs go one by one."""
    generator = np.random.default_rng(3)
    for make, drop in ((gate_sequential.alone, 0.0), (gate_sequential.alone, 5.0), (gate_sequential.together, 12.0)):
        metrics = make(generator, 2, drop)
        flips = [generator.choice([-1.0, 1.0], (paired.FLIPS, sides.before.shape[1])) for sides in metrics]
        found = gate_sequential.gated(metrics, flips)
        for run in range(2):
            called, looked = _one_by_one(metrics, run)
            assert (called, looked) == (found.called[run], found.looked[run])


def _one_by_one(metrics: Sequence[gate_sequential.Sides], run: int) -> tuple[bool, int]:
    tracks = []
    for sides in metrics:
        names = [str(place) for place in range(sides.before.shape[1])]
        before, weights = sides.before[run] * 100, sides.weights[run]
        tracks.append(Track(ASKED, Pairs(before, before, weights, ["a"] * len(names), 100.0, names)))
    open_ = set(range(len(tracks)))
    while open_:
        for place in open_:
            count = next_look(len(tracks[place].after), len(tracks[place].turns))
            tracks[place].after = (metrics[place].after[run][:count] * 100).tolist()
        states = [one.state for one in rulings(tracks)]
        if "regression" in states:
            return True, sum(len(each.after) for each in tracks)
        open_ = {place for place, state in enumerate(states) if state is None}
    return False, sum(len(each.after) for each in tracks)


def test_false_alarms_keep_to_their_level_and_breaks_are_cheap() -> None:
    """The published figures are of 10,000 runs; these would show a level that is spent twice."""
    generator = np.random.default_rng(17)

    def found(drop: float, runs: int) -> gate_sequential.Found:
        metrics = gate_sequential.alone(generator, runs, drop)
        return gate_sequential.gated(metrics, [generator.choice([-1.0, 1.0], (999, 553))])

    # 5% of 300 are 15; 26 or more would come by chance in less than 1 of 100 repetitions.
    assert 3 <= found(0.0, 300).called.sum() < 26
    broken = found(10.0, 60)
    assert broken.called.all() and broken.looked.mean() / 553 < 0.3


def test_the_simulations_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "FLIPS", paired.FLIPS)  # the older one sets it
    gate_sequential.main(["--null-runs", "3", "--runs", "2"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 17 and {len(row) for row in rows} == {7}
    assert [row[2] for row in rows if row[1] == "0"] == ["3", "3", "3"]
    simulated_gate.main(["--runs", "2"])
    assert len(capsys.readouterr().out.splitlines()) == 7


# With a model

BAD, SAME = "toy?skill=0.3", "toy:other"


@pytest.fixture
def base(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A baseline file of 240 requests in 60 groups; what is asked afterwards is logged."""
    run = janus_eval.evaluate("toy", ["toy-big"], out=tmp_path / "base").folder
    (tmp_path / "base.gz").write_bytes(baseline.packed(read_run(run)))
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    return tmp_path / "base.gz"


def asked(base: Path) -> int:
    log = base.parent / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def gated(candidate: str, base: Path, out: str = "new", order: int | None = None, **terms: Any) -> Verdict:
    side, wanted = read_side(base), Terms(**terms)
    source = source_of(candidate, side, named(side, wanted), Means(base.parent / out, order))
    return gate_in_turn(source, side, wanted)


SETTINGS = {"allow": frozenset({"settings"})}


def test_a_broken_candidate_costs_a_fraction(base: Path) -> None:
    verdict = gated(BAD, base, **SETTINGS)
    assert (verdict.state, verdict.code) == ("regression", 1)
    assert verdict.course is not None and not verdict.course.replayed
    assert verdict.course.asked == asked(base) < 120 and verdict.course.of == 240
    row = verdict.rows[0]
    assert row.spent is not None and 4 * row.spent.groups == asked(base) and row.spent.of == 60
    assert row.change is not None and row.change.groups == row.spent.groups
    assert row.change.high is not None and row.change.low is not None and row.change.low < row.change.by < -20
    assert {flip.task for flip in verdict.flips} == {"toy-big"} and row.before is not None and row.after is not None


def test_the_unchanged_one_passes(base: Path) -> None:
    verdict = gated(SAME, base)
    assert (verdict.state, verdict.code) == ("holds", 0)
    assert verdict.rows[0].seen is not None and verdict.course is not None and verdict.course.asked == asked(base)
    assert verdict.course.asked < 240, "ties tell soon that nothing large fell"


def test_going_on_after_a_kill_ends_alike(base: Path) -> None:
    whole = gated(BAD, base, **SETTINGS)
    [run] = (base.parent / "new").iterdir()
    results = (run / "results.json").read_bytes()
    again = Path(shutil.copytree(base.parent / "new", base.parent / "again")) / run.name
    lines = (again / "responses.jsonl").read_bytes().splitlines(keepends=True)
    (again / "responses.jsonl").write_bytes(b"".join(lines[:30]) + lines[-1][:20])
    (again / "results.json").unlink()
    (again / "scores.jsonl").unlink()
    for candidate, out in ((BAD, "again"), (str(again), "elsewhere"), (str(run), "elsewhere")):
        found = gated(candidate, base, out, **SETTINGS)
        assert replace(found, candidate="", accept="") == replace(whole, candidate="", accept="")
    assert (again / "results.json").read_bytes() == results
    assert asked(base) == 2 * len(lines) - 30, "what was recorded is not asked again"


def test_a_finished_run_is_replayed(base: Path) -> None:
    live = gated(BAD, base, **SETTINGS)
    run = janus_eval.evaluate("toy", ["toy-big"], out=base.parent / "whole", settings={"skill": 0.3}).folder
    before = asked(base)
    replayed = gated(str(run), base, **SETTINGS)
    assert replayed.rows == live.rows and replayed.course is not None and replayed.course.replayed
    assert asked(base) == before and replayed.accept == f"janus-eval baseline {run} -o {base}"
    other = gated(str(run), base, order=1, **SETTINGS)
    assert other.code == 1 and {flip.sample for flip in other.flips} != {flip.sample for flip in live.flips}


def test_what_is_left_behind_never_passes_for_the_whole(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = gated(BAD, base, **SETTINGS)
    [run] = (base.parent / "new").iterdir()
    groups = verdict.rows[0].change.groups if verdict.rows[0].change else 0
    table = json.loads((run / "results.json").read_text())["tasks"]["toy-big"]["plain"]
    assert table["part"] == {"groups": groups, "of": 60, "order": 0}
    assert table["remarks"][0].startswith(f"a random part, {groups} of 60 groups")

    def said(*arguments: object) -> tuple[int, str]:
        code = app.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    code, text = said("gate", run, "--baseline", base, "--allow", "settings")
    assert code == 3 and f"the candidate is a random part, {groups} of 60 groups" in text
    assert "If this change is meant" not in text
    code, text = said("gate", base.parent / "base" / "toy", "--baseline", run)
    assert code == 3 and "the baseline is a random part" in text
    code, text = said("baseline", run, "-o", base.parent / "part.gz")
    assert code == 3 and "is a random part" in text and not (base.parent / "part.gz").exists()
    assert said("score", run, "--protocol", "toy-big/contrary")[0] == 0
    again = json.loads((run / "results.json").read_text())["tasks"]["toy-big"]
    assert {table["part"]["groups"] for table in again.values()} == {groups}, "judged otherwise it is no more"

    shutil.rmtree(run)
    assert gated(BAD, base, **SETTINGS).accept == verdict.accept
    done = janus_eval.evaluate("toy", ["toy-big"], out=base.parent / "new", settings={"skill": 0.3}).folder
    plain = janus_eval.evaluate("toy", ["toy-big"], out=base.parent / "plain", settings={"skill": 0.3}).folder
    assert done == run and (done / "results.json").read_bytes() == (plain / "results.json").read_bytes()
    assert verdict.course is not None
    assert gated(str(done), base, **SETTINGS).course == replace(verdict.course, replayed=True)
    first = verdict.accept.split(" && ")[0]
    assert first.startswith("janus-eval run --model 'toy?skill=0.3' --task toy-big/plain --seed 0 --out ")


def test_a_refusal_costs_nothing(base: Path) -> None:
    for allow, named_ in ((frozenset(), "settings"), (frozenset({"ask"}), "settings")):
        verdict = gated(BAD, base, allow=allow)
        assert verdict.code == 3 and [one.part for one in verdict.refusals] == [named_]
        assert verdict.rows[0].change is None and verdict.course is None
    assert gated("mute", base).refusals[0].part == "missing"
    assert asked(base) == 0 and not (base.parent / "new").exists()


def test_a_sample_that_fails_ends_it(base: Path) -> None:
    verdict = gated("toy?broken=picture", base, **SETTINGS)
    assert verdict.code == 3 and asked(base) == 0
    assert any("have no score in the candidate" in one.text for one in verdict.refusals)
    [run] = (base.parent / "new").iterdir()
    assert len((run / "responses.jsonl").read_bytes().splitlines()) == 64


def test_samples_that_must_hold_are_asked_first_and_counted_in_turn(base: Path) -> None:
    rows = [json.loads(line) for line in (base.parent / "base/toy/scores.jsonl").read_bytes().splitlines()]
    right = [row["sample"] for row in rows if row["value"]]
    loose = gated(SAME, base)
    held = gated(SAME, base, "held", held=[Held("toy-big", sample) for sample in right[:3]])
    assert held.held == 3 and held.rows == loose.rows and held.course is not None and loose.course is not None
    assert held.course.asked >= loose.course.asked
    fallen = gated(BAD, base, "bad", held=[Held("toy-big", sample) for sample in right], **SETTINGS)
    assert fallen.code == 1 and fallen.fallen
    with pytest.raises(UserError, match="the baseline has no score of toy-big"):
        gated(SAME, base, held=[Held("toy-big", "nothing")])


def test_margins_stop_early_too(base: Path) -> None:
    verdict = gated(SAME, base, margins={"all": 30.0})
    assert (verdict.code, verdict.rows[0].reason) == (0, "not worse by 30 points or more")
    assert asked(base) < 240
    assert gated(BAD, base, "bad", margins={"all": 5.0}, **SETTINGS).code == 1
    unsure = gated(SAME, base, "all", margins={"all": 1.0})
    assert unsure.code == 3 and unsure.rows[0].spent == Spent(60, 60) and unsure.rows[0].more is not None


def test_folders_and_names_that_are_none(base: Path, toys: ModuleType) -> None:
    with pytest.raises(UserError, match="toyy is neither a run folder nor a model; did you mean 'toy'"):
        gated("toyy", base)
    ordinary = janus_eval.evaluate("toy:other", ["toy-big"], out=base.parent / "new", limit=1).folder
    with pytest.raises(UserError, match=r"was run with other limit|is an ordinary run"):
        gated(SAME, base)
    shutil.rmtree(ordinary)
    gated(SAME, base)
    with pytest.raises(UserError, match="is asked in order 0, not 2"):
        gated(SAME, base, order=2)


def test_the_command(base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")

    def said(*arguments: object) -> tuple[int, str]:
        code = app.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    common = ("--baseline", base, "--sequential", "--out", base.parent / "out")
    code, text = said("gate", BAD, *common, "--allow", "settings", "--html", base.parent / "g.html")
    assert code == 1 and "Regression: 1 of 1 metric fell." in text and "groups" in text, text
    assert "Asked in random order 0 until the answer was clear" in text
    assert "Asked in random order 0" in (base.parent / "g.html").read_text()
    code, text = said("gate", base.parent / "base" / "toy", *common)
    assert code == 0 and "requests would have been enough" in text
    for bad, message in [
        (("gate", SAME, "--baseline", base), "a model is asked with --sequential"),
        (("gate", base.parent / "base" / "toy", "--baseline", base, "--order", "1"), "--order goes with --sequential"),
        (("gate", base.parent / "base" / "toy", "--baseline", base, "--device", "cpu"), "--device goes with"),
        (("gate", SAME, *common[:-1], base), "is a file; it takes a folder"),
        (("gate", SAME, *common, "--batch-size", "0"), "at least 1 expected"),
        (("gate", "toy?skil=1", *common), "did you mean 'skill'"),
    ]:
        code, text = said(*bad)
        assert code == 2 and message in text, text
