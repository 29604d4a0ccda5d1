"""Machines found by what they have: old prices, estimates, GPUs that are added to hosts, and why nothing was found."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from skylift.errors import SkyliftError
from skylift.pricing.asking import query_of
from skylift.pricing.catalogue import Catalogue, Found, Query, catalogue
from skylift.pricing.missing import reason
from skylift.pricing.names import nearest
from skylift.pricing.snapshot import Advice, Snapshot, Table

KNOWN = catalogue()


def one(**words: Any) -> Found:
    [found] = KNOWN.find(Query(**words))
    return found


def usd(text: str) -> Decimal:
    return Decimal(text)


def test_the_newest_price_counts_unless_a_day_is_asked_for() -> None:
    asked = {"type": "inf1.xlarge", "region": "us-east-1"}
    now, then = one(**asked), one(**asked, as_of="2020-12-31")
    assert now.on_demand is not None and then.on_demand is not None
    assert (now.on_demand.usd_per_hour, now.on_demand.as_of) == (usd("0.228"), "2026-07-20")
    assert (then.on_demand.usd_per_hour, then.on_demand.as_of) == (usd("0.368"), "2020-08-30")
    assert then.spot is None and now.spot is not None
    assert (now.spot.usd_per_hour, now.spot.as_of) == (usd("0.1104"), "2021-04-06")


def test_a_price_of_2017_stays_answerable_with_its_reserved_terms() -> None:
    assert [str(price.usd_per_hour) for price in KNOWN.reserved("p2.xlarge", "us-east-1")] == [
        "0.399",
        "0.425",
        "0.459",
        "0.573",
        "0.585",
        "0.614",
    ]
    three = KNOWN.machine_price("batch", "p2.xlarge", "us-east-1", "reserved", term="3yr-partial-upfront")
    assert three is not None and (three.usd_per_hour, three.as_of) == (usd("0.425"), "2017-11-12")
    plain = KNOWN.machine_price("batch", "p2.xlarge", "us-east-1", "reserved")
    assert plain is not None and plain.term == "1yr-no-upfront"
    assert KNOWN.reserved("p2.xlarge", "us-east-1", as_of="2017-11-11") == ()


def test_an_estimate_is_on_demand_less_what_spot_saves_and_says_what_it_is_made_of() -> None:
    found = one(type="p3.2xlarge", region="us-west-2")
    assert found.spot is None and found.estimate is not None and found.on_demand is not None
    told = KNOWN.advised("p3.2xlarge", "us-west-2")
    assert told is not None and (told.savings_pct, told.interruption, told.as_of) == (71, ">20%", "2025-06-28")
    assert found.estimate.usd_per_hour == usd("3.06") * 29 / 100
    assert found.estimate.estimate and found.estimate.interruption == ">20%"
    assert found.estimate.as_of == min(told.as_of, found.on_demand.as_of)
    sources = KNOWN.sources_of(found.estimate)
    assert len(sources) == 2 and "Spot Advisor" in "".join(sources)
    assert KNOWN.spot_estimate("p3.2xlarge", "eu-central-1") is None


def test_only_recorded_spot_prices_are_listed_unless_estimates_are_wanted() -> None:
    asked = {"type": "p3.2xlarge", "region": "us-*", "spot": True, "cloud": "aws"}
    recorded = KNOWN.find(Query(**asked))
    every = KNOWN.find(Query(**asked, estimates=True))
    assert {found.region for found in recorded} == {"us-east-1", "us-east-2"}
    assert {found.region for found in every} == {"us-east-1", "us-east-2", "us-west-2"}


def test_a_spot_price_above_what_on_demand_costs_since_is_no_answer() -> None:
    cheaper = Snapshot(
        cloud="aws",
        as_of="2026-01-01",
        regions=("r",),
        sources={"s": "some source"},
        types={"a.large": "2 4096 x"},
        tables=(
            Table(market="spot", as_of="2021-01-01", source="s", prices={"a.large": "0 0.5"}),
            Table(as_of="2021-01-01", source="s", prices={"a.large": "0 0.9"}),
            Table(as_of="2026-01-01", source="s", prices={"a.large": "0 0.4"}),
        ),
        advice=(Advice(as_of="2025-01-01", source="s", buckets=("<5%",), savings={"a.large": "0 50 0"}),),
    )
    known = Catalogue.of(cheaper)
    [now] = known.find(Query(region="r"))
    [then] = known.find(Query(region="r", as_of="2022-01-01"))
    assert now.spot is None and now.estimate is not None and now.estimate.usd_per_hour == usd("0.2")
    assert then.spot is not None and then.spot.usd_per_hour == usd("0.5")


def test_a_gpu_that_is_added_to_a_host_costs_the_sum_and_is_as_old_as_the_older() -> None:
    found = one(type="n1-standard-8+2xT4", region="us-central1")
    host = KNOWN.machine_price("batch", "n1-standard-8", "us-central1", "on-demand", cloud="gcp")
    device = KNOWN.machine_price("batch", "accelerator:T4", "us-central1", "on-demand", cloud="gcp")
    assert host is not None and device is not None and found.on_demand is not None and found.spot is not None
    assert found.on_demand.usd_per_hour == host.usd_per_hour + 2 * device.usd_per_hour == usd("1.079998")
    assert found.on_demand.as_of == "2026-05-20" == min(host.as_of, device.as_of)
    assert KNOWN.sources_of(found.on_demand) == [KNOWN.source(host), KNOWN.source(device)]
    assert (found.machine.vcpus, found.machine.gpus, found.machine.gpu_memory_mib) == (8, 2, 16_384)
    assert found.spot.usd_per_hour < found.on_demand.usd_per_hour


@pytest.mark.parametrize(
    "name", ["n1-standard-8+3xT4", "n1-standard-16+1xV100", "n1-standard-8+1xL4", "n2-standard-8+1xT4", "n1-no-1+1xT4"]
)
def test_what_google_does_not_put_together_is_no_machine(name: str) -> None:
    assert KNOWN.machine(name, "gcp") is None
    assert KNOWN.machine_price("batch", name, "us-central1", "on-demand", cloud="gcp") is None


def test_gpus_alone_are_found_by_name_only() -> None:
    assert {found.machine.name for found in KNOWN.find(Query(gpu="T4", cloud="gcp"))} > {"n1-standard-4+1xT4"}
    assert not any(found.machine.name.startswith("accelerator:") for found in KNOWN.find(Query(gpu="T4", cloud="gcp")))
    assert one(type="accelerator:T4", region="us-central1").on_demand is not None


def test_slices_and_other_chips_are_no_gpus() -> None:
    models = {found.machine.gpu for found in KNOWN.find(Query(gpu="1", region="us-east-1"))}
    assert "V100" in models and not {"inferentia", "trainium"} & models
    assert all(found.machine.gpu_share == 1 for found in KNOWN.find(Query(gpu="1")))
    slice_of = KNOWN.machine("Standard_NV6ads_A10_v5", "azure")
    assert slice_of is not None and (slice_of.gpus, round(slice_of.gpu_share, 3)) == (1, 0.167)
    assert one(type="g6f.large", region="us-east-1").machine.gpu_share == 0.125


def test_arm_machines_are_known_as_such() -> None:
    arm = [("m6g.large", "aws"), ("a1.large", "aws"), ("g5g.xlarge", "aws"), ("t2a-standard-1", "gcp")]
    arm += [("Standard_D2pls_v5", "azure"), ("gpu_1x_gh200", "lambda")]
    x86 = [("g4dn.xlarge", "aws"), ("m5.large", "aws"), ("n1-standard-1", "gcp"), ("Standard_NP10s", "azure")]
    for names, wanted in ((arm, "arm64"), (x86, "x86_64")):
        for name, cloud in names:
            machine = KNOWN.machine(name, cloud)
            assert machine is not None and machine.architecture == wanted, name


@pytest.mark.parametrize(
    ("name", "cloud", "first"),
    [
        ("inf1.large", None, "inf1.xlarge"),
        ("inf1.large", "aws", "inf1.xlarge"),
        ("P3.2XLARGE", None, "p3.2xlarge"),
        ("p3.2xlrge", None, "p3.2xlarge"),
        ("n1-standrd-4", None, "n1-standard-4"),
        ("Standard_NC6s_v9", None, "Standard_NC6s_v3"),
        ("m5large", None, "m5.large"),
    ],
)
def test_a_near_miss_names_what_may_be_meant(name: str, cloud: str | None, first: str) -> None:
    assert KNOWN.nearest_type(name, cloud)[0] == first
    assert len(KNOWN.nearest_type(name, cloud)) <= 5


def test_nothing_is_near_to_nonsense() -> None:
    assert KNOWN.nearest_type("quux") == []
    assert nearest("", ["a.large"]) == []


def problem(**words: Any) -> SkyliftError:
    query = query_of(**words)
    assert KNOWN.find(query) == []
    return reason(query, KNOWN)


@pytest.mark.parametrize(
    ("words", "code", "said", "help"),
    [
        ({"type": "inf1.large"}, "UNKNOWN-MACHINE", "no machine type 'inf1.large'", "inf1.xlarge"),
        ({"type": "c5.large", "cloud": "gcp"}, "UNKNOWN-MACHINE", "gcp has no", "another cloud has c5.large"),
        ({"type": "quux.*"}, "UNKNOWN-MACHINE", "'quux.*'", "patterns"),
        ({"region": "us-est-1"}, "UNKNOWN-REGION", "'us-est-1'", "us-east-1"),
        ({"region": "us-east-1", "cloud": "azure"}, "UNKNOWN-REGION", "of azure", "eastus"),
        ({"gpu": "V10"}, "UNKNOWN-GPU", "'V10'", "V100"),
        ({"gpu": "nvidia-tesla-t4"}, "UNKNOWN-GPU", "'nvidia-tesla-t4'", "did you mean T4?"),
        ({"gpu": "A100 80GB"}, "UNKNOWN-GPU", "'A100 80GB'", "did you mean A100-80GB?"),
        ({"gpu": "Tesla_v 100"}, "UNKNOWN-GPU", "'Tesla_v 100'", "did you mean V100?"),
        ({"gpu": "A6000", "cloud": "aws"}, "UNKNOWN-GPU", "aws has no machines with GPU 'A6000'", "lambda has it"),
        ({"gpu": "a10", "cloud": "gcp"}, "UNKNOWN-GPU", "gcp has no machines", "azure and lambda have it"),
        ({"gpu": "xyz"}, "UNKNOWN-GPU", "no cloud has machines with GPU 'xyz'", "there are A10, A100,"),
        ({"region": "us-multi"}, "NO-PRICE", "no price of any machine in us-multi", "there are us-* (16)"),
        ({"region": "EU"}, "NO-PRICE", "no price of any machine in EU", "there are eu-central-1, eu-north-1"),
        ({"region": "mars-*"}, "UNKNOWN-REGION", "'mars-*'", "there are ap-* (6), asia-* (6), australia-east-1"),
        ({"region": "mars-1", "cloud": "azure"}, "UNKNOWN-REGION", "of azure", "there are eastus, eastus2, north"),
        ({"region": "us-est-*"}, "UNKNOWN-REGION", "'us-est-*'", "did you mean us-west-"),
        ({"region": "["}, "UNKNOWN-REGION", "'['", "there are ap-*"),
        ({"gpu": "V100", "as_of": "2014"}, "NO-PRICE", "of 2014-12-31 or before", "p3.2xlarge in us-east-1"),
        ({"spot": True, "as_of": "2014"}, "NO-PRICE", "no spot price of any machine", "(2021-04-06)"),
        ({"type": "p3.*", "gpu": "V100:4", "region": "eu-n*"}, "NO-PRICE", "p3.* with GPU V100:4 in eu-n*", "p3"),
        ({"gpu": "V100:99"}, "NO-MACHINE", "GPU V100:99", "8 x V100"),
        ({"memory": "999 TiB"}, "NO-MACHINE", "GiB", "largest such is u7in-32tb.224xlarge"),
        ({"vcpus": "9999"}, "NO-MACHINE", "9999 processors", "896 processors"),
        ({"type": "c5.*", "gpu": "1"}, "NO-MACHINE", "the name c5.*", "ask for less"),
        ({"type": "p3.2xlarge", "region": "eu-north-1"}, "NO-PRICE", "p3.2xlarge in eu-north-1", "us-east-1"),
        ({"type": "p2.xlarge", "as_of": "2015"}, "NO-PRICE", "of 2015-12-31 or before", "(2017-11-12)"),
        (
            {"type": "p3.2xlarge", "region": "us-west-2", "spot": True},
            "NO-PRICE",
            "no spot price",
            "spot (an estimate) $0.8874",
        ),
    ],
)  # fmt: skip
def test_why_nothing_was_found_and_what_is_nearest(words: dict[str, Any], code: str, said: str, help: str) -> None:
    found = problem(**words)
    assert found.code == code
    assert said in found.message
    assert help in (found.hint or "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"vcpus": "-1"}, "'-1' is no number"),
        ({"vcpus": "0"}, "'0' is no number"),
        ({"vcpus": "nan"}, "'nan' is no number"),
        ({"vcpus": "many"}, "'many' is no number"),
        ({"memory": "-3GiB"}, "'-3GiB' is not an amount"),
        ({"memory": "lots"}, "'lots' is not an amount"),
        ({"memory": "16"}, "'16' has no unit"),
        ({"gpu": "V100:0"}, "'V100:0'"),
        ({"gpu": ""}, "''"),
        ({"gpu": "0"}, "'0'"),
        ({"cloud": "oracle"}, "no cloud 'oracle'"),
        ({"sort": "colour"}, "'colour' is no order"),
        ({"estimates": True}, "--spot is not given"),
        ({"spot": True, "cloud": "lambda"}, "no spot market"),
        ({"type": " "}, "--type is empty"),
        ({"as_of": "yesterday"}, "'yesterday' is no date"),
        ({"as_of": "2021-02-30"}, "'2021-02-30' is no date"),
        ({"as_of": "2021-13"}, "'2021-13' is no date"),
        ({"as_of": "0000"}, "'0000' is no date"),
    ],
)
def test_needs_that_cannot_be_understood_or_contradict_each_other(words: dict[str, Any], said: str) -> None:
    with pytest.raises(SkyliftError) as caught:
        query_of(**words)
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "day"),
    [("2020", "2020-12-31"), ("2020-02", "2020-02-29"), ("2021-12", "2021-12-31"), ("2021-04-06", "2021-04-06")],
)
def test_a_month_or_year_is_its_last_day(text: str, day: str) -> None:
    assert query_of(as_of=text).as_of == day


def test_a_rate_of_every_region_counts_where_a_region_has_none_of_its_own() -> None:
    own = KNOWN.rate("orchestrator", "transition", "sa-east-1")
    others = KNOWN.rate("orchestrator", "transition", "us-east-1")
    assert own is not None and (str(own.usd), own.region) == ("0.0000375", "sa-east-1")
    assert others is not None and (str(others.usd), others.region) == ("0.000025", "*")
    assert KNOWN.rate("orchestrator", "transition", "mars-1") is None
    assert KNOWN.rate("orchestrator", "transition", "us-east-1", as_of="2020-01-01") is None


def test_tiers_of_transfer() -> None:
    tiers = KNOWN.tiers("transfer", "internet", "eu-west-1")
    assert [(int(one.tier_from), str(one.usd)) for one in tiers] == [
        (0, "0.09"),
        (10_240, "0.085"),
        (51_200, "0.07"),
        (153_600, "0.05"),
    ]
    assert [int(one.tier_from) for one in KNOWN.tiers("transfer", "internet", "us-central1", "gcp")] == [0, 1024, 10240]


def test_units_of_sources_are_converted_exactly() -> None:
    vcpu = KNOWN.rate("container", "vcpus", "europe-west3", cloud="gcp")
    assert vcpu is not None and (vcpu.usd, vcpu.unit) == (usd("0.0000216") * 3600, "vCPU-hour")
    assert "given as 0.0000216 per vCPU-second" in (vcpu.note or "")
    calls = KNOWN.rate("function", "requests", "us-central1", cloud="gcp")
    assert calls is not None and (calls.usd, calls.unit) == (usd("0.4"), "1M requests")
    puts = KNOWN.rate("storage", "put requests", "westus", cloud="azure")
    assert puts is not None and (puts.usd, puts.unit) == (usd("0.0055"), "1k requests")
