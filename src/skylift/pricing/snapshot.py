"""A dated part of the catalogue as it is stored: one JSON file, small, and quick to read where little of it is asked.

Prices of a machine type are one text, `"0 3.06 4 3.305"`: pairs of a region's number in `regions` and exact US dollars
an hour. A text is taken apart when somebody asks for its type, so that reading a file of thousands of prices costs no
more than finding the ends of its texts. Texts of `types` are `vcpus memory_mib architecture [gpu gpus share gpu_mib]`,
with `-` for what is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from skylift.ports.compute import Market
from skylift.pricing.rows import Advised, MachineType, Rate, Rule, SetAside

FORMAT = 1
UNKNOWN = "-"


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prices of machines that have a service, a market, a date and a source in common."""

    services: tuple[str, ...] = ("batch",)
    market: Market = "on-demand"
    term: str | None = None
    as_of: str
    source: str
    prices: dict[str, str]


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of its spot market: triples of a region's number, savings in percent, a bucket's number."""

    as_of: str
    source: str
    buckets: tuple[str, ...]
    savings: dict[str, str]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file."""

    format: int = FORMAT
    cloud: str
    as_of: str
    """Date of its newest row."""
    sources: dict[str, str] = {}
    regions: tuple[str, ...] = ()
    types: dict[str, str] = {}
    tables: tuple[Table, ...] = ()
    advice: tuple[Advice, ...] = ()
    rates: tuple[Rate, ...] = ()
    rules: tuple[Rule, ...] = ()
    set_aside: tuple[SetAside, ...] = ()


def read(raw: bytes) -> Snapshot:
    """Raises msgspec.DecodeError or ValidationError for what is no snapshot."""
    return msgspec.json.decode(raw, type=Snapshot)


def check(snapshot: Snapshot) -> None:
    """Raises ValueError, ArithmeticError or LookupError where a text cannot be taken apart or a source is not named."""
    for name, text in snapshot.types.items():
        machine_of(name, text, snapshot.cloud)
    used = (
        {row.source for row in snapshot.tables}
        | {row.source for row in snapshot.advice}
        | {row.source for row in snapshot.rates}
    )
    used |= {row.source for row in snapshot.rules} | {row.source for row in snapshot.set_aside}
    if not used <= snapshot.sources.keys():
        raise LookupError(f"sources that are not named: {', '.join(sorted(used - snapshot.sources.keys()))}")
    for table in snapshot.tables:
        for name, text in table.prices.items():
            if name not in snapshot.types:
                raise LookupError(f"{name!r} has a price and is not described")
            if not all(usd.is_finite() and usd > 0 for usd in prices_of(text, snapshot.regions).values()):
                raise ValueError(f"{name!r} has a price that is no amount: {text}")
    for advice in snapshot.advice:
        for name, text in advice.savings.items():
            list(advised_of(name, text, advice, snapshot))


def machine_of(name: str, text: str, cloud: str) -> MachineType:
    words = text.split()
    gpu, gpus, share, gpu_mib = words[3:] or (None, "0", "1", UNKNOWN)
    return MachineType(
        name=name,
        vcpus=float(words[0]),
        memory_mib=int(words[1]),
        architecture="arm64" if words[2] == "a" else "x86_64",
        gpu=gpu,
        gpus=int(gpus),
        gpu_share=float(share),
        gpu_memory_mib=None if gpu_mib == UNKNOWN else int(gpu_mib),
        cloud=cloud,
    )


def text_of(machine: MachineType) -> str:
    """The other way about."""
    words = [f"{machine.vcpus:g}", str(machine.memory_mib), machine.architecture[0]]
    if machine.gpu is not None:
        memory = UNKNOWN if machine.gpu_memory_mib is None else str(machine.gpu_memory_mib)
        words += [machine.gpu, str(machine.gpus), f"{machine.gpu_share:g}", memory]
    return " ".join(words)


def prices_of(text: str, regions: tuple[str, ...]) -> dict[str, Decimal]:
    words = text.split()
    return {regions[int(words[at])]: Decimal(words[at + 1]) for at in range(0, len(words), 2)}


def price_text(prices: Mapping[str, Decimal], regions: tuple[str, ...]) -> str:
    """The other way about."""
    numbered = sorted((regions.index(region), usd) for region, usd in prices.items())
    return " ".join(f"{number} {plain(usd)}" for number, usd in numbered)


def advised_of(name: str, text: str, advice: Advice, snapshot: Snapshot) -> Iterable[Advised]:
    words = text.split()
    for at in range(0, len(words), 3):
        yield Advised(
            type=name,
            region=snapshot.regions[int(words[at])],
            savings_pct=int(words[at + 1]),
            interruption=advice.buckets[int(words[at + 2])],
            as_of=advice.as_of,
            source=advice.source,
            cloud=snapshot.cloud,
        )


def plain(usd: Decimal) -> str:
    """Exact, without an exponent and without zeros that say nothing."""
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
