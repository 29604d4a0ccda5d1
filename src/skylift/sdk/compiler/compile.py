"""From a pipeline to its document: passes over the body until the types are stable, then the tables beside it."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from skylift.ports.tasks import TaskSpec
from skylift.sdk.compiler import (
    access,
    aggregates,
    builtins,
    conditions,
    control,
    displays,
    exceptions,
    expressions,
    maps,
    statements,
    texts,
)
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.aliasing import check_aliases
from skylift.sdk.compiler.body import Body, Unit
from skylift.sdk.compiler.calls import MACHINE
from skylift.sdk.compiler.constants import outside_value
from skylift.sdk.compiler.exact import counters
from skylift.sdk.compiler.flow import Flow, State
from skylift.sdk.compiler.refuse import CompileError, Refusal
from skylift.sdk.compiler.source import FunctionSource, read_function
from skylift.sdk.compiler.types import Type
from skylift.sdk.definition import Definition
from skylift.sdk.fingerprint import fingerprint
from skylift.sdk.parameters import Parameter
from skylift.sdk.task import Task

_MODULES = (
    access,
    aggregates,
    builtins,
    conditions,
    control,
    displays,
    exceptions,
    expressions,
    maps,
    statements,
    texts,
)
"""They register what they compile."""
_PASSES = 40


class CompiledPipeline(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline compiles to. `definition` is pure States Language."""

    name: str
    definition: dict[str, Any]
    tasks: dict[str, TaskSpec]
    """The tasks its own states call."""
    parameters: tuple[Parameter, ...]
    source_map: dict[str, tuple[str, int]]
    """State name → file and line."""
    pipelines: dict[str, CompiledPipeline] = {}
    """The pipelines it starts as nested runs, and those that they start, by name."""
    warnings: tuple[str, ...] = ()

    @property
    def machine_arn(self) -> str:
        return MACHINE + self.name

    def all_tasks(self) -> dict[str, TaskSpec]:
        """The tasks of this pipeline and of every pipeline it calls."""
        return {name: spec for part in self.all_pipelines().values() for name, spec in part.tasks.items()}

    def all_pipelines(self) -> dict[str, CompiledPipeline]:
        """This pipeline and every pipeline it calls, by name."""
        return {**self.pipelines, self.name: self}


class _Compiled(msgspec.Struct, kw_only=True):
    pipeline: Any
    unit: Any
    definition: dict[str, Any]
    lines: dict[str, int]


def compile_pipeline(pipeline: Definition[..., Any]) -> CompiledPipeline:
    """Compile a pipeline and the pipelines it calls. Raises CompileError (an AuthorError) at the first refusal."""
    return compile_pipeline_parts(pipeline)[0]


def compile_pipeline_parts(pipeline: Definition[..., Any]) -> tuple[CompiledPipeline, dict[str, Task[..., Any]]]:
    """Also the task objects by name: for bundling, and for running the document in this process."""
    t.class_hints.cache_clear()
    done: dict[str, _Compiled] = {}
    waiting = [pipeline]
    while waiting:
        one = waiting.pop()
        if one.name not in done:
            done[one.name] = _compile_one(one)
            waiting += done[one.name].unit.pipelines.values()
    tasks = _one_task_a_name(done)
    inspected = _inspected(done)
    parts = {name: _part(compiled, inspected) for name, compiled in sorted(done.items())}
    own = parts.pop(pipeline.name)
    return msgspec.structs.replace(own, pipelines=parts), tasks


def _part(compiled: _Compiled, inspected: set[str]) -> CompiledPipeline:
    unit: Unit = compiled.unit
    file = unit.source.text.file
    return CompiledPipeline(
        name=compiled.pipeline.name,
        definition=compiled.definition,
        tasks={name: task_spec(task, inline=name in inspected) for name, task in sorted(unit.tasks.items())},
        parameters=compiled.pipeline.parameters,
        source_map={state: (file, line) for state, line in compiled.lines.items()},
    )


def _one_task_a_name(done: dict[str, _Compiled]) -> dict[str, Task[..., Any]]:
    """Pipelines that call each other share a task table."""
    found: dict[str, Task[..., Any]] = {}
    for compiled in done.values():
        for name, task in compiled.unit.tasks.items():
            there = found.setdefault(name, task)
            if there.target != task.target or there.requirements != task.requirements:
                refusal = Refusal(
                    compiled.unit.source.node,
                    f"two tasks are named {name}: {there.target} and {task.target}",
                    'give one another name: @task(name="...") or with_options(name="...")',
                )
                raise compiled.unit.source.text.error(refusal, compiled.unit.source.node.lineno)
    return found


def task_spec(task: Task[..., Any], *, inline: bool) -> TaskSpec:
    return TaskSpec(
        name=task.name,
        target=task.target,
        requirements=task.requirements,
        cache=task.cache,
        fingerprint=fingerprint(task.function),
        inline_result=inline,
        on=task.on,
    )


def _compile_one(pipeline: Definition[..., Any]) -> _Compiled:
    source = read_function(pipeline.function)
    counting = counters(source.node)
    known: dict[str, tuple[Type, frozenset[str]]] = {}
    for _ in range(_PASSES):
        unit = Unit(source=source, types=known, counters=counting)
        problem: Refusal | None = None
        flow = Flow(unit.names, unit.lines)
        try:
            _write(unit, flow, pipeline)
        except Refusal as refusal:
            problem = refusal
        merged = {
            name: (
                t.union(known.get(name, (t.BOTTOM, frozenset()))[0], type_),
                known.get(name, (t.BOTTOM, frozenset()))[1] | held,
            )
            for name, (type_, held) in unit.seen.items()
        }
        merged = {**known, **merged}
        if merged == known:
            if problem is None:
                problem = _alias_problem(source, merged)
            if problem is not None:
                raise source.text.error(problem, source.node.lineno) from None
            return _Compiled(pipeline=pipeline, unit=unit, definition=_document(pipeline, flow), lines=dict(unit.lines))
        known = merged
    if problem is not None:
        raise source.text.error(problem, source.node.lineno) from None
    raise source.text.error(
        Refusal(source.node, "the types of its variables do not settle", "annotate results of tasks"),
        source.node.lineno,
    )


def _alias_problem(source: FunctionSource, known: dict[str, tuple[Type, frozenset[str]]]) -> Refusal | None:
    try:
        check_aliases(source, {name: type_ for name, (type_, _) in known.items()})
    except Refusal as refusal:
        return refusal
    return None


def _write(unit: Unit, flow: Flow, pipeline: Definition[..., Any]) -> None:
    source = unit.source
    body = Body(unit=unit, flow=flow, source=source, locals=frozenset(assigned_names(source.node)))
    _parameters(body, pipeline, source)
    statements.run_block(body, source.node.body)
    if flow.reachable:
        flow.add("return None", {"Type": "Succeed", "Output": None}, None)


def _parameters(body: Body, pipeline: Definition[..., Any], source: FunctionSource) -> None:
    """The first state: the run's input into variables, defaults where it leaves something out."""
    assignments: dict[str, Any] = {}
    for parameter in pipeline.parameters:
        type_ = t.of_annotation(parameter.annotation)
        read = f"$states.input.{access.step(parameter.name)}"
        if parameter.default is not msgspec.UNSET:
            value = outside_value(source.node, parameter.default)
            read = f"$exists({read}) ? {read} : {value.operand}"
            type_ = t.union(type_, value.type)
        assignments[body.unit.variable(parameter.name)] = f"{{% {read} %}}"
        body.unit.note(parameter.name, type_, frozenset())
        body.bound.add(parameter.name)
    if assignments:
        body.assign("start", assignments, source.node)


def assigned_names(node: ast.FunctionDef) -> set[str]:
    """Every name that the function gives a value, comprehensions aside (their names are their own)."""
    names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(part, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            continue
        if isinstance(part, ast.Name) and isinstance(part.ctx, (ast.Store, ast.Del)):
            names.add(part.id)
        waiting.extend(ast.iter_child_nodes(part))
    return names


def _document(pipeline: Definition[..., Any], flow: Flow) -> State:
    document: State = {"Comment": f"{pipeline.name}, compiled by Skylift", "QueryLanguage": "JSONata"}
    if pipeline.timeout_ms is not None:
        document["TimeoutSeconds"] = max(1, -(-pipeline.timeout_ms // 1000))
    return {**document, **flow.document()}


def _inspected(done: dict[str, _Compiled]) -> set[str]:
    """Tasks whose results some graph looks inside, also through what a nested run returns."""
    found: set[str] = set()
    for compiled in done.values():
        found |= compiled.unit.inspected
    changed = True
    while changed:
        changed = False
        for name, compiled in done.items():
            if f"pipeline:{name}" in found and not compiled.unit.returned <= found:
                found |= compiled.unit.returned
                changed = True
    return found


__all__ = ["CompileError", "CompiledPipeline", "compile_pipeline", "task_spec"]
