"""The calculator: published examples, each checked by hand in its comment; billing rules; what is refused."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from skylift.errors import SkyliftError
from skylift.pricing.catalogue import catalogue
from skylift.pricing.estimate.lines import Estimate
from skylift.pricing.estimate.price import estimate
from skylift.pricing.estimate.rules import billed_ms, billing_of, rules
from skylift.pricing.estimate.uses import KEYS, read_use


def priced(as_of: str | None = None, free_tier: bool = False, **given: str) -> Estimate:
    """`class_` stands for class."""
    words = {key.rstrip("_"): value for key, value in given.items()}
    use = read_use(words, lambda key: f"--{key}", catalogue(), rules())
    return estimate([use], catalogue(), as_of=as_of, free_tier=free_tier)


def refused(as_of: str | None = None, **given: str) -> SkyliftError:
    with pytest.raises(SkyliftError) as caught:
        priced(as_of, **given)
    assert caught.value.code in ("ESTIMATE", "NO-PRICE", "UNKNOWN-MACHINE")
    return caught.value


@pytest.mark.parametrize(
    ("given", "usd"),
    [
        # 3 GB x 3,600 s x 0.0000166667
        ({"service": "lambda", "memory": "3GiB", "duration": "1h", "requests": "0"}, "0.18000036"),
        # ... and 0.2 for a million requests of 338 ms: 3 x 0.338 x 0.0000166667 x 1e6 + 0.2
        ({"service": "lambda", "memory": "3GiB", "each": "338ms", "requests": "1M"}, "17.1000338"),
        # 338.2 ms is billed as 339
        ({"service": "lambda", "memory": "3GiB", "each": "338.2ms", "requests": "1M"}, "17.1500339"),
        # 7 GB of 1,000 s by Arm: 7,000 x 0.0000133334
        ({"service": "lambda", "memory": "7GiB", "duration": "1000s", "arch": "arm"}, "0.0933338"),
        # 2 x 0.04048 + 4 x 0.004445
        ({"service": "fargate", "vcpus": "2", "memory": "4GiB", "duration": "1h"}, "0.09874"),
        # three tasks of 90 s, the quarter of a processor and 512 MB: 3 x 90/3600 x (0.25 x 0.04048 + 0.5 x 0.004445)
        (
            {"service": "fargate", "vcpus": "0.25", "memory": "512MiB", "duration": "90s", "count": "3"},
            "0.0009256875",
        ),
        # 30 s is billed as the minute: a 60th of an hour
        ({"service": "fargate", "vcpus": "2", "memory": "4GiB", "duration": "30s"}, Fraction("0.09874") / 60),
        # 2 x 0.01334053 + 4 x 0.00146489
        (
            {
                "service": "fargate",
                "vcpus": "2",
                "memory": "4GiB",
                "duration": "1h",
                "spot": "true",
                "region": "eu-west-1",
            },
            "0.03254062",
        ),
        # a month with sustained use: 730 x 0.0475 x (100 + 80 + 60 + 40 %) / 4, Google's own 24.27
        ({"type": "n1-standard-1", "region": "us-central1", "hours": "730"}, "24.2725"),
        # half a month: 182.5 h at 100 %, 182.5 h at 80 %
        ({"type": "n1-standard-1", "region": "us-central1", "hours": "365"}, "15.60375"),
        # a quarter of a month earns nothing
        ({"type": "n1-standard-1", "region": "us-central1", "hours": "182.5"}, "8.66875"),
        # spot earns none: 730 x 0.016753
        ({"type": "n1-standard-1", "region": "us-central1", "hours": "730", "spot": "true"}, "12.22969"),
        # 3.2 s are billed as a minute: 0.9 / 60
        ({"type": "p2.xlarge", "duration": "3.2s"}, "0.015"),
        # 72 h x 12.24, the published 881.28
        ({"type": "p3.8xlarge", "hours": "72"}, "881.28"),
        # 72 x 3.672
        ({"type": "p3.8xlarge", "hours": "72", "spot": "true"}, "264.384"),
        ({"type": "ml.p2.xlarge", "hours": "1"}, "1.26"),
        ({"service": "sagemaker", "type": "ml.p2.xlarge", "hours": "1", "spot": "true"}, "0.37"),
        ({"type": "p2.xlarge", "hours": "1", "reserved": "3yr-partial-upfront"}, "0.425"),
        ({"service": "step-functions", "transitions": "10k"}, "0.25"),
        # 100 GB a month x 0.023 + 10 x 0.005 + 1000 x 0.0004
        ({"service": "s3", "data": "100GB", "writes": "10k", "reads": "1M"}, "2.75"),
        ({"service": "s3", "data": "100GB", "class_": "archive", "months": "12"}, "4.32"),
        ({"service": "efs", "data": "100", "class_": "one-zone"}, "16"),
        ({"service": "ebs", "data": "100GB"}, "8"),
        ({"service": "ebs", "data": "100GB", "class_": "gp2", "count": "2", "months": "0.5"}, "10"),
        # 10,240 x 0.09 + 40,960 x 0.085 + 10,240 x 0.07
        ({"service": "egress", "data": "60TB"}, "5120"),
        ({"service": "transfer", "data": "100GB", "to": "zone"}, "1"),
        ({"service": "transfer", "data": "100GB", "to": "region"}, "2"),
        # Google's own example of a function: 512 MB (0.5 GB, 0.8 GHz) 300 ms, a million times:
        # 0.5 x 0.3 x 2.5 = 0.375, 0.8 x 0.3 x 10 = 2.4, and 0.4 for the invocations
        ({"service": "cloud-functions", "memory": "512MB", "each": "260ms", "requests": "1M"}, "3.175"),
        # at least 100 ms; 300 MB is billed as 384: 0.375 x 0.1 x 16 + 0.2
        ({"service": "azure-functions", "memory": "300MB", "each": "40ms", "requests": "1M"}, "0.8"),
        # 0.3 s x (0.0000336 + 0.5 x 0.0000035) x 1e6 + 0.4
        (
            {
                "service": "cloud-run",
                "vcpus": "1",
                "memory": "512MiB",
                "each": "250ms",
                "requests": "1M",
                "region": "europe-west3",
            },
            "11.005",
        ),
        # 1 x 0.0000216 x 3600 + 2 x 0.0000024 x 3600
        (
            {
                "service": "cloud-run-jobs",
                "vcpus": "1",
                "memory": "2GiB",
                "duration": "1h",
                "region": "europe-west3",
            },
            "0.09504",
        ),
        ({"service": "gcs", "data": "1TB"}, "20.48"),
        # 1,024 x 0.12 + 1,024 x 0.11
        ({"service": "gcp-egress", "data": "2TB"}, "235.52"),
        ({"type": "Standard_D4s_v3", "hours": "1"}, "0.192"),
    ],
)
def test_examples_checked_by_hand(given: dict[str, str], usd: str | Fraction) -> None:
    found = priced(**given)
    assert found.usd == Fraction(usd)
    assert found.usd == sum(line.amount * line.usd_per_unit for line in found.lines)
    assert all(line.source and line.as_of[:2] == "20" and line.formula for line in found.lines)


@pytest.mark.parametrize(
    ("as_of", "usd"),
    [
        # before December 2020 by 100 ms begun, at the published price of that time: 3 x 0.4 x 0.00001667, and no
        # price of requests is known of that time
        ("2020-06-30", "0.000020004"),
    ],
)
def test_rules_and_prices_of_another_day(as_of: str, usd: str) -> None:
    found = priced(as_of, service="lambda", memory="3GiB", duration="338ms")
    assert found.usd == Fraction(usd)
    assert any("billed as 400 ms" in note for note in found.notes)


def test_before_october_2017_machines_were_billed_by_the_hour() -> None:
    """The oldest price that there is is of a month later."""
    ec2 = rules().service("ec2", "service")
    then, now = (billing_of(ec2, catalogue(), day) for day in ("2017-10-01", "2017-10-02"))
    assert then is not None and now is not None
    assert billed_ms(then, Fraction(61 * 60_000)) == 2 * 3_600_000
    assert billed_ms(now, Fraction(61 * 60_000)) == 61 * 60_000
    assert billed_ms(now, Fraction(1)) == 60_000
    error = refused("2017-06-01", type="p2.xlarge", duration="61m")
    assert "2017-11-12" in str(error.hint)


def test_an_old_price_stays_answerable() -> None:
    assert priced("2021-01-01", type="inf1.xlarge", hours="1").usd == Fraction("0.368")
    assert priced(type="inf1.xlarge", hours="1").usd == Fraction("0.228")


def test_only_some_machines_earn_sustained_use() -> None:
    month = {"region": "us-central1", "hours": "730"}
    shares = {
        type: priced(type=type, **month).usd / (730 * priced(type=type, region="us-central1", hours="1").usd)
        for type in (
            "n1-standard-4",
            "n2-standard-4",
            "n2d-standard-4",
            "c2-standard-4",
            "e2-standard-4",
            "a2-highgpu-1g",
        )
    }
    assert shares["n1-standard-4"] == Fraction("0.7")
    for type in ("n2-standard-4", "n2d-standard-4", "c2-standard-4"):
        assert shares[type] == Fraction("0.80020")  # (100 + 86.78 + 73.3 + 60) / 4
    assert shares["e2-standard-4"] == shares["a2-highgpu-1g"] == 1


def test_elsewhere_the_source_has_all_tiers_of_transfer() -> None:
    # 10,240 x 0.09 + 40,960 x 0.085 + 102,400 x 0.07 = 11,571.2, and 1,024 x 0.05
    assert priced(service="transfer", data="151TB", region="us-east-2").usd == Fraction("11622.4")


def test_more_than_a_month_starts_a_new_one() -> None:
    month = priced(type="n1-standard-1", region="us-central1", hours="730").usd
    day = priced(type="n1-standard-1", region="us-central1", hours="24").usd
    assert priced(type="n1-standard-1", region="us-central1", hours="754").usd == month + day


def test_the_region_that_is_taken_for_granted_is_said() -> None:
    notes = priced(service="lambda", memory="1GiB", duration="1s").notes
    assert "prices of us-east-1, since no region is given for aws" in notes
    assert not any("us-east-1" in note for note in priced(type="m5.large", region="us-east-1", hours="1").notes)


def test_no_free_tier_unless_asked_for() -> None:
    given = {"service": "lambda", "memory": "1GiB", "each": "1s", "requests": "500k"}
    full, free = priced(**given), priced(free_tier=True, **given)
    assert full.usd == 500_000 * Fraction("0.0000166667") + Fraction("0.1")
    assert free.usd == 100_000 * Fraction("0.0000166667")  # 400,000 GB-s and all requests are free
    assert "no free tier is taken off; lambda would have one" in full.notes
    assert any(line.usd < 0 for line in free.lines)


def test_a_free_machine_is_free_where_and_when_it_is_and_as_long_as_a_month() -> None:
    hour = Fraction("0.008376")
    assert priced(type="e2-micro", hours="730", free_tier=True).usd == 0
    assert priced(type="e2-micro", hours="730", count="2", free_tier=True).usd == 730 * hour
    asked = priced(type="e2-micro", hours="730")
    assert asked.usd == 730 * hour
    assert "no free tier is taken off; e2-micro (us-central1, on-demand) would have one" in asked.notes
    for given in ({"region": "europe-west1"}, {"spot": "true"}):
        found = priced(type="e2-micro", hours="730", free_tier=True, **given)
        assert found.usd > 0 and any("no free tier is known of e2-micro" in note for note in found.notes)
    service = rules().machines_of("gcp")
    assert rules().free_of(service, "e2-micro", "us-east1", "2021-07-31") is None  # it was another machine then
    assert rules().free_of(service, "e2-micro", "us-east1", "2021-08-01") is not None


def test_the_free_tiers_of_two_machines_are_one() -> None:
    words = {"type": "e2-micro", "hours": "500"}
    uses = [read_use({**words, "region": region}, str, catalogue(), rules()) for region in ("us-central1", "us-east1")]
    found = estimate(uses, catalogue(), free_tier=True)
    assert sum(line.amount for line in found.lines if line.usd < 0) == 730


def test_a_machine_without_a_free_tier_is_not_said_to_have_one() -> None:
    assert not any("free tier" in note for note in priced(type="n1-standard-1", hours="730").notes)
    assert not any("free tier" in note for note in priced(type="m5.large", hours="730").notes)
    notes = priced(type="m5.large", hours="730", free_tier=True).notes
    assert "no free tier is known of m5.large (us-east-1, on-demand)" in notes


def test_who_says_not_on_spot_says_nothing() -> None:
    given = {"cloud": "lambda", "type": "gpu_1x_a10", "hours": "1"}
    assert priced(**given, spot="false").usd == priced(**given).usd


def test_a_name_is_one_line_of_what_can_be_shown() -> None:
    found = priced(type="m5.large", hours="1", name="a\n\tb\x1b[31m\u202e c")
    assert found.lines[0].use == "a b [31m c"
    assert priced(type="m5.large", hours="1", name="\x07").lines[0].use == "m5.large"


@pytest.mark.parametrize(
    ("text", "amount"), [("1,000", 1000), ("1_000.5", Fraction("1000.5")), ("1e3", 1000), ("2.5E+1", 25)]
)
def test_numbers_are_read_as_people_write_them(text: str, amount: Fraction) -> None:
    assert priced(type="m5.large", hours=text).lines[0].amount == amount
    assert priced(service="s3", data=f"{text} GB").lines[0].amount == amount


def test_the_free_tier_of_cloud_run_counts_seconds_though_its_price_is_by_the_hour() -> None:
    found = priced(
        free_tier=True, service="cloud-run", vcpus="1", memory="1GiB", each="1s", requests="180k", region="europe-west3"
    )
    assert found.usd == 0


def test_one_invocation_has_a_limit_and_an_amount_has_none() -> None:
    notes = priced(service="lambda", memory="3GiB", duration="1h", requests="0").notes
    assert any("no single invocation can be longer than 15 min" in note for note in notes)
    notes = priced(service="lambda", memory="3GiB", duration="1h", requests="1000").notes
    assert not any("longer" in note for note in notes)
    assert any("1 h for all requests, 3.6 s for each" in note for note in notes)


def test_names_are_read_whatever_their_case() -> None:
    there = priced(type="m5.large", region="us-east-1", hours="1")
    assert priced(type="M5.LARGE", region="US-EAST-1", cloud="AWS", hours="1").usd == there.usd
    assert priced(type="standard_d4s_v3", hours="1").usd == priced(type="Standard_D4s_v3", hours="1").usd


@pytest.mark.parametrize(
    ("duration", "said"),
    [("60.0001s", "60.0001 s is billed as 61 s"), ("61500ms", "61.5 s is billed as 62 s"), ("10s", "as 1 min")],
)
def test_what_is_billed_is_said_in_a_unit_that_can_be_read(duration: str, said: str) -> None:
    assert any(said in note for note in priced(type="m5.large", duration=duration).notes)


def test_tiers_of_gigabyte_seconds() -> None:
    # 10 GB x 2e9 s = 20e9 GB-s: 6e9 x 0.0000166667 + 9e9 x 0.000015 + 5e9 x 0.0000133334
    found = priced(service="lambda", memory="10GiB", duration="555555h", requests="0")
    seconds = 555_555 * 3600 * 10
    rest = seconds - 15 * 10**9
    assert found.usd == 6 * 10**9 * Fraction("0.0000166667") + 9 * 10**9 * Fraction("0.000015") + rest * Fraction(
        "0.0000133334"
    )
    assert len(found.lines) == 3


@pytest.mark.parametrize(
    ("given", "words", "hint"),
    [
        ({"type": "inf1.large", "hours": "1"}, "--type 'inf1.large': there is no such machine type", "inf1.xlarge"),
        ({"service": "lamda", "memory": "1GiB", "duration": "1s"}, "there is no such service", "did you mean lambda?"),
        ({"type": "p2.xlarge", "hours": "-3"}, "--hours '-3' is negative", "730"),
        ({"type": "p2.xlarge", "hours": "0"}, "--hours '0' is nothing", ""),
        ({"type": "p2.xlarge", "hours": "many"}, "is not a number", "730"),
        ({"type": "p2.xlarge"}, "ec2 needs --hours or --duration", ""),
        ({"type": "p2.xlarge", "hours": "1", "duration": "1h"}, "both say how long", "one of them"),
        ({"type": "p2.xlarge", "hours": "1", "spot": "true", "reserved": "1yr-no-upfront"}, "bought in one way", ""),
        ({"type": "p2.xlarge", "hours": "1", "reserved": "2yr"}, "there is no such term", "1yr-no-upfront"),
        ({"type": "p2.xlarge", "hours": "1", "cloud": "gcp"}, "no such machine type of gcp; aws has one", ""),
        ({"type": "p2.xlarge", "hours": "1", "cloud": "ibm"}, "there is no such cloud", "aws, gcp, azure, lambda"),
        ({"type": "p2.xlarge", "hours": "1", "region": "us-east-9"}, "there is no price of aws there", "us-east-"),
        ({"type": "p2.xlarge", "hours": "1", "memory": "4GiB"}, "--memory '4GiB' says nothing of ec2", "hours"),
        ({"service": "fargate", "cloud": "gcp", "vcpus": "1"}, "is a service of aws", "gcp"),
        ({"service": "ec2", "type": "n1-standard-1", "hours": "1"}, "no such machine type of aws; gcp has one", ""),
        (
            {"service": "sagemaker", "type": "m5.large", "hours": "1"},
            "the machines of sagemaker have other names",
            "did you mean ml.m5.large?",
        ),
        ({"hours": "1"}, "neither --service nor --type", "lambda"),
        ({"service": "lambda", "memory": "64MiB", "duration": "1s"}, "has no 64 MiB of memory", "128 MiB"),
        ({"service": "lambda", "memory": "11GiB", "duration": "1s"}, "has no 11 GiB of memory", "10 GiB"),
        ({"service": "lambda", "memory": "much", "duration": "1s"}, "--memory 'much' is not an amount", "3 GiB"),
        ({"service": "lambda", "memory": "1GiB", "duration": "soon"}, "--duration 'soon' is not a length", "90s"),
        ({"service": "lambda", "memory": "1GiB", "duration": "1s", "requests": "1.5"}, "not a whole number", ""),
        ({"service": "lambda", "memory": "1GiB", "each": "1s"}, "and no requests", ""),
        (
            {"service": "lambda", "memory": "1GiB", "each": "16m", "requests": "1"},
            "16 min for each request, and no invocation can be longer than 15 min",
            "shorter requests",
        ),
        (
            {"service": "lambda", "memory": "1GiB", "duration": "338ms", "requests": "1M"},
            "less than 1 ms for each",
            "`each` is the time of one",
        ),
        ({"service": "fargate", "vcpus": "2", "memory": "3GiB", "duration": "1h"}, "3 GiB of memory beside 2", "4 GiB"),
        ({"service": "fargate", "vcpus": "3", "memory": "8GiB", "duration": "1h"}, "no places of 3 vCPU", "nearest is"),
        ({"service": "fargate", "vcpus": "2", "duration": "1h"}, "fargate needs --memory", ""),
        ({"service": "azure-functions", "memory": "2GiB", "duration": "1h"}, "has no 2 GiB of memory", "1.5 GiB"),
        ({"service": "s3", "data": "1GB", "class_": "frozen"}, "s3 has no such class", "archive"),
        ({"service": "transfer", "data": "1GB", "to": "mars"}, "has no such to", "internet"),
        ({"type": "p2.xlarge", "hours": "1", "count": "0"}, "--count is 0", ""),
        ({"type": "p2.xlarge", "hours": "2,5"}, "--hours '2,5' is not a number", "write 2.5 with a point"),
        ({"type": "p2.xlarge", "hours": "1_0"}, "--hours '1_0' is not a number", "730"),
        (
            {"type": "p2.xlarge", "hours": "1e30"},
            "is more than anything that is rented: at most 1,000,000,000 h",
            "unit",
        ),
        ({"type": "p2.xlarge", "duration": "9999999999999d"}, "at most 1,000,000,000 h", "unit"),
        ({"type": "p2.xlarge", "hours": "9" * 80}, "… has 80 characters", "a number and a unit"),
        ({"type": "p2.xlarge", "hours": "1e-400"}, "is not a number", ""),
        ({"type": "p2.xlarge", "hours": "nan"}, "--hours 'nan' is not a number", ""),
        ({"type": "p2.xlarge", "hours": "inf"}, "--hours 'inf' is not a number", ""),
        ({"type": "p2.xlarge", "hours": ""}, "--hours is empty", "leave it out"),
        ({"type": "p2.xlarge", "hours": "1", "region": " "}, "--region is empty", "leave it out"),
        ({"type": "p2.xlarge", "hours": "1", "count": "1e18"}, "at most 1,000,000,000,000,000", ""),
        ({"service": "s3", "data": "1e30GB"}, "at most 1,000,000,000 TB", ""),
        ({"service": "s3", "data": "1GB", "months": "1e9"}, "a hundred years", ""),
        ({"service": "s3", "data": "1GB", "reads": "1e99"}, "--reads '1e99' is more than", ""),
        (
            {"cloud": "lambda", "type": "gpu_1x_a10", "hours": "1", "spot": "true"},
            "--spot: there are no spot prices of Lambda GPU cloud",
            "leave out --spot",
        ),
        ({"service": "s3", "data": "1GB", "spot": "yes"}, "--spot: there are no spot prices of Amazon S3", "on demand"),
        (
            {"type": "n1-standard-1", "hours": "1", "reserved": "1yr-no-upfront"},
            "--reserved: there are no prices of reservations of Compute Engine",
            "leave out --reserved",
        ),
        ({"type": "p2.xlarge", "hours": "1", "spott": "true"}, "--spott: there is no such key", "did you mean spot?"),
        ({"type": "p2.xlarge", "hours": "1", "spot": "perhaps"}, "neither true nor false", ""),
    ],
)
def test_what_cannot_be_is_refused_with_a_mend(given: dict[str, str], words: str, hint: str) -> None:
    error = refused(**given)
    assert words in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (
            {"service": "fargate", "vcpus": "2", "memory": "4GiB", "duration": "1h", "spot": "true"},
            "$0.01334053 per vCPU-hour, eu-west-1 spot 2020",
        ),
        ({"service": "cloud-run", "vcpus": "1", "memory": "1GiB", "duration": "1h"}, "europe-west3"),
        ({"service": "blob", "data": "100GB"}, "$0.0208 per GB-month, westus"),
        ({"service": "gcp-transfer", "data": "1TB", "to": "region"}, "prices of internet, region:continent"),
        ({"service": "azure-transfer", "data": "1TB", "to": "zone"}, "prices of internet"),
        ({"service": "s3", "data": "60TB"}, "$0.023 per GB-month up to there"),  # the next 450 TB cost less
        ({"service": "transfer", "data": "151TB"}, "$0.07 per GB up to there"),
        ({"service": "azure-functions", "memory": "1GiB", "duration": "1s", "region": "westus"}, "eastus"),
        ({"service": "ec2", "type": "ml.m5.large", "hours": "1"}, "$0.115 an hour as --service sagemaker"),
        ({"type": "Standard_NC6", "hours": "1"}, "$0.9 an hour as --service azure-ml"),
        ({"type": "ml.p3.2xlarge", "hours": "1", "region": "eu-west-1"}, "us-east-1 on-demand"),
        ({"type": "m5.large", "hours": "1", "reserved": "1yr-all-upfront", "region": "eu-west-1"}, "eu-west-1"),
    ],
)
def test_a_missing_price_is_said_with_the_nearest_there_is(given: dict[str, str], hint: str) -> None:
    error = refused(**given)
    assert error.code == "NO-PRICE" and "no price in" in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize("name", ["vertex-ai", "Vertex AI", "digital-ocean", "local-ssd", "azure-container-instances"])
def test_of_some_services_no_price_is_known(name: str) -> None:
    error = refused(service=name, hours="1")
    assert error.code == "NO-PRICE" and "no public source" in error.message
    assert "the nearest there is:" in str(error.hint)


def test_every_option_and_service_is_explained() -> None:
    from skylift.cli.estimate import estimate as command

    page = (Path(__file__).parents[3] / "docs/reference/prices.md").read_text(encoding="utf-8")
    said = page.partition("## Estimating")[2].partition("\n## ")[0]
    options = {word for option in command.params for word in option.opts}
    assert set(re.findall(r"--[a-z][a-z-]*", said)) == options
    assert all(f"`{service.name}`" in said for service in rules().services)


def test_every_key_of_a_use_is_an_option() -> None:
    from skylift.cli.estimate import estimate as command

    options = {option.opts[0].removeprefix("--") for option in command.params}
    assert set(KEYS) - {"name"} == options - {"file", "as-of", "free-tier", "json"}


def test_memory_is_whole_in_mebibytes() -> None:
    found = priced(service="lambda", memory="1.7GiB", duration="1000s")
    assert found.usd == Fraction(1741, 1024) * 1000 * Fraction("0.0000166667")  # 1,740.8 MiB
    assert any("1.7 GiB is billed as" in note for note in found.notes)


def test_gpus_that_are_added_to_a_host_earn_sustained_use_with_it() -> None:
    host, gpu, both = (
        priced(type=type, region="us-central1", hours="730").usd
        for type in ("n1-standard-8", "accelerator:T4", "n1-standard-8+2xT4")
    )
    assert both == host + 2 * gpu == Fraction("0.7") * 730 * (Fraction("0.379998") + 2 * Fraction("0.35"))
