"""The protocol without sockets: requests go straight to the endpoint, over stores in memory or in a file."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from skylift.config import ServerSettings, ServiceSettings
from skylift.runtime import Runtime
from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.endpoint import Endpoint

ROLE = "arn:aws:iam::123456789012:role/x"
HEAD = "arn:aws:states:us-east-1:123456789012"
STRANGER = Caller(account="999999999999")
PASS = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}'
OTHER = PASS.replace('"A"', '"B"')


class Refused(Exception):
    """An error that the endpoint answered."""

    def __init__(self, action: str, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        self.code, self.message, self.status, self.body = body["__type"], body["message"], status, body
        self.headers = headers
        self.text = f"An error occurred ({self.code}) when calling the {action} operation: {self.message}"
        super().__init__(self.text)

    @property
    def response(self) -> dict[str, Any]:
        """As boto3 would give it."""
        rest = {key: value for key, value in self.body.items() if key != "__type"}
        return {
            "Error": {"Code": self.code, "Message": self.message},
            **rest,
            "ResponseMetadata": _metadata(self.status),
        }


class Api:
    """A client of one account."""

    def __init__(self, store: Any, caller: Caller | None = None, services: ServiceSettings | None = None) -> None:
        config = SimpleNamespace(services=services or ServiceSettings())
        runtime = SimpleNamespace(journal=store.journal, resources=store.resources, config=config)
        self.context = ServerContext(cast(Runtime, runtime), ServerSettings())
        self.caller = caller or Caller()
        self.endpoint = Endpoint()
        self.journal = store.journal

    def as_caller(self, caller: Caller) -> Api:
        other = Api.__new__(Api)
        other.context, other.endpoint, other.caller, other.journal = self.context, self.endpoint, caller, self.journal
        return other

    def post(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return asyncio.run(self.endpoint.handle(self.context, self.caller, target, body))

    def __call__(self, action: str, **request: Any) -> dict[str, Any]:
        status, headers, body = self.post(f"AWSStepFunctions.{action}", json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(body)
        if status != 200:
            raise Refused(action, status, headers, answer)
        return answer

    def error(self, action: str, **request: Any) -> Refused:
        """The error that this must be answered with."""
        try:
            answer = self(action, **request)
        except Refused as refused:
            return refused
        raise AssertionError(f"{action} was answered with {answer}")

    def create(self, name: str = "m", **request: Any) -> str:
        arn = self("CreateStateMachine", **{"name": name, "definition": PASS, "roleArn": ROLE, **request})
        return str(arn["stateMachineArn"])

    def close(self) -> None:
        self.context.close()


def with_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    """As boto3 would give it."""
    return {**answer, "ResponseMetadata": _metadata(200)}


def _metadata(status: int) -> dict[str, Any]:
    return {"HTTPHeaders": {}, "HTTPStatusCode": status}


def routing(*weighted: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"stateMachineVersionArn": arn, "weight": weight} for arn, weight in weighted]


def versions(api: Api, name: str, count: int) -> list[str]:
    """ARNs of the versions of a new machine."""
    created = api("CreateStateMachine", name=name, definition=PASS, roleArn=ROLE, publish=True)
    arns = [created["stateMachineVersionArn"]]
    for number in range(1, count):
        definition = PASS.replace('"A"', f'"S{number}"')
        request = {"stateMachineArn": created["stateMachineArn"], "definition": definition, "publish": True}
        arns.append(api("UpdateStateMachine", **request)["stateMachineVersionArn"])
    return arns
