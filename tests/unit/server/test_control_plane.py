"""Activities, tags, listings, accounts and roles."""

from __future__ import annotations

import pytest
from in_process import HEAD, OTHER, PASS, ROLE, STRANGER, Api, routing, versions

from skylift.server.caller import Caller, Role


class TestActivities:
    def test_its_life(self, api: Api) -> None:
        made = api("CreateActivity", name="a", tags=[{"key": "k", "value": "v"}])
        assert made["activityArn"] == f"{HEAD}:activity:a"
        assert api("CreateActivity", name="a", tags=[{"key": "z", "value": "v"}]) == made
        assert api("ListTagsForResource", resourceArn=made["activityArn"])["tags"] == [{"key": "k", "value": "v"}]
        assert api("DescribeActivity", activityArn=made["activityArn"]) == {**made, "name": "a"}
        assert api("DeleteActivity", activityArn=made["activityArn"]) == {}
        assert api("DeleteActivity", activityArn=made["activityArn"]) == {}
        problem = api.error("DescribeActivity", activityArn=made["activityArn"])
        assert (problem.code, problem.message) == (
            "ActivityDoesNotExist",
            f"Activity Does Not Exist: '{made['activityArn']}'",
        )

    def test_encryption_cannot_be_changed(self, api: Api) -> None:
        api("CreateActivity", name="a")
        encryption = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}
        assert api.error("CreateActivity", name="a", encryptionConfiguration=encryption).code == "ActivityAlreadyExists"

    @pytest.mark.parametrize("arn", ["no_activity", f"{HEAD}:stateMachine:a", f"{HEAD}:activity:a b"])
    def test_what_is_no_activity(self, api: Api, arn: str) -> None:
        for action in ("DescribeActivity", "DeleteActivity"):
            assert api.error(action, activityArn=arn).code == "InvalidArn"

    def test_names(self, api: Api) -> None:
        assert api.error("CreateActivity", name="a b").message == "Invalid Name: 'a b'"


class TestTags:
    def test_added_replaced_removed(self, api: Api) -> None:
        arn = api.create(tags=[{"key": "a", "value": "1"}, {"key": "empty"}])
        api("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "2"}, {"key": "b", "value": ""}])
        api("TagResource", resourceArn=arn, tags=[])
        api("UntagResource", resourceArn=arn, tagKeys=["empty", "none", "none"])
        tags = [{"key": "a", "value": "2"}, {"key": "b", "value": ""}]
        assert api("ListTagsForResource", resourceArn=arn)["tags"] == tags

    def test_fifty_at_most(self, api: Api) -> None:
        arn = api.create(tags=[{"key": f"k{number}", "value": ""} for number in range(50)])
        api("TagResource", resourceArn=arn, tags=[{"key": "k0", "value": "x"}])
        problem = api.error("TagResource", resourceArn=arn, tags=[{"key": "new", "value": ""}])
        assert (problem.code, problem.body["resourceName"]) == ("TooManyTags", arn)

    @pytest.mark.parametrize("tag", [{"value": "x"}, {"key": "aws:x"}, {"key": "a\x00"}, {"key": "a", "value": "<"}])
    def test_tags_that_cannot_be(self, api: Api, tag: dict[str, str]) -> None:
        assert api.error("TagResource", resourceArn=api.create(), tags=[tag]).code == "ValidationException"

    def test_versions_have_none(self, api: Api) -> None:
        (version,) = versions(api, "m", 1)
        for arn in (version, f"{HEAD}:stateMachine:none", f"{HEAD}:activity:none"):
            problem = api.error("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "b"}])
            assert (problem.code, problem.message) == ("ResourceNotFound", f"Resource not found: '{arn}'")


class TestLists:
    def test_pages_of_machines_and_activities(self, api: Api) -> None:
        for number in range(5):
            api.create(f"m{number}")
            api("CreateActivity", name=f"a{number}")
        for action, key, name in (
            ("ListStateMachines", "stateMachines", "m"),
            ("ListActivities", "activities", "a"),
        ):
            first = api(action, maxResults=2)
            second = api(action, maxResults=2, nextToken=first["nextToken"])
            third = api(action, maxResults=2, nextToken=second["nextToken"])
            names = [one["name"] for page in (first, second, third) for one in page[key]]
            assert names == [f"{name}{number}" for number in range(5)]
            assert "nextToken" not in third
            assert len(api(action)[key]) == len(api(action, maxResults=0)[key]) == 5

    @pytest.mark.parametrize("token", ["x", "e30=", "\u00e4", "bnVsbA==", "WyJ4IiwxXQ=="])
    def test_tokens_of_nobody(self, api: Api, token: str) -> None:
        problem = api.error("ListStateMachines", nextToken=token)
        assert (problem.code, problem.message) == ("InvalidToken", "Invalid Token: 'Invalid token'")

    def test_tokens_of_another_listing_or_account(self, api: Api) -> None:
        for name in ("m", "n"):
            api.create(name)
        token = api("ListStateMachines", maxResults=1)["nextToken"]
        assert api.error("ListActivities", nextToken=token).code == "InvalidToken"
        assert api.as_caller(STRANGER).error("ListStateMachines", nextToken=token).code == "InvalidToken"

    def test_the_page_goes_on_after_what_was_deleted(self, api: Api) -> None:
        for name in "abc":
            api.create(name)
        token = api("ListStateMachines", maxResults=1)["nextToken"]
        api("DeleteStateMachine", stateMachineArn=f"{HEAD}:stateMachine:a")
        assert [one["name"] for one in api("ListStateMachines", nextToken=token)["stateMachines"]] == ["b", "c"]


class TestAccounts:
    def test_nothing_of_another_account_is_seen_or_changed(self, api: Api) -> None:
        first, _ = versions(api, "m", 2)
        machine, alias = f"{HEAD}:stateMachine:m", f"{HEAD}:stateMachine:m:live"
        api("CreateStateMachineAlias", name="live", routingConfiguration=routing((first, 100)))
        activity = api("CreateActivity", name="a")["activityArn"]
        other = api.as_caller(STRANGER)
        assert other("ListStateMachines")["stateMachines"] == other("ListActivities")["activities"] == []
        tags = [{"key": "a", "value": "b"}]
        refused = [
            ("DescribeStateMachine", {"stateMachineArn": machine}),
            ("DescribeStateMachine", {"stateMachineArn": first}),
            ("DescribeStateMachine", {"stateMachineArn": alias}),
            ("UpdateStateMachine", {"stateMachineArn": machine, "definition": OTHER}),
            ("PublishStateMachineVersion", {"stateMachineArn": machine}),
            ("ListStateMachineVersions", {"stateMachineArn": machine}),
            ("ListStateMachineAliases", {"stateMachineArn": machine}),
            ("DescribeStateMachineAlias", {"stateMachineAliasArn": alias}),
            ("UpdateStateMachineAlias", {"stateMachineAliasArn": alias, "description": "d"}),
            ("CreateStateMachineAlias", {"name": "b", "routingConfiguration": routing((first, 100))}),
            ("DescribeActivity", {"activityArn": activity}),
            *(("TagResource", {"resourceArn": arn, "tags": tags}) for arn in (machine, activity)),
            *(("ListTagsForResource", {"resourceArn": arn}) for arn in (machine, activity)),
        ]
        for action, request in refused:
            assert "NotExist" in (code := other.error(action, **request).code) or code == "ResourceNotFound", action
        for action, request in (
            ("DeleteStateMachineAlias", {"stateMachineAliasArn": alias}),
            ("DeleteStateMachineVersion", {"stateMachineVersionArn": first}),
            ("DeleteStateMachine", {"stateMachineArn": machine}),
            ("DeleteActivity", {"activityArn": activity}),
        ):
            other(action, **request)
        assert api("DescribeStateMachine", stateMachineArn=alias)["definition"] == PASS
        assert api("DescribeActivity", activityArn=activity)["name"] == "a"


class TestRoles:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
    def test_only_an_administrator_defines(self, api: Api, role: Role) -> None:
        arn = api.create()
        small = api.as_caller(Caller(role=role, key_id="AKIA"))
        assert small("DescribeStateMachine", stateMachineArn=arn)
        problem = small.error("DeleteStateMachine", stateMachineArn=arn)
        assert (problem.code, problem.status) == ("AccessDeniedException", 400)
        assert problem.message.startswith(
            "User: arn:aws:iam::123456789012:user/AKIA is not authorized to perform: states:DeleteStateMachine"
        )


def test_a_definition_that_is_collected_in_between_is_asked_for_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = api.create("m")
    monkeypatch.setattr(type(api.journal), "put_document", lambda self, text: "0" * 64)
    for action, request in (
        ("CreateStateMachine", {"name": "n", "definition": PASS, "roleArn": ROLE}),
        ("UpdateStateMachine", {"stateMachineArn": arn, "definition": OTHER}),
    ):
        problem = api.error(action, **request)
        assert (problem.code, problem.status) == ("ServiceUnavailable", 503)
    assert api("DescribeStateMachine", stateMachineArn=arn)["definition"] == PASS


def test_an_error_of_ours_is_told_without_its_insides(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object, text: bytes) -> str:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(api.journal), "put_document", broken)
    problem = api.error("CreateStateMachine", name="n", definition=PASS, roleArn=ROLE)
    assert (problem.code, problem.status) == ("InternalFailure", 500)
    assert "secret" not in problem.message
    assert "RuntimeError: secret" in caplog.text
