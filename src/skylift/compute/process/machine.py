"""What this machine has, and whether a task fits it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from skylift.ports.compute import Failed, Requirements

INFEASIBLE = "Skylift.Infeasible"
"""Error name of a call that this backend can never run. No retry helps; another backend may."""


_DIGITS = re.compile(r"[0-9]{1,4}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    cpus: float
    memory_mib: int
    gpus: tuple[str, ...] = ()
    """Model names, in the order of their device numbers."""
    slots: int | None = None
    """Worker processes at once; None for one a processor."""

    @property
    def workers(self) -> int:
        return self.slots or max(1, int(self.cpus))

    def misfit(self, needs: Requirements) -> tuple[str, str] | None:
        """What is wanted that is not here, and what to do."""
        nodes = needs.nodes
        each = f"{nodes} times " if nodes > 1 else ""
        if nodes > self.workers:
            mend = "set fewer `nodes`, or more `workers` in skylift.toml"
            return f"wants {nodes} workers at once, and this machine gives {self.workers}", mend
        if needs.cpus * nodes > self.cpus:
            return f"wants {each}{needs.cpus:g} cpus, and this machine gives {self.cpus:g}", "lower `cpus`"
        if needs.memory_mib is not None and needs.memory_mib * nodes > self.memory_mib:
            wanted = f"{each}{needs.memory_mib} MiB of memory"
            return f"wants {wanted}, and this machine has {self.memory_mib}", "lower `memory`"
        if needs.image is not None:
            return f"wants the image {needs.image}, and worker processes have none", "leave out `image`"
        if needs.gpu is not None and gpu_count(needs.gpu) * nodes > self.matching(needs.gpu):
            here = ", ".join(self.gpus) or "none"
            return f"wants {each}the GPU {needs.gpu}, and this machine has {here}", "leave out `gpu`"
        return None

    def matching(self, wanted: str) -> int:
        return len(self.devices(wanted))

    def devices(self, wanted: str) -> list[int]:
        """Device numbers of the GPUs that answer to `"1"`, `"V100"` or `"V100:2"`."""
        model = wanted.partition(":")[0]
        if _DIGITS.fullmatch(model):
            return list(range(len(self.gpus)))
        return [number for number, name in enumerate(self.gpus) if model.lower() in name.lower()]


def gpu_count(wanted: str | None) -> int:
    if wanted is None:
        return 0
    model, _, count = wanted.partition(":")
    if _DIGITS.fullmatch(count):
        return int(count)
    return int(model) if _DIGITS.fullmatch(model) else 1


def infeasible(label: str, backend: str, misfit: tuple[str, str]) -> Failed:
    what, mend = misfit
    return _refused(INFEASIBLE, f"{label} {what} (backend {backend}); {mend} or run the task on another backend")


def unsendable(label: str, error: Exception) -> Failed:
    return _refused("Skylift.InvalidArguments", f"the arguments of {label} cannot be sent to a worker: {error}")


def _refused(name: str, message: str) -> Failed:
    cause = json.dumps({"errorType": name, "errorMessage": message, "stackTrace": []}, ensure_ascii=False)
    return Failed(error=name, classes=("SetupError", "SkyliftError"), cause=cause)


def this_machine() -> Machine:
    return Machine(cpus=float(cpu_count()), memory_mib=memory_mib(), gpus=_gpus())


def cpu_count() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def memory_mib() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


def _gpus() -> tuple[str, ...]:
    """NVIDIA devices as their driver lists them; no tool is started for it."""
    folder = Path("/proc/driver/nvidia/gpus")
    try:
        infos = [(device / "information").read_text() for device in folder.iterdir()]
    except OSError:
        return ()
    found = []
    for info in infos:
        facts = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        found.append((facts.get("Device Minor", "0").strip(), facts.get("Model", "GPU").strip()))
    return tuple(model for _, model in sorted(found))
