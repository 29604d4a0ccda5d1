"""When to save: what a save costs against what a loss would cost."""

from __future__ import annotations

import math
import os
import time

from skylift.units import parse_duration_ms

SPOT_MTBF_S = 2 * 3600.0
"""Assumed between two preemptions of a spot machine where nothing better is known. Machines with GPUs in the traces
published with "Can't Be Late" (NSDI 2024) stay for minutes to days. A guess that is wrong by a factor of four costs a
quarter more than the best interval, since that goes with the square root."""
STEADY_MTBF_S = 30 * 24 * 3600.0
"""Assumed between two failures of what runs on a machine that nobody takes away. A GPU alone fails more seldom: the
16,384 of Llama 3 did 419 times in 54 days, once in 50,000 hours each (Llama Team, 2024, table 5)."""
VARIABLE = "SKYLIFT_MTBF"
_SMOOTHING = 0.5


def best_interval_s(save_s: float, mtbf_s: float) -> float:
    """The interval between saves that loses least time: sqrt(2 · C · MTBF), C being what a save costs.

    J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17 (1974); refined by J. T.
    Daly, FGCS 22 (2006), whose further terms matter only where a save takes much of the time between two failures.

    >>> round(best_interval_s(2.0, 3600.0))
    120
    """
    return math.sqrt(2 * save_s * mtbf_s)


def mtbf_s(*, spot: bool) -> float:
    """Mean time between interruptions here: what SKYLIFT_MTBF says (`"90m"`), else an assumption."""
    said = os.environ.get(VARIABLE)
    if said:
        return parse_duration_ms(said, VARIABLE) / 1000
    return SPOT_MTBF_S if spot else STEADY_MTBF_S


class Cadence:
    """Says when the next save is due. The first one is due at once: it shows what a save costs, and that it works."""

    def __init__(self, *, mtbf_s: float, every_s: float | None = None, steps: int | None = None) -> None:
        self._mtbf_s = mtbf_s
        self._every_s = every_s
        self._steps = steps
        self._last = time.monotonic()
        self._cost_s: float | None = None
        self._done = 0

    @property
    def interval_s(self) -> float:
        """Between two saves; 0 before the first one, and infinite where steps are counted."""
        if self._every_s is not None:
            return self._every_s
        if self._steps is not None:
            return math.inf
        return 0.0 if self._cost_s is None else best_interval_s(self._cost_s, self._mtbf_s)

    @property
    def counts_steps(self) -> bool:
        """Saves are due after so many steps, even if the work must wait for the upload before."""
        return self._steps is not None

    def step(self) -> None:
        self._done += 1

    def due(self) -> bool:
        if self._steps is not None:
            return self._done >= self._steps
        return time.monotonic() - self._last >= self.interval_s

    def saved(self, cost_s: float) -> None:
        """A save ended just now that kept the work waiting for so long."""
        before = self._cost_s
        self._cost_s = cost_s if before is None else before + _SMOOTHING * (cost_s - before)
        self._done = 0
        self._last = time.monotonic()
