"""What is handed to the runtime to start a run: from a pipeline, or from a bare States Language document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from skylift.runtime import Submission

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore
    from skylift.sdk.pipeline import Pipeline


def pipeline_submission(pipeline: Pipeline[..., Any], blobs: BlobStore) -> Submission:
    """Compile a pipeline and store its code as a bundle. Raises CompileError."""
    from skylift.ports.tasks import TaskTable
    from skylift.sdk.bundling import make_bundle

    compiled = pipeline.compile()
    bundle = make_bundle(pipeline, blobs)
    return Submission(
        pipeline=compiled.name,
        definition=msgspec.json.encode(compiled.definition),
        table=TaskTable(bundle=bundle, tasks=compiled.all_tasks()),
        machines={name: msgspec.json.encode(part.definition) for name, part in compiled.pipelines.items()},
    )


def document_submission(name: str, document: bytes) -> Submission:
    """A States Language document as it is; `[functions]` of the settings says what its Lambda functions are."""
    return Submission(pipeline=name, definition=document)
