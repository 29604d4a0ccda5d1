"""A pipeline called as a plain function: its tasks run here, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.sdk.task import Task

_inside: ContextVar[bool] = ContextVar("skylift_plain_pipeline", default=False)
_answers: ContextVar[deque[Any] | None] = ContextVar("skylift_answers", default=None)


class NoAnswer(SetupError):
    """`approve` was called plainly and nobody has said what the answer is."""

    code = "NO-ANSWER"


@contextmanager
def plain_pipeline() -> Iterator[None]:
    """While a pipeline's body runs as plain Python."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


@contextmanager
def outside_pipeline() -> Iterator[None]:
    """While a task's body runs: tasks it calls are plain function calls."""
    token = _inside.set(False)
    try:
        yield
    finally:
        _inside.reset(token)


@contextmanager
def answers(*values: Any) -> Iterator[None]:
    """Answers that `approve` gives, in order, while pipelines are called plainly."""
    token = _answers.set(deque(values))
    try:
        yield
    finally:
        _answers.reset(token)


def next_answer(message: str) -> Any:
    waiting = _answers.get()
    if not waiting:
        raise NoAnswer(
            f"approve({message!r}) needs an answer when a pipeline is called plainly",
            hint="with skylift.testing.answers(True): ...",
        )
    return waiting.popleft()


def call_task(task: Task[..., Any], args: Iterable[Any], kwargs: dict[str, Any]) -> Any:
    """Run a task here. In a pipeline that is called plainly it gets copies of lists and dicts, as in a durable run, and
    is tried again as its Retry says, without waiting."""
    if not _inside.get():
        return task.function(*args, **kwargs)
    copied = [copy_containers(value) for value in args]
    named = {name: copy_containers(value) for name, value in kwargs.items()}
    retry = task.retry
    left = retry.attempts if retry else 0
    while True:
        try:
            with outside_pipeline():
                return copy_containers(task.function(*copied, **named))
        except Exception as problem:
            if retry is None or left <= 0 or not isinstance(problem, retry.classes):
                raise
            left -= 1


def copy_containers(value: Any) -> Any:
    """Lists, dicts and tuples anew, everything else itself."""
    kind = type(value)
    if kind is list:
        return [copy_containers(item) for item in value]
    if kind is dict:
        return {key: copy_containers(item) for key, item in value.items()}
    if kind is tuple:
        return tuple([copy_containers(item) for item in value])
    return value
