"""Random documents under random interleavings: whatever happens, in whatever order, the core keeps its promises."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skylift.asl import commands, events
from skylift.asl.limits import LOCAL, SERVICE
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.asl.state import decode_state, encode_state
from skylift.testing.virtual import CONTEXT, START_MS

TASK = "arn:aws:states:::skylift:work"
RETRY = [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 2, "MaxAttempts": 2, "JitterStrategy": "FULL"}]
FAILED = ("FAILED", "TIMED_OUT", "ABORTED")


@st.composite
def states(draw: st.DrawFn, depth: int, prefix: str) -> dict[str, Any]:
    kinds = ["Pass", "Task", "Wait", "Task"] + (["Parallel", "Map", "DMap", "Map"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    recovers: dict[str, Any] = {}
    if draw(st.booleans()):
        recovers["Retry"] = RETRY
    if draw(st.booleans()):
        recovers["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": f"{prefix}caught", "Output": "caught"}]
    if kind == "Pass":
        return {"Type": "Pass", "Output": {"in": "{% $states.input %}"}, "Assign": {f"v{prefix}": "{% $random() %}"}}
    if kind == "Wait":
        return {"Type": "Wait", "Seconds": draw(st.integers(0, 5))}
    if kind == "Task":
        limit = {"TimeoutSeconds": 60} if draw(st.booleans()) else {}
        return {"Type": "Task", "Resource": TASK, "Arguments": {"token": prefix}, **limit, **recovers}
    if kind == "Parallel":
        branches = [draw(flows(depth - 1, f"{prefix}b{i}")) for i in range(draw(st.integers(1, 3)))]
        return {"Type": "Parallel", "Branches": branches, **recovers}
    processor = draw(flows(depth - 1, prefix + "m"))
    wide: dict[str, Any] = {"Type": "Map", "Items": "{% [1..4] %}", "MaxConcurrency": draw(st.integers(0, 3))}
    if kind == "DMap":
        processor["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        wide["ToleratedFailureCount"] = draw(st.integers(0, 2))
    return {**wide, "ItemProcessor": processor, **recovers}


@st.composite
def flows(draw: st.DrawFn, depth: int, prefix: str) -> dict[str, Any]:
    count = draw(st.integers(1, 3))
    names = [f"{prefix}s{i}" for i in range(count)]
    found: dict[str, Any] = {}
    for i, name in enumerate(names):
        state = draw(states(depth, name))
        state |= {"Next": names[i + 1]} if i + 1 < count else {"End": True}
        found[name] = state
        if "Catch" in state:
            found[f"{name}caught"] = {"Type": "Pass", "End": True}
    return {"StartAt": names[0], "States": found}


documents = flows(2, "").map(lambda flow: load({**flow, "QueryLanguage": "JSONata", "TimeoutSeconds": 500}))


class Shell:
    """Answers at random, in random order, twice, too late, or not at all for a while."""

    def __init__(self, document: Any, seed: int, service: bool, transparent: bool) -> None:
        self.machine = Machine(document, SERVICE if service else LOCAL)
        self.state = self.machine.begin()
        self.rng = random.Random(seed)
        self.transparent = transparent
        self.now_ms = START_MS
        self.history: list[Any] = []
        self.given: list[Any] = []
        self.open: dict[tuple[str, Any], Any] = {}
        self.answered: list[events.Event] = []
        self.journal: list[tuple[int, events.Event]] = []

    def take(self, event: events.Event) -> None:
        if self.transparent:
            self.state = decode_state(encode_state(self.state))
        self.journal.append((self.now_ms, event))
        given = self.machine.advance(self.state, event, self.now_ms, self.history)
        self.given.append(given)
        for command in given:
            self._note(command)
        if self.state.status in ("RUNNING", "PAUSED"):
            self._check_pending()

    def _note(self, command: Any) -> None:
        match command:
            case commands.StartTask():
                assert ("task", command.token) not in self.open, "a token is never given out twice"
                self.open["task", command.token] = command
            case commands.CancelTask():
                assert self.open.pop(("task", command.token), None) is not None
            case commands.SetTimer():
                self.open["timer", command.timer] = command
            case commands.CancelTimer():
                assert self.open.pop(("timer", command.timer), None) is not None
            case commands.FinishRun():
                assert not self.open, "a run that has ended waits for nothing"

    def _check_pending(self) -> None:
        pending = {_key(command): command for command in self.state.pending()}
        assert pending == self.open

    def play(self, most: int) -> None:
        self.take(events.RunStarted(input={"n": 1}, seed=7, context=CONTEXT))
        for _ in range(most):
            if self.state.status in FAILED and self.rng.random() < 0.7:
                self.take(events.RedriveRequested())
            self._something()

    def _something(self) -> None:
        roll = self.rng.random()
        if roll < 0.03:
            self.take(events.PauseRequested())
        elif roll < 0.10:
            self.take(events.ResumeRequested())
        elif roll < 0.12:
            self.take(events.StopRequested(error="Stop", cause="asked"))
        elif roll < 0.2 and self.answered:
            self.take(self.rng.choice(self.answered))
        elif self.open:
            self.answer(self.rng.choice(list(self.open)), self.rng.random())

    def answer(self, key: tuple[str, Any], roll: float) -> None:
        command = self.open.pop(key)
        event: events.Event
        if isinstance(command, commands.SetTimer):
            self.now_ms = max(self.now_ms, command.due_ms)
            event = events.TimerFired(timer=command.timer)
        elif roll < 0.2:
            event = events.TaskFailed(token=command.token, error="Flaky", cause="it happens")
        elif roll < 0.25:
            event = events.TaskTimedOut(token=command.token, heartbeat=roll < 0.22)
        else:
            event = events.TaskSucceeded(token=command.token, output=roll)
        self.answered.append(event)
        self.take(event)

    def to_the_end(self) -> None:
        """Resume, and answer everything kindly."""
        self.take(events.ResumeRequested())
        for _ in range(5_000):
            if self.state.status not in ("RUNNING", "PAUSED"):
                return
            assert self.open, "a run that goes on waits for something"
            self.answer(next(iter(self.open)), 1.0)
        raise AssertionError("the run does not end")


def _key(command: Any) -> tuple[str, Any]:
    if isinstance(command, commands.StartTask):
        return "task", command.token
    return "timer", command.timer


cases = given(document=documents, seed=st.integers(0, 2**32), service=st.booleans())
quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
long = settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))


def prove(document: Any, seed: int, service: bool) -> None:
    Machine.reraise = True
    try:
        plain = Shell(document, seed, service, transparent=False)
        plain.play(40)
        plain.to_the_end()
        coded = Shell(document, seed, service, transparent=True)
        coded.play(40)
        coded.to_the_end()
    finally:
        Machine.reraise = False
    assert msgspec.to_builtins(plain.history) == msgspec.to_builtins(coded.history)
    assert plain.given == coded.given, "encoding and decoding between any two events changes nothing"
    replayed = Machine(document, SERVICE if service else LOCAL)
    state = replayed.begin()
    for at_ms, event in plain.journal:
        replayed.advance(state, event, at_ms)
    assert encode_state(state) == encode_state(plain.state), "replaying gives the same state, with or without history"


@quick
@cases
def test_core_keeps_its_promises(document: Any, seed: int, service: bool) -> None:
    prove(document, seed, service)


@pytest.mark.slow
@long
@cases
def test_core_keeps_its_promises_at_length(document: Any, seed: int, service: bool) -> None:
    prove(document, seed, service)
