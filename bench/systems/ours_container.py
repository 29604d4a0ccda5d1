"""An attempt in a container beside the bare tool: `podman run` of the same image importing the same module, in turn.

Uses podman as it is set up on this machine, without a network. Importing: a function that adds, and `from skylift
import task`, as a step's module does.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from measuring import tell

from skylift.compute.container import rootfs
from skylift.compute.container.backend import ContainerBackend
from skylift.compute.container.engine import find_engine
from skylift.compute.container.library import NEEDS, SKYLIFT, library_mounts
from skylift.compute.container.offers import container_machine
from skylift.compute.container.place import PlaceSettings
from skylift.compute.process.machine import this_machine
from skylift.testing.backend_harness import Outcomes, call

MODULE = "skylift.testing.backend_tasks"
PAUSE_S = 0.3
"""Between two: what one leaves to be put away must not slow the next."""


def main() -> None:
    work, _, size = sys.argv[1].partition("=")
    with TemporaryDirectory(prefix="bench-container-") as folder:
        bare, ours = measure(Path(folder), int(size))
    value = {
        "container": median(ours),
        "container-bare": median(bare),
        "container-added": median(mine - theirs for mine, theirs in zip(ours, bare, strict=True)),
    }[work]
    tell(work, int(size), value * 1_000)


def measure(folder: Path, count: int) -> tuple[list[float], list[float]]:
    outcomes = Outcomes()
    settings = PlaceSettings(
        name="container", state=folder / "state", project=folder.name, bundles=str(folder / "bundles"), network="none"
    )
    engine = find_engine("podman")
    machine = container_machine(this_machine(), None)
    backend = ContainerBackend(outcomes, settings, machine=machine, engine=engine)
    try:
        attempt(backend, outcomes)  # builds the image
        command = bare_command(engine.command, folder / "state")
        bare, ours = [], []
        for _ in range(count):
            bare.append(timed_run(command))
            time.sleep(PAUSE_S)
            ours.append(attempt(backend, outcomes))
            time.sleep(PAUSE_S)
        return bare, ours
    finally:
        backend.close()


def attempt(backend: ContainerBackend, outcomes: Outcomes) -> float:
    """From giving out a call to its outcome."""
    one = call("add", a=1, b=2)
    began = time.perf_counter()
    backend.submit([one])
    outcomes.wait(one.token, timeout=120)
    return time.perf_counter() - began


def bare_command(engine: tuple[str, ...], state: Path) -> list[str]:
    tag = f"localhost/skylift-python:{sys.version_info.major}.{sys.version_info.minor}-{rootfs.digest()}"
    mounts = [word for mount in library_mounts(state) for word in ("--volume", f"{mount.source}:{mount.target}:ro")]
    variables = ["--env", f"PYTHONPATH={SKYLIFT}:{NEEDS}", "--env", "PYTHONDONTWRITEBYTECODE=1"]
    program = f"from skylift import task; from {MODULE} import add; add(1, 2)"
    options = ["--rm", "--pull", "never", "--network", "none", *mounts, *variables]
    return [*engine, "run", *options, tag, rootfs.python(), "-P", "-c", program]


def timed_run(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
