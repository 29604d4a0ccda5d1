"""Every action of the Step Functions API with every id of another account: nothing is told, nothing changes.

The ids are real ones: of state machines, versions, aliases, executions, children, Map Runs, activities, task tokens and
pages. What belongs to another account answers exactly as what does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, REGION, ROLE, THEIRS, Answer, Tenant, issue

from skylift.server.stepfunctions.endpoint import all_actions
from skylift.server.stepfunctions.shapes import REQUESTS
from skylift.testing.server import running_server

MARK = "s3cr3tmark"
PASS = {"StartAt": "A", "Comment": MARK, "States": {"A": {"Type": "Pass", "Result": MARK, "End": True}}}
CHILD = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "Child",
    "States": {"Child": {"Type": "Pass", "End": True}},
}
TAKES = ("stateMachineArn", "stateMachineAliasArn", "stateMachineVersionArn", "executionArn", "mapRunArn",
         "activityArn", "resourceArn")  # fmt: skip
"""Members that take an id."""
OTHER_MEMBERS: dict[str, Any] = {
    "output": "{}",
    "tags": [{"key": "stolen", "value": "yes"}],
    "tagKeys": ["owner"],
    "name": "made",
    "definition": json.dumps({"StartAt": "X", "States": {"X": {"Type": "Succeed"}}}),
    "roleArn": ROLE,
    "maxConcurrency": 7,
    "description": "changed",
}
NAMELESS = {"CreateActivity", "CreateStateMachine", "ListActivities", "ListStateMachines", "TestState",
            "ValidateStateMachineDefinition"}  # fmt: skip
"""Actions that name nothing that exists."""
DONE_ALREADY = {"DeleteActivity", "DeleteStateMachine", "DeleteStateMachineAlias", "DeleteStateMachineVersion"}
"""Answer 200 for what is not there."""


class Vault:
    """What the other account has."""

    def __init__(self, owner: Tenant) -> None:
        self.owner = owner
        self.activity = self.ok("CreateActivity", {"name": f"work-{MARK}"})["activityArn"]
        waits = {"Type": "Task", "Resource": self.activity, "End": True}
        self.machine = owner.machine(
            f"vault-{MARK}", {"StartAt": "W", "Comment": MARK, "States": {"W": waits}}, publish=True
        )
        self.ok("TagResource", {"resourceArn": self.machine, "tags": [{"key": "owner", "value": MARK}]})
        self.ok("TagResource", {"resourceArn": self.activity, "tags": [{"key": "owner", "value": MARK}]})
        self.version = f"{self.machine}:1"
        routing = [{"stateMachineVersionArn": self.version, "weight": 100}]
        self.alias = self.ok("CreateStateMachineAlias", {"name": "live", "routingConfiguration": routing})[
            "stateMachineAliasArn"
        ]
        self.running = self.start(self.machine, "first")
        self.token = self.ok("GetActivityTask", {"activityArn": self.activity})["taskToken"]
        self.waiting = self.start(self.machine, "second")
        failing = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": MARK}}}
        self.failed = owner.executed(owner.machine(f"fails-{MARK}", failing), {"mark": MARK})["executionArn"]
        maps = {"Type": "Map", "Label": "each", "ItemProcessor": CHILD, "End": True}
        mapping = owner.machine(f"maps-{MARK}", {"StartAt": "M", "States": {"M": maps}})
        self.mapped = owner.executed(mapping, [{"mark": MARK}, 2])["executionArn"]
        self.map_run = self.ok("ListMapRuns", {"executionArn": self.mapped})["mapRuns"][0]["mapRunArn"]
        self.child = self.ok("ListExecutions", {"mapRunArn": self.map_run})["executions"][0]["executionArn"]
        self.express = owner.machine(f"express-{MARK}", PASS, type="EXPRESS")
        self.expressed = self.ok("StartSyncExecution", {"stateMachineArn": self.express})["executionArn"]

    def ok(self, action: str, request: dict[str, Any]) -> Any:
        answer = self.owner.act(action, request)
        assert answer.status == 200, (action, request, answer.body)
        return answer.json

    def start(self, machine: str, name: str) -> str:
        request = {"stateMachineArn": machine, "name": name, "input": json.dumps({"mark": MARK})}
        return str(self.ok("StartExecution", request)["executionArn"])

    @property
    def ids(self) -> dict[str, str]:
        names = ("machine", "version", "alias", "activity", "running", "waiting", "failed", "mapped", "map_run",
                 "child", "express", "expressed")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, Any]:
        """All that the owner sees of it."""
        asked = [("DescribeExecution", {"executionArn": arn}) for arn in (self.running, self.waiting, self.failed)]
        asked += [("DescribeExecution", {"executionArn": self.mapped}), ("ListStateMachines", {})]
        asked += [("DescribeMapRun", {"mapRunArn": self.map_run}), ("ListActivities", {})]
        for machine in (self.machine, self.express):
            for action in ("DescribeStateMachine", "ListStateMachineVersions", "ListStateMachineAliases"):
                asked.append((action, {"stateMachineArn": machine}))
            asked.append(("ListTagsForResource", {"resourceArn": machine}))
        asked += [("ListTagsForResource", {"resourceArn": self.activity})]
        asked += [("ListExecutions", {"stateMachineArn": self.machine})]
        asked += [("DescribeStateMachineAlias", {"stateMachineAliasArn": self.alias})]
        return {f"{action} {request}": self.ok(action, request) for action, request in asked}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tenant, Vault]]:
    home, store = tmp_path_factory.mktemp("tenants"), None
    if request.param == "postgres":
        postgres = request.getfixturevalue("_postgres")
        postgres.start()
        store = postgres.create_database()
    mine, theirs = issue(home, MINE, store=store), issue(home, THEIRS, store=store)
    with running_server(home, store=store, auth="required") as server:
        yield Tenant(server.url, mine), Vault(Tenant(server.url, theirs))


def requests_of(action: str, member: str, value: Any) -> dict[str, Any]:
    """The smallest request with this id."""
    shape = REQUESTS[action]
    given = {name: OTHER_MEMBERS[name] for name in shape.of if name in shape.required and name in OTHER_MEMBERS}
    if action in ("UpdateStateMachine", "UpdateMapRun", "UpdateStateMachineAlias"):
        given |= {name: OTHER_MEMBERS[name] for name in shape.of if name in OTHER_MEMBERS}
    return {**given, member: value}


CASES = [(action, member) for action in sorted(all_actions()) for member in TAKES if member in REQUESTS[action].of]


def test_no_action_is_forgotten() -> None:
    with_token = {action for action in REQUESTS if "taskToken" in REQUESTS[action].of}
    covered = {action for action, _ in CASES} | with_token | NAMELESS | {"CreateStateMachineAlias"}
    assert covered == set(all_actions()) == set(REQUESTS)


def no_such(arn: str) -> str:
    """An id like it of what that account does not have."""
    return arn.replace(MARK, "n0tth3re00").replace(":second", ":zecond").replace(":first", ":fyrst")


def told(answer: Answer, arn: str) -> tuple[int, str]:
    """What the answer says, without the id that was asked for."""
    shown = answer.body.decode().replace(arn, "ARN").replace(no_such(arn), "ARN")
    assert THEIRS not in shown.replace(ROLE, ""), shown
    return answer.status, shown


@pytest.mark.parametrize(("action", "member"), CASES)
def test_what_is_anothers_does_not_exist(world: tuple[Tenant, Vault], action: str, member: str) -> None:
    mine, vault = world
    for name, arn in vault.ids.items():
        answer = mine.act(action, requests_of(action, member, arn))
        nothing = mine.act(action, requests_of(action, member, no_such(arn)))
        assert answer.status == (200 if action in DONE_ALREADY and answer.status == 200 else 400), answer.body
        assert MARK not in answer.body.decode().replace(arn, "").replace(arn.split(":")[6], ""), (name, answer.body)
        if name not in ("map_run", "child"):  # their names lead back to a run: others have no such name to compare
            assert told(answer, arn) == told(nothing, arn), (name, answer.body, nothing.body)


def test_tokens_of_tasks(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    run, _, local = vault.token.partition(":")
    for action, more in (
        ("SendTaskSuccess", {"output": '"stolen"'}),
        ("SendTaskFailure", {"error": "stolen"}),
        ("SendTaskHeartbeat", {}),
    ):
        for token in (vault.token, f"{run}:0-0", f"{run.upper()}:{local}", f" {vault.token}", f"{vault.token} "):
            answer = mine.act(action, {"taskToken": token, **more})
            assert answer.status == 400, answer.body
            assert answer.kind in ("TaskDoesNotExist", "InvalidToken", "TaskTimedOut"), answer.body
        existing = mine.act(action, {"taskToken": vault.token, **more})
        nothing = mine.act(action, {"taskToken": f"{'a' * 16}:{local}", **more})
        assert (existing.status, existing.body) == (nothing.status, nothing.body)
        operator_token = vault.owner.act("SendTaskHeartbeat", {"taskToken": vault.token})
        assert operator_token.status == 200, "the task has been answered"


def test_pages_of_others(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    own = mine.machine("own", PASS)
    mine.machine("own2", PASS)
    for _ in range(2):
        mine.executed(own)
    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("ListStateMachines", {}, {}),
        ("ListExecutions", {"stateMachineArn": vault.machine}, {"stateMachineArn": own}),
        ("ListExecutions", {"mapRunArn": vault.map_run}, {"mapRunArn": vault.map_run}),
        ("GetExecutionHistory", {"executionArn": vault.failed}, {"executionArn": vault.failed}),
    ]
    for action, theirs, ours in asked:
        page = vault.ok(action, {**theirs, "maxResults": 1})
        assert "nextToken" in page, (action, page)
        answer = mine.act(action, {**ours, "maxResults": 1, "nextToken": page["nextToken"]})
        assert answer.status == 400, answer.body
        assert MARK not in answer.body.decode().replace(str(*theirs.values()) if theirs else "", "")


def test_an_alias_cannot_lead_to_anothers_version(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    own = mine.machine("published", PASS, publish=True)
    for version in (vault.version, f"{vault.express}:1"):
        routing = [{"stateMachineVersionArn": version, "weight": 100}]
        made = mine.act("CreateStateMachineAlias", {"name": "steal", "routingConfiguration": routing})
        assert made.status == 400, made.body
        both = [{"stateMachineVersionArn": f"{own}:1", "weight": 50}, {**routing[0], "weight": 50}]
        made = mine.act("CreateStateMachineAlias", {"name": "steal", "routingConfiguration": both})
        assert made.status == 400, made.body


NESTED = [
    f"arn:aws:states:::{name}"
    for name in (
        "states:startExecution",
        "states:startExecution.sync",
        "states:startExecution.sync:2",
        "states:startExecution.waitForTaskToken",
        "aws-sdk:sfn:startExecution",
        "aws-sdk:sfn:startExecution.waitForTaskToken",
        "aws-sdk:sfn:startSyncExecution",
        "aws-sdk:sfn:describeExecution",
        "aws-sdk:sfn:stopExecution",
        "aws-sdk:sfn:sendTaskSuccess",
        "aws-sdk:sfn:getActivityTask",
    )
]


@pytest.mark.parametrize("resource", NESTED)
def test_a_definition_cannot_reach_over(world: tuple[Tenant, Vault], resource: str) -> None:
    mine, vault = world
    name = resource.rpartition(":::")[2].replace(":", "-").replace(".", "-")
    for number, arn in enumerate((vault.machine, vault.version, vault.alias, vault.express)):
        arguments = {"StateMachineArn": arn, "ExecutionArn": vault.running, "TaskToken": vault.token, "Output": "{}"}
        if "startExecution" in resource or "startSync" in resource:
            arguments = {"StateMachineArn": arn, "Input": {"token": "t"}}
        state = {"Type": "Task", "Resource": resource, "Parameters": arguments, "End": True}
        made = mine.act(
            "CreateStateMachine",
            {"name": f"{name}-{number}", "definition": json.dumps(_states(state)), "roleArn": ROLE},
        )
        if made.status != 200:
            assert made.kind == "InvalidDefinition"
            continue
        ended = mine.executed(made.json["stateMachineArn"])
        assert ended["status"] == "FAILED", ended
        assert MARK not in ended.get("cause", "").replace(arn, "")
        assert ended["error"] in (
            "StepFunctions.StateMachineDoesNotExistException",
            "Sfn.StateMachineDoesNotExistException",
            "States.Permissions",
        ), ended


def test_anothers_activity_as_a_resource(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    state = {"Type": "Task", "Resource": vault.activity, "TimeoutSeconds": 5, "End": True}
    ended = mine.executed(mine.machine("feeds", _states(state)), "poison")
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime"), ended
    dynamic = {"Type": "Task", "Resource": f"arn:aws:states:{REGION}:{MINE}:activity:work-{MARK}", "End": True}
    assert mine.executed(mine.machine("feeds2", _states(dynamic)))["status"] == "FAILED"


def test_the_other_account_has_noticed_nothing(world: tuple[Tenant, Vault]) -> None:
    """Last in this file: all the attacks are over."""
    mine, vault = world
    before = vault.state()
    for action, member in CASES:
        for arn in vault.ids.values():
            mine.act(action, requests_of(action, member, arn))
    assert vault.state() == before
    given = vault.ok("GetActivityTask", {"activityArn": vault.activity})
    assert MARK in given["input"] and "poison" not in given["input"]
    vault.ok("SendTaskSuccess", {"taskToken": vault.token, "output": '"mine"'})
    assert vault.owner.ended(vault.running)["output"] == '"mine"'
    for listed in ("ListStateMachines", "ListActivities"):
        assert MARK not in mine.act(listed, {"maxResults": 1000}).body.decode()


def _states(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "A", "States": {"A": state}}
