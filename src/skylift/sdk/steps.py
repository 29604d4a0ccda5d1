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

    Inside a pipeline each argument, with all the calls in it, is a branch of a Parallel state. The first branch that
    fails stops the others. Called plainly, Python has computed the arguments one after the other already.
    """
    return branches


def sleep(seconds: float) -> None:
    """Wait without holding any worker: a Wait state. Called plainly it returns at once."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")


def approve(message: str, *, timeout: str | float | None = None) -> Any:
    """Wait for a person or another system to answer, and return the answer (JSON).

    A task that ends by callback: `skylift` shows its token, and whoever holds it answers or refuses. Called plainly it
    needs an answer from `skylift.testing.answers`.
    """
    from skylift.sdk.direct import next_answer

    return next_answer(message)
