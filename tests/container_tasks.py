"""Functions that the tests of containers run in them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def look() -> dict[str, Any]:
    """What an attempt may do in its container."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "capabilities": int(status["CapEff"], 16),
        "no_new_privileges": status["NoNewPrivs"].strip() == "1",
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "writes": {folder: _can_write(folder) for folder in ("/", "/usr", "/tmp")},
        "processes": len([path for path in Path("/proc").iterdir() if path.name.isdigit()]),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _can_write(folder: str) -> bool:
    try:
        Path(folder, "x").touch()
    except OSError:
        return False
    return True


def finds(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def fork_many(count: int) -> int:
    """How many sleeping children there can be."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            children.append(subprocess.Popen(["sleep", "30"]))
    except OSError:
        return len(children)
    finally:
        for child in children:
            child.kill()
    return len(children)


def makes_up(outcome: bool) -> None:
    """Writes what only its holder and its supervisor should: a lease, a place that is kept, and its own end."""
    from skylift.compute.container.place import ATTEMPT
    from skylift.compute.worker.solo_files import KEPT, LEASE, write_moment, write_outcome
    from skylift.ports.compute import Succeeded

    for name in (LEASE, KEPT):
        write_moment(ATTEMPT, name, 2**52)
    if outcome:
        write_outcome(ATTEMPT, Succeeded(output="made up"))
    time.sleep(600)  # goes on although it has said that it ended: its container has to be killed


def child_uses(mib: int) -> str:
    """A child takes the memory, and this survives to tell what came of it."""
    done = subprocess.run([sys.executable, "-c", f"x = b'x' * ({mib} * 2**20)"], check=False)
    if done.returncode:
        raise RuntimeError(f"the child ended with {done.returncode}")
    return "it fits"


def speak_slowly(texts: list[str], ms: float) -> None:
    for text in texts:
        print(text)  # noqa: T201
        time.sleep(ms / 1000)


def use_secret() -> int:
    value = os.environ["CONTAINER_SECRET"]
    print(f"the secret is {value}")  # noqa: T201
    time.sleep(1.0)
    return len(value)
