"""`--on` and `--keep-on-failure`: where a run's tasks go, as attributes of the run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from skylift.errors import SetupError
from skylift.units import parse_duration_ms

_ACTIVITY = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/]{1,80}""")
"""What the protocol lets an activity be called."""

if TYPE_CHECKING:
    from skylift.config import Config
    from skylift.ports.tasks import TaskSpec
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
        _check(backend, repr(place))
        if named and not task:
            raise PlacementInvalid(f"--on {place!r} names no task", hint="write --on TASK=BACKEND, or --on BACKEND")
        if attributes.get(key, backend) != backend:
            raise PlacementInvalid(f"--on names two backends for {task or 'all tasks'}: {attributes[key]}, {backend}")
        attributes[key] = backend
    return attributes


def check_tasks(attributes: Mapping[str, str], tasks: Mapping[str, TaskSpec], config: Config) -> None:
    """Whether `--on` names tasks of this run, and [placement] and the tasks themselves name places that there are.
    Raises PlacementInvalid."""
    for key in attributes:
        if key.startswith("on.") and tasks and key[3:] not in {*tasks, *config.functions, *config.jobs}:
            _no_task(key[3:], f"--on {key[3:]}={attributes[key]}", tasks)
    if config.url is not None:  # a server has places and settings of its own
        return
    for name, backend in config.placement.items():
        _check(backend, f"{name} = {backend!r}", where=f"{config.source}: [placement]")
    for spec in tasks.values():
        if spec.on is not None:
            _check(spec.on, f"on={spec.on!r}", where=f"task {spec.name}:")


def _no_task(name: str, place: str, tasks: Collection[str]) -> None:
    near = difflib.get_close_matches(name, tasks, n=1)
    hint = f"did you mean {near[0]}?" if near else f"its tasks are: {', '.join(sorted(tasks))}"
    raise PlacementInvalid(f"{place}: the run has no task {name!r}", hint=hint)


def _check(backend: str, place: str, where: str = "--on") -> None:
    from skylift.wiring import backend_names

    kind, named, activity = backend.partition(":")
    if kind == "activity" and named:
        _check_activity(activity, f"{where} {place}")
        return
    names = [*backend_names(), "activity:NAME"]
    if backend in names[:-1]:
        return
    near = difflib.get_close_matches(backend, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
    raise PlacementInvalid(f"{where} {place}: there is no backend {backend!r}", hint=hint)


def _check_activity(activity: str, place: str) -> None:
    name = activity.rpartition(":activity:")[2] if activity.startswith("arn:") else activity
    if not _ACTIVITY.fullmatch(name):
        raise PlacementInvalid(
            f"{place}: {activity!r} is no name of an activity",
            hint="write activity:gpu-box, or the activity's ARN after `activity:`",
        )


def keeping(time: str | None) -> dict[str, str]:
    """Raises InvalidAmount."""
    from skylift.engine.calls import KEEP_ATTRIBUTE

    return {} if time is None else {KEEP_ATTRIBUTE: str(parse_duration_ms(time, "--keep-on-failure"))}


def kept_nowhere(attributes: Mapping[str, str], tasks: Mapping[str, TaskSpec], config: Config) -> str | None:
    """What to tell somebody who asked for --keep-on-failure of a run none of whose places can be kept."""
    from skylift.engine.calls import KEEP_ATTRIBUTE
    from skylift.engine.placing import placed
    from skylift.wiring import keeping_backends

    if KEEP_ATTRIBUTE not in attributes or not tasks or config.url is not None:
        return None
    used = {placed(spec, attributes, config.placement) or "process" for spec in tasks.values()}
    able = keeping_backends()
    if used & set(able):
        return None
    return f"--keep-on-failure: {', '.join(sorted(used))} cannot keep places; run steps with --on {' or '.join(able)}"


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
