"""What the ends of members mean for a gang on worker processes, decided without any process."""

from __future__ import annotations

import pytest

from skylift.compute.gangs import SETTLE_S, free_port
from skylift.compute.process.entry import Entry
from skylift.compute.process.gang import Gang, assemble
from skylift.compute.process.machine import Machine
from skylift.ports.compute import CodeRef, Failed, Lost, Outcome, Requirements, Succeeded, TaskCall, TimedOut

FAILED = Failed(error="RuntimeError", cause="Connection closed by peer")
LOST = Lost(reason="killed")


def gang_of(nodes: int, **needs: float) -> Gang:
    call = TaskCall(
        token="t",
        run_id="r",
        task="train",
        label="train",
        attempt=1,
        code=CodeRef(bundle=None, target="m:train"),
        arguments={},
        requirements=Requirements(nodes=nodes, environment="e" * 64, concurrency=3, **needs),  # type: ignore[arg-type]
        log="run.log",
    )
    return assemble(Entry(call))


def test_members_are_calls_of_their_own_with_the_attempts_code_packages_and_log() -> None:
    gang = gang_of(3, cpus=0.5, memory_mib=100)
    assert (gang.entry.cpus, gang.entry.memory_mib) == (1.5, 300)
    assert [(one.cpus, one.memory_mib, one.nodes, one.rank) for one in gang.members] == [
        (0.5, 100, 1, 0),
        (0.5, 100, 1, 1),
        (0.5, 100, 1, 2),
    ]
    assert {one.environment for one in gang.members} == {"e" * 64}
    assert {one.call.log for one in gang.members} == {"run.log"}
    assert len({one.call.requirements.env["MASTER_PORT"] for one in gang.members}) == 1
    assert not any(one.batchable or one.concurrency for one in gang.members)


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([(0, Succeeded(output="zero")), (1, Succeeded(output="one"))], Succeeded(output="zero")),
        ([(1, FAILED), (0, LOST)], Lost(reason="member 0 of the gang: killed")),
        ([(0, LOST), (1, FAILED)], Lost(reason="member 0 of the gang: killed")),
        ([(1, FAILED), (0, Succeeded(output=1))], FAILED),
        ([(1, TimedOut()), (0, LOST)], TimedOut()),
    ],
    ids=["all succeed", "failed of a loss", "lost first", "failed by itself", "timed out"],
)
def test_what_the_attempt_comes_to(ends: list[tuple[int, Outcome]], verdict: Outcome) -> None:
    gang = gang_of(2)
    for rank, outcome in ends:
        gang.ended(gang.members[rank], outcome, 0.0)
    assert gang.verdict == verdict and not gang.left


def test_a_failure_waits_for_the_loss_that_may_have_caused_it() -> None:
    gang = gang_of(3)
    gang.ended(gang.members[2], FAILED, 10.0)
    assert gang.verdict == FAILED
    assert not gang.is_settled(10.0 + SETTLE_S / 2) and gang.is_settled(10.0 + SETTLE_S)
    gang.ended(gang.members[1], LOST, 10.1)
    assert isinstance(gang.verdict, Lost) and gang.is_settled(10.1)


def test_what_members_say_while_they_are_stopped_changes_nothing() -> None:
    gang = gang_of(2)
    gang.ended(gang.members[0], FAILED, 0.0)
    gang.stopping = True
    gang.ended(gang.members[1], LOST, 2.0)
    gang.ended(gang.members[1], Succeeded(output=1), 2.0)
    assert gang.verdict == FAILED


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (Requirements(nodes=4, cpus=0.1), "wants 4 workers at once, and this machine gives 3"),
        (Requirements(nodes=2, cpus=1.5), "wants 2 times 1.5 cpus, and this machine gives 2"),
        (Requirements(nodes=2, cpus=0.5, memory_mib=600), "wants 2 times 600 MiB of memory, and this machine has 1000"),
        (Requirements(nodes=2, cpus=0.5, gpu="1"), "wants 2 times the GPU 1, and this machine has V100"),
    ],
)
def test_a_gang_that_never_fits_is_refused_with_the_figures(needs: Requirements, said: str) -> None:
    misfit = Machine(cpus=2, memory_mib=1000, gpus=("V100",), slots=3).misfit(needs)
    assert misfit is not None and misfit[0] == said


def test_ports_are_free() -> None:
    assert len({free_port() for _ in range(3)}) >= 2
