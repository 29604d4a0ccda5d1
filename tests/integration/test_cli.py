"""The command line as a person uses it: a real process, a real journal, real workers, here or on a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_server import ApiServer

PIPELINE = '''
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from skylift import pipeline, task


@dataclass
class Sum:
    total: int
    count: int


@task
def square(number: int) -> int:
    print(f"squaring {number}")
    return number * number


@task
def add(numbers: list[int]) -> Sum:
    return Sum(total=sum(numbers), count=len(numbers))


@task
def flaky(folder: str) -> str:
    marker = Path(folder) / "mended"
    if not marker.exists():
        raise ValueError(f"not mended: {folder}")
    return "mended"


@task
def slow(seconds: float) -> str:
    print("sleeping", flush=True)
    time.sleep(seconds)
    return "slept"


@pipeline
def squares(numbers: list[int] = [1, 2, 3], name: str = "x", verbose: bool = False) -> Sum:
    """Square numbers.

    numbers: what to square
    """
    found = [square(number) for number in numbers]
    print(f"squared {len(found)} numbers")
    return add(found)


@pipeline
def fails(folder: str) -> str:
    first = square(3)
    return flaky(folder)


@task
def held(gate: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.02)


@pipeline
def sleepy(seconds: float, after: int = 4) -> int:
    slow(seconds)
    return square(after)


@pipeline
def gated(gate: str, after: int = 4) -> int:
    held(gate)
    return square(after)
'''

DOCUMENT = {
    "StartAt": "Hello",
    "States": {
        "Hello": {
            "Type": "Task",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:hello",
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flow.py").write_text(PIPELINE)
    (tmp_path / "hello.asl.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "handlers.py").write_text(
        "def hello(event, context):\n    return {'said': f\"hello {event['who']}\"}\n"
    )
    (tmp_path / "skylift.toml").write_text('[functions]\nhello = "handlers:hello"\n')
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    pytest.importorskip("uvicorn", reason="the server is an extra")
    started = ApiServer(tmp_path_factory.mktemp("server")).start()
    yield started
    started.kill()


@pytest.fixture(params=["here", "server"])
def place(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment that says where runs are. On the server each test has an account of its own."""
    if request.param == "here":
        return {}
    found: ApiServer = request.getfixturevalue("server")
    return found.environment()


@pytest.fixture
def cli(project: Path, place: dict[str, str]) -> Cli:
    return caller(project, place)


@pytest.fixture
def local(project: Path) -> Cli:
    """For what there is only here."""
    return caller(project, {})


def caller(project: Path, place: dict[str, str]) -> Cli:
    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=project,
            env=environment(**place, **options.pop("env", {})),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )

    return call


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "skylift.cli", *arguments]


def environment(**extra: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SKYLIFT_")}
    return {**kept, "COLUMNS": "100", "NO_COLOR": "1", **extra}


def start(project: Path, *arguments: str, place: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments),
        cwd=project,
        env=environment(**(place or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def await_line(process: subprocess.Popen[str], wanted: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if wanted in line:
            return
    raise AssertionError(f"{wanted!r} never came")


def newest_run(cli: Cli) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("runs", "--json").stdout)["runs"][0]
    return found


def test_run_prints_the_output_and_only_that(cli: Cli) -> None:
    done = cli("run", "flow.py:squares", "--numbers", "2", "3")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"total": 13, "count": 2}
    assert "squared 2 numbers" in done.stderr
    assert "SUCCEEDED" in done.stderr


def test_run_json_is_one_object(cli: Cli) -> None:
    done = cli("run", "flow.py:squares", "--json", "--param", "numbers=[4]", "--param", "name=Ada")
    shown = json.loads(done.stdout)
    assert shown.pop("run_id")
    assert shown == {"status": "SUCCEEDED", "output": {"total": 16, "count": 1}, "error": None, "cause": None}


def test_input_from_file_and_stdin(cli: Cli, project: Path) -> None:
    (project / "in.json").write_text('{"numbers": [5]}')
    assert json.loads(cli("run", "flow.py:squares", "--input", "@in.json").stdout)["total"] == 25
    assert json.loads(cli("run", "flow.py:squares", "--input", "-", input='{"numbers": [6]}').stdout)["total"] == 36


def test_help_shows_the_pipelines_parameters(local: Cli) -> None:
    shown = local("run", "flow.py:squares", "--help").stdout
    assert "--numbers INT..." in shown
    assert "[1, 2, 3]" in shown


def test_a_document_runs_with_functions_from_the_config(cli: Cli) -> None:
    done = cli("run", "hello.asl.json", "--input", '{"who": "Ada"}')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"said": "hello Ada"}


def test_failure_then_redrive(cli: Cli, project: Path) -> None:
    failed = cli("run", "flow.py:fails", "--folder", str(project))
    assert failed.returncode == 1
    assert "error[ValueError]: not mended" in failed.stderr
    run = newest_run(cli)
    assert run["status"] == "FAILED"
    (project / "mended").touch()
    redriven = cli("redrive", run["run_id"])
    assert redriven.returncode == 0, redriven.stderr
    assert json.loads(redriven.stdout) == "mended"
    shown = json.loads(cli("show", run["run_id"], "--json", "--attempts").stdout)
    tries = [(a["label"], a["status"]) for a in shown["attempts"]]
    assert tries == [("square", "SUCCEEDED"), ("flaky", "FAILED"), ("flaky", "SUCCEEDED")]


def test_show_logs_events(cli: Cli) -> None:
    cli("run", "flow.py:squares", "--numbers", "7", "8")
    run = newest_run(cli)["run_id"]
    shown = cli("show", run[:6])
    assert shown.returncode == 0, shown.stderr
    assert "square" in shown.stdout
    assert "SUCCEEDED" in shown.stdout
    logged = cli("logs", run).stdout
    assert "squaring 7" in logged
    assert "squaring 8" in logged
    assert "squared 2 numbers" in logged
    events = json.loads(cli("events", run, "--json").stdout)["events"]
    assert [events[0]["type"], events[-1]["type"]] == ["ExecutionStarted", "ExecutionSucceeded"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))


def test_replay_runs_the_recorded_attempt_again(cli: Cli, project: Path) -> None:
    cli("run", "flow.py:fails", "--folder", str(project))
    run = newest_run(cli)["run_id"]
    again = cli("replay", run, "square")
    assert (again.returncode, again.stdout.strip().splitlines()[-1]) == (0, "9")
    failing = cli("replay", run, "flaky")
    assert failing.returncode == 1
    assert "ValueError: not mended" in failing.stderr
    assert "flow.py" in failing.stderr


def test_replay_uses_the_code_of_the_run_not_the_edited_file(cli: Cli, project: Path) -> None:
    cli("run", "flow.py:squares", "--numbers", "3")
    run = newest_run(cli)["run_id"]
    (project / "flow.py").write_text(PIPELINE.replace("number * number", "number + 1000"))
    assert cli("replay", run, "square").stdout.strip().splitlines()[-1] == "9"


def test_stop_a_run_of_another_process(cli: Cli, project: Path, place: dict[str, str]) -> None:
    process = start(project, "run", "flow.py:sleepy", "--seconds", "600", place=place)
    await_line(process, "slow: started")
    run = newest_run(cli)["run_id"]
    stopped = cli("stop", run, "--cause", "enough")
    assert stopped.returncode == 0, stopped.stderr
    process.communicate(timeout=120)
    assert process.returncode == 1
    assert newest_run(cli)["status"] == "ABORTED"


def test_kill_9_then_resume(local: Cli, project: Path) -> None:
    gate = project / "gate"
    process = start(project, "run", "flow.py:gated", "--gate", str(gate))
    await_line(process, "held: started")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    run = newest_run(local)
    assert run["status"] == "INTERRUPTED"
    gate.touch()
    resumed = local("resume", run["run_id"])
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout) == 16
    finished = local("resume", run["run_id"])
    assert (finished.returncode, json.loads(finished.stdout)) == (0, 16)


def test_interrupt_pauses_and_resume_goes_on(cli: Cli, project: Path, place: dict[str, str]) -> None:
    gate = project / "gate"
    process = start(project, "run", "flow.py:gated", "--gate", str(gate), place=place)
    await_line(process, "held: started")
    os.kill(process.pid, signal.SIGINT)
    await_line(process, "pausing")
    until = time.monotonic() + 60
    while newest_run(cli)["status"] != "PAUSED":
        assert time.monotonic() < until, "nobody heard of the pause"
    assert place or process.poll() is None, "what runs here may end"
    gate.touch()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    run = newest_run(cli)
    assert run["status"] == "PAUSED"
    assert f"skylift resume {run['run_id']}" in said
    resumed = cli("resume", run["run_id"])
    assert (resumed.returncode, json.loads(resumed.stdout)) == (0, 16)


def test_second_interrupt_leaves_at_once(local: Cli, project: Path) -> None:
    process = start(project, "run", "flow.py:sleepy", "--seconds", "600")
    await_line(process, "slow: started")
    os.kill(process.pid, signal.SIGINT)
    await_line(process, "pausing")
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)  # the task takes ten minutes
    assert process.returncode == 130
    assert newest_run(local)["status"] in ("PAUSED", "INTERRUPTED")


def test_start_by_name_is_idempotent(cli: Cli) -> None:
    first = cli("run", "flow.py:squares", "--name", "once", "--json")
    second = cli("run", "flow.py:squares", "--name", "once", "--json")
    assert json.loads(first.stdout) == json.loads(second.stdout)
    other = cli("run", "flow.py:squares", "--name", "once", "--numbers", "9")
    assert other.returncode == 2
    assert "error[RUN-EXISTS]" in other.stderr


def test_compile_check_graph(local: Cli, project: Path) -> None:
    document = json.loads(local("compile", "flow.py:squares").stdout)
    assert document["States"]
    (project / "compiled.asl.json").write_text(json.dumps(document))
    assert local("check", "compiled.asl.json").returncode == 0
    assert local("check", "flow.py:squares").returncode == 0
    assert local("graph", "flow.py:squares", "-o", "g.svg").returncode == 0
    assert (project / "g.svg").read_text().lstrip().startswith(("<svg", "<?xml"))
    assert "square" in local("graph", "flow.py:squares").stdout


def test_check_reports_all_problems_of_a_document(local: Cli, project: Path) -> None:
    (project / "bad.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B", "Nxt": 1}}}')
    done = local("check", "bad.asl.json", "--json")
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["diagnostics"]) >= 2


def test_init_then_run(local: Cli, project: Path) -> None:
    assert local("init", "fresh").returncode == 0
    done = subprocess.run(
        command("run", "pipeline.py", "--numbers", "1", "2", "3"),
        cwd=project / "fresh", env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "14"), done.stderr
    again = local("init", "fresh")
    assert again.returncode == 2
    assert "error[EXISTS]" in again.stderr


def test_doctor(local: Cli) -> None:
    done = local("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, found
    assert found["healthy"]


def test_gc_frees_old_runs(local: Cli, project: Path) -> None:
    local("run", "flow.py:squares")
    kept = json.loads(local("gc", "--older-than", "1d", "--json").stdout)
    assert kept["runs"] == 0
    freed = json.loads(local("gc", "--older-than", "0s", "--json").stdout)
    assert freed["runs"] == 1
    assert json.loads(local("runs", "--json").stdout) == {"runs": []}


def test_run_every_starts_at_each_tick_until_interrupted(cli: Cli, project: Path, place: dict[str, str]) -> None:
    process = start(project, "run", "flow.py:squares", "--every", "1 second", "--numbers", "2", place=place)
    assert process.stderr is not None
    ended = 0
    for line in process.stderr:
        ended += "SUCCEEDED in" in line
        if ended == 2:
            break
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(json.loads(cli("runs", "--json").stdout)["runs"]) >= 2


BAD = [
    (["run", "nothing.py"], "error[TARGET]: nothing.py: no such file"),
    (["run", "flwo.py"], "did you mean flow.py?"),
    (["run", "flow.py"], "holds several pipelines"),
    (["run", "flow.py:squars"], "no pipeline named 'squars'"),
    (["run", "flow.py:squares", "--numbrs", "3"], "--numbrs"),
    (["run", "flow.py:squares", "--numbers", "three"], "three"),
    (["run", "flow.py:squares", "--param", "rate=3"], "no such parameter"),
    (["run", "flow.py:squares", "--input", "{bad"], "--input is not JSON"),
    (["run", "flow.py:squares", "--input", '{"numbers": "x"}'], "numbers"),
    (["run", "flow.py:squares", "--input", "[1]"], "must be a JSON object"),
    (["run", "flow.py:fails"], "folder"),
    (["run", "broken.asl.json"], "broken.asl.json"),
    (["run", "syntax.py"], "syntax.py:1"),
    (["run", "raises.py"], "line 1: ZeroDivisionError"),
    (["run", "refused.py"], "refused.py:6"),
    (["show", "zzzz"], "error[RUN-NOT-FOUND]"),
    (["stop", "zzzz"], "error[RUN-NOT-FOUND]"),
    (["replay", "zzzz", "x"], "error[RUN-NOT-FOUND]"),
    (["logs", "zzzz", "x"], "error[RUN-NOT-FOUND]"),
    (["run", "flow.py:squares", "--numers", "1"], "did you mean numbers?"),
    (["graph", "nothing.json"], "no such file"),
    (["rnus"], "Did you mean runs?"),
    (["run", "flow.py:squares", "--every", "sometimes"], "sometimes"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=[" ".join(line) for line, _ in BAD])
def test_bad_input_is_one_clear_screen(cli: Cli, project: Path, line: list[str], said: str) -> None:
    (project / "broken.asl.json").write_text('{"StartAt": ')
    (project / "syntax.py").write_text("def (:\n")
    (project / "raises.py").write_text("1 / 0\n")
    (project / "refused.py").write_text(
        "from skylift import pipeline\n\n\n@pipeline\ndef p(x: int) -> int:\n    return eval('x')\n"
    )
    done = cli(*line)
    shown = done.stdout + done.stderr
    assert done.returncode == 2, shown
    assert said in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) < 25


def test_damaged_journal(local: Cli, project: Path) -> None:
    local("run", "flow.py:squares")
    journal = project / ".skylift" / "journal.db"
    for extra in project.glob(".skylift/journal.db-*"):
        extra.unlink()
    journal.write_bytes(b"this is no database" * 500)
    done = local("runs")
    assert done.returncode == 2
    assert "error[JOURNAL-DAMAGED]" in done.stderr
    assert "Traceback" not in done.stderr


def test_home_that_cannot_be_written(local: Cli, project: Path) -> None:
    (project / "file").write_text("")
    done = local("run", "flow.py:squares", env={"SKYLIFT_HOME": str(project / "file" / "home")})
    assert done.returncode == 2
    assert "file" in done.stderr
    assert "Traceback" not in done.stderr
