"""What happens to an attempt that was lost, preempted, or too small: given out again, without the document knowing."""

from __future__ import annotations

from collections.abc import Sequence

from engine_world import SKYLIFT, ManualBackend, World

from skylift.asl.events import TaskRedelivered, Usage
from skylift.engine.inputs import Recover, Reported
from skylift.engine.router import Router
from skylift.ports.compute import Failed, Lost, Offer, Outcome, OutOfMemory, Requirements
from skylift.ports.tasks import TaskSpec

TRAIN = f"{SKYLIFT}train"


class SizedBackend(ManualBackend):
    """Has machines up to a size."""

    def __init__(self, name: str, most_mib: int) -> None:
        super().__init__(name)
        self.most_mib = most_mib

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        if (requirements.memory_mib or 0) > self.most_mib:
            return []
        return [Offer(backend=self.name, instance_type="x", vcpus=1, memory_mib=self.most_mib)]


def world_of(needs: Requirements, **settings: object) -> World:
    return World({"train": TaskSpec(name="train", target="m:train", requirements=needs)}, **settings)


def report(world: World, token: str, outcome: Outcome) -> None:
    world.turn(Reported(token, outcome))
    world.settle()


def redeliveries(world: World, run_id: str) -> list[TaskRedelivered]:
    return [e.event for e in world.journal.entries(run_id) if isinstance(e.event, TaskRedelivered)]


def test_out_of_memory_gets_twice_as_much_and_no_retry_is_used() -> None:
    world = world_of(Requirements(memory_mib=100))
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 0}]
    run_id = world.start({"A": {"Type": "Task", "Resource": TRAIN, "Retry": retry}})
    world.answer(OutOfMemory(limit_mib=100, usage=Usage(peak_memory_mib=99)))
    (call,) = world.backend.calls.values()
    assert (call.requirements.memory_mib, call.delivery, call.attempt) == (200, 2, 1)
    world.answer(OutOfMemory(limit_mib=200))
    world.answer("done")
    assert world.record(run_id).output == "done"
    told = redeliveries(world, run_id)
    assert [event.memory_mib for event in told] == [200, 400]
    assert "100 MiB were too little" in told[0].cause
    assert told[0].usage is not None and told[0].usage.peak_memory_mib == 99


def test_memory_is_stepped_up_a_bounded_number_of_times() -> None:
    world = world_of(Requirements(memory_mib=100))
    run_id = world.start(TRAIN)
    for limit in (100, 200, 400):
        world.answer(OutOfMemory(limit_mib=limit))
        assert world.record(run_id).status == "RUNNING"
    world.answer(OutOfMemory(limit_mib=800))
    assert world.record(run_id).error == "OutOfMemory"


def test_what_outgrows_a_backend_goes_on_with_the_next_class() -> None:
    world = world_of(Requirements(memory_mib=100))
    small, large = SizedBackend("small", 150), SizedBackend("large", 1_000)
    backends = {"small": small, "large": large}
    world.backends = backends  # type: ignore[assignment]
    world.restart(router=Router(backends, escalate=["small", "large"]))
    world.start(TRAIN)
    (token,) = small.calls
    del small.calls[token]
    report(world, token, OutOfMemory(limit_mib=100))
    assert not small.calls
    (call,) = large.calls.values()
    assert call.requirements.memory_mib == 200


def test_the_largest_there_is_comes_before_giving_up() -> None:
    world = world_of(Requirements(memory_mib=100))
    small = SizedBackend("small", 150)
    world.backends = {"small": small}
    world.restart(router=Router({"small": small}))
    run_id = world.start(TRAIN)
    (token,) = small.calls
    report(world, token, OutOfMemory(limit_mib=100))
    assert small.calls[token].requirements.memory_mib == 150
    report(world, token, OutOfMemory(limit_mib=150))
    assert world.record(run_id).error == "OutOfMemory"


def test_a_new_engine_knows_what_the_next_delivery_is() -> None:
    world = world_of(Requirements(memory_mib=100))
    run_id = world.start(TRAIN)
    world.answer(OutOfMemory(limit_mib=100))
    world.answer(Lost(reason="gone"))
    world.backend.calls.clear()
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    (call,) = world.backend.calls.values()
    assert (call.requirements.memory_mib, call.delivery) == (200, 3)
    for _ in range(2):
        world.answer(Lost(reason="gone"))
        world.wait(60)
    world.answer(Lost(reason="gone"))
    assert world.record(run_id).error == "Lost"  # the loss before the restart counts


def test_a_visit_has_one_name_over_attempts_and_deliveries() -> None:
    world = world_of(Requirements())
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1}]
    world.start({"A": {"Type": "Task", "Resource": TRAIN, "Retry": retry}, "B": {"Type": "Task", "Resource": TRAIN}})
    (first,) = world.backend.calls.values()
    world.answer(Failed(error="E"))
    world.wait(2)
    (second,) = world.backend.calls.values()
    world.answer(Lost(reason="gone"))
    (third,) = world.backend.calls.values()
    assert first.token != second.token == third.token
    assert first.visit == second.visit == third.visit
    world.answer(1)
    (after,) = world.backend.calls.values()
    assert after.visit != first.visit
