"""The log of a run: its own tasks and prints, and those of the pipelines it called."""

from __future__ import annotations

from pathlib import Path

from skylift.compute.worker.log_lines import stamp
from skylift.engine.names import child_run_id, global_token
from skylift.engine.views import Attempt, RunView
from skylift.run_logs import RunLog

NESTED = "arn:aws:states:::states:startExecution.sync:2"
TASK = "arn:aws:states:::skylift:train"
CHILD = child_run_id(global_token("r1", "5-1"))


def attempt(token: str, label: str, resource: str = TASK, number: int = 1) -> Attempt:
    return Attempt(
        token=token, label=label, state=label, number=number, resource=resource, arguments={}, scheduled_ms=0
    )


def view(*attempts: Attempt, prints: tuple[tuple[int, str], ...] = ()) -> RunView:
    return RunView(status="RUNNING", started_ms=0, steps=[], attempts=list(attempts), pending=[], prints=list(prints))


def write(folder: Path, run_id: str, token: str, text: str) -> None:
    (folder / run_id).mkdir(exist_ok=True)
    with (folder / run_id / f"{token}.log").open("ab") as file:
        file.write(stamp("stdout") + text.encode())


def test_called_pipelines_stand_below_the_step_that_called_them(tmp_path: Path) -> None:
    runs = {
        "r1": view(attempt("1-1", "load"), attempt("5-1", "trial[0]", NESTED), prints=((1, "begun"),)),
        CHILD: view(attempt("2-1", "train"), prints=((2, "left out"),)),
    }
    write(tmp_path, "r1", "1-1", "loading\n")
    write(tmp_path, CHILD, "2-1", "training\n")

    def read(step: str | None = None) -> list[tuple[str, str]]:
        return [(line.label, line.text) for line in RunLog("r1", tmp_path, runs.get).read(step)]

    everything = [
        ("load", "loading"),
        ("print", "begun"),
        ("trial[0]/print", "left out"),
        ("trial[0]/train", "training"),
    ]
    assert sorted(read()) == everything
    assert read("load") == [("load", "loading")]
    assert read("train") == [("trial[0]/train", "training")]
    assert sorted(read("trial[0]")) == [("trial[0]/print", "left out"), ("trial[0]/train", "training")]


def test_names_of_attempts(tmp_path: Path) -> None:
    runs = {
        "r1": view(attempt("1-1", "load"), attempt("5-1", "trial[0]", NESTED)),
        CHILD: view(attempt("2-1", "train")),
    }
    first = [names[0] for names in RunLog("r1", tmp_path, runs.get).names()]
    assert first == ["load", "trial[0]", "trial[0]/train"]


def test_a_second_look_gives_what_is_new(tmp_path: Path) -> None:
    runs = {"r1": view(attempt("1-1", "load"))}
    log = RunLog("r1", tmp_path, runs.get)
    assert log.read() == []
    write(tmp_path, "r1", "1-1", "one\n")
    assert [line.text for line in log.read()] == ["one"]
    write(tmp_path, "r1", "1-1", "two\n")
    assert [line.text for line in log.read()] == ["two"]
    assert log.read() == []


def test_a_run_that_is_gone_has_no_lines(tmp_path: Path) -> None:
    assert RunLog("r1", tmp_path, lambda run_id: None).read() == []
