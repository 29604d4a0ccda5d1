"""What the catalogue answers with: machines, their prices, rates of what is bought by the amount, and billing rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from skylift.ports.compute import Market, ServiceClass

Cloud = Literal["aws", "gcp", "azure", "lambda"]
"""`lambda` is the GPU cloud of Lambda Labs, not the function service of AWS."""

CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure", "lambda")
EVERYWHERE = "*"
"""Region of a price that is the same in every region of its cloud that has none of its own."""

Architecture = Literal["x86_64", "arm64"]


class MachineType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a machine has."""

    name: str
    vcpus: float
    memory_mib: int
    gpu: str | None = None
    """Model of its accelerators: `V100`, `inferentia2`."""
    gpus: int = 0
    gpu_share: float = 1.0
    """How much of each of them it has; less than 1 for a slice of one."""
    gpu_memory_mib: int | None = None
    """Of one whole device, or of the slice; None where no source says."""
    architecture: Architecture = "x86_64"
    cloud: str = "aws"


class Advised(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of the spot market of a machine."""

    type: str
    region: str
    savings_pct: int
    """Against on-demand."""
    interruption: str
    """Share of such machines that was taken away in a month: `<5%` … `>20%`."""
    as_of: str
    source: str
    cloud: str = "aws"


class MachinePrice(msgspec.Struct, frozen=True, kw_only=True):
    """Of a machine for an hour."""

    type: str
    region: str
    market: Market
    service: str = "batch"
    usd_per_hour: Decimal
    as_of: str
    source: str
    """Key in the catalogue's sources."""
    cloud: str = "aws"
    term: str | None = None
    """Of a reserved price: `1yr-no-upfront`; the price is what an hour comes to, all payments spread over the term."""
    estimate: bool = False
    """On-demand times (1 - the savings that the provider publishes), not a price that somebody has paid."""
    interruption: str | None = None
    """Of an estimate: how often such machines are taken away in a month, as the provider's bucket."""
    parts: tuple[MachinePrice | Advised, ...] = ()
    """What it is made of: the prices of a host and of the GPUs that are added to it; of an estimate the price and the
    savings that are taken off."""


class Rate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of what is bought by the amount: GB-seconds, requests, gigabytes moved."""

    service: str
    item: str
    unit: str
    region: str
    market: Market = "on-demand"
    usd: Decimal
    as_of: str
    source: str
    cloud: str = "aws"
    tier_from: Decimal = Decimal(0)
    """From how many units a month on this rate counts."""
    note: str | None = None


class Size(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Processors, and the memory that can be had with them."""

    vcpus: float
    least_mib: int
    most_mib: int
    step_mib: int
    ghz: float | None = None
    """Where processors are billed by their clock."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a service class is billed and what its limits are."""

    service: ServiceClass
    startup_ms: tuple[int, int]
    """How long a place takes to come: shortest and longest, as users of these services see it."""
    increment_ms: int
    """What is begun of it is paid whole."""
    minimum_ms: int
    bills_startup: bool
    longest_ms: int | None = None
    sizes: tuple[Size, ...] = ()
    mib_per_vcpu: float | None = None
    """Where processors come in proportion to memory."""
    families: tuple[str, ...] = ()
    """Beginnings of the names of the machines that places are made of where nobody names others."""
    as_of: str
    source: str
    cloud: str = "aws"


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A price of the sources that cannot be true: kept with the reason, and never an answer."""

    cloud: str
    what: str
    """Machine type, or service and item."""
    region: str
    market: Market
    usd: Decimal
    as_of: str
    source: str
    why: str
