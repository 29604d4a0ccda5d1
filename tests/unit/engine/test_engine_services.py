"""Calls of services: request and response, `.sync`, `.waitForTaskToken`."""

from __future__ import annotations

from typing import Any

import pytest
from engine_world import ManualBackend, World
from msgspec import UNSET

from skylift.engine.inputs import Callback, Recover, Reported
from skylift.engine.limits import EngineLimits
from skylift.engine.router import Router
from skylift.errors import SetupError
from skylift.ports.compute import Failed, Lost, Submitted, Succeeded
from skylift.ports.tasks import TaskSpec

SQS = "arn:aws:states:::sqs:sendMessage"
BATCH = "arn:aws:states:::batch:submitJob.sync"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:greet"


class Services(World):
    def __init__(self, **router: Any) -> None:
        super().__init__(router=None)
        self.services = self.backends["services"] = ManualBackend("services")
        self.router = router
        self.again()

    def again(self) -> None:
        self.restart(router=Router(self.backends, services="services", **self.router))

    def call(self) -> Any:
        (call,) = self.services.calls.values()
        return call

    def report(self, token: str, outcome: Any) -> None:
        if not isinstance(outcome, Submitted):
            self.services.calls.pop(token, None)
        self.turn(Reported(token, outcome))
        self.settle()


def test_request_and_response() -> None:
    world = Services()
    states = {
        "A": {"Type": "Task", "Resource": SQS, "Arguments": {"MessageBody": "b"}, "Credentials": {"RoleArn": "r"}}
    }
    run_id = world.start(states, account="1")
    call = world.call()
    assert (call.convention, call.code.target, call.arguments) == ("service", SQS, {"MessageBody": "b"})
    assert (call.credentials, call.account, call.submitted) == ({"RoleArn": "r"}, "1", UNSET)
    world.report(call.token, Succeeded(output={"MessageId": "m"}))
    assert world.record(run_id).output == {"MessageId": "m"}


def test_a_job_is_submitted_then_ends() -> None:
    world = Services()
    run_id = world.start(BATCH)
    token = world.call().token
    world.report(token, Submitted(output={"JobId": "j"}))
    world.report(token, Submitted(output={"JobId": "again"}))
    assert world.record(run_id).status == "RUNNING"
    world.report(token, Succeeded(output={"Status": "SUCCEEDED"}))
    assert world.record(run_id).output == {"Status": "SUCCEEDED"}
    assert world.events(run_id) == ["RunStarted", "TaskSubmitted", "TaskSucceeded"]


def test_after_a_restart_only_the_end_of_a_job_is_awaited() -> None:
    world = Services()
    run_id = world.start(BATCH)
    token = world.call().token
    world.report(token, Submitted(output={"JobId": "j"}))
    world.services.calls.clear()
    world.again()
    world.ask(lambda reply: Recover(reply=reply))
    assert world.call().submitted == {"JobId": "j"}
    world.report(token, Succeeded(output=1))
    assert world.record(run_id).output == 1


def test_the_time_limit_of_a_call_is_the_engines() -> None:
    world = Services()
    run_id = world.start({"A": {"Type": "Task", "Resource": BATCH, "Arguments": {}, "TimeoutSeconds": 5}})
    token = world.call().token
    world.wait(5)
    assert (world.record(run_id).error, world.services.cancelled) == ("States.Timeout", [token])


def test_a_callback_waits_for_the_services_own_answer() -> None:
    world = Services()
    run_id = world.start(SQS + ".waitForTaskToken")
    token = world.call().token
    world.turn(Callback(token=token, outcome=Succeeded(output="early")))
    assert world.record(run_id).status == "RUNNING"
    world.report(token, Succeeded(output={"MessageId": "m"}))
    assert world.record(run_id).output == "early"
    assert world.events(run_id) == ["RunStarted", "TaskSubmitted", "TaskSucceeded"]


def test_an_early_callback_of_a_call_that_fails_is_refused() -> None:
    from skylift.engine.reply import Reply

    world, reply = Services(), Reply[None]()
    run_id = world.start(SQS + ".waitForTaskToken")
    token = world.call().token
    world.turn(Callback(token=token, outcome=Succeeded(output="early"), reply=reply))
    world.report(token, Failed(error="SQS.QueueDoesNotExistException", cause="no"))
    assert world.record(run_id).error == "SQS.QueueDoesNotExistException"
    with pytest.raises(SetupError) as caught:
        reply.wait(0)
    assert caught.value.code == "TASK-TIMED-OUT"


def test_a_function_may_answer_before_it_returns() -> None:
    world = Services(lambda_elsewhere=True)
    states = {
        "A": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Arguments": {"FunctionName": "greet"},
        }
    }
    run_id = world.start(states)
    world.ask(lambda reply: Callback(token=world.call().token, outcome=Succeeded(output="hi"), reply=reply))
    assert world.record(run_id).output == "hi"


def test_a_lost_call_is_made_again() -> None:
    world = Services()
    run_id = world.start(SQS)
    token = world.call().token
    world.report(token, Lost(reason="the connection broke"))
    world.report(world.call().token, Succeeded(output=1))
    assert world.record(run_id).output == 1


def test_functions_come_from_the_settings_then_from_elsewhere() -> None:
    spec = TaskSpec(name="greet", target="m:greet", convention="handler")
    world = Services(functions={"greet": spec}, lambda_elsewhere=True, may_run=lambda account: False)
    world.start(FUNCTION, account="1")
    (call,) = world.backend.calls.values()
    assert (call.code.bundle, call.code.target) == (None, "m:greet")
    world.start(FUNCTION.replace("greet", "other"), account="1")
    assert world.call().code.target.endswith(":other")


def test_an_accounts_own_code_needs_leave() -> None:
    world = Services(may_run=lambda account: account == "2")
    world.tasks = {"double": None}
    refused = world.start("arn:aws:states:::skylift:double", account="1")
    assert world.record(refused).error == "States.Permissions"
    world.start("arn:aws:states:::skylift:double", account="2")
    assert len(world.backend.calls) == 1


def test_jobs_under_way_do_not_fill_the_way_to_the_services() -> None:
    world = Services()
    world.restart(router=Router(world.backends, services="services"), limits=EngineLimits(window=2, look_ms=0))
    for number in range(5):
        world.start(BATCH, name=str(number))
        world.report(next(reversed(world.services.calls)), Submitted(output=number))
    assert len(world.services.calls) == 5
    for token in list(world.services.calls):
        world.report(token, Succeeded(output=1))
    assert world.engine.live_runs() == []
    for number in range(4):
        world.start(SQS, name=f"q{number}")
    assert len(world.services.calls) == 2
