"""`@pipeline`: a function that is compiled to a States Language document, and still runs when called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from skylift.errors import AuthorError

if TYPE_CHECKING:
    from skylift.sdk.compiler.compile import CompiledPipeline
    from skylift.sdk.handles import Run
    from skylift.sdk.parameters import Parameter
    from skylift.sdk.parameters import bind_input as bind_input
    from skylift.sdk.parameters import parse_argument as parse_argument

P = ParamSpec("P")
R = TypeVar("R")


class PipelineInvalid(AuthorError):
    """A function that cannot be a pipeline."""

    code = "PIPELINE"


class Pipeline(Generic[P, R]):
    """A pipeline. Calling it runs the body here, as plain Python, with its tasks in this process."""

    def __init__(
        self, function: Callable[P, R], *, name: str | None = None, timeout: str | float | None = None
    ) -> None:
        _check(function)
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.timeout = timeout
        self.module = function.__module__
        self._compiled: CompiledPipeline | None = None
        self._parameters: tuple[Parameter, ...] | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Name, annotation, default and help of each parameter."""
        if self._parameters is None:
            from skylift.sdk.parameters import parameters_of

            self._parameters = parameters_of(self.function)
        return self._parameters

    def compile(self) -> CompiledPipeline:
        """The States Language document with its task table; raises CompileError. Compiled once, but in a
        notebook or program, where names may have got new meanings, each time."""
        if self._compiled is None or self.module == "__main__":
            from skylift.sdk.compiler.compile import compile_pipeline

            self._compiled = compile_pipeline(self)
        return self._compiled

    @functools.cached_property
    def result_type(self) -> Any:
        """The annotation of what it returns; Any if there is none."""
        from skylift.sdk.compiler.source import evaluate_hints

        return evaluate_hints(self.function).get("return", Any)

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run durably on this machine, wait, and return the result. Raises RunFailed."""
        from skylift.sdk.handles import execute

        return execute(self, self.bind(*args, **kwargs))

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Start a durable run on this machine; a handle on it."""
        from skylift.sdk.handles import start

        return start(self, self.bind(*args, **kwargs))

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


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...


@overload
def pipeline(
    *, name: str | None = None, timeout: str | float | None = None
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a pipeline. name: what runs are listed under. timeout: of a whole run, `"2h"` or seconds."""
    if function is not None:
        return Pipeline(function)
    unknown = [key for key in options if key not in ("name", "timeout")]
    if unknown:
        raise PipelineInvalid(f"@pipeline: no option {unknown[0]!r}", hint="options: name, timeout")
    return lambda inner: Pipeline(inner, **options)


def _check(function: Any) -> None:
    code = getattr(function, "__code__", None)
    if code is None:
        raise PipelineInvalid(f"{function!r} is not a function", hint="put @pipeline directly above `def`")
    if code.co_flags & (0x80 | 0x20 | 0x200):
        raise PipelineInvalid(f"{function.__name__} is async or a generator", hint="a pipeline is a plain function")
    if code.co_posonlyargcount or code.co_flags & (0x04 | 0x08):
        raise PipelineInvalid(
            f"{function.__name__} has positional-only parameters, *args or **kwargs",
            hint="a run's input is an object of named parameters: name each one",
        )


def __getattr__(name: str) -> Any:
    """Parameters of pipelines, without loading what they need before someone asks."""
    if name in ("bind_input", "parse_argument"):
        from skylift.sdk import parameters

        return getattr(parameters, name)
    raise AttributeError(name)


def pipeline_parameters(pipeline: Pipeline[..., Any]) -> tuple[Parameter, ...]:
    """Name, annotation, default and help of each parameter."""
    return pipeline.parameters
