"""Checkpoints: a step that is killed goes on from its last saved state, on another machine if need be.

    from skylift import checkpoint

    with checkpoint.session(model=model, optimizer=optimizer) as saved:
        for epoch in saved.steps(range(100)):
            ...

and the plain form for any state:

    state = checkpoint.load({"done": 0})
    while state["done"] < 1000:
        ...
        if checkpoint.due():
            checkpoint.save(state)
"""

from __future__ import annotations

from skylift.compute.worker.checkpoint.plain import clear, due, load, save, session
from skylift.compute.worker.checkpoint.session import Session
from skylift.compute.worker.current import Preempted, warned

__all__ = ["Preempted", "Session", "clear", "due", "load", "save", "session", "warned"]
