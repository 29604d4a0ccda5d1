"""What a call means to the pool: whether it can take it at all, what it asks for, how it is listed on its machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from skylift.blocks.keys import block_keys
from skylift.compute.batch.provider import Held, Kind
from skylift.compute.batch.queues import DEFAULT
from skylift.compute.batch.refusing import why_never
from skylift.compute.batch.scheduler import PoolPolicy
from skylift.compute.batch.work import Work, eligible, needs_of
from skylift.ports.compute import Offer, Requirements, SpotSight, TaskCall


def offers_of(backend: str, requirements: Requirements, policy: PoolPolicy) -> Sequence[Offer]:
    """The machines that it may run on; none when it never can."""
    if requirements.image is not None:
        return ()
    needs = needs_of(requirements, "spot" if requirements.spot else "on-demand")
    if why_never(Work(token="", needs=needs), policy.kinds, policy.most_mcpus) is not None:
        return _later(backend, requirements) if policy.open else ()
    return [
        Offer(
            backend=backend,
            instance_type=kind.name,
            vcpus=kind.vcpus,
            memory_mib=kind.memory_mib,
            gpu=kind.gpu,
            gpu_count=kind.gpus,
            market=kind.market,
            region=kind.region,
            price_usd_micro_per_hour=kind.usd_micro_per_hour,
            startup_ms=kind.startup_ms,
            service="batch",
        )
        for kind in eligible(needs, policy.kinds)
    ]


def sight_of(
    requirements: Requirements, policy: PoolPolicy, in_stock: Callable[[Kind], bool | None]
) -> SpotSight | None:
    """The least price of each market is what would be bought; without prices there is nothing to weigh."""
    spot = [kind for kind in eligible(needs_of(requirements, "spot"), policy.kinds) if kind.market == "spot"]
    steady = [kind for kind in eligible(needs_of(requirements), policy.kinds) if kind.market != "spot"]
    least = [min((kind.usd_micro_per_hour for kind in kinds), default=0) for kinds in (spot, steady)]
    stock = [in_stock(kind) for kind in spot]
    if not all(least) or None in stock:
        return None
    return SpotSight(available=any(stock), ratio=least[0] / least[1], startup_ms=max(kind.startup_ms for kind in spot))


def _later(backend: str, requirements: Requirements) -> Sequence[Offer]:
    """A box that has it may still join."""
    memory = requirements.memory_mib or 0
    return [
        Offer(backend=backend, instance_type="to join", vcpus=requirements.cpus, memory_mib=memory, service="batch")
    ]


def misfit(call: TaskCall) -> tuple[str, str] | None:
    """What no machine of any pool gives, and the mend."""
    image = call.requirements.image
    if image is not None:
        return f"wants the image {image}, and machines of a pool run no containers", "leave out `image`"
    return None


def work_of(call: TaskCall, queue_of: Mapping[str, str]) -> Work:
    needs = call.requirements
    return Work(
        token=call.token,
        needs=needs_of(needs, call.market, call.account),
        queue=queue_of.get(call.task) or queue_of.get("*") or DEFAULT,
        share=call.pipeline or call.account,
        run=call.run_id,
        lane=call.task,
        most=needs.concurrency,
        label=call.label,
        near=block_keys(call.arguments),
        again=call.delivery > 1,
    )


def held_of(call: TaskCall) -> Held:
    needs = needs_of(call.requirements)
    return Held(
        token=call.token,
        run_id=call.run_id,
        label=call.label,
        vcpus=needs.mcpus / 1000,
        memory_mib=needs.memory_mib,
        gpus=needs.gpus,
    )
