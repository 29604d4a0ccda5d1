"""What an administrator allows is one action of one service, however its name is written."""

from __future__ import annotations

import pytest

from skylift.compute.services.actions import Actions
from skylift.compute.services.clients import Clients
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.policy import ServicePolicy
from skylift.compute.services.resource import parse_target
from skylift.config import ServiceSettings

SDK = "arn:aws:states:::aws-sdk:"


def refused(allowed: str, resource: str) -> bool:
    from service_calls import service_call

    policy = ServicePolicy(services=[allowed])
    actions = Actions(Clients(ServiceSettings()), policy, web=None)  # type: ignore[arg-type]  # is not asked
    try:
        actions._allow(service_call(resource, {}, account="111122223333"), parse_target(resource))
    except ServiceFailure as failure:
        assert failure.error == "States.Permissions"
        return True
    return False


@pytest.mark.parametrize("action", ["deleteFunction", "createFunction", "addPermission", "getFunction", "invokeAsync"])
@pytest.mark.parametrize("service", ["lambda", "Lambda", "LAMBDA"])
def test_to_invoke_functions_is_not_to_manage_them(service: str, action: str) -> None:
    for allowed in ("lambda:invoke", "lambda:invokeFunction"):
        assert refused(allowed, f"{SDK}{service}:{action}")


@pytest.mark.parametrize("allowed", ["lambda:invoke", "lambda:invokeFunction", "LAMBDA:*"])
def test_functions_are_invoked_by_either_name(allowed: str) -> None:
    for resource in ("arn:aws:states:::lambda:invoke", f"{SDK}lambda:invoke", f"{SDK}lambda:Invoke"):
        assert not refused(allowed, resource)
    assert not refused(allowed, "arn:aws:lambda:us-east-1:111122223333:function:f")


@pytest.mark.parametrize(
    "resource",
    [
        f"{SDK}sqs:deleteQueue",
        f"{SDK}SQS:DELETEQUEUE",
        f"{SDK}sqsx:sendMessage",
        f"{SDK}xsqs:sendMessage",
        "arn:aws:states:::sns:publish",
        f"{SDK}machinelearning:predict",
        f"{SDK}MachineLearning:Predict",
    ],
)
def test_what_is_not_listed_is_refused(resource: str) -> None:
    assert refused("sqs:sendMessage", resource)


@pytest.mark.parametrize("resource", [f"{SDK}machinelearning:predict", f"{SDK}MACHINELEARNING:PREDICT"])
def test_an_action_whose_request_goes_anywhere_is_never_allowed(resource: str) -> None:
    assert refused("*", resource)
