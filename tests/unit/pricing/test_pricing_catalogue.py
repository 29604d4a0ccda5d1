"""The catalogue that is shipped: every row is a price that can be true, with its date and source."""

from __future__ import annotations

from decimal import Decimal

import pytest

from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import Catalogue, MachinePrice, Snapshot, catalogue, newest
from skylift.pricing.places import hourly, places

SHIPPED = catalogue()


def test_published_prices() -> None:
    """Read from the sources by hand."""

    def usd(type: str, market: str, service: str = "batch", region: str = "us-east-1") -> Decimal | None:
        price = SHIPPED.machine_price(service, type, region, market)
        return None if price is None else price.usd_per_hour

    assert usd("p3.2xlarge", "on-demand") == Decimal("3.06")
    assert usd("p3.2xlarge", "spot") == Decimal("0.918")
    assert usd("m5.large", "on-demand", region="eu-west-1") == Decimal("0.107")
    assert usd("ml.p3.2xlarge", "on-demand", "managed-training") == Decimal("3.825")
    assert usd("ml.p3.2xlarge", "spot", "managed-training") is None
    assert usd("p3.2xlarge", "spot", region="us-west-2") is None
    memory = SHIPPED.rate("function", "memory", "us-east-1", "on-demand")
    assert memory is not None and memory.usd == Decimal("0.0000166667")


def test_an_older_price_stays_answerable() -> None:
    asked = ("batch", "inf1.xlarge", "us-east-1", "on-demand")

    def at(as_of: str | None) -> tuple[str, str] | None:
        found = SHIPPED.machine_price(*asked, as_of=as_of)
        return None if found is None else (str(found.usd_per_hour), found.as_of)

    assert at(None) == ("0.228", "2026-07-20")
    assert at("2022-01-01") == ("0.228", "2021-11-26")
    assert at("2020-12-31") == ("0.368", "2020-08-30")
    assert at("2020-08-29") is None
    assert SHIPPED.machine_price("batch", "p2.xlarge", "us-east-1", "on-demand", as_of="2018") is not None
    now = SHIPPED.machine_price(*asked)
    assert now is not None and "karpenter" in SHIPPED.source(now)


def test_the_newest_of_dates_with_and_without_days() -> None:
    def row(as_of: str) -> MachinePrice:
        return MachinePrice(type="t", region="r", market="spot", usd_per_hour=Decimal(1), as_of=as_of, source="s")

    found = newest([row("2020"), row("2020-05-01"), row("2019-12-31")], None)
    assert found is not None and found.as_of == "2020-05-01"
    assert newest([], None) is None


def test_a_missing_price_is_no_price() -> None:
    types = {"c5.large": "2 4096 x"}
    bare = Catalogue.of(Snapshot(cloud="aws", as_of="2020", types=types, rules=tuple(SHIPPED.rules.values())))
    assert places(Requirements(), catalogue=bare, region="us-east-1") == []
    [some, *_] = places(Requirements(), catalogue=SHIPPED, region="us-east-1")
    assert hourly(some, bare) is None


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Requirements(), ("function", "lambda", 1769)),
        (Requirements(memory_mib=512), ("function", "lambda", 512)),
        (Requirements(memory_mib=10_240), ("function", "lambda", 10_240)),
        (Requirements(memory_mib=10_241), ("container", "fargate", 11_264)),
        (Requirements(cpus=6), ("container", "fargate", 16_384)),
        (Requirements(memory_mib=200_000), ("batch", "r5.8xlarge", 262_144)),
        (Requirements(gpu="V100"), ("batch", "p3.2xlarge", 62_464)),
        (Requirements(gpu="v100:4"), ("batch", "p3.8xlarge", 249_856)),
        (Requirements(gpu="1"), ("batch", "g4dn.xlarge", 16_384)),
        (Requirements(work_ms=900_001), ("container", "fargate", 2_048)),
        (Requirements(timeout_ms=900_000), ("function", "lambda", 1769)),
        (Requirements(image="some:image"), ("container", "fargate", 2_048)),
        (Requirements(nodes=2), ("batch", "c5.large", 4_096)),
    ],
)
def test_the_first_place_is_the_quickest_class_that_fits_and_its_cheapest_size(
    needs: Requirements, expected: tuple[str, str, int]
) -> None:
    first = places(needs, catalogue=SHIPPED, region="us-east-1")[0]
    assert (first.service, first.instance_type, first.memory_mib) == expected


@pytest.mark.parametrize("needs", [Requirements(gpu="Imaginary9000"), Requirements(memory_mib=10**7)])
def test_what_nothing_has_has_no_place(needs: Requirements) -> None:
    assert places(needs, catalogue=SHIPPED, region="us-east-1") == []
