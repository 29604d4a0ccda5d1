"""The worker: asks for tasks, has them run, shows that it lives, answers, and leaves in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec

from skylift.errors import SkyliftError
from skylift.lending.api import OUTPUT_BYTES, Activities, Away, GivenTask, TaskGone
from skylift.lending.tasks import Failure, Rules, Success, Work, answer, leaving, read
from skylift.ports.compute import Backend, Lost, Outcome, Submitted
from skylift.ports.envelope import Elsewhere, seal

ANSWER_S = 900.0
"""How long an answer is tried to be delivered while nobody takes it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LONGEST_BEAT_S = 3600.0
"""More signs of life than were asked for cost nothing."""
BEATS_AT_ONCE = 16
LOOK_S = 0.1
"""How often is looked whether somebody has asked for the end."""


class Say(Protocol):
    """A line for whoever watches the worker."""

    def __call__(self, event: str, **facts: Any) -> None: ...


class Stats(msgspec.Struct):
    """What a worker has done."""

    taken: int = 0
    succeeded: int = 0
    failed: int = 0
    dropped: int = 0
    """That nobody waited for any more."""


class Running:
    """A task in the hands of the backend."""

    __slots__ = ("ended", "gone", "outcome", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.outcome: Outcome | None = None
        self.ended = threading.Event()
        self.gone = False
        """Nobody waits for its answer."""


class Worker:
    """`run` blocks until it was asked to `drain` and what ran has ended. Threads: one for each task at once, one that
    shows signs of life."""

    def __init__(
        self,
        api: Activities,
        activity: str,
        make_backend: Callable[[Callable[[str, Outcome | Submitted], None]], Backend],
        rules: Rules,
        *,
        name: str,
        at_once: int = 1,
        beat_s: float = 20.0,
        say: Say,
        store: Callable[[bytes], str] | None = None,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        """`activity` is its ARN. `store` keeps an answer that is too long for the API as an artifact; its digest."""
        self.stats = Stats()
        self._api = api
        self._activity = activity
        self._rules = rules
        self._name = name
        self._at_once = at_once
        self._beat_s = min(beat_s, LONGEST_BEAT_S)
        self._say = say
        self._store = store
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}
        self._asked = False
        self._draining = threading.Event()
        self._done = threading.Event()
        self._failure: Exception | None = None
        self._away = False
        self._sleep = sleep or self._draining.wait
        self._backend = make_backend(self._reported)

    # -- from any thread -----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no more tasks; `run` returns when those that run have ended and are answered. Safe in a signal
        handler: it takes no lock."""
        self._asked = True

    def run(self) -> None:
        """Raises what makes it pointless to go on: a key that is refused, an activity that is gone."""
        pollers = [threading.Thread(target=self._poll, name=f"skylift-poll-{n}") for n in range(self._at_once)]
        beating = threading.Thread(target=self._beat, name="skylift-beat")
        for thread in (*pollers, beating):
            thread.start()
        try:
            self._wait_until_draining(pollers)
            self._api.hang_up()
            running = len(self._running)
            self._say("draining", running=running)
            for thread in pollers:
                thread.join()
        finally:
            self._done.set()
            beating.join()
            self._backend.close()
        self._say("ended", **msgspec.structs.asdict(self.stats))
        if self._failure is not None:
            raise self._failure

    def _wait_until_draining(self, pollers: list[threading.Thread]) -> None:
        while not self._asked and any(thread.is_alive() for thread in pollers):
            time.sleep(LOOK_S)
        self._draining.set()

    # -- taking --------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._draining.is_set():
            try:
                given = self._api.next(self._activity, self._name)
            except Away as problem:
                self._gone_away(problem)
                self._sleep(pause * random.uniform(0.5, 1.0))
                pause = min(LONGEST_PAUSE_S, pause * 2)
                continue
            except SkyliftError as problem:
                self._fail(problem)
                return
            pause = FIRST_PAUSE_S
            self._is_back()
            if given is not None and not self._done_with(given):
                return

    def _done_with(self, given: GivenTask) -> bool:
        """False where the worker must end: with an error of its own it would only seem to be there."""
        try:
            self._do(given)
        except Exception as problem:  # noqa: BLE001  # `run` raises it
            self._fail(problem)
            return False
        return True

    def _do(self, given: GivenTask) -> None:
        self.stats.taken += 1
        work = read(given, self._rules)
        if work.refusal is not None:
            self._say("refused", task=given.token[:40], cause=work.refusal.cause)
            self._answer(Running(work), work.refusal)
            return
        back = leaving(work) if self._draining.is_set() else None
        if back is not None:
            self._answer(Running(work), back)
            return
        running = self._begin(work)
        if running is not None:
            running.ended.wait()
            self._finish(running)

    def _begin(self, work: Work) -> Running | None:
        """None for an attempt that runs here already, and was given out again since our signs of life did not arrive:
        its answer is for the new delivery."""
        call = work.call
        assert call is not None
        running = Running(work)
        with self._lock:
            known = self._running.setdefault(call.token, running)
            known.work = work
        if known is not running:
            self._say("runs_already", task=call.label, run=call.run_id or None)
            return None
        self._say("began", task=call.label, run=call.run_id or None, attempt=call.attempt, delivery=call.delivery)
        if not self._backend.offers(call.requirements):
            self._reported(call.token, _no_room(call.requirements))
        else:
            self._backend.submit([call])
        return running

    def _finish(self, running: Running) -> None:
        outcome = running.outcome
        with self._lock:
            call = running.work.call
            assert call is not None and outcome is not None
            del self._running[call.token]
        if running.gone:
            self.stats.dropped += 1
            self._say("dropped", task=call.label, run=call.run_id or None)
            return
        self._say("ended_task", task=call.label, run=call.run_id or None, outcome=type(outcome).__name__)
        self._answer(running, answer(running.work, outcome))

    def _reported(self, token: str, outcome: Outcome | Submitted) -> None:
        running = self._running.get(token)
        if running is not None and running.outcome is None and not isinstance(outcome, Submitted):
            running.outcome = outcome
            running.ended.set()

    # -- answering -----------------------------------------------------------------------------------------------------

    def _answer(self, running: Running, said: Success | Failure) -> None:
        """Until it is taken, or nobody wants it."""
        end, pause = time.monotonic() + ANSWER_S, FIRST_PAUSE_S
        while True:
            try:
                self._send(running.work.given.token, said)
            except TaskGone:
                self.stats.dropped += 1
                self._say("too_late", task=running.work.given.token[:40])
            except Away as problem:
                self._gone_away(problem)
                if time.monotonic() < end:
                    self._pause(pause)
                    pause = min(LONGEST_PAUSE_S, pause * 2)
                    continue
                self._say("answer_lost", task=running.work.given.token[:40], message=problem.message)
            except SkyliftError as problem:
                self._say("answer_refused", task=running.work.given.token[:40], message=problem.message)
                if isinstance(said, Success):
                    said = Failure("Skylift.AnswerRefused", problem.message)
                    continue
            else:
                self._count(said)
                self._is_back()
            return

    def _send(self, token: str, said: Success | Failure) -> None:
        if isinstance(said, Failure):
            self._api.failure(token, said.error, said.cause)
            return
        output = said.output
        if self._store is not None and len(output.encode()) > OUTPUT_BYTES:
            output = seal(Elsewhere(answer=self._store(output.encode())))
        self._api.success(token, output)

    def _count(self, said: Success | Failure) -> None:
        with self._lock:
            if isinstance(said, Success):
                self.stats.succeeded += 1
            else:
                self.stats.failed += 1

    def _pause(self, seconds: float) -> None:
        """Also while it drains: the answer is what it waits for."""
        self._done.wait(seconds * random.uniform(0.5, 1.0))

    # -- signs of life -------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        with ThreadPoolExecutor(min(self._at_once, BEATS_AT_ONCE), "skylift-beat") as beating:
            while not self._done.wait(self._beat_s):
                self._beat_for_all(beating)

    def _beat_for_all(self, beating: ThreadPoolExecutor) -> None:
        """Several side by side: with many tasks, or a server that is slow to answer, the last sign would come too
        late."""
        there = [running for running in list(self._running.values()) if not running.gone]
        list(beating.map(self._beat_for, there))

    def _beat_for(self, running: Running) -> None:
        call = running.work.call
        assert call is not None
        try:
            self._api.heartbeat(running.work.given.token)
        except TaskGone:
            running.gone = True
            self._backend.cancel([call.token])
        except Away as problem:
            self._gone_away(problem)
        except Exception as problem:  # noqa: BLE001  # the other tasks' signs must go on
            self._say("heartbeat_refused", message=str(problem))
        else:
            self._is_back()

    # -- trouble -------------------------------------------------------------------------------------------------------

    def _gone_away(self, problem: Away) -> None:
        if not self._away:
            self._away = True
            self._say("away", message=problem.message)

    def _is_back(self) -> None:
        if self._away:
            self._away = False
            self._say("back")

    def _fail(self, problem: Exception) -> None:
        with self._lock:
            self._failure = self._failure or problem
        self._draining.set()


def _no_room(requirements: Any) -> Lost:
    """Another worker of the activity may have it; the engine tries a few times."""
    wanted = {
        key: value for key, value in msgspec.to_builtins(requirements).items() if key in ("cpus", "memory_mib", "gpu")
    }
    asked = ", ".join(f"{key}={value}" for key, value in wanted.items())
    return Lost(reason=f"this worker's machine has no room for what the task needs: {asked}")
