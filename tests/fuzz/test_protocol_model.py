"""A client does whatever comes into its mind; what the server shows must agree with a simple model of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz_server import Target, nothing_leaks
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from server_harness import until

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

HEAD = "arn:aws:states:us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/x"
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
names = st.sampled_from(["a", "b", "c"])


def flow(**state: Any) -> str:
    return json.dumps({"StartAt": "S", "States": {"S": {**state, "End": True} if state["Type"] != "Fail" else state}})


DEFINITIONS = {
    "pass": flow(Type="Pass", Result=1),
    "fail": flow(Type="Fail", Error="E", Cause="c"),
    "wait": flow(Type="Wait", Seconds=10**6),
    "ask": flow(Type="Task", Resource=f"{HEAD}:activity:work"),
}


class Client(RuleBasedStateMachine):
    """The model: names of machines with their definitions, versions, aliases, executions with how they must stand."""

    server: Target
    round = 0
    machines = Bundle("machines")
    versions = Bundle("versions")
    executions = Bundle("executions")
    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        Client.round += 1
        self.prefix = f"r{Client.round}-"
        self.known: dict[str, str] = {}
        self.published: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.status: dict[str, str] = {}
        self.of: dict[str, str] = {}
        self.offered = 0

    def ask(self, action: str, **request: Any) -> dict[str, Any]:
        status, answer = self.server.ask(action, request)
        assert status == 200, (action, request, answer)
        return answer

    def refused(self, action: str, code: str, **request: Any) -> None:
        status, answer = self.server.ask(action, request)
        assert (status, answer.get("__type")) == (400, code), (action, request, answer)

    @rule(target=machines, name=names, kind=st.sampled_from(sorted(DEFINITIONS)))
    def create(self, name: str, kind: str) -> str:
        arn = f"{HEAD}:stateMachine:{self.prefix}{name}"
        request = {"name": self.prefix + name, "definition": DEFINITIONS[kind], "roleArn": ROLE}
        if self.known.get(arn, kind) != kind:
            self.refused("CreateStateMachine", "StateMachineAlreadyExists", **request)
        else:
            assert self.ask("CreateStateMachine", **request)["stateMachineArn"] == arn
            self.known[arn] = kind
            self.published.setdefault(arn, [])
        return arn

    @rule(machine=machines, kind=st.sampled_from(sorted(DEFINITIONS)))
    def update(self, machine: str, kind: str) -> None:
        if machine not in self.known:
            self.refused(
                "UpdateStateMachine", "StateMachineDoesNotExist", stateMachineArn=machine, definition=DEFINITIONS[kind]
            )
            return
        changed = self.ask("UpdateStateMachine", stateMachineArn=machine, definition=DEFINITIONS[kind])
        assert ("revisionId" in changed) == (self.known[machine] != kind)
        self.known[machine] = kind

    @rule(machine=machines)
    def delete(self, machine: str) -> None:
        self.ask("DeleteStateMachine", stateMachineArn=machine)
        self.known.pop(machine, None)
        for version in self.published.pop(machine, []):
            self.aliases = {alias: of for alias, of in self.aliases.items() if of != version}

    @rule(target=versions, machine=machines)
    def publish(self, machine: str) -> Any:
        if machine not in self.known:
            self.refused("PublishStateMachineVersion", "StateMachineDoesNotExist", stateMachineArn=machine)
            return multiple()
        arn = self.ask("PublishStateMachineVersion", stateMachineArn=machine)["stateMachineVersionArn"]
        if arn not in self.published[machine]:
            self.published[machine].append(arn)
        return arn

    @rule(version=versions)
    def alias(self, version: str) -> None:
        machine = version.rpartition(":")[0]
        alias = f"{machine}:live"
        route = [{"stateMachineVersionArn": version, "weight": 100}]
        if version not in self.published.get(machine, []):
            status, answer = self.server.ask("CreateStateMachineAlias", {"name": "live", "routingConfiguration": route})
            assert status == 400, answer
        elif alias not in self.aliases:
            assert (
                self.ask("CreateStateMachineAlias", name="live", routingConfiguration=route)["stateMachineAliasArn"]
                == alias
            )
            self.aliases[alias] = version
        else:
            self.ask("UpdateStateMachineAlias", stateMachineAliasArn=alias, routingConfiguration=route)
            self.aliases[alias] = version

    @rule(version=versions)
    def delete_version(self, version: str) -> None:
        machine = version.rpartition(":")[0]
        if version in self.aliases.values():
            self.refused("DeleteStateMachineVersion", "ConflictException", stateMachineVersionArn=version)
            return
        self.ask("DeleteStateMachineVersion", stateMachineVersionArn=version)
        if version in self.published.get(machine, []):
            self.published[machine].remove(version)

    @rule(target=executions, machine=machines, name=names)
    def start(self, machine: str, name: str) -> Any:
        if machine not in self.known:
            self.refused("StartExecution", "StateMachineDoesNotExist", stateMachineArn=machine, name=name)
            return multiple()
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        status, answer = self.server.ask("StartExecution", {"stateMachineArn": machine, "name": name, "input": "{}"})
        if arn in self.status:
            assert (status == 200) == (self.status[arn] == "RUNNING"), (answer, self.status[arn])
            return arn
        assert (status, answer.get("executionArn")) == (200, arn), answer
        kind = self.known[machine]
        self.of[arn] = kind
        self.status[arn] = {"pass": "SUCCEEDED", "fail": "FAILED"}.get(kind, "RUNNING")
        self.offered += kind == "ask"
        return arn

    @rule(execution=executions)
    def stop(self, execution: str) -> None:
        status, answer = self.server.ask("StopExecution", {"executionArn": execution, "error": "Stop", "cause": "x"})
        assert status == 200, answer
        if self.status[execution] == "RUNNING":
            self.status[execution] = "ABORTED"
            self.offered -= self.of[execution] == "ask"

    @rule(execution=executions)
    def redrive(self, execution: str) -> None:
        status, answer = self.server.ask("RedriveExecution", {"executionArn": execution})
        machine = execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]
        if self.status[execution] in ("RUNNING", "SUCCEEDED"):
            assert status == 400, answer
        elif status == 200:
            kind = self.of[execution]
            self.status[execution] = "FAILED" if kind == "fail" else "RUNNING"
            self.offered += kind == "ask"
        else:
            assert machine not in self.known or answer["__type"] == "ExecutionNotRedrivable", answer

    @rule(target=tasks)
    def poll(self) -> Any:
        if (
            not any(kind == "ask" and self.status[one] == "RUNNING" for one, kind in self.of.items())
            or self.offered <= 0
        ):
            return multiple()
        given = self.ask("GetActivityTask", activityArn=f"{HEAD}:activity:work")
        if not given.get("taskToken"):
            return multiple()
        self.offered -= 1
        return given["taskToken"]

    @rule(token=consumes(tasks), good=st.booleans())
    def answer(self, token: str, good: bool) -> None:
        if good:
            status, answer = self.server.ask("SendTaskSuccess", {"taskToken": token, "output": "2"})
        else:
            status, answer = self.server.ask("SendTaskFailure", {"taskToken": token, "error": "No"})
        if status != 200:
            assert answer["__type"] == "TaskTimedOut", answer
            return
        running = [one for one, kind in self.of.items() if kind == "ask" and self.status[one] == "RUNNING"]

        def look() -> list[str]:
            return [one for one in running if self.ask("DescribeExecution", executionArn=one)["status"] != "RUNNING"]

        (ended,) = until(look, 60)
        self.status[ended] = "SUCCEEDED" if good else "FAILED"

    @invariant()
    def machines_are_listed(self) -> None:
        found = {one["stateMachineArn"] for one in self.pages("ListStateMachines", "stateMachines")}
        assert {arn for arn in found if f":{self.prefix}" in arn} == set(self.known)
        for machine in self.known:
            listed = self.pages("ListStateMachineVersions", "stateMachineVersions", stateMachineArn=machine)
            assert {one["stateMachineVersionArn"] for one in listed} == set(self.published[machine])

    @invariant()
    def executions_stand_as_they_must(self) -> None:
        for arn, status in self.status.items():
            found = until(lambda arn=arn, status=status: self.at(arn, status), 60)
            assert ("stopDate" in found) == (status != "RUNNING")

    def at(self, execution: str, status: str) -> dict[str, Any] | None:
        found = self.ask("DescribeExecution", executionArn=execution)
        assert found["status"] in ("RUNNING", status), (found, status)
        return found if found["status"] == status else None

    def pages(self, action: str, member: str, **request: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = self.ask(action, maxResults=3, **request, **token)
            found += page[member]
            if "nextToken" not in page:
                return found
            assert len(page[member]) <= 3
            token = {"nextToken": page["nextToken"]}

    def teardown(self) -> None:
        for machine in self.known:
            for one in self.pages("ListExecutions", "executions", stateMachineArn=machine):
                assert self.status[one["executionArn"]] == one["status"]
        for arn, status in self.status.items():
            check_history(self.server, arn, status)
            if status == "RUNNING":
                self.ask("StopExecution", executionArn=arn)


def check_history(server: Target, execution: str, status: str) -> None:
    """Without gaps, and with one end of each try."""
    events: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        code, page = server.ask("GetExecutionHistory", {"executionArn": execution, "maxResults": 7, **token})
        assert code == 200, page
        events += page["events"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert [one["id"] for one in events] == list(range(1, len(events) + 1))
    assert all(one.get("previousEventId", 0) < one["id"] for one in events)
    kinds = [one["type"] for one in events]
    assert kinds[0] == "ExecutionStarted"
    ends = [
        kind
        for kind in kinds
        if kind in ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")
    ]
    assert len(ends) == kinds.count("ExecutionRedriven") + (status != "RUNNING")
    assert (kinds[-1] in ends) == (status != "RUNNING")


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as home, Target(Path(home)) as server:
        assert server.ask("CreateActivity", {"name": "work"})[0] == 200
        yield server
        server.healthy()


def play(server: Target, examples: int, steps: int) -> None:
    Client.server = server
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    with nothing_leaks():
        run_state_machine_as_test(Client, settings=chosen)


def test_a_client_with_ideas(server: Target) -> None:
    play(server, 12, 25)


@pytest.mark.slow
def test_many_clients_with_ideas(server: Target) -> None:
    play(server, 150, 50)
