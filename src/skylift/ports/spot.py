"""When a task that may run on spot machines does so: a function of what has happened to it so far."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from skylift.ports.compute import Market


class SpotState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one visit of a step at the moment in which its attempt is given out (again). Times in ms."""

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
    """What each launch costs before work goes on: start-up and loading of the checkpoint, as measured so far."""
    preemptions: int
    market: Market | None
    """Where the last delivery ran; None before the first."""
    asked_again_ms: int = 0
    """After how long the question is asked anew, if it waits for a spot machine until then."""


SpotPolicy = Callable[[SpotState], Market]
"""Pure: the same state gives the same answer. Called on the engine's thread, so it must be quick."""
