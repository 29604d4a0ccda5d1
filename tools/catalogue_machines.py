"""Machines of the shipped catalogue: from rows of the tables of facts to dated snapshots."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from skylift.pricing.encode import Draft
from skylift.pricing.quality import sifted
from skylift.pricing.rows import CLOUDS, Advised, MachinePrice, MachineType
from skylift.pricing.snapshot import Snapshot

Row = Mapping[str, str]

RENAMED = {
    ("aws", "A100", "80"): "A100-80GB",
    ("aws", "V100", "32"): "V100-32GB",
    ("gcp", "RTX6000", ""): "RTX-PRO-SERVER-6000",
}
"""Models that the sources call as another model is called: the 80 GB A100 and the 32 GB V100 have names of their own
elsewhere, and Google's G4 machines have RTX PRO 6000 Blackwell Server cards (96 GB), not the RTX 6000 of 2018."""

DEVICE_GIB = {
    "A10": "24",
    "A100": "40",
    "A100-80GB": "80",
    "H100": "80",
    "H100-80GB": "80",
    "H100-80GB-MEGA": "80",
    "H200": "141",
    "L4": "24",
    "M60": "8",
    "MI25": "16",
    "MI300X": "192",
    "RTX-PRO-SERVER-6000": "96",
    "T4": "16",
    "V100": "16",
    "V100-32GB": "32",
}
"""Memory of one whole device by its maker's data sheet, for rows that name the model and not its memory."""

ARM = {
    "aws": re.compile(r"(a1|[a-z]+\d+[a-z]*g[a-z]*)\."),  # Graviton: a g behind the generation (m6g, c7gn, g5g), and a1
    "gcp": re.compile(r"(t2a|c4a|n4a)-"),
    "azure": re.compile(r"Standard_[A-Z]+\d+(-\d+)?[a-z]*p[a-z]*_|.*_GB200_"),  # a p behind the size: Ampere, Cobalt
    "lambda": re.compile(r".*gh200"),
}
"""Machines with Arm processors, by the naming of each cloud."""

SPOT_SOURCE = re.compile(r"OD (?P<on_demand>.+?)(?: \([\d-]+\))?; spot (?P<spot>.+?) \((?P<as_of>[\d-]+)\)$")
PLAIN_SOURCE = re.compile(r"(?:OD )?(?P<on_demand>.+?)(?: \(\d{4}-\d\d-\d\d\))?$")

TERMS = re.compile(r"yrTerm(?P<years>[13])Standard\.(?P<upfront>all|no|partial)Upfront")


def machine_types(instances: Iterable[Row]) -> dict[tuple[str, str], MachineType]:
    """By cloud and name."""
    machines = (_machine(row) for row in instances)
    return {(machine.cloud, machine.name): machine for machine in machines}


def machine_snapshots(
    types: Mapping[tuple[str, str], MachineType],
    *,
    instances: Iterable[Row],
    advisor: Iterable[Row],
    reserved: Iterable[Row],
) -> Iterator[Snapshot]:
    """One a cloud and date, with spot prices of an older date in the snapshot of that date."""
    prices = [price for row in instances for price in _prices(row)]
    prices += {price: None for row in reserved for price in _reserved(row)}  # on-demand stands beside each term
    for cloud in CLOUDS:
        mine = [price for price in prices if price.cloud == cloud]
        known = {name: machine for (where, name), machine in types.items() if where == cloud}
        drafts: dict[str, Draft] = defaultdict(lambda cloud=cloud, known=known: Draft(cloud, known))  # type: ignore[misc]
        good, aside = sifted(mine, known)
        for price in good:
            drafts[price.as_of].price(price)
        for one in aside:
            drafts[one.as_of].set_aside(one)
        for row in advisor if cloud == "aws" else ():
            if row["instance_type"] in known:  # an estimate needs an on-demand price, which others lack
                drafts[row["as_of"]].advised(_advised(row))
        yield from (drafts[as_of].snapshot() for as_of in sorted(drafts))


def _machine(row: Row) -> MachineType:
    cloud, name = row["cloud"], row["instance_type"]
    basics = MachineType(
        name=name,
        vcpus=float(row["vcpus"]),
        memory_mib=_mib(row["memory_gib"]),
        architecture="arm64" if ARM[cloud].match(name) else "x86_64",
        cloud=cloud,
    )
    model = row["accelerator"]
    if not model:  # the sources say that Azure's NP machines have accelerators, not which: they are FPGA cards
        return basics
    model = RENAMED.get((cloud, model, row["accelerator_memory_gib"]), model)
    count = Decimal(row["accelerator_count"])
    memory = row["accelerator_memory_gib"] or DEVICE_GIB.get(model, "")
    share = Decimal(1)
    if count < 1:
        whole = Decimal(DEVICE_GIB[model])
        share = count or Decimal(round(float(Decimal(memory) / whole) * 8)) / 8  # AWS sells eighths: told by memory
        memory = row["accelerator_memory_gib"] or str(whole * share)
    return MachineType(
        **{name: getattr(basics, name) for name in basics.__struct_fields__ if not name.startswith("gpu")},
        gpu=model,
        gpus=max(1, int(count)),
        gpu_share=float(share),
        gpu_memory_mib=_mib(memory) if memory else None,
    )


def _mib(gib: str) -> int:
    return round(Decimal(gib) * 1024)


def _prices(row: Row) -> Iterator[MachinePrice]:
    found = SPOT_SOURCE.match(row["source"]) or PLAIN_SOURCE.match(row["source"])
    assert found is not None, row
    named = found.groupdict()
    basics = {"type": row["instance_type"], "region": row["region"], "cloud": row["cloud"]}
    yield MachinePrice(
        **basics,
        market="on-demand",
        usd_per_hour=Decimal(row["price_on_demand"]),
        as_of=row["as_of"],
        source=named["on_demand"],
    )
    if row["price_spot"]:
        yield MachinePrice(
            **basics,
            market="spot",
            usd_per_hour=Decimal(row["price_spot"]),
            as_of=named.get("as_of", row["as_of"]),
            source=named.get("spot", named["on_demand"]),
        )


def _reserved(row: Row) -> Iterator[MachinePrice]:
    basics = {"type": row["instance_type"], "region": row["region"], "as_of": row["as_of"], "source": row["source"]}
    yield MachinePrice(**basics, market="on-demand", usd_per_hour=Decimal(row["price_on_demand"]))
    term = TERMS.fullmatch(row["term"])
    assert term is not None, row
    yield MachinePrice(
        **basics,
        market="reserved",
        usd_per_hour=Decimal(row["price_reserved_effective"]),
        term=f"{term['years']}yr-{term['upfront']}-upfront",
    )


def _advised(row: Row) -> Advised:
    return Advised(
        type=row["instance_type"],
        region=row["region"],
        savings_pct=int(row["savings_pct"]),
        interruption=row["interruption_per_month"],
        as_of=row["as_of"],
        source=row["source"],
    )
