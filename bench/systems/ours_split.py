"""Reading a large file block by block, beside one process that reads all of it."""

from __future__ import annotations

import csv
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from measuring import check, tell

from skylift import Block, pipeline, split, task

BLOCK = "8 MiB"


@task
def count(block: Block) -> int:
    return sum(1 for _ in block.rows())


@pipeline
def total(path: str) -> int:
    return sum([count(block) for block in split(path, block=BLOCK)])


def make(path: Path, size: int) -> int:
    """How many records it holds."""
    chance = random.Random(1)
    records = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write("number,name,amount,note\n")
        while file.tell() < size:
            lines = []
            for _ in range(10_000):
                note = chance.choice(('"said ""yes"""', '"two\nlines, one record"', "plain", "nothing to say of it"))
                lines.append(f"{records + len(lines)},customer of the shop,{chance.random():.6f},{note}\n")
            file.write("".join(lines))
            records += len(lines)
    return records


def read_in_one(path: Path) -> int:
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))


def took(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def main() -> None:
    work, _, size = sys.argv[1].partition("=")
    path = Path(os.environ["BENCH_FOLDER"]).absolute() / "large.csv"
    records = make(path, int(size) << 20)
    read_in_one(path)  # from now on the file is in memory for all
    if work == "split":
        check(total.run(path=str(path)), records)
        seconds = took(lambda: check(total.run(path=str(path)), records))
    elif work == "split-cut":
        seconds = took(lambda: split(str(path), block=BLOCK))
    else:
        seconds = took(lambda: check(read_in_one(path), records))
    path.unlink()
    tell(work, int(size), seconds)


if __name__ == "__main__":
    main()
