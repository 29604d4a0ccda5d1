"""How it stands with a run."""

from __future__ import annotations

from typing import Literal, get_args

Status = Literal["RUNNING", "PAUSED", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]

STATUSES: tuple[str, ...] = get_args(Status)
OPEN = ("RUNNING", "PAUSED")
"""It has not ended: an engine drives it, or will."""
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
"""Only a redrive opens it again."""
