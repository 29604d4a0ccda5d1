"""What this machine offers to attempts in containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from skylift.compute.container.room import Room
from skylift.compute.process.machine import Machine
from skylift.ports.compute import Offer, Requirements

_STARTUP_MS = 300


def offers_of(name: str, machine: Machine, requirements: Requirements) -> Sequence[Offer]:
    """This machine, if the task fits it; it costs nothing by the hour."""
    if Room(machine).misfit(requirements) is not None:
        return ()
    return (
        Offer(
            backend=name,
            instance_type="this-machine",
            vcpus=machine.cpus,
            memory_mib=machine.memory_mib,
            gpu=machine.gpus[0] if machine.gpus else None,
            gpu_count=len(machine.gpus),
            service="container",
            startup_ms=_STARTUP_MS,
        ),
    )


def container_machine(machine: Machine, containers: int | None) -> Machine:
    """With so many containers at once; None for as many as processors and memory allow."""
    return replace(machine, slots=containers or max(8, 8 * int(machine.cpus)))
