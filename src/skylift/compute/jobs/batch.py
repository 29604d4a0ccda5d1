"""`batch:submitJob.sync`: command, parameters, environment, array index, tries and time limit as AWS Batch has them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skylift.compute.batch import jobs
from skylift.compute.batch.submit_job import MOST_CHILDREN, retry_of
from skylift.compute.jobs.containers import STOP_GRACE_S, command_of, environment_of, folder_of, log_stream, pairs
from skylift.compute.jobs.order import JobFailed, JobOrder, read_order
from skylift.compute.jobs.program import Exit, end_all, run
from skylift.compute.worker.current import Preempted
from skylift.errors import SetupError

_AT_ONCE = 8


def run_job(event: Any, context: Any) -> dict[str, Any]:
    """Run the job; its description, as DescribeJobs gives it. Raises JobFailed with the same."""
    order = read_order(event)
    created = int(time.time() * 1000)
    size = _array_size(order)
    if order.parameters.get("DependsOn"):
        raise SetupError(
            f"the job {order.name} depends on other jobs, whose ids mean nothing here",
            hint="let the state machine say what comes after what: one state after the other",
        )
    tries = _run_array(order, size) if size else [_tries(order, None)]
    description = _description(order, created, tries, size)
    if description["Status"] == "FAILED":
        raise JobFailed(description)
    return description


def _array_size(order: JobOrder) -> int:
    size = (order.parameters.get("ArrayProperties") or {}).get("Size", 0)
    if not isinstance(size, int) or size < 0 or size == 1 or size > MOST_CHILDREN:
        raise SetupError(f"ArrayProperties.Size is {size!r}: it is from 2 to {MOST_CHILDREN}")
    return size


def _run_array(order: JobOrder, size: int) -> list[list[Exit]]:
    with ThreadPoolExecutor(min(size, _AT_ONCE)) as pool:
        try:
            return list(pool.map(lambda index: _tries(order, index), range(size)))
        except Preempted:  # each child was told by itself, and has its time to save
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # the attempt is stopped, or one child cannot even start
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def _tries(order: JobOrder, index: int | None) -> list[Exit]:
    """One job, or one child of an array, tried as its retry strategy says."""
    retry = retry_of(order.parameters.get("RetryStrategy") or {})
    exits: list[Exit] = []
    while True:
        exits.append(_run(order, index, len(exits) + 1))
        if _well(exits[-1]) or len(exits) >= retry.attempts or not jobs.again(retry, _seen(exits[-1])):
            return exits


def _run(order: JobOrder, index: int | None, number: int) -> Exit:
    parameters = order.parameters
    overrides = parameters.get("ContainerOverrides") or {}
    told = {
        "AWS_BATCH_JOB_ID": order.id if index is None else f"{order.id}:{index}",
        "AWS_BATCH_JOB_ATTEMPT": str(number),
        "AWS_BATCH_JQ_NAME": _last(str(parameters.get("JobQueue", ""))),
        "AWS_BATCH_CE_NAME": "skylift",
    }
    if index is not None:
        told[jobs.INDEX] = str(index)
        told[jobs.SIZE] = str(_array_size(order))
    limit = (parameters.get("Timeout") or {}).get("AttemptDurationSeconds")
    return run(
        command_of(order, overrides.get("Command"), parameters.get("Parameters") or {}),
        environment_of(order, pairs(overrides.get("Environment")), told),
        cwd=folder_of(order),
        timeout_s=None if limit is None else float(limit),
        grace_s=STOP_GRACE_S,
    )


def _well(ended: Exit) -> bool:
    """What met its time limit has failed, whatever it says itself when it is stopped."""
    return ended.code == 0 and not ended.timed_out


def _seen(ended: Exit) -> jobs.Exit:
    """In the words that the rules of a retry strategy match."""
    return jobs.Exit(status_reason=_reason(ended), exit_code=ended.code)


def _reason(ended: Exit) -> str:
    return jobs.TIMED_OUT if ended.timed_out else jobs.EXITED


def _description(order: JobOrder, created: int, tries: list[list[Exit]], size: int) -> dict[str, Any]:
    parameters = order.parameters
    failed = [exits for exits in tries if not _well(exits[-1])]
    shown = (failed or tries)[0]
    last = shown[-1]
    description: dict[str, Any] = {
        "Attempts": [_attempt(order, ended) for ended in shown],
        "Container": _container(order, last),
        "CreatedAt": created,
        "DependsOn": [],
        "JobArn": order.arn,
        "JobDefinition": parameters.get("JobDefinition"),
        "JobId": order.id,
        "JobName": order.name,
        "JobQueue": parameters.get("JobQueue"),
        "Parameters": parameters.get("Parameters") or {},
        "StartedAt": min(exits[0].started_ms for exits in tries),
        "Status": "FAILED" if failed else "SUCCEEDED",
        "StatusReason": _reason(last),
        "StoppedAt": max(exits[-1].stopped_ms for exits in tries),
        "Tags": parameters.get("Tags") or {},
    }
    if size:
        counts = {"FAILED": len(failed), "SUCCEEDED": size - len(failed)}
        description["ArrayProperties"] = {"Size": size, "StatusSummary": counts}
        description["StatusReason"] = "Array Child Job failed" if failed else "Array Child Jobs succeeded"
    return description


def _attempt(order: JobOrder, ended: Exit) -> dict[str, Any]:
    return {
        "Container": {"ExitCode": ended.code, "LogStreamName": log_stream(order)},
        "StartedAt": ended.started_ms,
        "StatusReason": _reason(ended),
        "StoppedAt": ended.stopped_ms,
    }


def _container(order: JobOrder, ended: Exit) -> dict[str, Any]:
    overrides = order.parameters.get("ContainerOverrides") or {}
    return {
        "Command": overrides.get("Command") or list(order.binding.command or ()),
        "Environment": overrides.get("Environment") or [],
        "ExitCode": ended.code,
        "Image": order.binding.image,
        "LogStreamName": log_stream(order),
        "ResourceRequirements": overrides.get("ResourceRequirements") or [],
    }


def _last(arn: str) -> str:
    return arn.rpartition("/")[2] or arn
