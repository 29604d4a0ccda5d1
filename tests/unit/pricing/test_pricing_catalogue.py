"""The catalogue that is shipped: every row is a price that can be true, with its date and source."""

from __future__ import annotations

import re
from decimal import Decimal
from importlib.resources import files

import pytest

from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import Catalogue, MachinePrice, Snapshot, catalogue, newest
from skylift.pricing.places import hourly, places

SHIPPED = catalogue()
ROWS = [*SHIPPED.snapshot.prices, *SHIPPED.snapshot.rates, *SHIPPED.snapshot.rules]


def test_every_row_has_a_date_and_a_source_that_is_named() -> None:
    for row in ROWS:
        assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", row.as_of), row
        assert row.source in SHIPPED.snapshot.sources, row
    used = {row.source for row in ROWS}
    assert used == set(SHIPPED.snapshot.sources)


def test_no_price_is_nothing_or_absurd() -> None:
    assert all(Decimal("0.001") < price.usd_per_hour < Decimal("200") for price in SHIPPED.snapshot.prices)
    assert all(Decimal(0) < rate.usd < Decimal(1) for rate in SHIPPED.snapshot.rates)


def test_spot_is_cheaper_than_on_demand_of_its_region() -> None:
    compared = 0
    for price in SHIPPED.snapshot.prices:
        steady = SHIPPED.machine_price(price.service, price.type, price.region, "on-demand")
        if price.market == "spot":
            assert steady is not None and price.usd_per_hour < steady.usd_per_hour, price
            compared += 1
    assert compared > 20


def test_every_price_is_of_a_type_that_is_described() -> None:
    assert {price.type for price in SHIPPED.snapshot.prices} == set(SHIPPED.types)
    for machine in SHIPPED.types.values():
        assert machine.vcpus >= 1 and machine.memory_mib >= 1024
        assert (machine.gpu is None) == (machine.gpus == 0), machine


def test_a_larger_machine_of_a_family_is_not_cheaper() -> None:
    for region in ("us-east-1", "us-west-2", "eu-west-1"):
        families: dict[str, list[tuple[float, Decimal]]] = {}
        for name, machine in SHIPPED.types.items():
            price = SHIPPED.machine_price("batch", name, region, "on-demand")
            if price is not None:
                families.setdefault(name.split(".")[0], []).append((machine.vcpus, price.usd_per_hour))
        assert len(families) >= 5
        for sizes in families.values():
            ordered = [price for _, price in sorted(sizes)]
            assert ordered == sorted(ordered)


def test_no_row_stands_twice() -> None:
    keys = [(p.service, p.type, p.region, p.market, p.as_of) for p in SHIPPED.snapshot.prices]
    assert len(keys) == len(set(keys))


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
    asked = ("batch", "c5.large", "us-east-1", "on-demand")
    then, now = SHIPPED.machine_price(*asked, as_of="2022-01-01"), SHIPPED.machine_price(*asked)
    assert then is not None and now is not None
    assert (then.as_of, now.as_of) == ("2021-11-26", "2026-07-20")
    assert SHIPPED.machine_price(*asked, as_of="2015-01-01") is None
    assert "karpenter" in SHIPPED.source(now)


def test_the_newest_of_dates_with_and_without_days() -> None:
    def row(as_of: str) -> MachinePrice:
        return MachinePrice(type="t", region="r", market="spot", usd_per_hour=Decimal(1), as_of=as_of, source="s")

    found = newest([row("2020"), row("2020-05-01"), row("2019-12-31")], None)
    assert found is not None and found.as_of == "2020-05-01"
    assert newest([], None) is None


def test_a_missing_price_is_no_price() -> None:
    bare = Catalogue(
        Snapshot(
            cloud="aws",
            sources={},
            types=SHIPPED.snapshot.types,
            prices=(),
            rates=(),
            rules=SHIPPED.snapshot.rules,
        )
    )
    assert places(Requirements(), catalogue=bare, region="us-east-1") == []
    [some, *_] = places(Requirements(), catalogue=SHIPPED, region="us-east-1")
    assert hourly(some, bare) is None


def test_it_is_small() -> None:
    assert len(files("skylift.pricing").joinpath("aws.json").read_bytes()) < 100_000


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Requirements(), ("function", "lambda", 1769)),
        (Requirements(memory_mib=512), ("function", "lambda", 512)),
        (Requirements(memory_mib=10_240), ("function", "lambda", 10_240)),
        (Requirements(memory_mib=10_241), ("container", "fargate", 11_264)),
        (Requirements(cpus=6), ("container", "fargate", 16_384)),
        (Requirements(memory_mib=200_000), ("batch", "r5.12xlarge", 393_216)),
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
