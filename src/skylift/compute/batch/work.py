"""What waits for a place: the needs of an attempt, in whole numbers, and how they compare with a machine."""

from __future__ import annotations

import msgspec

from skylift.compute.batch.provider import Kind
from skylift.ports.compute import Market, Requirements


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Of one member. Processors in thousandths, so that sums are exact."""

    mcpus: int = 1000
    memory_mib: int = 0
    gpus: int = 0
    gpu: str | None = None
    """Part of the model's name; None for any."""
    market: Market = "on-demand"
    nodes: int = 1
    """Members that start together or not at all."""
    account: str = ""
    """Whose it is: machines that somebody lends run only what is theirs."""
    kind: str | None = None
    """The kind of machine that a plan has bought for it; None for any."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to place."""

    token: str
    needs: Needs
    queue: str = "default"
    share: str = ""
    """Share identifier: those of a queue are served by their weights."""
    run: str = ""
    """Those of a share take turns by it."""
    priority: int = 0
    """Within its share; higher goes first."""
    lane: str = ""
    """What a limit of attempts at once counts together."""
    most: int | None = None
    """That limit."""
    label: str = ""
    near: tuple[str, ...] = ()
    """Keys of the blocks that it reads (`skylift.blocks.keys`): best placed where they are."""
    again: bool = False
    """It was placed before and lost: it goes before those of its share."""


def needs_of(requirements: Requirements, market: Market = "on-demand", account: str = "") -> Needs:
    model, gpus = gpu_of(requirements.gpu)
    return Needs(
        mcpus=mcpus_of(requirements.cpus),
        memory_mib=requirements.memory_mib or 0,
        gpus=gpus,
        gpu=model,
        market=market,
        nodes=max(1, requirements.nodes),
        account=account,
        kind=None if requirements.place is None else requirements.place.instance_type,
    )


def mcpus_of(vcpus: float) -> int:
    return max(1, round(vcpus * 1000))


def gpu_of(wanted: str | None) -> tuple[str | None, int]:
    """Model and number from `"2"`, `"V100"` or `"V100:2"`."""
    if not wanted:
        return None, 0
    model, _, count = wanted.partition(":")
    if model.isdigit():
        return None, int(model)
    return model, int(count) if count.isdigit() else 1


def has_gpu(kind: Kind, model: str | None) -> bool:
    return kind.gpu is not None and (model is None or model.lower() in kind.gpu.lower())


def fits(needs: Needs, kind: Kind) -> bool:
    """Whether one member fits an empty machine of this kind, whatever its market."""
    if needs.kind is not None and needs.kind != kind.name:
        return False
    enough = needs.mcpus <= mcpus_of(kind.vcpus) and needs.memory_mib <= kind.memory_mib
    return enough and (not needs.gpus or (needs.gpus <= kind.gpus and has_gpu(kind, needs.gpu)))


def eligible(needs: Needs, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Kinds that a member may run on: of its market where there are such, else whatever it fits."""
    fitting = tuple(kind for kind in kinds if fits(needs, kind))
    spot = needs.market == "spot"
    return tuple(kind for kind in fitting if (kind.market == "spot") == spot) or fitting


def members_in(needs: Needs, kind: Kind) -> int:
    """How many members an empty machine of this kind holds."""
    room = [mcpus_of(kind.vcpus) // needs.mcpus]
    if needs.memory_mib:
        room.append(kind.memory_mib // needs.memory_mib)
    if needs.gpus:
        room.append(kind.gpus // needs.gpus if has_gpu(kind, needs.gpu) else 0)
    return min(room)


def cost_of(kind: Kind) -> float:
    """By the hour; where nothing is billed, what a cloud would roughly charge: a vCPU counts as 8 GiB or a sixteenth of
    a GPU."""
    if kind.usd_micro_per_hour:
        return float(kind.usd_micro_per_hour)
    return 24_000 * (kind.vcpus + kind.memory_mib / 8192 + 16 * kind.gpus)
