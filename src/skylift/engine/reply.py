"""An answer that one thread waits for and the engine's thread gives."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Generic, TypeVar, cast

T = TypeVar("T")

_NOT_YET = object()


class Reply(Generic[T]):
    """Set once, with a value or an error; waited for by any number of threads. Cheaper than a Future."""

    __slots__ = ("_callbacks", "_error", "_gate", "_guard", "_value")

    def __init__(self) -> None:
        self._value: object = _NOT_YET
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Reply[T]], None]] = []
        self._guard = _thread.allocate_lock()
        self._gate = _thread.allocate_lock()
        self._gate.acquire()

    def set(self, value: T) -> None:
        """Answer. A second answer changes nothing."""
        self._finish(value, None)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, which `wait` raises."""
        self._finish(None, error)

    @property
    def done(self) -> bool:
        return self._value is not _NOT_YET

    def wait(self, timeout_s: float | None = None) -> T:
        """The answer. Raises TimeoutError when none came in time, or the error that was the answer."""
        if not self._gate.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s)):
            raise TimeoutError(f"no answer within {timeout_s} s")
        self._gate.release()
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def then(self, callback: Callable[[Reply[T]], None]) -> None:
        """Call back once, from the answering thread, or at once where the answer is there. It must not block."""
        with self._guard:
            if self._value is _NOT_YET:
                self._callbacks.append(callback)
                return
        callback(self)

    def _finish(self, value: object, error: BaseException | None) -> None:
        with self._guard:
            if self._value is not _NOT_YET:
                return
            self._value, self._error = value, error
            callbacks, self._callbacks = self._callbacks, []
        self._gate.release()
        for callback in callbacks:
            callback(self)
