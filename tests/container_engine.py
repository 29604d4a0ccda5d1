"""An engine in a process of its own that runs one attempt in a container, to be killed: `FOLDER LEASE_MS MS`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from container_parts import container_backend

from skylift.testing.backend_harness import Outcomes, call


def main(folder: Path, lease_ms: int, ms: int) -> None:
    backend = container_backend(Outcomes(), folder, lease_ms=lease_ms)
    one = call("append_after", path=str(folder / "folder" / "mark"), text="x", ms=ms)
    backend.submit([one])
    while backend.poll([one.token]).get(one.token) != "running":
        time.sleep(0.01)
    print(one.token, flush=True)  # noqa: T201
    time.sleep(600)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
