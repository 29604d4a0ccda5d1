"""Which attempts a backend has told an outcome of: given again, they are not run again."""

from __future__ import annotations

from collections import OrderedDict

_MOST = 10_000


class EndedCalls:
    """The newest of them, by token and number of the delivery. A higher delivery of a token runs anew; so does one that
    is never entered here, because it was lost. Not thread-safe."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._deliveries: OrderedDict[str, int] = OrderedDict()

    def add(self, token: str, delivery: int) -> None:
        self._deliveries[token] = delivery
        if len(self._deliveries) > self._most:
            self._deliveries.popitem(last=False)

    def has(self, token: str, delivery: int) -> bool:
        """Whether that delivery has ended, or a later one."""
        return self._deliveries.get(token, 0) >= delivery

    def forget(self, token: str) -> None:
        """Its next delivery was lost or cancelled."""
        self._deliveries.pop(token, None)
