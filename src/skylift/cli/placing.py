"""`--on` and `--keep-on-failure`: where a run's tasks go, as attributes of the run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skylift.errors import SetupError
from skylift.units import parse_duration_ms

_ACTIVITY = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/]{1,80}""")
"""What the protocol lets an activity be called."""

if TYPE_CHECKING:
    from skylift.runtime import Runtime


class PlacementInvalid(SetupError):
    """A place for tasks that there is not."""

    code = "PLACEMENT"


def placement(places: Sequence[str]) -> dict[str, str]:
    """`container` for all tasks, `train=ray` for one. Raises PlacementInvalid."""
    attributes: dict[str, str] = {}
    for place in places:
        task, named, backend = place.rpartition("=")
        key = f"on.{task}" if named else "on"
        _check(backend, place)
        if named and not task:
            raise PlacementInvalid(f"--on {place!r} names no task", hint="write --on TASK=BACKEND, or --on BACKEND")
        if attributes.get(key, backend) != backend:
            raise PlacementInvalid(f"--on names two backends for {task or 'all tasks'}: {attributes[key]}, {backend}")
        attributes[key] = backend
    return attributes


def _check(backend: str, place: str) -> None:
    from skylift.wiring import backend_names

    kind, named, activity = backend.partition(":")
    if kind == "activity" and named:
        _check_activity(activity, place)
        return
    names = [*backend_names(), "activity:NAME"]
    if backend in names[:-1]:
        return
    near = difflib.get_close_matches(backend, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
    raise PlacementInvalid(f"--on {place!r}: there is no backend {backend!r}", hint=hint)


def _check_activity(activity: str, place: str) -> None:
    name = activity.rpartition(":activity:")[2] if activity.startswith("arn:") else activity
    if not _ACTIVITY.fullmatch(name):
        raise PlacementInvalid(
            f"--on {place!r}: {activity!r} is no name of an activity",
            hint="write --on activity:gpu-box, or the activity's ARN after `activity:`",
        )


def keeping(time: str | None) -> dict[str, str]:
    """Raises InvalidAmount."""
    from skylift.engine.calls import KEEP_ATTRIBUTE

    return {} if time is None else {KEEP_ATTRIBUTE: str(parse_duration_ms(time, "--keep-on-failure"))}


def set_speed(runtime: Runtime, speed: str | None) -> None:
    """Raises SpeedInvalid, also where the engine is not ours."""
    from skylift.engine.pace import SpeedInvalid, parse_speed

    if speed is None:
        return
    parse_speed(speed)
    if runtime.config.url is not None:
        raise SpeedInvalid(
            f"--speed {speed}: the time of the server at {runtime.config.url} is the real one",
            hint="leave out --server and SKYLIFT_URL to play the run here",
        )
    runtime.speed = speed
