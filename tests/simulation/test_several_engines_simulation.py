"""Several engines share a journal: they die, are believed dead and go on, lose answers. Nothing runs twice."""

from __future__ import annotations

import random

import pytest
from fleet import Fleet, owners_of
from random_documents import TASKS, Generator
from test_engine_simulation import check_run, reference

from skylift.engine.limits import EngineLimits
from skylift.testing.faults import FaultPlan


def story(seed: int, runs: int = 4) -> Fleet:
    rng = random.Random(f"several {seed}")
    child = Generator(rng, nested=False).document()
    generator = Generator(rng, nested=True)
    few = EngineLimits(
        losses=1_000_000,
        look_ms=1_000,
        snapshot_events=rng.choice((2, 10, 1_000)),
        window=rng.choice((1, 3, 2_048)),
        events_per_turn=rng.choice((1, 5, 2_000)),
        adopt_runs=rng.choice((1, 2, 200)),
    )
    world = Fleet(
        seed,
        TASKS,
        plan=FaultPlan.hostile(rng),
        limits=few,
        machines={"child": child},
        believed_dead=rng.choice((0.0, 0.01, 0.03)),
        killed=rng.choice((0.0, 0.01, 0.03)),
    )
    expected = {}
    for number in range(runs):
        definition, value = generator.document(), rng.randint(0, 99)
        name = f"{seed}-{number}"
        expected[name] = reference(definition, child, value)
        world.start(definition, value, name=name)
    world.run(faults_for=600)
    assert world.wrongs == []
    for record in world.recorder.inner.runs(limit=10_000):
        check_run(world, record)
    assert {token: count for token, count in world.recorder.outcomes.items() if count > 1} == {}
    for name, run in expected.items():
        record = world.find(name)
        assert record is not None
        assert (record.status, record.output, record.error) == (run.status, run.output, run.error), record.cause
    return world


def test_several_engines(seed: int) -> None:
    story(seed)


@pytest.mark.slow
@pytest.mark.seeds(300)
def test_several_engines_at_length(seed: int) -> None:
    story(seed + 1_000_000 if seed < 1_000_000 else seed, runs=12)


def test_engines_do_die_and_their_runs_move() -> None:
    """Else the other tests prove nothing."""
    worlds = [story(seed) for seed in range(20)]
    assert sum(world.crashes for world in worlds) > 20
    assert sum(len(world.dead) for world in worlds) > 20
    assert sum(len(world.submissions) - len(set(world.submissions)) for world in worlds) > 5
    assert sum(len(owners_of(world.recorder.inner.runs(limit=100))) > 1 for world in worlds) > 5
