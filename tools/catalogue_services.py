"""Functions, containers, managed training, storage and transfer of the shipped catalogue, from the table of services.

Units are those of `UNITS`; what a source gives in another one is converted exactly and says so in its note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from skylift.pricing.encode import Draft
from skylift.pricing.quality import rate_fault
from skylift.pricing.rows import CLOUDS, MachinePrice, MachineType, Rate, SetAside
from skylift.pricing.snapshot import Snapshot

Row = Mapping[str, str]

UNITS: Mapping[str, tuple[str, int]] = {
    "ms at 128 MB": ("GB-second", 8 * 1000),
    "vCPU-second": ("vCPU-hour", 3600),
    "GiB-second": ("GB-hour", 3600),
    "request": ("1M requests", 1_000_000),
    "invocation": ("1M requests", 1_000_000),
    "transition": ("transition", 1),
    "GiB-month": ("GB-month", 1),
    "GiB": ("GB", 1),
}
"""Unit of a source → ours, and how many of it make one of ours.
A GB is 2^30 bytes throughout: these services bill it so."""
PER_THOUSAND = {"10k operations": Decimal("0.1")}

YUAN = "the source gives the regions in China in yuan, some seven to the dollar, and does not say so"

ITEMS: Mapping[tuple[str, str, str], tuple[str, str, int]] = {
    # (cloud, service, item) of the source → service, item, amount from which it counts
    ("aws", "lambda", "duration x86 first 6B GB-s"): ("function", "memory", 0),
    ("aws", "lambda", "duration x86 next 9B GB-s"): ("function", "memory", 6 * 10**9),
    ("aws", "lambda", "duration x86 over 15B GB-s"): ("function", "memory", 15 * 10**9),
    ("aws", "lambda", "duration x86, 128 MB unit as published per ms"): ("function", "memory", 0),
    ("aws", "lambda", "duration arm first 7.5B GB-s"): ("function", "memory-arm", 0),
    ("aws", "lambda", "duration arm, 128 MB unit"): ("function", "memory-arm", 0),
    ("aws", "lambda", "requests"): ("function", "requests", 0),
    ("aws", "lambda", "ephemeral storage over 512 MB"): ("function", "ephemeral-storage", 0),
    ("aws", "seed", "lambda GB-second"): ("function", "memory", 0),
    ("aws", "step-functions", "standard state transition"): ("orchestrator", "transition", 0),
    ("aws", "step-functions", "express requests"): ("orchestrator", "express-requests", 0),
    ("aws", "step-functions", "express duration first 1K"): ("orchestrator", "express-memory", 0),
    ("aws", "fargate", "vcpu linux x86"): ("container", "vcpus", 0),
    ("aws", "fargate", "memory linux x86"): ("container", "memory", 0),
    ("aws", "fargate", "vcpu linux arm"): ("container", "vcpus-arm", 0),
    ("aws", "fargate", "memory linux arm"): ("container", "memory-arm", 0),
    ("aws", "fargate", "ephemeral storage over 20 GB"): ("container", "ephemeral-storage", 0),
    ("aws", "fargate-spot", "vcpu"): ("container", "vcpus", 0),
    ("aws", "fargate-spot", "memory"): ("container", "memory", 0),
    ("aws", "seed", "fargate vCPU"): ("container", "vcpus", 0),
    ("aws", "seed", "fargate GB"): ("container", "memory", 0),
    ("aws", "s3", "standard storage first 50 TB"): ("storage", "object", 0),
    ("aws", "s3", "standard-IA storage"): ("storage", "object:infrequent", 0),
    ("aws", "s3", "one zone-IA storage"): ("storage", "object:one-zone-infrequent", 0),
    ("aws", "s3", "glacier flexible storage"): ("storage", "object:archive", 0),
    ("aws", "s3", "standard-IA retrieval"): ("storage", "object:infrequent retrieval", 0),
    ("aws", "s3", "standard PUT COPY POST LIST"): ("storage", "put requests", 0),
    ("aws", "s3", "standard GET SELECT"): ("storage", "get requests", 0),
    ("aws", "efs", "standard storage"): ("storage", "file", 0),
    ("aws", "efs", "standard-IA storage"): ("storage", "file:infrequent", 0),
    ("aws", "efs", "one zone storage"): ("storage", "file:one-zone", 0),
    ("aws", "efs", "one zone-IA storage"): ("storage", "file:one-zone-infrequent", 0),
    ("aws", "efs", "IA access"): ("storage", "file:infrequent access", 0),
    ("aws", "efs", "provisioned throughput"): ("storage", "file throughput", 0),
    ("aws", "ecr", "storage"): ("storage", "images", 0),
    ("aws", "ebs", "gp2"): ("storage", "disk:gp2", 0),
    ("aws", "ebs", "gp3"): ("storage", "disk:gp3", 0),
    ("aws", "ebs", "gp3 IOPS over 3000"): ("storage", "disk:gp3 iops", 0),
    ("aws", "ebs", "gp3 throughput over 125"): ("storage", "disk:gp3 throughput", 0),
    ("aws", "ebs", "io1"): ("storage", "disk:io1", 0),
    ("aws", "ebs", "io1 IOPS"): ("storage", "disk:io1 iops", 0),
    ("aws", "ebs", "st1"): ("storage", "disk:st1", 0),
    ("aws", "ebs", "sc1"): ("storage", "disk:sc1", 0),
    ("aws", "ebs", "magnetic"): ("storage", "disk:magnetic", 0),
    ("aws", "transfer", "Outbound data transfer to Internet (first 10TB)"): ("transfer", "internet", 0),
    ("aws", "transfer", "Outbound data transfer to Internet (next 40TB)"): ("transfer", "internet", 10 * 1024),
    ("aws", "transfer", "Outbound data transfer to Internet (next 100TB)"): ("transfer", "internet", 50 * 1024),
    ("aws", "transfer", "Outbound data transfer to Internet (over 150TB)"): ("transfer", "internet", 150 * 1024),
    ("aws", "transfer", "Outbound data transfer to other regions"): ("transfer", "region", 0),
    ("aws", "transfer", "Outbound data transfer to US East regions"): ("transfer", "region:us-east", 0),
    ("aws", "transfer", "Intra-region data transfer (in+out, $0.01 each way)"): ("transfer", "zone", 0),
    ("gcp", "cloud-run", "cpu, instance-based or job"): ("container", "vcpus", 0),
    ("gcp", "cloud-run", "memory, instance-based or job"): ("container", "memory", 0),
    ("gcp", "cloud-run", "cpu, request-based"): ("container", "vcpus:request-based", 0),
    ("gcp", "cloud-run", "memory, request-based"): ("container", "memory:request-based", 0),
    ("gcp", "cloud-run", "requests"): ("container", "requests", 0),
    ("gcp", "cloud-functions-1st-gen", "cpu"): ("function", "cpu", 0),
    ("gcp", "cloud-functions-1st-gen", "memory"): ("function", "memory", 0),
    ("gcp", "cloud-functions-1st-gen", "invocations"): ("function", "requests", 0),
    ("gcp", "cloud-functions-1st-gen", "outbound data"): ("function", "internet", 0),
    ("gcp", "gcs", "standard storage"): ("storage", "object", 0),
    ("gcp", "gcs", "standard multi-region storage"): ("storage", "object", 0),
    ("gcp", "gcs", "nearline storage"): ("storage", "object:nearline", 0),
    ("gcp", "gcs", "coldline storage"): ("storage", "object:coldline", 0),
    ("gcp", "gcs", "archive storage"): ("storage", "object:archive", 0),
    ("gcp", "gcs", "nearline retrieval"): ("storage", "object:nearline retrieval", 0),
    ("gcp", "gcs", "coldline retrieval"): ("storage", "object:coldline retrieval", 0),
    ("gcp", "gcs", "archive retrieval"): ("storage", "object:archive retrieval", 0),
    ("gcp", "gcs", "class A operations, standard"): ("storage", "put requests", 0),
    ("gcp", "gcs", "class B operations, standard"): ("storage", "get requests", 0),
    ("gcp", "persistent-disk", "hdd"): ("storage", "disk:hdd", 0),
    ("gcp", "persistent-disk", "balanced"): ("storage", "disk:balanced", 0),
    ("gcp", "persistent-disk", "ssd"): ("storage", "disk:ssd", 0),
    ("gcp", "persistent-disk", "snapshot"): ("storage", "disk:snapshot", 0),
    ("gcp", "transfer", "egress to internet first 1 TiB"): ("transfer", "internet", 0),
    ("gcp", "transfer", "egress to internet 1-10 TiB"): ("transfer", "internet", 1024),
    ("gcp", "transfer", "egress to internet over 10 TiB"): ("transfer", "internet", 10 * 1024),
    ("gcp", "transfer", "egress within the continent (bucket)"): ("transfer", "region:continent", 0),
    ("azure", "functions-consumption", "execution time"): ("function", "memory", 0),
    ("azure", "functions-consumption", "executions"): ("function", "requests", 0),
    ("azure", "blob", "hot LRS first 50 TB"): ("storage", "object", 0),
    ("azure", "blob", "hot LRS next 450 TB"): ("storage", "object", 50 * 1024),
    ("azure", "blob", "write operations hot LRS"): ("storage", "put requests", 0),
    ("azure", "blob", "read operations hot LRS"): ("storage", "get requests", 0),
    ("azure", "blob", "list operations hot LRS"): ("storage", "list requests", 0),
    ("azure", "transfer", "egress to internet, cheapest to dearest tier, high"): ("transfer", "internet", 0),
    ("azure", "transfer", "egress to internet, cheapest to dearest tier, low"): ("transfer", "internet:lowest", 0),
}

RETIRED = (
    MachineType(
        name="Standard_NC6", cloud="azure", vcpus=6, memory_mib=56 * 1024, gpu="K80", gpus=1, gpu_memory_mib=12 * 1024
    ),
    MachineType(
        name="Standard_NC24",
        cloud="azure",
        vcpus=24,
        memory_mib=224 * 1024,
        gpu="K80",
        gpus=4,
        gpu_memory_mib=12 * 1024,
    ),
    MachineType(
        name="Standard_NV6", cloud="azure", vcpus=6, memory_mib=56 * 1024, gpu="M60", gpus=1, gpu_memory_mib=8 * 1024
    ),
)
"""Machines that are priced as managed ones and no longer sold bare, by Azure's own page of retired NC and NV series."""

MANAGED = re.compile(r"(compute instance )?(?P<type>[\w.]+)(?P<spot> managed spot)?")


def _named(source: str) -> str:
    """Without numbers of an index that only who collected the facts can look up."""
    text = re.sub(r" \(index ids? [\d, ]+\)| \+ index ids? [\d, ]*\d| (quoted|seen) in index id \d+", "", source)
    return text.replace(">=2 public repos agree", "two or more public repositories agree")


def service_snapshots(rows: Iterable[Row], types: Mapping[tuple[str, str], MachineType]) -> Iterator[Snapshot]:
    """One a cloud, of rows of many dates."""
    drafts = {cloud: Draft(cloud, _managed_types(cloud, types)) for cloud in CLOUDS}
    for row in rows:
        draft = drafts[row["cloud"]]
        if row["service"] in ("sagemaker", "machine-learning"):
            for price in _managed(row):
                draft.price(price)
            continue
        rate = _rate(row)
        why = YUAN if row["region"].startswith("cn-") else rate_fault(rate)
        if why is None:
            draft.rate(rate)
        else:
            draft.set_aside(_aside(rate, why))
    yield from (draft.snapshot() for draft in drafts.values() if draft.rates)


def _managed_types(cloud: str, types: Mapping[tuple[str, str], MachineType]) -> dict[str, MachineType]:
    """A managed machine has what the machine of the same name has: `ml.p3.2xlarge` is a p3.2xlarge."""
    prefix = "ml." if cloud == "aws" else ""
    own = {name: machine for (where, name), machine in types.items() if where == cloud}
    own |= {machine.name: machine for machine in RETIRED if machine.cloud == cloud}
    return {prefix + name: msgspec.structs.replace(machine, name=prefix + name) for name, machine in own.items()}


def _managed(row: Row) -> Iterator[MachinePrice]:
    """The sources give one price a machine; it is that of training and, in these years, of an endpoint too."""
    found = MANAGED.fullmatch(row["item"])
    assert found is not None, row
    for service in ("managed-training",) if found["spot"] else ("managed-training", "endpoint"):
        yield MachinePrice(
            service=service,
            type=found["type"],
            region=row["region"],
            market="spot" if found["spot"] else "on-demand",
            usd_per_hour=Decimal(row["price_usd"]),
            as_of=row["as_of"],
            source=_named(row["source"]),
            cloud=row["cloud"],
        )


def _rate(row: Row) -> Rate:
    service, item, tier = ITEMS[row["cloud"], row["service"], row["item"]]
    usd, unit, notes = Decimal(row["price_usd"]), row["unit"], [_named(row["note"])] if row["note"] else []
    if unit in PER_THOUSAND:
        usd, unit, given = usd * PER_THOUSAND[unit], "1k requests", f"{row['price_usd']} per {unit}"
        notes.append(f"given as {given}")
    elif unit in UNITS:
        unit, times = UNITS[unit]
        usd *= times
        if times != 1:
            notes.append(f"given as {row['price_usd']} per {row['unit']}")
    return Rate(
        service=service,
        item=item,
        unit=unit,
        region=row["region"],
        market="spot" if row["service"] == "fargate-spot" else "on-demand",
        usd=usd,
        as_of=row["as_of"],
        source=_named(row["source"]),
        cloud=row["cloud"],
        tier_from=Decimal(tier),
        note="; ".join(notes) or None,
    )


def _aside(rate: Rate, why: str) -> SetAside:
    return SetAside(
        cloud=rate.cloud,
        what=f"{rate.service} {rate.item}",
        region=rate.region,
        market=rate.market,
        usd=rate.usd,
        as_of=rate.as_of,
        source=rate.source,
        why=why,
    )
