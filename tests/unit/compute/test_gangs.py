"""What members of a gang are told, and what their ends mean."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import msgspec
import pytest

from skylift.asl.events import Usage
from skylift.compute.gangs import SETTLE_S, GangOutcome, GangVerdict, attempt_of, free_port, member_calls
from skylift.ports.compute import (
    CodeRef,
    Failed,
    Lost,
    Outcome,
    OutOfMemory,
    Requirements,
    Succeeded,
    TaskCall,
    TimedOut,
)

FAILED = Failed(error="ConnectionError", cause="Connection closed by peer")


def gang(nodes: int) -> TaskCall:
    return TaskCall(
        token="run:1-1",
        run_id="run",
        task="train",
        label="train",
        attempt=1,
        code=CodeRef(bundle=None, target="m:train"),
        arguments={},
        requirements=Requirements(nodes=nodes, env={"A": "b"}, cpus=2),
        log="/logs/x.log",
    )


def test_members_know_rank_size_and_where_to_meet() -> None:
    calls = member_calls(gang(3), "127.0.0.1", 4000)
    assert [attempt_of(call.token) for call in calls] == [("run:1-1", 0), ("run:1-1", 1), ("run:1-1", 2)]
    env = calls[2].requirements.env
    assert (env["RANK"], env["WORLD_SIZE"], env["MASTER_ADDR"], env["MASTER_PORT"]) == ("2", "3", "127.0.0.1", "4000")
    assert env["A"] == "b" and calls[2].requirements.nodes == 1 and calls[2].requirements.cpus == 2
    assert [call.log for call in calls] == ["/logs/x.log", "/logs/x.log.1", "/logs/x.log.2"]


def test_ports_of_gangs_are_their_own_until_rank_0_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ports = [free_port() for _ in range(500)]
        assert taken.getsockname()[1] not in ports
    assert len(set(ports)) == 500
    lowest = Path("/proc/sys/net/ipv4/ip_local_port_range")
    of_connections = int(lowest.read_text().split()[0]) if lowest.exists() else 32_768
    assert of_connections < 30_000 or max(ports) < of_connections


def test_looking_for_a_port_leaves_the_random_numbers_of_users_alone() -> None:
    random.seed(1)
    before = random.getstate()
    free_port()
    assert random.getstate() == before


def test_the_result_is_rank_zeros_once_all_have_succeeded() -> None:
    ended = GangOutcome(2)
    assert ended.take(1, Succeeded(output="one", usage=Usage(cpu_ms=5, peak_memory_mib=9))) is None
    outcome = ended.take(0, Succeeded(output="zero", usage=Usage(cpu_ms=7, peak_memory_mib=3, duration_ms=1)))
    assert outcome == Succeeded(output="zero", usage=Usage(cpu_ms=12, peak_memory_mib=9, duration_ms=1))


@pytest.mark.parametrize(
    "end", [FAILED, TimedOut(), OutOfMemory(limit_mib=9), Lost(reason="SIGKILL", preempted=True)], ids=type
)
def test_an_end_before_its_time_costs_the_places_of_all(end: Outcome) -> None:
    ended = GangOutcome(4)
    early = Usage(cpu_ms=5, vcpus=2, cost_usd_micro=100, duration_ms=1_000)
    ended.take(3, Succeeded(output=3, usage=early))
    own = Usage(cpu_ms=9, vcpus=2, cost_usd_micro=400, duration_ms=4_000)
    outcome = ended.take(1, msgspec.structs.replace(end, usage=own))
    whole = Usage(cpu_ms=14, vcpus=8, cost_usd_micro=1_300, duration_ms=4_000)
    assert getattr(outcome, "usage", None) == whole
    assert ended.take(2, end) == GangOutcome(4).take(2, end), "of what tells nothing nothing is known"


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([(0, FAILED, 1.0), (1, Lost(reason="SIGKILL"), 1.5)], Lost(reason="member 1 of the gang: SIGKILL")),
        ([(0, FAILED, 1.0), (1, OutOfMemory(limit_mib=9), 1.5)], OutOfMemory(limit_mib=9)),
        ([(0, FAILED, 1.0), (1, Succeeded(output=1), 1.5)], FAILED),
        ([(1, Lost(reason="SIGKILL"), 1.0), (0, FAILED, 1.5)], Lost(reason="member 1 of the gang: SIGKILL")),
        ([(0, TimedOut(), 1.0), (1, Lost(reason="SIGKILL"), 1.5)], TimedOut()),
    ],
)
def test_the_loss_of_a_member_explains_the_failure_of_another(
    ends: list[tuple[int, Outcome, float]], verdict: Outcome
) -> None:
    gang = GangVerdict(3)
    for rank, outcome, now in ends:
        gang.take(rank, outcome, now)
    assert gang.verdict == verdict
    assert gang.is_settled(1.6) == (verdict is not FAILED) and gang.is_settled(1.0 + SETTLE_S)


def test_what_members_say_while_they_are_stopped_explains_nothing() -> None:
    gang = GangVerdict(2)
    gang.take(0, FAILED, 1.0)
    gang.stopping = True
    gang.take(1, Lost(reason="SIGTERM"), 1.5)
    assert gang.verdict is FAILED


def test_one_lost_member_ends_the_gang() -> None:
    ended = GangOutcome(4)
    assert ended.take(0, Succeeded(output=1)) is None
    outcome = ended.take(2, Lost(reason="SIGKILL", preempted=True))
    assert isinstance(outcome, Lost) and outcome.preempted and "member 2" in outcome.reason
