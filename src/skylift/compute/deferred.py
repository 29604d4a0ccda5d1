"""A backend that is made when it is first used: one whose libraries are slow to import must not delay every start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from skylift.errors import SkyliftError
from skylift.ports.compute import (
    Backend,
    Cancelled,
    Capabilities,
    Failed,
    Leased,
    Offer,
    Report,
    Requirements,
    SpotSight,
    Standing,
    TaskCall,
)


class DeferredBackend:
    """The Backend port. `make` is called once, on a thread of its own; calls wait for it here."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Backend],
        report: Report,
        *,
        capabilities: Capabilities | None = None,
        offers: Callable[[Requirements], Sequence[Offer]] | None = None,
    ) -> None:
        """`offers` answers before there is a backend; without it whatever is asked for is taken to be possible."""
        self.name = name
        self.capabilities = capabilities or Capabilities()
        """What it may do, and once it is made, what it does: that can depend on its settings."""
        self._make = make
        self._offers = offers
        self._report = report
        self._lock = threading.Lock()
        self._inner: Backend | None = None
        self._held: dict[str, TaskCall] = {}
        """Calls that came before there was a backend, by token."""
        self._making: threading.Thread | None = None
        self._closed = False

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        with self._lock:
            inner = self._inner
        if inner is not None:
            return inner.offers(requirements)
        if self._offers is not None:
            return self._offers(requirements)
        return [Offer(backend=self.name, instance_type="unknown", vcpus=requirements.cpus, memory_mib=0)]

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._lock:
            inner = self._inner
            if inner is None:
                self._held.update((call.token, call) for call in calls)
                self._begin()
        if inner is not None:
            inner.submit(calls)

    @property
    def made(self) -> Backend:
        """The backend itself, made now if need be. Raises what making it raises."""
        with self._lock:
            if self._inner is None and self._making is None:
                self._take(self._make())
            inner, making = self._inner, self._making
        if inner is None:
            assert making is not None
            making.join()
            return self.made
        return inner

    @property
    def in_use(self) -> bool:
        """Whether it has been made in this process."""
        with self._lock:
            return self._inner is not None

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        with self._lock:
            inner = self._inner
        return dict.fromkeys(tokens, "its backend is starting") if inner is None else inner.explain(tokens)

    def leased(self) -> Sequence[Leased]:
        return self.made.leased() if self.capabilities.leases else ()

    def end(self, leased: Sequence[Leased]) -> None:
        self.made.end(leased)

    def shell(self, token: str) -> Sequence[str] | None:
        return self.made.shell(token) if self.capabilities.shell else None

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

    def sight(self, requirements: Requirements) -> SpotSight | None:
        """One that sees a market is made now: what is chosen must not depend on how quickly it comes up."""
        if not self.capabilities.releases:
            return None
        try:
            return self.made.sight(requirements)
        except Exception:  # noqa: BLE001  # whatever it is, the call is told when it is submitted
            return None

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        with self._lock:
            inner = self._inner
        return {} if inner is None else inner.standings(tokens)

    def release(self, tokens: Collection[str]) -> None:
        with self._lock:
            inner = self._inner
        if inner is not None:
            inner.release(tokens)

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
            self._take(inner)
            calls = list(self._held.values())
            self._held.clear()
            if calls and not self._closed:
                inner.submit(calls)

    def _take(self, inner: Backend) -> None:
        self._inner, self.capabilities = inner, inner.capabilities

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
