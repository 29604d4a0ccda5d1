"""`@task`: a function that becomes a step of its own, and stays a plain function when it is called directly."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from skylift.errors import AuthorError
from skylift.sdk.resources import Resources, merge_resources, requirements_of
from skylift.sdk.retry import Retry, as_retry

if TYPE_CHECKING:
    import inspect

    from skylift.ports.compute import Requirements

P = ParamSpec("P")
R = TypeVar("R")


class TaskInvalid(AuthorError):
    """A function that cannot be a task."""

    code = "TASK"


class Task(Generic[P, R]):
    """A task. Calling it runs the function here; inside a `@pipeline` the call becomes a Task state.

    Its name (`module` left out, as in `train` or `Trainer.fit`) is what States Language resources, histories and logs
    show; `target` is where the worker finds it.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        resources: Resources | None = None,
        timeout: str | float | None = None,
        heartbeat: str | float | None = None,
        retry: int | Retry | None = None,
        cache: bool = False,
        on: str | None = None,
        name: str | None = None,
    ) -> None:
        _check(function)
        functools.update_wrapper(self, function)
        self.function = function
        self.resources = resources or Resources()
        self.timeout = timeout
        self.heartbeat = heartbeat
        self.retry = as_retry(retry)
        self.cache = cache
        self.on = on
        self.name = name or function.__qualname__.replace("<locals>.", "").replace(" ", "")
        self.module = function.__module__
        self.requirements: Requirements = requirements_of(self.resources, timeout=timeout, heartbeat=heartbeat)

    @property
    def __skylift_function__(self) -> Callable[P, R]:
        """What a worker calls."""
        return self.function

    @property
    def target(self) -> str:
        return f"{self.module}:{self.function.__qualname__}"

    @property
    def signature(self) -> inspect.Signature:
        import inspect

        return inspect.signature(self.function)

    def with_options(self, **options: Any) -> Task[P, R]:
        """The same task with other needs: `train.with_options(gpu="V100", timeout="4h", retry=2)`.

        Takes what `@task` takes. Give variants that differ in more than retry and times a `name` of their own.
        """
        own = {key: options.pop(key) for key in _OWN if key in options}
        unknown = [key for key in options if key not in Resources.__dataclass_fields__]
        if unknown:
            raise TaskInvalid(f"{self.name}: no option {unknown[0]!r}", hint=f"options: {', '.join(_ALL)}")
        base = own.pop("resources", None) or self.resources
        merged = merge_resources(base, options)
        settings: dict[str, Any] = {key: getattr(self, key) for key in _OWN if key not in ("resources",)}
        return Task(self.function, resources=merged, **{**settings, **own})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        from skylift.sdk.direct import call_task

        result: R = call_task(self, args, kwargs)
        return result

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def __reduce__(self) -> Any:
        """A task that code bundles by reference: found again by name."""
        if "<locals>" in self.function.__qualname__ or self.module == "__main__":
            return (_rebuild, (self.function, self._settings()))
        return (_find, (self.module, self.function.__qualname__, self.function.__name__))

    def _settings(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in _OWN}


_OWN = ("resources", "timeout", "heartbeat", "retry", "cache", "on", "name")
_ALL = (*_OWN, *Resources.__dataclass_fields__)


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    cpus: float | None = None,
    memory: str | int | None = None,
    gpu: str | int | None = None,
    spot: bool | None = None,
    timeout: str | float | None = None,
    heartbeat: str | float | None = None,
    env: Mapping[str, str] | None = None,
    secrets: Sequence[str] | None = None,
    concurrency: int | None = None,
    environment: str | Sequence[str] | None = None,
    image: str | None = None,
    nodes: int | None = None,
    work: str | float | None = None,
    deadline: str | float | None = None,
    resources: Resources | None = None,
    retry: int | Retry | None = None,
    cache: bool = False,
    on: str | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task: a step that runs in a worker, with its arguments by name.

    cpus, memory, gpu, spot, env, secrets, concurrency, environment, image, nodes, work, deadline: what it needs (see
    Resources, which `resources` takes whole; what is said here wins). timeout: the longest time of one attempt, `"2h"`
    or seconds; one that takes longer raises TimeoutError in the pipeline. heartbeat: the longest time between calls of
    `heartbeat()`, shorter than timeout. retry: tries after the first, or a Retry. cache: reuse the result of the same
    code with the same inputs. on: the backend it runs on. name: what graphs and logs show; the function's name unless
    given.

    A task may run more than once (a worker can die after the work and before the report): `attempt().token` stays the
    same then. What it returns travels as JSON or as an artifact, see `skylift.values`.

    Raises TaskInvalid for a function that cannot be a task (async, a generator, `*args`) and for an unknown option,
    ResourcesInvalid or RetryInvalid for a value that cannot be understood.

    >>> @task(memory="1 GiB", retry=2)
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(4)
    8
    """
    if function is not None:
        return Task(function)
    own = {key: options.pop(key) for key in _OWN if key in options}
    unknown = [key for key in options if key not in Resources.__dataclass_fields__]
    if unknown:
        raise TaskInvalid(f"@task: no option {unknown[0]!r}", hint=f"options: {', '.join(_ALL)}")
    resources = merge_resources(own.pop("resources", None), options)
    return lambda inner: Task(inner, resources=resources, **own)


def _check(function: Any) -> None:
    code = getattr(function, "__code__", None)
    if code is None:
        raise TaskInvalid(
            f"{function!r} is not a function", hint="put @task directly above `def`, below other decorators"
        )
    if function.__name__ == "<lambda>":
        raise TaskInvalid("a lambda cannot be a task", hint="write it as `def`")
    if code.co_flags & 0x80:
        raise TaskInvalid(f"{function.__name__} is async", hint="a task is a plain function; use asyncio.run inside it")
    if code.co_flags & (0x20 | 0x200):
        raise TaskInvalid(f"{function.__name__} is a generator", hint="return a list")
    if code.co_posonlyargcount or code.co_flags & 0x04:
        raise TaskInvalid(
            f"{function.__name__} has positional-only parameters or *args",
            hint="arguments travel by name: give every parameter a name, take a list instead of *args",
        )


def _find(module: str, qualname: str, name: str) -> Any:
    import importlib

    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _rebuild(function: Callable[..., Any], settings: dict[str, Any]) -> Task[..., Any]:
    return Task(function, **settings)
