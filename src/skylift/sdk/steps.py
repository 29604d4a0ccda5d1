"""What only makes sense inside a pipeline: `parallel`, `sleep`, `approve`. Called plainly they do the nearest thing."""

from __future__ import annotations

from typing import Any, TypeVar, TypeVarTuple, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
Ts = TypeVarTuple("Ts")


@overload
def parallel(a: A, /) -> tuple[A]: ...
@overload
def parallel(a: A, b: B, /) -> tuple[A, B]: ...
@overload
def parallel(a: A, b: B, c: C, /) -> tuple[A, B, C]: ...
@overload
def parallel(a: A, b: B, c: C, d: D, /) -> tuple[A, B, C, D]: ...
@overload
def parallel(a: A, b: B, c: C, d: D, e: E, /) -> tuple[A, B, C, D, E]: ...
@overload
def parallel(*branches: Any) -> tuple[Any, ...]: ...


def parallel(*branches: Any) -> tuple[Any, ...]:
    """Branches at the same time: `model, baseline = parallel(train(data), guess(data))`.

    Inside a pipeline each argument, with all the calls in it, is a branch of a Parallel state; the results come as a
    tuple in the order of the arguments. The first branch that fails stops the others, and its error is raised. Called
    plainly, Python has computed the arguments one after the other already.

    >>> parallel(1 + 1, "a" + "b")
    (2, 'ab')
    """
    return branches


def sleep(seconds: float) -> None:
    """Wait without holding any worker: a Wait state of whole seconds, parts of one counted as one.

    Called plainly it returns at once. Raises ValueError for a negative length, as `time.sleep` does.

    >>> sleep(3600)
    """
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")


def approve(message: str, *, timeout: str | float | None = None) -> Any:
    """Wait for a person or another system to answer, and return the answer: JSON, True unless something else was said.

    Answered by `skylift answer RUN` or `Run.answer`. A rejection is raised as an exception; without an answer within
    `timeout` (`"24h"` or seconds) TimeoutError is. Annotate the variable that takes the answer, so that the pipeline
    can compute with it: `answer: str = approve("Which one?")`.

    Called plainly it needs an answer from `skylift.testing.answers`, else it raises NoAnswer.

    >>> from skylift.testing import answers
    >>> with answers("v2"):
    ...     approve("Which one?")
    'v2'
    """
    from skylift.sdk.direct import next_answer

    return next_answer(message)
