"""`--on` and `--keep-on-failure`: where a run's tasks go, as attributes of the run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from skylift.errors import SetupError
from skylift.units import parse_duration_ms


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

    names = backend_names()
    if backend in names:
        return
    near = difflib.get_close_matches(backend, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
    raise PlacementInvalid(f"--on {place!r}: there is no backend {backend!r}", hint=hint)


def keeping(time: str | None) -> dict[str, str]:
    """Raises InvalidAmount."""
    from skylift.engine.calls import KEEP_ATTRIBUTE

    return {} if time is None else {KEEP_ATTRIBUTE: str(parse_duration_ms(time, "--keep-on-failure"))}
