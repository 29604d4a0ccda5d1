"""From what Ray says of a lost actor to what that means for the attempt."""

from __future__ import annotations

import re

from skylift.compute.ray.shape import Shape
from skylift.ports.compute import Failed, Lost, Outcome, OutOfMemory

_LONGEST = 600


def outcome_of_death(error: BaseException, shape: Shape) -> Outcome:
    """Only the class decides; the text is for people."""
    import ray.exceptions as told

    said = _told(error)
    if isinstance(error, told.OutOfMemoryError):
        return OutOfMemory(limit_mib=shape.memory_mib)
    if isinstance(error, told.RuntimeEnvSetupError):
        cause = f"Ray could not build the environment on a node: {said}"
        return Failed(error="Skylift.Environment", classes=("SetupError", "SkyliftError"), cause=cause)
    if isinstance(error, told.NodeDiedError):
        return Lost(reason=f"the node was lost: {said}")
    if isinstance(error, told.ActorUnavailableError):
        return Lost(reason=f"the node or its worker cannot be reached: {said}")
    if isinstance(error, told.ActorDiedError):
        return _death_of_actor(said, shape)
    if isinstance(error, told.ObjectLostError):
        return Lost(reason=f"the cluster lost an object: {said}")
    return Lost(reason=said)


def _death_of_actor(said: str, shape: Shape) -> Outcome:
    """Ray has one class for all deaths of an actor. That its memory monitor did it, it says in the text only."""
    if "ray memory monitor" in said.lower() or "memory pressure" in said.lower():
        return OutOfMemory(limit_mib=shape.memory_mib)
    if "node" in said.lower() and ("died" in said.lower() or "terminated" in said.lower()):
        return Lost(reason=f"the worker or its node was lost: {said}")
    return Lost(reason=f"the worker was lost: {said}")


def _told(error: BaseException) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(text.split())[:_LONGEST] or type(error).__name__
