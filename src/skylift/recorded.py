"""A recorded attempt as something that can be called again, here: same code, same inputs, nothing recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.compute.worker.context import LambdaContext, deadline
from skylift.compute.worker.loader import Loader
from skylift.errors import RunNotFound, SetupError
from skylift.ports.compute import CodeRef
from skylift.values.codec import ValueCodec

if TYPE_CHECKING:
    from skylift.engine.views import Attempt
    from skylift.ports.blobs import BlobStore
    from skylift.ports.tasks import TaskSpec, TaskTable


class RecordedCall(msgspec.Struct, kw_only=True):
    """Call it to run the attempt again; it returns what the task returns and raises what it raises."""

    label: str
    attempt: int
    function: Any
    arguments: Mapping[str, Any]
    positional: tuple[Any, ...] = ()

    def __call__(self) -> Any:
        return self.function(*self.positional, **self.arguments)

    def describe(self) -> str:
        """The call as it would stand in Python, long values shortened."""
        given = [_short(value) for value in self.positional]
        given += [f"{name}={_short(value)}" for name, value in self.arguments.items()]
        return f"{getattr(self.function, '__name__', 'task')}({', '.join(given)})"

    def user_frames(self, raised: BaseException) -> TracebackType | None:
        """The traceback from the task's own first line on."""
        trace = raised.__traceback__
        while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("skylift."):
            trace = trace.tb_next
        return trace or raised.__traceback__


def choose_attempt(attempts: list[Attempt], step: str, number: int | None) -> Attempt:
    """The attempt that a person means by step (`train`, `trials[3].train`) and number; the last one unless said.

    Raises RunNotFound naming the steps there are.
    """
    of_step = [a for a in attempts if step in (a.label, a.state)]
    if not of_step:
        labels = sorted({a.label for a in attempts})
        shown = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
        raise RunNotFound(f"no task ran as {step!r}", hint=f"the run's tasks: {shown or 'none'}")
    chosen = [a for a in of_step if number in (None, a.number)]
    if not chosen:
        raise RunNotFound(f"{step} has no attempt {number}", hint=f"it has {', '.join(str(a.number) for a in of_step)}")
    return chosen[-1]


def recorded_call(
    attempt: Attempt, table: TaskTable, blobs: BlobStore, cache_dir: str, paths: tuple[str, ...]
) -> RecordedCall:
    """Load the code and the inputs of an attempt, from the run's own bundle. Raises SetupError if it ran no Python."""
    spec = _spec_of(attempt, table)
    loader = Loader(lambda: blobs, cache_dir, paths)
    bundle = None if spec.convention == "handler" else table.bundle
    function = loader.function(CodeRef(bundle=bundle, target=spec.target))
    if spec.convention == "handler":
        return RecordedCall(
            label=attempt.label,
            attempt=attempt.number,
            function=function.call,
            arguments={},
            positional=(_event(attempt), _context(attempt, spec)),
        )
    codec = ValueCodec(blobs)
    return RecordedCall(
        label=attempt.label,
        attempt=attempt.number,
        function=function.call,
        arguments={
            name: codec.load(value, function.parameters.get(name, Any)) for name, value in attempt.arguments.items()
        },
    )


def _spec_of(attempt: Attempt, table: TaskTable) -> TaskSpec:
    from skylift.engine.router import find_function

    name = attempt.resource.rpartition(":::skylift:")[2]
    spec = table.tasks.get(name) or find_function(attempt.resource, table)
    if spec is None and isinstance(attempt.arguments, dict):
        spec = find_function(str(attempt.arguments.get("FunctionName")), table)
    if spec is None:
        raise SetupError(
            f"{attempt.label} ran no Python here: its resource is {attempt.resource}", code="NOT-REPLAYABLE"
        )
    return spec


def _event(attempt: Attempt) -> Any:
    """What the handler was given: of `lambda:invoke` the Payload alone."""
    invoked = ":::lambda:invoke" in attempt.resource and isinstance(attempt.arguments, dict)
    return attempt.arguments.get("Payload", {}) if invoked else attempt.arguments


def _context(attempt: Attempt, spec: TaskSpec) -> LambdaContext:
    """A handler's context; its deadline counts from now."""
    return LambdaContext(
        function_name=spec.name,
        aws_request_id=attempt.token,
        deadline_ms=deadline(int(time.time() * 1000), spec.requirements.timeout_ms),
        memory_limit_in_mb=spec.requirements.memory_mib or 0,
        log_stream_name=attempt.label,
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
