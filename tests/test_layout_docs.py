"""The docs are true: links lead somewhere, commands exist with the options shown, every page can be reached."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
import typer

FENCE = re.compile(r"^ *```+(?P<language>\w*)[^\n]*\n(?P<body>.*?)^ *```+ *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
SHELL = {"sh", "bash", "console", "shell"}


class Place(NamedTuple):
    """Something a page says, and where."""

    page: PurePosixPath
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(line.lstrip("#")) for line in FENCE.sub("", text).splitlines() if line.startswith("#")}


def links(text: str) -> list[str]:
    """Targets of all links outside code that lead to files."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    found = [match["target"] for match in LINK.finditer(prose)]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def shell_lines(text: str) -> Iterator[str]:
    """Command lines of the shell blocks; in a console block only those after a prompt, the rest is output."""
    for match in FENCE.finditer(text):
        if match["language"] not in SHELL:
            continue
        for line in re.sub(r"\\\n\s*", " ", match["body"]).splitlines():
            stripped = line.strip()
            if stripped.startswith("$ "):
                yield stripped.removeprefix("$ ")
            elif match["language"] != "console":
                yield stripped


def commands(text: str) -> Iterator[list[str]]:
    """Arguments of every call of ``janus-eval``, in shell blocks and in inline code."""
    inline = [match[1] for match in re.finditer(r"`([^`\n]+)`", FENCE.sub("", text))]
    for line in [*shell_lines(text), *inline]:
        for part in re.split(r"&&|\|\|?|;", line):
            words = shlex.split(part, comments=True) if "janus-eval" in part else []
            if words[:1] == ["janus-eval"] and len(words) > 1:
                yield [word for word in words[1:] if word != "..."]


def complaint(arguments: list[str]) -> str | None:
    """What the command line would refuse in these arguments, without running anything."""
    from janus_eval.cli.app import _app  # the real one, with every command that plugins bring

    if "--plugin" in arguments:  # read before everything else, anywhere in the line
        place = arguments.index("--plugin")
        arguments = arguments[:place] + arguments[place + 2 :]
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name is None:
        return None if set(arguments) <= {"--help", "--version"} else f"unknown option in {arguments}"
    group = typer.main.get_command(_app(name))
    known = getattr(group, "commands", {})
    if name not in known:
        return f"no command {name!r}"
    rest = arguments[arguments.index(name) + 1 :]
    if not rest or "--help" in rest:  # the bare name of a command, as prose mentions it
        return None
    try:
        known[name].make_context(name, rest)
    except Exception as error:  # noqa: BLE001 - click's usage errors, whichever click typer brings
        return str(error.format_message()) if hasattr(error, "format_message") else repr(error)
    return None


@pytest.fixture(scope="module")
def pages(repository: Path, kept_files: list[PurePosixPath]) -> dict[PurePosixPath, str]:
    """All Markdown but that of test data, which is its makers'."""
    found = [name for name in kept_files if name.suffix == ".md" and name.parts[:2] != ("tests", "data")]
    return {name: (repository / name).read_text() for name in found}


def test_every_link_leads_somewhere(repository: Path, pages: dict[PurePosixPath, str]) -> None:
    faults = []
    for page, text in pages.items():
        for target in links(text):
            path, _, anchor = target.partition("#")
            there = repository / page if not path else repository / page.parent / path
            if not there.exists():
                faults.append(f"{Place(page, target)} does not exist")
            elif anchor and anchor not in anchors(there.read_text()):
                faults.append(f"{Place(page, target)}: no such heading")
    assert not faults, "\n".join(faults)


def test_every_page_can_be_reached_from_the_readme(repository: Path, pages: dict[PurePosixPath, str]) -> None:
    reached, waiting = set(), [PurePosixPath("README.md")]
    while waiting:
        page = waiting.pop()
        if page in reached or page not in pages:
            continue
        reached.add(page)
        for target in links(pages[page]):
            resolved = (repository / page.parent / target.partition("#")[0]).resolve()
            if resolved.is_relative_to(repository):
                waiting.append(PurePosixPath(resolved.relative_to(repository)))
    assert set(pages) == reached, f"no way from README.md to {sorted(map(str, set(pages) - reached))}"


def test_every_command_in_the_docs_is_accepted(pages: dict[PurePosixPath, str]) -> None:
    shown = [Place(page, shlex.join(words)) for page, text in pages.items() for words in commands(text)]
    assert len(shown) >= 5, "the docs show hardly any command: does this test still find them?"
    faults = [f"{place}: {said}" for place in shown if (said := complaint(shlex.split(place.text)))]
    assert not faults, "\n".join(faults)


def test_python_in_the_docs_is_python(pages: dict[PurePosixPath, str]) -> None:
    for page, text in pages.items():
        for match in FENCE.finditer(text):
            if match["language"] in {"python", "py"}:
                ast.parse(match["body"], filename=str(page))


def test_the_readmes_python_runs(repository: Path, tmp_path: Path) -> None:
    readme = (repository / "README.md").read_text()
    code = [match["body"] for match in FENCE.finditer(readme) if match["language"] == "python"]
    assert code
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "'value': " in ran.stdout


def test_pages_that_code_refers_to_exist(repository: Path, kept_files: list[PurePosixPath]) -> None:
    faults = [
        str(Place(name, page))
        for name in kept_files
        if name.suffix == ".py" and name.parts[0] != "tests"
        for page in re.findall(r"docs/[\w/-]+\.md", (repository / name).read_text())
        if not (repository / page).is_file()
    ]
    assert not faults, "\n".join(faults)


def test_the_changelog_knows_the_version(repository: Path) -> None:
    version = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_readme_shows_the_two_commands(repository: Path) -> None:
    lines = list(shell_lines((repository / "README.md").read_text()))
    assert "pip install -e . && janus-eval run" in lines
    assert "pip install tox && tox" in lines
    assert "pip install tox && tox" in (repository / ".ci" / "run").read_text()


def test_commands_are_found_and_judged() -> None:
    text = """
    Say `janus-eval list models` or `janus-eval frobnicate`, never `pip`.

    ```console
    $ janus-eval run --suite shapes \\
        --no-such-option 1 | tee log   # janus-eval never
    janus-eval: this is output
    ```
    """
    found = list(commands(text.replace("\n    ", "\n")))
    assert found == [["run", "--suite", "shapes", "--no-such-option", "1"], ["list", "models"], ["frobnicate"]]
    assert complaint(["frobnicate"]) == "no command 'frobnicate'"
    assert "--no-such-option" in str(complaint(found[0]))
    assert complaint(["run", "--suite", "shapes"]) is None
    assert "RUN" in str(complaint(["score", "--protocol", "circular"]))
    assert complaint(["run", "--plugin", "FILE.py", "--limit", "2"]) is None


def test_links_and_anchors_are_found() -> None:
    text = "# A `b` c\n[x](y.md#a-b-c) [w](https://example.org) `[not](this)`\n```sh\n# [nor](that)\n```\n"
    assert links(text) == ["y.md#a-b-c"]
    assert anchors(text) == {"a-b-c"}
