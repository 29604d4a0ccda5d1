"""What Ray is asked for to run a task, and whether the cluster can ever give it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from skylift.compute.process.machine import gpu_count
from skylift.compute.ray.wire import Node
from skylift.ports.compute import Offer, Requirements

_MIB = 2**20
_STARTUP_MS = 1_500


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a place must have. Calls of one shape share warm places."""

    cpus: float
    memory_mib: int | None = None
    gpus: int = 0
    model: str | None = None
    """Of the GPU, as Ray names accelerators: `V100`."""
    environment: str | None = None
    bundle: str | None = None
    """A process serves one bundle."""

    @property
    def resources(self) -> dict[str, float]:
        """As a placement group wants it."""
        wanted: dict[str, float] = {"CPU": self.cpus}
        if self.memory_mib is not None:
            wanted["memory"] = float(self.memory_mib * _MIB)
        if self.gpus:
            wanted["GPU"] = float(self.gpus)
        if self.model is not None:
            wanted[f"accelerator_type:{self.model}"] = 0.001
        return wanted

    def options(self) -> dict[str, Any]:
        """As an actor wants it."""
        options: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        if self.memory_mib is not None:
            options["memory"] = self.memory_mib * _MIB
        if self.model is not None:
            options["accelerator_type"] = self.model
        return options

    def __str__(self) -> str:
        parts = [f"{self.cpus:g} cpus"]
        if self.memory_mib is not None:
            parts.append(f"{self.memory_mib} MiB of memory")
        if self.gpus:
            parts.append(f"{self.gpus} GPU {self.model}" if self.model else f"{self.gpus} GPU")
        return ", ".join(parts)


def shape_of(needs: Requirements, bundle: str | None) -> Shape:
    model = (needs.gpu or "").partition(":")[0]
    return Shape(
        cpus=needs.cpus,
        memory_mib=needs.memory_mib,
        gpus=gpu_count(needs.gpu),
        model=model if model and not model.isdigit() else None,
        environment=needs.environment,
        bundle=bundle,
    )


def misfit(needs: Requirements, nodes: Sequence[Node]) -> tuple[str, str] | None:
    """What is wanted that the cluster does not have, and what to do."""
    if needs.image is not None:
        return f"wants the image {needs.image}, and Ray's workers have none", "leave out `image`"
    if not nodes:
        return None
    shape = shape_of(needs, None)
    room = sum(_room(node, shape) for node in nodes)
    if room >= needs.nodes:
        return None
    if room:
        wanted = f"wants {needs.nodes} workers of {shape} at once, and the cluster has room for {room}"
        return wanted, "lower `nodes`"
    if shape.gpus and not any(_has_gpu(node, shape) for node in nodes):
        here = sorted({name for node in nodes for name in node.accelerators}) or ["none"]
        return f"wants the GPU {needs.gpu}, and the cluster has {', '.join(here)}", "leave out `gpu`"
    largest = max(nodes, key=lambda node: (node.gpus, node.memory_mib, node.cpus))
    has = f"the largest node has {largest.cpus:g} cpus, {largest.memory_mib} MiB and {largest.gpus} GPUs"
    return f"wants {shape}, and {has}", "lower what it asks for"


def offers_of(backend: str, needs: Requirements, nodes: Sequence[Node], grows: bool) -> list[Offer]:
    if needs.image is not None:
        return []
    fitting = [node for node in nodes if misfit(msgspec.structs.replace(needs, nodes=1), [node]) is None]
    if misfit(needs, nodes) is not None and not grows:
        return []
    found = {(node.instance_type, node.market): _offer(backend, needs, node) for node in fitting}
    return list(found.values()) or [unknown_offer(backend, needs)]


def unknown_offer(backend: str, needs: Requirements) -> Offer:
    """Of a cluster that was not asked yet, or that would have to grow."""
    shape = shape_of(needs, None)
    return Offer(
        backend=backend,
        instance_type="ray-node",
        vcpus=needs.cpus,
        memory_mib=needs.memory_mib or 0,
        gpu=shape.model,
        gpu_count=shape.gpus,
        startup_ms=_STARTUP_MS,
    )


def _offer(backend: str, needs: Requirements, node: Node) -> Offer:
    return Offer(
        backend=backend,
        instance_type=node.instance_type,
        vcpus=node.cpus,
        memory_mib=node.memory_mib,
        gpu=node.accelerators[0] if node.accelerators else None,
        gpu_count=node.gpus,
        market="spot" if node.market == "spot" else "on-demand",
        startup_ms=_STARTUP_MS,
    )


def _room(node: Node, shape: Shape) -> int:
    """How many places of the shape an empty node has."""
    if shape.model is not None and not _has_gpu(node, shape):
        return 0
    limits = [node.cpus / shape.cpus if shape.cpus else float("inf")]
    if shape.memory_mib:
        limits.append(node.memory_mib / shape.memory_mib)
    if shape.gpus:
        limits.append(node.gpus / shape.gpus)
    least = min(limits)
    return 1_000_000 if least == float("inf") else int(least + 1e-9)


def _has_gpu(node: Node, shape: Shape) -> bool:
    return node.gpus > 0 and (shape.model is None or shape.model in node.accelerators)


def nodes_of(rows: Sequence[dict[str, Any]]) -> list[Node]:
    """From what `ray.nodes()` gives: those that live."""
    return [_node(row) for row in rows if row.get("Alive")]


def _node(row: dict[str, Any]) -> Node:
    has, labels = row.get("Resources", {}), row.get("Labels") or {}
    prefix = "accelerator_type:"
    return Node(
        id=row["NodeID"],
        address=row.get("NodeManagerAddress", ""),
        cpus=float(has.get("CPU", 0)),
        memory_mib=int(has.get("memory", 0) // _MIB),
        gpus=int(has.get("GPU", 0)),
        accelerators=tuple(sorted(name.removeprefix(prefix) for name in has if name.startswith(prefix))),
        market=str(labels.get("ray.io/market-type", "on-demand")),
        instance_type=str(labels.get("ray.io/node-group") or labels.get("ray.io/instance-type") or "ray-node"),
    )
