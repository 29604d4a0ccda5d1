"""Waiting for a service's job: how often to look, and what its end means for the state."""

from __future__ import annotations

from dataclasses import dataclass

from skylift.compute.services.actions import Actions, Job
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.request import json_text
from skylift.ports.compute import Failed, Outcome, Succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between looks: short for short jobs, and no longer than it may take to hear of an end."""

    first_s: float = 1.0
    factor: float = 1.3
    longest_s: float = 30.0


_MOST_MISSES = 8


class Watch:
    """Looks at one job. Failures that pass are looked past, and so is, a few times, a job not known yet."""

    def __init__(self, actions: Actions, job: Job, pace: Pace | None = None) -> None:
        self._actions = actions
        self._job = job
        self._pace = pace or Pace()
        self._delay_s = self._pace.first_s
        self._misses = 0

    def next_delay(self) -> float:
        delay_s = self._delay_s
        self._delay_s = min(delay_s * self._pace.factor, self._pace.longest_s)
        return delay_s

    def look(self) -> Outcome | None:
        """The attempt's end; None while the job goes on."""
        kind = self._job.kind
        try:
            found = self._actions.look(self._job)
        except ServiceFailure as failure:
            return None if failure.passing else self._missed(Failed(error=failure.error, cause=failure.cause))
        if found is None:
            what = f"The service does not know the job: {json_text(self._job.submitted)}"
            return self._missed(Failed(error="States.TaskFailed", cause=what))
        self._misses = 0
        state = kind.state(found)
        if state == "running":
            return None
        if state == "succeeded":
            return Succeeded(output=kind.result(found))
        return Failed(error="States.TaskFailed", cause=json_text(kind.result(found)))

    def _missed(self, outcome: Failed) -> Failed | None:
        self._misses += 1
        return outcome if self._misses >= _MOST_MISSES else None
