"""A run in the hands of Python code, here or on a server: result, handle, logs, events, async forms, a picture."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from remote_server import ApiServer

from skylift import RunFailed
from skylift.errors import RunAlreadyExists
from skylift.sdk import handles
from skylift.sdk.handles import find_run

PIPELINES = """
import os, time
from dataclasses import dataclass
from skylift import approve, pipeline, task

@dataclass
class Model:
    accuracy: float
    rounds: int = 0

@task
def train(rate: float) -> Model:
    print(f"training at {rate}")
    return Model(rate * 2, 1)

@task
def nap(seconds: float, mark: str) -> str:
    with open(mark + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(mark + ".part", mark)
    time.sleep(seconds)
    return "slept"

@task
def unsteady(mark: str) -> str:
    if not os.path.exists(mark):
        raise LookupError("not there yet")
    return "there"

@pipeline
def best(rates: list[float]) -> Model:
    models = [train(rate) for rate in rates]
    chosen = max(models, key=lambda model: model.accuracy)
    print(f"chose {chosen.rounds}")
    return chosen

@pipeline
def sleeping(mark: str) -> str:
    return nap(600, mark)

@pipeline
def steady(mark: str) -> str:
    return unsteady(mark)

@pipeline
def asking(x: int) -> str:
    answer: str = approve("go on?")
    return f"{answer}{x}"
"""


@pytest.fixture(scope="module", params=["here", "server"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that says where runs are."""
    if request.param == "here":
        yield {}
        return
    pytest.importorskip("uvicorn", reason="the server is an extra")
    server = ApiServer(tmp_path_factory.mktemp("server")).start()
    yield server.environment()
    server.kill()


@pytest.fixture(scope="module")
def flows(place: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A project of a user, and this process working in it."""
    project = tmp_path_factory.mktemp("project")
    (project / "handled_flows.py").write_text(textwrap.dedent(PIPELINES))
    (project / "skylift.toml").write_text("[skylift]\nworkers = 2\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.delenv("SKYLIFT_HOME", raising=False)
        for name, value in place.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(project))
        patch.setattr(handles, "_default", None)
        yield importlib.import_module("handled_flows")
        if handles._default is not None:
            handles._default[1].close()
        sys.modules.pop("handled_flows", None)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_run_gives_the_result_as_its_class(flows: ModuleType) -> None:
    assert flows.best.run([0.1, 0.3]) == flows.best([0.1, 0.3]) == flows.Model(0.6, 1)


def test_a_handle_shows_status_events_logs_and_result(flows: ModuleType) -> None:
    run = flows.best.start(rates=[0.1, 0.3])
    assert run.wait(timeout=120) == run.status == "SUCCEEDED"
    assert run.result() == flows.Model(0.6, 1)
    kinds = [event.type for event in run.events()]
    assert (kinds[0], kinds[-1]) == ("ExecutionStarted", "ExecutionSucceeded")
    assert kinds.count("TaskSucceeded") == 2
    logged = {line.text for line in run.logs()}
    assert {"training at 0.1", "training at 0.3", "chose 1"} <= logged
    assert [step.name for step in run.view().steps]
    assert repr(run) == f"<Run {run.id} SUCCEEDED>"
    assert "<svg" in run._repr_html_()
    assert find_run(run.id).result() == flows.Model(0.6, 1)


def test_a_failure_is_an_exception_with_class_and_message(flows: ModuleType, tmp_path: Path) -> None:
    run = flows.steady.start(str(tmp_path / "mark"))
    with pytest.raises(RunFailed) as failed:
        run.result(timeout=120)
    assert failed.value.error == "LookupError"
    cause = json.loads(str(failed.value.cause))
    assert (cause["errorType"], cause["errorMessage"]) == ("LookupError", "not there yet")
    assert "in unsteady" in cause["stackTrace"][0]
    assert "not there yet" in run._repr_html_()
    (tmp_path / "mark").touch()
    run.redrive()
    assert run.result(timeout=120) == "there"


def test_a_run_goes_on_with_the_code_it_was_started_with(flows: ModuleType, tmp_path: Path) -> None:
    """Also with fresh workers, after the file was edited."""
    file = Path(str(flows.__file__))
    text = file.read_text()
    mark = tmp_path / "mark"
    run = flows.steady.start(str(mark))
    assert run.wait(timeout=120) == "FAILED"
    mark.touch()
    assert handles._default is not None
    handles._default[1].close()
    try:
        file.write_text(text.replace('return "there"', 'return "edited"'))
        again = find_run(run.id)
        again.redrive()
        assert again.result(timeout=120) == "there"
    finally:
        file.write_text(text)


def test_cancel_reaches_the_worker(flows: ModuleType, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    run = flows.sleeping.start(str(mark))
    with pytest.raises(TimeoutError):
        run.wait(timeout=0.01)
    until(mark.exists)
    worker = int(mark.read_text())
    run.cancel("enough")
    assert run.wait(timeout=90) == "ABORTED"
    until(lambda: _has_ended(worker))
    with pytest.raises(RunFailed, match="enough"):
        run.result()


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_pause_resume_and_answer(flows: ModuleType) -> None:
    run = flows.asking.start(7)
    run.pause()
    assert run.status == "PAUSED"
    run.resume()
    run.answer("yes")
    assert run.result(timeout=120) == "yes7"


def test_the_same_name_is_the_same_run(flows: ModuleType) -> None:
    first = flows.best.named("monday").start([0.2])
    again = flows.best.named("monday").start([0.2])
    assert first.id == again.id
    assert first.result(timeout=120) == flows.best.named("monday").run([0.2]) == flows.Model(0.4, 1)
    assert flows.best.start([0.2]).id != first.id
    with pytest.raises(RunAlreadyExists, match="monday"):
        flows.best.named("monday").start([0.3])


def test_async_forms(flows: ModuleType) -> None:
    async def both() -> list[Any]:
        run = await flows.best.start_async([0.1])
        return list(await asyncio.gather(flows.best.run_async([0.2]), run.result_async(120)))

    assert asyncio.run(both()) == [flows.Model(0.4, 1), flows.Model(0.2, 1)]
