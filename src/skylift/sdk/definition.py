"""What a `@pipeline` says of itself: its function, name, bounds and parameters. All that the compiler needs of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from skylift.errors import AuthorError
from skylift.units import parse_duration_ms, parse_usd

if TYPE_CHECKING:
    from skylift.sdk.parameters import Parameter

P = ParamSpec("P")
R = TypeVar("R")


class PipelineInvalid(AuthorError):
    """A function that cannot be a pipeline."""

    code = "PIPELINE"


class Definition(Generic[P, R]):
    """A function that is to be compiled. `Pipeline` adds what one can do with it."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        timeout: str | float | None = None,
        budget: str | float | None = None,
    ) -> None:
        _check(function)
        functools.update_wrapper(self, function)  # type: ignore[arg-type]
        self.function = function
        self.name = name or function.__name__
        self.timeout = timeout
        self.timeout_ms = None if timeout is None else parse_duration_ms(timeout, "timeout")
        self.budget = None if budget is None else parse_usd(budget, "budget")
        """What a run may cost, in US dollars: decimal text."""
        self.module = function.__module__
        self._parameters: tuple[Parameter, ...] | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Name, annotation, default and help of each parameter."""
        if self._parameters is None:
            from skylift.sdk.parameters import parameters_of

            self._parameters = parameters_of(self.function)
        return self._parameters

    @functools.cached_property
    def result_type(self) -> Any:
        """The annotation of what it returns; Any if there is none."""
        from skylift.sdk.hints import evaluate_hints

        return evaluate_hints(self.function).get("return", Any)


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
