"""What a run would have cost on other clouds: by hand, and where it cannot be said."""

from __future__ import annotations

from fractions import Fraction

import pytest

from skylift.asl.events import Usage
from skylift.cli.compare import places_of
from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import catalogue
from skylift.pricing.compare import compare
from skylift.pricing.deliveries import Delivery, Ended

CLOUDS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}


def delivery(
    step: str = "train", token: str = "1-1", ended: Ended = "succeeded", *, ms: float | None = 2000.0, **given: object
) -> Delivery:
    usage = Usage(service="process", duration_ms=ms, **{"cpu_ms": ms, "peak_memory_mib": 700.2, **given})  # type: ignore[arg-type]
    return Delivery(step=step, token=token, ended=ended, usage=usage)


def costs(
    *given: Delivery, asked: Requirements | None = None, clouds: dict[str, str] | None = None
) -> dict[str, object]:
    found = compare(given, {} if asked is None else {"train": asked}, catalogue(), clouds or CLOUDS)
    return {cloud: cell.cost if cell.place else cell.why for cloud, cell in found.rows[0].cells.items()}


def test_a_short_step_by_hand() -> None:
    """One processor busy for 2 s with 701 MiB."""
    found = compare([delivery()], {}, catalogue(), CLOUDS)
    aws, gcp, azure = (found.rows[0].cells[cloud] for cloud in CLOUDS)
    assert aws.place is not None and gcp.place is not None and azure.place is not None
    # Lambda: a processor comes with 1,769 MiB; 115 ms of start-up are billed: 2.115 s x 1769/1024 GB, and a request
    assert (aws.place.instance_type, aws.place.memory_mib) == ("lambda", 1769)
    assert aws.cost == Fraction("2.115") * Fraction(1769, 1024) * Fraction("16.66670") + Fraction("0.2")
    # Cloud Functions: a processor comes with 2 GiB (2.4 GHz): 2 s x (2 x 2.5 + 2.4 x 10), and an invocation
    assert (gcp.place.instance_type, gcp.place.memory_mib) == ("cloud-functions", 2048)
    assert gcp.cost == 2 * (2 * Fraction("2.5") + Fraction("2.4") * 10) + Fraction("0.4")
    # Azure Functions: 768 MiB, 2 s x 0.75 GB x 16, and an execution
    assert (azure.place.instance_type, azure.place.memory_mib) == ("azure-functions", 768)
    assert azure.cost == 2 * Fraction("0.75") * 16 + Fraction("0.2")
    assert found.total("aws") == aws.cost and found.missing("aws") == 0
    assert {price.as_of for price in found.prices} == {"2024-07-01", "2024-12-04"}
    assert len(found.prices) == 7  # memory and requests of three clouds, and Google's processor


def test_a_long_step_goes_where_it_may_take_so_long() -> None:
    found = compare([delivery(ms=3_600_000.0)], {}, catalogue(), CLOUDS)
    places = {cloud: cell.place for cloud, cell in found.rows[0].cells.items()}
    assert all(place is not None and place.service != "function" for place in places.values())
    assert places["gcp"] is not None and places["gcp"].service == "batch"  # there is no price of containers there
    assert "gcp: no price of cloud-run in us-central1: not compared" in found.notes
    assert "azure: no container service in the catalogue: not compared" in found.notes


def test_busy_processors_are_needed_and_what_is_too_short_to_tell_gets_what_it_asked_for() -> None:
    busy = {ms: delivery(ms=ms, cpu_ms=3 * ms) for ms in (99.0, 100.0)}
    needed = {ms: compare([one], {}, catalogue(), {"aws": "us-east-1"}).rows[0].needs.cpus for ms, one in busy.items()}
    assert needed == {99.0: 1.0, 100.0: 3.0}


def test_attempts_add_up_and_the_largest_decides_on_the_place() -> None:
    one = costs(delivery(token="1-1"))
    both = costs(delivery(token="1-1"), delivery(token="2-1", peak_memory_mib=100.0))
    assert both == {cloud: 2 * amount for cloud, amount in one.items()}  # type: ignore[operator]


def test_work_lost_to_preemption_is_not_done_twice() -> None:
    """3 s of which a checkpoint kept 1.5 s, then the rest: 2 s. Elsewhere it would have taken 3.5 s."""
    interrupted = costs(
        delivery(ended="preempted", ms=3000.0, saved_ms=1500.0), delivery(ms=2000.0), clouds={"azure": "eastus"}
    )
    assert interrupted["azure"] == Fraction("3.5") * Fraction("0.75") * 16 + Fraction("0.2")


def test_what_a_task_asks_for_counts_where_it_is_more() -> None:
    found = compare([delivery()], {"train": Requirements(memory_mib=1536)}, catalogue(), {"azure": "eastus"})
    place = found.rows[0].cells["azure"].place
    assert place is not None and place.memory_mib == 1536


def test_a_gpu_is_needed_of_its_kind() -> None:
    gpu = costs(delivery(gpu_ms=1000.0, ms=60_000.0), asked=Requirements(gpu="V100"))
    assert isinstance(gpu["aws"], Fraction) and gpu["aws"] > Fraction("3.06") / 60 * 10**6  # a p3.2xlarge's minute
    unknown = costs(delivery(gpu_ms=1000.0))
    assert set(unknown.values()) == {"used a GPU whose kind is not known"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (delivery(ms=None), "not measured"),
        (Delivery(step="train", token="1-1", ended="lost"), "not measured"),
        (delivery(peak_memory_mib=1e9), "no place with a price that has room"),
    ],
)
def test_what_cannot_be_said_is_said_so(given: Delivery, why: str) -> None:
    found = compare([given], {}, catalogue(), CLOUDS)
    assert {cell.why for cell in found.rows[0].cells.values()} == {why}
    assert all(found.missing(cloud) == 1 and found.total(cloud) == 0 for cloud in CLOUDS)


def test_memory_that_was_not_measured_is_told() -> None:
    found = compare([delivery(peak_memory_mib=None)], {}, catalogue(), CLOUDS)
    assert any(note.startswith("memory not measured") and note.endswith("train") for note in found.notes)


def test_nothing_ran_nothing_costs() -> None:
    found = compare([], {}, catalogue(), CLOUDS)
    assert found.rows == () and found.total("aws") == 0


def test_clouds_and_regions_are_read_whatever_their_case() -> None:
    assert places_of("AWS, gcp:EUROPE-WEST1") == {"aws": "us-east-1", "gcp": "europe-west1"}
