"""Amazon's offer file of EC2 in one region: `index.csv` (read line by line) or `index.json`.

Of its hundred thousand products those count that are a Linux machine, shared, without software of others and without
a reservation of capacity. Reserved prices are what an hour comes to with the upfront payment spread over the term.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from skylift.pricing.rows import MachinePrice, MachineType
from skylift.pricing.update.fetch import UpdateFailed, shown
from skylift.pricing.update.machines import Harvest, Priced, amount, numbers
from skylift.pricing.update.stream import Reader

URL = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/{region}/index.csv"
YEAR_HOURS = 8760
MOST_LINE = 1 << 20
"""Characters. Real ones have some two thousand."""
WANTED = {"operatingsystem": "Linux", "tenancy": "Shared"}
WANTED_WHERE_TOLD = {
    "preinstalledsw": "NA",
    "capacitystatus": "Used",
    "operation": "RunInstances",
    "locationtype": "AWS Region",  # local zones have prices of their own
    "marketoption": "OnDemand",  # blocks of capacity are bought beforehand
}
"""Columns that older files do not have."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ARM = re.compile(r"Graviton|AWS .*ARM|^Arm", re.IGNORECASE)
_FAMILY = re.compile(r"[^.]+")

Attributes = Mapping[str, str]
"""Of a product, names in small letters without spaces: CSV and JSON write them differently."""


def from_csv(source: io.BufferedReader, place: str, known: Mapping[str, MachineType]) -> Harvest:
    lines = csv.reader(_lines(io.TextIOWrapper(source, encoding="utf-8-sig", newline="", errors="replace"), place))
    published, header = None, None
    harvest, upfront = Harvest(), _Reserved()
    try:
        for line in lines:
            if header is None:
                if line[:1] == ["Publication Date"]:
                    published = _day("".join(line[1:2]), place)
                if line[:1] == ["SKU"]:
                    header = [_plain(name) for name in line]
                continue
            row = dict(zip(header, line, strict=False))
            if published is None:
                break
            machine = _machine(row, known, harvest)
            if machine is not None:
                harvest.add(_of_line(row, machine, published, place, upfront))
    except csv.Error as problem:
        raise UpdateFailed(f"{shown(place)} is not the CSV it should be: {problem}", hint="fetch it again") from problem
    if published is None or header is None:
        raise UpdateFailed(f"{shown(place)} is no offer file: it has no publication date, or no table")
    harvest.add(upfront.prices())
    return harvest


def _lines(text: io.TextIOWrapper, place: str) -> Iterator[str]:
    """One that does not end is not collected until memory does."""
    while line := text.readline(MOST_LINE):
        if len(line) == MOST_LINE:
            raise UpdateFailed(f"{shown(place)} has a line of more than {MOST_LINE} characters: it is no offer file")
        yield line


def _of_line(
    row: Attributes, machine: MachineType, published: str, place: str, reserved: _Reserved
) -> Iterator[Priced]:
    usd, region = amount(row.get("priceperunit")), row.get("regioncode", "")
    if usd is None or row.get("currency") != "USD" or not region:
        return
    price = MachinePrice(
        type=machine.name,
        region=region,
        market="on-demand",
        usd_per_hour=usd,
        as_of=published,
        source=shown(place),
    )
    if row.get("termtype") == "OnDemand" and row.get("unit") == "Hrs":
        yield Priced(price=price, machine=machine)
    if row.get("termtype") == "Reserved" and row.get("offeringclass") == "standard":
        term = f"{row.get('leasecontractlength', '')} {row.get('purchaseoption', '')}".lower().replace(" ", "-")
        reserved.add(msgspec.structs.replace(price, market="reserved", term=term), machine, row.get("unit", ""))


class _Reserved:
    """Collects the two halves of a reserved price, which stand in different lines."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str, str], Decimal] = {}
        self._of: dict[tuple[str, str, str], Priced] = {}

    def add(self, price: MachinePrice, machine: MachineType, unit: str) -> None:
        years = {"1": 1, "3": 3}.get((price.term or "")[:1])
        if years is None:
            return
        key = (price.type, price.region, price.term or "")
        spread = 1 if unit == "Hrs" else years * YEAR_HOURS
        self._parts[key] = self._parts.get(key, Decimal(0)) + price.usd_per_hour / spread
        self._of[key] = Priced(price=price, machine=machine)

    def prices(self) -> Iterator[Priced]:
        for key, row in self._of.items():
            usd = self._parts[key].quantize(Decimal("0.00001"))
            yield Priced(price=msgspec.structs.replace(row.price, usd_per_hour=usd), machine=row.machine)


def from_json(source: io.BufferedReader, place: str, known: Mapping[str, MachineType]) -> Harvest:
    """Products stand before terms in the file: those that count are remembered, the others forgotten."""
    reader = Reader(source, shown(place))
    harvest, reserved = Harvest(), _Reserved()
    published: str | None = None
    machines: dict[str, tuple[MachineType, Attributes]] = {}
    for key in reader.members():
        if key == "publicationDate":
            published = _day(str(reader.value()), place)
        elif key == "products":
            machines = _products(reader, known, harvest)
        elif key == "terms":
            if published is None:
                raise UpdateFailed(f"{shown(place)} is no offer file: it has no publication date")
            for market in reader.members():
                for line in _terms(reader, market, machines):
                    harvest.add(_of_line(line, machines[line["sku"]][0], published, place, reserved))
        else:
            reader.skip()
    if published is None:
        raise UpdateFailed(f"{shown(place)} is no offer file: it has no publication date")
    harvest.add(reserved.prices())
    return harvest


def _products(
    reader: Reader, known: Mapping[str, MachineType], harvest: Harvest
) -> dict[str, tuple[MachineType, Attributes]]:
    found: dict[str, tuple[MachineType, Attributes]] = {}
    for sku in reader.members():
        product = reader.value()
        row = {_plain(name): str(value) for name, value in _dict(_dict(product).get("attributes")).items()}
        row["productfamily"] = str(_dict(product).get("productFamily", ""))
        machine = _machine(row, known, harvest)
        if machine is not None:
            found[sku] = (machine, row)
    return found


def _terms(
    reader: Reader, market: str, machines: Mapping[str, tuple[MachineType, Attributes]]
) -> Iterator[dict[str, str]]:
    """Prices as lines of the CSV file have them."""
    for sku in reader.members():
        offers = reader.value()
        for offer in _values(offers) if sku in machines else ():
            named = {_plain(name): str(value) for name, value in _dict(offer.get("termAttributes")).items()}
            for dimension in _values(offer.get("priceDimensions")):
                usd = _dict(dimension.get("pricePerUnit")).get("USD")
                line = {"sku": sku, "termtype": market, "unit": str(dimension.get("unit", "")), **named}
                line |= {"regioncode": machines[sku][1].get("regioncode", "")}
                if usd is not None:
                    yield {**line, "priceperunit": str(usd), "currency": "USD"}


def _values(value: Any) -> list[dict[str, Any]]:
    return [one for one in _dict(value).values() if isinstance(one, dict)]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _machine(row: Attributes, known: Mapping[str, MachineType], harvest: Harvest) -> MachineType | None:
    if not row.get("productfamily", "").startswith("Compute Instance"):
        return None
    if any(row.get(name) != value for name, value in WANTED.items()):
        return None
    if any(row.get(name, value) not in (value, "") for name, value in WANTED_WHERE_TOLD.items()):
        return None
    name = row.get("instancetype", "")
    if name in known:
        return known[name]
    described = _described(name, row, known)
    if described is None:
        harvest.unknown.add(name)
    return described


def _described(name: str, row: Attributes, known: Mapping[str, MachineType]) -> MachineType | None:
    """Of a machine that is new. The file says how many GPUs it has and not which: that is told by its family."""
    vcpus, memory = list(numbers(row.get("vcpu", ""))), list(numbers(row.get("memory", "")))
    if not name or not vcpus or not memory:
        return None
    arm = _ARM.search(row.get("physicalprocessor", ""))
    machine = MachineType(
        name=name,
        vcpus=float(vcpus[0]),
        memory_mib=round(memory[0] * 1024),
        architecture="arm64" if arm else "x86_64",
    )
    gpus = list(numbers(row.get("gpu", "")))
    if not gpus or not gpus[0]:
        return machine
    kin = next((one for one in known.values() if one.gpu and _family(one.name) == _family(name)), None)
    if kin is None or gpus[0] < 1:
        return None
    return msgspec.structs.replace(machine, gpu=kin.gpu, gpus=int(gpus[0]), gpu_memory_mib=kin.gpu_memory_mib)


def _family(name: str) -> str:
    found = _FAMILY.match(name)
    return found[0] if found else name


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower().replace("s/w", "sw"))


def _day(text: str, place: str) -> str:
    found = _DATE.match(text)
    try:
        return date.fromisoformat("" if found is None else found[0]).isoformat()
    except ValueError as problem:
        raise UpdateFailed(
            f"{shown(place)} is no offer file: its publication date is {text[:40]!r}", hint="fetch it again"
        ) from problem


def urls(regions: Iterable[str]) -> list[str]:
    return [URL.format(region=region) for region in regions]
