"""What can never run in a pool, and the nearest thing there is."""

from __future__ import annotations

from collections.abc import Sequence

from skylift.compute.batch.provider import Kind
from skylift.compute.batch.scaling import Budget, hold
from skylift.compute.batch.work import Needs, Work, fits, has_gpu, mcpus_of


def why_never(work: Work, kinds: Sequence[Kind], most_mcpus: int | None) -> tuple[str, str] | None:
    """What it wants that is not there, and the mend; None when the empty pool could run it."""
    needs = work.needs
    if not kinds:
        return "wants a machine, and the compute environment has none", "enter `machines` in [backends.batch]"
    if not any(fits(needs, kind) for kind in kinds):
        return _too_large(needs, kinds)
    if any(kind.fixed for kind in kinds) or hold(needs, needs.nodes, Budget(kinds, {}, most_mcpus)) is not None:
        return None
    return _beyond_limit(needs, kinds, most_mcpus)


def _too_large(needs: Needs, kinds: Sequence[Kind]) -> tuple[str, str]:
    if needs.kind is not None and needs.kind not in {kind.name for kind in kinds}:
        allowed = ", ".join(sorted({kind.name for kind in kinds}))
        return f"its plan has bought a {needs.kind}, and the machines allowed are {allowed}", "make a new plan"
    if needs.gpus:
        models = [kind for kind in kinds if has_gpu(kind, needs.gpu)]
        if not models or needs.gpus > max(kind.gpus for kind in models):
            wanted = f"{needs.gpu or 'GPU'}:{needs.gpus}" if needs.gpus > 1 or not needs.gpu else needs.gpu
            there = sorted({f"{kind.gpu}:{kind.gpus}" for kind in kinds if kind.gpu}) or ["none"]
            return (
                f"needs the GPU {wanted}, and the machines allowed have {', '.join(there)}",
                "lower or leave out `gpu`",
            )
        kinds = models
    memory = max(kind.memory_mib for kind in kinds)
    if needs.memory_mib > memory:
        return f"needs {gib(needs.memory_mib)}, and the largest machine allowed has {gib(memory)}", "lower `memory`"
    vcpus = max(kind.vcpus for kind in kinds)
    if needs.mcpus > mcpus_of(vcpus):
        return f"needs {cpus(needs.mcpus)}, and the largest machine allowed has {vcpus:g}", "lower `cpus`"
    nearest = min(kinds, key=lambda kind: _missing(needs, kind))
    what = f"needs {cpus(needs.mcpus)} with {gib(needs.memory_mib)} on one machine, and the nearest is {nearest.name}"
    return f"{what} with {nearest.vcpus:g} and {gib(nearest.memory_mib)}", "lower `cpus` or `memory`"


def _missing(needs: Needs, kind: Kind) -> float:
    """How far a kind falls short, in shares of what is needed."""
    cpus_short = max(0.0, 1 - mcpus_of(kind.vcpus) / needs.mcpus)
    memory_short = max(0.0, 1 - kind.memory_mib / needs.memory_mib) if needs.memory_mib else 0.0
    return cpus_short + memory_short


def _beyond_limit(needs: Needs, kinds: Sequence[Kind], most_mcpus: int | None) -> tuple[str, str]:
    limit = "" if most_mcpus is None else f" of {most_mcpus / 1000:g} vCPUs"
    if needs.nodes > 1:
        what = f"needs {needs.nodes} members of {cpus(needs.mcpus)} at once, more than the compute environment's"
        return f"{what} limit{limit} and its machines have room for", "lower `nodes` or raise `most_vcpus`"
    smallest = min((kind for kind in kinds if fits(needs, kind)), key=lambda kind: kind.vcpus)
    what = f"needs a {smallest.name} ({smallest.vcpus:g} vCPUs), and the compute environment's limit is{limit[3:]}"
    return what, "raise `most_vcpus` or enter a smaller machine"


def gib(mib: int) -> str:
    return f"{mib / 1024:.4g} GiB" if mib >= 1024 else f"{mib} MiB"


def cpus(mcpus: int) -> str:
    return f"{mcpus / 1000:g} vCPU" + ("s" if mcpus != 1000 else "")
