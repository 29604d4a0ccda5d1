"""GPUs that are added to a machine: Google sells some alone, and the price of both is the sum.

Such a pair has a name of ours, `n1-standard-8+2xT4`. Which hosts take how many is Google's own table ("GPU machine
types", N1): so many processors at most with so many GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from skylift.pricing.book import Book
from skylift.pricing.rows import MachinePrice, MachineType

PREFIX = "accelerator:"
HOSTS = "n1-"
MOST_VCPUS: dict[str, dict[int, int]] = {
    "T4": {1: 48, 2: 48, 4: 96},
    "P4": {1: 24, 2: 48, 4: 96},
    "V100": {1: 12, 2: 24, 4: 48, 8: 96},
    "P100": {1: 16, 2: 32, 4: 64},
}
"""Model → number of GPUs → most processors of the host. Others (L4, A100, H100) come in machines of their own."""
_NAME = re.compile(r"(?P<host>n1-[a-z]+-\d+)\+(?P<count>\d+)x(?P<model>[A-Z0-9]+)")


def machine(name: str, book: Book) -> MachineType | None:
    """What host and GPUs have together; None for what is no such pair, or cannot be had."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    host, model, count = book.machine(found["host"]), found["model"], int(found["count"])
    device = book.machine(PREFIX + model)
    most = MOST_VCPUS.get(model, {}).get(count, 0)
    if host is None or device is None or host.vcpus > most:
        return None
    return msgspec.structs.replace(host, name=name, gpu=model, gpus=count, gpu_memory_mib=device.gpu_memory_mib)


def parts_of(name: str) -> tuple[str, str] | None:
    """Names of the host and of the GPU; None for what is no pair."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found["host"], PREFIX + found["model"])


def price(book: Book, service: str, name: str, region: str, market: str, as_of: str | None) -> MachinePrice | None:
    """The sum, dated by the older of the two rows."""
    pair = machine(name, book)
    if pair is None or pair.gpu is None:
        return None
    host = book.price(service, name.partition("+")[0], region, market, as_of, None)
    device = book.price(service, PREFIX + pair.gpu, region, market, as_of, None)
    if host is None or device is None:
        return None
    older = min(host, device, key=lambda row: row.as_of)
    return msgspec.structs.replace(
        host,
        type=name,
        usd_per_hour=host.usd_per_hour + pair.gpus * device.usd_per_hour,
        as_of=older.as_of,
        source=older.source,
        parts=(host, device),
    )


def pairs(book: Book) -> Iterator[MachineType]:
    """All that can be had."""
    hosts = [one for one in book.names if one.startswith(HOSTS)]
    for model, counts in MOST_VCPUS.items():
        for count in counts:
            for host in hosts:
                found = machine(f"{host}+{count}x{model}", book)
                if found is not None:
                    yield found
