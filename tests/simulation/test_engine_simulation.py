"""Whole lives of engines under faults, checked against the pure answer. A failing seed: `--seed N`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from random_documents import START, TASKS, Generator

from skylift.asl.events import TaskFailed, TaskSucceeded, TaskTimedOut
from skylift.asl.parse import load
from skylift.asl.state import encode_state
from skylift.engine.limits import EngineLimits
from skylift.engine.names import split_token
from skylift.ports.journal import Journal, RunRecord
from skylift.stores.sqlite import SqliteJournal
from skylift.testing.faults import FaultPlan
from skylift.testing.simulation import Simulation
from skylift.testing.virtual import VirtualRun, run_document


def reference(definition: bytes, child: bytes, value: Any) -> VirtualRun:
    """The pure answer: no engine, no faults."""

    def nested(arguments: Any) -> Any:
        run = run_document(load(child), arguments["Input"], TASKS)
        assert run.status == "SUCCEEDED", run.cause
        return {"Output": run.output}

    return run_document(load(definition), value, {**TASKS, START: nested})


def check_run(world: Simulation, record: RunRecord) -> None:
    """The journal of one run: gap-free, each outcome once, and replay gives what the record says."""
    journal = world.recorder.inner
    entries = list(journal.entries(record.run_id))
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    outcomes = [
        entry.event.token for entry in entries if isinstance(entry.event, TaskSucceeded | TaskFailed | TaskTimedOut)
    ]
    assert len(outcomes) == len(set(outcomes)), "an outcome was recorded twice"
    machine = world.library.machine(record.definition, record.limits)
    state = machine.begin()
    asked = set()
    for entry in entries:
        for command in machine.advance(state, entry.event, entry.at_ms):
            asked.add(getattr(command, "token", None))
    assert (state.status, state.output) == (record.status, record.output)
    submitted = {local for run_id, local in map(split_token, world.submissions) if run_id == record.run_id}
    assert submitted <= asked, "an attempt ran that the run never asked for"


def check_world(world: Simulation) -> None:
    assert world.wrongs == []
    records = world.recorder.inner.runs(limit=10_000)
    for record in records:
        check_run(world, record)
    again = {token: count for token, count in world.recorder.outcomes.items() if count > 1}
    assert again == {}


def story(seed: int, journal: Journal | None = None) -> Simulation:
    rng = random.Random(f"story {seed}")
    child = Generator(rng, nested=False).document()
    generator = Generator(rng, nested=True)
    few = EngineLimits(
        losses=1_000_000,
        look_ms=1_000,
        snapshot_events=rng.choice((2, 10, 1_000)),
        window=rng.choice((1, 3, 2_048)),
        events_per_turn=rng.choice((1, 5, 2_000)),
    )
    world = Simulation(seed, TASKS, plan=FaultPlan.hostile(rng), limits=few, machines={"child": child}, journal=journal)
    expected = {}
    for number in range(rng.randint(1, 3)):
        definition, value = generator.document(), rng.randint(0, 99)
        name = f"{seed}-{number}"
        expected[name] = reference(definition, child, value)
        world.start(definition, value, name=name)
    world.run()
    check_world(world)
    for name, run in expected.items():
        record = world.find(name)
        assert record is not None
        assert (record.status, record.output, record.error) == (run.status, run.output, run.error), record.cause
        assert record.status == "SUCCEEDED", record.cause
    return world


def test_any_faults(seed: int) -> None:
    story(seed)


@pytest.mark.slow
@pytest.mark.seeds(3_000)
def test_any_faults_at_length(seed: int) -> None:
    story(seed + 1_000_000 if seed < 1_000_000 else seed)


@pytest.mark.parametrize("number", range(10))
def test_any_faults_on_sqlite(number: int, tmp_path: Path) -> None:
    """The same story on the journal that users have."""
    journal = SqliteJournal(tmp_path / "journal.db")
    story(2_000_000 + number, journal)
    journal.close()


def test_a_seed_always_tells_the_same_story() -> None:
    one, other = story(4711), story(4711)
    assert one.submissions == other.submissions
    assert one.crashes == other.crashes
    for record in one.recorder.inner.runs(limit=100):
        assert list(one.recorder.inner.entries(record.run_id)) == list(other.recorder.inner.entries(record.run_id))


def test_faults_do_happen() -> None:
    """Else the other tests prove nothing."""
    worlds = [story(seed) for seed in range(20)]
    assert sum(world.crashes for world in worlds) > 5
    assert sum(len(world.submissions) - len(set(world.submissions)) for world in worlds) > 5


def test_without_snapshots_the_state_is_the_same() -> None:
    """A snapshot saves time and nothing else."""
    definition = Generator(random.Random(3), nested=False).document()
    world = Simulation(3, TASKS, limits=EngineLimits(snapshot_events=1))
    world.start(definition, 5, name="a")
    for _ in range(6):
        world.step()
    record = world.find("a")
    assert record is not None
    live = world.host.engine._book.runs[record.run_id]
    journal = world.recorder.inner
    assert journal.snapshot(record.run_id) is not None
    state = live.machine.begin()
    for entry in journal.entries(record.run_id):
        live.machine.advance(state, entry.event, entry.at_ms)
    assert encode_state(state) == encode_state(live.state)
