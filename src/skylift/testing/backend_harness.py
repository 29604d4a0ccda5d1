"""What a backend's conformance suite works with: the harness that its author gives, calls, and outcomes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skylift.ports.compute import Backend, CodeRef, Outcome, Requirements, TaskCall

TASKS = "skylift.testing.backend_tasks"
WAIT_S = 60.0
"""How long is waited for what comes at once on a machine that has nothing else to do."""


class Outcomes:
    """The `report` to give to the backend: collects outcomes and waits for them."""

    def __init__(self) -> None:
        self.by_token: dict[str, Outcome] = {}
        self.order: list[str] = []
        self._change = threading.Condition()

    def __call__(self, token: str, outcome: Outcome) -> None:
        with self._change:
            self.by_token.setdefault(token, outcome)
            self.order.append(token)
            self._change.notify_all()

    def wait(self, *tokens: str, timeout: float = WAIT_S) -> list[Outcome]:
        with self._change:
            there = self._change.wait_for(lambda: all(token in self.by_token for token in tokens), timeout)
            missing = [token for token in tokens if token not in self.by_token]
            assert there, f"no outcome within {timeout} s for {missing[:5]}"
            return [self.by_token[token] for token in tokens]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenImage:
    """An image with a Python that attempts can run with."""

    name: str
    file: str | None = None
    """A file that this image has, and the place of a task without an image has not; None for a backend that only
    chooses a place by an image."""
    text: str = ""
    """What stands in it."""
    absent: str | None = "localhost/skylift-no-such-image:0"
    """An image that is nowhere; None for a backend that looks at none."""


@dataclass(slots=True, kw_only=True)
class Harness:
    """What the fixture gives: a fresh backend that reports to `outcomes`."""

    backend: Backend
    outcomes: Outcomes
    folder: Path
    """An empty folder that attempts can write to too."""
    drive: Callable[[], object] | None = None
    """For a backend that runs nothing by itself: runs what is queued."""
    successor: Callable[[Outcomes], Backend] | None = None
    """Makes a second backend of the same place, as the engine after this one would: for what outlives engines."""
    abandon: Callable[[], object] | None = None
    """Lets the backend go as the death of its engine would: nothing is closed or told. Without it `close` is called."""
    blobs: str | None = None
    """Where the backend finds the documents of environments: for those that make them."""
    image: GivenImage | None = None
    """For backends that run images."""
    warn: Callable[[str], object] | None = None
    """Announces to the attempt of this token, as the market would, that its machine is taken away in two minutes."""
    patience: float = 1.0
    """Waits are so many times longer: for backends that start slowly."""
    many: int = 200
    """How many calls a test of many calls gives."""

    def run(self, *calls: TaskCall, timeout: float = WAIT_S) -> list[Outcome]:
        self.backend.submit(calls)
        return self.wait(*calls, timeout=timeout)

    def wait(self, *calls: TaskCall, timeout: float = WAIT_S) -> list[Outcome]:
        if self.drive is not None:
            self.drive()
        return self.outcomes.wait(*(call.token for call in calls), timeout=timeout * self.patience)


_count = iter(range(10**9))


def call(target: str, /, *, requirements: Requirements | None = None, run: str = "run", **arguments: Any) -> TaskCall:
    """An attempt of a function of `skylift.testing.backend_tasks`."""
    return TaskCall(
        token=f"t{next(_count)}-{target}",
        run_id=run,
        task=target,
        label=target,
        attempt=1,
        code=CodeRef(bundle=None, target=f"{TASKS}:{target}"),
        arguments=arguments,
        requirements=requirements or Requirements(),
    )


def with_log(one: TaskCall, log: Path) -> TaskCall:
    import msgspec

    return msgspec.structs.replace(one, log=str(log))


def skip_unless(able: bool, what: str) -> None:
    import pytest

    if not able:
        pytest.skip(f"this backend does not say that it {what}")


def until(condition: Callable[[], bool], timeout: float = WAIT_S) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)
