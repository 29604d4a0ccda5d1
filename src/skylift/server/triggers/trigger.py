"""Triggers: what is stored of them, and checks of what an administrator writes."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from skylift.asl.parse import parse
from skylift.engine.schedule import check as check_schedule
from skylift.errors import SetupError

KIND, STATE_KIND = "trigger", "trigger-state"
"""Kinds in the ResourceStore; the key is `ACCOUNT/NAME`."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""Shorter than a run's name may be: runs are named after their trigger."""


class InvalidTrigger(SetupError):
    """A trigger that cannot work; the message names the field, the value and what is allowed."""

    code = "TRIGGER"


class Schedule(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="schedule", forbid_unknown_fields=True):
    """Starts a run at every tick. Ticks that passed while no server was up are made up for by one run, the latest's."""

    expression: str
    """`cron(0 9 ? * MON-FRI *)`, `0 9 * * 1-5`, `rate(5 minutes)`."""
    timezone: str = "UTC"


class Queue(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="queue", forbid_unknown_fields=True):
    """Starts a run for every message of an SQS queue. A message is deleted once its run is durable."""

    url: str


class Files(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="files", forbid_unknown_fields=True):
    """Starts a run for every file that arrives, and for every later version of it."""

    url: str
    """A folder, or a folder with a pattern: `s3://bucket/in/*.csv`, any URL of fsspec, or a path of the server."""
    every_s: float = 30.0
    settle_s: float = 2.0
    """A file is whole once it has not changed for so long."""
    existing: bool = False
    """Whether files that were there before the trigger count as arrived."""


Source = Schedule | Queue | Files


class Trigger(msgspec.Struct, kw_only=True):
    """Starts runs of one state machine or registered pipeline."""

    name: str
    account: str
    region: str
    start: str
    """ARN of a state machine, version or alias."""
    source: Source
    input: Any = msgspec.UNSET
    """JSON, with `{% … %}` expressions over `$states.input`, which is the event; the event itself where it is unset."""
    enabled: bool = True
    created_ms: int

    @property
    def key(self) -> str:
        return key_of(self.account, self.name)


class TriggerState(msgspec.Struct, kw_only=True):
    """What a trigger has done so far."""

    last_tick_ms: int | None = None
    """Of a schedule: the last tick that was started."""
    seen: list[str] = []
    """Of files: a digest of each version of a file that is there and was started."""
    runs: int = 0
    """How many it has started, about: several servers count without waiting for each other."""
    last_run: str | None = None
    last_run_ms: int | None = None
    error: str | None = None
    """Why the last try failed; None once one has worked."""
    error_ms: int | None = None


class Occurrence(msgspec.Struct, frozen=True):
    """One thing that happened: it starts one run, however many servers see it."""

    key: str
    """What tells it from the trigger's other occurrences; part of the run's name."""
    event: Any
    """JSON."""


def key_of(account: str, name: str) -> str:
    return f"{account}/{name}"


def check(trigger: Trigger) -> None:
    """Raises InvalidTrigger, or InvalidSchedule for a schedule that cannot be understood."""
    if not _NAME.fullmatch(trigger.name):
        raise InvalidTrigger(
            f"a trigger cannot be named {trigger.name!r}", hint="use 1 to 40 of letters, digits, - and _"
        )
    source = trigger.source
    if isinstance(source, Schedule):
        check_schedule(source.expression, source.timezone)
    elif isinstance(source, Queue):
        if not source.url.startswith(("http://", "https://")):
            raise InvalidTrigger(f"the queue is {source.url!r}", hint="give the queue's URL, as SQS shows it")
    elif not source.url or source.every_s < 1 or source.settle_s < 0:
        raise InvalidTrigger(
            f"files are looked for at {source.url!r} every {source.every_s} s, {source.settle_s} s old",
            hint="give a URL, at least 1 s between two looks, and no negative age",
        )
    if trigger.input is not msgspec.UNSET:
        _check_input(trigger)


def _check_input(trigger: Trigger) -> None:
    """It follows the rules of a Pass state's Output."""
    state = {"Type": "Pass", "Output": trigger.input, "End": True}
    document = {"QueryLanguage": "JSONata", "StartAt": "Input", "States": {"Input": state}}
    for found in parse(msgspec.json.encode(document)).errors:
        raise InvalidTrigger(f"the input of trigger {trigger.name} cannot be used: {found.message}", hint=found.mend)
