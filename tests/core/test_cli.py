"""The command line, in this process where that is enough."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from janus_eval.cli import app
from janus_eval.store import read_json
from janus_eval.types import Failure

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """Run it; the exit code must be ``code`` and standard error end in one line that starts as all do."""
    assert app.run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.splitlines()[-1]
    assert line.startswith("janus-eval: error: ")
    assert "Traceback" not in captured.err
    return line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rnu", "No such command 'rnu'"),
        ("run --what", "No such option: --what"),
        ("run --model toyy --suite toys", "unknown model 'toyy'; did you mean 'toy'"),
        ("run --model toy --task toy-aks", "unknown task 'toy-aks'; did you mean 'toy-ask'"),
        ("run --model toy --task toy-ask/plan", "has no protocol 'plan'; did you mean 'plain'"),
        ("run --model toy?skil=1 --suite toys", "has no option 'skil'; did you mean 'skill'"),
        ("run --suite toys --set skil=1", "--set skil: no model here has this option"),
        ("run --suite toys --set skill", "--set: 'skill' is no option; expected KEY=VALUE"),
        ("run --suite toy", "unknown suite 'toy'; did you mean 'toys'"),
        ("run --suite toys --task toy-ask", "not both"),
        ("run --suite toys --without toy", "--without toy: it is none of toy-"),
        ("run --task toy-ask --without toy-ask", "--without leaves no task"),
        ("run --suite toys --out file.png", "--out file.png is a file"),
        ("run --suite toys --limit 0", "limit 0"),
        ("run --suite toys --batch-size 0", "batch size 0"),
        ("run --suite toys --seed -3", "seed -3; 0 to 2**63 - 1 expected"),
        (f"run --suite toys --seed {2**63}", f"seed {2**63}; 0 to"),
        ("run --suite toys --seed one", "Invalid value for '--seed'"),
        ("run --suite toys --dtype float", "unknown dtype 'float'"),
        ("score nowhere --protocol plain", "nowhere is not a run folder"),
        ("score", "Missing"),
        ("ask toy absent.png what", "absent.png: No such file or directory"),
        ("ask toy text.txt what", "text.txt: not an image"),
        ("ask mute file.png what", "model 'mute' cannot answer (it can nothing)"),
        ("ask toy?broken=what file.png what", "model 'toy' failed: KeyError: 'cannot do what'"),
        ("draw toy red -o red.jpg", "expected the path of a .png file"),
        ("draw toy red -o no/red.png", "there is no folder"),
        ("draw toy?skill=1 nocolour -o red.png", "failed: ValueError: unknown color specifier"),
        ("list modles", "unknown kind 'modles'; did you mean 'models'"),
        ("list --plugin", "--plugin takes a Python file or a module"),
        ("list --plugin=absent.py", "--plugin absent.py: no such file"),
    ],
)
def test_every_mistake_is_one_line(
    toys: ModuleType, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (4, 4)).save("file.png")
    Path("text.txt").write_text("no image")
    assert message in error_of(line.split(), capsys)


def test_run_prints_its_table_and_the_page(toys: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["run", "--suite", "toys", "--out", "runs"]) == 0
    captured = capsys.readouterr()
    assert "0.73" in captured.out and "toy" in captured.out
    assert captured.out.splitlines()[-1] == "runs/report.html" and Path("runs/report.html").is_file()
    assert all(len(line) <= 80 for line in captured.out.splitlines())
    assert "toy toy-ask questions: 48/48" in captured.err


def test_a_run_without_any_number_is_incomplete(toys: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["run", "--task", "toy-ask", "--model", "toy?broken=picture", "--out", "runs"]) == 3


def test_score_without_the_model(
    toys: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app.run(["run", "--suite", "toys", "--out", "runs"]) == 0
    monkeypatch.delattr(toys.ToyFamily, "load")
    monkeypatch.delattr(toys.ToyAsk, "samples")
    capsys.readouterr()
    assert app.run(["score", "runs/toy", "--protocol", "contrary"]) == 0
    assert capsys.readouterr().out.startswith("toy-ask/contrary: 0.271 (")
    assert app.run(["score", "runs/toy", "--protocol", "toy-draw/two-eyes"]) == 0
    assert "toy-draw/two-eyes: 1.000 (" in capsys.readouterr().out
    assert "was not asked what toy-ask/shouted asks" in error_of(["score", "runs/toy", "--protocol", "shouted"], capsys)
    assert "no task of runs/toy has a protocol 'shuted'; did you mean 'shouted'" in error_of(
        ["score", "runs/toy", "--protocol", "shuted"], capsys
    )
    again = Path("runs/toy/results.json").read_bytes()
    assert app.run(["score", "runs/toy", "--protocol", "contrary"]) == 0
    assert Path("runs/toy/results.json").read_bytes() == again


def test_score_lets_an_instrument_look_again_where_it_failed(
    toys: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dark:
        dark.setattr(toys.Eye, "see", lambda self, look: Failure("too dark"))
        assert app.run(["run", "--task", "toy-draw/one-eye", "--model", "toy?skill=1", "--out", "runs"]) == 3
    (folder,) = Path("runs").glob("toy-*")
    capsys.readouterr()
    assert app.run(["score", str(folder), "--protocol", "one-eye"]) == 0
    assert "no number, 12 failed" in capsys.readouterr().out
    assert app.run(["score", str(folder), "--protocol", "one-eye", "--retry-failed"]) == 0
    assert capsys.readouterr().out.startswith("toy-draw/one-eye: 1.000 (")


def test_ask_and_draw(toys: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["draw", "toy", "red", "-o", "red.png", "--set", "skill=1"]) == 0
    assert capsys.readouterr().out == "red.png\n"
    with Image.open("red.png") as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    assert app.run(["ask", "toy?skill=0", "red.png", "Is it red?"]) == 0
    assert capsys.readouterr().out == "no\n"


@pytest.mark.parametrize("kind", ["", "models", "tasks", "protocols", "instruments", "suites", "commands", "published"])
def test_list(toys: ModuleType, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["list", *kind.split()]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert kind == "published" or "toy" in out or "eye" in out


def test_doctor(toys: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"torch +\d", out) and "free_disk_gib" in out
    assert "instrument eye: self-test passed (nothing to compare)" in out

    def dim(self: object) -> str:
        raise ValueError("the lamp is off")

    monkeypatch.setattr(toys.Eye, "self_test", dim)
    assert app.run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "! instrument 'eye' fails its self-test: ValueError: the lamp is off" in out
    assert "instruments        " in out, "the others are still told"


def test_commands_of_plugins(toys: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "toy-command" in out and "A command of the toys." in out and "doctor" in out
    assert app.run(["toy-command", "--times", "2"]) == 0
    assert capsys.readouterr().out == "hello hello \n"
    assert app.run(["toy-command", "--help"]) == 0
    assert "Say hello." in capsys.readouterr().out


def test_version_and_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--version"]) == 0
    assert re.fullmatch(r"janus-eval \d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert app.run([]) == 0
    assert "Usage: janus-eval" in capsys.readouterr().out


def test_a_defect_shows_its_traceback(
    toys: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toys, "command", lambda: 1 / 0)
    assert app.run(["toy-command"]) == 2
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err and err.splitlines()[-1].startswith(
        "janus-eval: error: unexpected ZeroDivisionError"
    )


def test_broken_plugin_warns_in_one_line(capsys: pytest.CaptureFixture[str], toys: ModuleType) -> None:
    from janus_eval import plugins

    plugins.registry().problems.append("plugin x (y:z) fails to import: ImportError: no y")
    assert app.run(["list"]) == 0
    assert capsys.readouterr().err == "janus-eval: warning: plugin x (y:z) fails to import: ImportError: no y\n"


@pytest.mark.parametrize("arguments", ["--help", "--version", "run --help", "list", "rnu"])
def test_starting_imports_nothing_heavy(arguments: str) -> None:
    heavy = ["torch", "transformers", "numpy", "pandas", "PIL"]
    if arguments in {"--help", "--version"}:
        heavy.append("pydantic")  # typer itself may import it to parse a command's options
    script = (
        "import sys; from janus_eval.cli import app; app.run(sys.argv[2:]);"
        "print('loaded:', *(module for module in sys.argv[1].split(',') if module in sys.modules))"
    )
    command = [sys.executable, "-c", script, ",".join(heavy), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_plugin_option_may_stand_anywhere(command: Start) -> None:
    out, err = command("list", "models").communicate(timeout=60)
    assert "toy" in out, err
    out, err = command("--help").communicate(timeout=60)
    assert "toy-command" in out, err


def test_a_suite_without_one_of_its_tasks(toys: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["run", "--suite", "toys", "--without", "toy-draw", "--out", "runs"]) == 0
    assert "toy-draw" not in capsys.readouterr().out
    assert list(read_json(Path("runs/toy/results.json"))["tasks"]) == ["toy-ask"]


def test_list_says_what_a_model_is_and_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["list", "models"]) == 0
    assert "answers A, draws nothing: the floor; can answer, draw" in " ".join(capsys.readouterr().out.split())
