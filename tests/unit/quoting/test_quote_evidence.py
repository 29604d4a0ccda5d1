"""What is taken from the history of a step, and what is not."""

from __future__ import annotations

import pytest

from skylift.history import History, Sample
from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import catalogue
from skylift.pricing.deliveries import Ended
from skylift.quoting.facts import Answers
from skylift.quoting.measured import Evidence, evidence
from skylift.quoting.walk import Kind


def sample(ended: Ended, backend: str | None = "process", duration_ms: float | None = 1000.0) -> Sample:
    return Sample(
        run_id="r",
        pipeline="p",
        created_ms=0,
        step="spin",
        task="spin",
        token=f"r:{ended}:{backend}:{duration_ms}",
        ended=ended,
        backend=backend,
        duration_ms=duration_ms,
    )


def known(*samples: Sample, repeats: int = 3) -> Evidence:
    history = History(samples=samples, runs=1)
    kind = Kind(task="spin", resource="skylift:spin", repeats=repeats)
    return evidence("spin", kind, Requirements(), Answers(), history, catalogue(), plays=False)


@pytest.mark.parametrize(
    ("others", "failed"),
    [
        ((sample("failed"),), 0.5),
        ((sample("failed", backend="process", duration_ms=None),), 0.5),
        ((sample("failed", backend=None, duration_ms=None),), 0.0),  # no backend had what it asks for
        ((sample("preempted"),), 0.0),
    ],
)
def test_only_attempts_that_began_count_as_failures(others: tuple[Sample, ...], failed: float) -> None:
    assert known(sample("succeeded"), *others).failed == failed


def test_what_failed_is_not_repeated_where_nothing_is_tried_again() -> None:
    assert known(sample("failed"), repeats=0).failed == 0.0
    assert known(sample("failed"), repeats=2).repeats == 2
