"""What it means when a container could not be started, or ended without a word."""

from __future__ import annotations

import json

from skylift.compute.attempts import AttemptFolder
from skylift.compute.container.engine import OOM, ContainerFailed, ImageMissing
from skylift.compute.container.images import ImageUnsuitable
from skylift.compute.environments import EnvironmentFailed
from skylift.compute.worker import failure
from skylift.compute.worker.secrets import NO_MASK
from skylift.errors import SkyliftError
from skylift.ports.compute import Failed, Lost, OutOfMemory, Requirements

_LEAST_MIB = 8
"""What the start of a container itself takes with runc, before anything of ours runs in it: 2.5 to 5 MiB were seen."""


def silent_end(folder: AttemptFolder) -> Lost | OutOfMemory:
    """Its supervisor has gone without a word: with all else in its container, if the memory limit was met by that."""
    if (folder.path / OOM).exists():
        order = folder.order
        return OutOfMemory(limit_mib=None if order is None else order.limit_mib)
    lines = folder.last_words().splitlines()
    said = f": {lines[-1]}" if lines else ""
    what = "was killed from outside" if folder.started else "ended before its supervisor came up"
    return Lost(reason=f"its container {what}{said}", preempted=folder.warned)


def not_started(problem: ContainerFailed, needs: Requirements) -> Lost | OutOfMemory:
    """The engine could not start it: with hardly any memory, not for the lack of anything else."""
    if needs.memory_mib is not None and needs.memory_mib < _LEAST_MIB:
        return OutOfMemory(limit_mib=needs.memory_mib)
    return Lost(reason=words(problem))


def failed(problem: SkyliftError) -> Failed:
    """What the person who set the task up has to mend."""
    if isinstance(problem, ImageUnsuitable | ImageMissing):
        return _refused("Skylift.Image", problem)
    if isinstance(problem, EnvironmentFailed):
        return _refused("Skylift.Environment", problem)
    return failure.failed(problem, NO_MASK)


def _refused(name: str, problem: SkyliftError) -> Failed:
    cause = {"errorType": name, "errorMessage": words(problem), "stackTrace": []}
    return Failed(error=name, classes=("SetupError", "SkyliftError"), cause=json.dumps(cause, ensure_ascii=False))


def words(problem: SkyliftError) -> str:
    return f"{problem} ({problem.hint})" if problem.hint else str(problem)
