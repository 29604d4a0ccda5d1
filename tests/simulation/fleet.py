"""Several engines that live at once on one journal, with everything that can go wrong between them."""

from __future__ import annotations

from typing import Any

from skylift.engine.inputs import Input, StartRun
from skylift.ports.compute import TaskCall
from skylift.ports.journal import RunRecord
from skylift.testing.faults import Crash, FaultyJournal
from skylift.testing.simulation import Host, Simulation, VirtualBackend


class Fleet(Simulation):
    """`size` engines. Any may die; any may be believed dead and go on; the dead are replaced."""

    size = 3

    def __init__(self, *args: Any, believed_dead: float = 0.0, killed: float = 0.0, **more: Any) -> None:
        self.believed_dead = believed_dead
        self.killed = killed
        self.dead: set[str] = set()
        """Owners that the others may take runs from."""
        self.adoptions = 0
        super().__init__(*args, **more)
        while len(self._hosts) < self.size:
            self._boot(None)

    def is_alive(self, owner: str) -> bool:
        return owner not in self.dead

    @property
    def host(self) -> Host:
        """Any of those that live, as a client without a preference finds one."""
        return self.rng.choice([host for host in self._hosts if host.owner not in self.dead])

    def send(self, given: Input) -> None:
        self.host.inbox.append(given)

    def start(self, definition: bytes, value: Any, *, name: str, pipeline: str = "simulated") -> None:
        """Asks several engines for the same start, as a client does that hears nothing."""
        digest = self.recorder.inner.put_document(definition)
        while self.find(name, pipeline) is None:
            for _ in range(self.rng.randint(1, 2)):
                start = StartRun(definition=digest, pipeline=pipeline, tasks=self._table, input=value, name=name)
                self.host.inbox.append(start)
            self.step()

    def step(self) -> None:
        for host in list(self._hosts):
            if host not in self._hosts:
                continue
            if self.rng.random() < self.killed:
                self._die(host)
            elif host.owner not in self.dead and self.rng.random() < self.believed_dead:
                self.dead.add(host.owner)
                self._boot(None)
            else:
                self._turn(host)
        self._bury()
        self._go_on()

    def _turn(self, host: Host) -> None:
        host.backend.step()
        try:
            host.turn(self.rng)
        except Crash:
            self._die(host)

    def _die(self, host: Host) -> None:
        self.crashes += 1
        self.dead.add(host.owner)
        self._hosts.remove(host)
        host.backend.close()
        if sum(host.owner not in self.dead for host in self._hosts) < self.size:
            self._boot(None)

    def _bury(self) -> None:
        """Those believed dead find out in the end, and leave."""
        for host in [host for host in self._hosts if host.owner in self.dead]:
            if self.rng.random() < 0.02:
                self._die(host)

    def _boot(self, backend: VirtualBackend | None) -> None:
        self._lives += 1
        host = Host.__new__(Host)
        self._hosts.append(host)
        host.__init__(self, f"engine-{self._lives}", backend, adopting=True)  # type: ignore[misc]
        journal = host.engine.journal
        assert isinstance(journal, FaultyJournal)
        journal.changed = lambda: True  # type: ignore[attr-defined]  # a connection of its own
        host.backend.submitted = lambda call: self._note_of(host, call)
        host.backend.plan = self.plan

    def _note_of(self, host: Host, call: TaskCall) -> None:
        self.submissions.append(call.token)
        record = self.recorder.inner.run(call.run_id)
        if call.token in self.recorder.outcomes and record is not None and record.owner == host.owner:
            self.wrongs.append(f"{call.token} runs again although its outcome is recorded")

    def _calm(self) -> None:
        self.plan = self.plan.quiet()
        self.believed_dead = self.killed = 0.0
        for host in self._hosts:
            host.backend.plan = self.plan
            journal = host.engine.journal
            assert isinstance(journal, FaultyJournal)
            journal.plan = self.plan


def owners_of(records: list[RunRecord]) -> set[str | None]:
    return {record.owner for record in records}
