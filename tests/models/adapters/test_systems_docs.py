"""The pages of docs/systems: one for each system of the announcement, and every run that they show could begin."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from janus_eval import plan
from janus_eval.specs import ModelSpec, contenders
from janus_eval.sweeps import cells, parse_sweep

SYSTEMS = (
    "janus-pro-7b", "janus-pro-1b", "janus", "janusflow", "tokenflow", "metamorph", "dall-e-3", "dall-e-2",
    "sd3-medium", "sdxl", "gpt-4v", "gemini", "cogvlm",
)  # fmt: skip


@pytest.fixture(scope="module")
def pages(repository: Path) -> dict[str, str]:
    return {page.stem: page.read_text() for page in (repository / "docs" / "systems").glob("*.md")}


def shown(text: str) -> list[list[str]]:
    """Arguments of every ``janus-eval run``, ``ask`` and ``draw`` in blocks and in inline code."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in
             re.sub(r"\\\n\s*", "", block).splitlines()]  # fmt: skip
    lines += re.findall(r"`(janus-eval [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words[:1] == ["janus-eval"] and words[1] in {"run", "ask", "draw"}]


def values(words: list[str], option: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words) if word == option]


def test_every_system_has_a_page(pages: dict[str, str]) -> None:
    assert set(pages) == {*SYSTEMS, "README"}
    for system in SYSTEMS:
        assert f"({system}.md)" in pages["README"]
        assert 25 <= len(pages[system].splitlines()) <= 60
        for heading in ("## Needs", "## Printed figures and their protocols", "## Known not to match"):
            assert heading in pages[system], f"{system}.md has no {heading}"


@pytest.mark.parametrize("system", [*SYSTEMS, "README"])
def test_every_run_that_is_shown_could_begin(pages: dict[str, str], system: str) -> None:
    """Its models, their options and its tasks are there, and each model can do one of its tasks."""
    commands = shown(pages[system])
    assert commands
    for words in commands:
        models = values(words, "--model") if words[0] == "run" else [words[1]]
        models += [name.partition("=model:")[2] for name in values(words, "--instrument") if "=model:" in name]
        specs = [ModelSpec.parse(model) for model in models]
        ready = contenders(cells(specs, parse_sweep(values(words, "--sweep")), {}), {})
        suites = [task for suite in values(words, "--suite") for task in plan.load_suite(suite).tasks]
        tasks = [*values(words, "--task"), *suites]
        for task, _ in plan.choices([task for task in tasks if not task.startswith("lmms:")]):
            assert any(task.needs & contender.capabilities for contender in ready) or not ready, words


def test_printed_figures_are_those_of_the_ledger(pages: dict[str, str], repository: Path) -> None:
    """The headlines that a page's table gives for GenEval, DPG-Bench and MMBench."""
    import json

    ledger = json.loads((repository / "reports" / "published" / "published.json").read_text())
    printed = {(row["benchmark"], row["value"]) for row in ledger if row["metric"] in {"overall", "accuracy"}}
    checked = 0
    for system, text in pages.items():
        for benchmark, cell in re.findall(r"^\| (GenEval|DPG-Bench|MMBench)[^|]* \| ([\d.]+)", text, re.MULTILINE):
            assert (benchmark, float(cell)) in printed, f"{system}.md: {benchmark} {cell} is not in the ledger"
            checked += 1
    assert checked >= 20
