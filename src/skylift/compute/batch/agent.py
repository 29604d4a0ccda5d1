"""The program of a machine that is a share of this box: keeps worker processes, takes attempts, writes their outcomes.

It does not need the engine: it goes on when that dies, and ends by itself, with everything on it, when its lease is
over. SIGTERM is the warning that it will be taken away; SIGINT ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import msgspec

from skylift.asl.events import Usage
from skylift.compute.attempts.folders import AttemptFolder
from skylift.compute.batch.billing import place_usage
from skylift.compute.batch.local_files import (
    GONE,
    LEAVE,
    ON,
    READY,
    STOP,
    WARNED,
    WISHES,
    AgentOrder,
    Assignment,
    Farewell,
    MachineFolder,
)
from skylift.compute.batch.share import Share, enter_group, leave_groups
from skylift.compute.process import ProcessBackend
from skylift.compute.worker.current import NOTICE_S
from skylift.compute.worker.solo_lease import GRACE_S, LeaseLook
from skylift.errors import SetupError
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, OutOfMemory, Submitted

_QUICK_S, _SLOW_S = 0.004, 0.05
_SLOWER_AFTER_S = 1.0
_LEASE_S = 0.5
_FORGOTTEN_S = 10.0
_WORKERS_PER_VCPU = 4


def main(folder: str, lock: int) -> None:
    """`lock` is the descriptor of the machine's lock, held until this process is gone."""
    os.set_inheritable(lock, False)
    machine = MachineFolder(Path(folder))
    order = machine.order
    if order is None:
        raise SetupError(f"{folder} holds no order for a machine")
    groups: list[Path] = []
    if order.group is not None:
        groups = enter_group(order.group, Path(order.group).name, order.kind.vcpus)
    agent = Agent(machine, order)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, agent.signalled)
    agent.serve()
    leave_groups(groups)


class Agent:
    """Everything but `report` happens in the main thread."""

    def __init__(self, machine: MachineFolder, order: AgentOrder) -> None:
        self._machine = machine
        self._order = order
        self._here: dict[str, tuple[str, Assignment]] = {}
        """By token: the name of the assignment, and what it says."""
        self._stopped: set[str] = set()
        self._saved_ms: dict[str, float] = {}
        """By token, what was last told."""
        self._lease = LeaseLook()
        self._lock = threading.Lock()
        self._ending: Farewell | None = None
        self._warned_at: float | None = None
        self._pool = self._make_pool()

    def signalled(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self._ending = Farewell(reason="it was stopped")
        elif self._warned_at is None:
            self._warned_at = time.monotonic()

    def serve(self) -> None:
        self._machine.write_text(READY, "")
        busy_at = lease_at = time.monotonic()
        told = False
        while self._ending is None:
            now = time.monotonic()
            if now >= lease_at:
                lease_at = now + self._check_lease(now)
                self._tell_saved()
            if self._warned_at is not None:
                told = told or self._tell_warning()
                self._check_warning(self._warned_at, now)
            if self._look_around():
                busy_at = now
            elif now - busy_at > 1.5 * self._order.idle_ms / 1000 + _FORGOTTEN_S:
                self._ending = Farewell(reason="it had nothing to do, and nobody stopped it")
            time.sleep(_QUICK_S if now - busy_at < _SLOWER_AFTER_S else _SLOW_S)
        self._leave(self._ending)

    def _leave(self, farewell: Farewell) -> None:
        """What is still here is lost; whoever looks after it is told why."""
        self._machine.write(GONE, farewell)
        self._pool.close()

    def _check_lease(self, now: float) -> float:
        """In how many seconds to look again; longer after a sleep of the whole box, for its engine to renew first."""
        over, again_s = self._lease.look(self._machine.until_ms / 1000, time.time(), now)
        if over:
            self._ending = Farewell(reason="its lease ended: whoever held it gave no sign of life")
        return again_s if again_s == GRACE_S else _LEASE_S

    def _tell_warning(self) -> bool:
        self._machine.write_text(WARNED, "")
        self._pool.warn(NOTICE_S)
        return True

    def _check_warning(self, since: float, now: float) -> None:
        if not self._here or now - since >= NOTICE_S:
            self._ending = Farewell(reason="it was taken away after a warning", preempted=True)

    # Attempts in ------------------------------------------------------------------------------------------------

    def _look_around(self) -> bool:
        """Take in what was assigned or is to be stopped; whether there is anything at all."""
        names = sorted(self._machine.names())  # an attempt stands before the wish to stop it
        here = {name for name, _ in list(self._here.values())}
        for name in names:
            if name.endswith(STOP):
                self._stop(name.removesuffix(STOP))
            elif name.endswith(LEAVE):
                self._release(name.removesuffix(LEAVE))
            elif name not in here:
                self._begin(name)
        return bool(names)

    def _begin(self, name: str) -> None:
        assignment: Assignment | None = self._machine.read(f"{ON}/{name}", Assignment)
        if assignment is None:
            return
        token = assignment.held.token
        with self._lock:
            self._here[token] = name, assignment
        order = AttemptFolder(Path(assignment.folder)).order
        if order is None:
            self.report(token, Lost(reason="its order could not be read"))
            return
        self._pool.submit([order.call])

    def _stop(self, name: str) -> None:
        if name in self._stopped:
            return
        tokens = [token for token, (here, _) in list(self._here.items()) if here == name]
        if not tokens:
            self._machine.remove(f"{ON}/{name}{STOP}")
            return
        self._stopped.add(name)
        self._pool.cancel(tokens)

    def _release(self, name: str) -> None:
        """Once: whoever is told twice that his machine goes has no more time for that."""
        self._machine.remove(f"{ON}/{name}{LEAVE}")
        self._pool.release([token for token, (here, _) in list(self._here.items()) if here == name])

    def _tell_saved(self) -> None:
        """What checkpoints keep of what is here, beside its order."""
        with self._lock:
            here = {token: assignment.folder for token, (_, assignment) in self._here.items()}
        for token, standing in self._pool.standings(list(here)).items():
            if standing.saved_ms and self._saved_ms.get(token) != standing.saved_ms:
                self._saved_ms[token] = standing.saved_ms
                with contextlib.suppress(OSError):
                    AttemptFolder(Path(here[token])).note_saved(standing.saved_ms)

    # Outcomes out -----------------------------------------------------------------------------------------------

    def report(self, token: str, outcome: Outcome | Submitted) -> None:
        """Called by the pool. The outcome is there before the attempt is gone from the machine."""
        if isinstance(outcome, Submitted):
            return
        with self._lock:
            name, assignment = self._here[token]
        if isinstance(outcome, Lost) and self._warned_at is not None:
            outcome = msgspec.structs.replace(outcome, preempted=True)  # it died of the warning
        outcome = told_of_place(outcome, self._order, assignment)
        with contextlib.suppress(OSError):  # its folder was taken away: nobody waits for it
            AttemptFolder(Path(assignment.folder)).give_outcome(outcome)
        self._machine.remove(f"{ON}/{name}")
        for wish in WISHES:
            self._machine.remove(f"{ON}/{name}{wish}")
        with self._lock:
            del self._here[token]
            self._stopped.discard(name)
            self._saved_ms.pop(token, None)

    def _make_pool(self) -> ProcessBackend:
        order, worker = self._order, self._order.worker
        kind = order.kind
        return ProcessBackend(
            self.report,
            name=worker.backend,
            blobs=worker.blobs,
            blobs_factory=worker.blobs_factory,
            cache_dir=worker.cache_dir,
            inline_limit=worker.inline_limit,
            workers=max(_WORKERS_PER_VCPU, int(_WORKERS_PER_VCPU * kind.vcpus)),
            machine=Share(cpus=kind.vcpus, memory_mib=kind.memory_mib, gpus=order.box_gpus, ours=order.devices),
            secrets=worker.secrets,
            paths=worker.paths,
            cwd=worker.cwd,
            env=worker.env,
            withheld=order.withheld,
            grace_ms=order.grace_ms,
        )


def told_of_place(outcome: Outcome, order: AgentOrder, assignment: Assignment) -> Outcome:
    """The outcome with what is known of the place in its usage."""
    if isinstance(outcome, Cancelled) or (isinstance(outcome, Failed | OutOfMemory) and outcome.usage is None):
        return outcome
    usage = outcome.usage or Usage()
    return msgspec.structs.replace(
        outcome, usage=place_usage(usage, order.kind, order.id, assignment.held, assignment.asked_ms)
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
