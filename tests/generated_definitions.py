"""Strategies of definitions and inputs: mostly sound, with everything strange that a client may think of."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from skylift.asl.json_text import parse_json
from skylift.asl.parse import parse

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


sane = values.map(lambda value: parse_json(json.dumps(value, allow_nan=False)) if finite(value) else None)


def finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
