"""When and how a delivery in the simulated cloud ends: the first of all ends that it could come to."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.asl.events import Usage
from skylift.compute.simulated.ending import ending, usage_in, usage_of
from skylift.compute.simulated.entry import Entry
from skylift.compute.simulated.progress import Progress
from skylift.ports.compute import Failed, Lost, Outcome, OutOfMemory, Requirements, Succeeded, TimedOut
from skylift.pricing.catalogue import catalogue
from skylift.pricing.places import Place
from skylift.testing.backends import call

BEGAN = 1_000_000


def entry(result: Outcome, *, lost_at_ms: int | None = None, memory_mib: int = 512, **needs: Any) -> Entry:
    place = Place(service="function", instance_type="lambda", vcpus=0.3, memory_mib=memory_mib, region="us-east-1")
    made = Entry(call("add", requirements=Requirements(**needs), a=1, b=2), place)
    made.launched_ms, made.began_ms, made.lost_at_ms, made.result = BEGAN - 100, BEGAN, lost_at_ms, result
    return made


def done(duration_ms: float = 1_000.0, peak_mib: float = 100.0) -> Succeeded:
    return Succeeded(output=3, usage=Usage(duration_ms=duration_ms, cpu_ms=duration_ms / 2, peak_memory_mib=peak_mib))


def test_it_ends_by_itself_after_what_was_measured_or_declared() -> None:
    measured = ending(entry(done(1_000.4)), None, None)
    assert (measured.at_ms, type(measured.outcome), measured.duration_ms) == (BEGAN + 1_000, Succeeded, 1_000.4)
    assert ending(entry(done()), 7_000.0, None).at_ms == BEGAN + 7_000
    failed = ending(entry(Failed(error="E", usage=Usage(duration_ms=5.0))), None, None)
    assert (failed.at_ms, type(failed.outcome)) == (BEGAN + 5, Failed)
    crashed = ending(entry(Lost(reason="died")), None, None)
    assert crashed.at_ms == BEGAN and isinstance(crashed.outcome, Lost) and not crashed.outcome.preempted


@pytest.mark.parametrize(
    ("work_ms", "timeout_ms", "longest_ms", "lost_at_ms", "at_ms", "kind"),
    [
        (900.0, 1_000, 2_000, None, 900, Succeeded),
        (1_000.0, 1_000, 1_000, None, 1_000, Succeeded),
        (1_001.0, 1_000, 2_000, None, 1_000, TimedOut),
        (5_000.0, 3_000, 2_000, None, 2_000, TimedOut),
        (5_000.0, 3_000, 2_000, BEGAN + 1_500, 1_500, Lost),
        (900.0, None, None, BEGAN + 900, 900, Succeeded),
        (900.0, None, None, BEGAN - 50, -50, Lost),
    ],
)
def test_the_first_end_counts(
    work_ms: float,
    timeout_ms: int | None,
    longest_ms: int | None,
    lost_at_ms: int | None,
    at_ms: int,
    kind: type[Outcome],
) -> None:
    end = ending(entry(done(), lost_at_ms=lost_at_ms, timeout_ms=timeout_ms), work_ms, longest_ms)
    assert (end.at_ms - BEGAN, type(end.outcome)) == (at_ms, kind)


def test_a_peak_above_the_places_memory_is_out_of_memory() -> None:
    end = ending(entry(done(peak_mib=600.0)), None, None)
    assert isinstance(end.outcome, OutOfMemory) and (end.outcome.limit_mib, end.outcome.peak_mib) == (512, 600.0)
    failed = ending(entry(Failed(error="E", usage=Usage(peak_memory_mib=600.0))), None, None)
    assert isinstance(failed.outcome, Failed), "what it failed of is its own"


def test_what_is_cut_short_has_used_a_part() -> None:
    cut = entry(done(1_000.0), lost_at_ms=BEGAN + 250)
    assert cut.result is not None
    used = usage_of(cut, ending(cut, None, None), usage_in(cut.result), catalogue(), backend="b", speed=None)
    assert (used.startup_ms, used.duration_ms, used.cpu_ms) == (100.0, 250.0, 125.0)
    assert used.started_ms == BEGAN and used.peak_memory_mib == 100.0


def test_processor_time_is_stretched_with_the_time_or_not_known() -> None:
    whole = entry(done(1_000.0))
    assert whole.result is not None
    end = ending(whole, None, None)
    assert usage_of(whole, end, usage_in(whole.result), catalogue(), backend="b", speed=60.0).cpu_ms == 30_000.0
    declared = entry(done(1_000.0), work_ms=3_600_000)
    end = ending(declared, 3_600_000.0, None)
    assert usage_of(declared, end, usage_in(done()), catalogue(), backend="b", speed=None).cpu_ms is None


def test_progress_is_kept_by_visit_until_the_work_is_done() -> None:
    progress = Progress(600_000, None)
    one = entry(done(), work_ms=3_600_000)
    assert progress.left_ms(one) == 3_600_000
    assert progress.lost(one, BEGAN + 1_500_000) == 1_200_000
    assert progress.left_ms(one) == 2_400_000
    assert progress.lost(one, BEGAN + 600_000) == 1_800_000
    progress.done(one)
    assert progress.left_ms(one) == 3_600_000
    assert Progress(None, 120_000).lost(one, BEGAN + 1_500_000) == 0, "nothing keeps it"
    assert Progress(600_000, None).left_ms(entry(done())) is None
