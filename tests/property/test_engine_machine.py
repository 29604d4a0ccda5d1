"""The engine under a rule-based state machine: in any order of starts, answers, crashes and requests it holds up."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skylift.asl.events import (
    PauseRequested,
    RedriveRequested,
    ResumeRequested,
    StopRequested,
    TaskFailed,
    TaskSucceeded,
    TaskTimedOut,
)
from skylift.asl.status import OPEN
from skylift.compute.basics import Basics
from skylift.engine.engine import Engine
from skylift.engine.inputs import Callback, Heartbeat, Input, Recover, Reported, Send, StartRun
from skylift.engine.items import InlineItems
from skylift.engine.library import Library
from skylift.engine.limits import EngineLimits
from skylift.engine.names import split_token
from skylift.engine.reply import Reply
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, Succeeded, TaskCall, TimedOut
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.stores.memory import MemoryJournal
from skylift.testing.clock import VirtualClock

SKYLIFT = "arn:aws:states:::skylift:"
CHILD = "arn:aws:states:local:000000000000:stateMachine:child"


def _task(name: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": SKYLIFT + name, "Arguments": {"n": 1}, **more}


def _document(states: dict[str, Any]) -> bytes:
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}).encode()


DOCUMENTS = [
    _document({"A": _task("work", Next="B"), "B": _task("work", End=True)}),
    _document(
        {
            "A": _task("work", Retry=[{"ErrorEquals": ["Boom"], "MaxAttempts": 2}], Next="W"),
            "W": {"Type": "Wait", "Seconds": 5, "End": True},
        }
    ),
    _document(
        {
            "M": {
                "Type": "Map",
                "Items": [1, 2, 3],
                "MaxConcurrency": 2,
                "ItemProcessor": {"StartAt": "I", "States": {"I": _task("work", End=True)}},
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}],
                "Next": "Z",
            },
            "Z": _task("work", End=True),
        }
    ),
    _document({"A": _task("approve.waitForTaskToken", TimeoutSeconds=60, HeartbeatSeconds=20, End=True)}),
    _document(
        {
            "N": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Arguments": {"StateMachineArn": CHILD, "Input": {}},
                "End": True,
            }
        }
    ),
]


class Held(Basics):
    """A backend in the test's hands."""

    name = "held"

    def __init__(self) -> None:
        self.calls: dict[str, TaskCall] = {}
        self.submitted: list[str] = []

    def offers(self, requirements: Any) -> list[Any]:
        return []

    def submit(self, calls: Any) -> None:
        for call in calls:
            self.calls[call.token] = call
            self.submitted.append(call.token)

    def poll(self, tokens: Any) -> dict[str, Any]:
        return {token: "running" for token in tokens if token in self.calls}

    def cancel(self, tokens: Any) -> None:
        for token in tokens:
            self.calls.pop(token, None)

    def sweep(self, live: Any) -> None:
        self.cancel([token for token in self.calls if token not in live])

    def close(self) -> None:
        self.calls.clear()


class EngineMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.journal = MemoryJournal()
        self.clock = VirtualClock()
        self.backend = Held()
        self.library = Library(self.journal)
        self.lives = 0
        self.ids = 0
        self.ended_tokens: dict[str, Outcome] = {}
        self.known: dict[str, list[bytes]] = {}
        table = TaskTable(
            bundle=None,
            tasks={"work": TaskSpec(name="work", target="m:work")},
            machines={"child": self.journal.put_document(DOCUMENTS[0])},
        )
        self.table = self.journal.put_document(msgspec.json.encode(table))
        self.boot()

    def boot(self) -> None:
        self.lives += 1
        self.inbox: list[Input] = []
        self.owner = f"engine-{self.lives}"
        self.engine = Engine(
            journal=self.journal,
            clock=self.clock,
            backends={"held": self.backend},
            owner=self.owner,
            inbox=self.inbox.append,
            items=InlineItems(),
            new_id=self.new_id,
            limits=EngineLimits(look_ms=0, snapshot_events=3, window=2),
            library=self.library,
        )
        self.turn(Recover())

    def new_id(self) -> str:
        self.ids += 1
        return f"run{self.ids}"

    def turn(self, *inputs: Input) -> None:
        given = [*self.inbox, *inputs]
        self.inbox.clear()
        self.engine.turn(given)
        while self.inbox:
            given = list(self.inbox)
            self.inbox.clear()
            self.engine.turn(given)

    def pick_run(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([record.run_id for record in self.journal.runs(limit=1_000)]))

    def has_runs(self) -> bool:
        return bool(self.journal.runs(limit=1))

    # -- rules ---------------------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, len(DOCUMENTS) - 1), name=st.sampled_from(["a", "b", "c", "d"]))
    def start(self, number: int, name: str) -> None:
        before = self.journal.run_named(f"p{number}", name)
        reply: Reply[str] = Reply()
        definition = self.journal.put_document(DOCUMENTS[number])
        self.turn(
            StartRun(definition=definition, tasks=self.table, pipeline=f"p{number}", name=name, input={}, started=reply)
        )
        run_id = reply.wait(0)
        assert before is None or before.run_id == run_id

    @precondition(lambda self: self.backend.calls)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(
            [
                Succeeded(output=1),
                Succeeded(output={"x": [1, 2]}),
                Failed(error="Boom", classes=("Exception",)),
                TimedOut(),
                Lost(reason="gone"),
                Lost(reason="spot", preempted=True),
                Cancelled(),
            ]
        ),
    )
    def report(self, data: st.DataObject, outcome: Outcome) -> None:
        token = data.draw(st.sampled_from(sorted(self.backend.calls)))
        del self.backend.calls[token]
        if not isinstance(outcome, Lost | Cancelled):
            self.ended_tokens[token] = outcome
        self.turn(Reported(token, outcome))

    @precondition(lambda self: self.ended_tokens)
    @rule(data=st.data())
    def report_again(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.ended_tokens)))
        before = self.counts()
        self.turn(Reported(token, Succeeded(output="twice")))
        assert self.counts() == before

    @rule(token=st.sampled_from(["run1:99-9", "nobody:1-1", "x", ""]))
    def report_nonsense(self, token: str) -> None:
        before = self.counts()
        self.turn(
            Reported(token, Succeeded(output=1)), Heartbeat(token=token), Callback(token=token, outcome=TimedOut())
        )
        assert self.counts() == before

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds * 1_000)
        self.turn()

    @rule()
    def crash(self) -> None:
        """The engine dies; the backend lives on."""
        self.boot()

    @rule()
    def crash_with_backend(self) -> None:
        self.backend.calls.clear()
        self.boot()

    @precondition(has_runs)
    @rule(
        data=st.data(),
        event=st.sampled_from(
            [PauseRequested(), ResumeRequested(), ResumeRequested(), RedriveRequested(), StopRequested(error="E")]
        ),
        signal=st.booleans(),
    )
    def request(self, data: st.DataObject, event: Any, signal: bool) -> None:
        run_id = self.pick_run(data)
        if signal:
            self.journal.send(run_id, event)
            self.turn()
        else:
            self.turn(Send(run_id=run_id, event=event))

    @precondition(has_runs)
    @rule(data=st.data(), good=st.booleans())
    def call_back(self, data: st.DataObject, good: bool) -> None:
        run_id = self.pick_run(data)
        waiting = [item.token for item in self.engine.in_flight(run_id) if item.what == "callback"]
        if waiting:
            outcome = Succeeded(output="yes") if good else Failed(error="No")
            self.turn(Heartbeat(token=waiting[0]), Callback(token=waiting[0], outcome=outcome))

    # -- promises ------------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        return {
            record.run_id: sum(1 for _ in self.journal.entries(record.run_id))
            for record in self.journal.runs(limit=1_000)
        }

    @invariant()
    def journals_are_whole(self) -> None:
        """Gap-free, only ever longer, each outcome once, and replay gives what the record says."""
        for record in self.journal.runs(limit=1_000):
            entries = list(self.journal.entries(record.run_id))
            assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
            texts = [msgspec.json.encode(entry) for entry in entries]
            before = self.known.get(record.run_id, [])
            assert texts[: len(before)] == before
            self.known[record.run_id] = texts
            outcomes = [
                e.event.token for e in entries if isinstance(e.event, TaskSucceeded | TaskFailed | TaskTimedOut)
            ]
            assert len(outcomes) == len(set(outcomes))
            machine = self.library.machine(record.definition, record.limits)
            state = machine.begin()
            for entry in entries:
                machine.advance(state, entry.event, entry.at_ms)
            assert (state.status, state.output, state.error) == (record.status, record.output, record.error)

    @invariant()
    def runs_in_memory_are_the_open_ones(self) -> None:
        ours = {record.run_id for record in self.journal.runs(status=OPEN, limit=1_000) if record.owner == self.owner}
        assert set(self.engine.live_runs()) == ours
        assert self.engine.trouble is None

    @invariant()
    def backend_and_engine_agree(self) -> None:
        for token in self.backend.calls:
            run_id, _ = split_token(token)
            assert any(item.token == token for item in self.engine.in_flight(run_id)), f"{token} runs for nobody"

    @invariant()
    def every_open_run_waits_for_something(self) -> None:
        for record in self.journal.runs(status=["RUNNING"], limit=1_000):
            assert self.engine.in_flight(record.run_id), f"{record.run_id} is stuck"

    def teardown(self) -> None:
        """Whatever happened, every run can be brought to its end."""
        if not hasattr(self, "journal"):
            return
        for _ in range(400):
            open_runs = self.journal.runs(status=OPEN, limit=1_000)
            if not open_runs:
                return
            self.turn(
                *[
                    Send(run_id=record.run_id, event=ResumeRequested())
                    for record in open_runs
                    if record.status == "PAUSED"
                ]
            )
            for token in list(self.backend.calls):
                del self.backend.calls[token]
                self.turn(Reported(token, Succeeded(output=0)))
            self.clock.advance(61_000)
            self.turn()
        raise AssertionError(f"runs without end: {[record.run_id for record in self.journal.runs(status=OPEN)]}")


EngineMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestEngineMachine = EngineMachine.TestCase
