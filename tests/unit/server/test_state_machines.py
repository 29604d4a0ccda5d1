"""State machines: create, update, delete, describe."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from in_process import HEAD, OTHER, PASS, ROLE, Api, routing, versions

from skylift.server.caller import Caller


class TestCreate:
    def test_again_with_other_role_and_tags_is_the_same(self, api: Api) -> None:
        first = api("CreateStateMachine", name="m", definition=PASS, roleArn=ROLE, tags=[{"key": "a", "value": "1"}])
        tags = [{"key": "b", "value": "2"}]
        again = api("CreateStateMachine", name="m", definition=PASS, roleArn=ROLE + "2", tags=tags)
        assert again == first
        assert api("DescribeStateMachine", stateMachineArn=first["stateMachineArn"])["roleArn"] == ROLE
        kept = api("ListTagsForResource", resourceArn=first["stateMachineArn"])["tags"]
        assert kept == [{"key": "a", "value": "1"}]

    @pytest.mark.parametrize(
        "different",
        [
            {"definition": OTHER},
            {"type": "EXPRESS"},
            {"tracingConfiguration": {"enabled": True}},
            {"publish": True},
            {"encryptionConfiguration": {"type": "AWS_OWNED_KEY"}},
            {
                "loggingConfiguration": {
                    "level": "ALL",
                    "destinations": [
                        {"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:g:*"}}
                    ],
                }
            },
        ],
        ids=lambda different: next(iter(different)),
    )
    def test_again_but_different_exists_already(self, api: Api, different: dict[str, Any]) -> None:
        arn = api.create("m")
        problem = api.error("CreateStateMachine", **{"name": "m", "definition": PASS, "roleArn": ROLE, **different})
        assert (problem.code, problem.message) == (
            "StateMachineAlreadyExists",
            f"State Machine Already Exists: '{arn}'",
        )

    def test_publish(self, api: Api) -> None:
        request = {"name": "m", "definition": PASS, "roleArn": ROLE, "publish": True, "versionDescription": "first"}
        first = api("CreateStateMachine", **request)
        assert first["stateMachineVersionArn"] == f"{HEAD}:stateMachine:m:1"
        assert api("CreateStateMachine", **request) == first
        described = api("DescribeStateMachine", stateMachineArn=first["stateMachineVersionArn"])
        assert described["description"] == "first"
        assert "revisionId" not in described
        assert "description" not in api("DescribeStateMachine", stateMachineArn=first["stateMachineArn"])

    @pytest.mark.parametrize("name", ["a b", "a/b", "a:b", "a\tb", "{a}", "a\x7f", "\u00a0", "a\u2028", "\uffff", "$x"])
    def test_names_that_cannot_be(self, api: Api, name: str) -> None:
        problem = api.error("CreateStateMachine", name=name, definition=PASS, roleArn=ROLE)
        assert (problem.code, problem.message) == ("InvalidName", f"Invalid Name: '{name}'")

    @pytest.mark.parametrize("name", ["a.b-c_d", "\u00e4\u4e16", "a@b", "(a)", "x" * 80])
    def test_names_that_can_be(self, api: Api, name: str) -> None:
        arn = api.create(name)
        assert api("DescribeStateMachine", stateMachineArn=arn)["name"] == name

    @pytest.mark.parametrize("role", ["x", "arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x"])
    def test_roles(self, api: Api, role: str) -> None:
        problem = api.error("CreateStateMachine", name="m", definition=PASS, roleArn=role)
        assert (problem.code, problem.message) == ("InvalidArn", f"Invalid Role Arn: '{role}'")

    def test_all_problems_of_a_definition_in_one_message(self, api: Api) -> None:
        states = {"pass1": {"Type": "Pass", "Next": "pass3"}, "pass2": {"Type": "Pass", "End": True}}
        definition = json.dumps({"StartAt": "pass1", "States": states})
        assert api.error("CreateStateMachine", name="m", definition=definition, roleArn=ROLE).message == (
            "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: pass3 at "
            '/States/pass1/Next, MISSING_TRANSITION_TARGET: State "pass2" is not reachable. at /States/pass2\''
        )

    def test_the_text_is_kept_as_given(self, api: Api) -> None:
        text = '\n { "StartAt" : "\u00e4",\t"States":{"\u00e4":{"Type":"Pass","Result":1.0,"End":true}}} '
        arn = api.create("m", definition=text)
        assert api("DescribeStateMachine", stateMachineArn=arn)["definition"] == text

    def test_other_regions_and_partitions(self, api: Api) -> None:
        china = api.as_caller(Caller(region="cn-north-1"))
        assert china.create("m") == "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:m"
        api.create("m")
        assert len(china("ListStateMachines")["stateMachines"]) == len(api("ListStateMachines")["stateMachines"]) == 1


class TestSettings:
    GROUP: ClassVar[dict[str, Any]] = {
        "cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:/a/b:*"}
    }

    def test_defaults(self, api: Api) -> None:
        described = api("DescribeStateMachine", stateMachineArn=api.create())
        assert described["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
        assert described["tracingConfiguration"] == {"enabled": False}
        assert "encryptionConfiguration" not in described

    def test_given(self, api: Api) -> None:
        arn = api.create(
            loggingConfiguration={"level": "ERROR", "destinations": [self.GROUP]},
            tracingConfiguration={"enabled": True},
            encryptionConfiguration={"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"},
        )
        described = api("DescribeStateMachine", stateMachineArn=arn)
        assert described["loggingConfiguration"] == {
            "level": "ERROR",
            "includeExecutionData": False,
            "destinations": [self.GROUP],
        }
        assert described["tracingConfiguration"] == {"enabled": True}
        assert described["encryptionConfiguration"]["kmsDataKeyReusePeriodSeconds"] == 300

    @pytest.mark.parametrize(
        "logging",
        [
            {"level": "ALL"},
            {"level": "ALL", "destinations": []},
            {"destinations": [GROUP, GROUP]},
            {"level": "ALL", "destinations": [{}]},
        ],
    )
    def test_one_log_destination(self, api: Api, logging: dict[str, Any]) -> None:
        problem = api.error("CreateStateMachine", name="m", definition=PASS, roleArn=ROLE, loggingConfiguration=logging)
        assert problem.code == "InvalidLoggingConfiguration"
        assert problem.message == "Invalid Logging Configuration: Must specify exactly one Log Destination."

    @pytest.mark.parametrize(
        "encryption", [{"type": "CUSTOMER_MANAGED_KMS_KEY"}, {"type": "AWS_OWNED_KEY", "kmsKeyId": "k"}]
    )
    def test_encryption(self, api: Api, encryption: dict[str, Any]) -> None:
        request = {"name": "m", "definition": PASS, "roleArn": ROLE, "encryptionConfiguration": encryption}
        assert api.error("CreateStateMachine", **request).code == "InvalidEncryptionConfiguration"
        assert api.error("CreateActivity", name="a", encryptionConfiguration=encryption).code == (
            "InvalidEncryptionConfiguration"
        )


class TestUpdate:
    def test_a_change_makes_a_revision(self, api: Api) -> None:
        arn = api.create()
        updated = api("UpdateStateMachine", stateMachineArn=arn, definition=OTHER)
        described = api("DescribeStateMachine", stateMachineArn=arn)
        assert (described["definition"], described["revisionId"]) == (OTHER, updated["revisionId"])
        assert described["roleArn"] == ROLE
        again = api("UpdateStateMachine", stateMachineArn=arn, roleArn=ROLE + "2")
        assert again["revisionId"] != updated["revisionId"]

    def test_without_a_change_there_is_none(self, api: Api) -> None:
        arn = api.create()
        assert set(api("UpdateStateMachine", stateMachineArn=arn, definition=PASS, roleArn=ROLE)) == {"updateDate"}
        assert "revisionId" not in api("DescribeStateMachine", stateMachineArn=arn)

    def test_something_must_be_given(self, api: Api) -> None:
        assert api.error("UpdateStateMachine", stateMachineArn=api.create()).code == "MissingRequiredParameter"

    @pytest.mark.parametrize("arn", ["m", f"{HEAD}:execution:m:x", f"{HEAD}:stateMachine:a b", "arn:aws:s3:::x"])
    def test_what_is_no_machine(self, api: Api, arn: str) -> None:
        assert api.error("UpdateStateMachine", stateMachineArn=arn, definition=PASS).code == "InvalidArn"

    def test_the_words_for_wrong_arns(self, api: Api) -> None:
        texts = {
            "m": "Invalid ARN prefix: m",
            f"{HEAD}:execution:m:x": "Resource type not valid in this context: execution",
        }
        for arn, words in texts.items():
            assert api.error("DescribeStateMachine", stateMachineArn=arn).message == f"Invalid Arn: '{words}'"

    def test_a_map_label(self, api: Api) -> None:
        api.create("m")
        for action in ("UpdateStateMachine", "DescribeStateMachine", "DeleteStateMachine"):
            given = {"definition": OTHER} if action.startswith("U") else {}
            problem = api.error(action, stateMachineArn=f"{HEAD}:stateMachine:m/Label", **given)
            assert (problem.code, problem.body["reason"]) == (
                "ValidationException",
                "API_DOES_NOT_SUPPORT_LABELED_ARNS",
            )

    def test_a_wrong_definition_changes_nothing(self, api: Api) -> None:
        arn = api.create()
        assert api.error("UpdateStateMachine", stateMachineArn=arn, definition="{}", roleArn=ROLE + "2").code == (
            "InvalidDefinition"
        )
        assert api("DescribeStateMachine", stateMachineArn=arn)["roleArn"] == ROLE

    def test_express_stays_express(self, api: Api) -> None:
        arn = api.create(type="EXPRESS")
        task = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
        definition = json.dumps({"StartAt": "A", "States": {"A": task}})
        assert api.error("UpdateStateMachine", stateMachineArn=arn, definition=definition).code == "InvalidDefinition"


class TestDelete:
    def test_it_is_gone_with_versions_and_aliases(self, api: Api) -> None:
        (version,) = versions(api, "m", 1)
        arn = version.rpartition(":")[0]
        alias = api("CreateStateMachineAlias", name="live", routingConfiguration=routing((version, 100)))
        near = api.create("m2")
        assert api("DeleteStateMachine", stateMachineArn=arn) == {}
        assert api("DeleteStateMachine", stateMachineArn=arn) == {}
        for gone in (arn, version, alias["stateMachineAliasArn"]):
            problem = api.error("DescribeStateMachine", stateMachineArn=gone)
            assert problem.message == f"State Machine Does Not Exist: '{gone}'"
        assert [one["stateMachineArn"] for one in api("ListStateMachines")["stateMachines"]] == [near]

    def test_only_a_machine_can_be_deleted(self, api: Api) -> None:
        (version,) = versions(api, "m", 1)
        assert api.error("DeleteStateMachine", stateMachineArn=version).code == "ValidationException"
        assert api("DescribeStateMachine", stateMachineArn=version)


class TestVariables:
    def test_by_state_in_the_order_of_reading(self, api: Api) -> None:
        states = {
            "A": {"Type": "Pass", "Assign": {"x.$": "$", "y": 1}, "Next": "P"},
            "P": {
                "Type": "Parallel",
                "Branches": [
                    {
                        "StartAt": "In/ner",
                        "States": {
                            "In/ner": {
                                "Type": "Pass",
                                "Parameters": {"f.$": "States.Format('{} {}', $y, $x.a)", "States": {"g.$": "$x"}},
                                "End": True,
                            }
                        },
                    }
                ],
                "Next": "C",
            },
            "C": {
                "Type": "Choice",
                "Choices": [{"Variable": "$x", "NumericEqualsPath": "$y.z", "Next": "D"}],
                "Default": "D",
            },
            "D": {
                "Type": "Pass",
                "QueryLanguage": "JSONata",
                "Output": "{% $y + $x + $y + $states.input.x %}",
                "End": True,
            },
        }
        arn = api.create(definition=json.dumps({"StartAt": "A", "States": states}))
        described = api("DescribeStateMachine", stateMachineArn=arn)
        assert described["variableReferences"] == {"In/ner": ["y", "x"], "C": ["x", "y"], "D": ["y", "x"]}

    def test_absent_without_variables_or_data(self, api: Api) -> None:
        arn = api.create()
        assert "variableReferences" not in api("DescribeStateMachine", stateMachineArn=arn)
        described = api("DescribeStateMachine", stateMachineArn=arn, includedData="METADATA_ONLY")
        assert described["definition"] == "{}"
