"""Worker processes with packages of the task's own, and whole runs and replays of such tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_wheels import make_wheel

from skylift.compute.environments import write_spec
from skylift.compute.environments.uv import find_uv
from skylift.compute.process import ProcessBackend
from skylift.ports.compute import Cancelled, CodeRef, Failed, Requirements, Succeeded, TaskCall
from skylift.ports.environments import EnvironmentSpec
from skylift.stores.files import FileBlobStore
from skylift.testing.backends import Outcomes

pytestmark = pytest.mark.skipif(find_uv() is None, reason="needs uv")

TASKS = """
import importlib.util
import os
import sys


def version():
    import tinyone

    return tinyone.VERSION


def has(name):
    return importlib.util.find_spec(name) is not None


def where():
    return [os.getpid(), sys.prefix, os.environ.get("VIRTUAL_ENV")]
"""
Make = Callable[..., tuple[ProcessBackend, Outcomes]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "apart_tasks.py").write_text(TASKS)
    made: list[ProcessBackend] = []

    def build(**options: Any) -> tuple[ProcessBackend, Outcomes]:
        outcomes = Outcomes()
        given = {"blobs": str(tmp_path / "blobs"), "environments": str(tmp_path / "environments"), "grace_ms": 300}
        made.append(ProcessBackend(outcomes, **{"workers": 2, "paths": [str(tmp_path / "code")], **given, **options}))
        return made[-1], outcomes

    yield build
    for backend in made:
        backend.close()


_count = iter(range(10**6))


def order(target: str, environment: str | None = None, **arguments: Any) -> TaskCall:
    return TaskCall(
        token=f"e{next(_count)}",
        run_id="run",
        task=target,
        label=target,
        attempt=1,
        code=CodeRef(bundle=None, target=f"apart_tasks:{target}"),
        arguments=arguments,
        requirements=Requirements(environment=environment),
    )


def ran(backend: ProcessBackend, outcomes: Outcomes, *calls: TaskCall) -> list[Any]:
    backend.submit(calls)
    found = outcomes.wait(*(call.token for call in calls), timeout=180)
    return [outcome.output if isinstance(outcome, Succeeded) else outcome for outcome in found]


def environment(tmp_path: Path, *lines: str) -> str:
    blobs = FileBlobStore(str(tmp_path / "blobs"))
    return write_spec(EnvironmentSpec(requirements=lines), blobs)


def test_two_versions_of_a_package_at_once_and_none_in_the_others(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    old, new = (environment(tmp_path, make_wheel(tmp_path / version, "tinyone", version)) for version in ("1.0", "2.0"))
    calls = [order("version", one) for one in (old, new)] + [order("has", name="tinyone")]
    assert ran(backend, outcomes, *calls) == ["1.0", "2.0", False]
    assert ran(backend, outcomes, order("has", old, name="pytest"), order("has", name="pytest")) == [False, True]


def test_a_worker_serves_its_environment_again_and_no_other(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make(workers=1)
    one = environment(tmp_path, make_wheel(tmp_path, "tinyone", "1.0"))
    [first], [again], [plain] = (ran(backend, outcomes, order("where", which)) for which in (one, one, None))
    assert first == again and first[1] == first[2] != sys.prefix
    assert plain[0] != first[0] and plain[1] == sys.prefix


def test_other_calls_go_on_while_an_environment_is_made(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    from skylift.compute import environments

    backend, outcomes = make()
    gate = threading.Event()
    build = environments.environment_python

    def slow(*args: Any, **options: Any) -> Path:
        gate.wait(90)
        return build(*args, **options)

    monkeypatch.setattr(environments, "environment_python", slow)
    waiting = order("version", environment(tmp_path, make_wheel(tmp_path, "tinyone", "1.0")))
    dropped = order("version", waiting.requirements.environment)
    backend.submit([waiting, dropped])
    assert ran(backend, outcomes, order("has", name="os")) == [True]
    assert backend.poll([waiting.token]) == {waiting.token: "queued"}
    assert backend.explain([waiting.token]) == {waiting.token: "its environment is being made"}
    backend.cancel([dropped.token])
    assert isinstance(outcomes.wait(dropped.token)[0], Cancelled)
    gate.set()
    [outcome] = outcomes.wait(waiting.token)
    assert isinstance(outcome, Succeeded) and outcome.output == "1.0"


def test_an_environment_that_cannot_be_made_fails_its_calls_with_the_reason(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    wheel = tmp_path / "absent-1.0-py3-none-any.whl"
    [failed, well] = ran(
        backend,
        outcomes,
        order("version", environment(tmp_path, f"absent @ {wheel.as_uri()}")),
        order("has", name="os"),
    )
    assert isinstance(failed, Failed) and failed.error == "Skylift.Environment"
    assert "absent" in json.loads(failed.cause)["errorMessage"] and well is True


def test_one_that_was_removed_is_made_again(make: Make, tmp_path: Path) -> None:
    import shutil

    backend, outcomes = make(workers=1)
    one = environment(tmp_path, make_wheel(tmp_path, "tinyone", "1.0"))
    assert ran(backend, outcomes, order("version", one)) == ["1.0"]
    assert ran(backend, outcomes, order("has", name="os")) == [True]  # its worker has left for this one
    shutil.rmtree(tmp_path / "environments")
    backend._preparing._sure.clear()
    assert ran(backend, outcomes, order("version", one)) == ["1.0"]


FLOW = """
from skylift import pipeline, task


@task(environment="needs.txt")
def half(number: int) -> float:
    import tinyone

    print("version", tinyone.VERSION)
    return 10 / number


@pipeline
def flow(number: int) -> float:
    return half(number)
"""


def skylift(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skylift.cli", *words]
    variables = {**os.environ, "SKYLIFT_HOME": str(folder / "home")}
    return subprocess.run(command, cwd=folder, env=variables, input=given, capture_output=True, text=True, timeout=300)


def test_a_run_and_its_replay_use_the_packages_it_began_with(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "needs.txt").write_text(make_wheel(tmp_path / "wheels", "tinyone", "1.0") + "\n")
    well = skylift(tmp_path, "run", "flow.py", "--number", "4")
    assert (well.returncode, well.stdout.strip()) == (0, "2.5"), well.stderr
    bad = skylift(tmp_path, "run", "flow.py", "--number", "0")
    assert bad.returncode == 1 and "ZeroDivisionError" in bad.stderr
    run = json.loads(skylift(tmp_path, "runs", "--json").stdout)["runs"][0]["run_id"]
    (tmp_path / "needs.txt").write_text(make_wheel(tmp_path / "wheels", "tinyone", "2.0") + "\n")
    again = skylift(tmp_path, "replay", run, "half")
    assert again.returncode == 1 and "version 1.0" in again.stdout
    trace = again.stderr.partition("Traceback")[2]
    assert trace.splitlines()[1].strip().startswith("File") and "flow.py" in trace.splitlines()[1]
    debugged = skylift(tmp_path, "replay", run, "half", "--pdb", given="p number + 41\nq\n")
    assert "41" in debugged.stdout and debugged.returncode == 1
    new = skylift(tmp_path, "run", "flow.py", "--number", "5")
    assert new.stdout.strip() == "2.0", new.stderr
    assert "version 2.0" in skylift(tmp_path, "logs", json.loads(_runs(tmp_path))["runs"][0]["run_id"]).stdout


def _runs(folder: Path) -> str:
    return skylift(folder, "runs", "--json").stdout


def test_a_mistake_is_refused_before_anything_is_submitted(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    wheel = make_wheel(tmp_path / "wheels", "tinyone", "1.0", requires=("tinytwo>=2",))
    (tmp_path / "needs.txt").write_text(f"{wheel}\n{make_wheel(tmp_path / 'wheels', 'tinytwo', '1.0')}\n")
    refused = skylift(tmp_path, "run", "flow.py", "--number", "1")
    assert refused.returncode == 2 and "error[ENVIRONMENT-INVALID]" in refused.stderr
    assert "task half, environment needs.txt (needs.txt:1" in refused.stderr and "Traceback" not in refused.stderr
    assert json.loads(_runs(tmp_path))["runs"] == []


def test_gc_says_which_environments_it_removes(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "needs.txt").write_text(make_wheel(tmp_path / "wheels", "tinyone", "1.0") + "\n")
    assert skylift(tmp_path, "run", "flow.py", "--number", "4").returncode == 0
    [mark] = (tmp_path / "home" / "environments").glob("*/skylift-environment.json")
    long_ago = time.time() - 100_000
    os.utime(mark, (long_ago, long_ago))
    assert "deleted 1 environment" in skylift(tmp_path, "gc", "--older-than", "1h").stdout
    assert not mark.exists()
    assert skylift(tmp_path, "replay", json.loads(_runs(tmp_path))["runs"][0]["run_id"], "half").stdout.endswith(
        "2.5\n"
    )
