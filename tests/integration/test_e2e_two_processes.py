"""Two processes on one project, and processes that are told to leave."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

PIPELINES = """
import time
from pathlib import Path
from skylift import pipeline, task


@task
def step(number: int) -> int:
    deadline = time.monotonic() + 300
    while number == 1 and not Path("go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return number


@pipeline
def chain() -> list[int]:
    found = []
    for number in range(3):
        found.append(step(number))
    return found
"""


@pytest.fixture
def project(folder: Any) -> Any:
    folder.write("chain.py", PIPELINES)
    return folder


def run_in_second_step(project: Any) -> str:
    """The id of the newest run, once its second step is under way."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = json.loads(project.call("runs", "--json").stdout)["runs"]
        if runs:
            shown = json.loads(project.call("show", runs[0]["run_id"], "--json").stdout)
            if any(step["name"] == "step" and step["entered"] == 2 for step in shown["steps"]):
                return str(runs[0]["run_id"])
        time.sleep(0.05)
    raise AssertionError("the second step never began")


def test_whoever_waits_takes_over_when_the_driver_dies(project: Any) -> None:
    driver = project.start("run", "chain.py:chain")
    run_id = run_in_second_step(project)
    attached = project.start("resume", run_id)
    following = project.start("logs", "-f", run_id)
    time.sleep(0.5)
    driver.kill()
    driver.communicate()
    project.write("go", "")
    out, err = attached.communicate(timeout=120)
    assert attached.returncode == 0, err
    assert json.loads(out) == [0, 1, 2]
    following.communicate(timeout=120)


def test_sigterm_leaves_at_once_and_says_how_to_go_on(project: Any) -> None:
    driver = project.start("run", "chain.py:chain")
    run_id = run_in_second_step(project)
    driver.send_signal(signal.SIGTERM)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 143
    assert f"skylift resume {run_id}" in err
    project.write("go", "")
    assert json.loads(project.call("resume", run_id).stdout) == [0, 1, 2]


def test_closed_standard_streams_are_no_bug(project: Any) -> None:
    project.write("go", "")
    script = (
        'import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, "-m", "skylift.cli", *sys.argv[1:]])'
    )
    done = project.python("-c", script, "run", "chain.py:chain")
    assert done.returncode == 0
    assert json.loads(done.stdout) == [0, 1, 2]


def test_following_the_log_of_a_run_ends_when_nobody_goes_on_with_it(project: Any) -> None:
    driver = project.start("run", "chain.py:chain")
    run_id = run_in_second_step(project)
    following = project.start("logs", "-f", run_id)
    driver.kill()
    driver.communicate()
    following.communicate(timeout=120)
    assert following.returncode == 0
