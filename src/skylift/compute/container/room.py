"""Who runs now: containers share this machine's processors, memory and GPUs, and wait for them in fair order."""

from __future__ import annotations

from msgspec.structs import replace

from skylift.compute.container.held import Held
from skylift.compute.process.entry import Entry
from skylift.compute.process.machine import Machine
from skylift.compute.process.queue import FairQueue
from skylift.compute.process.resources import Resources
from skylift.ports.compute import Requirements, TaskCall


class Room:
    """Not thread-safe: the backend's lock guards it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._resources = Resources(machine)
        self._queue = FairQueue()
        self._waiting: dict[Entry, Held] = {}
        self._inside: set[Held] = set()

    def misfit(self, needs: Requirements) -> tuple[str, str] | None:
        """What is wanted that this machine can never give, and what to do."""
        found = self.machine.misfit(replace(needs, image=None))
        if found is not None and needs.nodes > self.machine.workers:
            most = self.machine.workers
            what = f"wants {needs.nodes} containers at once, and this machine gives {most}"
            return what, "set fewer `nodes`, or more `[backends.container] containers`"
        return found

    def entry(self, call: TaskCall) -> Entry:
        return Entry(call)

    def wait(self, held: Held) -> None:
        self._waiting[held.entry] = held
        self._queue.push(held.entry)

    def drop(self, held: Held) -> None:
        """It does not wait any longer."""
        self._waiting.pop(held.entry, None)
        self._queue.drop(held.entry)

    def next(self) -> Held | None:
        """Whose turn it is, with its share taken; None while the next one does not fit."""
        while (entry := self._queue.peek()) is not None:
            if self._resources.at_limit(entry):
                self._queue.park()
                continue
            if not self._fits(entry):
                return None
            held = self._waiting.pop(self._queue.take())
            self.enter(held)
            return held
        return None

    def enter(self, held: Held) -> None:
        """It has its share from now on; one that is adopted takes it even where there is none left."""
        entry = held.entry
        self._inside.add(held)
        self._resources.take(entry)
        self._resources.handed_out(entry)
        if entry.gpus:
            free = self._resources.free_gpus(entry.call.requirements.gpu or "0")
            held.gpus = tuple(free[: entry.gpus * entry.nodes])
            self._resources.take_gpus(held.gpus)

    def leave(self, held: Held) -> None:
        if held not in self._inside:
            return
        self._inside.discard(held)
        self._resources.put_back(held.entry)
        self._resources.put_back_gpus(held.gpus)
        if self._resources.came_back(held.entry):
            self._queue.unpark(held.entry.key)

    def why(self, held: Held) -> str:
        """What one that waits is waiting for."""
        entry = held.entry
        if self._resources.at_limit(entry):
            return f"{entry.concurrency} attempts of its task run, and no more of them may at once"
        cpus = self.machine.cpus - sum(other.entry.cpus for other in self._inside)
        memory_mib = self.machine.memory_mib - sum(other.entry.memory_mib for other in self._inside)
        if entry.cpus > cpus:
            return f"needs {entry.cpus:g} processors, and {max(cpus, 0):g} of {self.machine.cpus:g} are free"
        if entry.memory_mib > memory_mib:
            return f"needs {entry.memory_mib} MiB, and {max(memory_mib, 0)} of {self.machine.memory_mib} are free"
        if self._used() + entry.nodes > self.machine.workers:
            return f"{self._used()} containers run, and no more than {self.machine.workers} may at once"
        if entry.gpus and not self._fits(entry):
            return f"needs the GPU {entry.call.requirements.gpu}, and it is in use"
        return "others came before it"

    def _fits(self, entry: Entry) -> bool:
        if self._used() + entry.nodes > self.machine.workers or not self._resources.admits(entry):
            return False
        wanted = entry.gpus * entry.nodes
        return not wanted or len(self._resources.free_gpus(entry.call.requirements.gpu or "0")) >= wanted

    def _used(self) -> int:
        return sum(held.entry.nodes for held in self._inside)
