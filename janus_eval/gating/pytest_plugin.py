"""``pytest --janus-candidate M --janus-baseline FILE``: one test a gated metric, one for the samples that must hold.

The candidate is a run folder, or a model as ``janus-eval run`` takes it: then it is asked what the baseline was, into
``--janus-out``. With pytest-xdist the first worker that comes to the gate does so, and the others read what it found.
Nothing but pytest is imported before one of the options is given.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from janus_eval.gating.gate import Terms
    from janus_eval.gating.records import Row, Verdict
    from janus_eval.gating.sides import Side

MARKER = "janus_gate"
SUITE = "janus_suite"
MUST_HOLD = "must-hold"
SHARED = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("janus-eval", "the gate of janus-eval")
    group.addoption("--janus-candidate", metavar="M", help="A run folder, or a model with its checkpoint.")
    group.addoption("--janus-baseline", metavar="BASE", help="A run folder, or a file of `janus-eval baseline`.")
    group.addoption("--janus-metric", action="append", default=[], metavar="TASK[/PROTOCOL][:METRIC]")
    group.addoption("--janus-margin", action="append", default=[], metavar="NAME=POINTS")
    group.addoption("--janus-allow", action="append", default=[], metavar="PART")
    group.addoption("--janus-must-hold", metavar="FILE")
    group.addoption("--janus-sequential", action="store_true", help="Ask no more than the answer needs.")
    group.addoption("--janus-out", default="janus-eval-runs", metavar="DIR", help="Where a model's run folder goes.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: a metric, or the samples that must hold, of janus-eval's gate")
    config.addinivalue_line("markers", f"{SUITE}(name): its task belongs to this suite (-m \"{SUITE}(name='shapes')\")")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where all of them find the verdict."""
    if node.config.getoption("janus_candidate"):
        if SHARED not in node.config.stash:
            node.config.stash[SHARED] = tempfile.TemporaryDirectory(prefix="janus-gate-")
        node.workerinput["janus_shared"] = node.config.stash[SHARED].name


def pytest_unconfigure(config: pytest.Config) -> None:
    if (shared := config.stash.get(SHARED, None)) is not None:
        shared.cleanup()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the gate's tests, before -k and -m choose among all."""
    given = [config.getoption(f"janus_{name}") for name in ("candidate", "baseline")]
    if not any(given):
        return
    if not all(given):
        raise pytest.UsageError("--janus-candidate and --janus-baseline go together")
    from janus_eval.errors import UserError

    try:
        items += _tests(session, config)
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


def _tests(session: pytest.Session, config: pytest.Config) -> Iterator[GateItem]:
    from janus_eval.gating.gate import asked_of, read_side

    terms, base = _terms(config), read_side(Path(config.getoption("janus_baseline")))

    @cache
    def verdict() -> Verdict:
        shared = getattr(config, "workerinput", {}).get("janus_shared")
        return _shared(Path(shared), lambda: _verdict(config, base, terms)) if shared else _verdict(config, base, terms)

    for asked in asked_of(base, terms.metrics):
        item = GateItem.from_parent(session, name=f"janus-gate[{asked}]", verdict=verdict, metric=str(asked))
        for suite in _suites(asked.task, asked.protocol):
            item.add_marker(pytest.mark.janus_suite(name=suite))
        yield item
    if terms.held:
        yield GateItem.from_parent(session, name=f"janus-gate[{MUST_HOLD}]", verdict=verdict, metric=MUST_HOLD)


def _terms(config: pytest.Config) -> Terms:
    from janus_eval.gating import comparable, holding
    from janus_eval.gating.gate import Terms, margins_of

    held = config.getoption("janus_must_hold")
    return Terms(
        config.getoption("janus_metric"),
        margins_of(config.getoption("janus_margin")),
        comparable.checked(config.getoption("janus_allow")),
        holding.read_held(Path(held)) if held else (),
    )


def _verdict(config: pytest.Config, base: Side, terms: Terms) -> Verdict:
    from janus_eval.gating.gate import gate

    if config.getoption("janus_sequential"):
        from janus_eval.gating import candidates, sequential

        means = candidates.Means(Path(config.getoption("janus_out")))
        keys = sequential.named(base, terms)
        source = candidates.source_of(str(config.getoption("janus_candidate")), base, keys, means)
        return sequential.gate_in_turn(source, base, terms)
    return gate(_candidate(config, base), base, terms)


def _shared(folder: Path, make: Callable[[], Verdict]) -> Verdict:
    """What the first process to come here made. The folder is this user's alone, so its pickle is as good as ours."""
    import fcntl

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = folder / "verdict"
        if not file.exists():
            file.write_bytes(pickle.dumps(make()))
        verdict: Verdict = pickle.loads(file.read_bytes())
        return verdict


def _candidate(config: pytest.Config, base: Side) -> Side:
    from janus_eval.evaluation import evaluate
    from janus_eval.gating.sides import read_run

    named = str(config.getoption("janus_candidate"))
    if Path(named).is_dir():
        return read_run(Path(named))
    tasks = [each.name for each in base.evaluations.values()]
    out = Path(config.getoption("janus_out"))
    return read_run(evaluate(named, tasks, out=out, limit=base.limit, seed=base.seed).folder)


def _suites(task: str, protocol: str) -> list[str]:
    """Names of the suites that ask a task under this protocol."""
    from janus_eval import plan, plugins

    found = []
    for name in plugins.names("suites"):
        tasks = [str(choice) for choice in plan.choices(plan.load_suite(name).tasks)]
        if f"{task}/{protocol}" in tasks:
            found.append(name)
    return found


class GateError(Exception):
    """The metric did not hold; the text says why."""


class GateItem(pytest.Item):
    def __init__(self, *, verdict: Callable[[], Verdict], metric: str, **rest: Any) -> None:
        super().__init__(**rest)
        self._verdict = verdict
        self._metric = metric
        self.add_marker(MARKER)

    def runtest(self) -> None:
        verdict = self._verdict()
        if self._metric == MUST_HOLD:
            if verdict.fallen:
                raise GateError(_text(replace(verdict, rows=(), refusals=())))
            return
        # A task that is not compared at all, and has no row for it, fails with every one of its rows.
        rows = [row for row in verdict.rows if row.name == self._metric]
        if not rows or any(row.state != "holds" for row in rows):
            raise GateError(_text(_about(verdict, rows)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from janus_eval.errors import UserError

        if isinstance(excinfo.value, GateError | UserError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return Path(self.config.getoption("janus_baseline")), None, self.name


def _about(verdict: Verdict, rows: Sequence[Row]) -> Verdict:
    """What of a verdict concerns these rows."""
    wheres = {f"{row.task}/{row.protocol}" for row in rows}
    return replace(
        verdict,
        rows=rows,
        refusals=[one for one in verdict.refusals if one.where in wheres],
        accepted=[one for one in verdict.accepted if one.where in wheres],
        fallen=(),
        held=0,
        notes=(),
    )


def _text(verdict: Verdict) -> str:
    from janus_eval import plugins

    text: str = plugins.load("reporters", "gate-text")(verdict, 80)
    return text
