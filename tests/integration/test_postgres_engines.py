"""Several engines on one PostgreSQL: killed at random, sessions ended, the server crashed. Every run ends once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from postgres import PostgresServer

from skylift.asl.events import TaskSucceeded
from skylift.errors import JournalUnavailable
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.stores.database import Store
from skylift.stores.open import open_store

SCRIPT = Path(__file__).with_name("postgres_engine.py")
STEPS = 8
IN_FLIGHT = 2
"""Tasks that a killed engine's one worker may have begun: one, and one whose outcome was on its way."""
TASKS = """
import os, time

def work(home, step, token):
    handle = os.open(os.path.join(home, "marks"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{time.time_ns()} {step} {token}\\n".encode())
    os.close(handle)
    time.sleep(0.02)
    return step
"""
DOCUMENT = {
    "QueryLanguage": "JSONata",
    "StartAt": "Begin",
    "States": {
        "Begin": {"Type": "Pass", "Assign": {"given": "{% $states.input %}", "round": 0}, "Next": "Again"},
        "Again": {
            "Type": "Choice",
            "Choices": [{"Condition": f"{{% $round < {STEPS} %}}", "Next": "Step"}],
            "Default": "Done",
        },
        "Step": {
            "Type": "Task",
            "Resource": "arn:aws:states:::skylift:work",
            "Arguments": {
                "home": "{% $given.home %}",
                "step": "{% $given.name & '-' & $string($round) %}",
                "token": "{% $states.context.Task.Token %}",
            },
            "Next": "Pause",
        },
        "Pause": {"Type": "Wait", "Seconds": 0, "Assign": {"round": "{% $round + 1 %}"}, "Next": "Again"},
        "Done": {"Type": "Succeed", "Output": "{% $round %}"},
    },
}


@pytest.fixture
def store(postgres_url: str, tmp_path: Path) -> Iterator[Store]:
    store = open_store(postgres_url, home=tmp_path)
    (tmp_path / "engine_tasks.py").write_text(TASKS)
    definition = store.journal.put_document(msgspec.json.encode(DOCUMENT))
    table = TaskTable(bundle=None, tasks={"work": TaskSpec(name="work", target="engine_tasks:work")})
    tasks = store.journal.put_document(msgspec.json.encode(table))
    (tmp_path / "digests").write_text(f"{definition} {tasks}")
    yield store
    store.close()


class Engines:
    """Engine processes; each new one starts some runs of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self._arguments = [sys.executable, str(SCRIPT), url, str(folder)]
        self.living: list[subprocess.Popen[str]] = []
        self.names: list[str] = []

    def start(self, runs: int) -> None:
        process = subprocess.Popen(
            self._arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        names = [f"run-{len(self.names) + number}" for number in range(runs)]
        self.names += names
        assert process.stdin is not None
        process.stdin.write(" ".join(names))
        process.stdin.close()
        self.living.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), "the engine did not start"

    def kill(self) -> None:
        process = self.living.pop(0)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def close(self) -> None:
        for process in self.living:
            process.send_signal(signal.SIGTERM)
        for process in self.living:
            process.wait(90)
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def engines(postgres_url: str, store: Store, tmp_path: Path) -> Iterator[Engines]:
    engines = Engines(postgres_url, tmp_path)
    yield engines
    engines.close()


def wait_until_all_ended(store: Store, names: list[str], within_s: float) -> float:
    """Seconds it took."""
    began = time.monotonic()
    while True:
        try:
            ended = {run.name for run in store.journal.runs(status=["SUCCEEDED", "FAILED"], limit=10_000)}
        except JournalUnavailable:
            ended = set()
        if ended >= set(names):
            return time.monotonic() - began
        assert time.monotonic() - began < within_s, sorted(set(names) - ended)
        time.sleep(0.1)


def check(store: Store, names: list[str], folder: Path, kills: int) -> None:
    """One successful end each, a journal without gaps, no recorded step again, and only what a kill cut off twice."""
    runs = {run.name: run for run in store.journal.runs(limit=10_000)}
    assert sorted(runs) == sorted(names)
    recorded: dict[str, int] = {}
    for run in runs.values():
        assert (run.status, run.output) == ("SUCCEEDED", STEPS), run
        entries = list(store.journal.entries(run.run_id))
        assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
        ended = [(entry.event.token, entry.at_ms) for entry in entries if isinstance(entry.event, TaskSucceeded)]
        assert len(ended) == STEPS
        recorded |= {f"{run.run_id}:{token}": at_ms for token, at_ms in ended}
    marks = [line.split() for line in (folder / "marks").read_text().splitlines()]
    steps = {f"{name}-{number}" for name in names for number in range(STEPS)}
    assert {step for _, step, _ in marks} == steps
    assert {token for _, _, token in marks} == set(recorded)
    assert [token for at_ns, _, token in marks if int(at_ns) // 1_000_000 > recorded[token]] == []
    assert len(marks) - len(steps) <= kills * IN_FLIGHT


def test_the_runs_of_a_killed_engine_move_on(store: Store, engines: Engines, tmp_path: Path) -> None:
    engines.start(6)
    engines.start(2)
    [dead] = {run.owner for run in store.journal.runs() if run.name in engines.names[:6]}
    engines.kill()
    killed = time.monotonic()
    while dead in store.journal.owners():
        assert time.monotonic() - killed < 15, "nobody takes them over"
        time.sleep(0.1)
    wait_until_all_ended(store, engines.names, 120)
    check(store, engines.names, tmp_path, kills=1)


@pytest.mark.slow
def test_engines_killed_and_the_database_crashed_at_random(
    store: Store, engines: Engines, postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    database = postgres_url.rpartition("/")[2]
    engines.start(8)
    engines.start(8)
    for round_ in range(6):
        time.sleep(chance.uniform(0.2, 1.2))
        match round_ % 3:
            case 0:
                engines.kill()
                engines.start(6)
            case 1:
                postgres_server.execute(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
                )
            case _:
                postgres_server.stop("immediate")
                time.sleep(chance.uniform(0, 1))
                postgres_server.start()
    wait_until_all_ended(store, engines.names, 180)
    check(store, engines.names, tmp_path, kills=2)
