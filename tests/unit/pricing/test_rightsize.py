"""Advice on runs that are made up, so that what is right is known."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from skylift.asl.events import Usage
from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import catalogue
from skylift.pricing.deliveries import Delivery, Ended
from skylift.pricing.rightsize import Advice, rightsize

MINUTE_MS = 60_000


def machine(duration_ms: float, peak_mib: float | None, **more: Any) -> Usage:
    """An hour's worth of m5.4xlarge."""
    given: dict[str, Any] = {
        "service": "batch",
        "instance_type": "m5.4xlarge",
        "vcpus": 16.0,
        "memory_mib": 65_536,
        "region": "us-east-1",
        "market": "on-demand",
        "startup_ms": 120_000.0,
        "duration_ms": duration_ms,
        "peak_memory_mib": peak_mib,
        "cpu_ms": duration_ms * 0.9,
        **more,
    }
    return Usage(**given)


def advice(usages: list[tuple[Ended, Usage | None, int | None]], asked: Requirements) -> Advice:
    given = [
        Delivery(step="fit", token=f"t{number}", ended=ended, usage=usage, memory_mib=memory)
        for number, (ended, usage, memory) in enumerate(usages)
    ]
    [found] = rightsize(given, {"fit": asked}, catalogue())
    return found


def test_a_light_step_on_a_large_machine_becomes_a_function() -> None:
    usages = [("succeeded", machine(10_000, peak), None) for peak in (300.0, 310.0, 290.0, 305.0, 280.0)]
    found = advice(usages, Requirements(cpus=16, memory_mib=65_536))  # type: ignore[arg-type]
    assert found.memory_mib == 448  # 310 x 1.3 = 403, in steps of 64
    assert found.cpus == 1
    assert found.place is not None
    assert (found.place.service, found.place.memory_mib) == ("function", 1769)
    assert found.saving is not None and found.cost is not None and found.saving > found.cost * 0.95
    assert any("0.90 of 16 processors" in line for line in found.why)
    assert found.unknown == ()


def test_a_step_that_takes_long_is_not_put_into_a_function() -> None:
    usages = [("succeeded", machine(8 * MINUTE_MS, 300.0), None)] * 5
    found = advice(usages, Requirements(cpus=16))  # type: ignore[arg-type]
    assert found.place is not None and found.place.service == "container"
    assert any("too near to the 15 min" in line for line in found.why)


def test_memory_is_never_below_what_it_took_after_running_out() -> None:
    usages: list[tuple[Ended, Usage | None, int | None]] = [
        ("out-of-memory", machine(1_000, 900.0, memory_mib=1_000), 2_000),
        ("succeeded", machine(1_000, 700.0, memory_mib=2_000), None),
    ]
    given = [
        Delivery(step="fit", token="t", ended=ended, usage=usage, memory_mib=memory) for ended, usage, memory in usages
    ]
    [found] = rightsize(given, {"fit": Requirements(memory_mib=1_000)}, catalogue())
    assert found.measured.out_of_memory == 1 and found.measured.attempts == 1
    assert found.memory_mib == 1216
    small = [
        Delivery(
            step="fit", token="t", ended="out-of-memory", usage=machine(1.0, 90.0, memory_mib=1_000), memory_mib=2_000
        ),
        Delivery(step="fit", token="t", ended="succeeded", usage=machine(1.0, 95.0), memory_mib=None),
    ]
    [found] = rightsize(small, {"fit": Requirements(memory_mib=1_000)}, catalogue())
    assert found.memory_mib == 2_000, "it peaked for too short a time to be seen, and 1000 MiB were too little"


def test_what_always_ran_out_of_memory_saves_nothing_known() -> None:
    """It said to take less than was too little, and that all of its cost would be saved."""
    usages: list[tuple[Ended, Usage | None, int | None]] = [
        ("out-of-memory", machine(1_000, 300.0, memory_mib=512), None),
        ("succeeded", machine(60_000, 200.0, memory_mib=512), None),
    ]
    found = advice(usages, Requirements(memory_mib=512))
    assert found.memory_mib == 1_024
    assert found.saving is None and found.advised_cost is None and found.place is not None
    assert any("how much it needs is not known" in line for line in found.unknown)
    assert any("1 attempts ended without memory" in line for line in found.unknown)


def test_a_step_too_small_to_be_measured_asks_for_some_memory() -> None:
    """It was told to ask for 0 MiB."""
    found = advice([("succeeded", machine(1.0, 0.0), None)], Requirements())
    assert found.memory_mib == 64


def test_attempts_of_milliseconds_say_nothing_of_processors() -> None:
    """Steps of 2 ms were told to ask for another quarter of a processor, and so for more memory."""
    found = advice([("succeeded", machine(2.0, 30.0, cpu_ms=2.1), None)] * 5, Requirements())
    assert found.cpus == 1
    assert any("tells nothing of processors" in line for line in found.unknown)
    longer = advice([("succeeded", machine(2_000.0, 30.0, cpu_ms=2_500.0), None)] * 5, Requirements())
    assert longer.cpus == 1.25


def test_the_saving_by_hand() -> None:
    """Five times ten seconds. Lambda: 1,769 MiB bring the one processor that was in use."""
    hour = Fraction("0.768") * 1_000_000  # m5.4xlarge, us-east-1, on demand
    usages: list[tuple[Ended, Usage | None, int | None]] = [("succeeded", machine(10_000, 100.0), None)] * 5
    found = advice(usages, Requirements(cpus=16))
    begun = 120 + 10  # its start is billed too, by the second
    assert found.cost == 5 * hour * begun / 3600
    assert found.place is not None and (found.place.service, found.place.memory_mib) == ("function", 1769)
    request, second = Fraction("0.20"), Fraction(1769, 1024) * Fraction("0.0000166667") * 1_000_000
    begun = Fraction("10.115")  # AWS bills the start of functions too; 115 ms is the middle of the catalogue's range
    assert found.advised_cost == 5 * (request + second * begun)
    assert found.saving == found.cost - found.advised_cost


def test_an_idle_gpu_is_left_out_and_an_unknown_one_stays() -> None:
    gpu = {"instance_type": "p3.2xlarge", "vcpus": 8.0, "memory_mib": 62_464}
    idle = advice([("succeeded", machine(60_000, 500.0, gpu_ms=60.0, **gpu), None)] * 5, Requirements(gpu="V100"))  # type: ignore[arg-type,list-item]
    assert idle.gpu is None and idle.place is not None and idle.place.gpus == 0
    busy = advice([("succeeded", machine(60_000, 500.0, gpu_ms=50_000.0, **gpu), None)] * 5, Requirements(gpu="V100"))  # type: ignore[arg-type,list-item]
    assert busy.gpu == "V100" and busy.place is not None and busy.place.gpu == "V100"
    unknown = advice([("succeeded", machine(60_000, 500.0, **gpu), None)] * 5, Requirements(gpu="V100"))  # type: ignore[arg-type,list-item]
    assert unknown.gpu == "V100" and any("GPU was not recorded" in line for line in unknown.unknown)


def test_nothing_is_guessed() -> None:
    bare = advice([("succeeded", Usage(), None)], Requirements(memory_mib=512))
    assert (bare.memory_mib, bare.cpus, bare.place, bare.cost, bare.saving) == (512, 1.0, None, None, None)
    assert any("peak memory was not recorded" in line for line in bare.unknown)
    assert any("machine of your own" in line for line in bare.unknown)
    lost = advice([("lost", None, None)], Requirements())
    assert lost.memory_mib is None and any("left no usage" in line for line in lost.unknown)
    strange = advice([("succeeded", machine(10.0, 50.0, instance_type="z9.huge"), None)], Requirements())
    assert strange.cost is None and any("no price of batch z9.huge" in line for line in strange.unknown)
    assert any("only 1 attempts" in line for line in strange.unknown)


def test_a_step_on_ones_own_machine_is_sized_and_priced_but_saves_nothing_known() -> None:
    own = Usage(service="process", duration_ms=20_000.0, cpu_ms=19_000.0, peak_memory_mib=200.0)
    found = advice([("succeeded", own, None)] * 5, Requirements())  # type: ignore[list-item]
    assert found.saving is None and found.advised_cost is not None
    assert found.place is not None and found.place.service == "function"
    assert any("prices are those of us-east-1" in line for line in found.unknown)


def test_a_step_that_fits_is_left_alone() -> None:
    light = Usage(
        service="function",
        instance_type="lambda",
        region="us-east-1",
        market="on-demand",
        vcpus=0.25,
        memory_mib=443,
        startup_ms=100.0,
        duration_ms=100.0,
        cpu_ms=25.0,
        peak_memory_mib=300.0,
    )
    found = advice([("succeeded", light, None)] * 5, Requirements(cpus=0.25, memory_mib=443))  # type: ignore[list-item]
    assert found.saving is not None and found.saving <= 0
    assert any("no class of compute" in line for line in found.why)


def test_preempted_spot_work_is_compared_with_all_that_it_took() -> None:
    spot = machine(30 * MINUTE_MS, 900.0, market="spot")
    given = [
        Delivery(step="fit", token="t", ended="preempted", usage=spot),
        Delivery(step="fit", token="t", ended="succeeded", usage=spot),
    ]
    [found] = rightsize(given, {"fit": Requirements(cpus=16, spot=True)}, catalogue())
    assert found.place is not None and found.saving is not None and found.saving > 0
    assert found.measured.deliveries == 2 and found.measured.attempts == 1
