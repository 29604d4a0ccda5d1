"""Jobs of the batch backend: arrays, dependencies, retries by exit reason, SubmitJob's parameters."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from skylift.compute.batch.jobs import Dependency, ExitRule, JobRequest, Jobs, Over, Retry, Run, Stop
from skylift.compute.batch.queue import BatchQueue, JobDescription
from skylift.compute.batch.submit_job import request_of, retry_of
from skylift.compute.inline.backend import InlineBackend
from skylift.errors import AuthorError
from skylift.ports.compute import Cancelled, CodeRef, Failed, Lost, OutOfMemory, Succeeded, TaskCall, TimedOut

WELL = Succeeded(output=None)
BAD = Failed(error="ValueError")
PREEMPTED = Lost(reason="taken away", preempted=True)
KILLED = Lost(reason="its process was killed")


def call(token: str, target: str = "add", **arguments: object) -> TaskCall:
    code = CodeRef(bundle=None, target=f"skylift.testing.backend_tasks:{target}")
    return TaskCall(token=token, run_id="run", task=target, label=token, attempt=1, code=code, arguments=arguments)


def request(name: str, **fields: object) -> JobRequest:
    return JobRequest(id=name, call=call(name), **fields)  # type: ignore[arg-type]


def tokens(effects: list[object]) -> list[str]:
    return [effect.call.token for effect in effects if isinstance(effect, Run)]


def test_an_array_runs_all_its_children_each_knowing_its_index() -> None:
    jobs = Jobs()
    effects = jobs.submit(request("a", size=3))
    assert tokens(effects) == ["a:0:try1", "a:1:try1", "a:2:try1"]
    told = [effect.call.requirements.env for effect in effects if isinstance(effect, Run)]
    assert [env["AWS_BATCH_JOB_ARRAY_INDEX"] for env in told] == ["0", "1", "2"]
    assert jobs.submit(request("a", size=3)) == []
    assert jobs.ended("a:1:try1", WELL) == jobs.ended("a:0:try1", BAD) == []
    assert jobs.ended("a:2:try1", WELL) == [Over("a")]
    assert jobs.jobs["a"].status == "FAILED" and jobs.ended("a:2:try1", BAD) == []


def test_a_job_waits_for_the_whole_of_another_n_to_n_for_its_like_sequential_for_the_one_before() -> None:
    jobs = Jobs()
    jobs.submit(request("a", size=2))
    assert jobs.submit(request("whole", after=(Dependency(job="a"),))) == []
    assert jobs.submit(request("like", size=2, after=(Dependency(job="a", kind="N_TO_N"),))) == []
    assert tokens(jobs.submit(request("row", size=3, after=(Dependency(kind="SEQUENTIAL"),)))) == ["row:0:try1"]
    assert tokens(jobs.ended("a:1:try1", WELL)) == ["like:1:try1"]
    assert tokens(jobs.ended("row:0:try1", WELL)) == ["row:1:try1"]
    assert sorted(tokens(jobs.ended("a:0:try1", WELL))) == ["like:0:try1", "whole:try1"]


def test_what_depends_on_a_failure_fails_without_running() -> None:
    jobs = Jobs()
    jobs.submit(request("a"))
    jobs.submit(request("b", after=(Dependency(job="a"),)))
    jobs.submit(request("c", after=(Dependency(job="b"),)))
    assert jobs.ended("a:try1", BAD) == [Over("a"), Over("b"), Over("c")]
    assert jobs.jobs["c"].children[0].reason == "Dependent Job failed"


@pytest.mark.parametrize(
    ("rule", "outcome", "again"),
    [
        (ExitRule(action="RETRY", on_status_reason="Host EC2*"), KILLED, True),
        (ExitRule(action="EXIT", on_status_reason="Host EC2*"), KILLED, False),
        (ExitRule(action="EXIT", on_reason="OutOfMemory*"), OutOfMemory(limit_mib=1), False),
        (ExitRule(action="EXIT", on_exit_code="137"), OutOfMemory(limit_mib=1), False),
        (ExitRule(action="EXIT", on_exit_code="1?7", on_reason="nothing"), OutOfMemory(limit_mib=1), True),
        (ExitRule(action="EXIT", on_reason="Value*"), BAD, False),
        (ExitRule(action="EXIT", on_exit_code="42"), BAD, True),
        (ExitRule(action="RETRY", on_reason="*"), TimedOut(), False),
    ],
)
def test_the_first_rule_that_matches_says_whether_it_is_tried_again(
    rule: ExitRule, outcome: Failed, again: bool
) -> None:
    jobs = Jobs()
    last = ExitRule(action="RETRY", on_reason="*")
    jobs.submit(request("a", retry=Retry(attempts=2, rules=(rule, last))))
    assert tokens(jobs.ended("a:try1", outcome)) == (["a:try2"] if again else [])
    if again:
        assert jobs.ended("a:try2", outcome) == [Over("a")]


def test_machines_that_the_market_takes_use_up_no_tries() -> None:
    jobs = Jobs()
    jobs.submit(request("a"))
    for number in range(1, 6):
        assert tokens(jobs.ended(f"a:try{number}", PREEMPTED)) == [f"a:try{number + 1}"]
    assert jobs.ended("a:try6", BAD) == [Over("a")]


def test_a_terminated_job_ends_what_waits_and_stops_what_runs() -> None:
    jobs = Jobs()
    jobs.submit(request("a", size=2, after=(Dependency(kind="SEQUENTIAL"),), retry=Retry(attempts=5)))
    assert jobs.terminate("a", "no longer wanted") == [Stop("a:0:try1")]
    assert jobs.ended("a:0:try1", Cancelled()) == [Over("a")]
    assert [child.reason for child in jobs.jobs["a"].children] == ["no longer wanted"] * 2


@pytest.mark.parametrize(
    "bad",
    [
        request("x", after=(Dependency(job="unknown"),)),
        request("x", after=(Dependency(kind="SEQUENTIAL"),)),
        request("x", size=3, after=(Dependency(job="a", kind="N_TO_N"),)),
    ],
)
def test_dependencies_that_cannot_be_are_told(bad: JobRequest) -> None:
    jobs = Jobs()
    jobs.submit(request("a", size=2))
    with pytest.raises(ValueError, match="job x"):
        jobs.submit(bad)


def test_the_parameters_of_submit_job_become_a_request() -> None:
    asked = request_of(
        {
            "JobName": "resize",
            "JobQueue": "high",
            "ArrayProperties": {"Size": 4},
            "DependsOn": [{"JobId": "a", "Type": "N_TO_N"}],
            "RetryStrategy": {
                "Attempts": 3,
                "EvaluateOnExit": [
                    {"Action": "retry", "OnStatusReason": "Host EC2*"},
                    {"Action": "EXIT", "OnReason": "*"},
                ],
            },
            "Timeout": {"AttemptDurationSeconds": 60},
            "ContainerOverrides": {
                "ResourceRequirements": [
                    {"Type": "VCPU", "Value": "2"},
                    {"Type": "MEMORY", "Value": "4096"},
                    {"Type": "GPU", "Value": "1"},
                ],
                "Environment": [{"Name": "MODE", "Value": "fast"}],
            },
        },
        call("job-1"),
    )
    needs = asked.call.requirements
    assert (needs.cpus, needs.memory_mib, needs.gpu, needs.timeout_ms) == (2.0, 4096, "1", 60_000)
    assert needs.env == {"MODE": "fast"} and asked.size == 4 and asked.id == "job-1"
    assert asked.after == (Dependency(job="a", kind="N_TO_N"),)
    assert [rule.action for rule in asked.retry.rules] == ["RETRY", "EXIT"] and asked.retry.attempts == 3


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ({}, "JobName"),
        ({"JobName": "x", "ArrayProperties": {"Size": 1}}, "ArrayProperties.Size is 1"),
        ({"JobName": "x", "RetryStrategy": {"Attempts": 11}}, "RetryStrategy.Attempts is 11"),
        ({"JobName": "x", "RetryStrategy": {"EvaluateOnExit": [{"Action": "STAY"}]}}, "EvaluateOnExit.Action"),
        ({"JobName": "x", "DependsOn": [{"JobId": "a", "Type": "ALL"}]}, "DependsOn.Type"),
        ({"JobName": "x", "ContainerOverrides": {"ResourceRequirements": [{"Type": "TPU", "Value": "1"}]}}, "TPU"),
        ({"JobName": "x", "ContainerOverrides": {"ResourceRequirements": [{"Type": "VCPU", "Value": "many"}]}}, "many"),
    ],
)
def test_wrong_parameters_name_their_place(parameters: dict[str, object], place: str) -> None:
    with pytest.raises(AuthorError, match=place):
        request_of(parameters, call("job-1"))


@pytest.mark.parametrize(
    ("strategy", "place"),
    [
        ({"Attempts": 0}, "RetryStrategy.Attempts is 0"),
        ({"EvaluateOnExit": [{"OnReason": "*"}]}, "RetryStrategy.*Action"),
    ],
)
def test_a_retry_strategy_of_its_own_is_checked_as_well(strategy: dict[str, object], place: str) -> None:
    with pytest.raises(AuthorError, match=place):
        retry_of(strategy)


def _inline(report: Callable[[str, object], None]) -> InlineBackend:
    return InlineBackend(report, threads=2)


def test_a_queue_runs_jobs_on_a_backend_and_says_when_they_are_over() -> None:
    over: list[JobDescription] = []
    queue = BatchQueue(_inline, over.append)  # type: ignore[arg-type]
    first = JobRequest(id="a", call=call("a", "add", a=1, b=2), size=3)
    queue.submit(first)
    queue.submit(JobRequest(id="b", call=call("b", "fail", message="no"), after=(Dependency(job="a"),)))
    told = queue.wait("b", 20)
    assert told.status == "FAILED" and told.reason == "TooSmall"
    outcomes = [outcome for _, _, outcome in queue.describe("a").children]
    assert [outcome.output for outcome in outcomes if isinstance(outcome, Succeeded)] == [3, 3, 3]
    assert [each.id for each in over] == ["a", "b"]
    with pytest.raises(KeyError):
        queue.describe("unknown")
    queue.close()
    assert msgspec.structs.asdict(told)["id"] == "b"
