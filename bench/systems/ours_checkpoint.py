"""What a checkpoint keeps a training waiting for: our save, torch.save beside it, and the time until it is stored."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measuring import tell

from skylift import checkpoint

SAVES = 8


def main() -> None:
    work, _, size = sys.argv[1].partition("=")
    folder = Path(os.environ["BENCH_FOLDER"])
    torch.set_num_threads(1)
    model, optimizer = training(int(size))
    save = {"checkpoint": stall, "checkpoint-torch": plain, "checkpoint-stored": stored}[work]
    times = save(model, optimizer, folder)[1:]  # the first one makes room
    tell(work, int(size), median(times) * 1_000)


def training(mib: int) -> tuple[Any, Any]:
    """A model whose weights and AdamW state take so much."""
    width = 512
    layers = max(1, round(mib * 2**20 / 12 / (width * width + width)))
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(layers)))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, width)).sum().backward()
    optimizer.step()
    return model, optimizer


def stall(model: Any, optimizer: Any, folder: Path) -> list[float]:
    """How long a step's end takes at which the state is saved, when the upload before is through."""
    return _saves(model, optimizer, folder, lambda keeper: None)


def stored(model: Any, optimizer: Any, folder: Path) -> list[float]:
    """The same until the version is stored, fsync included."""
    return _saves(model, optimizer, folder, lambda keeper: keeper.wait())


def _saves(model: Any, optimizer: Any, folder: Path, then: Callable[[Any], None]) -> list[float]:
    times = []
    session = checkpoint.session(model=model, optimizer=optimizer, folder=folder / "ours", steps=10**9)
    with session as saved:
        for _ in range(SAVES + 1):
            began = time.perf_counter()
            saved._save()
            then(saved._keeper)
            times.append(time.perf_counter() - began)
            saved._keeper.wait()
    return times


def plain(model: Any, optimizer: Any, folder: Path) -> list[float]:
    times = []
    for number in range(SAVES + 1):
        began = time.perf_counter()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / f"{number % 2}.pt")
        times.append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
