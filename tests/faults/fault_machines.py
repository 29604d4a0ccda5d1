"""The state machines of the load, and what each execution of them must come to."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

REGION = "us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/faults"
WORK, RELAY = (f"arn:aws:states:{REGION}:activity:{name}" for name in ("work", "relay"))
HEARTBEAT_S = 6
"""A task whose worker never got it, or could not answer, comes again after this."""


def machine_arn(name: str) -> str:
    return f"arn:aws:states:{REGION}:stateMachine:{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One execution to be."""

    kind: str
    variant: str
    """Executions of one kind and variant have the same events, but for what workers and faults add."""
    input: dict[str, Any]


def draw(rng: random.Random, number: int) -> Job:
    """A random one."""
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    return job(kind, rng.choice(VARIANTS[kind]), number)


def job(kind: str, variant: str, number: int) -> Job:
    given: dict[str, Any] = {"x": number}
    match kind:
        case "chain" | "nested" | "express":
            given["rounds"] = int(variant)
        case "wait":
            given["seconds"] = int(variant)
        case "map" | "distributed":
            given = {"items": [number + place for place in range(20)]}
        case "activity":
            given["plan"] = variant
    return Job(kind=kind, variant=variant, input=given)


VARIANTS: dict[str, tuple[str, ...]] = {
    "chain": ("3", "8"),
    "wait": ("1", "2", "3"),
    "map": ("20",),
    "distributed": ("20",),
    "function": ("",),
    "activity": ("fine", "flaky", "doomed"),
    "callback": ("",),
    "nested": ("2",),
    "caught": ("",),
    "failing": ("",),
    "overdue": ("",),
    "stopped": ("",),
    "redriven": ("",),
    "updated": ("",),
    "express": ("4",),
}
_WEIGHTS = {
    "chain": 6,
    "wait": 5,
    "map": 3,
    "distributed": 2,
    "function": 2,
    "activity": 8,
    "callback": 3,
    "nested": 4,
    "caught": 3,
    "failing": 2,
    "overdue": 1,
    "stopped": 3,
    "redriven": 3,
    "updated": 3,
    "express": 2,
}


def expected(job: Job) -> tuple[str, Any]:
    """Status and output; for outputs that a worker signs, what it must hold (see `agrees`)."""
    given = job.input
    match job.kind:
        case "chain" | "express":
            return "SUCCEEDED", {"count": given["rounds"], "rounds": given["rounds"], "x": given["x"]}
        case "nested":
            return "SUCCEEDED", {"count": given["rounds"], "x": given["x"], "status": "SUCCEEDED"}
        case "wait":
            return "SUCCEEDED", given
        case "map" | "distributed":
            return "SUCCEEDED", [item * 2 for item in given["items"]]
        case "activity" if job.variant == "doomed":
            return "SUCCEEDED", {**given, "error": {"Error": "Doomed", "Cause": f"by plan {given['x']}"}}
        case "activity":
            return "SUCCEEDED", {**given, "result": {"doubled": given["x"] * 2}}
        case "redriven":
            return "SUCCEEDED", {**given, "result": {"doubled": given["x"] * 2}}
        case "callback":
            return "SUCCEEDED", {"tripled": given["x"] * 3}
        case "function":
            return "SUCCEEDED", {"doubled": given["x"] * 2}
        case "caught":
            return "SUCCEEDED", {"Error": "Boom", "Cause": "as it must"}
        case "updated":
            return "SUCCEEDED", {"revision": None}
        case "failing":
            return "FAILED", None
        case "overdue":
            return "TIMED_OUT", None
        case "stopped":
            return "ABORTED", None
    raise AssertionError(job.kind)


def agrees(job: Job, output: Any) -> bool:
    """Is this the output? Signatures of workers and the numbers of revisions are looked at elsewhere."""
    return bool(_bare(output) == _bare(expected(job)[1]))


def _bare(output: Any) -> Any:
    if isinstance(output, dict):
        return {
            name: None if name == "revision" else _bare(value) for name, value in output.items() if name != "signed"
        }
    return output


def definitions() -> dict[str, dict[str, Any]]:
    """By name; those that others call come first."""
    return {
        "chain": _chain(),
        "relay": _relay(),
        "wait": _states(W={"Type": "Wait", "SecondsPath": "$.seconds", "End": True}),
        "map": _map({"Mode": "INLINE"}),
        "distributed": _map({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}),
        "function": _states(
            F={"Type": "Task", "Resource": f"arn:aws:lambda:{REGION}:function:double", "Retry": [LOST], "End": True}
        ),
        "activity": _activity(),
        "redriven": _redriven(),
        "callback": _callback(),
        "nested": _nested(),
        "caught": _caught(),
        "failing": _states(F={"Type": "Fail", "Error": "Nope", "Cause": "because"}),
        "overdue": {**_states(W={"Type": "Wait", "Seconds": 3600, "End": True}), "TimeoutSeconds": 2},
        "stopped": _states(W={"Type": "Wait", "Seconds": 86_400, "End": True}),
        "updated": revision(0),
        "express": _chain(),
    }


def revision(number: int) -> dict[str, Any]:
    return _states(P={"Type": "Pass", "Result": {"revision": number}, "End": True})


def text(definition: dict[str, Any]) -> str:
    return json.dumps(definition)


def _states(**states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def _chain() -> dict[str, Any]:
    kept = {"rounds.$": "$.rounds", "x.$": "$.x"}
    return _states(
        Begin={"Type": "Pass", "Parameters": {"count": 0, **kept}, "Next": "Add"},
        Add={"Type": "Pass", "Parameters": {"count.$": "States.MathAdd($.count, 1)", **kept}, "Next": "Enough"},
        Enough={
            "Type": "Choice",
            "Choices": [{"Variable": "$.count", "NumericGreaterThanEqualsPath": "$.rounds", "Next": "Done"}],
            "Default": "Add",
        },
        Done={"Type": "Succeed"},
    )


def _map(mode: dict[str, str]) -> dict[str, Any]:
    item = _states(
        Pause={"Type": "Wait", "Seconds": "{% $states.input % 5 = 0 ? 1 : 0 %}", "Next": "Double"},
        Double={"Type": "Pass", "Output": "{% $states.input * 2 %}", "End": True},
    )
    return {
        "QueryLanguage": "JSONata",
        **_states(
            All={
                "Type": "Map",
                "Items": "{% $states.input.items %}",
                "MaxConcurrency": 7,
                "ItemProcessor": {"ProcessorConfig": mode, **item},
                "End": True,
            }
        ),
    }


def _work() -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": WORK,
        "Parameters": {
            "x.$": "$.x",
            "attempt.$": "$$.State.RetryCount",
            "redrive.$": "$$.Execution.RedriveCount",
            "execution.$": "$$.Execution.Id",
        },
        "HeartbeatSeconds": HEARTBEAT_S,
        "TimeoutSeconds": 3600,
        "ResultPath": "$.result",
    }


def _again(*errors: str, most: int = 99) -> dict[str, Any]:
    return {"ErrorEquals": list(errors), "IntervalSeconds": 1, "MaxAttempts": most, "BackoffRate": 1.0}


LOST = _again("States.Timeout", "States.HeartbeatTimeout")


def _activity() -> dict[str, Any]:
    work = _work()
    work["Parameters"] = {**work["Parameters"], "plan.$": "$.plan"}
    work["Retry"] = [_again("Flaky", most=50), LOST]
    work["Catch"] = [{"ErrorEquals": ["Doomed"], "ResultPath": "$.error", "Next": "Done"}]
    return _states(Work={**work, "Next": "Done"}, Done={"Type": "Succeed"})


def _redriven() -> dict[str, Any]:
    work = _work()
    work["Parameters"] = {**work["Parameters"], "plan": "redriven"}
    return _states(
        First={"Type": "Pass", "Next": "Work"},
        Work={**work, "Retry": [LOST], "Next": "Done"},
        Done={"Type": "Succeed"},
    )


def _relay() -> dict[str, Any]:
    relay = {"Type": "Task", "Resource": RELAY, "HeartbeatSeconds": HEARTBEAT_S, "TimeoutSeconds": 3600}
    return _states(Relay={**relay, "Retry": [LOST], "End": True})


def _callback() -> dict[str, Any]:
    return _states(
        Ask={
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.waitForTaskToken",
            "Parameters": {
                "StateMachineArn": machine_arn("relay"),
                "Input": {"token.$": "$$.Task.Token", "x.$": "$.x"},
            },
            "TimeoutSeconds": 3600,
            "End": True,
        }
    )


def _nested() -> dict[str, Any]:
    return _states(
        Call={
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {
                "StateMachineArn": machine_arn("chain"),
                "Input": {"rounds.$": "$.rounds", "x.$": "$.x"},
            },
            "ResultSelector": {"count.$": "$.Output.count", "x.$": "$.Output.x", "status.$": "$.Status"},
            "End": True,
        }
    )


def _caught() -> dict[str, Any]:
    boom = _states(
        Pause={"Type": "Wait", "Seconds": 1, "Next": "Boom"},
        Boom={"Type": "Fail", "Error": "Boom", "Cause": "as it must"},
    )
    return _states(
        Both={
            "Type": "Parallel",
            "Branches": [boom, _states(Long={"Type": "Wait", "Seconds": 60, "End": True})],
            "Retry": [_again("Boom", most=1)],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Done"}],
            "Next": "Done",
        },
        Done={"Type": "Succeed"},
    )
