"""Calls of the services' backend, one at a time, for its tests."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from skylift.compute.services import ServicePolicy, ServicesBackend
from skylift.compute.services.watching import Pace
from skylift.config import ServiceSettings
from skylift.ports.compute import CodeRef, Outcome, Submitted, TaskCall

SDK = "arn:aws:states:::aws-sdk:"
STATES = "arn:aws:states:::"
QUICK = Pace(first_s=0.01, factor=1.0, longest_s=0.01)
_count = itertools.count()


def service_call(resource: str, arguments: Any, **more: Any) -> TaskCall:
    return TaskCall(
        token=more.pop("token", f"run:{next(_count)}"),
        run_id="run",
        task=resource,
        label="Call",
        attempt=1,
        code=CodeRef(bundle=None, target=resource),
        arguments=arguments,
        convention="service",
        region=more.pop("region", "us-east-1"),
        **more,
    )


class Services:
    """A backend and what it reported."""

    def __init__(self, settings: ServiceSettings, policy: ServicePolicy | None = None, **more: Any) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.submitted: dict[str, Any] = {}
        self._change = threading.Condition()
        self.backend = ServicesBackend(self._report, settings, policy, pace=QUICK, **more)

    def ask(self, resource: str, arguments: Any, **more: Any) -> Outcome:
        call = service_call(resource, arguments, **more)
        self.backend.submit([call])
        return self.wait(call)

    def wait(self, call: TaskCall) -> Outcome:
        self.until(lambda: call.token in self.outcomes)
        return self.outcomes[call.token]

    def until(self, condition: Callable[[], bool], patience_s: float = 30.0) -> None:
        with self._change:
            assert self._change.wait_for(condition, patience_s), "nothing was reported"

    def _report(self, token: str, outcome: Outcome | Submitted) -> None:
        with self._change:
            if isinstance(outcome, Submitted):
                self.submitted[token] = outcome.output
            else:
                self.outcomes.setdefault(token, outcome)
            self._change.notify_all()


def resubmitted(call: TaskCall, output: Any) -> TaskCall:
    """The call as an engine gives it that was started again."""
    return msgspec.structs.replace(call, submitted=output)
