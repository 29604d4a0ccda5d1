"""What `@task` says of its needs: checked where it stands."""

from __future__ import annotations

import pytest

from skylift import Resources, task
from skylift.errors import AuthorError


def work() -> int:
    return 1


def test_amounts_become_numbers() -> None:
    needs = task(memory="1.5 GiB", timeout="1h 30m", heartbeat="90s")(work).requirements
    assert (needs.memory_mib, needs.timeout_ms, needs.heartbeat_ms) == (1536, 5_400_000, 90_000)


def test_nothing_said_is_no_limit() -> None:
    needs = task(work).requirements
    assert (needs.memory_mib, needs.timeout_ms, needs.heartbeat_ms) == (None, None, None)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"memory": "a lot"}, "'a lot'"),
        ({"timeout": "soon"}, "'soon'"),
        ({"timeout": 0}, "more than 0"),
        ({"heartbeat": "10s", "timeout": "10s"}, "heartbeat='10s' is not shorter than timeout='10s'"),
        ({"heartbeat": 60, "timeout": "30s"}, "heartbeat=60 is not shorter"),
        ({"cpus": 0}, "cpus=0"),
        ({"secrets": "TOKEN"}, "'TOKEN'"),
        ({"nodes": 0}, "nodes=0"),
        ({"concurrency": 0}, "concurrency=0"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], seen: str) -> None:
    with pytest.raises(AuthorError) as caught:
        task(**options)(work)  # type: ignore[call-overload]
    assert seen in str(caught.value)


def test_options_given_later_are_checked_too() -> None:
    timed = task(timeout="1m")(work)
    with pytest.raises(AuthorError, match="not shorter"):
        timed.with_options(heartbeat="2m")
    assert timed.with_options(resources=Resources(cpus=2)).requirements.cpus == 2
