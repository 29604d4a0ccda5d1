"""How long a place takes to come, by its class."""

from __future__ import annotations

import random

from skylift.pricing.catalogue import Rule


class StartUps:
    """Drawn from a seed. The same launches in the same order of a step take the same times, whatever other steps do."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._launches: dict[str, int] = {}

    def draw_ms(self, rule: Rule, label: str) -> int:
        number = self._launches[label] = self._launches.get(label, 0) + 1
        return random.Random(f"{self._seed}/{label}/{number}").randint(*rule.startup_ms)
