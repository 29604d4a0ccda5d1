"""The control plane answers what the real service was recorded to answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from in_process import Api, Refused, with_metadata
from recorded import read_cases, same

from skylift.config import ServiceSettings
from skylift.stores.memory import MemoryJournal
from skylift.stores.memory_resources import MemoryResources

CREATE_ERRORS = {
    case["name"].partition("::")[2].partition("::")[2]: case for case in read_cases("cases_create_errors.jsonl")
}
VALIDATIONS = read_cases("cases_validate.jsonl")
ROLE = "arn:aws:iam::123456789012:role/test"


@pytest.fixture
def api() -> Iterator[Api]:
    journal = MemoryJournal()
    api = Api(SimpleNamespace(journal=journal, resources=MemoryResources(journal)))
    yield api
    api.close()


@pytest.mark.parametrize("case", VALIDATIONS, ids=lambda case: case["name"].partition("test_validate_")[2])
def test_validate(api: Api, case: dict[str, Any]) -> None:
    assert with_metadata(api("ValidateStateMachineDefinition", **case["request"])) == case["expected"]


NOT_HERE = {
    "test_deleted_log_group": "needs CloudWatch Logs: test_deleted_log_group below",
}
NO_MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:none"
Script = Callable[[Api, dict[str, Any]], dict[str, Any]]
SCRIPTS: dict[str, Script] = {}


def script(*names: str) -> Callable[[Script], Script]:
    def register(play: Script) -> Script:
        SCRIPTS.update(dict.fromkeys(names, play))
        return play

    return register


@pytest.mark.parametrize("name", CREATE_ERRORS)
def test_recorded_sequence(api: Api, name: str) -> None:
    if name not in SCRIPTS:
        pytest.skip(NOT_HERE[name])
    case = CREATE_ERRORS[name]
    got = SCRIPTS[name](api, {key: value for key, value in case["request"].items() if key != "arn"})
    expected = {
        key: value for key, value in case["expected"].items() if "Parameter validation failed" not in json.dumps(value)
    }
    assert set(got) == set(expected)
    for step in expected:
        assert same(_plain(expected[step]), _plain(got[step])), (step, expected[step], got[step])


def _plain(value: Any) -> Any:
    """The recordings have dates as the word `datetime`."""
    if isinstance(value, dict):
        return {key: "datetime" if key.endswith("Date") else _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def tried(api: Api, action: str, **request: Any) -> dict[str, Any]:
    try:
        return with_metadata(api(action, **request))
    except Refused as refused:
        return refused.response


def raised(api: Api, action: str, **request: Any) -> dict[str, str]:
    refused = api.error(action, **request)
    return {"exception_typename": refused.code, "exception_value": refused.text}


def revised(definition: str, revision: int) -> str:
    return re.sub("R3", f"R{revision}", definition)


@script("test_create_delete_invalid_sm")
def invalid_definition(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    return {"invalid_definition_1": tried(api, "CreateStateMachine", **request)}


@script("test_list_execution_no_such_state_machine")
def executions_of_no_machine(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    found = raised(api, "ListExecutions", stateMachineArn=NO_MACHINE)
    placeholder = "ssm_nonexistent_arn"  # in the recording
    return {"exception": {key: text.replace(NO_MACHINE, placeholder) for key, text in found.items()}}


@script("test_illegal_callbacks[WAIT_FOR_TASK_TOKEN]", "test_illegal_callbacks[SYNC]")
def illegal_callbacks(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    return {"creation_error": tried(api, "CreateStateMachine", **request)}


@script("test_create_with_version_description_no_publish")
def description_without_publish(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    return {"validation_exception": tried(api, "CreateStateMachine", **request)}


@script("test_create_duplicate_definition_format_sm")
def duplicate_in_another_format(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    compact = json.dumps(json.loads(request["definition"]))
    created = tried(api, "CreateStateMachine", **{**request, "definition": compact})
    return {
        "creation_resp_1": created,
        "describe_resp_1": tried(api, "DescribeStateMachine", stateMachineArn=created["stateMachineArn"]),
        "already_exists_1": tried(api, "CreateStateMachine", **request),
    }


@script("test_error_create_alias_invalid_name")
def alias_names(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    version = api("CreateStateMachine", **request)["stateMachineVersionArn"]
    routing = [{"stateMachineVersionArn": version, "weight": 100}]
    names = ["123", "A" * 81, "INVALID ALIAS", "!INVALID", "ALIAS@"]
    return {
        f"exception_for_name{name}": raised(api, "CreateStateMachineAlias", name=name, routingConfiguration=routing)
        for name in names
    }


@script("test_list_state_machine_aliases_pagination_invalid_next_token")
def alias_token(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    created = api("CreateStateMachine", **request)
    routing = [{"stateMachineVersionArn": created["stateMachineVersionArn"], "weight": 100}]
    alias = tried(api, "CreateStateMachineAlias", name="state_machine_alias_name", routingConfiguration=routing)
    listing = {"stateMachineArn": created["stateMachineArn"], "nextToken": "InvalidToken"}
    return {
        "create_state_machine_alias_response": alias,
        "invalidTokenException": raised(api, "ListStateMachineAliases", **listing),
    }


def alias_pages(api: Api, request: dict[str, Any], size: int) -> dict[str, Any]:
    created = api("CreateStateMachine", **request)
    routing = [{"stateMachineVersionArn": created["stateMachineVersionArn"], "weight": 100}]
    got = {}
    for number in (1, 2, 3):
        answer = tried(api, "CreateStateMachineAlias", name=f"AliasName-{number}", routingConfiguration=routing)
        got[f"create_state_machine_alias_response-{number}"] = answer
    arn = created["stateMachineArn"]
    for most in (1001, size):
        answer = tried(api, "ListStateMachineAliases", stateMachineArn=arn, maxResults=most)
        got[f"list_state_machine_aliases_max_results_{most}_response"] = answer
    if "nextToken" in answer:
        rest = tried(api, "ListStateMachineAliases", stateMachineArn=arn, nextToken=answer["nextToken"])
        got["list_state_machine_aliases_next_token_response"] = rest
    return got


@script("test_list_state_machine_aliases_pagination_max_results[0]")
def alias_pages_0(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    return alias_pages(api, request, 0)


@script("test_list_state_machine_aliases_pagination_max_results[1]")
def alias_pages_1(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    return alias_pages(api, request, 1)


@script("test_update_state_machine")
def updates(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    definition = request.pop("definition")
    del request["publish"]
    got = {"creation_resp_1": tried(api, "CreateStateMachine", **request, definition=revised(definition, 0))}
    arn = got["creation_resp_1"]["stateMachineArn"]
    for number in (1, 2):
        got[f"update_resp_{number}"] = tried(
            api, "UpdateStateMachine", stateMachineArn=arn, definition=revised(definition, number), publish=True
        )
        got[f"list_versions_resp_{number}"] = tried(api, "ListStateMachineVersions", stateMachineArn=arn)
    version = got["update_resp_2"]["stateMachineVersionArn"]
    got["invalid_arn_1"] = tried(api, "UpdateStateMachine", stateMachineArn=version, definition=definition)
    got["invalid_arn_2"] = tried(api, "PublishStateMachineVersion", stateMachineArn=version)
    return got


@script("test_publish_state_machine_version")
def publishes(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    definition = request.pop("definition")
    got = {"creation_resp_1": tried(api, "CreateStateMachine", **request, definition=revised(definition, 0))}
    arn = got["creation_resp_1"]["stateMachineArn"]
    for number in (1, 2, 3):
        given = {"stateMachineArn": arn, "definition": revised(definition, number)}
        updated = got[f"update_resp_{number}"] = tried(api, "UpdateStateMachine", **given)
        revision = updated["revisionId"]
        if number == 3:
            break
        given = {"description": "PublishedV2Description", "revisionId": revision} if number == 2 else {}
        published = tried(api, "PublishStateMachineVersion", stateMachineArn=arn, **given)
        got[f"publish_v{number}"] = published
        got[f"list_versions_resp_{number}"] = tried(api, "ListStateMachineVersions", stateMachineArn=arn)
        version = published["stateMachineVersionArn"]
        got[f"describe_v{number}"] = tried(api, "DescribeStateMachine", stateMachineArn=version)
    stale = {"stateMachineArn": arn, "revisionId": got["update_resp_2"]["revisionId"]}
    got["conflict_exception"] = api.error("PublishStateMachineVersion", **stale).text
    return got


def test_deleted_log_group(aws: Any) -> None:
    """With moto for CloudWatch Logs."""
    request = dict(CREATE_ERRORS["test_deleted_log_group"]["request"])
    del request["arn"]
    logging = request["loggingConfiguration"]
    arn = logging["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"]
    logs = aws.client("logs")
    logs.create_log_group(logGroupName=arn.split(":")[6])
    journal = MemoryJournal()
    store = SimpleNamespace(journal=journal, resources=MemoryResources(journal))
    api = Api(store, services=ServiceSettings(endpoints={"logs": aws.url}))
    machine = api("CreateStateMachine", **{**request, "name": "there"})["stateMachineArn"]
    shown = api("DescribeStateMachine", stateMachineArn=machine)["loggingConfiguration"]
    assert shown == {**logging, "includeExecutionData": False}
    logs.delete_log_group(logGroupName=arn.split(":")[6])
    expected = CREATE_ERRORS["test_deleted_log_group"]["expected"]
    assert {"exception": raised(api, "CreateStateMachine", **request)} == expected
    update = {"stateMachineArn": machine, "loggingConfiguration": {**logging, "level": "ERROR"}}
    assert api.error("UpdateStateMachine", **update).code == "InvalidLoggingConfiguration"
    logs.close()
    api.close()
