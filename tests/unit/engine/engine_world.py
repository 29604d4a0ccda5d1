"""A small world for unit tests of the engine: virtual time, a backend that does what the test says."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from skylift.compute.basics import Basics
from skylift.engine.engine import Engine
from skylift.engine.inputs import Input, Reported, StartRun
from skylift.engine.items import InlineItems
from skylift.engine.limits import EngineLimits
from skylift.engine.reply import Reply
from skylift.ports.compute import Offer, Outcome, Requirements, Succeeded, TaskCall
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.stores.memory import MemoryJournal
from skylift.testing.clock import VirtualClock

SKYLIFT = "arn:aws:states:::skylift:"


class ManualBackend(Basics):
    """Keeps what it is given until the test answers."""

    def __init__(self, name: str = "manual", can: bool = True) -> None:
        self.name = name
        self.can = can
        self.calls: dict[str, TaskCall] = {}
        self.batches: list[list[str]] = []
        self.cancelled: list[str] = []
        self.swept: list[set[str]] = []
        self.status: Literal["queued", "running"] = "running"

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return [Offer(backend=self.name, instance_type="x", vcpus=1, memory_mib=1)] if self.can else []

    def submit(self, calls: Sequence[TaskCall]) -> None:
        self.batches.append([call.token for call in calls])
        for call in calls:
            self.calls[call.token] = call

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        return {token: self.status for token in tokens if token in self.calls}

    def cancel(self, tokens: Collection[str]) -> None:
        self.cancelled += tokens
        for token in tokens:
            self.calls.pop(token, None)

    def sweep(self, live: Collection[str]) -> None:
        self.swept.append(set(live))

    def close(self) -> None:
        self.calls.clear()


class World:
    """One engine over a journal; `restart` gives it a new life."""

    def __init__(self, tasks: Mapping[str, TaskSpec | None] | None = None, **settings: Any) -> None:
        self.journal: Any = settings.pop("journal", None) or MemoryJournal()
        self.clock = settings.pop("clock", None) or VirtualClock()
        self.backend = ManualBackend()
        self.backends: dict[str, ManualBackend] = {"manual": self.backend}
        self.machines: dict[str, str] = {}
        self.tasks = dict(tasks or {})
        self.settings = settings
        self.lives = 0
        self.restart()

    def restart(self, **settings: Any) -> None:
        self.lives += 1
        self.inbox: list[Input] = []
        self.owner = f"owner-{self.lives}"
        self.engine = Engine(
            **{
                "journal": self.journal,
                "clock": self.clock,
                "backends": self.backends,
                "owner": self.owner,
                "inbox": self.inbox.append,
                "items": InlineItems(),
                "new_id": self._new_id,
                "limits": EngineLimits(look_ms=0),
                **self.settings,
                **settings,
            }
        )

    def _new_id(self) -> str:
        return f"run{len(self.journal.runs(limit=10_000)) + 1}"

    def table(self) -> str:
        tasks = {name: spec or TaskSpec(name=name, target=f"m:{name}") for name, spec in self.tasks.items()}
        table = TaskTable(bundle="b", tasks=tasks, machines=self.machines)
        return self.journal.put_document(msgspec.json.encode(table))

    def document(self, states: dict[str, Any] | str, **more: Any) -> str:
        """A chain of the states in their order; a text is one Task state of that resource."""
        if isinstance(states, str):
            states = {"A": {"Type": "Task", "Resource": states, "Arguments": "{% $states.input %}"}}
        names = list(states)
        chained = {}
        for name, following in zip(names, [*names[1:], None], strict=True):
            state = dict(states[name])
            if state["Type"] not in ("Choice", "Succeed", "Fail") and "Next" not in state:
                state |= {"End": True} if following is None else {"Next": following}
            chained[name] = state
        document = {"QueryLanguage": "JSONata", "StartAt": names[0], "States": chained, **more}
        return self.journal.put_document(json.dumps(document).encode())

    def start(self, states: dict[str, Any] | str, value: Any = None, **more: Any) -> str:
        """Start and take one turn; the run's id."""
        started: Reply[str] = Reply()
        start = StartRun(
            definition=more.pop("definition", None) or self.document(states),
            tasks=self.table(),
            pipeline=more.pop("pipeline", "p"),
            input=value,
            started=started,
            **more,
        )
        self.turn(start)
        if not started.done:  # an id that was taken shows at the commit
            self.turn()
        return started.wait(0)

    def turn(self, *inputs: Input) -> int | None:
        given = [*self.inbox, *inputs]
        self.inbox.clear()
        return self.engine.turn(given)

    def settle(self) -> None:
        """Turns until nothing more comes of itself."""
        for _ in range(100):
            due = self.turn()
            if not self.inbox and (due is None or due > self.clock.now_ms()):
                return
        raise AssertionError("the engine does not come to rest")

    def wait(self, seconds: float) -> None:
        self.clock.advance(round(seconds * 1000))
        self.settle()

    def answer(self, outcome: Outcome | Any, token: str | None = None) -> None:
        """End one attempt; a plain value is its result."""
        token = token if token is not None else next(iter(self.backend.calls))
        self.backend.calls.pop(token, None)
        ended = outcome if isinstance(outcome, Outcome) else Succeeded(output=outcome)
        self.turn(Reported(token, ended))
        self.settle()

    def ask(self, make: Any) -> Any:
        """Give an input that has a reply; the answer."""
        reply: Reply[Any] = Reply()
        self.turn(make(reply))
        self.settle()
        return reply.wait(0)

    def record(self, run_id: str) -> RunRecord:
        record = self.journal.run(run_id)
        assert record is not None
        return record

    def events(self, run_id: str) -> list[str]:
        return [type(entry.event).__name__ for entry in self.journal.entries(run_id)]
