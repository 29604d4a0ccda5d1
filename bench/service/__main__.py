"""`python -m bench.service`: measure the server beside its peer; write `bench/SERVICE.md` and `bench/service.json`.

python -m bench.service                          everything
python -m bench.service --quick                  a second each; printed, not written
python -m bench.service --server moto            only this one and Skylift on SQLite; printed, not written
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.environments import NotInstalled
from bench.machine import facts
from bench.service.definitions import Definition, chain, loop, wide
from bench.service.measures import Figures, closed_loop, open_executions
from bench.service.report import as_markdown
from bench.service.servers import NAMES, running

HERE = Path(__file__).resolve().parents[1]
ROUNDS = 3
SECONDS = 3.0
OPEN = 10_000
PLAN: tuple[tuple[Definition, tuple[int, ...]], ...] = (
    (chain(3), (1, 16, 64)),
    (chain(100), (16,)),
    (loop(100), (16,)),
    (wide(1_000), (4,)),
)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    names = [name for name in NAMES if not options.server or name in (*options.server, "skylift-sqlite")]
    rounds, seconds = (1, 1.0) if options.quick else (ROUNDS, SECONDS)
    results = {"machine": facts(), "date": time.strftime("%Y-%m-%d"), "seconds": seconds, "rounds": rounds}
    measured: dict[str, list[Figures]] = {name: [] for name in names}
    problems: dict[str, str] = {}
    memory: dict[str, float] = {}
    for number in range(rounds):
        for name in names:
            _round(name, seconds, measured[name], problems)
            if number == 0 and name.startswith("skylift") and not options.quick:
                memory[name] = _memory(name)
    results |= {
        "open executions": OPEN,
        "memory_mib": memory,
        "problems": problems,
        "figures": {name: [asdict(figures) for figures in found] for name, found in measured.items()},
    }
    text = as_markdown(results)
    if options.quick or options.server:
        sys.stdout.write(text)
        return 0
    (HERE / "service.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "SERVICE.md").write_text(text)
    return 0


def _round(name: str, seconds: float, measured: list[Figures], problems: dict[str, str]) -> None:
    try:
        with running(name) as server:
            for definition, concurrencies in PLAN:
                for concurrency in concurrencies:
                    asyncio.run(closed_loop(server, definition, concurrency, min(1.0, seconds)))  # warm
                    figures = asyncio.run(closed_loop(server, definition, concurrency, seconds))
                    measured.append(figures)
                    _say(
                        f"{name}: {definition.name}, {concurrency} clients: p50 {figures.p50_ms:.2f} ms, "
                        f"{figures.executions_per_s:.0f} executions/s, {figures.transitions_per_s:.0f} transitions/s"
                    )
    except NotInstalled as problem:
        problems[name] = str(problem)
        _say(f"{name}: {problem}")


def _memory(name: str) -> float:
    try:
        with running(name) as server:
            mib = asyncio.run(open_executions(server, OPEN))
    except NotInstalled:
        return 0.0
    _say(f"{name}: {OPEN} open executions: {mib:.0f} MiB")
    return mib


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.service", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of a second each; printed, not written")
    parser.add_argument("--server", action="append", default=[], choices=NAMES, help="beside Skylift on SQLite")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
