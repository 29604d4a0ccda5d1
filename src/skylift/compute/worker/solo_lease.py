"""When an attempt's lease is over: a machine that slept, or whose clock was set, gives its engine time to renew it."""

from __future__ import annotations

LOOK_S = 60.0
"""So often the lease is looked at, whatever it says: somebody may have shortened it."""
SLEPT_S = 5.0
"""The wall's clock is that much further on than time has passed here: the machine slept, or its clock was set."""
GRACE_S = 30.0
"""For an engine on the same machine, which slept too: it looks every two seconds."""


class LeaseLook:
    """Looks again and again. The monotonic clock stands still while a machine sleeps, and leases end by the wall's."""

    def __init__(self) -> None:
        self._apart: float | None = None
        """By how much the two clocks were apart at the last look."""
        self._grace_until_s = float("-inf")
        """By the monotonic clock."""

    def look(self, until_s: float, wall_s: float, monotonic_s: float) -> tuple[bool, float]:
        """Whether the lease that ends then is over, and in how many seconds to look again."""
        before, self._apart = self._apart, wall_s - monotonic_s
        if before is not None and self._apart - before > SLEPT_S:
            self._grace_until_s = monotonic_s + GRACE_S
        left_s = max(until_s - wall_s, self._grace_until_s - monotonic_s)
        return left_s <= 0, min(max(left_s, 0.1), LOOK_S)
