"""A run in the hands of Python code: start one, wait for it, look at it, stop it."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from skylift.asl import events as e
from skylift.errors import RunFailed
from skylift.ports.compute import Succeeded

if TYPE_CHECKING:
    from skylift.asl.history import HistoryEvent
    from skylift.engine.views import RunView
    from skylift.ports.journal import RunRecord
    from skylift.run_logs import LogLine
    from skylift.runtime import Runtime, Submission
    from skylift.sdk.pipeline import Pipeline

R = TypeVar("R")


class Run(Generic[R]):
    """One run of a pipeline. Cheap to hold; everything is read from the journal when asked for.

        run = faces.start("images")     # goes on while this process lives; `resume` goes on after it has died
        for line in run.logs(follow=True):
            print(line.label, line.text)
        print(run.status, run.result())

    Requests (`pause`, `cancel`, …) reach the process that drives the run, wherever it is on this machine. They raise
    WrongStatus when the run's status does not allow them.
    """

    def __init__(self, runtime: Runtime, run_id: str, result_type: Any = Any) -> None:
        self._runtime = runtime
        self._result_type = result_type
        self.id = run_id

    @property
    def status(self) -> str:
        """RUNNING, PAUSED, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, or INTERRUPTED: its process died, resume it."""
        return self._runtime.reader.shown_status(self._record())

    def wait(self, timeout: float | None = None) -> str:
        """Block until the run has ended; its status. Raises TimeoutError after `timeout` seconds."""
        return self._runtime.wait(self.id, timeout_s=timeout).status

    def result(self, timeout: float | None = None) -> R:
        """Wait for the run and return what the pipeline returned. Raises RunFailed, or TimeoutError."""
        value: R = _result(self._runtime, self._runtime.wait(self.id, timeout_s=timeout), self._result_type)
        return value

    async def result_async(self, timeout: float | None = None) -> R:
        """`result` for asyncio code."""
        import asyncio

        return await asyncio.to_thread(self.result, timeout)

    def view(self) -> RunView:
        """Steps, attempts and what the run waits for."""
        return self._runtime.reader.view(self._record())

    def events(self) -> Iterator[HistoryEvent]:
        """The history so far, as GetExecutionHistory would give it."""
        return self._runtime.reader.history(self._record())

    def logs(self, step: str | None = None, *, follow: bool = False) -> Iterator[LogLine]:
        """What tasks printed and logged; with `follow` until the run ends."""
        return self._runtime.reader.log_lines(self._record(), step=step, follow=follow)

    def cancel(self, cause: str | None = None) -> None:
        """End the run: it becomes ABORTED, its tasks are cancelled."""
        self._runtime.ask(self._record(), e.StopRequested(cause=cause))

    def pause(self) -> None:
        """Let the run start no new task; tasks that run go on and are recorded."""
        self._runtime.ask(self._record(), e.PauseRequested())

    def resume(self, *, budget: str | float | None = None) -> None:
        """Go on with the run: paused, or left behind by a process that died. `budget` is what it may cost from now on,
        `"10 USD"` or 10. Raises BudgetSpent where its budget does not let it."""
        from skylift.units import parse_usd

        self._runtime.resume(self._record(), budget=None if budget is None else parse_usd(budget, "budget"))

    def redrive(self) -> None:
        """Go on with the failed run from the steps that did not succeed."""
        self._runtime.redrive(self._record())

    def answer(self, value: Any = True, *, step: str | None = None) -> None:
        """Answer the approval the run waits for."""
        self._runtime.answer(self._record(), Succeeded(output=value), step=step)

    def _record(self) -> RunRecord:
        return self._runtime.reader.record(self.id)

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.status}>"

    def _repr_html_(self) -> str:
        from skylift.sdk.notebook import run_html

        return run_html(self._runtime, self._record())


def start(pipeline: Pipeline[..., R], arguments: Mapping[str, Any], *, name: str | None = None) -> Run[R]:
    """Start a durable run of `pipeline`, in this process or on the server, with arguments by name."""
    runtime = default_runtime()
    record = runtime.submit(*_prepare(runtime, pipeline, arguments), name=name)
    return Run(runtime, record.run_id, pipeline.result_type)


def execute(pipeline: Pipeline[..., R], arguments: Mapping[str, Any]) -> R:
    """Run `pipeline` durably, in this process or on the server, and return its result. Raises RunFailed."""
    runtime = default_runtime()
    record = runtime.execute(*_prepare(runtime, pipeline, arguments))
    value: R = _result(runtime, record, pipeline.result_type)
    return value


def _prepare(runtime: Runtime, pipeline: Pipeline[..., Any], arguments: Mapping[str, Any]) -> tuple[Submission, Any]:
    from skylift.sdk.parameters import bind_input
    from skylift.sdk.submission import pipeline_submission

    runtime.warm_up()
    return pipeline_submission(pipeline, runtime.blobs, runtime.config.home), bind_input(
        pipeline, arguments, runtime.codec
    )


def _result(runtime: Runtime, record: RunRecord, result_type: Any) -> Any:
    if record.status != "SUCCEEDED":
        raise RunFailed(record.run_id, record.status, record.error, record.cause)
    return runtime.codec.load(record.output, result_type)


def find_run(run: str) -> Run[Any]:
    """A handle for a run of this project by id, name or the beginning of one. Raises RunNotFound."""
    runtime = default_runtime()
    return Run(runtime, runtime.reader.record(run).run_id)


_default: tuple[int, Runtime] | None = None


def default_runtime() -> Runtime:
    """The runtime of the working folder's project, or of the server that its settings name: one a process, closed when
    the process ends."""
    global _default
    if _default is None or _default[0] != os.getpid() or _default[1].closed:
        from skylift.config import load_config
        from skylift.remote.open import runtime_for

        runtime = runtime_for(load_config())
        atexit.register(runtime.close)
        _default = (os.getpid(), runtime)
    return _default[1]
