"""`@pipeline`: a function that is compiled to a States Language document, and still runs when called."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, overload

from skylift.sdk.definition import Definition, P, PipelineInvalid, R

if TYPE_CHECKING:
    from skylift.sdk.compiler.compile import CompiledPipeline
    from skylift.sdk.handles import Run


class Pipeline(Definition[P, R]):
    """A pipeline. Calling it runs the body here, as plain Python, with its tasks in this process."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        timeout: str | float | None = None,
        budget: str | float | None = None,
    ) -> None:
        super().__init__(function, name=name, timeout=timeout, budget=budget)
        self._compiled: CompiledPipeline | None = None
        self._run_name: str | None = None

    def compile(self) -> CompiledPipeline:
        """The States Language document with its task table; raises CompileError. Compiled once, but in a
        notebook or program, where names may have got new meanings, each time."""
        if self._compiled is None or self.module == "__main__":
            from skylift.sdk.compiler.compile import compile_pipeline

            self._compiled = compile_pipeline(self)
        return self._compiled

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run durably on this machine, wait, and return the result. Raises RunFailed."""
        from skylift.sdk.handles import execute

        if self._run_name is not None:
            return self.start(*args, **kwargs).result()
        return execute(self, self.bind(*args, **kwargs))

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Start a durable run on this machine; a handle on it."""
        from skylift.sdk.handles import start

        return start(self, self.bind(*args, **kwargs), name=self._run_name)

    def named(self, run_name: str) -> Pipeline[P, R]:
        """This pipeline, whose runs are started under a name: `nightly.named("2026-11-21").start()`.

        Starting a name again with the same input gives the run that was started first, in whatever process that was;
        with another input RunAlreadyExists is raised.
        """
        same = copy(self)
        same._run_name = run_name
        return same

    async def run_async(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """`run` for asyncio code."""
        import asyncio

        return await asyncio.to_thread(self.run, *args, **kwargs)

    async def start_async(self, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """`start` for asyncio code."""
        import asyncio

        return await asyncio.to_thread(self.start, *args, **kwargs)

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Arguments by name, defaults filled in. Raises ParameterInvalid."""
        from skylift.sdk.parameters import ParameterInvalid, bind_input

        names = [parameter.name for parameter in self.parameters]
        if len(args) > len(names):
            raise ParameterInvalid(f"{self.name} takes {len(names)} arguments, {len(args)} were given")
        given = dict(zip(names, args, strict=False))
        for name in given:
            if name in kwargs:
                raise ParameterInvalid(f"{self.name}: {name} is given twice")
        return bind_input(self, {**given, **kwargs})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        from skylift.sdk.direct import plain_pipeline

        with plain_pipeline():
            return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    def _repr_html_(self) -> str:
        from skylift.sdk.notebook import pipeline_html

        return pipeline_html(self)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...


@overload
def pipeline(
    *, name: str | None = None, timeout: str | float | None = None, budget: str | float | None = None
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a pipeline: its body is compiled to a graph when it is first needed.

    name: what runs are listed under; the function's name unless given. timeout: of a whole run, `"2h"` or seconds; a
    run that takes longer becomes TIMED_OUT. budget: what a run may cost, `"5 USD"` or 5; one that has spent it is
    paused before its next attempt, and goes on with `skylift resume RUN --budget 10`. Raises PipelineInvalid for a
    function that cannot be one (async, `*args`).

    >>> from skylift import task
    >>> @task
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> @pipeline
    ... def doubled(xs: list[int]) -> list[int]:
    ...     return [double(x) for x in xs]
    >>> doubled([1, 2])
    [2, 4]

    `doubled.run([1, 2])` does the same durably; what cannot be compiled raises CompileError there, or in
    `doubled.compile()`.
    """
    if function is not None:
        return Pipeline(function)
    unknown = [key for key in options if key not in ("name", "timeout", "budget")]
    if unknown:
        raise PipelineInvalid(f"@pipeline: no option {unknown[0]!r}", hint="options: name, timeout, budget")
    return lambda inner: Pipeline(inner, **options)
