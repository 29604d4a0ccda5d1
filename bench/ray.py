"""`python -m bench.ray`: measure Skylift on Ray beside bare `ray.remote`; write `bench/RAY.md` and `bench/ray.json`.

python -m bench.ray                  3 sittings of 3 turns
python -m bench.ray --quick          one turn; printed, not written

Linux, in a network of its own, for Ray listens beyond loopback. In a sitting both sides are open, each with a cluster
of two processors, and take turns, so that a busy minute hits both. The result of every fan-out is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.machine import facts, load
from bench.ray_report import as_markdown

TASKS = 2_000
CALLS = 30
SITTINGS = 3
TURNS = 3
HERE = Path(__file__).parent
NAMES = ("bare", "ours")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ray", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one turn; printed, not written")
    parser.add_argument("--side", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side is not None:
        serve(Ours() if options.side == "ours" else Bare())
        return 0
    if options.quick:
        measure(1, 1, keep=lambda results: sys.stdout.write(as_markdown(results)))
    else:
        measure(SITTINGS, TURNS, keep=_write)
    return 0


def measure(sittings: int, turns: int, keep: Callable[[dict[str, Any]], object]) -> None:
    """What was measured is kept after each sitting, so that a run that is broken off is not lost."""
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in NAMES}
    results: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": facts(), "figures": figures}
    results |= {"turns": turns, "tasks": TASKS, "calls": CALLS, "ray": version("ray")}
    for sitting in range(1, sittings + 1):
        for name, found in _sit(turns).items():
            for work, samples in found.items():
                figures[name].setdefault(work, []).extend(samples)
        results["sittings"] = sitting
        results["machine"]["load at the end"] = load()
        keep(results)


def _write(results: dict[str, Any]) -> None:
    (HERE / "RAY.md").write_text(as_markdown(results))
    (HERE / "ray.json").write_text(json.dumps(results, indent=1) + "\n")


def _sit(turns: int) -> dict[str, dict[str, list[float]]]:
    with tempfile.TemporaryDirectory(prefix="skylift-bench-", dir="/tmp") as folder:
        sides = {name: Side(name, Path(folder)) for name in NAMES}
        for side in sides.values():
            side.ask("warm")
        for _ in range(turns):
            for side in sides.values():
                side.ask("fan")
                side.ask("call")
        for side in sides.values():
            side.close()
        return {name: side.figures for name, side in sides.items()}


class Side:
    """A process that does what it is asked and answers with a figure."""

    def __init__(self, name: str, folder: Path) -> None:
        environment = {**os.environ, "SKYLIFT_HOME": str(folder / "home"), "RAY_AUTH_MODE": "token"}
        environment |= {
            "RAY_AUTH_TOKEN": os.urandom(32).hex(),
            "RAY_TMPDIR": str(folder),
            "PYTHONPATH": str(HERE.parent),
        }
        command = [sys.executable, str(HERE / "loopback.py"), sys.executable, "-m", "bench.ray", "--side", name]
        self._name = name
        self.figures: dict[str, list[float]] = {}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=HERE.parent
        )
        self._take("start")

    def ask(self, work: str) -> None:
        assert self._process.stdin is not None
        print(work, file=self._process.stdin, flush=True)
        self._take(work)
        sys.stderr.write(f"{self._name}: {work} {self.figures[work][-1]:.1f}\n")

    def close(self) -> None:
        self._process.communicate()

    def _take(self, work: str) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a side has ended before its time; what it said stands above")
        self.figures.setdefault(work, []).append(json.loads(line))


def serve(side: Any) -> None:
    """Standard output is the measurer's; what else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    begun = time.perf_counter()
    side.open()
    print(time.perf_counter() - begun, file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(getattr(side, line.strip())()), file=answers, flush=True)
    side.close()


class Work:
    def open(self) -> None:
        """Until the first result is there."""
        assert self.one(1) == 2

    def warm(self) -> float:
        self.many(200)
        return 0.0

    def fan(self) -> float:
        begun = time.perf_counter()
        assert self.many(TASKS) == TASKS * (TASKS + 1) // 2
        return TASKS / (time.perf_counter() - begun)

    def call(self) -> float:
        samples = []
        for x in range(CALLS):
            begun = time.perf_counter()
            assert self.one(x) == x + 1
            samples.append((time.perf_counter() - begun) * 1000)
        return statistics.median(samples)

    def one(self, x: int) -> int:
        raise NotImplementedError

    def many(self, n: int) -> int:
        raise NotImplementedError

    def close(self) -> None:
        return None


class Ours(Work):
    def __init__(self) -> None:
        sys.path.insert(0, str(HERE / "systems"))
        import ours_ray_flow as flow

        self._flow = flow

    def one(self, x: int) -> int:
        return int(self._flow.one.run(x=x))

    def many(self, n: int) -> int:
        return int(self._flow.fan.run(n=n))


class Bare(Work):
    def open(self) -> None:
        import ray

        self._ray = ray
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        self._increment = ray.remote(lambda x: x + 1)
        self._total = ray.remote(lambda *numbers: sum(numbers))
        super().open()

    def one(self, x: int) -> int:
        return int(self._ray.get(self._increment.remote(x)))

    def many(self, n: int) -> int:
        return int(self._ray.get(self._total.remote(*[self._increment.remote(x) for x in range(n)])))

    def close(self) -> None:
        self._ray.shutdown()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
