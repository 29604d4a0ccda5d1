"""The catalogue that is shipped: every row is a price that can be true, with its date and source."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from skylift.pricing.catalogue import CLOUDS, Catalogue, MachinePrice, MachineType, Rate, catalogue
from skylift.pricing.files import SHIPPED as FOLDER
from skylift.pricing.files import SnapshotInvalid, snapshots
from skylift.pricing.quality import machine_faults, rate_fault
from skylift.pricing.snapshot import Snapshot, prices_of

SHIPPED = catalogue()
FILES = {cloud: snapshots(cloud, Path("/nowhere")) for cloud in CLOUDS}
DAY = re.compile(r"20\d\d(-\d\d(-\d\d)?)?")
UNITS = {
    "GB-second", "1M requests", "vCPU-hour", "GB-hour", "GHz-second", "transition", "GB-month", "GB", "1k requests",
    "MBps-month", "IOPS-month",
}  # fmt: skip


def machine_rows(cloud: str) -> Iterator[MachinePrice]:
    for snapshot in FILES[cloud]:
        for table in snapshot.tables:
            for name, text in table.prices.items():
                for region, usd in prices_of(text, snapshot.regions).items():
                    yield MachinePrice(
                        service=table.services[0],
                        type=name,
                        region=region,
                        market=table.market,
                        usd_per_hour=usd,
                        as_of=table.as_of,
                        source=table.source,
                        cloud=cloud,
                        term=table.term,
                    )


ROWS = {cloud: list(machine_rows(cloud)) for cloud in CLOUDS}
RATES = [rate for files in FILES.values() for snapshot in files for rate in snapshot.rates]


def test_there_are_so_many_prices_of_four_clouds() -> None:
    on_demand = {cloud: sum(row.market == "on-demand" for row in rows) for cloud, rows in ROWS.items()}
    # instances.csv; AWS also 3 x 87 of 2017, and 22 managed machines as training and as endpoint; Azure 5 such
    assert on_demand == {"aws": 6589 + 261 + 44, "gcp": 5487, "azure": 9350 + 10, "lambda": 425}
    assert {cloud: len(SHIPPED.book(cloud).machines) for cloud in CLOUDS} == {
        "aws": 1366 + 16,
        "gcp": 531,
        "azure": 1432 + 3,
        "lambda": 25,
    }


def test_every_row_has_a_date_and_a_source_and_no_source_is_idle() -> None:
    for cloud, files in FILES.items():
        for snapshot in files:
            dated = [*snapshot.tables, *snapshot.advice, *snapshot.rates, *snapshot.rules, *snapshot.set_aside]
            assert dated, cloud
            assert all(DAY.fullmatch(row.as_of) for row in dated)
            assert {row.source for row in dated} == set(snapshot.sources)
            assert all(len(text) > 10 for text in snapshot.sources.values())


def test_no_price_breaks_a_rule() -> None:
    for cloud, rows in ROWS.items():
        assert list(machine_faults(rows, SHIPPED.book(cloud).machines)) == []
    assert [rate_fault(rate) for rate in RATES if rate_fault(rate)] == []


def test_no_machine_costs_less_or_more_than_any_that_is_sold() -> None:
    for rows in ROWS.values():
        assert all(Decimal("0.0005") < row.usd_per_hour < 410 for row in rows)


def test_spot_and_reserved_are_not_above_on_demand_of_the_same_time() -> None:
    compared = 0
    for cloud, rows in ROWS.items():
        for row in rows:
            if row.market == "on-demand":
                continue
            full = SHIPPED.machine_price(row.service, row.type, row.region, "on-demand", cloud=cloud)
            then = SHIPPED.machine_price(row.service, row.type, row.region, "on-demand", row.as_of, cloud)
            assert (then or full) is not None, row
            assert row.usd_per_hour <= max(one.usd_per_hour for one in (then, full) if one is not None), row
            compared += 1
    assert compared > 15_000


def test_the_two_gpus_whose_spot_price_is_above_on_demand_are_set_aside_and_no_answer() -> None:
    aside = SHIPPED.set_aside("gcp")
    assert {(one.what, one.region, str(one.usd)) for one in aside} == {
        ("accelerator:A100-80GB", "europe-west4", "2.1626"),
        ("accelerator:A100-80GB", "us-central1", "1.964"),
    }
    assert all("above on-demand" in one.why for one in aside)
    for one in aside:
        assert SHIPPED.machine_price("batch", one.what, one.region, "spot", cloud="gcp") is None
        assert SHIPPED.machine_price("batch", one.what, one.region, "on-demand", cloud="gcp") is not None


def test_rates_in_yuan_are_set_aside() -> None:
    aside = SHIPPED.set_aside("aws")
    assert {one.region for one in aside} == {"cn-north-1", "cn-northwest-1"}
    assert all("yuan" in one.why for one in aside)
    assert SHIPPED.rate("orchestrator", "transition", "cn-north-1") is None


def test_every_price_is_of_a_machine_that_is_described() -> None:
    for cloud, rows in ROWS.items():
        assert {row.type for row in rows} == set(SHIPPED.book(cloud).machines)
        for machine in SHIPPED.machines(cloud).values():
            assert (machine.gpu is None) == (machine.gpus == 0), machine
            assert 0 < machine.gpu_share <= 1
            if not machine.name.startswith("accelerator:"):
                assert machine.vcpus > 0 and machine.memory_mib >= 500, machine


def test_a_model_of_gpu_has_one_memory_on_every_cloud() -> None:
    """RTX 6000 of Google and of Lambda are two models; so are the V100s of 16 and 32 GB."""
    sizes: dict[str, set[int]] = {}
    for cloud in CLOUDS:
        for machine in SHIPPED.machines(cloud).values():
            if machine.gpu is not None and machine.gpu_memory_mib is not None and machine.gpu_share == 1:
                sizes.setdefault(machine.gpu, set()).add(machine.gpu_memory_mib)
    apart = {model: max(found) / min(found) for model, found in sizes.items()}
    assert {model for model, ratio in apart.items() if ratio > 1.08} == set()  # 22.35 and 24 GiB of an L4 are one
    assert len(sizes) > 20


def test_a_larger_machine_of_a_family_is_not_cheaper() -> None:
    families: dict[str, list[tuple[float, Decimal]]] = {}
    for name in ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge"):
        for family in ("c5", "m5", "r5", "m5a", "r5a", "m6g", "m7i"):
            price = SHIPPED.machine_price("batch", f"{family}.{name}", "us-east-1", "on-demand")
            if price is not None:
                families.setdefault(family, []).append((SHIPPED.types[price.type].vcpus, price.usd_per_hour))
    assert len(families) == 7
    for sizes in families.values():
        ordered = [price for _, price in sorted(sizes)]
        assert len(ordered) >= 4 and ordered == sorted(ordered)


def test_no_price_jumps_between_two_dates() -> None:
    """An outlier in time: one that is more than three times, or less than a third of, what it was before."""
    series: dict[tuple[str, str, str, str, str | None], dict[str, Decimal]] = {}
    for row in ROWS["aws"]:
        series.setdefault((row.service, row.type, row.region, row.market, row.term), {})[row.as_of] = row.usd_per_hour
    several = [sorted(found.items()) for found in series.values() if len(found) > 1]
    assert len(several) > 300
    for found in several:
        for (_, before), (_, after) in pairwise(found):
            assert before / 3 < after < before * 3


def test_no_row_stands_twice() -> None:
    for rows in ROWS.values():
        keys = [(row.service, row.type, row.region, row.market, row.term, row.as_of) for row in rows]
        assert len(keys) == len(set(keys))
    rates = [(r.cloud, r.service, r.item, r.region, r.market, r.as_of, r.tier_from) for r in RATES]
    assert len(rates) == len(set(rates))


def test_rates_have_units_that_are_known_and_one_for_an_item() -> None:
    assert {rate.unit for rate in RATES} <= UNITS
    units: dict[tuple[str, str], set[str]] = {}
    for rate in RATES:
        units.setdefault((rate.service, rate.item), set()).add(rate.unit)
    assert {item: found for item, found in units.items() if len(found) > 1} == {}


def test_tiers_begin_with_the_first_unit_and_become_cheaper() -> None:
    seen = 0
    for cloud in CLOUDS:
        for service, item, region, market in SHIPPED.book(cloud).rates:
            tiers = SHIPPED.tiers(service, item, region, cloud, market)
            assert tiers and tiers[0].tier_from == 0
            assert [one.tier_from for one in tiers] == sorted({one.tier_from for one in tiers})
            assert [one.usd for one in tiers] == sorted((one.usd for one in tiers), reverse=True)
            seen += len(tiers) > 1
    assert seen > 25


def test_rates_of_one_item_are_alike_in_all_regions() -> None:
    """A unit that was mixed up would stand out."""
    items: dict[tuple[str, str, str], list[Decimal]] = {}
    for rate in RATES:
        if not rate.tier_from and rate.market == "on-demand":
            items.setdefault((rate.cloud, rate.service, rate.item), []).append(rate.usd)
    for key, found in items.items():
        middle = median(found)
        assert all(middle / 8 <= usd <= middle * 8 for usd in found), key


def price(usd: str, market: str = "on-demand", type: str = "a", region: str = "r") -> MachinePrice:
    return MachinePrice(
        type=type,
        region=region,
        market=market,  # type: ignore[arg-type]
        usd_per_hour=Decimal(usd),
        as_of="2026-01-01",
        source="s",
    )


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([price("0")], "nothing is sold for nothing"),
        ([price("-1")], "nothing is sold for nothing"),
        ([price("1001")], "above any machine's price"),
        ([price("1"), price("1.01", "spot")], "spot at 1.01 is above on-demand at 1"),
        ([price("1"), price("1.01", "reserved")], "reserved at 1.01 is above on-demand"),
        ([price("1", region="a"), price("1.1", region="b"), price("7", region="c")], "another unit or currency"),
        ([price("1", type="unheard")], "nothing is known of"),
        ([price("1"), price("1")], None),
    ],
)
def test_what_breaks_a_rule_is_told_with_the_reason(rows: list[MachinePrice], why: str | None) -> None:
    found = list(machine_faults(rows, {"a": MachineType(name="a", vcpus=1, memory_mib=1024)}))
    assert [row for row, _ in found] == ([rows[-1]] if why else [])
    assert all(why is not None and why in reason for _, reason in found)


def test_of_several_prices_of_the_same_none_is_the_price() -> None:
    rows = [price("1"), price("1.5"), price("0.5", "spot")]
    found = list(machine_faults(rows, {"a": MachineType(name="a", vcpus=1, memory_mib=1024)}))
    assert [row for row, _ in found] == rows[:2]
    assert all(reason.endswith("at the same date: 1, 1.5") for _, reason in found)


@pytest.mark.parametrize(("usd", "unit"), [("0", "GB"), ("1.2", "GB"), ("0.001", "GB-second")])
def test_a_rate_that_cannot_be(usd: str, unit: str) -> None:
    row = Rate(service="s", item="i", unit=unit, region="r", usd=Decimal(usd), as_of="2026", source="s")
    assert rate_fault(row) is not None


def test_it_takes_less_than_two_megabytes() -> None:
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert 500_000 < size < 2_000_000


def test_a_cloud_that_nobody_asks_for_is_not_read() -> None:
    read: list[str] = []

    def recorded(cloud: str) -> list[Snapshot]:
        read.append(cloud)
        return FILES[cloud]

    known = Catalogue(recorded)
    assert known.machine_price("batch", "Standard_NC6s_v3", "eastus", "on-demand", cloud="azure") is not None
    assert read == ["azure"]


OWN: dict[str, Any] = {
    "cloud": "aws",
    "as_of": "2027-01-01",
    "sources": {"s": "a test"},
    "regions": ["r"],
    "types": {"a": "2 4096 x"},
    "tables": [{"as_of": "2027-01-01", "source": "s", "prices": {"a": "0 1.5"}}],
}


def own(**more: Any) -> str:
    return json.dumps({**OWN, **more})


def priced(text: str, source: str = "s", name: str = "a") -> str:
    return own(tables=[{"as_of": "2027-01-01", "source": source, "prices": {name: text}}])


def test_a_file_in_the_home_takes_part(tmp_path: Path) -> None:
    (tmp_path / "prices" / "aws").mkdir(parents=True)
    (tmp_path / "prices" / "aws" / "own.json").write_text(own())
    found = catalogue(tmp_path).machine_price("batch", "a", "r", "on-demand")
    assert found is not None and catalogue(tmp_path).source(found) == "a test (2027-01-01)"
    assert catalogue(tmp_path).machine("c5.large") is not None


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        '{"cloud": "aws"}',
        own(cloud="gcp"),
        own(format=2),
        own(types={"a": "2"}),
        own(types={"a": "two 4096 x"}),
        own(sources={}),
        priced("7 1.5"),
        priced("0"),
        priced("0 much"),
        priced("0 NaN"),
        priced("0 -1"),
        priced("0 1", source="t"),
        priced("0 1", name="unheard"),
        own(advice=[{"as_of": "2027", "source": "s", "buckets": ["<5%"], "savings": {"a": "0 50 3"}}]),
    ],
)
def test_a_file_in_the_home_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    bad = tmp_path / "prices" / "aws" / "machines-2027-01-01.json"
    bad.parent.mkdir(parents=True)
    bad.write_text(content)
    with pytest.raises(SnapshotInvalid) as caught:
        catalogue(tmp_path).machine("c5.large")
    assert str(bad) in caught.value.message
