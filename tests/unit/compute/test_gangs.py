"""What members of a gang are told, and what their ends mean."""

from __future__ import annotations

from skylift.asl.events import Usage
from skylift.compute.gangs import GangOutcome, attempt_of, member_calls
from skylift.ports.compute import CodeRef, Lost, Requirements, Succeeded, TaskCall


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


def test_the_result_is_rank_zeros_once_all_have_succeeded() -> None:
    ended = GangOutcome(2)
    assert ended.take(1, Succeeded(output="one", usage=Usage(cpu_ms=5, peak_memory_mib=9))) is None
    outcome = ended.take(0, Succeeded(output="zero", usage=Usage(cpu_ms=7, peak_memory_mib=3, duration_ms=1)))
    assert outcome == Succeeded(output="zero", usage=Usage(cpu_ms=12, peak_memory_mib=9, duration_ms=1))


def test_one_lost_member_ends_the_gang() -> None:
    ended = GangOutcome(4)
    assert ended.take(0, Succeeded(output=1)) is None
    outcome = ended.take(2, Lost(reason="SIGKILL", preempted=True))
    assert isinstance(outcome, Lost) and outcome.preempted and "member 2" in outcome.reason
