"""`skylift.checkpoint`: sessions, and the plain form for any state."""

from __future__ import annotations

import os
from typing import Any

from skylift.compute.worker import current
from skylift.compute.worker.checkpoint.keeper import MISSING, Keeper, Place, cadence_of
from skylift.compute.worker.checkpoint.session import Session

_outside: dict[str | None, Keeper] = {}


def session(
    *,
    key: str | None = None,
    every: str | float | None = None,
    steps: int | None = None,
    keep: int = 2,
    folder: str | os.PathLike[str] | None = None,
    **things: Any,
) -> Session:
    """Keep `things` while a `with` block runs, and go on from the last checkpoint of them where there is one.

        with checkpoint.session(model=model, optimizer=optimizer) as saved:
            for epoch in saved.steps(range(100)):
                for inputs, targets in saved.steps(loader):
                    ...

    things: what has `state_dict()` and `load_state_dict()` (models, optimizers, schedulers), dicts, lists, arrays,
        tensors, generators of random numbers, samplers and loaders that have one, paths of files and folders; or None.
        The global generators of Python, NumPy and PyTorch are kept anyway.
    key: a name that steps of a run share, instead of the step's own place
    every: time between two saves (`"5m"`, or seconds); the best one for what a save costs here if neither it nor
        `steps` is given, see `skylift.compute.worker.checkpoint.cadence`
    steps: save after so many steps instead
    keep: so many versions are kept
    folder: a path or fsspec URL, instead of the place that the run has for checkpoints
    """
    return Session(Keeper(Place(key, folder), cadence_of(every, steps), keep), things)


def load(
    default: Any = None,
    *,
    key: str | None = None,
    every: str | float | None = None,
    steps: int | None = None,
    keep: int = 2,
    folder: str | os.PathLike[str] | None = None,
) -> Any:
    """The state that was saved last, whole; `default` where there is none. The rest as for `session`, for all that
    follows with this key."""
    keeper = _remember(key, Keeper(Place(key, folder), cadence_of(every, steps), keep))
    state = keeper.load()
    return default if state is MISSING else state


def save(state: Any, *, key: str | None = None) -> None:
    """Save any state without code in it: numbers, text, lists, dicts, dataclasses, arrays, tensors, frames, files
    (`skylift.File`, `skylift.Directory`). Returns when it is copied; the upload goes on beside the work. What goes
    wrong in it is raised by the next call, or logged at the end.

    Where the machine is about to be taken away it waits for the upload, and then leaves (raises `Preempted`)."""
    keeper = _keeper(key)
    keeper.save(state)
    if keeper.warned and not keeper.place.follows:
        keeper.leave()


def due(*, key: str | None = None) -> bool:
    """Whether it is time to save: the cadence says so, or the machine is about to be taken away. Call it once a step.
    Cheap."""
    current.heartbeat()
    keeper = _keeper(key)
    keeper.cadence.step()
    return keeper.due()


def clear(*, key: str | None = None) -> None:
    """Forget what was saved."""
    _keeper(key).clear()


def _keeper(key: str | None) -> Keeper:
    keeper = _keepers().get(key) if key is None or isinstance(key, str) else None
    return keeper or _remember(key, Keeper(Place(key, None), cadence_of(None, None), 2))


def _remember(key: str | None, keeper: Keeper) -> Keeper:
    before = _keepers().get(key)
    if before is not None:
        before.wait()
    attempt = current.attempt()
    if attempt is not None:
        attempt.standing.endings.append(keeper.settle)
    _keepers()[key] = keeper
    return keeper


def _keepers() -> dict[str | None, Keeper]:
    attempt = current.attempt()
    return _outside if attempt is None else attempt.standing.keepers
