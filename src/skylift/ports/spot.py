"""On which market a task that may run on spot machines is bought: a function of what has happened to it so far, and of
what could be seen of the market."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from skylift.ports.compute import Market


class SpotState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one visit of a step at the moment in which its market is chosen (again). Times in ms."""

    now_ms: int
    """UTC."""
    elapsed_ms: int
    """Since it was first given out."""
    work_ms: int | None
    """How long the whole work takes without interruption, where the author says so."""
    done_ms: int
    """Work that will not be repeated: what checkpoints keep."""
    deadline_ms: int | None
    """How long after the first giving out it should have ended; None if there is no hurry."""
    changeover_ms: int
    """What each launch costs before work goes on, start-up and loading of the checkpoint: the longest so far, or what
    its backend must be expected to need, if that is more."""
    preemptions: int
    market: Market | None
    """Where it runs at this moment; None while it runs nowhere."""
    launching_ms: int = 0
    """What the launch under way still takes, about."""
    repeated_ms: int = 0
    """The most work that has had to be done again when a machine was taken away: what was done since the last
    checkpoint."""
    keeps: bool = False
    """Whether it can be taken as given that work is kept when it leaves a machine."""
    ratio: float | None = None
    """The price of spot over that of on-demand; None where that is not known."""
    seen: tuple[tuple[bool, int], ...] = ()
    """Whether a spot machine could be had, and for how long that was so: since the engine first looked, oldest first;
    the last is the present. Empty where the backend cannot tell."""
    asked_again_ms: int = 0
    """After how long the question is asked anew."""


SpotPolicy = Callable[[SpotState], Market | None]
"""Where the step shall be from now on: None is to wait, and not to ask for a machine. What runs on spot leaves it only
for the answer on-demand. Pure: the same state gives the same answer. It must be quick, for the engine's thread calls
it."""
