"""Definitions of any kind, run with answers of any kind: a diagnostic or an ending, no exception, no hang."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

from skylift.asl import commands, events
from skylift.asl.inspection.request import TaskAnswer
from skylift.asl.json_text import parse_json
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

PATHS = ["$", "$.a", "$.a.b[0]", "$.a[*]", "$..b", "$.a[?(@.b > 1)]", "$[-1]", "$$", "$$.Map.Item.Value", "$v", "$v.a",
         "$$.Execution.Input", "$.length()", "$[1:3]", "$['a','b']", "$.", "a", ""]  # fmt: skip
CALLS = ["States.Format('{}', $.a)", "States.Array($, 1)", "States.JsonToString($)", "States.MathAdd($.a, 1)",
         "States.ArrayRange(0, 9, 1)", "States.ArrayRange(1, 1000000000, 1)", "States.StringToJson($.a)",
         "States.ArrayPartition($.a, 0)", "States.Base64Decode($.b)", "States.Hash($.a, 'MD5')", "States.UUID()",
         "States.Format('{}{}', $.a)", "States.Nothing()", "States.Format("]  # fmt: skip
QUERIES = ["$states.input", "$states.input.a + 1", "$states.result", "$states.errorOutput.Error", "$v",
           "[1..10]", "$map($states.input, function($x) {$x * 2})", "$string($states)", "$number('x')", "1/0",
           "$nothing", "$sum($states.input)",
           "$pad('x', 100000000)", "function($x) {$x}", "$parse($states.input.a)", "$range(0, 9, 1)", "(", "$eval('1')",
           "($f := function($n) {$f($n + 1)}; $f(0))", "$states.input ~> $keys", "$power(10, 400)"]  # fmt: skip
STRANGE = [10**400, -(10**30), 2**63, 1e308, -0.0, 0.1, "\ud800", "x\udfffy", "\x00", "𐏿", "__proto__",
           [[[[[[[]]]]]]], {"a": {"a": {"a": {}}}}, {"a.$": "$"}, {".$": "$.a"}, {"$": 1}]  # fmt: skip

strange = st.sampled_from(STRANGE) | st.sampled_from([300, 5_000]).map(lambda length: "x" * length)
scalars = st.none() | st.booleans() | st.integers(-3, 30) | st.floats() | st.text(max_size=4) | strange
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc") | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
paths = st.sampled_from(PATHS)
queries = st.sampled_from(QUERIES).map(lambda text: f"{{% {text} %}}")
templates = st.dictionaries(
    st.sampled_from(["a", "b", "c.$", "d.$"]), paths | st.sampled_from(CALLS) | queries | values, max_size=3
)
targets = st.sampled_from(["A", "B", "C", "D"]) | st.just("Z")
whole = st.integers(-1, 4) | st.sampled_from([0.5, 10**12]) | queries
errors = st.lists(
    st.sampled_from(["States.ALL", "States.TaskFailed", "States.Timeout", "Boom", "States.Strange"]), max_size=2
)
resources = st.sampled_from(
    [
        "arn:aws:states:::skylift:work",
        "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "arn:aws:states:::states:startExecution.sync:2",
        "arn:aws:states:us-east-1:123456789012:activity:a",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:::::",
        "nothing",
    ]
)
retriers = st.lists(
    st.fixed_dictionaries(
        {"ErrorEquals": errors},
        optional={"MaxAttempts": whole, "IntervalSeconds": whole, "BackoffRate": st.sampled_from([1, 1.5, 1e300])}
        | {"MaxDelaySeconds": whole, "JitterStrategy": st.sampled_from(["FULL", "NONE", "SOME"])},
    ),
    max_size=2,
)
catchers = st.lists(
    st.fixed_dictionaries(
        {"ErrorEquals": errors, "Next": targets},
        optional={"ResultPath": paths | st.none(), "Output": templates, "Assign": templates},
    ),
    max_size=2,
)
comparisons = st.fixed_dictionaries(
    {"Variable": paths},
    optional={"NumericGreaterThan": whole, "StringMatches": st.text("a*\\", max_size=5), "IsPresent": st.booleans()}
    | {"TimestampLessThan": st.sampled_from(["2026-01-01T00:00:00Z", "soon"]), "BooleanEqualsPath": paths},
)
rules = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(lambda one: {"Not": one}, inner)
        | st.builds(lambda kind, many: {kind: many}, st.sampled_from(["And", "Or"]), st.lists(inner, max_size=2))
    ),
    max_leaves=4,
)
choices = st.lists(
    st.builds(lambda rule, target: {**rule, "Next": target}, rules, targets)
    | st.fixed_dictionaries(
        {"Condition": queries, "Next": targets}, optional={"Output": templates, "Assign": templates}
    ),
    max_size=3,
)
readers = st.fixed_dictionaries(
    {"Resource": st.sampled_from(["arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"])},
    optional={"Parameters": templates, "Arguments": templates}
    | {
        "ReaderConfig": st.fixed_dictionaries(
            {"InputType": st.sampled_from(["JSON", "CSV"])}, optional={"MaxItems": whole}
        )
    },
)
modes = st.sampled_from(
    [
        {},
        {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
        {"ProcessorConfig": {"Mode": "INLINE"}},
    ]
)
shared = {"Comment": st.text(max_size=3), "InputPath": paths | st.none(), "OutputPath": paths | st.none()}
shared |= {
    "Assign": templates,
    "Output": templates | queries,
    "QueryLanguage": st.sampled_from(["JSONata", "JSONPath"]),
}
work = {
    "Parameters": templates,
    "Arguments": templates | queries,
    "ResultSelector": templates,
    "ResultPath": paths | st.none(),
}
work |= {"Retry": retriers, "Catch": catchers}


def kind(name: str, required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"Type": st.just(name), **(required or {})}, optional={**shared, **optional})


def onward(state: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    leads = st.builds(lambda target: {"Next": target}, targets) | st.just({"End": True})
    return st.builds(lambda made, lead: {**made, **lead}, state, leads)


plain = (
    onward(kind("Pass", Result=values, Parameters=templates, ResultPath=paths | st.none()))
    | onward(
        kind(
            "Task",
            {"Resource": resources},
            TimeoutSeconds=whole,
            HeartbeatSecondsPath=paths,
            Credentials=templates,
            **work,
        )
    )
    | onward(kind("Wait", Seconds=whole, SecondsPath=paths, TimestampPath=paths))
    | kind("Choice", {"Choices": choices}, Default=targets)
    | kind("Succeed")
    | kind("Fail", Error=st.text(max_size=3) | queries, Cause=queries, ErrorPath=paths | st.sampled_from(CALLS))
)


def flows(states: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly sound ones: every state a flow leads to is there."""
    return st.builds(
        lambda start, named, more: {"StartAt": start, "States": {**dict(zip("ABCD", named, strict=False)), **more}},
        st.just("A"),
        st.lists(states, min_size=1, max_size=4),
        st.just({}) | st.dictionaries(st.text(max_size=2), states, max_size=1),
    )


def nesting(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    processors = st.builds(lambda flow, mode: {**flow, **mode}, flows(inner), modes)
    fields = {"ItemsPath": paths, "Items": queries | values, "ItemSelector": templates, "MaxConcurrency": whole}
    fields |= {"ToleratedFailureCount": whole, "ToleratedFailurePercentage": whole, "ItemReader": readers}
    fields |= {"ItemBatcher": st.fixed_dictionaries({}, optional={"MaxItemsPerBatch": whole, "BatchInput": templates})}
    fields |= {"ResultWriter": st.just({"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}})}
    return (
        plain
        | onward(kind("Map", {"ItemProcessor": processors}, **fields, **work))
        | onward(kind("Parallel", {"Branches": st.lists(flows(inner), min_size=1, max_size=2)}, **work))
    )


documents = st.builds(
    lambda flow, language: {**flow, **language},
    flows(st.recursive(plain, nesting, max_leaves=4)),
    st.just({})
    | st.sampled_from([{"QueryLanguage": "JSONata"}, {"TimeoutSeconds": 5}, {"Version": "2.0"}, {"Extra": 1}]),
)


def mended(document: Any, rng: random.Random) -> Any:
    """The same with what is wrong taken out, as far as that goes: most of what is left can run."""
    made = renamed(json.loads(json.dumps(document)), iter(range(10_000)))
    for _ in range(30):
        errors = parse(made).errors
        if not errors:
            break
        for error in errors:
            path = [part.replace("~1", "/").replace("~0", "~") for part in error.pointer.split("/")[1:]]
            mend(made, error.code, path, rng)
    return made


def renamed(flow: dict[str, Any], taken: Iterator[int]) -> dict[str, Any]:
    """Names are unique over the whole document."""
    names = {name: f"{name}{next(taken)}" for name in flow["States"]}
    states = {names[name]: onto(state, names, taken) for name, state in flow["States"].items()}
    return {**flow, "StartAt": names.get(flow["StartAt"], ""), "States": states}


def onto(state: dict[str, Any], names: dict[str, str], taken: Iterator[int]) -> dict[str, Any]:
    made = {**state, **{field: names.get(state[field], "Z") for field in ("Next", "Default") if field in state}}
    for field in ("Choices", "Catch"):
        if field in state:
            made[field] = [{**one, "Next": names.get(one["Next"], "Z")} for one in state[field]]
    if "Branches" in state:
        made["Branches"] = [renamed(one, taken) for one in state["Branches"]]
    if "ItemProcessor" in state:
        made["ItemProcessor"] = renamed(state["ItemProcessor"], taken)
    return made


def mend(document: Any, code: str, path: list[str], rng: random.Random) -> None:
    """Take out or replace what one diagnostic is about; what is gone already is no matter."""
    holders = [document]
    for part in path:
        try:
            holders.append(holders[-1][int(part)] if isinstance(holders[-1], list) else holders[-1][part])
        except (KeyError, IndexError, ValueError, TypeError):
            return
    flow = next(one for one in reversed(holders) if isinstance(one, dict) and isinstance(one.get("States"), dict))
    some = rng.choice(list(flow["States"]) or ["A"])
    if code == "NO_TERMINAL_STATE":
        flow["States"][some] = {"Type": "Pass", "End": True}
    elif code == "QUERY_LANGUAGE_DOWNGRADE":
        del holders[-1]["QueryLanguage"]
    elif code == "MISSING_TARGET":
        holders[-2][path[-1]] = some
    elif code in ("MISSING_FIELD", "TOO_FEW"):
        within = [at + 1 for at, part in enumerate(path[:-1]) if part == "States"]
        if within:
            holders[within[-1]][path[within[-1]]] = {"Type": "Pass", "Next": some}
    elif path and isinstance(holders[-2], list):
        holders[-2].pop(int(path[-1]))
    elif path:
        holders[-2].pop(path[-1])


def broken(document: Any, rng: random.Random, hostile: Any) -> Any:
    """The same with one value, somewhere, replaced, left out or wrapped."""
    made = json.loads(json.dumps(document))
    at = made
    while isinstance(at, dict | list) and at:
        key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
        if rng.random() < 0.3 or not isinstance(at[key], dict | list) or not at[key]:
            at[key] = rng.choice([hostile, [at[key]], {"a": at[key]}, None])
            break
        at = at[key]
    return made


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


sane = values.map(lambda value: parse_json(json.dumps(value, allow_nan=False)) if finite(value) else None)


def finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


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
