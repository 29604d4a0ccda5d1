"""Versions, aliases, and what a start of their ARNs starts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from in_process import HEAD, OTHER, PASS, ROLE, Api, routing, versions

from skylift.server.errors import ApiError
from skylift.server.machines import Machines
from skylift.server.nested import NestedMachines


class TestVersions:
    def test_an_unchanged_revision_is_published_once(self, api: Api) -> None:
        arn = api.create("m")
        first = api("PublishStateMachineVersion", stateMachineArn=arn, revisionId="INITIAL")
        assert api("PublishStateMachineVersion", stateMachineArn=arn, description="other") == first
        api("UpdateStateMachine", stateMachineArn=arn, definition=OTHER)
        assert api("PublishStateMachineVersion", stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:2"

    def test_numbers_are_not_used_twice(self, api: Api) -> None:
        arn = api.create("m")
        version = api("PublishStateMachineVersion", stateMachineArn=arn)["stateMachineVersionArn"]
        api("DeleteStateMachineVersion", stateMachineVersionArn=version)
        assert api("PublishStateMachineVersion", stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:2"

    def test_newest_first_in_pages(self, api: Api) -> None:
        arns = versions(api, "m", 12)
        arn, got, token = arns[0].rpartition(":")[0], [], {}
        while True:
            page = api("ListStateMachineVersions", stateMachineArn=arn, maxResults=5, **token)
            got += [one["stateMachineVersionArn"] for one in page["stateMachineVersions"]]
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
        assert got == arns[::-1]

    def test_a_stale_revision(self, api: Api) -> None:
        problem = api.error("PublishStateMachineVersion", stateMachineArn=api.create(), revisionId="x")
        assert problem.code == "ConflictException"
        assert problem.message == (
            "Failed to publish the State Machine version for revision x. The current State Machine revision is INITIAL."
        )

    def test_one_that_an_alias_uses_stays(self, api: Api) -> None:
        (version,) = versions(api, "m", 1)
        api("CreateStateMachineAlias", name="live", routingConfiguration=routing((version, 100)))
        problem = api.error("DeleteStateMachineVersion", stateMachineVersionArn=version)
        assert (problem.code, problem.message) == (
            "ConflictException",
            "Version to be deleted must not be referenced by an alias. "
            "Current list of aliases referencing this version: [live]",
        )
        api("DeleteStateMachineAlias", stateMachineAliasArn=f"{HEAD}:stateMachine:m:live")
        assert api("DeleteStateMachineVersion", stateMachineVersionArn=version) == {}
        assert api("ListStateMachineVersions", stateMachineArn=f"{HEAD}:stateMachine:m")["stateMachineVersions"] == []

    def test_a_version_keeps_what_was_published(self, api: Api) -> None:
        first, second = versions(api, "m", 2)
        assert api("DescribeStateMachine", stateMachineArn=first)["definition"] == PASS
        assert api("DescribeStateMachine", stateMachineArn=second)["definition"] != PASS


class TestAliases:
    def test_its_life(self, api: Api) -> None:
        first, second = versions(api, "m", 2)
        alias = f"{HEAD}:stateMachine:m:live"
        request = {"name": "live", "description": "d", "routingConfiguration": routing((first, 100))}
        created = api("CreateStateMachineAlias", **request)
        assert created["stateMachineAliasArn"] == alias
        assert api("CreateStateMachineAlias", **request) == created
        split = routing((first, 30), (second, 70))
        api("UpdateStateMachineAlias", stateMachineAliasArn=alias, routingConfiguration=split)
        described = api("DescribeStateMachineAlias", stateMachineAliasArn=alias)
        assert (described["name"], described["description"], described["routingConfiguration"]) == ("live", "d", split)
        assert api("DescribeStateMachine", stateMachineArn=alias)["stateMachineArn"] == alias
        assert api("DeleteStateMachineAlias", stateMachineAliasArn=alias) == {}
        assert api("DeleteStateMachineAlias", stateMachineAliasArn=alias) == {}
        problem = api.error("DescribeStateMachineAlias", stateMachineAliasArn=alias)
        assert (problem.code, problem.message) == (
            "ResourceNotFound",
            "Request references a resource that does not exist.",
        )

    def test_another_routing_under_the_same_name(self, api: Api) -> None:
        first, second = versions(api, "m", 2)
        api("CreateStateMachineAlias", name="live", routingConfiguration=routing((first, 100)))
        problem = api.error("CreateStateMachineAlias", name="live", routingConfiguration=routing((second, 100)))
        assert (problem.code, problem.message) == (
            "ConflictException",
            "Failed to create alias because an alias with the same name and a different routing configuration already "
            "exists.",
        )

    def test_routings_that_cannot_be(self, api: Api) -> None:
        first, second = versions(api, "m", 2)
        (elsewhere,) = versions(api, "n", 1)
        machine = f"{HEAD}:stateMachine:m"
        wrong = {
            "Sum of routing configuration weights must equal 100. Received: [50, 51]": ((first, 50), (second, 51)),
            f"Routing configuration must contain distinct state machine version ARNs. Received: [{first}, {first}]": (
                (first, 50),
                (first, 50),
            ),
            f"Routing configuration must contain state machine version ARNs. Received: [{machine}]": ((machine, 100),),
            "Routing configuration must contain versions of one state machine.": ((first, 50), (elsewhere, 50)),
        }
        for message, weighted in wrong.items():
            problem = api.error("CreateStateMachineAlias", name="a", routingConfiguration=routing(*weighted))
            assert (problem.code, problem.message) == ("ValidationException", message)
            assert problem.body["reason"] == "INVALID_ROUTING_CONFIGURATION"
        problem = api.error("CreateStateMachineAlias", name="a", routingConfiguration=routing((f"{machine}:9", 100)))
        assert problem.code == "ResourceNotFound"

    def test_an_update_needs_something(self, api: Api) -> None:
        problem = api.error("UpdateStateMachineAlias", stateMachineAliasArn=f"{HEAD}:stateMachine:m:live")
        assert (problem.code, problem.body["reason"]) == ("ValidationException", "MISSING_REQUIRED_PARAMETER")
        problem = api.error("UpdateStateMachineAlias", stateMachineAliasArn=f"{HEAD}:stateMachine:m:a", description="d")
        assert problem.code == "ResourceNotFound"

    def test_those_of_a_version(self, api: Api) -> None:
        first, second = versions(api, "m", 2)
        for name, version in (("a", first), ("b", second), ("c", first)):
            api("CreateStateMachineAlias", name=name, routingConfiguration=routing((version, 100)))
        listed = api("ListStateMachineAliases", stateMachineArn=first)["stateMachineAliases"]
        assert [one["stateMachineAliasArn"].rpartition(":")[2] for one in listed] == ["a", "c"]
        problem = api.error("ListStateMachineAliases", stateMachineArn=f"{HEAD}:stateMachine:none")
        assert problem.code == "StateMachineDoesNotExist"


class TestTarget:
    def test_weights(self, api: Api) -> None:
        first, second = versions(api, "m", 2)
        alias = api("CreateStateMachineAlias", name="live", routingConfiguration=routing((first, 30), (second, 70)))
        for point, version in ((0.0, first), (0.29, first), (0.31, second), (0.999, second)):
            machines = Machines(api.context.resources, random=lambda point=point: point)  # type: ignore[misc]
            target = machines.target(alias["stateMachineAliasArn"], api.caller)
            assert (target.version, target.alias) == (version, alias["stateMachineAliasArn"])

    def test_a_weight_of_nothing_is_never_chosen(self, api: Api) -> None:
        first, second = versions(api, "m", 2)
        alias = api("CreateStateMachineAlias", name="live", routingConfiguration=routing((first, 0), (second, 100)))
        machines = Machines(api.context.resources, random=lambda: 0.0)
        assert machines.target(alias["stateMachineAliasArn"], api.caller).version == second

    def test_a_machine_is_as_it_is_now_and_a_version_as_it_was(self, api: Api) -> None:
        first, _ = versions(api, "m", 2)
        machines = Machines(api.context.resources)
        now = machines.target(f"{HEAD}:stateMachine:m", api.caller).machine
        then = machines.target(first, api.caller).machine
        assert now.arn == then.arn
        assert api.journal.document(then.definition).decode() == PASS
        assert now.definition != then.definition

    @pytest.mark.parametrize("name", ["none", "m:9", "m:none"])
    def test_what_is_not_there(self, api: Api, name: str) -> None:
        api.create("m")
        with pytest.raises(ApiError) as caught:
            Machines(api.context.resources).target(f"{HEAD}:stateMachine:{name}", api.caller)
        assert caught.value.code == "StateMachineDoesNotExist"

    def test_nested_executions_find_machines_of_their_account_only(self, api: Api) -> None:
        (version,) = versions(api, "m", 1)
        find = NestedMachines(Machines(api.context.resources))
        found = find(version, SimpleNamespace(account="123456789012"))  # type: ignore[arg-type]
        assert found is not None
        assert (found.pipeline, found.role_arn, found.attributes) == (
            f"{HEAD}:stateMachine:m",
            ROLE,
            {"version": version},
        )
        assert find(version, SimpleNamespace(account="999999999999")) is None  # type: ignore[arg-type]
        assert find("nonsense", SimpleNamespace(account="123456789012")) is None  # type: ignore[arg-type]
