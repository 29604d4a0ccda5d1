"""What it means when a container could not be started, or ended without a word."""

from __future__ import annotations

import json

from skylift.compute.attempts import AttemptFolder
from skylift.compute.container.engine import ImageMissing
from skylift.compute.container.images import ImageUnsuitable
from skylift.compute.environments import EnvironmentFailed
from skylift.compute.worker import failure
from skylift.compute.worker.secrets import NO_MASK
from skylift.errors import SkyliftError
from skylift.ports.compute import Failed, Lost


def silent_end(folder: AttemptFolder) -> Lost:
    """Its supervisor has gone without a word."""
    lines = folder.last_words().splitlines()
    said = f": {lines[-1]}" if lines else ""
    what = "was killed from outside" if folder.started else "ended before its supervisor came up"
    return Lost(reason=f"its container {what}{said}", preempted=folder.warned)


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
