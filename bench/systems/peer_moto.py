"""moto's Step Functions, in a server of its own thread: Pass states, since it runs no tasks by itself."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from measuring import measure, stamp
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

ROLE = "arn:aws:iam::123456789012:role/bench"
FAN = {
    "StartAt": "Map",
    "States": {
        "Map": {
            "Type": "Map",
            "ItemsPath": "$.numbers",
            "ItemProcessor": {
                "StartAt": "Increment",
                "States": {
                    "Increment": {
                        "Type": "Pass",
                        "Parameters": {"x.$": "States.MathAdd($, 1)"},
                        "OutputPath": "$.x",
                        "End": True,
                    }
                },
            },
            "End": True,
        }
    },
}
ONE = {
    "StartAt": "Increment",
    "States": {
        "Increment": {
            "Type": "Pass",
            "Parameters": {"x.$": "States.MathAdd($.x, 1)"},
            "OutputPath": "$.x",
            "End": True,
        }
    },
}


def chain_of(n: int) -> dict[str, Any]:
    states: dict[str, Any] = {}
    for i in range(n):
        states[f"S{i}"] = {
            "Type": "Pass",
            "Parameters": {"x.$": "States.MathAdd($.x, 1)"},
            **({"End": True} if i == n - 1 else {"Next": f"S{i + 1}"}),
        }
    return {"StartAt": "S0", "States": states}


class Moto:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._machines: dict[str, str] = {}

    def map(self, n: int) -> int:
        return sum(self._execute("fan", FAN, {"numbers": list(range(n))}))

    def chain(self, n: int) -> int:
        return self._execute(f"chain-{n}", chain_of(n), {"x": 0})["x"]

    def call(self, x: int) -> int:
        return self._execute("one", ONE, {"x": x})

    def _execute(self, name: str, definition: dict[str, Any], given: Any) -> Any:
        if name not in self._machines:
            made = self._client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
            self._machines[name] = made["stateMachineArn"]
        started = self._client.start_execution(
            stateMachineArn=self._machines[name], name=uuid.uuid4().hex, input=json.dumps(given)
        )
        arn = started["executionArn"]
        while (told := self._client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.001)
        if told["status"] != "SUCCEEDED":
            raise RuntimeError(f"{name} ended {told['status']}: {told.get('error')} {told.get('cause')}")
        return json.loads(told["output"])


@contextmanager
def opened() -> Iterator[Moto]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        body = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/config", data=body), timeout=10).close()
        yield Moto(
            boto3.client(
                "stepfunctions",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id="x",
                aws_secret_access_key="x",
            )
        )
    finally:
        server.stop()


def cold() -> None:
    with opened() as moto:
        moto.call(1)
        stamp()


if __name__ == "__main__":
    measure(opened, cold)
