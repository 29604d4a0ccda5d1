"""What is taken from the history of a step, and what is not."""

from __future__ import annotations

import pytest

from skylift.history import History, Sample
from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import catalogue
from skylift.pricing.deliveries import Ended
from skylift.quoting.facts import Answers
from skylift.quoting.measured import Evidence, evidence


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


def known(*samples: Sample) -> Evidence:
    history = History(samples=samples, runs=1)
    return evidence("spin", "spin", Requirements(), Answers(), history, catalogue(), plays=False)


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
