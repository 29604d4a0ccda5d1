"""`prices update`: recordings of the documented formats, given as files and by a server on loopback."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from skylift.pricing.catalogue import catalogue
from skylift.pricing.update import aws, azure, fetch, gcp, make, stream
from skylift.pricing.update.fetch import UpdateFailed
from skylift.pricing.update.make import Made, Wanted, update

TODAY = "2026-11-21"

# -- recordings -----------------------------------------------------------------------------------------------------

EC2 = {
    "Product Family": "Compute Instance",
    "Region Code": "us-east-1",
    "Tenancy": "Shared",
    "Operating System": "Linux",
    "License Model": "No License required",
    "operation": "RunInstances",
    "CapacityStatus": "Used",
    "Pre Installed S/W": "NA",
    "MarketOption": "OnDemand",
    "Currency": "USD",
}
MACHINES: dict[str, dict[str, str]] = {
    "SKU1": {**EC2, "Instance Type": "p3.2xlarge", "vCPU": "8", "Memory": "61 GiB", "GPU": "1"},
    "SKU2": {
        **EC2,
        "Instance Type": "m99g.large",
        "vCPU": "2",
        "Memory": "1,952 GiB",
        "Physical Processor": "AWS Graviton9 Processor",
    },
    "SKU3": {**EC2, "Instance Type": "p3.2xlarge", "Operating System": "Windows"},
    "SKU4": {**EC2, "Instance Type": "p3.2xlarge", "Tenancy": "Dedicated"},
    "SKU5": {**EC2, "Instance Type": "p3.2xlarge", "Pre Installed S/W": "SQL Std"},
    "SKU6": {**EC2, "Instance Type": "p3.2xlarge", "CapacityStatus": "UnusedCapacityReservation"},
    "SKU7": {**EC2, "Instance Type": "p3.2xlarge", "MarketOption": "CapacityBlock"},
    "SKU8": {**EC2, "Instance Type": "z9gpu.large", "vCPU": "4", "Memory": "8 GiB", "GPU": "1"},
    "SKU9": {**EC2, "Instance Type": "c5.large", "vCPU": "2", "Memory": "4 GiB"},
    "SKUL": {**EC2, "Instance Type": "p3.2xlarge", "Location Type": "AWS Local Zone"},
    "SKU0": {"Product Family": "Data Transfer", "Region Code": "us-east-1", "Currency": "USD"},
}
ON_DEMAND = {"SKU1": "3.1000000000", "SKU2": "0.5", "SKU8": "9.0", "SKU9": "0.0000000000"} | {
    f"SKU{number}": "1.0" for number in (3, 4, 5, 6, 7, "L", 0)
}
RESERVED = [
    ("SKU1", "1yr", "No Upfront", "standard", {"Hrs": "2.0"}),
    ("SKU1", "3yr", "Partial Upfront", "standard", {"Hrs": "0.5", "Quantity": "13140"}),
    ("SKU1", "3yr", "All Upfront", "standard", {"Hrs": "0.0", "Quantity": "21024"}),
    ("SKU1", "1yr", "All Upfront", "convertible", {"Hrs": "0.1", "Quantity": "1"}),
    ("SKU3", "1yr", "No Upfront", "standard", {"Hrs": "7.0"}),
]


def ec2_csv() -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    head = [
        ("FormatVersion", "v1.0"),
        ("Disclaimer", "Informational,\nonly"),
        ("Publication Date", "2026-11-01T22:38:12Z"),
    ]
    writer.writerows([*head, ("Version", "20261101223812"), ("OfferCode", "AmazonEC2")])
    names = ["SKU", "OfferTermCode", "TermType", "Unit", "PricePerUnit", "LeaseContractLength", "PurchaseOption"]
    names += ["OfferingClass", *dict.fromkeys(name for machine in MACHINES.values() for name in machine)]
    writer.writerow(names)

    def line(sku: str, **more: str) -> None:
        row = {"SKU": sku, **MACHINES[sku], **more}
        writer.writerow([row.get(name, "") for name in names])

    for sku, usd in ON_DEMAND.items():
        line(sku, TermType="OnDemand", Unit="Hrs", PricePerUnit=usd)
    for sku, length, option, kind, parts in RESERVED:
        term = {"TermType": "Reserved", "LeaseContractLength": length, "PurchaseOption": option, "OfferingClass": kind}
        for unit, usd in parts.items():
            line(sku, **term, Unit=unit, PricePerUnit=usd)
    return out.getvalue().encode()


JSON_NAMES = {
    "Location Type": "locationType",
    "Region Code": "regionCode",
    "Instance Type": "instanceType",
    "vCPU": "vcpu",
    "Operating System": "operatingSystem",
    "CapacityStatus": "capacitystatus",
    "Pre Installed S/W": "preInstalledSw",
    "License Model": "licenseModel",
    "MarketOption": "marketoption",
    "Physical Processor": "physicalProcessor",
    "Memory": "memory",
    "GPU": "gpu",
    "Tenancy": "tenancy",
    "operation": "operation",
}


def dimension(unit: str, usd: str) -> dict[str, Any]:
    return {"unit": unit, "description": f"${usd} per unit", "pricePerUnit": {"USD": usd}}


def ec2_json() -> bytes:
    products = {
        sku: {
            "sku": sku,
            "productFamily": machine["Product Family"],
            "attributes": {JSON_NAMES[name]: value for name, value in machine.items() if name in JSON_NAMES},
        }
        for sku, machine in MACHINES.items()
    }
    on_demand = {
        sku: {f"{sku}.JRTC": {"sku": sku, "priceDimensions": {"d": dimension("Hrs", usd)}, "termAttributes": {}}}
        for sku, usd in ON_DEMAND.items()
    }
    reserved: dict[str, Any] = {}
    for number, (sku, length, option, kind, parts) in enumerate(RESERVED):
        reserved.setdefault(sku, {})[f"{sku}.{number}"] = {
            "priceDimensions": {unit: dimension(unit, usd) for unit, usd in parts.items()},
            "termAttributes": {"LeaseContractLength": length, "OfferingClass": kind, "PurchaseOption": option},
        }
    offer = {
        "formatVersion": "v1.0",
        "disclaimer": "Informational only",
        "offerCode": "AmazonEC2",
        "version": "20261101223812",
        "publicationDate": "2026-11-01T22:38:12Z",
        "products": products,
        "terms": {"OnDemand": on_demand, "Reserved": reserved},
        "attributesList": {},
    }
    return json.dumps(offer, indent=2).encode()


def meter(name: str, usd: float, **more: Any) -> dict[str, Any]:
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": "westeurope",
        "effectiveStartDate": "2026-01-01T00:00:00Z",
        "meterName": name.removeprefix("Standard_").replace("_", " "),
        "productName": "Virtual Machines Series",
        "skuName": name.removeprefix("Standard_").replace("_", " "),
        "serviceName": "Virtual Machines",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": name,
        **more,
    }


def azure_page(*items: dict[str, Any], following: str | None = None) -> bytes:
    page = {"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail"}
    return json.dumps({**page, "Items": items, "NextPageLink": following, "Count": len(items)}).encode()


AZURE = (
    meter("Standard_D4s_v3", 0.24),
    meter("Standard_D4s_v3", 0.05123, skuName="D4s v3 Spot", meterName="D4s v3 Spot"),
    meter("Standard_D4s_v3", 0.42, productName="Virtual Machines Dsv3 Series Windows"),
    meter("Standard_D4s_v3", 0.03, skuName="D4s v3 Low Priority", meterName="D4s v3 Low Priority"),
    meter("Standard_D4s_v3", 0.9, type="Reservation", reservationTerm="1 Year"),
    meter("Standard_D4s_v3", 0.9, productName="Dsv3 Series Cloud Services"),
    meter("Standard_D4s_v3", 0.7, effectiveStartDate="2027-01-01T00:00:00Z"),
    meter("Standard_D4s_v3", 0.8, isPrimaryMeterRegion=False),
    meter("Standard_Z99_v9", 1.0),
)


def sku(description: str, usd: str, usage: str = "OnDemand", unit: str = "h", **more: Any) -> dict[str, Any]:
    whole, _, rest = usd.partition(".")
    rates = [
        {"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD", "units": whole, "nanos": int(rest.ljust(9, "0"))}}
    ]
    return {
        "name": "services/6F81-5844-456A/skus/0000-0000-0000",
        "description": description,
        "category": {"resourceFamily": "Compute", "resourceGroup": "CPU", "usageType": usage},
        "serviceRegions": ["us-central1"],
        "pricingInfo": [{"pricingExpression": {"usageUnit": unit, "tieredRates": rates}}],
        **more,
    }


GCP = (
    sku("N1 Predefined Instance Core running in Americas", "0.031611"),
    sku("N1 Predefined Instance Ram running in Americas", "0.004237", unit="GiBy.h"),
    sku("Spot Preemptible N1 Predefined Instance Core running in Americas", "0.006655", "Preemptible"),
    sku("Spot Preemptible N1 Predefined Instance Ram running in Americas", "0.000892", "Preemptible", "GiBy.h"),
    sku("Commitment v1: Cpu in Americas for 1 Year", "0.01", "Commit1Yr"),
    sku("Compute optimized Core running in Americas", "0.03398"),
    sku("Compute optimized Ram running in Americas", "0.00455", unit="GiBy.h"),
    sku("Nvidia Tesla T4 GPU running in Americas", "0.35"),
    sku("Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas", "0.12", "Preemptible"),
    sku("N2D AMD Instance Core running in Netherlands", "0.030281", serviceRegions=["europe-west4"]),
    sku("Storage PD Capacity", "0.04", unit="GiBy.mo"),
)


def gcp_page(*skus: dict[str, Any], token: str = "") -> bytes:
    return json.dumps({"skus": skus, "nextPageToken": token}).encode()


# -- files ----------------------------------------------------------------------------------------------------------


def made(tmp_path: Path, content: bytes, **words: Any) -> Made:
    file = tmp_path / "given"
    file.write_bytes(content)
    return update(Wanted(place=str(file), into=tmp_path / "prices", today=TODAY, **words), catalogue())


def usd(tmp_path: Path, *words: str, cloud: str = "aws", **more: str) -> str | None:
    found = catalogue(tmp_path).machine_price("batch", *words, cloud=cloud, **more)
    return None if found is None else str(found.usd_per_hour)


@pytest.mark.parametrize("content", [ec2_csv(), ec2_json(), gzip.compress(ec2_csv()), b"\xef\xbb\xbf" + ec2_json()])
def test_amazons_offer_file(tmp_path: Path, content: bytes) -> None:
    """CSV and JSON say the same: of Linux machines, shared, the on-demand price, and what reserved terms come to."""
    found = made(tmp_path, content, cloud="aws")
    assert (found.cloud, found.as_of, found.machines, found.regions) == ("aws", "2026-11-01", 2, ("us-east-1",))
    assert found.path == str(tmp_path / "prices" / "aws" / "machines-2026-11-01.json")
    assert found.unknown == ("z9gpu.large",)  # it has a GPU, and nobody says which
    assert [(one.what, one.why.split(":")[0]) for one in found.set_aside] == [("c5.large", "a price of 0E-10")]
    assert usd(tmp_path, "p3.2xlarge", "us-east-1", "on-demand") == "3.1"
    assert usd(tmp_path, "p3.2xlarge", "us-east-1", "on-demand", as_of="2026-10-31") == "3.06"
    assert usd(tmp_path, "c5.large", "us-east-1", "on-demand") == "0.085"
    terms = {one.term: str(one.usd_per_hour) for one in catalogue(tmp_path).reserved("p3.2xlarge", "us-east-1")}
    assert terms["1yr-no-upfront"] == "2"
    assert terms["3yr-partial-upfront"] == "1"  # 0.5 + 13140 / 26280
    assert terms["3yr-all-upfront"] == "0.8"
    new = catalogue(tmp_path).machine("m99g.large")
    assert new is not None and (new.vcpus, new.memory_mib, new.architecture) == (2, 1952 * 1024, "arm64")
    found_price = catalogue(tmp_path).machine_price("batch", "p3.2xlarge", "us-east-1", "on-demand")
    assert found_price is not None and str(tmp_path / "given") in catalogue(tmp_path).source(found_price)


def test_azures_retail_prices(tmp_path: Path) -> None:
    """Without Windows, low priority, reservations and cloud services; and without a machine nobody has described."""
    found = made(tmp_path, azure_page(*AZURE))
    assert (found.cloud, found.as_of, found.prices, found.unknown) == ("azure", TODAY, 2, ("Standard_Z99_v9",))
    assert usd(tmp_path, "Standard_D4s_v3", "westeurope", "on-demand", cloud="azure") == "0.24"
    assert usd(tmp_path, "Standard_D4s_v3", "westeurope", "spot", cloud="azure") == "0.05123"


def test_two_prices_of_the_same_are_none(tmp_path: Path) -> None:
    twice = (meter("Standard_D4s_v3", 0.3), meter("Standard_D4s_v3", 0.2), meter("Standard_D8s_v3", 0.4))
    found = made(tmp_path, azure_page(*twice, twice[2]))
    assert found.prices == 1
    assert [one.what for one in found.set_aside] == ["Standard_D4s_v3", "Standard_D4s_v3"]
    assert usd(tmp_path, "Standard_D4s_v3", "westeurope", "on-demand", cloud="azure") == "0.24"


def test_googles_skus(tmp_path: Path) -> None:
    found = made(tmp_path, gcp_page(*GCP))
    assert (found.cloud, found.as_of) == ("gcp", TODAY)
    assert usd(tmp_path, "n1-standard-4", "us-central1", "on-demand", cloud="gcp") == "0.189999"
    assert usd(tmp_path, "n1-standard-4", "us-central1", "spot", cloud="gcp") == "0.04"
    assert usd(tmp_path, "c2-standard-4", "us-central1", "on-demand", cloud="gcp") == "0.20872"
    assert usd(tmp_path, "accelerator:T4", "us-central1", "spot", cloud="gcp") == "0.12"
    pair = catalogue(tmp_path).machine_price("batch", "n1-standard-4+1xT4", "us-central1", "spot", cloud="gcp")
    assert pair is not None and (pair.usd_per_hour, pair.as_of) == (Decimal("0.16"), TODAY)
    n2d = catalogue(tmp_path).machine_price("batch", "n2d-standard-2", "europe-west4", "on-demand", cloud="gcp")
    assert n2d is not None and n2d.as_of != TODAY  # its memory has no price in the file: half a price is none


def test_skus_that_contradict_each_other_are_no_price(tmp_path: Path) -> None:
    again = (sku("Nvidia Tesla T4 GPU running in Americas", "0.36"), GCP[0])
    found = made(tmp_path, gcp_page(*GCP, *again))
    assert usd(tmp_path, "accelerator:T4", "us-central1", "on-demand", cloud="gcp") == "0.35"  # what was there before
    assert found.as_of == TODAY and usd(tmp_path, "accelerator:T4", "us-central1", "spot", cloud="gcp") == "0.12"
    device = catalogue(tmp_path).machine_price("batch", "accelerator:T4", "us-central1", "on-demand", cloud="gcp")
    assert device is not None and device.as_of == "2026-05-20"
    assert usd(tmp_path, "n1-standard-4", "us-central1", "on-demand", cloud="gcp") == "0.189999"


def test_shipped_prices_of_machines_that_google_sells_by_part_are_sums_of_their_parts(tmp_path: Path) -> None:
    """The same arithmetic on published parts gives what the shipped catalogue, from another source, says."""
    shipped = {
        name: catalogue().machine_price("batch", name, "us-central1", "on-demand", cloud="gcp")
        for name in ("n1-standard-8", "n1-highmem-16", "n1-highcpu-96")
    }
    made(tmp_path, gcp_page(*GCP))
    for name, price in shipped.items():
        now = usd(tmp_path, name, "us-central1", "on-demand", cloud="gcp")
        assert price is not None and now is not None
        assert abs(Decimal(now) - price.usd_per_hour) <= Decimal("0.00001"), name


def test_of_the_same_day_the_users_own_price_counts(tmp_path: Path) -> None:
    old = azure_page(meter("Standard_D4s_v3", 0.3))
    file = tmp_path / "given"
    file.write_bytes(old)
    update(Wanted(place=str(file), into=tmp_path / "prices", today="2026-05-20"), catalogue())
    assert usd(tmp_path, "Standard_D4s_v3", "westeurope", "on-demand", cloud="azure") == "0.3"
    file.write_bytes(azure_page(meter("Standard_D4s_v3", 0.31)))
    update(Wanted(place=str(file), into=tmp_path / "prices", today="2026-05-20"), catalogue())
    assert usd(tmp_path, "Standard_D4s_v3", "westeurope", "on-demand", cloud="azure") == "0.31"
    assert len(list((tmp_path / "prices" / "azure").iterdir())) == 1


def test_only_regions_that_are_wanted(tmp_path: Path) -> None:
    page = azure_page(*AZURE[:1], meter("Standard_D4s_v3", 0.2, armRegionName="eastus"))
    found = made(tmp_path, page, regions=("eastus",))
    assert (found.regions, Path(found.path).name) == (("eastus",), f"machines-{TODAY}-eastus.json")


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (b"{}", {}, "no price file that is known"),
        (b"", {}, "no price file that is known"),
        (b"hello", {"cloud": "azure"}, "not JSON"),
        (b"[]", {"cloud": "azure"}, "no JSON object"),
        (b"{}", {"cloud": "azure"}, "no Items"),
        (b'{"Items": [], "BillingCurrency": "EUR"}', {"cloud": "azure"}, "prices in EUR"),
        (b'{"Items": [7, {}]}', {"cloud": "azure"}, "no price of a machine was found"),
        (b'{"skus": 7}', {"cloud": "gcp"}, "no skus"),
        (b'{"skus": [{}]}', {}, "no price of a machine was found"),
        (b"SKU,Price\n1,2\n", {"cloud": "aws"}, "no offer file"),
        (b"{}", {"cloud": "aws"}, "no publication date"),
        (b'{"publicationDate": "soon"}', {"cloud": "aws"}, "'soon'"),
        (b'{"publicationDate": "2026-11-01", "products": {"A"', {"cloud": "aws"}, "not the JSON"),
        (b'{"publicationDate": "2026-11-01" "products": {}}', {"cloud": "aws"}, "comma"),
        (ec2_json()[:900], {"cloud": "aws"}, "not the JSON"),
        (gzip.compress(ec2_csv())[:300], {"cloud": "aws"}, "broke off"),
        (b"{}", {"cloud": "aws", "regions": ("../../etc",)}, "'../../etc' is no name of a region"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_nothing_is_written(
    tmp_path: Path, content: bytes, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(UpdateFailed) as caught:
        made(tmp_path, content, **words)
    assert said in caught.value.message
    assert not (tmp_path / "prices").exists()


def _spoilt(old: bytes, new: bytes) -> bytes:
    content = ec2_csv()
    assert old in content
    return content.replace(old, new)


DEEP = b'{"a":' * 100_000


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (_spoilt(b'"Publication Date","2026-11-01T22:38:12Z"', b'"Publication Date"'), {}, "publication date is ''"),
        (_spoilt(b"2026-11-01T", b"2026-99-99T"), {}, "publication date is '2026-99-99"),
        (_spoilt(b"2026-11-01T", b"9999-12-31T"), {}, "are of 9999-12-31, which is to come"),
        (_spoilt(b'"Publication Date"', b'"' + b"a" * (aws.MOST_LINE + 1)), {}, "a line of more than"),
        (b'{"Items":' + b"[" * 100_000, {"cloud": "azure"}, "not JSON"),
        (b'{"x":' + DEEP, {"cloud": "aws"}, "values in values without end"),
        (b'{"publicationDate": "2026-11-01", "products":' + DEEP, {"cloud": "aws"}, "values in values without end"),
        (b'{"publicationDate": "2026-11-01", "products": {"A": {"attributes": [1]}}}', {"cloud": "aws"}, "no price of"),
        (
            gcp_page(sku("N1 Predefined Instance Core running in Americas", "1", serviceRegions=5)),
            {},
            "no price of",
        ),
    ],
)
def test_a_hostile_file_is_told_and_nothing_is_written(
    tmp_path: Path, content: bytes, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(UpdateFailed) as caught:
        made(tmp_path, content, **words)
    assert said in caught.value.message
    assert not (tmp_path / "prices").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"1,952 GiB"', b'"1e99999 GiB"'),  # a short text of so many digits that no number can hold them
        (b'"1,952 GiB"', b'"1e9999999 GiB"'),
        (b'"0.5"', b'"1e999999"'),
        (b'"0.5"', b'"1e-999999"'),
        (b'"13140"', b'"1e99999"'),
        (b'"m99g.large"', b'"\x1b]0;title\x07"'),
        (b'"m99g.large"', b'"m99g large\n1 2 3"'),
    ],
)
def test_hostile_rows_are_left_out_and_the_others_stay(tmp_path: Path, old: bytes, new: bytes) -> None:
    found = made(tmp_path, _spoilt(old, new))
    assert usd(tmp_path, "p3.2xlarge", "us-east-1", "on-demand") == "3.1"
    assert all(name.isprintable() for name in found.unknown)
    assert catalogue().machine("m99g.large") is None or old == b'"13140"'


def test_a_price_for_every_region_is_none_that_a_file_can_give(tmp_path: Path) -> None:
    found = made(tmp_path, _spoilt(b'"us-east-1"', b'"*"') + ec2_csv().split(b"\n", 6)[-1])
    assert found.regions == ("us-east-1",)
    assert "'p3.2xlarge in *'" in found.unknown


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UpdateFailed, match="cannot be read"):
        update(Wanted(place=str(tmp_path / "none"), into=tmp_path, today=TODAY), catalogue())
    with pytest.raises(UpdateFailed, match="which cloud"):
        update(Wanted(into=tmp_path, today=TODAY), catalogue())
    with pytest.raises(UpdateFailed, match="wants a key"):
        update(Wanted(cloud="gcp", into=tmp_path, today=TODAY), catalogue())


def test_a_file_longer_than_allowed_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "MOST_PAGE", 4096)
    many = azure_page(*(meter("Standard_D4s_v3", 0.2, armRegionName=f"r{number}") for number in range(200)))
    with pytest.raises(UpdateFailed, match="is larger than"):
        made(tmp_path, many, cloud="azure")
    monkeypatch.setattr(make, "MOST_FILE", 2048)
    with pytest.raises(UpdateFailed, match="is larger than"):
        made(tmp_path, gzip.compress(ec2_csv() * 50), cloud="aws")


def test_large_objects_are_read_member_by_member_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few bytes: every value is cut somewhere."""
    monkeypatch.setattr(stream, "_PIECE", 3)
    document = {"a": {"x": [1, {"y": 'ü"},{'}], "n": 12.50}, "skip": {"deep": [[]] * 9, "e": {}}, "z": -7, "empty": {}}
    for text in (json.dumps(document), json.dumps(document, indent=3, ensure_ascii=False)):
        reader = stream.Reader(io.BufferedReader(io.BytesIO(text.encode())), "it")  # type: ignore[arg-type]
        seen: dict[str, Any] = {}
        for key in reader.members():
            if key == "skip":
                reader.skip()
            else:
                seen[key] = reader.value()
        assert seen == {"a": {"x": [1, {"y": 'ü"},{'}], "n": "12.5"}, "z": -7, "empty": {}} | (
            {"a": {"x": [1, {"y": 'ü"},{'}], "n": "12.5"}}
        )
    monkeypatch.setattr(stream, "MOST_CHARACTERS", 50)
    endless = io.BufferedReader(io.BytesIO(b'{"a": "' + b"x" * 500))  # type: ignore[arg-type]
    reader = stream.Reader(endless, "it")
    with pytest.raises(UpdateFailed, match="not the JSON"):
        for _ in reader.members():
            reader.value()


# -- a server on loopback -------------------------------------------------------------------------------------------

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    answer: Answer
    asked: list[str]
    keys: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(self.path)
        server.keys.append(self.headers.get("X-Goog-Api-Key"))
        server.answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), _Handler)
    found.asked, found.keys = [], []
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, length: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def test_pages_are_followed_to_the_last(tmp_path: Path, server: Server) -> None:
    def pages(handler: BaseHTTPRequestHandler) -> None:
        skip = parse_qs(urlsplit(handler.path).query).get("$skip")
        link = f"{server.url}/api/retail/prices?$skip=1000"
        send(handler, azure_page(AZURE[1]) if skip else azure_page(AZURE[0], following=link))

    server.answer = pages
    place = f"{server.url}/api/retail/prices?$filter=secret"
    found = update(Wanted(cloud="azure", place=place, into=tmp_path / "prices", today=TODAY), catalogue())
    assert found.prices == 2 and len(server.asked) == 2
    assert b"secret" not in Path(found.path).read_bytes()  # a query may hold a key


def test_tokens_of_google_are_followed_and_the_key_goes_to_google_only(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pages(handler: BaseHTTPRequestHandler) -> None:
        last = "pageToken=second" in handler.path
        send(handler, gcp_page(*GCP[5:]) if last else gcp_page(*GCP[:5], token="second"))

    server.answer = pages
    wanted = Wanted(cloud="gcp", place=f"{server.url}/skus?key=k", into=tmp_path / "prices", today=TODAY, key="hidden")
    assert update(wanted, catalogue()).prices > 50
    assert server.keys == [None, None]
    assert server.asked[1].endswith("?key=k&pageToken=second")
    monkeypatch.setattr(gcp, "URL", f"{server.url}/own?pageSize=5000")
    own = Wanted(cloud="gcp", into=tmp_path / "own", today=TODAY, key="hidden")
    found = update(own, catalogue())
    assert server.keys[2:] == ["hidden", "hidden"]
    assert b"hidden" not in Path(found.path).read_bytes()


def test_a_page_that_leads_to_another_server_is_not_followed(tmp_path: Path, server: Server) -> None:
    server.answer = lambda handler: send(handler, azure_page(AZURE[0], following="http://169.254.169.254/latest"))
    with pytest.raises(UpdateFailed, match="another server"):
        update(Wanted(cloud="azure", place=server.url, into=tmp_path, today=TODAY), catalogue())


def test_pages_without_end_end(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "MOST_PAGES", 5)
    server.answer = lambda handler: send(handler, azure_page(AZURE[0], following=f"{server.url}/again"))
    with pytest.raises(UpdateFailed, match="more than 5 pages"):
        update(Wanted(cloud="azure", place=server.url, into=tmp_path, today=TODAY), catalogue())
    assert len(server.asked) == 5


def test_amazons_file_of_each_region_is_fetched(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offers(handler: BaseHTTPRequestHandler) -> None:
        region = handler.path.split("/")[-2]
        send(handler, ec2_csv().replace(b"us-east-1", region.encode()))

    server.answer = offers
    monkeypatch.setattr("skylift.pricing.update.aws.URL", server.url + "/offers/{region}/index.csv")
    wanted = Wanted(cloud="aws", regions=("eu-west-1", "us-west-2"), into=tmp_path / "prices", today=TODAY)
    found = update(wanted, catalogue())
    assert found.regions == ("eu-west-1", "us-west-2")
    assert usd(tmp_path, "p3.2xlarge", "eu-west-1", "on-demand") == "3.1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda handler: send(handler, b"no", status=503), "answers 503"),
        (lambda handler: send(handler, b"no", status=403), "answers 403"),
        (lambda handler: send(handler, ec2_csv()[:2000], length=len(ec2_csv())), "broke off"),
        (lambda handler: handler.connection.close(), "cannot be reached"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "cannot be reached"),
    ],
)
def test_a_network_that_fails_is_told(tmp_path: Path, server: Server, answer: Answer, said: str) -> None:
    server.answer = answer
    wanted = Wanted(cloud="aws", place=f"{server.url}/x?key=hidden", into=tmp_path / "p", today=TODAY)
    with pytest.raises(UpdateFailed) as caught:
        update(wanted, catalogue())
    assert said in caught.value.message and "hidden" not in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "p").exists()


def test_nobody_listens(tmp_path: Path, server: Server) -> None:
    server.answer = lambda handler: None
    url = server.url
    server.server_close()
    with pytest.raises(UpdateFailed, match="cannot be reached") as caught:
        update(Wanted(cloud="azure", place=url, into=tmp_path, today=TODAY), catalogue())
    assert "--from" in (caught.value.hint or "")


def test_a_key_is_not_taken_along_to_where_a_server_sends_us(server: Server) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/there":
            send(handler, b"{}")
            return
        handler.send_response(302)
        handler.send_header("Location", f"http://localhost:{server.server_address[1]}/there")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.answer = elsewhere
    with fetch.opened(server.url + "/here", most=100, headers={"X-Goog-Api-Key": "hidden"}) as file:
        assert file.read() == b"{}"
    assert server.keys == ["hidden", None]


def test_a_server_leads_to_nothing_but_the_web(tmp_path: Path, server: Server) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "ftp://127.0.0.1:1/prices")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.answer = elsewhere
    with pytest.raises(UpdateFailed, match=r"leads to ftp://127\.0\.0\.1:1/prices, which is not read"):
        update(Wanted(cloud="aws", place=server.url, into=tmp_path, today=TODAY), catalogue())


def test_the_url_of_azure_names_the_regions() -> None:
    assert "armRegionName" not in azure.url(())
    assert "armRegionName%20eq%20%27eastus%27%20or%20armRegionName%20eq%20%27westus2%27" in azure.url(
        ("eastus", "westus2")
    )
