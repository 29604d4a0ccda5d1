"""An engine killed with SIGKILL at random instants, and started again until its run is done."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from skylift.asl.events import TaskSucceeded
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.stores.sqlite import SqliteJournal

KILLS = 50
ROUNDS = 16
SKYLIFT = "arn:aws:states:::skylift:"

TASKS = """
import os, time

def mark(home, step, token):
    handle = os.open(os.path.join(home, "marks"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{time.time_ns()} {step} {token}\\n".encode())
    os.close(handle)

def work(home, step, token, value):
    mark(home, step, token)
    time.sleep(0.05)
    return value + 1
"""


def task(step: str, value: str) -> dict[str, object]:
    arguments = {
        "home": "{% $home %}",
        "step": step,
        "token": "{% $states.context.Task.Token %}",
        "value": value,
    }
    return {"Type": "Task", "Resource": SKYLIFT + "work", "Arguments": arguments}


def document() -> bytes:
    """A loop of steps, a map, a wait, two branches: about 240 attempts."""
    inner = {
        **task("{% 'item-' & $string($states.input.i) & '-' & $string($states.input.round) %}", "{% 1 %}"),
        "End": True,
    }
    inner["Arguments"]["home"] = "{% $states.input.home %}"  # type: ignore[index]
    items = "{% [1..12].{'i': $, 'round': $round, 'home': $home} %}"
    branch = {**task("{% 'left-' & $string($round) %}", "{% $sum %}"), "End": True}
    other = {**task("{% 'right-' & $string($round) %}", "{% $sum %}"), "End": True}
    states = {
        "Begin": {
            "Type": "Pass",
            "Assign": {"home": "{% $states.input.home %}", "round": 0, "sum": 0},
            "Next": "Again",
        },
        "Again": {
            "Type": "Choice",
            "Choices": [{"Condition": f"{{% $round < {ROUNDS} %}}", "Next": "Step"}],
            "Default": "Done",
        },
        "Step": {
            **task("{% 'step-' & $string($round) %}", "{% $sum %}"),
            "Assign": {"sum": "{% $states.result %}"},
            "Next": "Items",
        },
        "Items": {
            "Type": "Map",
            "Items": items,
            "ItemProcessor": {"StartAt": "Item", "States": {"Item": inner}},
            "Assign": {"sum": "{% $sum + $sum($states.result) %}"},
            "Next": "Rest",
        },
        "Rest": {"Type": "Wait", "Seconds": 0, "Next": "Both"},
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Left", "States": {"Left": branch}},
                {"StartAt": "Right", "States": {"Right": other}},
            ],
            "Assign": {"round": "{% $round + 1 %}", "sum": "{% $max($states.result) %}"},
            "Next": "Again",
        },
        "Done": {"Type": "Pass", "Output": "{% $sum %}", "End": True},
    }
    states["Items"]["Assign"] = {"sum": "{% $sum + $reduce($states.result, function($a, $b) { $a + $b }) %}"}
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": "Begin", "States": states}).encode()


def expected() -> int:
    total = 0
    for _ in range(ROUNDS):
        total += 1 + 12 * 2 + 1
    return total


def prepare(home: Path) -> str:
    (home / "kill9_tasks.py").write_text(TASKS)
    journal = SqliteJournal(home / "journal.db")
    table = TaskTable(bundle=None, tasks={"work": TaskSpec(name="work", target="kill9_tasks:work")})
    definition = journal.put_document(document())
    (home / "digests").write_text(f"{definition} {journal.put_document(msgspec.json.encode(table))}")
    journal.close()
    return definition


def live_once(home: Path, rng: random.Random, kill: bool) -> str:
    """One life of the engine; what it printed."""
    program = [sys.executable, str(Path(__file__).with_name("kill9_engine.py")), str(home)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        if kill and rng.random() < 0.8:
            wait_for_work(process, home)  # otherwise it may be killed while it starts or recovers
        try:
            output, _ = process.communicate(timeout=rng.uniform(0, 0.25) if kill else 300)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
    return output


def wait_for_work(process: subprocess.Popen[str], home: Path) -> None:
    """Until this life has begun a task, however long a machine takes for it; or has ended."""
    marks = home / "marks"
    before = marks.stat().st_size if marks.exists() else 0
    while process.poll() is None and not (marks.exists() and marks.stat().st_size > before):
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_at_any_instant_the_run_goes_on(tmp_path: Path) -> None:
    rng = random.Random(9)
    kills = cut = 0
    for number in itertools.count():
        home = tmp_path / str(number)
        home.mkdir()
        definition = prepare(home)
        while kills < KILLS and not (printed := live_once(home, rng, kill=True)):
            kills += 1
        if kills == KILLS:
            printed = live_once(home, rng, kill=False)
        assert printed.strip() == "SUCCEEDED"
        cut += check(home, definition)
        if kills == KILLS:
            break
    assert cut > 0, "no attempt was ever cut off: the kills prove nothing"


def check(home: Path, definition: str) -> int:
    """All promises, on one finished run; how many steps were cut off and ran again."""
    journal = SqliteJournal(home / "journal.db")
    record = journal.run_named("kill9", "one")
    assert record is not None
    assert (record.status, record.output) == ("SUCCEEDED", expected()), record.cause
    entries = list(journal.entries(record.run_id))
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))

    # Replay agrees, and every outcome is recorded once.
    machine = Machine(load(journal.document(definition)))
    state = machine.begin()
    for entry in entries:
        machine.advance(state, entry.event, entry.at_ms)
    assert (state.status, state.output) == (record.status, record.output)
    ended = [(entry.event.token, entry.at_ms) for entry in entries if isinstance(entry.event, TaskSucceeded)]
    recorded = {f"{record.run_id}:{token}": at_ms for token, at_ms in ended}
    assert len(recorded) == len(ended) == ROUNDS * 15
    journal.close()

    # Tokens are stable: a step that was in flight ran again with the token it had.
    marks = [line.split() for line in (home / "marks").read_text().splitlines()]
    by_step: dict[str, set[str]] = {}
    for _, step, token in marks:
        by_step.setdefault(step, set()).add(token)
    assert len(by_step) == ROUNDS * 15
    assert all(len(tokens) == 1 for tokens in by_step.values())
    assert {token for tokens in by_step.values() for token in tokens} == set(recorded)

    # No recorded step runs again.
    assert [token for at, _, token in marks if int(at) // 1_000_000 > recorded[token]] == []
    return sum(count > 1 for count in Counter(step for _, step, _ in marks).values())
