"""Time as the engine knows it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """UTC milliseconds since the epoch; never goes back."""
        ...


class Ticking(Protocol):
    """A part that does things by the engine's clock, and has no thread for it: the engine's thread calls `tick`."""

    name: str

    def next_due(self) -> int | None:
        """When it wants to be called next, in UTC milliseconds; None while only something else can bring that."""
        ...

    def busy(self) -> bool:
        """Whether something of it goes on in real time whose end it must know before time may jump."""
        ...

    def tick(self, now_ms: int) -> None:
        """Do what is due."""
        ...


class Pace(Protocol):
    """How the engine's time passes, as those see it who live by it."""

    @property
    def clock(self) -> Clock: ...

    @property
    def speed(self) -> float | None:
        """Seconds of its time in one of ours; None where it stands still while something works, and else jumps."""
        ...

    def attach(self, part: Ticking) -> None:
        """Have the part called when it is due; again is no change."""
        ...

    def wake(self) -> None:
        """What a part said of `next_due` or `busy` no longer holds. From any thread."""
        ...
