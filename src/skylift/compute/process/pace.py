"""How long calls of each task take, as measured, and how many of them make a batch."""

from __future__ import annotations

_BATCH_MS = 4.0
_LARGEST_BATCH = 64
_PER_CALL_MS = 0.03
_WEIGHT = 0.25


class Pace:
    """A moving average of durations by task. What is unknown or slow is handed out one by one."""

    def __init__(self) -> None:
        self._mean_ms: dict[str, float] = {}

    def took(self, key: str, duration_ms: float) -> None:
        cost = duration_ms + _PER_CALL_MS
        mean = self._mean_ms.get(key)
        self._mean_ms[key] = cost if mean is None else mean + _WEIGHT * (cost - mean)

    def slow(self, key: str) -> None:
        """A call turned out to take far longer than was thought."""
        self._mean_ms.pop(key, None)

    def batch(self, key: str) -> int:
        """How many calls a worker may hold."""
        mean = self._mean_ms.get(key)
        return 1 if mean is None else max(1, min(_LARGEST_BATCH, int(_BATCH_MS / mean)))

    def expected_ms(self, key: str) -> float | None:
        return self._mean_ms.get(key)
