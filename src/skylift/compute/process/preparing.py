"""Makes the environments that calls wait for: one thread each, beside the backend's own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from skylift.errors import SkyliftError
from skylift.ports.compute import Failed

if TYPE_CHECKING:
    from skylift.compute.worker.wire import WorkerConfig

_SURE_S = 60.0


class Preparing:
    """`made(digest, python)` and `failed(digest, reason)` are called on the thread that made it, or could not."""

    def __init__(
        self,
        config: WorkerConfig,
        folder: Path,
        made: Callable[[str, str], None],
        failed: Callable[[str, SkyliftError], None],
        withheld: Collection[str] = (),
    ) -> None:
        self._config = config
        self._withheld = withheld
        self._folder = folder
        self._made, self._failed = made, failed
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._sure: dict[str, float] = {}

    def begin(self, digest: str) -> None:
        """Make it unless somebody is at it."""
        with self._lock:
            if digest in self._begun:
                return
            self._begun.add(digest)
        threading.Thread(target=self._make, args=(digest,), name="skylift-environment", daemon=True).start()

    def is_there(self, digest: str, python: str) -> bool:
        """Whether what was made before can still be used; looked at now and then, for garbage collection may have
        taken it."""
        now = time.monotonic()
        if now - self._sure.get(digest, -_SURE_S) < _SURE_S:
            return True
        if not Path(python).exists():
            return False
        self._sure[digest] = now
        Path(python).parents[1].joinpath("skylift-environment.json").touch()
        return True

    def _make(self, digest: str) -> None:
        from skylift.compute.environments import environment_python
        from skylift.compute.worker.main import open_blobs

        try:
            python = environment_python(digest, open_blobs(self._config), self._folder, withheld=self._withheld)
        except SkyliftError as problem:
            self._end(digest)
            self._failed(digest, problem)
        except Exception as problem:  # noqa: BLE001 - a full disk, a missing folder: the calls that wait must be told
            self._end(digest)
            self._failed(digest, SkyliftError(f"{type(problem).__name__}: {problem}"))
        else:
            self._end(digest)
            self._made(digest, str(python))

    def _end(self, digest: str) -> None:
        with self._lock:
            self._begun.discard(digest)


def unusable(label: str, problem: SkyliftError) -> Failed:
    """The outcome of a call whose environment cannot be made."""
    hint = f" ({problem.hint})" if problem.hint else ""
    message = f"the environment of {label} cannot be made: {problem.message}{hint}"
    cause = {"errorType": "Skylift.Environment", "errorMessage": message, "stackTrace": []}
    return Failed(
        error="Skylift.Environment", classes=("SetupError", "SkyliftError"), cause=json.dumps(cause, ensure_ascii=False)
    )
