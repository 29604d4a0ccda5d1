"""Whether a compiled pipeline does what its Python does: all ways run here, in virtual time.

outcome = durable(faces, rates=[0.1])          # as the engine's machine runs it
assert_same(faces, rates=[0.1])                # and as Python runs it: same result, or same error
assert_same_after_crashes(faces, 7, rates=[0.1])  # and as an engine with a journal runs it that dies again and again
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from skylift.asl.parse import load
from skylift.errors import SkyliftError
from skylift.sdk.parameters import bind_input
from skylift.sdk.pipeline import Pipeline
from skylift.sdk.task import Task
from skylift.stores.files import FileBlobStore
from skylift.testing.faults import FaultPlan
from skylift.testing.simulation import Simulation
from skylift.testing.virtual import TaskError, VirtualRun
from skylift.values.codec import ValueCodec

START_EXECUTION = "arn:aws:states:::states:startExecution.sync:2"

CRASHES = FaultPlan(crash_before_commit=0.1, crash_after_commit=0.15, crash_before_submit=0.05, crash_after_submit=0.05)


class Outcome(msgspec.Struct, frozen=True):
    """How it ended: a value, or the class and message of an error."""

    value: Any = None
    error: str | None = None
    message: str | None = None


def plain(pipeline: Pipeline[..., Any], /, **values: Any) -> Outcome:
    """The pipeline called as a Python function."""
    try:
        return Outcome(value=pipeline(**values))
    except SkyliftError:
        raise
    except Exception as failure:  # noqa: BLE001 - the outcome
        return Outcome(error=type(failure).__name__, message=str(failure))


def durable(pipeline: Pipeline[..., Any], /, **values: Any) -> Outcome:
    """The compiled document, run by the engine's machine in virtual time with the pipeline's tasks."""
    with tempfile.TemporaryDirectory() as folder:
        codec = ValueCodec(FileBlobStore(Path(folder)))
        run = start(pipeline, codec).run(bind_input(pipeline, values, codec))
        if run.status == "SUCCEEDED":
            return Outcome(value=codec.load(run.output, pipeline.result_type))
        return Outcome(error=run.error or run.status, message=run.cause)


def crashed(pipeline: Pipeline[..., Any], seed: int, /, **values: Any) -> Outcome:
    """The compiled document, run by the whole engine on a journal, with crashes between any two of its steps; the same
    seed gives the same crashes."""
    with tempfile.TemporaryDirectory() as folder:
        codec = ValueCodec(FileBlobStore(Path(folder)))
        world = crashing_world(pipeline, seed, codec, **values)
        world.run()
        if world.wrongs:
            raise AssertionError(f"{world.wrongs}\nseed: {seed}")
        run = world.find(pipeline.name)
        assert run is not None
        if run.status == "SUCCEEDED":
            return Outcome(value=codec.load(run.output, pipeline.result_type))
        return Outcome(error=run.error or run.status, message=run.cause)


def crashing_world(pipeline: Pipeline[..., Any], seed: int, codec: ValueCodec, /, **values: Any) -> Simulation:
    """An engine that was asked to run the pipeline once, under its name."""
    from skylift.sdk.compiler.compile import compile_pipeline_parts

    compiled, tasks = compile_pipeline_parts(pipeline)
    documents = {name: msgspec.json.encode(part.definition) for name, part in compiled.all_pipelines().items()}
    world = Simulation(
        seed,
        {name: _failing_by_name(_callable(task, codec)) for name, task in tasks.items()},
        plan=CRASHES,
        machines=documents,
        specs=compiled.all_tasks(),
    )
    world.start(documents[pipeline.name], bind_input(pipeline, values, codec), name=pipeline.name)
    return world


def start(pipeline: Pipeline[..., Any], codec: ValueCodec) -> VirtualRun:
    """A virtual run, not started yet. Each task takes its arguments from JSON and gives its result as JSON."""
    from skylift.sdk.compiler.compile import compile_pipeline_parts

    compiled, tasks = compile_pipeline_parts(pipeline)
    callables = {name: _callable(task, codec) for name, task in tasks.items()}
    parts = {name: load(msgspec.json.encode(part.definition)) for name, part in compiled.all_pipelines().items()}

    def nested(arguments: Any) -> Any:
        name = arguments["StateMachineArn"].rpartition(":")[2]
        run = VirtualRun(parts[name], callables).run(arguments["Input"])
        if run.status == "SUCCEEDED":
            return {"Output": run.output, "Status": run.status}
        ended = {"Status": run.status, "Error": run.error, "Cause": run.cause}
        raise TaskError("States.TaskFailed", msgspec.json.encode(ended).decode())

    callables[START_EXECUTION] = nested
    return VirtualRun(parts[pipeline.name], callables)


def assert_same(pipeline: Pipeline[..., Any], /, **values: Any) -> Outcome:
    """Both ways, and both alike: equal values of equal shape, or the same error class and message."""
    return _compare(plain(pipeline, **values), durable(pipeline, **values), values)


def assert_same_after_crashes(pipeline: Pipeline[..., Any], seed: int, /, **values: Any) -> Outcome:
    """A plain call, and a durable run whose engine crashes in the middle: both alike."""
    return _compare(plain(pipeline, **values), crashed(pipeline, seed, **values), values)


def _compare(expected: Outcome, found: Outcome, values: Any) -> Outcome:
    if expected.error != found.error:
        raise AssertionError(f"Python: {expected}\ndurable: {found}\ninput: {values}")
    if expected.error is None and not alike(expected.value, found.value):
        raise AssertionError(f"Python: {expected.value!r}\ndurable: {found.value!r}\ninput: {values}")
    return found


def alike(left: Any, right: Any) -> bool:
    """Equal, and True is not 1; a whole float may have come back as an int, as JSON has one kind of number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(alike(left[key], right[key]) for key in left)
    return bool(left == right)


def _callable(task: Task[..., Any], codec: ValueCodec) -> Callable[[Any], Any]:
    def call(arguments: Any) -> Any:
        result = task.function(**{name: codec.load(value) for name, value in arguments.items()})
        return codec.dump(result)

    return call


def _failing_by_name(task: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What the task raises becomes the failure that a worker would report."""

    def call(arguments: Any) -> Any:
        try:
            return task(arguments)
        except Exception as failure:
            bases = tuple(kind.__name__ for kind in type(failure).__mro__[1:] if kind not in (object, BaseException))
            raise TaskError(type(failure).__name__, str(failure), bases) from failure

    return call


__all__ = ["Outcome", "alike", "assert_same", "assert_same_after_crashes", "crashed", "durable", "plain", "start"]
