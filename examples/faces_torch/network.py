"""The network, and training it so that it can be interrupted anywhere and goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from skylift import attempt, checkpoint


@dataclass
class Settings:
    """One hyperparameter set."""

    name: str
    channels: int
    rate: float
    epochs: int


class Network(nn.Module):
    """(n, 25, 25) grey crops in 0..1 to (n,) logits. Brightness and contrast are taken out first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_block(1, channels),
            *_block(channels, 2 * channels),
            *_block(2 * channels, 4 * channels),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(4 * channels * 9, 32),
            nn.ReLU(),
            nn.Linear(32, 1),
        )

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        middle = crops.mean((1, 2), keepdim=True)
        spread = ((crops - middle) ** 2).mean((1, 2), keepdim=True)
        return self.layers(((crops - middle) / torch.sqrt(spread + 0.003)).unsqueeze(1)).squeeze(1)


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(crops: np.ndarray, labels: np.ndarray, settings: Settings, seed: int) -> tuple[dict[str, np.ndarray], int]:
    """Train, or go on training from the last checkpoint of the same data, settings and seed.

    Returns the weights and the number of steps that a checkpoint saved. An interrupted training ends with the same
    weights as one that was not, to the last bit, on the same kind of device.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    where, kind = device(), torch.get_default_dtype()
    network = Network(settings.channels).to(where)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=0.01)
    inputs = torch.as_tensor(np.ascontiguousarray(crops), dtype=kind, device=where)
    targets = torch.as_tensor(np.ascontiguousarray(labels), dtype=kind, device=where)
    weight = (targets == 0).sum() / (targets == 1).sum().clamp(min=1)
    measure = nn.BCEWithLogitsLoss(pos_weight=weight)
    key = None if attempt() else _digest(crops, labels, settings, seed)  # a step of a run has a place of its own
    with checkpoint.session(network=network, optimizer=optimizer, key=key) as saved:
        before = saved.state.setdefault("steps", 0)
        for epoch in saved.steps(range(settings.epochs)):
            torch.manual_seed(seed * 1000 + epoch)
            network.train()
            for batch in saved.steps(_batches(len(inputs))):
                optimizer.zero_grad()
                loss = measure(network(inputs[batch]), targets[batch])
                loss.backward()
                optimizer.step()
                saved.state["steps"] += 1
    return weights_of(network), before


def chances(weights: dict[str, np.ndarray], crops: np.ndarray) -> np.ndarray:
    """The chance of a face in each crop."""
    torch.set_num_threads(1)
    network = load(weights).to(device())
    with torch.inference_mode():
        parts = torch.split(torch.as_tensor(np.ascontiguousarray(crops), dtype=torch.float32), 4096)
        found = [torch.sigmoid(network(part.to(device()))).cpu() for part in parts]
    return torch.cat(found).numpy() if found else np.zeros(0, np.float32)


def load(weights: dict[str, np.ndarray]) -> Network:
    """The network with these weights, ready to answer."""
    network = Network(len(weights["layers.0.bias"]))
    network.load_state_dict({name: torch.as_tensor(np.array(value)) for name, value in weights.items()})
    return network.eval()


def weights_of(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def _block(before: int, after: int) -> Iterator[nn.Module]:
    yield nn.Conv2d(before, after, 3, padding=1)
    yield nn.ReLU()
    yield nn.MaxPool2d(2)


def _batches(count: int, size: int = 64) -> Iterator[torch.Tensor]:
    yield from torch.split(torch.randperm(count), size)


def _digest(crops: np.ndarray, labels: np.ndarray, settings: Settings, seed: int) -> str:
    digest = hashlib.sha256(repr((settings, seed, crops.shape)).encode())
    digest.update(np.ascontiguousarray(crops).tobytes())
    digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()[:16]
