"""The figures of advice and `skylift prices estimate` are of the same prices and rules: they agree on every amount, and
what the one cannot price the other cannot."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.advice import breakeven, transfer
from skylift.advice.book import Book
from skylift.advice.figures import Figure
from skylift.advice.places import place_of
from skylift.advice.reading import to_project
from skylift.pricing.catalogue import catalogue
from skylift.pricing.estimate.amounts import EstimateInvalid
from skylift.pricing.estimate.price import estimate_of
from skylift.pricing.missing import NoPrice

PLACES = st.sampled_from(
    [("aws", "us-east-1"), ("aws", "eu-west-1"), ("gcp", "us-central1"), ("azure", "eastus"), ("azure", "westus")]
)
FUNCTIONS = {"aws": "lambda", "gcp": "cloud-functions", "azure": "azure-functions"}
STORES = {"aws": "s3", "gcp": "gcs", "azure": "blob"}
EGRESS = {"aws": "transfer", "gcp": "gcp-transfer", "azure": "azure-transfer"}


def figures(cloud: str, region: str, **answers: Any) -> dict[str, Figure]:
    project = to_project({"project": "x", "cloud": cloud, "region": region, **answers}, {}, "case")
    book = Book(project, catalogue(), place_of(project, catalogue()))
    return {one.id: one for one in (*breakeven.figures(book), *transfer.figures(book))}


def estimated(**use: str) -> Fraction | None:
    try:
        return estimate_of(use).usd
    except (NoPrice, EstimateInvalid):
        return None


@settings(max_examples=150, deadline=None)
@given(PLACES, st.integers(1, 12_000), st.integers(1, 1_000_000))
def test_a_request_on_a_function(place: tuple[str, str], mib: int, ms: int) -> None:
    cloud, region = place
    found = figures(*place, requests={"memory": f"{mib} MiB", "duration": f"{ms} ms"})["function-request"]
    use = {"service": FUNCTIONS[cloud], "region": region, "memory": f"{max(mib, 128)} MiB", "each": f"{ms}ms"}
    assert found.value == estimated(**use, requests="1")


@settings(max_examples=150, deadline=None)
@given(PLACES, st.integers(1, 900_000))
def test_what_is_stored_and_what_leaves(place: tuple[str, str], gigabytes: int) -> None:
    cloud, region = place
    found = figures(*place, data={"size": f"{gigabytes} GB"})
    amount = {"region": region, "data": f"{gigabytes} GB"}
    assert found["storage-month"].value == estimated(service=STORES[cloud], **amount)
    assert found["egress-all"].value == estimated(service=EGRESS[cloud], **amount)
