"""What is still free on the machine, and how many calls of each task run."""

from __future__ import annotations

from skylift.compute.process.entry import Entry
from skylift.compute.process.machine import Machine

_ROUNDING = 1e-9


class Resources:
    """Processors and memory are taken by the call that runs, GPUs by the worker that uses them, for its life."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._cpus = machine.cpus
        self._memory_mib = machine.memory_mib
        self._gpus = set(range(len(machine.gpus)))
        self._running: dict[str, int] = {}

    def admits(self, entry: Entry) -> bool:
        return entry.cpus <= self._cpus + _ROUNDING and entry.memory_mib <= self._memory_mib

    def room_for(self, entry: Entry) -> int:
        """How many calls like this one could start now."""
        return int((self._cpus + _ROUNDING) / max(entry.cpus, 0.01))

    def take(self, entry: Entry) -> None:
        self._cpus -= entry.cpus
        self._memory_mib -= entry.memory_mib

    def put_back(self, entry: Entry) -> None:
        self._cpus += entry.cpus
        self._memory_mib += entry.memory_mib

    def free_gpus(self, wanted: str) -> list[int]:
        return [number for number in self.machine.devices(wanted) if number in self._gpus]

    def take_gpus(self, numbers: tuple[int, ...]) -> None:
        self._gpus.difference_update(numbers)

    def put_back_gpus(self, numbers: tuple[int, ...]) -> None:
        self._gpus.update(numbers)

    def at_limit(self, entry: Entry) -> bool:
        return entry.concurrency is not None and self._running.get(entry.key, 0) >= entry.concurrency

    def handed_out(self, entry: Entry) -> None:
        if entry.concurrency is not None:
            self._running[entry.key] = self._running.get(entry.key, 0) + 1

    def came_back(self, entry: Entry) -> bool:
        """Whether a call of the same task may now be handed out that could not before."""
        if entry.concurrency is None:
            return False
        left = self._running[entry.key] - 1
        if left:
            self._running[entry.key] = left
        else:
            del self._running[entry.key]
        return True
