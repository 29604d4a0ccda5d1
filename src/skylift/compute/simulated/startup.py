"""How long a place takes to come, by its class."""

from __future__ import annotations

import random

from skylift.ports.compute import ServiceClass

STARTUP_MS: dict[ServiceClass, tuple[int, int]] = {
    "process": (0, 0),
    "function": (80, 150),
    "container": (10_000, 20_000),
    "managed-training": (30_000, 60_000),
    "batch": (60_000, 240_000),
}
"""Shortest and longest."""


class StartUps:
    """Drawn from a seed. The same launches in the same order of a step take the same times, whatever other steps do."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._launches: dict[str, int] = {}

    def draw_ms(self, service: ServiceClass, label: str) -> int:
        number = self._launches[label] = self._launches.get(label, 0) + 1
        shortest, longest = STARTUP_MS[service]
        return random.Random(f"{self._seed}/{label}/{number}").randint(shortest, longest)


def typical_ms(service: ServiceClass) -> int:
    return sum(STARTUP_MS[service]) // 2
