"""`python -m tests.faults`: servers under load while they, their connections and their database are broken.

python -m tests.faults --minutes 3                        both stores, three minutes each
python -m tests.faults --store sqlite --seconds 30        one of them
python -m tests.faults --store postgresql --seed 7        the same faults in the same order
python -m tests.faults --open 10000                       memory of so many open ones; time until they are taken over
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from fault_campaign import Plan, run  # noqa: E402
from fault_open import measure  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, help="of load and faults on each store; 3 where nothing is said")
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--seed", type=int, help="of clients and faults; a new one where nothing is said")
    parser.add_argument("--pace", type=float, default=3.0, help="seconds between two faults, on average")
    parser.add_argument("--open", type=int, help="instead: what so many open executions take")
    parser.add_argument("--keep", type=Path, help="a new folder for homes and logs of the servers")
    options = parser.parse_args(arguments)
    seconds = options.seconds or 60 * (options.minutes or 3.0)
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    worst = 0
    for store in options.store or ["sqlite", "postgresql"]:
        if options.open:
            sys.stdout.write(measure(store, options.open) + "\n")
            continue
        folder = options.keep / store if options.keep else None
        report = run(Plan(store=store, seconds=seconds, seed=seed, pace_s=options.pace, folder=folder))
        sys.stdout.write(report.text() + "\n\n")
        sys.stdout.flush()
        worst = max(worst, bool(report.problems))
    return worst


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
