"""Which machine is likely to have which block: what a backend with many machines remembers and asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable

_REMEMBERED = 100_000


class Whereabouts:
    """Block keys and the machines that read them last, bounded. Only a preference: a block that is not where it was is
    fetched again, and a machine that is busy need not be waited for. Thread-safe.

    >>> known = Whereabouts()
    >>> known.note("a", ["k1", "k2"]); known.note("b", ["k3"])
    >>> known.prefer(["k2", "k3", "k1"], {"a", "b"})
    'a'
    >>> known.prefer(["k3"], {"a"}) is None
    True
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._machines: OrderedDict[str, str] = OrderedDict()
        self._remembered = remembered
        self._lock = threading.Lock()

    def note(self, machine: str, keys: Iterable[str]) -> None:
        """A call that reads these ran there, or its cache says that it has them."""
        with self._lock:
            for key in keys:
                self._machines[key] = machine
                self._machines.move_to_end(key)
            while len(self._machines) > self._remembered:
                self._machines.popitem(last=False)

    def prefer(self, keys: Iterable[str], machines: Collection[str]) -> str | None:
        """Of these machines the one that has most of the keys; None where none has any."""
        counts: dict[str, int] = {}
        with self._lock:
            for key in keys:
                machine = self._machines.get(key)
                if machine is not None and machine in machines:
                    counts[machine] = counts.get(machine, 0) + 1
        return max(counts, key=lambda machine: counts[machine]) if counts else None

    def gone(self, machine: str) -> None:
        """The machine and its disk are no more."""
        with self._lock:
            for key in [key for key, there in self._machines.items() if there == machine]:
                del self._machines[key]
