"""Skylift on Ray beside bare ray.remote: start-up, overhead of a call, a fan-out of 2,000 tasks.

python -m bench.ray [--rounds N]        Linux; in a network of its own, for Ray listens beyond loopback

Both sides stay open and take turns, so that a busy minute hits both; each has a cluster of two processors. The result
of every fan-out is checked. Ours is measured through its public face, with the journal of default durability.
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
from pathlib import Path
from typing import Any

TASKS = 2_000
CALLS = 30
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", choices=["ours", "bare"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        serve(Ours() if arguments.side == "ours" else Bare())
    else:
        report(arguments.rounds)


def report(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="skylift-bench-", dir="/tmp") as folder:
        sides = {name: Side(name, Path(folder)) for name in ("bare", "ours")}
        for side in sides.values():
            side.ask("warm")
        for _ in range(rounds):
            for side in sides.values():
                side.ask("fan")
                side.ask("call")
        for side in sides.values():
            side.close()
    for work, unit in (("start", "s"), ("fan", "tasks/s"), ("call", "ms")):
        bare, ours = (sides[name].figures[work] for name in ("bare", "ours"))
        print(f"{work:6} bare {_shown(bare)}   ours {_shown(ours)} {unit}   ours/bare {_ratio(ours, bare):.2f}")  # noqa: T201


def _shown(samples: list[float]) -> str:
    return f"{statistics.median(samples):8.1f} ({min(samples):.1f}-{max(samples):.1f})"


def _ratio(ours: list[float], bare: list[float]) -> float:
    return statistics.median(ours) / statistics.median(bare)


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
        self.figures: dict[str, list[float]] = {}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=HERE.parent
        )
        self._take("start")

    def ask(self, work: str) -> None:
        assert self._process.stdin is not None
        print(work, file=self._process.stdin, flush=True)
        self._take(work)

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
    main()
