"""Keeps one watcher a trigger going, and starts what they give."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from skylift.asl.jsonata.library import begin_event
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import NO_VARIABLES
from skylift.asl.template import compile_template
from skylift.config import ServiceSettings
from skylift.server.context import ServerContext
from skylift.server.triggers.allowed import check_allowed
from skylift.server.triggers.book import TriggerBook
from skylift.server.triggers.trigger import InvalidTrigger, Occurrence, Trigger, TriggerState
from skylift.server.triggers.watchers import Watcher, watcher_of

LOOK_S = 1.0
"""How often the book is read: a trigger that was made or changed anywhere works within this time."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""After an error; doubles."""

Start = Callable[[Trigger, str, Any], Awaitable[str]]
"""Starts a run of the trigger's machine by name with an input; its ARN, once that is durable. The same name again gives
the same run."""

_log = logging.getLogger("skylift.triggers")


class TriggerRunner:
    """`run` goes on until it is cancelled."""

    def __init__(self, context: ServerContext, services: ServiceSettings, start: Start) -> None:
        self._context = context
        self._services = services
        self._start = start
        self._book = TriggerBook(context.resources)
        self._tasks: dict[str, tuple[int, asyncio.Task[None]]] = {}
        """By trigger: the revision that is watched, and what watches it."""

    async def run(self) -> None:
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_S)
        finally:
            for _, task in self._tasks.values():
                task.cancel()

    async def _look(self) -> None:
        try:
            wanted = await self._context.blocking(self._book.everybody)
        except Exception as problem:  # noqa: BLE001  # the database is away: what is watched goes on
            _log.warning("triggers cannot be read: %s", problem)
            return
        for key, (revision, task) in list(self._tasks.items()):
            now = wanted.get(key)
            if now is None or now[1] != revision or not now[0].enabled:
                task.cancel()
                del self._tasks[key]
        for key, (trigger, revision) in wanted.items():
            if key not in self._tasks and trigger.enabled:
                self._tasks[key] = (revision, asyncio.create_task(self._watch(trigger), name=f"trigger {key}"))

    async def _watch(self, trigger: Trigger) -> None:
        watcher: Watcher | None = None
        pause = FIRST_PAUSE_S
        while True:
            try:
                if watcher is None:
                    check_allowed(trigger, self._context.settings, self._services)
                    watcher = await self._context.blocking(watcher_of, trigger, self._book, self._services)
                await self.step(trigger, watcher)
                wait, pause = watcher.pause_s(self._context.now_ms()), FIRST_PAUSE_S
            except Exception as problem:  # noqa: BLE001  # told in the trigger's state; others go on
                await self._failed(trigger, problem)
                wait, pause = pause, min(LONGEST_PAUSE_S, pause * 2)
            await asyncio.sleep(wait)

    async def step(self, trigger: Trigger, watcher: Watcher) -> list[str]:
        """Look once and start what there is; the runs' ARNs."""
        started: list[str] = []
        problem: Exception | None = None
        for occurrence in await self._context.blocking(watcher.look, self._context.now_ms()):
            try:
                arn = await self._start(trigger, f"{trigger.name}-{occurrence.key}", input_of(trigger, occurrence))
            except Exception as found:  # noqa: BLE001  # one bad message must not hold up the others
                problem = found
                continue
            await self._context.blocking(watcher.done, occurrence)
            started.append(arn)
        if started:
            await self._context.blocking(self._count, trigger, started)
        if problem is not None:
            raise problem
        return started

    def _count(self, trigger: Trigger, started: list[str]) -> None:
        now = self._context.now_ms()

        def change(state: TriggerState) -> None:
            state.runs += len(started)
            state.last_run, state.last_run_ms = started[-1], now
            state.error = state.error_ms = None

        self._book.change_state(trigger.key, change)

    async def _failed(self, trigger: Trigger, problem: Exception) -> None:
        _log.warning("trigger %s: %s", trigger.key, problem)
        now = self._context.now_ms()

        def change(state: TriggerState) -> None:
            state.error, state.error_ms = f"{type(problem).__name__}: {problem}"[:1_000], now

        try:
            await self._context.blocking(self._book.change_state, trigger.key, change)
        except Exception as second:  # noqa: BLE001  # most likely the very problem that was to be told
            _log.warning("trigger %s: its state cannot be written: %s", trigger.key, second)


def input_of(trigger: Trigger, occurrence: Occurrence) -> Any:
    """The run's input. Raises InvalidTrigger when an expression fails on this event."""
    if trigger.input is msgspec.UNSET:
        return occurrence.event
    scope = Scope(input=occurrence.event, context=dict, variables=NO_VARIABLES, random=_no_random)
    try:
        begin_event()
        return compile_template(trigger.input, "JSONata", "Input").evaluate(scope)
    except EvaluationFailed as problem:
        raise InvalidTrigger(f"the input of trigger {trigger.name}: {problem.cause}") from problem


def _no_random() -> Any:
    raise EvaluationFailed("States.QueryEvaluationError", "a trigger's input cannot be random")
