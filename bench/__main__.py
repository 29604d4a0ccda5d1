"""`python -m bench`: measure, and write `bench/RESULTS.md` and `bench/results.json`.

python -m bench                               everything, 5 rounds
python -m bench --only map --system ray       one work, Ray beside Skylift and the limit; printed, not written
python -m bench --quick                       one round of a tenth of the work; printed, not written
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.beside import with_tables_of_others
from bench.machine import facts, load
from bench.measuring import Bench
from bench.processes import adopt_orphans
from bench.registry import SYSTEMS, System, find_system
from bench.report import as_markdown
from bench.results import Results
from bench.works import WORKS, Work, find_work

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".work"
ROUNDS = 5


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        works = [find_work(name) for name in options.only] or list(WORKS)
        systems = _systems(options.system)
    except KeyError as problem:
        sys.stderr.write(f"bench: {problem.args[0]}\n")
        return 2
    rounds = 1 if options.quick else options.rounds
    if options.quick:
        works, systems = [_smaller(work) for work in works], [_smaller_system(system) for system in systems]
    results = Results(machine=facts(), date=time.strftime("%Y-%m-%d"), rounds=rounds, works=works, systems=systems)
    partial = options.quick or options.only or options.system
    _measure(results, rounds, keep=_nothing if partial else _write)
    if partial:
        sys.stdout.write(as_markdown(results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    names = ", ".join(work.name for work in WORKS)
    parser.add_argument("--only", action="append", default=[], metavar="WORK", help=f"one of {names}")
    parser.add_argument("--system", action="append", default=[], metavar="NAME", help="beside Skylift and the limit")
    parser.add_argument("--quick", action="store_true", help="one round of a tenth of the work")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    return parser


def _systems(names: Sequence[str]) -> list[System]:
    """Ratios need the limit, so it is always there, and so is Skylift."""
    if not names:
        return list(SYSTEMS)
    wanted = {"limit", "skylift", *(find_system(name).name for name in names)}
    return [system for system in SYSTEMS if system.name in wanted]


def _measure(results: Results, rounds: int, keep: Callable[[Results], None]) -> None:
    """What was measured is kept after each round, so that a run that is broken off is not lost."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    adopt_orphans()
    bench = Bench(results, FOLDER, _say)
    bench.prepare()
    try:
        for number in range(1, rounds + 1):
            bench.round(number)
            results.rounds = number
            results.machine["load at the end"] = load()
            keep(results)
    finally:
        bench.close()
        shutil.rmtree(FOLDER, ignore_errors=True)


def _write(results: Results) -> None:
    (HERE / "RESULTS.md").write_text(with_tables_of_others(as_markdown(results), HERE))
    (HERE / "results.json").write_text(json.dumps(results.as_json(), indent=1) + "\n")
    _say(f"written: bench/RESULTS.md, bench/results.json ({results.rounds} rounds)")


def _nothing(results: Results) -> None:
    """Part of the work is no report."""


def _smaller(work: Work) -> Work:
    return replace(work, size=max(1, work.size // 10), title=f"{work.title} (a tenth of it)")


def _smaller_system(system: System) -> System:
    return replace(system, sizes={name: max(2, size // 10) for name, size in system.sizes.items()})


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
