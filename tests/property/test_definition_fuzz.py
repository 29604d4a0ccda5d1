"""Definitions of any kind, run with answers of any kind: a diagnostic or an ending, no exception, no hang."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from generated_definitions import broken, documents, mended, nesting, plain, sane, targets, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

from skylift.asl import commands, events
from skylift.asl.inspection.request import TaskAnswer
from skylift.asl.limits import SERVICE
from skylift.asl.machine import Machine
from skylift.asl.parse import parse
from skylift.asl.state import decode_state, encode_state
from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.stepfunctions import test_state, validation
from skylift.server.stepfunctions.endpoint import Endpoint
from skylift.testing.virtual import CONTEXT

FUZZ = settings(max_examples=150, deadline=5_000, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=4_000, deadline=20_000, suppress_health_check=list(HealthCheck))
LIMITS = msgspec.structs.replace(SERVICE, history_events=400, transitions_per_event=100, page_items=5)
MOST_EVENTS = 150


def answers(machine_commands: list[commands.Command], rng: random.Random, results: list[Any]) -> Iterator[events.Event]:
    for command in machine_commands:
        match command:
            case commands.StartTask(token=token):
                yield rng.choice(
                    [
                        events.TaskSucceeded(token=token, output=rng.choice(results)),
                        events.TaskFailed(token=token, error="Boom", cause=None),
                        events.TaskTimedOut(token=token),
                    ]
                )
            case commands.SetTimer(timer=timer):
                yield events.TimerFired(timer=timer)
            case commands.ReadItems(reader=reader):
                yield events.ItemsRead(reader=reader, items=results, cursor=rng.choice([None, None, 1]))
            case commands.WriteResults(writer=writer):
                yield events.ResultsWritten(writer=writer, details={"Bucket": "b"})


def run(machine: Machine, value: Any, rng: random.Random, results: list[Any]) -> None:
    """Whatever happens, the run has ended or can be stopped, and its state can be kept."""
    state, now_ms = machine.begin(), 0
    due: list[events.Event] = [events.RunStarted(input=value, seed=1, context=CONTEXT)]
    for _ in range(MOST_EVENTS):
        if not due:
            break
        now_ms += 1
        due.extend(answers(machine.advance(state, due.pop(rng.randrange(len(due))), now_ms, []), rng, results))
    state = decode_state(encode_state(state))
    machine.advance(state, events.StopRequested(), now_ms, [])
    assert state.status in ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


def check(document: Any, value: Any, results: list[Any], seed: int, hostile: Any) -> None:
    rng = random.Random(seed)
    for text in (json.dumps(document), json.dumps(mended(document, rng)), json.dumps(broken(document, rng, hostile))):
        parsed = parse(text)
        assert (parsed.document is None) == bool(parsed.errors)
        if parsed.document is not None:
            run(Machine(parsed.document, LIMITS), value, rng, results or [None])


@pytest.fixture(autouse=True)
def bugs_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


@FUZZ
@given(documents, sane, st.lists(sane, max_size=3), st.integers(0, 2**32), values)
def test_definitions_end_or_are_refused(document: Any, value: Any, results: list[Any], seed: int, hostile: Any) -> None:
    check(document, value, results, seed, hostile)


@pytest.mark.slow
@LONG
@given(documents, sane, st.lists(sane, max_size=3), st.integers(0, 2**32), values)
def test_many_definitions_end_or_are_refused(
    document: Any, value: Any, results: list[Any], seed: int, hostile: Any
) -> None:
    check(document, value, results, seed, hostile)


# Through the protocol's door: what is not accepted is told, with a code of the service, never as an internal error.

texts = st.one_of(
    st.text(max_size=20),
    st.integers(1, 3_000).map(lambda depth: "[" * depth),
    st.integers(1, 3_000).map(lambda depth: '{"a":' * depth + "1" + "}" * depth),
    st.integers(1, 900).map(lambda depth: '{"Type":"Pass","End":true,"Result":' + "[" * depth + "]" * depth + "}"),
    st.sampled_from(['{"a": NaN}', '{"a": 1e999}', '{"a": 1, "a": 2}', '"\\ud800"', "\ufeff{}", "null", "1" * 5_000]),
    values.map(json.dumps),
)
states = st.recursive(plain, nesting, max_leaves=3)
mocks = st.fixed_dictionaries(
    {},
    optional={
        "result": texts | values.map(json.dumps),
        "errorOutput": st.fixed_dictionaries({}, optional={"error": st.text(max_size=4), "cause": st.text(max_size=4)}),
        "fieldValidationMode": st.sampled_from(["STRICT", "PRESENT", "NONE"]),
    },
)
requests = st.fixed_dictionaries(
    {"definition": (states | documents).map(json.dumps) | texts},
    optional={
        "input": texts,
        "variables": values.map(json.dumps) | st.just('{"v": {"a": 1}}'),
        "context": st.sampled_from(['{"State": {}}', "[]", "{"]),
        "stateName": targets,
        "inspectionLevel": st.sampled_from(["INFO", "DEBUG", "TRACE"]),
        "roleArn": st.just("arn:aws:iam::123456789012:role/r"),
        "revealSecrets": st.booleans(),
        "mock": mocks,
        "stateConfiguration": st.fixed_dictionaries(
            {},
            optional={
                "retrierRetryCount": st.integers(0, 10**6),
                "mapIterationFailureCount": st.integers(0, 5),
                "mapItemReaderData": texts,
                "errorCausedByState": targets,
            },
        ),
    },
)


@pytest.fixture(scope="module")
def context() -> Iterator[ServerContext]:
    made = ServerContext(None, None)  # type: ignore[arg-type]  # nothing is started or stored
    yield made
    made.close()


def ask(context: ServerContext, module: Any, action: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    endpoint = Endpoint(module.actions.by_name)
    body = json.dumps(request).encode()
    status, _, answer = asyncio.run(endpoint.handle(context, Caller(), f"AWSStepFunctions.{action}", body))
    return status, json.loads(answer)


@FUZZ
@given(texts | (states | documents).map(json.dumps))
def test_any_text_can_be_validated(context: ServerContext, text: str) -> None:
    status, said = ask(context, validation, "ValidateStateMachineDefinition", {"definition": text})
    if status == 200:
        assert said["result"] == ("FAIL" if said["diagnostics"] else "OK")
    else:
        assert (status, said["__type"]) in ((400, "ValidationException"), (400, "SerializationException"))


@FUZZ
@given(requests)
def test_any_state_can_be_tested(context: ServerContext, request: dict[str, Any]) -> None:
    status, said = ask(context, test_state, "TestState", request)
    if status == 200:
        assert said["status"] in ("SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR")
        assert ("output" in said) == (said["status"] in ("SUCCEEDED", "CAUGHT_ERROR"))
        assert ("inspectionData" in said) == (request.get("inspectionLevel", "INFO") != "INFO")
    else:
        known = ("ValidationException", "InvalidDefinition", "InvalidExecutionInput", "SerializationException")
        assert status == 400, said
        assert said["__type"] in known


@pytest.fixture(autouse=True)
def no_task_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Task without a mock is answered without an engine."""

    async def answered(*_: Any) -> TaskAnswer:
        return TaskAnswer(output={"a": 1})

    monkeypatch.setattr(test_state, "_run_task", answered)
