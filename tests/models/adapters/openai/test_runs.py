"""Whole runs against a server: what is recorded, what it cost, what is asked again, and that no file has the key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet
import pytest

import janus_eval
from janus_eval.cli.app import run as command
from janus_eval.models.adapters import openai_wire as wire
from janus_eval.store import read_json

KEY = "sk-very/secret+1"
QUICK = "pause=0.01&tries=2"


def run(server: Any, out: Path, *more: str, model: str = "toy", options: str = "", task: str = "shapes-mmbench") -> int:
    spec = f"openai:{model}@{server.url}?{QUICK}{options}"
    return command(["run", "--task", task, "--limit", "2", "--model", spec, "--out", str(out), *more])


def only(out: Path) -> Path:
    [folder] = [path for path in out.iterdir() if path.is_dir()]
    return folder


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "responses.jsonl").read_bytes().splitlines()]


def test_a_run_with_its_cost_and_no_key_anywhere(
    server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def answer(path: str, body: dict[str, Any]) -> Any:
        place = len(server.asked) % 7
        if place == 0:
            return server.refusal(400, "other", f"no such thing for {server.keys[-1]}")
        return server.said(f"I was asked with {server.keys[-1]}") if place == 1 else server.said("A")

    server.answer = answer
    server.faults = [server.said("A"), server.refusal(429, "slow"), server.refusal(500, KEY)]
    prices = "&price_input=10&price_output=1000&image_tokens=85"
    assert run(server, tmp_path, options=prices) == 0
    told = capfd.readouterr()
    folder = only(tmp_path)
    asked = len(lines(folder))
    answered = [line for line in lines(folder) if "text" in line]
    usage = read_json(folder / "usage.json")
    assert usage["requests"] == len(answered) < asked
    assert (usage["input_tokens"], usage["output_tokens"]) == (100 * len(answered), 2 * len(answered))
    assert usage["cost"] == pytest.approx(len(answered) * 0.003)
    assert usage["served"] == {"toy-2026": len(answered)}
    assert f"{asked} requests, {asked} pictures shown, about " in told.err and " USD (usage.json)" in told.err
    assert read_json(folder / "run.json")["model"]["source"]["served"] == "toy-2026"
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(everything) > 8
    for content in (*everything, told.err.encode(), told.out.encode()):
        assert b"secret" not in content


def test_a_refused_prompt_is_counted_and_not_asked_again(
    server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def answer(path: str, body: dict[str, Any]) -> Any:
        refused = "circle" in body["prompt"]
        return (
            server.refusal(400, "content_policy_violation", f"No circles, {len(server.asked)}")
            if refused
            else server.drawn(server.painted(), revised_prompt="A lovely picture")
        )

    server.answer = answer
    server.faults = [server.drawn("no base64")]
    options = "&price_image=0.04&name=DALL-E 3"
    drawing: dict[str, str] = {"model": "dall-e-3", "task": "shapes-geneval", "options": options}
    assert run(server, tmp_path, **drawing) == 0
    folder = only(tmp_path)
    assert folder.name.startswith("dall-e-3-") and read_json(folder / "run.json")["model"]["name"] == "DALL-E 3"
    first = lines(folder)
    refused = [line for line in first if line.get("failure") == "refused (content_policy_violation)"]
    broken = [line for line in first if "no base64" in line.get("failure", "")]
    assert refused and len(broken) == 1 and all("No circles" in line["details"]["refusal"] for line in refused)
    drawn = [line for line in first if "image" in line]
    assert {line["details"]["revised_prompt"] for line in drawn} == {"A lovely picture"}
    usage = read_json(folder / "usage.json")
    assert (usage["images"], usage["refused"]) == (len(drawn) + 1, len(refused))
    assert usage["cost"] == pytest.approx(0.04 * (len(drawn) + 1)), "what could not be used was paid for as well"
    [protocol] = read_json(folder / "results.json")["tasks"]["shapes-geneval"].values()
    assert protocol["troubles"]["request failed: refused (content_policy_violation)"] == len(refused)
    assert "refused (content_policy_violation)" in " ".join(capfd.readouterr().out.split())

    asked = len(server.asked)
    assert run(server, tmp_path, "--retry-failed", **drawing) == 0
    assert len(server.asked) == asked + 1, "only what failed for another reason"
    assert read_json(folder / "usage.json")["images"] == len(drawn) + 2, "both tries are paid for"
    assert "prices" in usage and run(server, tmp_path, **{**drawing, "options": "&name=DALL-E 3"}) == 0
    assert read_json(folder / "usage.json")["cost"] == pytest.approx(0.04 * (len(drawn) + 2)), "prices are kept"


def test_an_estimate_asks_nothing(
    server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert run(server, tmp_path, "--estimate", options="&price_input=1000&image_tokens=100") == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "Nothing was asked: it would cost." in told and "pictures shown, about " in told and " USD." in told
    drawing: dict[str, str] = {"model": "dall-e-3", "task": "shapes-geneval"}
    assert run(server, tmp_path, "--estimate", options="&price_image=0.25", **drawing) == 0
    assert "48 requests, 48 pictures to draw, " in (told := " ".join(capfd.readouterr().out.split()))
    assert "about 12.00 USD" in told
    cells = ("--sweep", "style=vivid,natural,plain", "--estimate")
    assert run(server, tmp_path, *cells, options="&price_image=0.25", **drawing) == 0
    assert "About 36.00 USD in all." in " ".join(capfd.readouterr().out.split())
    assert run(server, tmp_path, "--estimate", **drawing) == 0
    assert "no prices given" in " ".join(capfd.readouterr().out.split())
    assert not server.asked and not list(tmp_path.iterdir())


def test_a_halted_run_goes_on_where_it_stopped(server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The key is taken back after ten requests; given again, the rest is asked, and nothing twice."""
    server.answer = lambda path, body: (
        server.said("A") if len(server.asked) < 10 else server.refusal(401, "invalid_api_key", f"not {KEY}")
    )
    assert run(server, tmp_path, options="&concurrency=1") == 2
    assert "401 Unauthorized: it takes no other key than OPENAI_API_KEY" in capfd.readouterr().err
    folder = only(tmp_path)
    assert len(lines(folder)) == 8, "the first request was the greeting"
    assert read_json(folder / "usage.json")["requests"] == 8 and not (folder / "results.json").exists()
    server.answer = lambda path, body: server.said("A")
    assert run(server, tmp_path, options="&concurrency=3") == 0, "how many come at once is no other run"
    asked = [
        body["messages"][0]["content"] for body in server.asked if isinstance(body["messages"][0]["content"], list)
    ]
    assert len(asked) == len(lines(folder)) + 1, "only the one that was refused comes twice"
    assert not any("failure" in line for line in lines(folder))


def test_another_model_under_the_same_name_is_another_run(server: Any, tmp_path: Path) -> None:
    assert run(server, tmp_path) == 0
    server.answer = lambda path, body: {**server.said("A"), "model": "toy-2027"}
    assert run(server, tmp_path) == 2


def test_a_server_that_can_not_be_used_is_told_before_anything_is_written(
    server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = [server.refusal(400, "unsupported_parameter", "Use max_completion_tokens instead.")]
    assert run(server, tmp_path) == 2
    assert "Use max_completion_tokens instead." in capfd.readouterr().err
    assert run(server, tmp_path, model="dall-e-3") == 2
    assert "can do none of these tasks (it can draw)" in capfd.readouterr().err
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert command(["run", "--task", "shapes-mmbench", "--model", "openai:gpt-4o", "--out", str(tmp_path)]) == 2
    assert "OPENAI_API_KEY is not set" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_it_can_be_asked_and_can_judge(server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(server.painted())
    assert command(["ask", f"openai:toy@{server.url}", str(picture), "What is it?"]) == 0
    assert capfd.readouterr().out.strip() == "A"
    server.faults = [server.refusal(401, "")]
    assert command(["ask", f"openai:toy@{server.url}", str(picture), "What is it?"]) == 2
    assert command(["draw", f"openai:dall-e-3@{server.url}", "a cat", "-o", str(tmp_path / "cat.png")]) == 0
    server.answer = lambda path, body: server.said("Yes.") if len(server.asked) < 9 else server.refusal(401, "")
    out = tmp_path / "runs"
    judged = ["--task", "shapes-dpg", "--limit", "1", "--model", "oracle", "--instrument"]
    assert command(["run", *judged, f"visual_qa=model:openai:toy@{server.url}?concurrency=1", "--out", str(out)]) == 2
    assert "401" in capfd.readouterr().err, "a judge that is refused halts the run as well"


def test_from_python(server: Any, tmp_path: Path) -> None:
    done = janus_eval.evaluate(
        f"openai:toy@{server.url}", ["shapes-mmbench"], limit=1, out=tmp_path, settings={"name": "Toy 1"}
    )
    assert done.results["model"]["name"] == "Toy 1"
    assert not {"name", "key_env", "concurrency", "price_input"} & done.results["model"]["settings"].keys()


def test_ctrl_c_keeps_what_was_answered(server: Any, tmp_path: Path) -> None:
    server.delay = 0.02
    spec = f"openai:toy@{server.url}?concurrency=4"
    process = subprocess.Popen(
        [sys.executable, "-m", "janus_eval", "run", "--task", "shapes-mmbench", "--model", spec, "--out", "runs",
         "--batch-size", "10000"],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while len(server.asked) < 40 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    kept = len(lines(only(tmp_path / "runs")))
    # All in one batch: nothing of it would be there. The greeting and what was under way are missing.
    assert len(server.asked) - 1 - 8 <= kept < len(server.asked) < 200
    assert read_json(only(tmp_path / "runs") / "usage.json")["requests"] == kept


def test_the_prompt_as_the_server_rewrote_it_is_exported(server: Any, tmp_path: Path) -> None:
    assert run(server, tmp_path / "runs", model="dall-e-3", task="shapes-geneval") == 0
    file = tmp_path / "run.parquet"
    assert command(["export", str(only(tmp_path / "runs")), "--format", "parquet", "--out", str(file)]) == 0
    rows = pyarrow.parquet.read_table(file).to_pylist()
    assert rows and all(json.loads(row["details"])["revised_prompt"] == f"Fine {row['prompt']}" for row in rows)


def test_an_estimate_does_not_ask_a_judge_that_costs(server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    judge = f"visual_qa=model:openai:toy@{server.url}"
    asked = ["run", "--task", "shapes-dpg", "--limit", "1", "--model", "oracle", "--instrument", judge, "--estimate"]
    assert command(asked) == 0
    assert "looks: counted, not timed." in " ".join(capfd.readouterr().out.split())
    assert not server.asked, "not even which model it is"


def test_counts_without_end_and_one_reply_that_breaks_the_reader_touch_no_other_request(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it raised, the batch would be asked, and paid for, once more."""
    whole = wire.read_answer

    def read(answer: Any) -> Any:
        if answer["choices"][0]["message"]["content"] == "break":
            raise ZeroDivisionError("a defect of ours")
        return whole(answer)

    monkeypatch.setattr(wire, "read_answer", read)
    odd = {"usage": {"prompt_tokens": 10**400, "completion_tokens": 2}}
    replies = [server.said("yes"), {**server.said("A"), **odd}, server.said("break")]
    server.answer = lambda path, body: replies.pop(0) if replies else server.said("A")
    assert run(server, tmp_path, options="&price_input=1&price_output=1&concurrency=1") == 0
    [failed] = [line for line in lines(only(tmp_path)) if "failure" in line]
    assert failed["failure"] == "ZeroDivisionError: a defect of ours"
    assert len(server.asked) == 1 + len(lines(only(tmp_path)))


def test_a_key_in_quoted_forms_is_in_no_file(server: Any, tmp_path: Path) -> None:
    forms = [json.dumps({"key": KEY}).replace("/", "\\/"), f"http://h?key={quote(KEY, safe='')}"]
    server.answer = lambda path, body: server.said(" ".join(forms))
    assert run(server, tmp_path) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


def test_answers_that_no_text_file_can_hold_are_exported_and_names_can_not_command_a_terminal(
    server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda path, body: server.said("\ud800 A")
    assert run(server, tmp_path, options="&name=%1B[31mred") == 0
    told = capfd.readouterr()
    assert "\x1b" not in told.err + told.out and "\\x1b[31mred: " in told.err
    for name in ("a.tsv", "a.xlsx"):
        assert command(["export", str(only(tmp_path)), "--format", "mmbench", "--out", str(tmp_path / name)]) == 0
