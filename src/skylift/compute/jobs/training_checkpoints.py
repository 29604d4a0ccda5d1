"""Checkpoints of a training job: there from its start, and stored while it runs."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from skylift.compute.jobs.training_folders import TrainingFolders, fetch_all
from skylift.errors import SetupError

SYNC_S = 5.0
"""How often new checkpoints are stored while the job runs."""
_TROUBLE = (OSError, ValueError, ImportError)


class CheckpointSync:
    """While the job runs: what stands at the S3 URI is in the folder from the start on, and new files go there. What
    cannot be stored is said in the log and tried again: it ends no training."""

    def __init__(self, folders: TrainingFolders, config: dict[str, Any]) -> None:
        """Raises SetupError for a folder that would not be the job's own."""
        self._folder = _folder_of(folders, config.get("LocalPath"))
        self._url: str | None = config.get("S3Uri")
        self._stored: dict[str, tuple[int, int]] = {}
        self._said = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="skylift-checkpoints", daemon=True)

    def __enter__(self) -> CheckpointSync:
        if self._url is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                fetch_all(self._url, self._folder, missing_ok=True)
            except _TROUBLE as problem:
                raise SetupError(f"CheckpointConfig.S3Uri: {self._url} cannot be read: {problem}") from problem
            self._stored = self._look()
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        """The last files are stored also when the attempt is stopped."""
        if self._url is None:
            return
        self._over.set()
        self._thread.join()
        self.store_new()

    def _watch(self) -> None:
        while not self._over.wait(SYNC_S):
            self.store_new()

    def store_new(self) -> None:
        """Each file that has come or changed since it was stored last. Programs take old checkpoints away: what is gone
        meanwhile is passed over."""
        for name, stamp in self._look().items():
            if self._stored.get(name) == stamp:
                continue
            try:
                self._store(name)
                self._stored[name] = stamp
            except _TROUBLE as problem:
                if (self._folder / name).exists():
                    self._say(f"checkpoint {name} could not be stored at {self._url}: {problem}")

    def _store(self, name: str) -> None:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(f"{str(self._url).rstrip('/')}/{name}")
        filesystem.makedirs(filesystem._parent(path), exist_ok=True)
        filesystem.put_file(str(self._folder / name), path)

    def _say(self, what: str) -> None:
        """Once, however often it is tried."""
        if what != self._said:
            self._said = what
            print(what, file=sys.stderr, flush=True)  # noqa: T201 - the job's log

    def _look(self) -> dict[str, tuple[int, int]]:
        found = {}
        for file in self._folder.rglob("*"):
            try:
                if file.is_file():
                    stat = file.stat()
                    found[str(file.relative_to(self._folder))] = (stat.st_mtime_ns, stat.st_size)
            except FileNotFoundError:
                continue
        return found


def _folder_of(folders: TrainingFolders, local: str | None) -> Path:
    """A program of this machine finds its checkpoints in its own folder, wherever the definition says they are."""
    given = folders.checkpoints if local is None else Path(local)
    if ".." not in given.parts and given.is_relative_to(folders.root):
        return given
    if folders.in_container:
        raise SetupError(
            f"CheckpointConfig.LocalPath is {local!r}: checkpoints lie below {folders.root} here",
            hint=f"leave LocalPath out, for {folders.checkpoints}, or name a folder below {folders.root}",
        )
    return folders.checkpoints
