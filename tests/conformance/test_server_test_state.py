"""The recorded TestState requests through real HTTP and boto3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3", reason="boto3 is not installed")
pytest.importorskip("uvicorn", reason="the server's extra is not installed")

from recorded import read_cases, same
from server_harness import RunningServer

CASES = read_cases("cases_teststate.jsonl")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home: Path = tmp_path_factory.mktemp("server")
    with RunningServer(home) as running:
        made = running.client()
        yield made
        made.close()


def test_every_case_is_exact_through_boto3(client: Any) -> None:
    wrong = []
    for case in CASES:
        expected = {name: value for name, value in case["expected"].items() if name != "ResponseMetadata"}
        got = client.test_state(**case["request"])
        assert got.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        if not same(expected, got):
            wrong.append((case["name"], got))
    assert wrong == []


def test_errors_are_the_clients_own_exceptions(client: Any) -> None:
    with pytest.raises(client.exceptions.InvalidDefinition, match=r"These fields are required: \[Type\] at /'"):
        client.test_state(definition="{}")
    with pytest.raises(client.exceptions.InvalidArn, match="Invalid Role Arn: 'me'"):
        client.test_state(definition='{"Type": "Succeed"}', roleArn="me")
    with pytest.raises(client.exceptions.InvalidExecutionInput):
        client.test_state(definition='{"Type": "Succeed"}', input="{")
    with pytest.raises(client.exceptions.ValidationException, match="State type 'Succeed'"):
        client.test_state(definition='{"Type": "Succeed"}', mock={"result": "1"})
