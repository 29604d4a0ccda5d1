"""One life of an engine in the chaos campaign: starts the run, or goes on with it, and waits for its end.

    python chaos_engine.py PROJECT BACKEND COUNT SECONDS

It is killed at random times; the last life prints how the run ended.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from chaos_pipeline import spread

from skylift.config import load_config
from skylift.runtime import Runtime
from skylift.sdk.parameters import bind_input
from skylift.sdk.submission import pipeline_submission

NAME = "chaos"


def main(project: Path, backend: str, count: int, seconds: float) -> None:
    with Runtime(load_config(project)) as runtime:
        submission = pipeline_submission(spread, runtime.blobs)
        value = bind_input(spread, {"count": count, "seconds": seconds}, runtime.codec)
        record = runtime.submit(submission, value, name=NAME, attributes={"on": backend, "on.added": "process"})
        print("driving", flush=True)
        record = runtime.wait(record.run_id)
        print("ended", msgspec.json.encode([record.status, record.output, record.cause]).decode(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
