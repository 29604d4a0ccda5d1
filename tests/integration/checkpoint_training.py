"""A small PyTorch training that is killed again and again by its tests; all of its randomness must survive that."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from skylift import attempt, checkpoint


def train(diary: str, epochs: int = 6, pause_s: float = 0.001) -> str:
    """The digest of the weights, the optimizer and what was drawn on the way."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    random.seed(2)
    np.random.seed(3)
    inputs = torch.randn(160, 8)
    targets = inputs.sum(1, keepdim=True).sin()
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Dropout(0.2), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * 20)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=8, shuffle=True, generator=torch.Generator())
    losses: list[float] = []
    note(diary, f"begin {os.getpid()}")
    with checkpoint.session(model=model, optimizer=optimizer, scheduler=scheduler, data=loader, losses=losses) as saved:
        for _ in saved.steps(range(epochs)):
            noise = random.random() * 0.01
            for some, wanted in saved.steps(loader):
                optimizer.zero_grad()
                off = torch.as_tensor(np.random.rand(len(some), 8), dtype=torch.float32) * noise
                loss = torch.nn.functional.mse_loss(model(some + off), wanted)
                loss.backward()
                optimizer.step()
                scheduler.step()
                losses.append(loss.item())
                time.sleep(pause_s)
                note(diary, f"step {len(losses)}")
    return digest(model, optimizer, losses)


def digest(model: torch.nn.Module, optimizer: torch.optim.Optimizer, losses: list[float]) -> str:
    found = hashlib.sha256(repr(losses).encode())
    tensors = [*model.state_dict().values()]
    for state in optimizer.state_dict()["state"].values():
        tensors += [value for _, value in sorted(state.items())]
    for tensor in tensors:
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def note(diary: str, line: str) -> None:
    with Path(diary).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def count(upto: int, diary: str) -> int:
    """Without PyTorch: the plain form."""
    state = checkpoint.load({"done": 0, "sum": 0})
    now = attempt()
    assert now is not None
    note(diary, f"begin {os.getpid()} {now.delivery} {state['done']}")
    while state["done"] < upto:
        state["done"] += 1
        state["sum"] += state["done"]
        time.sleep(0.002)
        note(diary, f"step {state['done']}")
        if checkpoint.due():
            checkpoint.save(state)
    return int(state["sum"])
