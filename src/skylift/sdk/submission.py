"""What is handed to the runtime to start a run: from a pipeline, or from a bare States Language document."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from skylift.runtime import Submission

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore
    from skylift.ports.tasks import TaskSpec
    from skylift.sdk.pipeline import Pipeline

KEPT_S = 60.0
"""Then the code is stored again, which renews it for artifact collection."""


def pipeline_submission(pipeline: Pipeline[..., Any], blobs: BlobStore, home: Path | None = None) -> Submission:
    """Compile a pipeline and store its code as a bundle. Raises CompileError, or EnvironmentInvalid.

    In `home` exact versions of its tasks' packages are kept. A submission is kept for the next start while the files
    of the bundle stay as they are; code without a file is made anew each time.
    """
    kept = _kept.get(pipeline)
    if kept is None or not kept.holds(blobs):
        environments = None if home is None else home / "environments"
        kept = _kept[pipeline] = _Kept(pipeline, blobs, environments)
    return kept.submission


class _Kept:
    """A submission, with what it was made from."""

    def __init__(self, pipeline: Pipeline[..., Any], blobs: BlobStore, environments: Path | None) -> None:
        from skylift.sdk.bundling import bundle_files

        files = {} if pipeline.module == "__main__" else bundle_files(pipeline)
        named = _named_files(pipeline.compile().all_tasks()) if files else []
        self._stamps = {path: _stamp(path) for path in (*files.values(), *named)}
        self._url = blobs.url
        self._until = time.monotonic() + KEPT_S
        self.submission = _submission(pipeline, blobs, environments)

    def holds(self, blobs: BlobStore) -> bool:
        return (
            bool(self._stamps)
            and blobs.url == self._url
            and time.monotonic() < self._until
            and all(_stamp(path) == stamp for path, stamp in self._stamps.items())
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _submission(pipeline: Pipeline[..., Any], blobs: BlobStore, environments: Path | None) -> Submission:
    from skylift.ports.tasks import TaskTable
    from skylift.sdk.bundling import make_bundle

    compiled = pipeline.compile()
    tasks = compiled.all_tasks()
    if _any_environment(tasks):
        from skylift.sdk.environments import documents

        tasks = documents(tasks, blobs, environments)
    return Submission(
        pipeline=compiled.name,
        definition=msgspec.json.encode(compiled.definition),
        table=TaskTable(bundle=make_bundle(pipeline, blobs), tasks=tasks),
        machines={name: msgspec.json.encode(part.definition) for name, part in compiled.pipelines.items()},
        budget=pipeline.budget,
    )


def _named_files(tasks: Mapping[str, TaskSpec]) -> list[Path]:
    """The files that environments of tasks are read from."""
    if not _any_environment(tasks):
        return []
    from skylift.sdk.environments import named_files

    return named_files(tasks)


def _any_environment(tasks: Mapping[str, TaskSpec]) -> bool:
    """Without one, what reads them need not be imported: a pipeline starts sooner."""
    return any(spec.requirements.environment is not None for spec in tasks.values())


_kept: WeakKeyDictionary[Pipeline[..., Any], _Kept] = WeakKeyDictionary()


def document_submission(name: str, document: bytes) -> Submission:
    """A States Language document as it is; `[functions]` of the settings says what its Lambda functions are."""
    return Submission(pipeline=name, definition=document)
