"""A backend that is made with its first call."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from skylift.compute.deferred import DeferredBackend
from skylift.errors import SetupError
from skylift.ports.compute import Cancelled, Capabilities, CodeRef, Failed, Succeeded, TaskCall
from skylift.testing.clock import VirtualClock
from skylift.testing.simulation import VirtualBackend


def call(token: str) -> TaskCall:
    return TaskCall(
        token=token,
        run_id="r",
        task="t",
        label="t",
        attempt=1,
        code=CodeRef(bundle=None, target="x"),
        arguments=1,
        convention="service",
    )


class Slow:
    """Makes a backend when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.made = 0
        self.told: list[tuple[str, Any]] = []
        self.heard = threading.Event()
        self.problem: Exception | None = None
        self.inner = VirtualBackend(VirtualClock(), {"t": lambda arguments: arguments}, self.report, longest_ms=0)
        self.backend = DeferredBackend("slow", self.make, self.report)

    def make(self) -> VirtualBackend:
        self.go.wait(60)
        self.made += 1
        if self.problem is not None:
            raise self.problem
        return self.inner

    def report(self, token: str, outcome: Any) -> None:
        self.told.append((token, outcome))
        self.heard.set()


def test_it_can_do_what_the_backend_can_that_was_made() -> None:
    inner = VirtualBackend(VirtualClock(), {}, lambda token, outcome: None, longest_ms=0)
    maybe = Capabilities(outlives_engine=True, keeps=True)
    backend = DeferredBackend("slow", lambda: inner, lambda token, outcome: None, capabilities=maybe)
    assert backend.capabilities == maybe
    assert backend.made is inner and backend.capabilities == inner.capabilities != maybe


@pytest.fixture
def slow() -> Any:
    made = Slow()
    yield made
    made.go.set()
    made.backend.close()


def test_calls_wait_until_it_is_there(slow: Slow) -> None:
    slow.backend.submit([call("a"), call("b")])
    slow.backend.submit([call("a")])
    assert slow.backend.poll(["a", "b", "c"]) == {"a": "queued", "b": "queued"}
    slow.backend.cancel(["b"])
    assert slow.told == [("b", Cancelled())]
    slow.go.set()
    assert slow.backend._making is not None
    slow.backend._making.join(60)
    assert slow.backend.poll(["a", "b"]) == {"a": "running"}
    slow.inner.step()
    assert slow.told[1:] == [("a", Succeeded(output=1))]
    assert slow.made == 1


def test_sweeping_before_it_is_there(slow: Slow) -> None:
    slow.backend.submit([call("a"), call("b")])
    slow.backend.sweep({"a"})
    assert slow.told == [("b", Cancelled())]


def test_it_is_never_made_without_a_call(slow: Slow) -> None:
    slow.backend.cancel(["a"])
    slow.backend.sweep([])
    assert (slow.backend.poll(["a"]), slow.made) == ({}, 0)


def test_one_that_cannot_be_made_fails_the_calls_and_is_tried_again(slow: Slow) -> None:
    slow.problem = SetupError("boto3 is not installed", hint="pip install 'skylift[aws]'")
    slow.go.set()
    slow.backend.submit([call("a")])
    assert slow.heard.wait(60)
    (token, outcome) = slow.told[0]
    assert isinstance(outcome, Failed)
    assert (token, outcome.error) == ("a", "Skylift.NoBackend")
    assert "pip install" in outcome.cause
    slow.problem = None
    slow.backend.submit([call("b")])
    assert slow.backend._making is not None
    slow.backend._making.join(60)
    assert slow.backend.poll(["b"]) == {"b": "running"}
