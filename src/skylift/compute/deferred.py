"""A backend that is made when it is first used: one whose libraries are slow to import must not delay every start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from skylift.errors import SkyliftError
from skylift.ports.compute import Backend, Cancelled, Failed, Offer, Report, Requirements, TaskCall


class DeferredBackend:
    """The Backend port. `make` is called once, on a thread of its own; calls wait for it here."""

    def __init__(self, name: str, make: Callable[[], Backend], report: Report) -> None:
        self.name = name
        self._make = make
        self._report = report
        self._lock = threading.Lock()
        self._inner: Backend | None = None
        self._held: dict[str, TaskCall] = {}
        """Calls that came before there was a backend, by token."""
        self._making: threading.Thread | None = None
        self._closed = False

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return [Offer(backend=self.name, instance_type="local", vcpus=1, memory_mib=256)]

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._lock:
            inner = self._inner
            if inner is None:
                self._held.update((call.token, call) for call in calls)
                self._begin()
        if inner is not None:
            inner.submit(calls)

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            inner = self._inner
            held: dict[str, Literal["queued", "running"]] = {token: "queued" for token in tokens if token in self._held}
        return held if inner is None else {**held, **inner.poll(tokens)}

    def cancel(self, tokens: Collection[str]) -> None:
        with self._lock:
            inner = self._inner
            dropped = [token for token in tokens if self._held.pop(token, None) is not None]
        for token in dropped:
            self._report(token, Cancelled())
        if inner is not None:
            inner.cancel(tokens)

    def sweep(self, live: Collection[str]) -> None:
        with self._lock:
            inner = self._inner
            left = [token for token in self._held if token not in live]
        self.cancel(left)
        if inner is not None:
            inner.sweep(live)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._held.clear()
            making, inner = self._making, self._inner
        if making is not None:
            making.join()
            inner = self._inner
        if inner is not None:
            inner.close()

    def _begin(self) -> None:
        if self._making is None and not self._closed:
            self._making = threading.Thread(target=self._start, name=f"skylift-{self.name}", daemon=True)
            self._making.start()

    def _start(self) -> None:
        try:
            inner = self._make()
        except Exception as problem:  # noqa: BLE001  # whatever it is, the calls must not wait for ever
            self._refuse(problem)
            return
        with self._lock:
            self._inner = inner
            calls = list(self._held.values())
            self._held.clear()
            if calls and not self._closed:
                inner.submit(calls)

    def _refuse(self, problem: Exception) -> None:
        """The next call tries again."""
        with self._lock:
            tokens = list(self._held)
            self._held.clear()
            self._making = None
        hint = f" ({problem.hint})" if isinstance(problem, SkyliftError) and problem.hint else ""
        for token in tokens:
            cause = f"Backend {self.name} cannot be started: {problem}{hint}"
            self._report(token, Failed(error="Skylift.NoBackend", classes=("States.TaskFailed",), cause=cause))
