"""Calls that become states: tasks, sub-pipelines, parallel, sleep, approve, print."""

from __future__ import annotations

import ast
import inspect
from types import FunctionType
from typing import Any

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import builtin_compiler, expr, expression
from skylift.sdk.compiler.flow import Flow, State, setter
from skylift.sdk.compiler.inline import call_helper
from skylift.sdk.compiler.instances import construct
from skylift.sdk.compiler.methods import call_method
from skylift.sdk.compiler.raising import catchers, caught_names, error_of_flow, flush, throw
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.source import MISSING
from skylift.sdk.compiler.texts import text_of
from skylift.sdk.compiler.value import Value, constant, display, template, text, variable
from skylift.sdk.compiler.value import expression as jsonata
from skylift.sdk.definition import Definition
from skylift.sdk.hints import evaluate_hints
from skylift.sdk.retry import Retry
from skylift.sdk.steps import approve, parallel, sleep
from skylift.sdk.task import Task
from skylift.units import parse_duration_ms

TASK_RESOURCE = "arn:aws:states:::skylift:"
START_EXECUTION = "arn:aws:states:::states:startExecution.sync:2"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:"
RESULT = "{% $states.result %}"


@expression(ast.Call)
def _call(body: Body, node: ast.Call) -> Value:
    found = body.resolve(node.func)
    if isinstance(found, Task):
        return call_task(body, node, found)
    if isinstance(found, Definition):
        return _call_pipeline(body, node, found)
    if found is parallel:
        return _parallel(body, node)
    if found is sleep:
        return _sleep(body, node)
    if found is approve:
        return _approve(body, node)
    if found is not MISSING:
        compile_ = builtin_compiler(found)
        if compile_ is not None:
            return compile_(body, node)
        return _other(body, node, found)
    if isinstance(node.func, ast.Attribute):
        return call_method(body, node, node.func)
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    raise Refusal(node, f"{name} cannot be called in a pipeline", IN_A_TASK)


def call_task(body: Body, node: ast.Call, task: Task[..., Any]) -> Value:
    """A Task state; its result in a variable."""
    body.need_states(node, f"the task {task.name}")
    arguments = bind(body, node, task.function, task.name)
    flush(body, node)
    _register(body, node, task)
    result = body.temporary(task.name.rpartition(".")[2] + "_result")
    state: State = {"Type": "Task", "Resource": TASK_RESOURCE + task.name, "Arguments": arguments}
    _times(state, task.requirements.timeout_ms, task.requirements.heartbeat_ms)
    if task.retry is not None:
        state["Retry"] = [retrier(body, task.retry)]
    _catch(body, state)
    state["Assign"] = {result: RESULT}
    body.flow.add(task.name, state, node)
    type_ = t.of_annotation(evaluate_hints(task.function).get("return", Any))
    return variable(result, type_, frozenset((task.name,)))


def bind(body: Body, node: ast.Call, function: Any, name: str) -> dict[str, Any]:
    """Arguments by parameter name, as a template, evaluated in the order written."""
    positional: list[Value] = []
    named: dict[str, Value] = {}
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise Refusal(argument, "* in a call is not supported", "name the arguments one by one")
        positional.append(_argument(body, argument))
    for keyword in node.keywords:
        if keyword.arg is None:
            raise Refusal(keyword.value, "** in a call is not supported", "name the arguments one by one")
        named[keyword.arg] = _argument(body, keyword.value)
    try:
        bound = inspect.signature(function).bind(*positional, **named)
    except TypeError as problem:
        raise Refusal(node, f"{name}(): {problem}", f"its signature is {name}{inspect.signature(function)}") from None
    values: dict[str, Value] = {}
    for parameter, value in bound.arguments.items():
        if inspect.signature(function).parameters[parameter].kind is inspect.Parameter.VAR_KEYWORD:
            values.update(value)
        else:
            values[parameter] = value
    return {parameter: template(value) for parameter, value in values.items()}


def retrier(body: Body, retry: Retry) -> State:
    everything = any(cls in (Exception, BaseException) for cls in retry.classes)
    entry: State = {
        "ErrorEquals": ["States.ALL"] if everything else list(caught_names(body, retry.classes)),
        "MaxAttempts": retry.attempts,
        "IntervalSeconds": retry.interval,
        "BackoffRate": retry.backoff,
    }
    if retry.max_delay is not None:
        entry["MaxDelaySeconds"] = int(retry.max_delay)
    if retry.jitter:
        entry["JitterStrategy"] = "FULL"
    return entry


def print_text(body: Body, node: ast.Call) -> None:
    """`print(...)`: a Pass state whose output is the text; faces show it in the run's log."""
    body.need_states(node, "print")
    people = body.child(for_people=True)
    separator, end = constant(" "), ""
    for keyword in node.keywords:
        if keyword.arg != "sep":
            raise Refusal(node, f"print({keyword.arg}=...) is not supported", "print plain text")
        separator = expr(body, keyword.value)
    pieces: list[str] = []
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise Refusal(argument, "* in a call is not supported", "name the arguments one by one")
        piece = text_of(people, argument, expr(people, argument))
        pieces += [separator.operand, piece] if pieces else [piece]
    flush(body, node)
    code = " & ".join(pieces) + end if pieces else '""'
    state = {"Type": "Pass", "Comment": "skylift:print", "Output": {"print": jsonata(code)}}
    body.flow.add(f"print (line {node.lineno})", state, node)


def _argument(body: Body, node: ast.expr) -> Value:
    value = expr(body, node)
    if value.type.kind("error") is not None:
        raise Refusal(node, "an exception cannot be passed to a task", "pass str(error)")
    return value


def _register(body: Body, node: ast.AST, task: Task[..., Any]) -> None:
    there = body.unit.tasks.setdefault(task.name, task)
    if there is not task and (there.target != task.target or there.requirements != task.requirements):
        raise Refusal(
            node,
            f"two tasks are named {task.name}: {there.target} and {task.target}",
            'give one another name: @task(name="...") or with_options(name="...")',
        )


def _times(state: State, timeout_ms: int | None, heartbeat_ms: int | None) -> None:
    """Whole seconds, rounded up: all that the language has. Our backends enforce the milliseconds of the task table."""
    beat = 0 if heartbeat_ms is None else _whole_seconds(heartbeat_ms)
    if heartbeat_ms is not None:
        state["HeartbeatSeconds"] = beat
    if timeout_ms is not None:
        state["TimeoutSeconds"] = max(_whole_seconds(timeout_ms), beat + 1 if beat else 0)


def _whole_seconds(ms: int) -> int:
    return max(1, -(-ms // 1000))


def _catch(body: Body, state: State) -> None:
    entries = catchers(body)
    if entries:
        state["Catch"] = entries


def _call_pipeline(body: Body, node: ast.Call, pipeline: Definition[..., Any]) -> Value:
    body.need_states(node, f"the pipeline {pipeline.name}")
    arguments = bind(body, node, pipeline.function, pipeline.name)
    flush(body, node)
    there = body.unit.pipelines.setdefault(pipeline.name, pipeline)
    if there is not pipeline:
        raise Refusal(node, f"two pipelines are named {pipeline.name}", 'give one another name: @pipeline(name="...")')
    result = body.temporary(pipeline.name + "_result")
    state: State = {
        "Type": "Task",
        "Resource": START_EXECUTION,
        "Arguments": {"StateMachineArn": MACHINE + pipeline.name, "Input": arguments},
    }
    error = error_of_flow(body)
    failed: State = {"ErrorEquals": ["States.TaskFailed"], "Assign": {error: "{% $states.errorOutput %}"}}
    state["Catch"] = [failed, *catchers(body)]
    state["Assign"] = {result: "{% $states.result.Output %}"}
    body.flow.add(pipeline.name, state, node)
    ends = body.flow.take()
    body.flow.join([setter(failed, "Next")])
    body.assign(f"error of {pipeline.name}", {error: jsonata(f"$PYCHILD(${error})")}, node)
    throw(body, error, None, node)
    body.flow.join(ends)
    type_ = t.of_annotation(evaluate_hints(pipeline.function).get("return", Any))
    return variable(result, type_, frozenset((f"pipeline:{pipeline.name}",)))


def _parallel(body: Body, node: ast.Call) -> Value:
    body.need_states(node, "parallel(...)")
    if node.keywords or not node.args or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise Refusal(node, "parallel takes the branches one by one", "write parallel(load(a), train(b))")
    flush(body, node)
    values, branches = [], []
    for number, argument in enumerate(node.args):
        inner = body.child(flow=Flow(body.flow.names, body.flow.source_map), frames=[], problems=[])
        value = _branch(inner, argument)
        values.append(value)
        branches.append({**inner.flow.document()})
        del number
    result = body.temporary("branches")
    state: State = {"Type": "Parallel", "Branches": branches}
    _catch(body, state)
    state["Assign"] = {result: RESULT}
    body.flow.add(f"parallel (line {node.lineno})", state, node)
    parts = [
        Value(code=f"${result}[{index}]", type=value.type, sources=value.sources) for index, value in enumerate(values)
    ]
    return display(parts, is_tuple=True)


def _branch(inner: Body, node: ast.expr) -> Value:
    value = expr(inner, node)
    flush(inner, node)
    end_with(inner, value, node)
    return value


def end_with(body: Body, value: Value, node: ast.AST) -> None:
    """End the flow with this value as its output; straight from the task that made it where possible."""
    state = body.flow.direct_result(value.code)
    if state is not None:
        result = next(iter(state.pop("Assign").values()))
        if result != RESULT:
            state["Output"] = result
        body.flow.take()
        state.pop("Next", None)
        state["End"] = True
        return
    body.flow.add(f"result (line {getattr(node, 'lineno', 0)})", {"Type": "Succeed", "Output": template(value)}, node)


def _sleep(body: Body, node: ast.Call) -> Value:
    body.need_states(node, "sleep")
    if len(node.args) != 1 or node.keywords:
        raise Refusal(node, "sleep takes one number of seconds", "write sleep(30)")
    seconds = expr(body, node.args[0])
    body.inspect(seconds)
    if seconds.is_constant:
        if not isinstance(seconds.constant, (int, float)) or seconds.constant < 0:
            raise Refusal(node, f"cannot sleep for {seconds.constant!r}", "give a number of seconds, 0 or more")
        wanted: Any = -int(-seconds.constant // 1)
    else:
        if not seconds.type.only("int", "float"):
            message = text("sleep needs a number of seconds")
            body.problem(
                f'$type({seconds.code}) = "number" ? null : {{"Error": "TypeError", "Cause": {message}}}', "TypeError"
            )
        message = text("sleep length must be non-negative")
        body.problem(f'{seconds.operand} < 0 ? {{"Error": "ValueError", "Cause": {message}}} : null', "ValueError")
        wanted = jsonata(seconds.code if seconds.type.only("int") else f"$ceil({seconds.code})")
    flush(body, node)
    body.flow.add(f"sleep (line {node.lineno})", {"Type": "Wait", "Seconds": wanted}, node)
    return constant(None)


def _approve(body: Body, node: ast.Call) -> Value:
    body.need_states(node, "approve")
    given: dict[str, ast.expr] = {keyword.arg or "**": keyword.value for keyword in node.keywords}
    if node.args:
        given["message"] = node.args[0]
    if set(given) - {"message", "timeout"} or "message" not in given or len(node.args) > 1:
        raise Refusal(node, "approve takes a message and a timeout", 'write approve("Publish?", timeout="24h")')
    people = body.child(for_people=True)
    message = text_of(people, node, expr(people, given["message"]))
    timeout_ms = None
    if "timeout" in given:
        value = expr(body, given["timeout"])
        if not value.is_constant:
            raise Refusal(given["timeout"], "the timeout of approve must be a constant", 'write timeout="24h"')
        timeout_ms = parse_duration_ms(value.constant, "timeout")
    flush(body, node)
    result = body.temporary("answer")
    state: State = {
        "Type": "Task",
        "Resource": TASK_RESOURCE + "approve.waitForTaskToken",
        "Arguments": {"message": jsonata(message), "token": "{% $states.context.Task.Token %}"},
    }
    _times(state, timeout_ms, None)
    _catch(body, state)
    state["Assign"] = {result: RESULT}
    body.flow.add("approve", state, node)
    return variable(result, t.ANY)


def _other(body: Body, node: ast.Call, found: Any) -> Value:
    if found is print:
        raise Refusal(node, "print gives no value", "print in a statement of its own")
    if isinstance(found, FunctionType):
        return call_helper(body, node, found)
    if isinstance(found, type):
        return construct(body, node, found)
    name = ast.unparse(node.func)
    raise Refusal(node, f"{name} cannot be called in a pipeline", IN_A_TASK)
