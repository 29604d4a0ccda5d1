"""Random pipelines whose answer does not depend on timing: whole numbers in, a whole number out."""

from __future__ import annotations

import json
import random
from typing import Any

from skylift.testing.virtual import TaskError

SKYLIFT = "arn:aws:states:::skylift:"
START = "arn:aws:states:::states:startExecution.sync:2"


def add(arguments: dict[str, Any]) -> int:
    return int(arguments["n"] * 3 + arguments["k"]) % 1009


def flaky(arguments: dict[str, Any]) -> int:
    """Fails as often as it is told to; only the user's own Retry counts, never the engine's tries."""
    if arguments["try"] < arguments["fails"]:
        raise TaskError("Flaky", "not yet", ("Exception",))
    return int(arguments["n"] + 1) % 1009


def boom(arguments: dict[str, Any]) -> int:
    raise TaskError("Boom", "as always", ("ValueError", "Exception"))


TASKS = {"add": add, "flaky": flaky, "boom": boom}


class Generator:
    """Documents from a source of randomness."""

    def __init__(self, rng: random.Random, nested: bool) -> None:
        self._rng = rng
        self._count = 0
        self._kinds = ["add", "add", "flaky", "caught", "wait", "loop", "parallel", "map", "distributed"]
        if nested:
            self._kinds.append("nested")

    def document(self) -> bytes:
        flow = self._flow(0)
        return json.dumps({"QueryLanguage": "JSONata", **flow}).encode()

    def _flow(self, depth: int) -> dict[str, Any]:
        states: dict[str, Any] = {}
        steps = [self._step(depth) for _ in range(self._rng.randint(1, 4 - depth))]
        firsts = [first for first, _, _ in steps]
        for (_, last, made), following in zip(steps, [*firsts[1:], None], strict=True):
            states |= made
            states[last] |= {"End": True} if following is None else {"Next": following}
        return {"StartAt": firsts[0], "States": states}

    def _step(self, depth: int) -> tuple[str, str, dict[str, Any]]:
        """Name of the first state, of the last one, and all of them."""
        kinds = [kind for kind in self._kinds if depth < 2 or kind not in ("parallel", "map", "distributed")]
        kind = self._rng.choice(kinds)
        self._count += 1
        name = f"{kind}{self._count}"
        if kind == "loop":
            return self._loop(name)
        if kind == "caught":
            return self._caught(name)
        return name, name, {name: getattr(self, f"_{kind}")(depth)}

    def _task(self, task: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"Type": "Task", "Resource": SKYLIFT + task, "Arguments": arguments, **more}

    def _add(self, depth: int) -> dict[str, Any]:
        return self._task("add", {"n": "{% $states.input %}", "k": self._rng.randint(0, 9)})

    def _flaky(self, depth: int) -> dict[str, Any]:
        fails = self._rng.randint(0, 2)
        arguments = {"n": "{% $states.input %}", "try": "{% $states.context.State.RetryCount %}", "fails": fails}
        retry = {"ErrorEquals": ["Exception"], "MaxAttempts": 3, "IntervalSeconds": self._rng.randint(1, 3)}
        return self._task("flaky", arguments, Retry=[retry])

    def _caught(self, name: str) -> tuple[str, str, dict[str, Any]]:
        """A failing task inside a Parallel, caught around it."""
        failing, end = f"{name}_boom", f"{name}_end"
        flow = {"StartAt": failing, "States": {failing: self._task("boom", {}, End=True)}}
        catch = {"ErrorEquals": ["ValueError"], "Output": self._rng.randint(0, 9), "Next": end}
        outer = {"Type": "Parallel", "Branches": [flow], "Output": 0, "Catch": [catch], "Next": end}
        return name, end, {name: outer, end: {"Type": "Pass"}}

    def _wait(self, depth: int) -> dict[str, Any]:
        return {"Type": "Wait", "Seconds": self._rng.randint(0, 20)}

    def _parallel(self, depth: int) -> dict[str, Any]:
        branches = [self._flow(depth + 1) for _ in range(self._rng.randint(1, 3))]
        return {"Type": "Parallel", "Branches": branches, "Output": "{% $sum($states.result) % 1009 %}"}

    def _map(self, depth: int) -> dict[str, Any]:
        flow = self._flow(depth + 1)
        items = f"{{% [1..{self._rng.randint(1, 4)}] %}}"
        output = "{% $sum($states.result) % 1009 %}"
        more = {"MaxConcurrency": self._rng.randint(1, 3)} if self._rng.random() < 0.5 else {}
        return {"Type": "Map", "Items": items, "ItemProcessor": flow, "Output": output, **more}

    def _distributed(self, depth: int) -> dict[str, Any]:
        made = self._map(depth)
        made["ItemProcessor"]["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        return made

    def _nested(self, depth: int) -> dict[str, Any]:
        machine = "arn:aws:states:local:000000000000:stateMachine:child"
        return {
            "Type": "Task",
            "Resource": START,
            "Arguments": {"StateMachineArn": machine, "Input": "{% $states.input %}"},
            "Output": "{% $states.result.Output %}",
        }

    def _loop(self, name: str) -> tuple[str, str, dict[str, Any]]:
        counter, body, test, end = f"i_{name}", f"{name}_body", f"{name}_test", f"{name}_end"
        rounds = self._rng.randint(1, 3)
        states = {
            name: {"Type": "Pass", "Assign": {counter: 0}, "Next": test},
            test: {
                "Type": "Choice",
                "Choices": [{"Condition": f"{{% ${counter} < {rounds} %}}", "Next": body}],
                "Default": end,
            },
            body: {**self._add(0), "Assign": {counter: f"{{% ${counter} + 1 %}}"}, "Next": test},
            end: {"Type": "Pass"},
        }
        return name, end, states
