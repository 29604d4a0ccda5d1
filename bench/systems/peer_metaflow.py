"""Metaflow: a process for each step. What is measured are whole runs, start to end, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from measuring import tell

FLOWS = str(Path(__file__).with_name("metaflow_flows.py"))


def run(flow: str, n: int) -> float:
    env = {**os.environ, "BENCH_FLOW": flow, "BENCH_N": str(n)}
    started = time.perf_counter()
    command = [sys.executable, FLOWS, "--quiet", "run", "--max-workers", "2"]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    return time.perf_counter() - started


if __name__ == "__main__":
    if sys.argv[1:] == ["cold"]:
        run("first", 1)
        raise SystemExit
    for text in sys.argv[1:]:
        work, _, size = text.partition("=")
        tell(work, int(size), run({"map": "fan"}.get(work, work), int(size)))
