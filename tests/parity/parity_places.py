"""Where the parity suite runs its graphs: a runtime for each backend, made when first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from skylift.config import Config
from skylift.config.backends import BackendsSettings
from skylift.errors import message_of
from skylift.runtime import Runtime
from skylift.sdk.parameters import bind_input
from skylift.sdk.pipeline import Pipeline
from skylift.sdk.submission import pipeline_submission

HERE = Path(__file__).parent
PLACES = ("process", "container", "batch", "ray", "simulated")
MIXED = "mixed"
"""Each step of a graph on another backend."""
MIXED_PLACES = {"on": "process", "on.work": "container", "on.total": "batch"}
NEEDS = {"container": "podman_variables", "ray": "ray_cluster", MIXED: "podman_variables"}
"""Fixture without which there is no such backend here."""


class Ended(msgspec.Struct, frozen=True):
    """How a run ended, as a caller sees it."""

    value: Any = None
    error: str | None = None
    said: str = ""
    """Words of the error."""


def plainly(pipeline: Pipeline[..., Any], **values: Any) -> Ended:
    """As Python runs it: what must come out."""
    try:
        return Ended(value=pipeline(**values))
    except Exception as problem:  # noqa: BLE001 - the outcome
        return Ended(error=type(problem).__name__, said=str(problem))


class Place:
    """One backend with a project of its own."""

    def __init__(self, runtime: Runtime, attributes: dict[str, str]) -> None:
        self.runtime = runtime
        self.backends = {attributes.get(f"on.{task}", attributes["on"]) for task in ("work", "total")}
        """Where `work` and `total` run."""
        self._attributes = attributes

    def run(self, pipeline: Pipeline[..., Any], *, timeout_s: float = 240, **values: Any) -> tuple[Ended, str]:
        """How it ended, and the run's id."""
        runtime = self.runtime
        submission = pipeline_submission(pipeline, runtime.blobs)
        value = bind_input(pipeline, values, runtime.codec)
        record = runtime.submit(submission, value, attributes=self._attributes)
        record = runtime.wait(record.run_id, timeout_s=timeout_s)
        if record.status == "SUCCEEDED":
            return Ended(value=runtime.codec.load(record.output, pipeline.result_type)), record.run_id
        return Ended(error=record.error, said=message_of(record.cause)), record.run_id


@contextmanager
def open_place(name: str, home: Path, settings: BackendsSettings) -> Iterator[Place]:
    with Runtime(Config(project=HERE, home=home, workers=2, backends=settings)) as runtime:
        yield Place(runtime, MIXED_PLACES if name == MIXED else {"on": name})
