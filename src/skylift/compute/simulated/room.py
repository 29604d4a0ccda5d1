"""Quotas: how much of the cloud one account has at once, and how many attempts of a task there may be."""

from __future__ import annotations

from collections import Counter

from skylift.compute.simulated.entry import Entry
from skylift.config.backends import SimulatedSettings
from skylift.pricing.places import Place

_ROUNDING = 1e-6


class Room:
    """What is taken, in units of each quota. Not thread-safe."""

    def __init__(self, settings: SimulatedSettings) -> None:
        self._most: dict[str, float] = {
            "functions": settings.functions,
            "processors of containers": settings.container_vcpus,
            "processors of machines, on-demand": settings.machine_vcpus,
            "processors of machines, spot": settings.machine_vcpus,
            "GPUs": settings.gpus,
        }
        self._taken: dict[str, float] = dict.fromkeys(self._most, 0.0)
        self._tasks: Counter[str] = Counter()

    def lacking(self, entry: Entry) -> str | None:
        """Which quota keeps it waiting, in words."""
        most = entry.call.requirements.concurrency
        if most is not None and self._tasks[entry.call.task] >= most:
            return f"{most} attempts of {entry.call.task} run already, as many as it allows"
        for quota, amount in _wanted(entry.place).items():
            if self._taken[quota] + amount > self._most[quota] + _ROUNDING:
                return f"the quota of {self._most[quota]:g} {quota} is used up"
        return None

    def has(self, place: Place) -> bool:
        """Whether the quotas allow it when nothing else runs."""
        return all(amount <= self._most[quota] for quota, amount in _wanted(place).items())

    def take(self, entry: Entry) -> None:
        for quota, amount in _wanted(entry.place).items():
            self._taken[quota] += amount
        self._tasks[entry.call.task] += 1

    def give_back(self, entry: Entry) -> None:
        for quota, amount in _wanted(entry.place).items():
            self._taken[quota] -= amount
        self._tasks[entry.call.task] -= 1


def _wanted(place: Place) -> dict[str, float]:
    if place.service == "function":
        return {"functions": 1}
    if place.service == "container":
        return {"processors of containers": place.vcpus}
    machines: dict[str, float] = {f"processors of machines, {place.market}": place.vcpus * place.nodes}
    return {**machines, "GPUs": place.gpus * place.nodes} if place.gpus else machines
