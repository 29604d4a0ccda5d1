"""A recorded attempt as something that can be called again, here: same code, same inputs, nothing recorded."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from skylift.compute.worker import current
from skylift.compute.worker.attempt import finished, surroundings
from skylift.compute.worker.context import LambdaContext, deadline
from skylift.compute.worker.loader import Loader
from skylift.compute.worker.secrets import Secrets
from skylift.errors import RunNotFound, SetupError
from skylift.ports.compute import CodeRef, Requirements
from skylift.values.codec import ValueCodec

if TYPE_CHECKING:
    from skylift.engine.views import Attempt, AttemptStatus
    from skylift.ports.blobs import BlobStore
    from skylift.ports.tasks import TaskSpec, TaskTable


class RecordedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt was given, as plain data: it can be run again in another process, with other packages."""

    label: str
    number: int
    token: str
    run_id: str
    visit: str
    task: str
    code: CodeRef
    convention: Literal["task", "handler"]
    arguments: Any
    requirements: Requirements
    secrets: dict[str, str] = {}
    """Where the secrets of its task are found, by name."""
    paths: tuple[str, ...] = ()
    cache_dir: str
    checkpoints: str | None = None
    """Where the run keeps checkpoints."""

    @classmethod
    def of(
        cls,
        attempt: Attempt,
        spec: TaskSpec,
        *,
        run_id: str,
        bundle: str | None,
        secrets: Mapping[str, str],
        paths: tuple[str, ...],
        cache_dir: str,
        checkpoints: str | None,
    ) -> RecordedAttempt:
        from skylift.engine.calls import visit_at

        handler = spec.convention == "handler"
        return cls(
            label=attempt.label,
            number=attempt.number,
            token=attempt.token,
            run_id=run_id,
            visit=visit_at(attempt.token, attempt.number),
            task=spec.name,
            code=CodeRef(bundle=None if handler else bundle, target=spec.target),
            convention=spec.convention,
            arguments=_event(attempt) if handler else attempt.arguments,
            requirements=spec.requirements,
            secrets=dict(secrets),
            paths=paths,
            cache_dir=cache_dir,
            checkpoints=checkpoints,
        )


class RecordedCall:
    """Call it to run the attempt again; it returns what the task returns and raises what it raises."""

    def __init__(self, attempt: RecordedAttempt, blobs: BlobStore) -> None:
        """Loads code and inputs, finds secrets. Raises SecretMissing, or what importing the code raises."""
        self._attempt = attempt
        secrets = Secrets(attempt.secrets)
        self._secrets = {name: secrets.find(name) for name in attempt.requirements.secrets}
        loader = Loader(lambda: blobs, attempt.cache_dir, attempt.paths)
        self._function = loader.function(attempt.code)
        if attempt.convention == "handler":
            self._positional: tuple[Any, ...] = (attempt.arguments, _context(attempt))
            self._named: dict[str, Any] = {}
            return
        codec = ValueCodec(blobs, resolver=loader.resolver(attempt.code.bundle))
        hints = self._function.parameters
        self._positional = ()
        self._named = {name: codec.load(value, hints.get(name, Any)) for name, value in attempt.arguments.items()}

    def __call__(self) -> Any:
        """With the attempt's environment variables and secrets, and the attempt itself for code that asks for it. Of a
        gang only rank 0 runs, as a gang of one."""
        attempt = self._attempt
        variables = {**attempt.requirements.env, **_alone(attempt.requirements), **self._secrets}
        timeout_ms = attempt.requirements.timeout_ms
        now = current.Attempt(
            token=f"{attempt.run_id}.{attempt.token}",
            run_id=attempt.run_id,
            task=attempt.task,
            label=attempt.label,
            number=attempt.number,
            deadline_ms=None if timeout_ms is None else int(time.time() * 1000) + timeout_ms,
            visit=attempt.visit,
            checkpoints=attempt.checkpoints,
        )
        current.enter(now, process_wide=True)
        try:
            with surroundings(variables):
                return finished(self._function.call(*self._positional, **self._named))
        finally:
            current.enter(None, process_wide=True)

    def describe(self) -> str:
        """The call as it would stand in Python, long values shortened."""
        given = [_short(value) for value in self._positional]
        given += [f"{name}={_short(value)}" for name, value in self._named.items()]
        return f"{getattr(self._function.call, '__name__', 'task')}({', '.join(given)})"

    def user_frames(self, raised: BaseException) -> TracebackType | None:
        """The traceback from the task's own first line on."""
        trace = raised.__traceback__
        while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next
        return trace or raised.__traceback__


REPLAYED: tuple[AttemptStatus, ...] = ("FAILED", "TIMED_OUT")
"""Of several steps with one name, those that somebody wants to look at."""
OPENED: tuple[AttemptStatus, ...] = ("RUNNING", "FAILED", "TIMED_OUT")


def choose_attempt(
    attempts: list[Attempt], step: str, number: int | None, prefer: tuple[AttemptStatus, ...] = REPLAYED
) -> Attempt:
    """The attempt that a person means by step (`train`, `trials[3].train`) and number; the last one unless said. Where
    several steps are called so, one of the first of these statuses, else the last.

    Raises RunNotFound naming the steps there are.
    """
    of_step = called(attempts, step)
    if not of_step:
        labels = sorted({a.label for a in attempts})
        shown = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
        raise RunNotFound(f"no task ran as {step!r}", hint=f"the run's tasks: {shown or 'none'}")
    chosen = [a for a in of_step if number in (None, a.number)]
    if not chosen:
        there = ", ".join(map(str, sorted({a.number for a in of_step})))
        raise RunNotFound(f"{step} has no attempt {number}", hint=f"it has {there}")
    last = list({a.label: a for a in chosen}.values())  # a later one in place of an earlier one
    wanted = [[a for a in last if a.status == status] for status in prefer]
    return next((found[-1] for found in wanted if found), chosen[-1])


def called(attempts: list[Attempt], step: str) -> list[Attempt]:
    """Those of a state, of a label, or of what labels end with: `i[3].train` for `train for i[3].train`."""
    exact = [a for a in attempts if step in (a.label, a.state)]
    ending = re.compile(rf"(?<![\w\[\]]){re.escape(step)}$") if step else None
    return exact or [a for a in attempts if ending is not None and ending.search(a.label)]


def spec_of(attempt: Attempt, table: TaskTable) -> TaskSpec:
    """The task that an attempt ran. Raises SetupError if it ran no Python of ours."""
    from skylift.engine.functions import find_function

    name = attempt.resource.rpartition(":::skylift:")[2].removesuffix(".waitForTaskToken")
    spec = table.tasks.get(name) or find_function(attempt.resource, table)
    if spec is None and isinstance(attempt.arguments, dict):
        spec = find_function(str(attempt.arguments.get("FunctionName")), table)
    if spec is None:
        raise SetupError(
            f"{attempt.label} ran no Python here: its resource is {attempt.resource}",
            hint="only tasks, and functions and jobs that are bound here, can be replayed",
            code="NOT-REPLAYABLE",
        )
    return spec


def _event(attempt: Attempt) -> Any:
    """What the handler was given: of `lambda:invoke` the Payload alone."""
    invoked = ":::lambda:invoke" in attempt.resource and isinstance(attempt.arguments, dict)
    return attempt.arguments.get("Payload", {}) if invoked else attempt.arguments


def _context(attempt: RecordedAttempt) -> LambdaContext:
    """A handler's context; its deadline counts from now."""
    return LambdaContext(
        function_name=attempt.task,
        aws_request_id=f"{attempt.run_id}.{attempt.token}",
        deadline_ms=deadline(int(time.time() * 1000), attempt.requirements.timeout_ms),
        memory_limit_in_mb=attempt.requirements.memory_mib or 0,
        log_stream_name=attempt.label,
    )


def _alone(needs: Requirements) -> dict[str, str]:
    """What a member of a gang is told, for one without others."""
    if needs.nodes == 1:
        return {}
    from skylift.compute.gangs import HERE, free_port

    ranks = dict.fromkeys(("RANK", "LOCAL_RANK", "NODE_RANK"), "0")
    sizes = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "1")
    return {**ranks, **sizes, "MASTER_ADDR": HERE, "MASTER_PORT": str(free_port())}


def _is_ours(file: str) -> bool:
    own = str(Path(__file__).parent)
    return file.startswith(own + os.sep) and not file.startswith(os.path.join(own, "testing"))  # noqa: PTH118


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
